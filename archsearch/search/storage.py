"""Where Optuna's side of a study lives: SQLite for one machine, PostgreSQL for several, gRPC for hundreds of workers.

With gRPC one process (`archsearch serve-storage`) talks to PostgreSQL for all: each worker keeps what it has read in
memory and asks for what is new, and Optuna's many small transactions share a few connections. archsearch's own tables
stay on PostgreSQL.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any, cast

import optuna
from optuna.storages import BaseStorage, GrpcStorageProxy, RDBStorage
from sqlalchemy import event, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from archsearch.errors import ConfigError, StoreError
from archsearch.registry import Registry
from archsearch.search.runtime import host_and_port
from archsearch.store.database import Database, tune_sqlite
from archsearch.store.retry import causes_of, connection_lost

READY_SECONDS = 20.0
_VERSIONS = "version_info"  # Optuna's table of its own version, which every database of it has
# Drawn at each check: a study's number and name may be the same in another database, and a copy has all that it had.
_DATABASE = "archsearch:database"
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds between tries at making Optuna's tables
# Of a call through the proxy: it is away, or its own call of the database failed.
_LOST_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN")


def optuna_storage(database: Database, proxy: str | None = None) -> BaseStorage:
    """Optuna's storage of a database, or the way to it through a proxy.

    Args:
        database: where archsearch's own tables are.
        proxy: HOST:PORT of an `archsearch serve-storage` that serves the same database; None: directly.

    Raises ConfigError for another kind of database or a proxy's address that means nothing, StoreError if no proxy
    answers there, if what gRPC needs is not installed, or for tables of another version of Optuna.
    """
    kind = "grpc" if proxy is not None else make_url(database.url).get_backend_name()
    return STORAGES[kind](database, proxy)


def close_storage(storage: BaseStorage) -> None:
    """Close a storage's connections."""
    if isinstance(storage, GrpcStorageProxy):
        storage.close()
    elif isinstance(storage, RDBStorage):
        storage.engine.dispose()


def storage_lost(error: BaseException) -> bool:
    """Whether an error is a database, or a proxy, that cannot be reached now but may come back."""
    away = any(isinstance(cause, ConnectionError) or _code(cause) in _LOST_CODES for cause in causes_of(error))
    return away or connection_lost(error)


def check_proxy(database: Database, proxy: str, study: str) -> None:
    """Refuse a proxy that serves another database than the one in which a study has been entered.

    Raises ConfigError then, and whatever `optuna_storage` raises.
    """
    with ExitStack() as opened:
        direct = optuna_storage(database)
        opened.callback(close_storage, direct)
        served = optuna_storage(database, proxy)
        opened.callback(close_storage, served)
        number = direct.get_study_id_from_name(study)
        before, now = "", uuid.uuid4().hex
        direct.set_study_system_attr(number, _DATABASE, now)
        while before != now:  # other machines that begin may draw theirs while this one looks
            before = direct.get_study_system_attrs(number)[_DATABASE]
            try:
                there = served.get_study_system_attrs(served.get_study_id_from_name(study)).get(_DATABASE)
            except KeyError:
                there = None
            now = direct.get_study_system_attrs(number)[_DATABASE]
            if there in (before, now):
                return
    raise ConfigError(
        f"optuna_proxy {proxy} serves another database than {database.safe_url}",
        hint=f"start it with the same one: archsearch serve-storage --storage {database.safe_url}",
    )


def need_grpc() -> None:
    """Raise StoreError unless what Optuna's gRPC storage needs is installed."""
    missing = [name for name, module in (("grpcio", "grpc"), ("protobuf", "google")) if find_spec(module) is None]
    if missing:
        raise StoreError(
            f"the gRPC proxy needs {' and '.join(missing)}, which is not installed",
            hint="pip install 'archsearch[grpc]', on every machine",
        )


def _rdb(database: Database, **engine_kwargs: Any) -> RDBStorage:
    """Optuna's storage with its tables. Optuna makes them without a lock, so of processes that come first at one moment
    all but one may fail: a moment later the tables are there.

    Raises StoreError for tables that another version of Optuna made.
    """
    for pause in (*_PAUSES, None):
        try:
            return RDBStorage(database.url, engine_kwargs=engine_kwargs)
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            if pause is None or connection_lost(error):
                raise
            time.sleep(pause)
        except RuntimeError as error:  # Optuna's own word for tables of another version of it
            raise StoreError(
                f"Optuna's tables in {database.safe_url} cannot be used: {error}",
                hint="keep a copy of the database before, or give another one (in a terminal: --storage)",
            ) from error
    raise AssertionError  # the last turn returns or raises


def _make_tables(database: Database) -> None:
    """Optuna's tables in a SQLite file, all or none.

    Optuna makes them one by one: killed between a table and its unique index it leaves a database in which a study is
    entered twice, and then cannot be opened.
    """
    with database.writing() as session:
        connection = session.connection()
        if inspect(connection).has_table(_VERSIONS):
            return
        made = RDBStorage("sqlite:///:memory:")
        try:
            raw = made.engine.raw_connection()
            for statement in cast(sqlite3.Connection, raw.driver_connection).iterdump():
                if statement not in ("BEGIN TRANSACTION;", "COMMIT;"):
                    connection.exec_driver_sql(statement)
            raw.close()
        finally:
            made.engine.dispose()


def _sqlite(database: Database, _proxy: str | None) -> BaseStorage:
    _make_tables(database)
    storage = _rdb(database)
    event.listen(storage.engine, "connect", tune_sqlite)
    storage.engine.dispose()  # connections that were made before the listener stood
    return storage


def _postgresql(database: Database, _proxy: str | None) -> BaseStorage:
    # pre_ping: a pooled connection that did not survive a restart of the server is replaced before it is used
    return _rdb(database, pool_pre_ping=True)


def _grpc(_database: Database, proxy: str | None) -> BaseStorage:
    host, port = host_and_port(proxy or "")
    need_grpc()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = GrpcStorageProxy(host=host, port=port)
    try:
        storage.wait_server_ready(timeout=READY_SECONDS)
    except ConnectionError as error:
        storage.close()
        raise StoreError(
            f"no proxy answers at {proxy}",
            hint="start it (archsearch serve-storage --storage URL --host 0.0.0.0), and check the port and the network",
        ) from error
    return storage


STORAGES: Registry[Callable[[Database, str | None], BaseStorage]] = Registry(
    "storage", {"sqlite": _sqlite, "postgresql": _postgresql, "grpc": _grpc}
)


def _code(error: BaseException) -> str | None:
    """The status of a failed gRPC call, by name; None for any other error."""
    if not type(error).__module__.startswith("grpc"):
        return None
    code: Any = getattr(error, "code", None)
    return str(getattr(code(), "name", "")) if callable(code) else None
