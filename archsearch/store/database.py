"""Opening the database: SQLite in WAL mode for one machine, PostgreSQL for several.

SQLAlchemy (already Optuna's own storage layer) gives both behind one interface. SQLite's defaults lock under several
writers; WAL with `synchronous=NORMAL`, a long busy timeout, and `BEGIN IMMEDIATE` for transactions that will write (a
deferred transaction that upgrades from reading to writing fails at once instead of waiting) do not.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, column, create_engine, event, inspect, select, table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    MultipleResultsFound,
    NoResultFound,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.orm import Session

from archsearch.errors import ConfigError, NothingStoredError, StoreError, shown
from archsearch.resources import user_path
from archsearch.store.names import DEFAULT_URL
from archsearch.store.schema import OLDER_VERSIONS, SCHEMA_VERSION, Base, SchemaRow, StudyRow, migrate
from archsearch.text import without_password

logger = logging.getLogger(__name__)

BUSY_TIMEOUT_SECONDS = 60
# Of the driver; of a row that others refer to and that is gone; of a damaged file whose names are no text.
_FAILURES = (DBAPIError, NoResultFound, MultipleResultsFound, UnicodeDecodeError)
_OPTUNAS_STUDIES = table("studies", column("study_name"))


def tune_sqlite(dbapi_connection: Any, _record: object = None) -> None:
    """Set WAL, NORMAL and the busy timeout on one new SQLite connection (also of Optuna's engine)."""
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_SECONDS * 1000}")
    _set_wal(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _cannot_change(file: Path) -> bool:
    """Whether a SQLite file lies where nothing can be written, such as a snapshot, and is whole by itself.

    SQLite then must not be asked for the files that readers and writers share: it cannot make them there.
    """
    return file.exists() and not os.access(file.parent, os.W_OK) and not file.with_name(f"{file.name}-wal").exists()


def _set_wal(cursor: Any) -> None:
    """Change to WAL, which SQLite refuses at once, whatever the busy timeout, while another connection writes.

    A file that may only be read keeps the journal that it has.
    """
    give_up = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_READONLY:
                return
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.02)


class Database:
    """An open database with this version's tables; give it a URL as SQLAlchemy takes it.

    An older database is brought to this version (`schema.migrate`); with `create` False, one that may not be
    written is read as it is. Nothing is changed in a file before it is known to be archsearch's, or free for it.

    Args:
        url: of the database.
        create: whether the tables are made where there are none.
        entering: the study that is to be entered or gone on with; refused if Optuna has one of that name there which
            archsearch did not make.

    Attributes:
        checked: whether its rows have checksums: not one of an older version that may not be written.
        wait: how the store's functions pause (seconds) while a lost database is waited for; what it raises ends that.

    Raises ConfigError for a URL that means nothing and for another program's study, StoreError if the database cannot
    be opened or is newer.
    """

    checked: bool
    wait: Callable[[float], object]

    def __init__(self, url: str = DEFAULT_URL, *, create: bool = True, entering: str | None = None) -> None:
        self.url = normal_url(url)
        self.wait = time.sleep
        self.checked = True
        sqlite_file = self.sqlite_file
        if sqlite_file is not None:
            if not create and not sqlite_file.exists():
                raise NothingStoredError(
                    f"there is no database at {sqlite_file}",
                    hint="run a study first (`archsearch run --study quickstart`), or name its storage",
                )
            try:
                sqlite_file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"the folder {sqlite_file.parent} cannot be made: {error.strerror}") from error
        self._still = not create and sqlite_file is not None and _cannot_change(sqlite_file)
        try:
            self._look(create, entering)
            self.engine = self._engine()
            self._open_schema(create)
        except _FAILURES as error:
            raise StoreError(
                f"the database {self.safe_url} cannot be opened: {_reason(error)}",
                hint="check that the server runs, that the file is a database and that the URL is right",
            ) from error

        self._identity = self._file_identity()

    def is_there(self) -> bool:
        """Whether the SQLite file still is the one that was opened; what is written into a removed one is lost."""
        return self._file_identity() == self._identity

    def _file_identity(self) -> tuple[int, int] | None:
        try:
            found = None if self.sqlite_file is None else self.sqlite_file.stat()
        except OSError:
            return None
        return None if found is None else (found.st_dev, found.st_ino)

    def _look(self, create: bool, entering: str | None) -> None:
        """Refuse what is not archsearch's, on a connection that changes nothing: not even the journal's mode."""
        if self.sqlite_file is not None and not self.sqlite_file.exists():
            return
        engine = self._plain_engine()
        try:
            tables = set(inspect(engine).get_table_names())
            if entering is not None and _OPTUNAS_STUDIES.name in tables:
                name = _OPTUNAS_STUDIES.c.study_name
                with engine.connect() as connection:  # ours is entered before Optuna's: looked for in that order
                    theirs = connection.execute(select(name).where(name == entering)).first() is not None
                    rows = select(StudyRow.id).where(StudyRow.name == entering)
                    ours = StudyRow.__tablename__ in tables and connection.execute(rows).first() is not None
                if theirs and not ours:
                    raise foreign_study(entering, self.safe_url)
            if SchemaRow.__tablename__ not in tables and not create:
                raise NothingStoredError(
                    f"the database {self.safe_url} holds no archsearch study", hint="run a study first"
                )
        finally:
            engine.dispose()

    @property
    def sqlite_file(self) -> Path | None:
        """The file of a SQLite database, or None for another kind."""
        parsed = make_url(self.url)
        return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None

    @property
    def safe_url(self) -> str:
        """The URL with its password hidden."""
        return safe_url(self.url)

    def _engine(self) -> Engine:
        engine = self._plain_engine()
        if self.sqlite_file is not None and not self._still:
            event.listen(engine, "connect", _autocommit_off)
            event.listen(engine, "connect", tune_sqlite)
            event.listen(engine, "begin", _begin)
        return engine

    def _plain_engine(self) -> Engine:
        try:
            if self._still:
                uri = f"file:{quote(str(self.sqlite_file))}?mode=ro&immutable=1"
                return create_engine(self.url, creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False))
            return create_engine(self.url, pool_pre_ping=self.sqlite_file is None)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            known = make_url(self.url).get_backend_name() == "postgresql"
            raise StoreError(
                f"the driver for {self.safe_url} is not installed: {error}",
                hint="pip install 'archsearch[postgres]', and write postgresql://"
                if known
                else "use sqlite:///FILE or postgresql://user@host/database",
            ) from error

    def _open_schema(self, create: bool) -> None:
        if not inspect(self.engine).has_table(SchemaRow.__tablename__):
            self._create_tables()
        found = self._version()
        if found in OLDER_VERSIONS:
            try:
                with self.writing() as session:
                    migrate(session)
            except StoreError as error:
                if create:
                    raise
                self.checked = False
                logger.info("read as version %d stored it: %s", found, error.message)
                return
            found = self._version()
        if found != SCHEMA_VERSION:
            newer = isinstance(found, int) and found > SCHEMA_VERSION
            raise StoreError(
                f"the database {self.safe_url} has schema version {shown(found)}, this archsearch knows "
                f"{SCHEMA_VERSION}",
                hint="update archsearch: git pull in its folder, pip install -e ."
                if newer
                else "use the archsearch that made it",
            )

    def _version(self) -> int | None:
        with self.reading() as session:
            return session.scalar(select(SchemaRow.version))

    def _create_tables(self) -> None:
        try:
            with self.writing() as session:
                Base.metadata.create_all(session.connection())
                if session.scalar(select(SchemaRow)) is None:
                    session.add(SchemaRow(id=1, version=SCHEMA_VERSION))
        except (StoreError, SQLAlchemyError):
            # Another process made the tables at the same moment: fine, if they are there now.
            if not inspect(self.engine).has_table(SchemaRow.__tablename__):
                raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading only; nothing is committed. Raises StoreError if the database fails."""
        with self._failing("read"), Session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction that holds the write lock from its start, committed at the end or rolled back.

        Raises StoreError if the database fails or lies where nothing can be written, sqlalchemy.exc.IntegrityError if a
        row breaks a constraint.
        """
        if self._still:
            raise StoreError(
                f"the database {self.safe_url} cannot be written: nothing may be written into its folder",
                hint="make a copy of it in a folder of your own, and name that",
            )
        engine = self.engine.execution_options(archsearch_write=True)
        with self._failing("written"), Session(engine) as session, session.begin():
            yield session

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError:  # two processes entered the same thing: the caller's to settle
            raise
        except _FAILURES as error:
            raise StoreError(
                f"the database {self.safe_url} cannot be {what}: {_reason(error)}",
                hint="check that the server runs, that the disk has room and that the file may be written; "
                "what is stored stays, and the same command goes on from there",
            ) from error

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _reason(error: Exception) -> str:
    if isinstance(error, NoResultFound | MultipleResultsFound):
        return "a row that others refer to is gone, or is there twice"
    if not isinstance(error, DBAPIError):
        return str(error)
    if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_IOERR_SHMSIZE":  # "disk I/O error", by SQLite
        return "the disk has no room for the small files beside it that its readers share"
    return str(error.orig)


def foreign_study(name: str, safe_url: str) -> ConfigError:
    """The refusal of a study that another program made with Optuna."""
    return ConfigError(
        f"another program's study: Optuna's tables in {safe_url} hold '{name}', which archsearch did not make",
        hint="give this one another name (in a terminal: --set name=NAME) or another database",
    )


def normal_url(url: str) -> str:
    """A usable SQLAlchemy URL: plain `postgresql://` gets the driver that the extra `postgres` installs, and `~` in the
    path of a file is the home folder.

    Raises ConfigError if it is not a URL, if an @ of its password is not escaped (a driver would take what follows for
    the host, and name it), or if it means a database that lives in one process's memory.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(
            f"storage: not a database URL: '{without_password(str(url))}'",
            hint="for example sqlite:///runs/archsearch.db or postgresql+psycopg://user@host/database",
        ) from error
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError(
            f"storage: '{url}' names no file, and workers cannot share a database in memory",
            hint="for example sqlite:///runs/archsearch.db",
        )
    if parsed.get_backend_name() != "sqlite" and re.search("@.*/", f"{parsed.host}/{parsed.database}"):
        raise ConfigError(
            f"storage: a password or a user of '{without_password(url)}' holds an @ that is not escaped",
            hint="write it as %40, or the password into ~/.pgpass",
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database.startswith("~"):
        parsed = parsed.set(database=str(user_path(parsed.database)))
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


def storage_options(url: str | None) -> tuple[str, ...]:
    """The options that name a database in a command, its password hidden; none for the default one."""
    return () if url is None or url == DEFAULT_URL else ("--storage", safe_url(url))


def safe_url(url: str) -> str:
    """A database's URL with its password hidden. Raises ConfigError for a URL that means nothing."""
    parsed = make_url(normal_url(url))
    return without_password(url if parsed.get_backend_name() == "sqlite" else parsed.render_as_string())


def _autocommit_off(dbapi_connection: Any, _record: object) -> None:
    dbapi_connection.isolation_level = None  # SQLAlchemy, not the driver, says BEGIN: see `_begin`


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("archsearch_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
