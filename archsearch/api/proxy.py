"""Serve Optuna's tables to many workers. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable

from archsearch.api.places import open_database
from archsearch.search.proxy import DEFAULT_HOST, DEFAULT_PORT, serve


def serve_optuna(
    storage: str,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve Optuna's tables of a database to the workers of `run(optuna_proxy=...)`, until KeyboardInterrupt.

    `on_ready` is called once, when the database and the port are there.

    Raises ConfigError for SQLite, StoreError for a database or a port that cannot be used, or without the extra `grpc`.
    """
    database = open_database(storage, create=True)
    try:
        serve(database, host=host, port=port, on_ready=on_ready)
    finally:
        database.close()
