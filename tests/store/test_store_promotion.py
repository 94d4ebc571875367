"""Promotions of stopped trials: after what was interrupted and the variants, before anything new, and once."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from archsearch.records import TrialStatus
from archsearch.store.claims import PROMOTED, Claim, NoSlot, claim_trial, interrupt_trial, trial_counts
from archsearch.store.database import Database
from archsearch.store.schema import TrialRow
from archsearch.store.studies import StudyInfo
from archsearch.store.trials import finish_trial, note_architecture, note_suggestion

VARIANT: list[tuple[str, dict[str, Any] | None]] = [("x0_5", {"kernel": 3})]


def claim(database: Database, study: StudyInfo, *, total: int = 99, **more: Any) -> Claim | NoSlot:
    arguments: dict[str, Any] = {"variants": [], "worker_id": uuid.uuid4().hex} | more
    return claim_trial(database, study_id=study.id, total=total, **arguments)


def row_of(database: Database, row_id: int) -> TrialRow:
    with database.reading() as session:
        return session.get_one(TrialRow, row_id)


def start(database: Database, study: StudyInfo, number: int) -> int:
    found = claim(database, study)
    assert isinstance(found, Claim)
    note_suggestion(database, found.row_id, number=number, suggested={"kernel": number})
    note_architecture(database, found.row_id, family="f", arch_id=f"{number:012x}", choices={})
    return found.row_id


def stop(database: Database, study: StudyInfo, number: int) -> int:
    row_id = start(database, study, number)
    finish_trial(database, row_id, status=TrialStatus.STOPPED, reason="dominated")
    return row_id


class Asked:
    """A rule that answers with these numbers in turn, the last for ever."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.questions = 0

    def __call__(self) -> int | None:
        self.questions += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_a_stopped_trial_goes_on_as_another_with_its_choices(database: Database, study: StudyInfo) -> None:
    stopped = stop(database, study, 0)
    found = claim(database, study, promote=Asked(0))
    assert isinstance(found, Claim)
    assert (found.suggested, found.variant, found.attempt, found.sequence) == ({"kernel": 0}, None, 1, 2)
    before, after = row_of(database, stopped), row_of(database, found.row_id)
    assert (before.status, before.reason, before.retried) == (TrialStatus.INTERRUPTED, PROMOTED, True)
    assert after.status == TrialStatus.RUNNING
    # The network is nobody's now but the new trial's: it does not count as a repeat.
    assert note_architecture(database, found.row_id, family="f", arch_id=f"{0:012x}", choices={}) is None
    assert isinstance(claim(database, study), Claim)  # nothing of it is taken up a second time
    assert row_of(database, stopped).retried


def test_what_was_interrupted_and_variants_come_before_a_promotion_and_new_ones_after(
    database: Database, study: StudyInfo
) -> None:
    stop(database, study, 0)
    interrupt_trial(database, start(database, study, 1), "the run was stopped")
    rule = Asked(0, None)
    found = [claim(database, study, variants=VARIANT, promote=rule) for _ in range(4)]
    taken = [(each.variant, each.suggested) for each in found if isinstance(each, Claim)]
    assert taken == [(None, {"kernel": 1}), ("x0_5", {"kernel": 3}), (None, {"kernel": 0}), (None, None)]
    assert rule.questions == 2  # not before it was needed


def test_a_promotion_needs_no_free_slot_and_the_study_is_done_when_there_is_none(
    database: Database, study: StudyInfo
) -> None:
    stop(database, study, 0)
    assert claim(database, study, total=1, promote=Asked(None)) is NoSlot.DONE
    found = claim(database, study, total=1, promote=Asked(0))
    assert isinstance(found, Claim)
    assert trial_counts(database, study.id) == {"interrupted": 1, "running": 1}
    assert claim(database, study, total=1, promote=Asked(None)) is NoSlot.BUSY
    finish_trial(database, found.row_id, status=TrialStatus.COMPLETE)
    assert claim(database, study, total=1, promote=Asked(None)) is NoSlot.DONE
    assert claim(database, study, total=1) is NoSlot.DONE


@pytest.mark.parametrize("answer", [1, 7])
def test_what_is_no_stopped_trial_is_not_promoted(database: Database, study: StudyInfo, answer: int) -> None:
    stop(database, study, 0)
    finish_trial(database, start(database, study, 1), status=TrialStatus.COMPLETE)
    rule = Asked(answer)
    found = claim(database, study, promote=rule)
    assert isinstance(found, Claim) and found.suggested is None  # after a few questions, something new
    assert rule.questions == 3
    assert trial_counts(database, study.id) == {"stopped": 1, "complete": 1, "running": 1}


def test_a_promotion_that_another_worker_was_quicker_at_is_asked_for_anew(database: Database, study: StudyInfo) -> None:
    for number in range(2):
        stop(database, study, number)

    def promote() -> int | None:
        if not quick:
            quick.append(claim(database, study, promote=Asked(0)))
            return 0
        return 1

    quick: list[Claim | NoSlot] = []
    found = claim(database, study, promote=promote)
    assert isinstance(found, Claim) and found.suggested == {"kernel": 1}
    assert isinstance(quick[0], Claim) and quick[0].suggested == {"kernel": 0}


def test_workers_that_ask_at_once_promote_a_trial_once(database: Database, study: StudyInfo) -> None:
    stop(database, study, 0)
    together, found = threading.Barrier(5), list[Claim | NoSlot]()
    promote: Callable[[], int | None] = lambda: 0  # noqa: E731

    def work() -> None:
        together.wait()
        found.append(claim(database, study, promote=promote))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.suggested for each in found if isinstance(each, Claim)].count({"kernel": 0}) == 1
    assert trial_counts(database, study.id) == {"interrupted": 1, "running": 5}


def test_a_claim_that_was_promoted_is_given_again_to_its_worker(database: Database, study: StudyInfo) -> None:
    stop(database, study, 0)
    first = claim(database, study, worker_id="w", promote=Asked(0))
    assert claim(database, study, worker_id="w", promote=Asked(0)) == first


def test_a_repeated_suggestion_of_a_stopped_network_is_a_repeat(database: Database, study: StudyInfo) -> None:
    stop(database, study, 0)
    row_id = start(database, study, 1)
    known = note_architecture(database, row_id, family="f", arch_id=f"{0:012x}", choices={})
    assert known == (TrialStatus.STOPPED, 0)
