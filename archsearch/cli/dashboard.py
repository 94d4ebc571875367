"""`archsearch dashboard`: Optuna's own dashboard on a study."""

from __future__ import annotations

from typing import Annotated

import typer

from archsearch.cli.console import console, error_console
from archsearch.cli.options import StorageOption, StudyOption


def dashboard(
    study: StudyOption = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="P", help="Port to listen on; 0: any free one.")
    ] = 8080,
    storage: StorageOption = None,
) -> None:
    """Open optuna-dashboard on a study, while it runs or afterwards (extra `dashboard`).

    It listens on this machine's loopback address alone: it has no password, and it can delete what it shows.
    Ctrl-C ends it; the study does not notice.

    Examples:
    archsearch dashboard
    archsearch dashboard --study quickstart --port 8081
    """
    from archsearch.api.servers import show_dashboard

    def ready(address: str) -> None:
        console.print(f"serving {address}; Ctrl-C ends it", markup=False)

    try:
        show_dashboard(study, storage=storage, port=port, on_ready=ready)
    except KeyboardInterrupt:
        error_console.print("stopped")
