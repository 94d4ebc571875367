"""Heartbeats are timed by the database server's clock, and a server that was away does not make its workers dead."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from archsearch.store import workers
from archsearch.store.database import Database
from archsearch.store.schema import WorkerRow, utc_now
from archsearch.store.studies import StudyInfo
from archsearch.store.workers import GRACE_SECONDS, beat, enter_worker, living_workers

ELSEWHERE = {"host": "another-machine/12345678", "pid": 1, "process_start": "1"}


def enter_row(database: Database, study: StudyInfo, **facts: Any) -> str:
    worker_id = os.urandom(16).hex()
    with database.writing() as session:
        session.add(WorkerRow(id=worker_id, study_id=study.id, device="cpu", **(ELSEWHERE | facts)))
    return worker_id


def last_seen(database: Database, worker_id: str) -> datetime:
    with database.reading() as session:
        return session.scalars(select(WorkerRow.last_seen).where(WorkerRow.id == worker_id)).one()


def wrong_clock(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    monkeypatch.setattr(workers, "utc_now", lambda: utc_now() + timedelta(hours=hours))
    monkeypatch.setattr(workers, "_AWAKENING", workers._Awakening())  # it was wrong from the start, and is not set


@pytest.fixture(params=["postgresql"])
def storage_url(postgres: Any) -> str:
    return str(postgres.new_database())


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_host_whose_clock_is_wrong_beats_at_the_servers_time(
    database: Database, study: StudyInfo, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    wrong_clock(monkeypatch, hours)
    worker_id = enter_worker(database, study.id, "cpu")
    assert abs(last_seen(database, worker_id) - utc_now()) < timedelta(minutes=10)  # this host's clock is the server's
    other = enter_row(database, study, last_seen=utc_now() - timedelta(hours=1))
    beat(database, other)
    assert abs(last_seen(database, other) - utc_now()) < timedelta(minutes=10)


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_host_whose_clock_is_wrong_judges_others_by_the_servers_time(
    database: Database, study: StudyInfo, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    monkeypatch.setattr(workers, "_server_start", lambda _session: datetime.min)
    beating = enter_row(database, study, last_seen=utc_now())
    enter_row(database, study, last_seen=utc_now() - timedelta(seconds=GRACE_SECONDS + 60))
    wrong_clock(monkeypatch, hours)
    assert living_workers(database, study.id) == {beating}


def test_nobody_is_silent_for_longer_than_the_server_is_up(
    database: Database, study: StudyInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = enter_row(database, study, last_seen=utc_now() - timedelta(hours=1))
    for up_seconds, alive in ((GRACE_SECONDS - 60, {silent}), (GRACE_SECONDS + 60, set())):
        started = utc_now() - timedelta(seconds=up_seconds)
        monkeypatch.setattr(workers, "_server_start", lambda _session, started=started: started)
        assert living_workers(database, study.id) == alive


def test_the_servers_start_is_its_own(database: Database, study: StudyInfo) -> None:
    with database.reading() as session:
        assert timedelta(0) < workers._clock(session) - workers._server_start(session) < timedelta(hours=12)


def test_an_entry_whose_answer_was_lost_is_entered_once(database: Database, study: StudyInfo) -> None:
    for _ in range(2):
        workers._enter(database, "f" * 32, study.id, "cpu")
    assert living_workers(database, study.id) == {"f" * 32}
