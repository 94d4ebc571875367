"""`archsearch dashboard` and `serve-storage`: what listens on a port."""

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
    from archsearch.api.servers import dashboard as show_dashboard

    def ready(address: str) -> None:
        console.print(f"serving {address}; Ctrl-C ends it", markup=False)

    try:
        show_dashboard(study, storage=storage, port=port, on_ready=ready)
    except KeyboardInterrupt:
        error_console.print("stopped")


def serve_storage(
    storage: Annotated[
        str, typer.Option(metavar="URL", help="The study's database: postgresql+psycopg://USER@HOST/DB.")
    ],
    host: Annotated[
        str, typer.Option(metavar="H", help="Address to listen on; 0.0.0.0: for other machines, too.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="P", help="Port to listen on.")] = 13000,
) -> None:
    """Serve Optuna's tables of a PostgreSQL database by gRPC, so that hundreds of workers load it less.

    Workers come through it with `archsearch run --optuna-proxy HOST:PORT`.
    It has no password and no encryption: listen on a private network only.
    Ctrl-C ends it, and it may be started again at any time: workers wait for it up to five minutes.

    Examples:
    archsearch serve-storage --storage postgresql://me@db/archsearch --host 0.0.0.0
    archsearch run --study cifar10 --storage postgresql://me@db/archsearch --optuna-proxy node1:13000
    """
    from archsearch.api.servers import serve_storage as serve

    def ready() -> None:
        error_console.print(f"serving on {host}:{port}; Ctrl-C ends it", markup=False)

    try:
        serve(storage, host=host, port=port, on_ready=ready)
    except KeyboardInterrupt:
        error_console.print("stopped; workers wait for it up to five minutes")
