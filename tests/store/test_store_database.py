"""Opening databases: what SQLite is set to, and one clear error for each way of getting it wrong."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from archsearch.errors import ConfigError, StoreError
from archsearch.store.database import BUSY_TIMEOUT_SECONDS, Database, normal_url
from archsearch.store.schema import SCHEMA_VERSION, SchemaRow, StudyRow
from archsearch.store.studies import list_studies
from archsearch.store.trials import check_database_writable


def test_opening_twice_finds_what_was_written(storage_url: str) -> None:
    for _ in range(2):
        database = Database(storage_url)
        with database.reading() as session:
            assert session.get_one(SchemaRow, 1).version == SCHEMA_VERSION
        database.close()


def test_an_existing_database_opens_without_create(storage_url: str) -> None:
    Database(storage_url).close()
    database = Database(storage_url, create=False)
    assert list_studies(database) == ()
    database.close()


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid"), reason="permissions of POSIX")
def test_a_database_where_nothing_can_be_written_is_read_and_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    folder.mkdir()
    Database(f"sqlite:///{folder / 'a.db'}").close()
    as_root = os.geteuid() == 0  # for whom permissions are no hindrance: a file system that is read-only then
    if as_root:
        content = (folder / "a.db").read_bytes()
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=False, capture_output=True).returncode != 0:
            pytest.skip("this root cannot mount")
        (folder / "a.db").write_bytes(content)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    else:
        folder.chmod(0o555)
    try:
        before = sorted(path.name for path in folder.iterdir())
        database = Database(f"sqlite:///{folder / 'a.db'}", create=False)
        assert list_studies(database) == ()
        database.close()
        assert sorted(path.name for path in folder.iterdir()) == before == ["a.db"]
    finally:
        if as_root:
            subprocess.run(["umount", folder], check=True)
        folder.chmod(0o755)


def test_a_file_that_may_only_be_read_is_read_with_the_journal_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "restored.db"
    Database(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path, isolation_level=None)) as restored:
        restored.execute("PRAGMA journal_mode=DELETE")  # as from a dump
        restored.execute("UPDATE archsearch_schema SET version = 3")

    def read_only(opened: Database) -> Engine:
        uri = f"file:{path}?mode=ro"
        return create_engine(opened.url, creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False))

    monkeypatch.setattr(Database, "_plain_engine", read_only)
    database = Database(f"sqlite:///{path}", create=False)
    assert list_studies(database) == () and not database.checked  # an older version's, which stays so
    with pytest.raises(StoreError, match="is of an older version and could not be brought to this one"):
        check_database_writable(database)
    database.close()


def test_a_disk_that_is_too_full_to_read_a_database_is_told(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    error = sqlite3.OperationalError("disk I/O error")  # as of a WAL whose -shm cannot be made
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    with pytest.raises(StoreError, match="cannot be read: the disk has no room"), database.reading():
        raise OperationalError("SELECT 1", {}, error)
    database.close()


def test_without_create_a_database_that_holds_no_study_is_refused_and_stays_empty(storage_url: str) -> None:
    if storage_url.startswith("sqlite"):
        sqlite3.connect(storage_url.removeprefix("sqlite:///")).execute("CREATE TABLE other (id INTEGER)").close()
    for _ in range(2):  # the first time must not have made the tables
        with pytest.raises(StoreError, match="no archsearch study"):
            Database(storage_url, create=False)


def test_a_newer_schema_is_refused_with_the_advice_to_upgrade(storage_url: str) -> None:
    database = Database(storage_url)
    with database.writing() as session:
        session.execute(update(SchemaRow).values(version=SCHEMA_VERSION + 1))
    database.close()
    with pytest.raises(StoreError, match=f"schema version {SCHEMA_VERSION + 1}") as caught:
        Database(storage_url)
    assert caught.value.hint is not None and "git pull" in caught.value.hint


def test_an_unknown_older_schema_is_refused_with_other_advice(storage_url: str) -> None:
    database = Database(storage_url)
    with database.writing() as session:
        session.execute(update(SchemaRow).values(version=0))
    database.close()
    with pytest.raises(StoreError, match="use the archsearch that made it"):
        Database(storage_url)


def test_an_error_within_a_write_leaves_nothing_behind(storage_url: str) -> None:
    database = Database(storage_url)

    def write_and_fail() -> None:
        with database.writing() as session:
            session.add(StudyRow(name="half", config={}, space={}, space_fingerprint="0", facts={}))
            session.flush()
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        write_and_fail()
    with database.reading() as session:
        assert session.query(StudyRow).count() == 0
    database.close()


def test_many_threads_may_make_the_tables_at_once(
    storage_url: str, opened_at_once: Callable[[str], list[StoreError]]
) -> None:
    assert opened_at_once(storage_url) == []


def test_a_database_that_somebody_writes_at_this_moment_is_waited_for(tmp_path: Path) -> None:
    """The change to WAL does not heed the busy timeout: without waiting, workers that start at once would fail."""
    path = tmp_path / "busy.db"
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("CREATE TABLE other (x)")
    writer.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.5, lambda: writer.execute("COMMIT"))
    release.start()
    Database(f"sqlite:///{path}").close()
    release.join()
    writer.close()
    assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_sqlite_runs_in_wal_mode_with_a_long_busy_timeout_on_every_connection(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with database.engine.connect() as first, database.engine.connect() as second:
        for connection in (first, second):
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA busy_timeout")).scalar() == BUSY_TIMEOUT_SECONDS * 1000
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 1  # 1 is NORMAL
    database.close()


def test_a_sqlite_write_holds_the_write_lock_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    database = Database(f"sqlite:///{path}")
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    with database.writing() as session:
        session.scalar(text("SELECT 1"))  # has only read so far
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()
    database.close()


def test_the_folder_of_a_new_database_is_made(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / 'a' / 'b' / 'x.db'}").close()
    assert (tmp_path / "a" / "b" / "x.db").is_file()


def test_a_missing_file_is_not_made_without_create(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database at") as caught:
        Database(f"sqlite:///{tmp_path / 'runs' / 'x.db'}", create=False)
    assert "archsearch run" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(b"these are my notes, not a database\n" * 50)
    with pytest.raises(StoreError, match=r"notes\.db cannot be opened: file is not a database"):
        Database(f"sqlite:///{path}")
    assert path.read_bytes() == b"these are my notes, not a database\n" * 50


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Database(f"sqlite:///{tmp_path}")


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StoreError, match=r"folder .*runs cannot be made"):
        Database(f"sqlite:///{tmp_path / 'runs' / 'x.db'}")


def test_a_server_that_does_not_answer_is_one_error_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        Database("postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(caught.value)
    assert "me:***@127.0.0.1" in str(caught.value)


@pytest.mark.parametrize("password", ["sec@ret", "s@cret@secret", "@ret", "s@e/c:ret", "s@cret/"])
def test_a_password_with_an_at_sign_is_refused_before_a_driver_takes_its_end_for_the_host(password: str) -> None:
    with pytest.raises(ConfigError, match="holds an @ that is not escaped") as caught:
        Database(f"postgresql://me:{password}@127.0.0.1:1/db")
    assert "postgresql://me:***@127.0.0.1:1/db" in str(caught.value)
    assert "ret" not in str(caught.value)
    assert "%40" in str(caught.value)


def test_an_escaped_at_sign_belongs_to_the_password() -> None:
    assert normal_url("postgresql://me:sec%40ret@127.0.0.1/db") == "postgresql+psycopg://me:sec%40ret@127.0.0.1/db"


def test_a_database_may_have_an_at_sign_in_its_name() -> None:
    assert make_url(normal_url("postgresql://me:secret@db1/a@b")).database == "a@b"


@pytest.mark.parametrize("password", ["sec@ret", "s:e/c@r@ret", "//ret"])
def test_a_password_is_hidden_in_what_is_no_url(password: str) -> None:
    with pytest.raises(ConfigError, match="not a database URL") as caught:
        normal_url(f"postgresql://me:{password}@host:port/x")
    assert "postgresql://me:***@host:port/x" in str(caught.value)


@pytest.mark.parametrize("password", ["secret", "'my se\\'cret'", "s@e:cret", "se&cret", "my\\ se://cret"])
def test_a_password_is_hidden_in_a_connection_string_of_libpq(password: str) -> None:
    with pytest.raises(ConfigError, match="not a database URL") as caught:
        normal_url(f"host=db1 user=me PassWord = {password} dbname=x")
    assert "'host=db1 user=me PassWord = *** dbname=x'" in str(caught.value)


def test_a_database_that_fails_in_use_is_one_error_with_a_hint(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with (
        pytest.raises(StoreError, match=r"x\.db cannot be read: no such table: absent") as caught,
        database.reading() as s,
    ):
        s.execute(text("SELECT * FROM absent"))
    assert caught.value.hint is not None and "disk has room" in caught.value.hint
    with pytest.raises(StoreError, match=r"x\.db cannot be written: no such table"), database.writing() as s:
        s.execute(text("DELETE FROM absent"))
    database.close()


def test_a_broken_constraint_is_left_to_the_caller(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(SchemaRow(id=1, version=SCHEMA_VERSION))  # there is one
    database.close()


@pytest.mark.parametrize("url", ["", "runs/x.db", "postgres//me:secret@host/x", "postgresql://me:secret@host:port/x"])
def test_what_is_no_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigError, match="not a database URL") as caught:
        Database(url)
    assert "sqlite:///runs/archsearch.db" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="names no file"):
        Database(url)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("postgresql+pg8000://me:secret@host/x", r"archsearch\[postgres\]"),
        ("oracle://me:secret@host/x", "sqlite:///FILE or postgresql://"),
        ("nosuch://me:secret@host/x", "sqlite:///FILE or postgresql://"),
    ],
)
def test_a_missing_driver_is_named_with_advice(url: str, advice: str) -> None:
    with pytest.raises(StoreError, match="driver") as caught:
        Database(url)
    assert caught.value.hint is not None
    assert re.search(advice, caught.value.hint)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_plain_postgresql_url_gets_the_driver_of_the_extra(scheme: str) -> None:
    assert normal_url(f"{scheme}://me:pass@host/x") == "postgresql+psycopg://me:pass@host/x"


def test_a_url_is_shown_without_its_password_and_a_file_as_it_was_given() -> None:
    from archsearch.store.database import safe_url

    assert safe_url("postgresql+psycopg://me:se%40cret@db/x") == "postgresql+psycopg://me:***@db/x"
    assert safe_url("sqlite:///a@b/c:d@e.db") == "sqlite:///a@b/c:d@e.db"
