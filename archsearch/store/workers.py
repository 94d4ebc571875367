"""Which workers are alive: a heart that beats in the database, and the process table of this host."""

from __future__ import annotations

import os
import socket
import uuid
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, select, update

from archsearch.store.database import Database
from archsearch.store.schema import WorkerRow, utc_now

HEARTBEAT_SECONDS = 5
GRACE_SECONDS = 120  # a worker of another host is dead when its heart has been silent for so long


def host_name() -> str:
    """This host since its last start: a process number means nothing after a reboot."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        boot = "unknown"
    return f"{socket.gethostname()}/{boot}"


def process_start(pid: int) -> str | None:
    """When a process of this host started, in the kernel's own clock; None if it does not run.

    The process number alone is not enough: the kernel gives it to another process later.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else _start_without_proc(pid)
    except OSError:
        return None
    state, *rest = stat.rsplit(")", 1)[1].split()
    return None if state == "Z" else rest[18]  # field 22 of proc(5): starttime


def _start_without_proc(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return "running"
    return "running"


def enter_worker(database: Database, study_id: int, device: str) -> str:
    """Enter this process as a worker of a study; returns the worker's id."""
    worker = WorkerRow(
        id=uuid.uuid4().hex,
        study_id=study_id,
        host=host_name(),
        pid=os.getpid(),
        process_start=process_start(os.getpid()) or "",
        device=device,
    )
    worker_id = worker.id
    with database.writing() as session:
        session.add(worker)
    return worker_id


def beat(database: Database, worker_id: str) -> None:
    """Say that a worker is alive now."""
    with database.writing() as session:
        session.execute(update(WorkerRow).where(WorkerRow.id == worker_id).values(last_seen=utc_now()))


def leave_worker(database: Database, worker_id: str) -> None:
    """Take a worker off the table: it has ended by itself."""
    with database.writing() as session:
        session.execute(delete(WorkerRow).where(WorkerRow.id == worker_id))


def living_workers(database: Database, study_id: int) -> frozenset[str]:
    """Ids of the workers of a study that are alive, on this host (by process) and on others (by heartbeat)."""
    with database.reading() as session:
        rows = session.scalars(select(WorkerRow).where(WorkerRow.study_id == study_id)).all()
    return frozenset(row.id for row in rows if _is_alive(row))


def _is_alive(row: WorkerRow) -> bool:
    if row.host == host_name():
        return process_start(row.pid) == row.process_start
    return row.last_seen > utc_now() - timedelta(seconds=GRACE_SECONDS)
