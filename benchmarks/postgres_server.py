"""An own PostgreSQL server for a benchmark, on a free port, removed afterwards."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


def programs() -> Path | None:
    """The newest folder that holds initdb and pg_ctl; None if there is none, or no driver."""
    if find_spec("psycopg") is None:
        return None
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = [*([Path(on_path)] if on_path else []), *debian]
    return found[-1].parent if found else None


@contextmanager
def server(folder_of_programs: Path) -> Iterator[str]:
    """The URL of a running server, without a database."""
    folder = Path(tempfile.mkdtemp(prefix="archsearch-postgres-"))
    user, as_user = getpass.getuser(), list[str]()
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user, as_user = "postgres", ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])

    def call(program: str, *arguments: str) -> None:
        command = [*as_user, str(folder_of_programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    call("initdb", "-A", "trust", "-E", "UTF8", "--no-locale", "-U", user)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    call("pg_ctl", "-w", "-l", str(folder / "server.log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://{user}@127.0.0.1:{port}"
    finally:
        call("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def copy_database(url: str, template: str | None, name: str) -> str:
    """Make a database, empty or as a copy of another to which nobody is connected; gives its URL."""
    import psycopg

    with psycopg.connect(f"{url.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        how = f" TEMPLATE {template}" if template is not None else ""
        connection.execute(f"CREATE DATABASE {name}{how}".encode())
    return f"{url}/{name}"
