"""Designs in the database: keys, claims of listed trials only, and seeds that are added."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from archsearch.designs import Design, DesignPoint
from archsearch.records import TrialStatus
from archsearch.store.claims import Claim, NoSlot, claim_trial, held_elsewhere, interrupt_trial
from archsearch.store.database import Database
from archsearch.store.rows import design_of, parse_key, point_of, trial_key, trial_keys, widen_design
from archsearch.store.studies import enter_study, find_study, latest_study
from archsearch.store.trials import finish_trial, load_records, note_suggestion
from archsearch.store.workers import enter_worker


def point(name: str, variant: str | None = None) -> DesignPoint:
    return DesignPoint(name=name, family="f", choices={"kernel": 3}, arch_id=f"{name:0>12}", variant=variant)


DESIGN = Design(
    purpose="ablation", of="cifar", points=(point("base", "named"), point("wide")), seeds=(5, 2), mode="pairs"
)


@pytest.fixture
def database(storage_url: str) -> Database:
    return Database(storage_url)


def enter(database: Database, name: str = "cifar.ablate-1", design: Design | None = DESIGN) -> int:
    config = {} if design is None else {"design": asdict(design)}
    return enter_study(database, name=name, config=config, space={}, space_fingerprint="0" * 12, facts={}).id


def claim(database: Database, study_id: int, worker: str, design: Design = DESIGN) -> Claim | NoSlot:
    keys = [(key, None) for key in trial_keys(design)]
    return claim_trial(database, study_id=study_id, total=0, worker_id=worker, variants=keys, listed_only=True)


def test_keys_name_a_point_and_a_seed_and_nothing_else() -> None:
    assert trial_keys(DESIGN) == ("@0#5", "@1#5", "@0#2", "@1#2")  # all points with the first seed first
    assert parse_key("@1#2") == (1, 2)
    assert all(parse_key(text) is None for text in (None, "", "shufflenet_v2_x0_5", "@1", "@1#", "@1#2 ", "@-1#2"))
    assert len(trial_key(10**6, 2**31)) <= 100
    assert point_of("@1#2", DESIGN) == DESIGN.points[1]
    assert point_of("@2#2", DESIGN) is None and point_of(None, DESIGN) is None


def test_a_design_comes_back_as_it_was_stored(database: Database) -> None:
    enter(database)
    assert design_of(find_study(database, "cifar.ablate-1").config) == DESIGN
    assert design_of({}) is None
    database.close()


def test_every_listed_trial_is_claimed_once_and_interrupted_ones_first(database: Database) -> None:
    study_id = enter(database)
    worker = enter_worker(database, study_id, "cpu")
    given = []
    for number in range(5):
        found = claim(database, study_id, worker)
        assert isinstance(found, Claim)
        assert claim(database, study_id, worker) == found  # the answer was lost: the same again
        note_suggestion(database, found.row_id, number=number, suggested=None)
        given.append(found.variant)
        if number == 1:
            interrupt_trial(database, found.row_id, "the run was stopped")
        else:
            status = TrialStatus.FAILED if number == 3 else TrialStatus.COMPLETE
            finish_trial(database, found.row_id, status=status, seconds=1.0 + number)
    assert given == ["@0#5", "@1#5", "@1#5", "@0#2", "@1#2"]
    assert claim(database, study_id, worker) is NoSlot.DONE
    records = load_records(database, study_id)
    assert [(record.point, record.variant) for record in records[:2]] == [("base", "named"), ("wide", None)]
    database.close()


def test_a_trial_that_runs_elsewhere_is_waited_for(database: Database) -> None:
    study_id = enter(database)
    one = Design(purpose="trust", of="cifar", points=(point("base"),), seeds=(5,))
    first, second = (enter_worker(database, study_id, "cpu") for _ in range(2))
    assert isinstance(claim(database, study_id, first, one), Claim)
    assert claim(database, study_id, second, one) is NoSlot.BUSY
    database.close()


def test_seeds_are_added_behind_those_that_are_there_and_count_by_themselves(database: Database) -> None:
    study_id = enter(database)
    assert widen_design(database, study_id, (2, 9)) == (5, 2, 9)
    stored = design_of(find_study(database, "cifar.ablate-1").config)
    assert stored is not None and stored.seeds == (5, 2, 9)
    assert stored.digest == DESIGN.digest
    worker = enter_worker(database, study_id, "cpu")
    found = claim(database, study_id, worker)
    assert isinstance(found, Claim)
    finish_trial(database, found.row_id, status=TrialStatus.COMPLETE, seconds=1.0)
    assert held_elsewhere(database, study_id, ["@0#9", "@1#9"]) == 1
    assert held_elsewhere(database, study_id, trial_keys(DESIGN)) == 0
    database.close()


def test_the_latest_study_is_never_a_design_if_what_it_was_made_from_is_there(database: Database) -> None:
    enter(database)
    assert latest_study(database).name == "cifar.ablate-1"  # made from a study that was never run
    enter(database, "cifar", None)
    enter(database, "cifar.ablate-2")
    assert latest_study(database).name == "cifar"
    database.close()
