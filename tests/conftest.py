"""Databases for tests: a SQLite file, and a real PostgreSQL cluster that lives as long as the session."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest


def _postgres_programs() -> Path | None:
    """The newest folder that holds initdb and pg_ctl."""
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = [*([Path(on_path)] if on_path else []), *debian]
    return found[-1].parent if found else None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of an own PostgreSQL server (without a database), stopped and removed at the end of the session."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'archsearch[postgres]'")
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("initdb of PostgreSQL was not found (on Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="archsearch-postgres-"))
    user, as_user = getpass.getuser(), list[str]()
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        if shutil.which("runuser") is None or "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
            pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres' to run it as")
        user, as_user = "postgres", ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    data, port = folder / "data", _free_port()

    def call(program: str, *arguments: str) -> None:
        subprocess.run(
            [*as_user, str(programs / program), "-D", str(data), *arguments],
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )

    call("initdb", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale", "-U", user)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=60"
    call("pg_ctl", "-w", "-l", str(folder / "server.log"), "-o", options, "start")
    try:
        yield f"postgresql://{user}@127.0.0.1:{port}"
    finally:
        call("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'studies.db'}"
    import psycopg

    server = str(request.getfixturevalue("postgres_server"))
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{server}/{name}"
