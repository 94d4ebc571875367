"""Records through the database and back, exactly; an architecture goes ahead once."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from archsearch.errors import StoreError
from archsearch.records import Record, TrialStatus
from archsearch.store import trials
from archsearch.store.claims import Claim, claim_trial, interrupt_trial, recover_trials
from archsearch.store.database import Database
from archsearch.store.schema import LatencyRow, TrialRow
from archsearch.store.studies import StudyInfo
from archsearch.store.trials import (
    add_training,
    check_database_writable,
    copy_result,
    finish_trial,
    load_record,
    load_records,
    load_trainings,
    note_architecture,
    note_suggestion,
    trial_numbers,
)

CHOICES = {"stem.kernel": 3, "split_ratio": 0.1 + 0.2, "residual": True, "attention": "none", "head.hidden": None}


def start(database: Database, study: StudyInfo, number: int, arch_id: str | None = None) -> int:
    """Claim a slot as trial `number`, with an architecture if one is given; returns the row's id."""
    worker_id = uuid.uuid4().hex  # of a worker that was never entered: it counts as dead
    found = claim_trial(database, study_id=study.id, total=99, worker_id=worker_id, variants=[])
    assert isinstance(found, Claim)
    note_suggestion(database, found.row_id, number=number, suggested=CHOICES)
    if arch_id is not None:
        note_architecture(database, found.row_id, family="shufflenet_v2", arch_id=arch_id, choices=CHOICES)
    return found.row_id


def test_a_record_comes_back_exactly_as_it_was_stored(database: Database, study: StudyInfo, facts: Any) -> None:
    row_id = start(database, study, 0, "a" * 12)
    finish_trial(
        database,
        row_id,
        status=TrialStatus.COMPLETE,
        cost=facts.cost,
        latency=facts.latency,
        score=facts.score,
        seconds=21.5,
    )
    expected = Record(
        study="one",
        trial=0,
        arch_id="a" * 12,
        family="shufflenet_v2",
        choices=CHOICES,
        suggested=CHOICES,
        status=TrialStatus.COMPLETE,
        cost=facts.cost,
        latency=facts.latency,
        score=facts.score,
        seconds=21.5,
    )
    assert load_record(database, study.id, 0) == expected
    assert load_records(database, study.id, with_curves=True) == (expected,)
    assert load_records(database, study.id) == (replace(expected, score=replace(facts.score, curve=())),)
    # 0.30000000000000004 x 4.5 ms
    found = load_record(database, study.id, 0)
    assert found is not None and found.latency is not None
    assert found.latency.corrected_ms == (0.1 + 0.2) * 4.5
    assert [type(value) for value in found.choices.values()] == [int, float, bool, str, type(None)]


def test_a_rejected_trial_keeps_what_was_found_before_it_ended(
    database: Database, study: StudyInfo, facts: Any
) -> None:
    finish_trial(
        database, start(database, study, 3, "b" * 12), status=TrialStatus.REJECTED, reason="too large", cost=facts.cost
    )
    record = load_record(database, study.id, 3)
    assert record is not None
    assert (record.status, record.reason) == (TrialStatus.REJECTED, "too large")
    assert (record.cost, record.latency, record.score) == (facts.cost, None, None)


def test_trials_are_read_in_the_order_of_their_numbers_and_only_numbered_ones(
    database: Database, study: StudyInfo
) -> None:
    for number in (2, 0, 1):
        start(database, study, number)
    claim_trial(database, study_id=study.id, total=99, worker_id="w", variants=[])
    assert [record.trial for record in load_records(database, study.id)] == [0, 1, 2]
    assert trial_numbers(database, study.id) == {0, 1, 2}
    assert load_record(database, study.id, 7) is None


@pytest.mark.parametrize("most_by_number", [500, 0])  # 0: as if more had changed than are read one by one
def test_of_ended_trials_only_those_are_read_again_whose_status_has_changed(
    database: Database, study: StudyInfo, facts: Any, monkeypatch: pytest.MonkeyPatch, most_by_number: int
) -> None:
    monkeypatch.setattr(trials, "_MOST_BY_NUMBER", most_by_number)
    rows = [start(database, study, number, f"{number:012x}") for number in range(4)]
    for row_id, status in zip(rows, (TrialStatus.COMPLETE, TrialStatus.STOPPED), strict=False):
        finish_trial(database, row_id, status=status, cost=facts.cost, reason="first")
    earlier = load_records(database, study.id)
    assert load_records(database, study.id, earlier=earlier) == earlier
    with database.writing() as session:
        for row_id in rows[:2]:
            session.get_one(TrialRow, row_id).reason = "changed"
        session.get_one(TrialRow, rows[1]).status = TrialStatus.INTERRUPTED  # as a promotion does
    finish_trial(database, rows[2], status=TrialStatus.FAILED, reason="diverged")
    start(database, study, 4)
    found = [(record.status, record.reason) for record in load_records(database, study.id, earlier=earlier)]
    expected = [
        (TrialStatus.COMPLETE, "first" if most_by_number else "changed"),
        (TrialStatus.INTERRUPTED, "changed"),
        (TrialStatus.FAILED, "diverged"),
        (TrialStatus.RUNNING, None),
        (TrialStatus.RUNNING, None),
    ]
    assert found == expected


def test_a_replay_copies_cost_latency_and_training_of_its_equal(
    database: Database, study: StudyInfo, enter: Any, facts: Any
) -> None:
    other = enter(database, "other")  # a trial of the same number in another study is not the equal one
    finish_trial(database, start(database, other, 0, "c" * 12), status=TrialStatus.FAILED)
    first = start(database, study, 0, "c" * 12)
    finish_trial(
        database, first, status=TrialStatus.COMPLETE, cost=facts.cost, latency=facts.latency, score=facts.score
    )
    second = start(database, study, 1, "c" * 12)
    copy_result(database, second, study_id=study.id, number=0, status=TrialStatus.REPLAY, reason="as trial 0")
    record = load_record(database, study.id, 1)
    assert record is not None
    assert (record.status, record.reason) == (TrialStatus.REPLAY, "as trial 0")
    assert (record.cost, record.latency, record.score) == (facts.cost, facts.latency, facts.score)
    assert record.seconds == 0.0


def test_an_architecture_is_known_by_the_first_trial_that_has_it(database: Database, study: StudyInfo) -> None:
    def note(row_id: int, arch_id: str) -> tuple[str, int] | None:
        return note_architecture(database, row_id, family="shufflenet_v2", arch_id=arch_id, choices=CHOICES)

    first, second = start(database, study, 0), start(database, study, 1)
    assert note(first, "d" * 12) is None
    assert note(second, "e" * 12) is None
    third = start(database, study, 2)
    assert note(third, "d" * 12) == (TrialStatus.RUNNING, 0)
    finish_trial(database, third, status=TrialStatus.REPLAY)


@pytest.mark.parametrize("status", [TrialStatus.COMPLETE, TrialStatus.FAILED, TrialStatus.REJECTED])
def test_an_ended_trial_answers_for_its_architecture(database: Database, study: StudyInfo, status: TrialStatus) -> None:
    finish_trial(database, start(database, study, 0, "d" * 12), status=status)
    row_id = start(database, study, 1)
    known = note_architecture(database, row_id, family="shufflenet_v2", arch_id="d" * 12, choices=CHOICES)
    assert known == (status, 0)


def test_an_interrupted_trial_does_not_answer_for_its_architecture(database: Database, study: StudyInfo) -> None:
    finish_trial(database, start(database, study, 0, "f" * 12), status=TrialStatus.INTERRUPTED)
    row_id = start(database, study, 1)
    known = note_architecture(database, row_id, family="shufflenet_v2", arch_id="f" * 12, choices=CHOICES)
    assert known is None


def test_other_studies_do_not_answer_for_an_architecture(database: Database, study: StudyInfo, enter: Any) -> None:
    finish_trial(database, start(database, study, 0, "f" * 12), status=TrialStatus.COMPLETE)
    row_id = start(database, enter(database, "other"), 0)
    known = note_architecture(database, row_id, family="shufflenet_v2", arch_id="f" * 12, choices=CHOICES)
    assert known is None


def test_of_workers_with_one_architecture_only_one_goes_ahead(database: Database, study: StudyInfo) -> None:
    rows = [start(database, study, number) for number in range(6)]
    answers: list[tuple[str, int] | None] = []
    together = threading.Barrier(len(rows))

    def work(row_id: int) -> None:
        together.wait()
        answers.append(note_architecture(database, row_id, family="shufflenet_v2", arch_id="1" * 12, choices=CHOICES))

    threads = [threading.Thread(target=work, args=(row_id,)) for row_id in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert answers.count(None) == 1


def test_retrainings_are_stored_once_a_folder_and_found_by_split(
    database: Database, study: StudyInfo, facts: Any
) -> None:
    score = replace(facts.score, split="test", protocol="shufflenetv2-s")
    for folder in ("a", "a", "b"):
        add_training(database, study_id=study.id, arch_id="2" * 12, score=score, folder=folder)
    assert load_trainings(database, study.id, split="test") == (("2" * 12, score), ("2" * 12, score))
    assert load_trainings(database, study.id, split="validation") == ()


def test_a_retraining_done_again_replaces_the_one_in_its_folder(
    database: Database, study: StudyInfo, facts: Any
) -> None:
    first = replace(facts.score, split="test", protocol="shufflenetv2-s")
    again = replace(first, top1_percent=first.top1_percent + 1)
    for folder, score in (("a", first), ("b", first), ("a", again)):
        add_training(database, study_id=study.id, arch_id="2" * 12, score=score, folder=folder)
    found = [score.top1_percent for _, score in load_trainings(database, study.id, split="test")]
    assert sorted(found) == [first.top1_percent, again.top1_percent]


def test_a_retraining_that_an_earlier_version_stored_under_another_name_is_replaced(
    database: Database, study: StudyInfo, facts: Any
) -> None:
    for protocol in ("one-cycle", "one-cycle, batch 64"):
        score = replace(facts.score, split="test", protocol=protocol)
        add_training(database, study_id=study.id, arch_id="2" * 12, score=score, folder="one-cycle-3-epochs-batch-64")
    assert load_trainings(database, study.id, split="test") == (("2" * 12, score),)


def test_an_end_is_written_once_and_a_slot_given_back_stays_so(
    database: Database, study: StudyInfo, facts: Any, caplog: pytest.LogCaptureFixture
) -> None:
    equal = start(database, study, 0, "3" * 12)
    assert finish_trial(database, equal, status=TrialStatus.COMPLETE, cost=facts.cost)
    late = start(database, study, 1, "3" * 12)
    assert recover_trials(database, study.id) == 1  # its worker was never entered: it is dead
    before = load_record(database, study.id, 1)
    assert before is not None and before.status is TrialStatus.INTERRUPTED
    assert caplog.messages == []

    assert not finish_trial(
        database, late, status=TrialStatus.COMPLETE, cost=facts.cost, latency=facts.latency, score=facts.score
    )
    assert not copy_result(database, late, study_id=study.id, number=0, status=TrialStatus.REPLAY, reason="as trial 0")
    assert not interrupt_trial(database, late, "the run was stopped")
    assert not interrupt_trial(database, equal, "the run was stopped")
    assert load_record(database, study.id, 1) == before
    ended = load_record(database, study.id, 0)
    assert ended is not None and ended.status is TrialStatus.COMPLETE
    assert [text.partition(" was ended")[0] for text in caplog.messages] == ["trial 1"] * 3 + ["trial 0"]
    assert load_trainings(database, study.id, split="validation") == ()


def test_ends_that_are_written_return_true(database: Database, study: StudyInfo) -> None:
    first, second, third = (start(database, study, number, "4" * 12) for number in range(3))
    assert finish_trial(database, first, status=TrialStatus.COMPLETE) is True
    assert copy_result(database, second, study_id=study.id, number=0, status=TrialStatus.REPLAY, reason="") is True
    assert interrupt_trial(database, third, "the run was stopped") is True


def test_latencies_by_further_backends_come_back_as_they_were(database: Database, study: StudyInfo, facts: Any) -> None:
    beside = replace(facts.latency, backend="torch-eager", p10_ms=7.5, study_reference_ms=None, state={"cpu_mhz": "1"})
    latency = replace(
        facts.latency, also=(beside,), attempts=2, ratio_low=0.29, ratio_high=0.31, state={"load_average": "0.50"}
    )
    row_id = start(database, study, 0, "5" * 12)
    finish_trial(database, row_id, status=TrialStatus.COMPLETE, cost=facts.cost, latency=latency, score=facts.score)
    record = load_record(database, study.id, 0)
    assert record is not None and record.latency == latency
    assert record.latency.also[0].state == {"cpu_mhz": "1"}


def test_a_latency_of_an_older_version_lacks_only_what_was_not_measured_then(
    database: Database, study: StudyInfo, facts: Any
) -> None:
    row_id = start(database, study, 0, "6" * 12)
    finish_trial(database, row_id, status=TrialStatus.COMPLETE, latency=facts.latency)
    with database.writing() as session:
        row = session.query(LatencyRow).one()
        newer = {"ratio_low", "ratio_high", "attempts", "state", "also"}
        row.details = {key: value for key, value in row.details.items() if key not in newer} | {"of_the_future": 1}
    record = load_record(database, study.id, 0)
    assert record is not None and record.latency == facts.latency
    assert (record.latency.attempts, record.latency.also, record.latency.ratio_low) == (1, (), None)


def test_a_database_that_can_only_be_read_is_seen_before_a_score_is_to_be_stored(
    storage_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without the right to write it in a folder that has it, and a server's user that may only read."""

    def read_only(opened: Database) -> Engine:
        if opened.sqlite_file is None:
            return create_engine(opened.url, connect_args={"options": "-c default_transaction_read_only=on"})
        uri = f"file:{opened.sqlite_file}?mode=ro"
        return create_engine(opened.url, creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False))

    check_database_writable(database)
    monkeypatch.setattr(Database, "_plain_engine", read_only)
    with (
        closing(Database(storage_url, create=False)) as reader,
        pytest.raises(StoreError, match=r"cannot be written: .*read-?only"),
    ):
        check_database_writable(reader)
