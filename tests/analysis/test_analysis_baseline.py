from __future__ import annotations

from collections.abc import Callable

from archsearch.analysis.baseline import baselines_of, changes_of, changes_text
from archsearch.models.families import FAMILIES
from archsearch.records import Record

Make = Callable[..., Record]
BASE = {
    "stem.pool": True,
    "stage2.kernel": 3,
    "stage3.kernel": 3,
    "stage4.kernel": 3,
    "stage2.units": 4,
    "stage3.units": 8,
}


def test_one_choice_over_all_stages_is_one_entry() -> None:
    changed = {**BASE, "stage2.kernel": 6, "stage4.kernel": 6, "stem.pool": False, "stage2.units": 1, "stage3.units": 1}
    found = changes_of(changed, BASE)
    assert found == (("stem.pool", "false", "true"), ("kernel", "6 / 3 / 6", "3"), ("units", "1", "4 / 8"))
    assert changes_text(found) == "stem.pool false (true), kernel 6 / 3 / 6 (3), units 1 (4 / 8)"


def test_equal_networks_differ_in_nothing() -> None:
    assert changes_of(BASE, BASE) == ()


def test_a_choice_of_another_version_is_left_out() -> None:
    assert changes_of({**BASE, "stage9.magic": 1}, BASE) == ()
    assert changes_of({"stage2.kernel": 5}, BASE) == (("kernel", "5", "3"),)


def test_the_baseline_is_the_variant_nearest_to_what_was_tried(make_record: Make) -> None:
    narrow, wide = {"stage2.channels": 48, "stage2.kernel": 3}, {"stage2.channels": 116, "stage2.kernel": 3}
    records = [make_record(0, variant="wide", choices=wide), make_record(1, variant="narrow", choices=narrow)]
    records += [make_record(trial, choices={"stage2.channels": 48, "stage2.kernel": 5}) for trial in (2, 3)]
    found = baselines_of(records)["shufflenet_v2"]
    assert (found.name, dict(found.choices)) == ("narrow", narrow)


def test_without_a_variant_the_baseline_is_the_familys(make_record: Make) -> None:
    found = baselines_of([make_record(0, choices={"stage2.kernel": 5})])["shufflenet_v2"]
    assert (found.name, found.choices) == ("the base of shufflenet_v2", FAMILIES["shufflenet_v2"].base.choices())


def test_trials_without_a_network_have_no_baseline(make_record: Make) -> None:
    assert baselines_of([]) == {}
    assert baselines_of([make_record(0, choices={})]) == {}
