"""A run that ends before its total: no new trial starts, and the one in hand is finished."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from archsearch.errors import ConfigError
from archsearch.search import run
from archsearch.search.config import StudyConfig
from archsearch.search.evaluate import Evaluator
from archsearch.search.plan import plan_run
from archsearch.search.run import WorkersFailedError, run_study
from archsearch.search.runtime import RunCallbacks, RunProgress, Runtime
from archsearch.search.worker import Worker
from archsearch.store.claims import trial_counts
from archsearch.store.database import Database
from archsearch.store.retry import retry
from archsearch.store.schema import TrialRow, WorkerRow
from archsearch.store.studies import find_study


def counts(database: Database) -> dict[str, int]:
    return dict(trial_counts(database, find_study(database, "tiny").id))


def test_a_worker_that_is_to_finish_ends_after_the_trial_in_hand(
    database: Database,
    make_config: Callable[..., StudyConfig],
    make_worker: Callable[..., Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = make_worker(make_config(), total=5)
    evaluate = Evaluator.evaluate

    def asked_meanwhile(self: Evaluator, *arguments: Any, **more: Any) -> Any:
        worker.finish()
        return evaluate(self, *arguments, **more)

    monkeypatch.setattr(Evaluator, "evaluate", asked_meanwhile)
    worker.run()
    assert counts(database) == {"complete": 1}
    worker.run()  # it stays asked
    assert counts(database) == {"complete": 1}
    make_worker(make_config(), total=2).run()  # another one goes on
    assert counts(database)["complete"] == 2


def test_a_plateau_of_no_trials_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 trial"):
        Runtime(plateau_trials=0)
    assert not Runtime().spent and Runtime(time_budget_seconds=0.0).spent and not Runtime(time_budget_seconds=1e9).spent


@pytest.mark.parametrize("budget", [math.nan, -1.0, "1h"])
def test_a_time_budget_that_is_no_number_of_seconds_is_refused(budget: Any) -> None:
    with pytest.raises(ConfigError, match=r"^time_budget_seconds .*: must be a number of seconds, 0 or more$"):
        Runtime(time_budget_seconds=budget)


@pytest.mark.parametrize("number", [0, -3])
def test_fewer_workers_or_trials_than_one_are_refused(make_config: Callable[..., StudyConfig], number: int) -> None:
    with pytest.raises(ConfigError, match=f"workers {number}: at least 1"):
        Runtime(workers=number)
    with pytest.raises(ConfigError, match=f"trials {number}: at least 1"):
        plan_run(make_config(), Runtime(device="cpu", workers=1), trials=number)


class Endless:
    """A worker process that works until it is ended."""

    def poll(self) -> None:
        """It runs."""

    def terminate(self) -> None:
        """It ends."""

    def wait(self, _seconds: float) -> int:
        return 0


def test_ctrl_c_waits_for_no_database_that_is_away(
    database: Database, make_config: Callable[..., StudyConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waited(_seconds: float) -> None:
        raise AssertionError("the database is waited for")

    def away() -> Any:
        raise OperationalError("SELECT 1", {}, sqlite3.OperationalError("database is locked"))

    class Pressed(RunCallbacks):
        def progressed(self, progress: RunProgress) -> None:
            database.wait = waited
            monkeypatch.setattr(run, "OptunaStudy", lambda *_: retry(away, wait=database.wait))
            raise KeyboardInterrupt

    monkeypatch.setattr(run, "start_worker", lambda *_: Endless())
    runtime = Runtime(device="cpu", workers=1, callbacks=Pressed())
    with pytest.raises(KeyboardInterrupt):
        run_study(plan_run(make_config(), runtime), database, runtime, folder=tmp_path)


class Dead:
    """A worker process that crashed at once."""

    returncode = 1

    def poll(self) -> int:
        return self.returncode


def test_a_machine_whose_workers_only_crash_ends_though_those_of_others_get_on(
    database: Database, make_config: Callable[..., StudyConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []

    def crash(_job: object, log: Path, _idle: object) -> Dead:
        assert len(started) < 20, "it is started again and again"
        log.write_text("RuntimeError: CUDA error: unspecified launch failure")
        study_id, worker_id = find_study(database, "tiny").id, f"{len(started):032x}"
        with database.writing() as session:  # another machine's worker ends a trial meanwhile
            session.add(
                WorkerRow(
                    id=worker_id, study_id=study_id, host="another-machine/1/2", pid=1, process_start="1", device="cpu"
                )
            )
            session.add(
                TrialRow(
                    study_id=study_id, number=len(started), status="failed", reason="x", worker_id=worker_id, told=True
                )
            )
        started.append(log)
        return Dead()

    monkeypatch.setattr(run, "start_worker", crash)
    monkeypatch.setattr(run, "_POLL_SECONDS", 0.0)
    runtime = Runtime(device="cpu", workers=1)
    with pytest.raises(WorkersFailedError, match="worker 0 ended with exit code 1: RuntimeError: CUDA error"):
        run_study(plan_run(make_config(), runtime), database, runtime, folder=tmp_path)
    assert len(started) == 6  # begun, and five times again
