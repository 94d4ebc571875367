"""What serves a database until Ctrl-C: Optuna's dashboard, and its tables for many workers. Nothing imports torch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from archsearch.api.paths import open_database
from archsearch.api.study import Study, opened_study
from archsearch.errors import ConfigError
from archsearch.search.servers import DASHBOARD_PORT, STORAGE_HOST, STORAGE_PORT, serve, serve_dashboard
from archsearch.store.database import normal_url
from archsearch.validation import whole

_HIGHEST_PORT = 65535


def dashboard(
    study: str | Path | Study | None = None,
    *,
    storage: str | None = None,
    port: int = DASHBOARD_PORT,
    on_ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve optuna-dashboard on a study's database until KeyboardInterrupt, on the loopback address alone.

    Args:
        study: a stored study, or a design's; None: the one worked on last.
        storage: the database's URL; None: that of an opened study, else the default.
        port: 0: any that is free.
        on_ready: called once with the address of the study's page.

    Raises StoreError, ConfigError.
    """
    port = _checked(port, least=0)
    opened = opened_study(study, storage=storage)
    with closing(open_database(opened.storage, create=False)) as database:
        serve_dashboard(database, opened.name, port=port, on_ready=on_ready)


def serve_storage(
    storage: str, *, host: str = STORAGE_HOST, port: int = STORAGE_PORT, on_ready: Callable[[], None] = lambda: None
) -> None:
    """Serve Optuna's tables of a database to the workers of `run(optuna_proxy=...)`, until KeyboardInterrupt.

    `on_ready` is called once, when the database and the port are there.

    Raises ConfigError for SQLite and for what is no port, StoreError for a database or a port that cannot be used, or
    without the extra `grpc`.
    """
    port = _checked(port, least=1)
    if normal_url(storage).startswith("sqlite"):  # before a file is made
        raise ConfigError(
            "storage: a proxy makes sense with PostgreSQL only: SQLite is one machine's, and needs none",
            hint="for example postgresql+psycopg://user@host/database",
        )
    with closing(open_database(storage, create=True)) as database:
        serve(database, host=host, port=port, on_ready=on_ready)


def _checked(port: int, *, least: int) -> int:
    number = whole(port, "port")
    if not least <= number <= _HIGHEST_PORT:
        raise ConfigError(f"port {number}: must be {least} to {_HIGHEST_PORT}")
    return number
