"""Optuna's dashboard of a stored study. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable

from archsearch.api.places import open_database
from archsearch.api.study import open_study
from archsearch.search.dashboard import DEFAULT_PORT, serve_dashboard


def show_dashboard(
    study: str | None = None,
    *,
    storage: str | None = None,
    port: int = DEFAULT_PORT,
    on_ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve optuna-dashboard on a study's database until KeyboardInterrupt, on the loopback address alone.

    Args:
        study: a stored study, or a design's; None: the one worked on last.
        storage: the database's URL; None: the default.
        port: 0: any that is free.
        on_ready: called once with the address of the study's page.

    Raises StoreError, ConfigError.
    """
    name = open_study(study, storage=storage).name
    database = open_database(storage, create=False)
    try:
        serve_dashboard(database, name, port=port, on_ready=on_ready)
    finally:
        database.close()
