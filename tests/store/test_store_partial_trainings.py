"""Trainings under way: whoever comes first goes on with one that was cut off, and nothing else is ever gone on with."""

from __future__ import annotations

import random
import threading
import uuid
from dataclasses import asdict, replace
from typing import Any

import pytest
from sqlalchemy import func, select

from archsearch.records import Epoch, TrialStatus
from archsearch.store.claims import MAX_ATTEMPTS, Claim, claim_trial, interrupt_trial, recover_trials
from archsearch.store.database import Database
from archsearch.store.partial_trainings import (
    PartialTraining,
    claim_seed,
    drop_states_of,
    load_decisions,
    load_partial_training,
    note_epoch,
)
from archsearch.store.schema import StateRow, TrialRow
from archsearch.store.studies import StudyInfo
from archsearch.store.trials import finish_trial, load_record, note_architecture, note_suggestion

ARCH = "a" * 12
CURVE = tuple(
    Epoch(epoch=number, train_loss=2.0 / number, top1_percent=10.0 * number, learning_rate=0.1, train_seconds=1.5)
    for number in range(1, 6)
)


def start(database: Database, study: StudyInfo, number: int, arch_id: str = ARCH) -> Claim:
    """A running trial of a worker that was never entered, so that it counts as dead."""
    found = claim_trial(database, study_id=study.id, total=99, worker_id=uuid.uuid4().hex, variants=[])
    assert isinstance(found, Claim)
    note_suggestion(database, found.row_id, number=number, suggested={"kernel": 5})
    note_architecture(database, found.row_id, family="shufflenet_v2", arch_id=arch_id, choices={})
    return found


def note(
    database: Database, study: StudyInfo, claim: Claim, epochs: int, state: bytes | None = None, **more: Any
) -> bool:
    arguments: dict[str, Any] = {"arch_id": ARCH, "seed": 0, "curve": CURVE[:epochs], "state": state} | more
    return note_epoch(database, study_id=study.id, row_id=claim.row_id, **arguments)


def states(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(StateRow)) or 0


def test_a_training_goes_on_from_its_last_state_with_the_curve_up_to_there(
    database: Database, study: StudyInfo
) -> None:
    claim = start(database, study, 0)
    assert load_partial_training(database, study.id, ARCH, 0) is None
    bits = random.Random(0).randbytes(300_000) + b"\0"
    assert note(database, study, claim, 1, decision={"epoch": 1, "stop": False})
    assert load_partial_training(database, study.id, ARCH, 0) is None  # nothing to go on from yet
    assert note(database, study, claim, 2, bits, decision={"epoch": 2, "stop": False})
    assert note(database, study, claim, 3, decision={"epoch": 3, "stop": False})
    assert load_partial_training(database, study.id, ARCH, 0) == PartialTraining(
        epoch=2, curve=CURVE[:2], state=bits, decisions=({"epoch": 1, "stop": False}, {"epoch": 2, "stop": False})
    )
    assert [said["epoch"] for said in load_decisions(database, study.id)[0]] == [1, 2, 3]
    for other in ((study.id + 1, ARCH, 0), (study.id, "b" * 12, 0), (study.id, ARCH, 1)):
        assert load_partial_training(database, *other) is None


def test_noting_an_epoch_again_leaves_the_same_behind(database: Database, study: StudyInfo) -> None:
    claim = start(database, study, 0)
    for _ in range(2):
        assert note(database, study, claim, 2, b"two", decision={"epoch": 2, "stop": True})
    found = load_partial_training(database, study.id, ARCH, 0)
    assert found == PartialTraining(epoch=2, curve=CURVE[:2], state=b"two", decisions=({"epoch": 2, "stop": True},))


def test_a_training_that_begins_anew_forgets_where_the_older_one_was(database: Database, study: StudyInfo) -> None:
    claim = start(database, study, 0)
    note(database, study, claim, 3, b"three", decision={"epoch": 3, "stop": False})
    note(database, study, claim, 1)
    assert load_partial_training(database, study.id, ARCH, 0) is None
    note(database, study, claim, 2, b"new two")
    assert load_partial_training(database, study.id, ARCH, 0) == PartialTraining(
        epoch=2, curve=CURVE[:2], state=b"new two", decisions=()
    )


def test_another_trial_of_the_same_choices_takes_the_training_over(database: Database, study: StudyInfo) -> None:
    killed = start(database, study, 0)
    note(database, study, killed, 2, b"two")
    assert recover_trials(database, study.id) == 1
    taken = claim_trial(database, study_id=study.id, total=99, worker_id="b", variants=[])
    assert isinstance(taken, Claim) and taken.suggested == {"kernel": 5}
    found = load_partial_training(database, study.id, ARCH, 0)
    assert found is not None and found.state == b"two"
    assert not note(database, study, killed, 3, b"late")  # the one that was thought dead
    assert note(database, study, taken, 3)
    assert load_partial_training(database, study.id, ARCH, 0) == found
    finish_trial(database, taken.row_id, status=TrialStatus.COMPLETE)
    assert states(database) == 0


@pytest.mark.parametrize(
    ("status", "state", "left"),
    [
        (TrialStatus.COMPLETE, None, None),
        (TrialStatus.FAILED, None, None),
        (TrialStatus.REJECTED, None, None),
        (TrialStatus.STOPPED, None, None),
        (TrialStatus.STOPPED, b"end", b"end"),
        (TrialStatus.INTERRUPTED, None, b"two"),
    ],
)
def test_the_end_of_a_trial_forgets_the_state_unless_it_may_go_on(
    database: Database, study: StudyInfo, status: TrialStatus, state: bytes | None, left: bytes | None
) -> None:
    claim, other = start(database, study, 0), start(database, study, 1, "b" * 12)
    note(database, study, claim, 2, b"two", decision={"epoch": 2})
    note(database, study, other, 1, b"of another trial", arch_id="b" * 12)
    finish_trial(database, claim.row_id, status=status, state=state)
    found = load_partial_training(database, study.id, ARCH, 0)
    assert (None if found is None else found.state) == left
    assert states(database) == 1 + (left is not None)
    assert load_decisions(database, study.id)[0] == ({"epoch": 2},)


def test_dropping_a_state_leaves_the_decisions(database: Database, study: StudyInfo) -> None:
    claim = start(database, study, 0)
    note(database, study, claim, 2, b"two", decision={"epoch": 2})
    note(database, study, start(database, study, 1), 1, b"of another seed", seed=1)
    with database.writing() as session:
        drop_states_of(session, claim.row_id)
    assert load_partial_training(database, study.id, ARCH, 0) is None
    assert load_partial_training(database, study.id, ARCH, 1) is not None
    assert load_decisions(database, study.id)[0] == ({"epoch": 2},)


def attempt_after_kill(database: Database, study: StudyInfo) -> Claim:
    recover_trials(database, study.id)
    found = claim_trial(database, study_id=study.id, total=99, worker_id=uuid.uuid4().hex, variants=[])
    assert isinstance(found, Claim)
    return found


def test_only_kills_without_progress_speak_against_a_network(database: Database, study: StudyInfo) -> None:
    claim = start(database, study, 0)
    for epochs in range(1, MAX_ATTEMPTS + 2):
        note(database, study, claim, epochs, b"state")
        claim = attempt_after_kill(database, study)
        assert claim.attempt == 2
    for _ in range(MAX_ATTEMPTS - 2):
        note(database, study, claim, 5)  # trained on, but nothing stored to go on from
        claim = attempt_after_kill(database, study)
    assert claim.attempt == MAX_ATTEMPTS
    assert states(database) == 1
    recover_trials(database, study.id)
    with database.reading() as session:
        assert session.get_one(TrialRow, claim.row_id).status == TrialStatus.FAILED
    assert states(database) == 0


def trained(database: Database, study: StudyInfo, facts: Any, number: int, arch_id: str = ARCH) -> None:
    claim = start(database, study, number, arch_id)
    finish_trial(database, claim.row_id, status=TrialStatus.COMPLETE, score=replace(facts.score, seed=7))


def seed_for(database: Database, claim: Claim, arch_id: str = ARCH) -> int | None:
    return claim_seed(database, claim.row_id, arch_id=arch_id, base_seed=7, most=3)


def test_a_network_is_trained_with_each_seed_once_and_three_times_in_all(
    database: Database, study: StudyInfo, facts: Any
) -> None:
    trained(database, study, facts, 0)
    first = start(database, study, 1)
    assert [seed_for(database, first) for _ in range(2)] == [8, 8]  # the answer was lost: the same again
    second = start(database, study, 2)
    assert seed_for(database, second) == 9  # while the first still runs
    finish_trial(database, first.row_id, status=TrialStatus.REPLAY, score=replace(facts.score, seed=8))
    assert load_record(database, study.id, 1).score.seed == 8  # type: ignore[union-attr]
    third = start(database, study, 3)
    assert seed_for(database, third) is None
    trained(database, study, facts, 4, "b" * 12)
    assert seed_for(database, third, "b" * 12) == 8


def test_workers_that_repeat_one_network_at_once_get_different_seeds(
    database: Database, study: StudyInfo, facts: Any
) -> None:
    trained(database, study, facts, 0)
    claims = [start(database, study, number) for number in range(1, 6)]
    together, seeds = threading.Barrier(len(claims)), list[int | None]()

    def work(claim: Claim) -> None:
        together.wait()
        seeds.append(seed_for(database, claim))

    threads = [threading.Thread(target=work, args=(claim,)) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seed for seed in seeds if seed is not None) == [8, 9]
    assert seeds.count(None) == 3


def test_a_seed_whose_training_was_cut_off_is_taken_up_and_a_failed_one_is_not(
    database: Database, study: StudyInfo, facts: Any
) -> None:
    trained(database, study, facts, 0)
    killed = start(database, study, 1)
    assert seed_for(database, killed) == 8
    note(database, study, killed, 2, b"two", seed=8)
    interrupt_trial(database, killed.row_id, "the run was stopped")
    taken = claim_trial(database, study_id=study.id, total=99, worker_id="b", variants=[])
    assert isinstance(taken, Claim)
    assert seed_for(database, taken) == 8
    found = load_partial_training(database, study.id, ARCH, 8)
    assert found is not None and found.state == b"two"
    finish_trial(database, taken.row_id, status=TrialStatus.FAILED, reason="diverged")
    assert seed_for(database, start(database, study, 2)) == 9


def test_a_stored_epoch_is_the_one_that_was_noted(database: Database, study: StudyInfo) -> None:
    claim = start(database, study, 0)
    exact = replace(CURVE[0], train_loss=0.1 + 0.2, top1_percent=100 / 3)
    note(database, study, claim, 1, b"x", curve=[exact])
    found = load_partial_training(database, study.id, ARCH, 0)
    assert found is not None and asdict(found.curve[0]) == asdict(exact)
