"""Which workers are alive: a heartbeat in the database, and the process table of this host.

Heartbeats are timed by the database server's clock alone: those of the hosts may differ by minutes.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import DateTime, delete, func, select, update
from sqlalchemy.orm import Session

from archsearch.records import TrialStatus
from archsearch.store.database import Database
from archsearch.store.retry import retried
from archsearch.store.schema import TrialRow, WorkerRow, utc_now

HEARTBEAT_SECONDS = 5
GRACE_SECONDS = 120.0  # without a heartbeat a worker whose process cannot be looked up is dead after so long
_PROC = Path("/proc")
_UNKNOWN = "unknown"


def host_name() -> str:
    """This host's process table: its name, its last start (a process number means nothing after a reboot), and the
    process namespace (containers may share name and start, but not process numbers).
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        boot = _UNKNOWN
    try:
        namespace = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        namespace = _UNKNOWN
    return f"{socket.gethostname()}/{boot}/{namespace}"


def process_start(pid: int) -> str | None:
    """When a process of this host started, in the kernel's own clock; None if it does not run.

    The process number alone is not enough: the kernel gives it to another process later. Where the system does not
    tell the start (no /proc), a process that runs has the start "".
    """
    try:
        stat = (_PROC / f"{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None if (_PROC / "self").exists() else _start_without_proc(pid)
    except OSError:
        return ""
    state, *rest = stat.rsplit(")", 1)[1].split()
    return None if state == "Z" else rest[18]  # field 22 of proc(5): starttime


def _start_without_proc(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""  # another user's
    return ""


def enter_worker(database: Database, study_id: int, device: str) -> str:
    """Enter this process as a worker of a study; returns the worker's id."""
    worker_id = uuid.uuid4().hex
    _enter(database, worker_id, study_id, device)
    return worker_id


@retried
def _enter(database: Database, worker_id: str, study_id: int, device: str) -> None:
    with database.writing() as session:
        session.merge(  # no second row if the first was written, and only the answer was lost
            WorkerRow(
                id=worker_id,
                study_id=study_id,
                host=host_name(),
                pid=os.getpid(),
                process_start=process_start(os.getpid()) or "",
                device=device,
                last_seen=_clock(session),
            )
        )


def beat(database: Database, worker_id: str) -> None:
    """Say that a worker is alive now. Raises StoreError at once if the database is away: the next beat is soon."""
    with database.writing() as session:
        session.execute(update(WorkerRow).where(WorkerRow.id == worker_id).values(last_seen=_clock(session)))


@retried
def leave_worker(database: Database, worker_id: str) -> None:
    """Take a worker off the table: it has ended by itself."""
    with database.writing() as session:
        session.execute(delete(WorkerRow).where(WorkerRow.id == worker_id))


@retried
def ended_here(database: Database, study_id: int) -> int:
    """How many trials of a study have ended with a worker of this host that is on the table."""
    query = (
        select(func.count())
        .select_from(TrialRow)
        .join(WorkerRow, WorkerRow.id == TrialRow.worker_id)
        .where(TrialRow.study_id == study_id, WorkerRow.host == host_name())
        .where(TrialRow.status.not_in((TrialStatus.RUNNING, TrialStatus.INTERRUPTED)))
    )
    with database.reading() as session:
        return session.scalars(query).one()


@retried
def living_workers(database: Database, study_id: int) -> frozenset[str]:
    """Ids of the workers of a study that are alive: on this host by process, on others by heartbeat.

    By heartbeat, too, where this system does not tell when a process started: its number may be another's by now.
    SQLite is one machine's: none of its workers has outlived a start of this machine, whatever its clock said then.
    A heartbeat is silent since its last beat, but not for longer than the database server has been up, or that of a
    worker of this machine than this machine has been awake: nobody could beat before.
    """
    with database.reading() as session:
        rows = session.scalars(select(WorkerRow).where(WorkerRow.study_id == study_id)).all()
        silent = _clock(session) - timedelta(seconds=GRACE_SECONDS)
        alive_since = datetime.min if _server_start(session) > silent else silent
    here, one_machine = host_name(), database.sqlite_file is not None
    slept = _AWAKENING.seen() > utc_now() - timedelta(seconds=GRACE_SECONDS)
    return frozenset(row.id for row in rows if _is_alive(row, here, alive_since, one_machine=one_machine, slept=slept))


def _is_alive(row: WorkerRow, here: str, alive_since: datetime, *, one_machine: bool, slept: bool) -> bool:
    if row.host == here:
        began = process_start(row.pid)
        if began is None:
            return False
        if began and row.process_start:
            return began == row.process_start
    (name, start), (own_name, own_start) = _name_and_start(row.host), _name_and_start(here)
    told = _UNKNOWN not in (start, own_start)
    if one_machine and told and name == own_name and start != own_start:  # this machine's, but of another start of it
        return False
    if slept and (one_machine or row.host == here or (told and start == own_start)):
        return True
    return row.last_seen > alive_since


def _name_and_start(host: str) -> tuple[str, str]:
    """Of a `host_name` the machine's, and which start of it that is, which containers share."""
    name, _, start = host.rpartition("/")[0].rpartition("/")
    return name, start


def _clock(session: Session) -> datetime:
    """The database server's time, in UTC without a zone. SQLite has no server, and one host: this one."""
    if session.get_bind().dialect.name != "postgresql":
        return utc_now()
    return session.scalars(select(func.timezone("UTC", func.clock_timestamp(), type_=DateTime))).one()


class _Awakening:
    """When this machine woke up, or its clock was set: the time of day went on, and what counts seconds did not."""

    def __init__(self) -> None:
        self._ahead: float | None = None  # of the time of day, at the last look (seconds)
        self._since = datetime.min

    def seen(self) -> datetime:
        """The last time, in UTC without a zone, as far as it is seen by looking again and again; else long ago."""
        now = utc_now()
        ahead = (now - datetime.min).total_seconds() - time.monotonic()
        if self._ahead is not None and abs(ahead - self._ahead) > HEARTBEAT_SECONDS:
            self._since = now
        self._ahead = ahead
        return self._since


_AWAKENING = _Awakening()


def _server_start(session: Session) -> datetime:
    """When the database server was started, in UTC without a zone; for SQLite long ago."""
    if session.get_bind().dialect.name != "postgresql":
        return datetime.min
    return session.scalars(select(func.timezone("UTC", func.pg_postmaster_start_time(), type_=DateTime))).one()
