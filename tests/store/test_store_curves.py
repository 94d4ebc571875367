"""The learning curves that a stopping rule compares with: complete, stopped and running ones."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from archsearch.records import EarlyStop, Score, TrialStatus
from archsearch.store import curves
from archsearch.store.claims import Claim, claim_trial, interrupt_trial
from archsearch.store.curves import load_curves, running_trials
from archsearch.store.database import Database
from archsearch.store.partial_trainings import claim_seed, note_epoch
from archsearch.store.schema import TrainingRow, TrialRow
from archsearch.store.studies import StudyInfo
from archsearch.store.trials import (
    copy_result,
    finish_trial,
    load_record,
    note_architecture,
    note_measured,
    note_suggestion,
)
from archsearch.store.workers import enter_worker

SPOKEN = EarlyStop(
    policy="predicted",
    epoch=1,
    of_epochs=2,
    error_percent=69.5,
    expected_error_percent=50.25,
    optimistic_error_percent=45.125,
    stopped=True,
)


def arch(number: int) -> str:
    return f"{number:012x}"


def start(database: Database, study: StudyInfo, number: int, arch_id: str | None = None, **more: Any) -> Claim:
    """Trial `number`, running, of a worker of its own."""
    arguments: dict[str, Any] = {"variants": [], "worker_id": uuid.uuid4().hex} | more
    found = claim_trial(database, study_id=study.id, total=99, **arguments)
    assert isinstance(found, Claim)
    note_suggestion(database, found.row_id, number=number, suggested={"kernel": number})
    note_architecture(database, found.row_id, family="f", arch_id=arch_id or arch(number), choices={})
    return found


def train(database: Database, study: StudyInfo, facts: Any, number: int, status: TrialStatus) -> Claim:
    claim = start(database, study, number)
    score = facts.score if status is TrialStatus.COMPLETE else stopped_score(facts)
    finish_trial(database, claim.row_id, status=status, cost=facts.cost, latency=facts.latency, score=score)
    return claim


def stopped_score(facts: Any) -> Score:
    score: Score = replace(facts.score, epochs=1, curve=facts.score.curve[:1], top1_percent=30.5)
    return score


def note(
    database: Database, study: StudyInfo, claim: Claim, facts: Any, arch_id: str, epochs: int, seed: int = 3
) -> None:
    curve = facts.score.curve[:epochs]
    assert note_epoch(
        database, study_id=study.id, row_id=claim.row_id, arch_id=arch_id, seed=seed, curve=curve, state=b"x"
    )


def shown(database: Database, study: StudyInfo) -> list[tuple[int, str, tuple[float, ...]]]:
    return [(curve.trial, str(curve.status), curve.errors) for curve in load_curves(database, study.id)]


def test_curves_are_complete_stopped_or_running_with_the_values_known_before(
    database: Database, study: StudyInfo, facts: Any, enter: Any
) -> None:
    running = start(database, study, 2)
    train(database, study, facts, 1, TrialStatus.STOPPED)
    train(database, study, facts, 0, TrialStatus.COMPLETE)
    finish_trial(database, start(database, study, 3).row_id, status=TrialStatus.FAILED)
    start(database, study, 4)  # nothing trained yet
    train(database, enter(database, "other"), facts, 0, TrialStatus.COMPLETE)
    assert note_measured(database, running.row_id, facts.cost, facts.latency)
    note(database, study, running, facts, arch(2), 1)
    found = load_curves(database, study.id)
    # facts.score: top-1 of 30.5% and 61.73%; facts.latency: ratio 0.30000000000000004 of 4.5 ms
    assert [(curve.trial, curve.status, curve.errors) for curve in found] == [
        (0, TrialStatus.COMPLETE, (69.5, 100.0 - 61.73)),
        (1, TrialStatus.STOPPED, (69.5,)),
        (2, TrialStatus.RUNNING, (69.5,)),
    ]
    assert all((curve.cost, curve.latency_ms) == (facts.cost, (0.1 + 0.2) * 4.5) for curve in found)
    assert [curve.arch_id for curve in found] == [arch(0), arch(1), arch(2)]


def test_one_training_that_two_trials_share_comes_once(database: Database, study: StudyInfo, facts: Any) -> None:
    train(database, study, facts, 0, TrialStatus.COMPLETE)
    named = start(database, study, 1, arch(0))
    copy_result(database, named.row_id, study_id=study.id, number=0, status=TrialStatus.COMPLETE, reason="")
    earlier = load_curves(database, study.id)
    assert [curve.trial for curve in earlier] == [0]
    assert load_curves(database, study.id, earlier) == earlier


def test_a_repeat_with_another_seed_is_no_curve_of_the_study(database: Database, study: StudyInfo, facts: Any) -> None:
    train(database, study, facts, 0, TrialStatus.COMPLETE)
    again = start(database, study, 1, arch(0))
    assert claim_seed(database, again.row_id, arch_id=arch(0), base_seed=3, most=3) == 4
    note(database, study, again, facts, arch(0), 1, seed=4)
    assert [curve.trial for curve in load_curves(database, study.id)] == [0]
    finish_trial(database, again.row_id, status=TrialStatus.REPLAY, score=replace(facts.score, seed=4))
    assert [curve.trial for curve in load_curves(database, study.id)] == [0]


def test_a_training_that_is_taken_over_goes_on_as_the_new_trial(
    database: Database, study: StudyInfo, facts: Any
) -> None:
    first = start(database, study, 0)
    note(database, study, first, facts, arch(0), 1)
    interrupt_trial(database, first.row_id, "the run was stopped")
    assert shown(database, study) == []
    start(database, study, 1, arch(0))
    assert shown(database, study) == [(1, "running", (69.5,))]


def test_a_promoted_trial_goes_on_as_another_with_its_curve(database: Database, study: StudyInfo, facts: Any) -> None:
    first = start(database, study, 0)
    note(database, study, first, facts, arch(0), 1)
    finish_trial(database, first.row_id, status=TrialStatus.STOPPED, score=stopped_score(facts))
    earlier = load_curves(database, study.id)
    assert shown(database, study) == [(0, "stopped", (69.5,))]
    start(database, study, 1, arch(0), promote=lambda: 0)
    assert shown(database, study) == [(1, "running", (69.5,))]
    assert [curve.trial for curve in load_curves(database, study.id, earlier)] == [1]


@pytest.mark.parametrize("most_by_id", [500, 0])  # 0: as if there were more than are read one by one
def test_of_ended_trials_nothing_is_read_again(
    database: Database, study: StudyInfo, facts: Any, monkeypatch: pytest.MonkeyPatch, most_by_id: int
) -> None:
    monkeypatch.setattr(curves, "_MOST_BY_ID", most_by_id)
    for number in range(3):
        train(database, study, facts, number, TrialStatus.COMPLETE)
    running = start(database, study, 3)
    note(database, study, running, facts, arch(3), 1)
    earlier = load_curves(database, study.id)
    with database.writing() as session:
        for row in session.scalars(select(TrainingRow)):
            row.curve = []
    note(database, study, running, facts, arch(3), 2)
    train(database, study, facts, 4, TrialStatus.STOPPED)
    found = load_curves(database, study.id, earlier)
    assert found[:3] == earlier[:3]
    assert [(curve.trial, len(curve.errors)) for curve in found] == [(0, 2), (1, 2), (2, 2), (3, 2), (4, 1)]


def test_what_a_stopping_rule_said_comes_out_with_the_record(database: Database, study: StudyInfo, facts: Any) -> None:
    claim = start(database, study, 0)
    score = stopped_score(facts)
    assert finish_trial(
        database, claim.row_id, status=TrialStatus.STOPPED, reason="why", score=score, early_stop=SPOKEN
    )
    record = load_record(database, study.id, 0)
    assert record is not None
    assert (record.status, record.reason, record.early_stop, record.score) == (
        TrialStatus.STOPPED,
        "why",
        SPOKEN,
        score,
    )
    spared = replace(SPOKEN, stopped=False, exempt="among the first", expected_error_percent=None)
    finish_trial(
        database, start(database, study, 1).row_id, status=TrialStatus.COMPLETE, score=score, early_stop=spared
    )
    found = load_record(database, study.id, 1)
    assert found is not None and found.early_stop == spared


def test_what_was_measured_before_training_stays_with_the_trial(
    database: Database, study: StudyInfo, facts: Any
) -> None:
    kept, again, late = (start(database, study, number) for number in range(3))
    for claim in (kept, again):
        assert note_measured(database, claim.row_id, cost=facts.cost, latency=facts.latency)
    record = load_record(database, study.id, 0)
    assert record is not None
    assert (record.status, record.cost, record.latency) == (TrialStatus.RUNNING, facts.cost, facts.latency)
    finish_trial(database, kept.row_id, status=TrialStatus.FAILED, reason="diverged")
    measured_again = replace(facts.latency, p10_ms=9.0, attempts=2)
    finish_trial(database, again.row_id, status=TrialStatus.COMPLETE, latency=measured_again)
    found = [load_record(database, study.id, number) for number in range(2)]
    assert [record.latency for record in found if record is not None] == [facts.latency, measured_again]
    interrupt_trial(database, late.row_id, "the run was stopped")
    assert not note_measured(database, late.row_id, facts.cost, facts.latency)
    with database.reading() as session:
        assert session.get_one(TrialRow, late.row_id).latency_id is None


def test_what_runs_is_told_with_network_epochs_latency_and_device(
    database: Database, study: StudyInfo, facts: Any
) -> None:
    train(database, study, facts, 0, TrialStatus.COMPLETE)  # has ended
    worker = enter_worker(database, study.id, "cuda:1")
    first = start(database, study, 1, worker_id=worker)
    assert [(each.trial, each.name, each.epoch, each.latency_ms) for each in running_trials(database, study.id)] == [
        (1, arch(1), 0, None)
    ]
    note_measured(database, first.row_id, cost=facts.cost, latency=facts.latency)
    note(database, study, first, facts, arch(1), 2)
    second = claim_trial(database, study_id=study.id, total=99, worker_id="gone", variants=[("x0_5", None)])
    assert isinstance(second, Claim)  # nothing is suggested yet
    found = running_trials(database, study.id)
    assert [(each.trial, each.name, each.epoch, each.device) for each in found] == [
        (1, arch(1), 2, "cuda:1"),
        (None, "x0_5", 0, ""),
    ]
    assert found[0].latency_ms == facts.latency.corrected_ms  # 0.3 x 4.5 ms
    assert 0.0 <= found[0].seconds < 3600.0
