"""The storage server: one process between hundreds of workers and Optuna's tables."""

from __future__ import annotations

import ipaddress
import logging
import socket
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
from optuna.storages import get_storage, run_grpc_proxy_server

from archsearch.errors import StoreError
from archsearch.search.storage import close_storage, need_grpc, optuna_storage
from archsearch.store.database import Database

logger = logging.getLogger(__name__)

STORAGE_HOST = "127.0.0.1"
STORAGE_PORT = 13000
# No more than a pool of database connections holds (5, and 10 more when they are all in use).
_THREADS = 15


def serve(
    database: Database,
    *,
    host: str = STORAGE_HOST,
    port: int = STORAGE_PORT,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve Optuna's side of a database to workers until KeyboardInterrupt.

    It keeps nothing but a cache: killed and started again, it loses nothing, and workers wait for it as they wait for
    the database. Who reaches the port may read and change every study: there is neither password nor encryption.

    Args:
        database: a server's.
        host: the address to listen on; 0.0.0.0 is every one of this machine.
        port: 1 to 65535.
        on_ready: called once, when the database and the port are there.

    Raises StoreError if the port cannot be had or gRPC is not installed.
    """
    need_grpc()
    _check_free(host, port)
    storage = optuna_storage(database)
    if not _is_own(host):
        logger.warning(
            "whoever reaches %s:%d may read, change and delete every study: there is neither password nor encryption, "
            "so listen on a private network only",
            host,
            port,
        )
    on_ready()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            run_grpc_proxy_server(
                get_storage(storage),
                host=f"[{host}]" if ":" in host else host,  # an address of IPv6
                port=port,
                thread_pool=ThreadPoolExecutor(max_workers=_THREADS),
            )
    finally:
        close_storage(storage)


def _is_own(host: str) -> bool:
    """Whether only processes of this machine reach an address."""
    try:
        return ipaddress.ip_address(socket.getaddrinfo(host, None)[0][4][0]).is_loopback
    except (OSError, ValueError):
        return False


def _check_free(host: str, port: int) -> None:
    """gRPC itself would share a port with another proxy, which then had half of the workers."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a proxy that has just ended is no other
            listener.bind(address)
    except OSError as error:
        raise StoreError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="another program may have it: give another port"
        ) from error


# optuna-dashboard on a study's database, for a browser on this machine.

HOST = "127.0.0.1"
DASHBOARD_PORT = 8080


class _Server(ThreadingMixIn, WSGIServer):
    """One thread for each request: a page asks for several things at once."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name of the method that it overrides)
        """Nothing: a browser asks every few seconds."""


def serve_dashboard(
    database: Database,
    study: str,
    *,
    port: int = DASHBOARD_PORT,
    on_ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve optuna-dashboard until KeyboardInterrupt, on the loopback address alone.

    It has no password, and can delete what it shows: so nobody reaches it from another machine.

    Args:
        database: the study's.
        study: whose page is told to `on_ready`.
        port: 0: any that is free.
        on_ready: called once with the address of the study's page, when the port is there.

    Raises StoreError without the extra `dashboard`, for a port that cannot be had, or for a study that Optuna does not
    know.
    """
    if find_spec("optuna_dashboard") is None:
        raise StoreError("optuna-dashboard is not installed", hint="pip install 'archsearch[dashboard]'")
    from optuna_dashboard import wsgi  # type: ignore[import-untyped]

    storage = optuna_storage(database)
    try:
        try:
            number = storage.get_study_id_from_name(study)
        except KeyError as error:
            raise StoreError(
                f"Optuna knows no study '{study}' in {database.safe_url}",
                hint="put a copy of the database back if it has trials: they were deleted, in its dashboard, say; "
                "else run it once more",
            ) from error
        try:
            server = make_server(HOST, port, wsgi(storage), server_class=_Server, handler_class=_Quiet)
        except OSError as error:
            raise StoreError(
                f"cannot listen on {HOST}:{port}: {error.strerror}",
                hint="another program may have it: give another port",
            ) from error
        with server:
            on_ready(f"http://{HOST}:{server.server_port}/dashboard/studies/{number}")
            server.serve_forever()
    finally:
        close_storage(storage)
