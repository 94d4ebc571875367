"""A database that goes away for a while is waited for; any other error is raised at once."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from archsearch.errors import NothingStoredError, StoreError
from archsearch.records import TrialStatus
from archsearch.store import claims, partial_trainings, studies, trials, workers
from archsearch.store.claims import Claim, claim_trial, trial_counts
from archsearch.store.database import Database
from archsearch.store.retry import LONGEST_PAUSE_SECONDS, RETRY_SECONDS, connection_lost, retry
from archsearch.store.studies import enter_study, find_study
from archsearch.store.trials import finish_trial, load_record, note_suggestion

REFUSED = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: Connection refused'
NOT_CONNECTED = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: FATAL:  '


class Clock:
    """Time that only passes while it is waited for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def operational(message: str, sqlstate: str | None = None) -> OperationalError:
    cause = Exception(message)
    cause.sqlstate = sqlstate  # type: ignore[attr-defined]
    return OperationalError("SELECT 1", {}, cause)


def failing(times: int, error: BaseException) -> Callable[[], str]:
    left = [error] * times

    def call() -> str:
        if left:
            raise left.pop()
        return "answer"

    return call


def test_it_is_tried_again_with_growing_pauses_and_warned_of_twice(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level(logging.INFO):
        answer = retry(failing(9, operational(REFUSED)), wait=clock.wait, clock=clock)
    assert answer == "answer"
    assert clock.pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "waiting for it, up to 300 seconds" in caplog.messages[0] and "Connection refused" in caplog.messages[0]
    assert caplog.messages[1] == "the database answers again, after 45.8 seconds"  # the sum of the pauses: 45.75


def test_what_never_comes_back_is_given_up_in_time_with_its_last_error(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with pytest.raises(OperationalError, match="Connection refused"):
        retry(failing(10**6, operational(REFUSED)), wait=clock.wait, clock=clock)
    assert sum(clock.pauses) == RETRY_SECONDS
    assert max(clock.pauses) == LONGEST_PAUSE_SECONDS
    assert len(caplog.messages) == 1


def test_who_is_asked_to_end_need_not_wait() -> None:
    class EndError(Exception):
        pass

    def wait(_seconds: float) -> None:
        raise EndError

    with pytest.raises(EndError):
        retry(failing(1, operational(REFUSED)), wait=wait)


@pytest.mark.parametrize(
    "error",
    [
        operational(REFUSED),
        operational("server closed the connection unexpectedly"),
        operational(
            'connection is bad: connection to server on socket "/run/postgresql/.s.PGSQL.5432" failed: '
            "No such file or directory\n"
            "\tIs the server running locally and accepting connections on that socket?"
        ),
        operational("FATAL:  the database system is starting up"),
        operational("FATAL:  the database system is shutting down"),
        operational("FATAL:  the database system is not yet accepting connections"),
        operational(NOT_CONNECTED + "das Datenbanksystem fährt herunter"),
        operational("terminating connection due to administrator command", "57P01"),
        operational("in another language", "08006"),
        operational("connection failed: FATAL:  sorry, too many clients already"),
        operational("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute"),
        operational('FATAL:  too many connections for role "search"'),
        operational("in another language", "53300"),
        OperationalError("BEGIN IMMEDIATE", {}, sqlite3.OperationalError("database is locked")),
        DBAPIError("SELECT 1", {}, Exception("anything"), connection_invalidated=True),
    ],
)
def test_lost_connections_are_known(error: DBAPIError) -> None:
    assert connection_lost(error)
    outer = StoreError("the database cannot be written")
    outer.__cause__ = error
    assert connection_lost(outer)


@pytest.mark.parametrize(
    "error",
    [
        operational('password authentication failed for user "me"'),
        operational('FATAL:  database "absent" does not exist'),
        operational(NOT_CONNECTED + 'database "absent" does not exist'),
        operational(NOT_CONNECTED + 'password authentication failed for user "me"'),
        operational(NOT_CONNECTED + 'no pg_hba.conf entry for host "10.0.0.1", user "me", database "x"'),
        operational("could not write to file: No space left on device", "53100"),
        operational('could not open file "base/1/2619": No such file or directory'),
        operational("deadlock detected", "40P01"),
        OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")),
        OperationalError("INSERT", {}, sqlite3.OperationalError("no such table: connection refused")),
        IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed")),
        IntegrityError("INSERT", {}, Exception("server closed the connection"), connection_invalidated=True),
        StoreError("connection refused"),
        ConnectionRefusedError("connection refused"),
        KeyError("database is locked"),
    ],
)
def test_other_errors_are_raised_at_once(error: Exception) -> None:
    assert not connection_lost(error)
    clock = Clock()
    with pytest.raises(type(error)):
        retry(failing(1, error), wait=clock.wait, clock=clock)
    assert clock.pauses == []


def test_a_sqlite_file_that_another_process_holds_is_waited_for(tmp_path: Path, enter: Any) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    enter(database, "one")
    holder = sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    with database.engine.connect() as connection:  # the connection that is used next
        connection.execute(text("PRAGMA busy_timeout=1"))
    waited: list[float] = []

    def release(seconds: float) -> None:
        waited.append(seconds)
        holder.execute("COMMIT")

    database.wait = release
    enter(database, "two")
    assert len(waited) == 1
    assert find_study(database, "two").name == "two"
    holder.close()
    database.close()


def test_what_workers_call_is_tried_again() -> None:
    """Every public function of the store that takes a database, but for the heartbeat, whose next one is soon."""
    for module in (claims, partial_trainings, studies, trials, workers):
        for name, function in vars(module).items():
            if name.startswith("_") or getattr(function, "__module__", None) != module.__name__:
                continue
            if "database" in getattr(function, "__annotations__", {}) and name not in ("beat", "enter_worker"):
                assert hasattr(function, "__wrapped__"), f"{module.__name__}.{name}"


def test_a_server_that_is_restarted_in_mid_use_is_waited_for(new_postgres: Any, enter: Any, facts: Any) -> None:
    """Claims, notes and ends while the server goes away twice: each waits, and each is done once."""
    server = new_postgres()
    database = Database(server.new_database())
    study = enter(database, "one")
    claim = claim_trial(database, study_id=study.id, total=1, worker_id="w", variants=[])
    assert isinstance(claim, Claim)
    starts: list[threading.Thread] = []

    def start_soon(_seconds: float) -> None:
        """The first pause begins the start of the server, so that it is waited for while it starts, too."""
        if not starts:
            starts.append(threading.Thread(target=server.start))
            starts[0].start()
        threading.Event().wait(0.05)

    database.wait = start_soon
    steps: list[tuple[str, Callable[[], object]]] = [
        ("immediate", lambda: note_suggestion(database, claim.row_id, number=0, suggested={"kernel": 3})),
        ("fast", lambda: finish_trial(database, claim.row_id, status=TrialStatus.COMPLETE, cost=facts.cost)),
    ]
    for mode, step in steps:
        starts.clear()
        server.stop(mode)
        step()
        assert len(starts) == 1
        starts[0].join()
    record = load_record(database, study.id, 0)
    assert record is not None and (record.status, record.cost) == (TrialStatus.COMPLETE, facts.cost)
    assert trial_counts(database, study.id) == {"complete": 1}
    database.close()


def test_a_server_that_ends_amid_a_transaction_leaves_nothing_half_done(new_postgres: Any) -> None:
    server = new_postgres()
    database = Database(server.new_database())
    calls: list[int] = []

    def enter_and_lose_the_server() -> str:
        calls.append(1)
        with database.writing() as session:
            session.execute(text("CREATE TABLE IF NOT EXISTS made (x INTEGER)"))
            session.execute(text("INSERT INTO made VALUES (1)"))
            if len(calls) == 1:
                server.stop()
        return "done"

    assert retry(enter_and_lose_the_server, wait=lambda _seconds: server.start()) == "done"
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM made")) == 1
    database.close()


def test_a_repeated_call_after_a_lost_answer_changes_nothing(storage_url: str, enter: Any, facts: Any) -> None:
    """As if the server had stopped between the commit and its answer."""
    database = Database(storage_url)
    study = enter(database, "one")
    lost: list[BaseException] = []

    def lose(function: Callable[[], Any]) -> Any:
        def call() -> Any:
            answer = function()
            if not lost:
                lost.append(operational("server closed the connection unexpectedly"))
                raise lost[0]
            return answer

        lost.clear()
        return retry(call, wait=lambda _seconds: None)

    arguments: dict[str, Any] = {"study_id": study.id, "total": 9, "variants": [("x0_5", None)]}
    claim = lose(lambda: claim_trial(database, worker_id="w", **arguments))
    assert (claim.variant, claim.sequence) == ("x0_5", 1)
    lose(lambda: note_suggestion(database, claim.row_id, number=0, suggested=None))
    noted = {"family": "f", "arch_id": "a" * 12, "choices": {}}
    assert lose(lambda: trials.note_architecture(database, claim.row_id, **noted)) is None
    assert lose(lambda: trials.note_measured(database, claim.row_id, facts.cost, facts.latency))
    point = {"study_id": study.id, "row_id": claim.row_id, "arch_id": "a" * 12, "seed": 3, "curve": facts.score.curve}
    assert lose(lambda: partial_trainings.note_epoch(database, **point, decision={"stop": False}, state=b"state"))
    end = {"status": TrialStatus.COMPLETE, "latency": facts.latency, "score": facts.score, "seconds": 12.5}
    assert lose(lambda: finish_trial(database, claim.row_id, **end))
    assert not finish_trial(database, claim.row_id, **{**end, "seconds": 12.75})  # another worker's
    record = load_record(database, study.id, 0)
    assert record is not None and (record.latency, record.score, record.seconds) == (facts.latency, facts.score, 12.5)
    assert len(trials.load_trainings(database, study.id, split="validation")) == 1
    given_back = claim_trial(database, worker_id="w", **arguments)
    assert isinstance(given_back, Claim)
    assert lose(lambda: claims.interrupt_trial(database, given_back.row_id, "the run was stopped"))
    again = lose(lambda: claim_trial(database, worker_id="w", **arguments))
    assert lose(
        lambda: trials.copy_result(
            database, again.row_id, study_id=study.id, number=0, status=TrialStatus.REPLAY, reason="as trial 0"
        )
    )
    assert trial_counts(database, study.id) == {"complete": 1, "interrupted": 1, "replay": 1}
    entered = {"config": {}, "space": {}, "space_fingerprint": "0" * 12, "facts": {}}
    assert lose(lambda: enter_study(database, name="two", **entered)).name == "two"
    worker_id = lose(lambda: workers.enter_worker(database, study.id, "cpu"))
    assert worker_id in workers.living_workers(database, study.id)
    database.close()


def test_opening_a_server_that_is_away_can_be_waited_for(new_postgres: Any) -> None:
    server = new_postgres()
    url = server.new_database()
    server.stop()
    with pytest.raises(StoreError, match="cannot be opened"):
        Database(url)
    database = retry(lambda: Database(url), wait=lambda _seconds: server.start())
    database.close()
    with pytest.raises(NothingStoredError):
        retry(lambda: Database(server.new_database(), create=False))
