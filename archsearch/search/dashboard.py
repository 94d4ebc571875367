"""optuna-dashboard on a study's database, for a browser on this machine."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from archsearch.errors import StoreError
from archsearch.search.storage import close_storage, optuna_storage
from archsearch.store.database import Database

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
                f"Optuna knows no study '{study}' in {database.safe_url}", hint="run the study once more"
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
