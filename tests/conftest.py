"""Databases for tests: a SQLite file, and a real PostgreSQL cluster that lives as long as the session."""

from __future__ import annotations

import gc
import getpass
import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden`: for tests/golden."""
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/outputs anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """End-to-end files first: they take the longest, and of several processes none is to begin with one at the end."""
    items.sort(key=lambda item: "e2e" not in item.path.parts)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Puts back what a command sets for its process: log handlers and levels, the answer to SIGTERM, torch's threads.

    A hook, since fixtures of a module run commands too, before any fixture of a function could look.
    """
    root, own = logging.getLogger(), logging.getLogger("archsearch")
    handlers, levels = root.handlers[:], (root.level, own.level)
    terminated, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    try:
        return (yield)
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        own.setLevel(levels[1])
        signal.signal(signal.SIGTERM, terminated)
        torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def _old_objects_are_not_walked() -> None:
    """A worker collects garbage after every network, which would walk all that the tests before have imported."""
    gc.collect()
    gc.freeze()


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


class PostgresServer:
    """An own PostgreSQL server (without a database) in a folder of its own, on a free port.

    Args:
        listen: addresses beside 127.0.0.1, for clients in 10.0.0.0/8; empty: none.
    """

    def __init__(self, listen: str = "") -> None:
        pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'archsearch[postgres]'")
        programs = _postgres_programs()
        if programs is None:
            pytest.skip("initdb of PostgreSQL was not found (on Debian: apt-get install postgresql)")
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="archsearch-postgres-"))
        self.user, self._as_user = getpass.getuser(), list[str]()
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            if shutil.which("runuser") is None or "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
                pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres' to run it as")
            self.user, self._as_user = "postgres", ["runuser", "-u", "postgres", "--"]
            shutil.chown(self._folder, "postgres")
        self.port = _free_port()
        self.url = f"postgresql://{self.user}@127.0.0.1:{self.port}"
        addresses = ",".join(["127.0.0.1", *([listen] if listen else [])])
        self._options = (
            f"-p {self.port} -k {self._folder} -c listen_addresses={addresses} -c fsync=off -c max_connections=100"
        )
        self._call("initdb", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale", "-U", self.user)
        if listen:
            with (self._folder / "data" / "pg_hba.conf").open("a") as rules:
                rules.write("host all all 10.0.0.0/8 trust\n")
        self.start()

    def start(self) -> None:
        log = str(self._folder / "server.log")
        self._call("pg_ctl", "-w", "-l", log, "-o", self._options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._call("pg_ctl", "-w", "-m", mode, "stop")

    def remove(self) -> None:
        with suppress(subprocess.CalledProcessError):  # a test has left it stopped
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"{self.url}/{name}"

    def _call(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self._as_user, str(self._programs / program), "-D", str(self._folder / "data"), *arguments],
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the session; a test that stops it starts it again."""
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres_server(postgres: PostgresServer) -> str:
    """Its URL (without a database)."""
    return postgres.url


@pytest.fixture
def new_postgres() -> Iterator[Callable[..., PostgresServer]]:
    """Makes servers that one test may stop, start and cut off."""
    servers: list[PostgresServer] = []

    def make(listen: str = "") -> PostgresServer:
        servers.append(PostgresServer(listen))
        return servers[-1]

    yield make
    for server in servers:
        server.remove()


@pytest.fixture
def free_port() -> int:
    """A port on which nothing listens."""
    return _free_port()


@pytest.fixture(params=["sqlite", "postgresql"])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'studies.db'}"
    return str(request.getfixturevalue("postgres").new_database())
