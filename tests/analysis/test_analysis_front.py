from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from archsearch.analysis.front import front_of, networks_table
from archsearch.analysis.objectives import OBJECTIVES, objective_values
from archsearch.errors import ConfigError, UnknownNameError
from archsearch.records import Record, StudyBatch, TrialStatus
from archsearch.text import count_text, significant

Make = Callable[..., Record]


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_every_objective_reads_a_record_and_shows_its_value(name: str, make_record: Make) -> None:
    objective = OBJECTIVES[name]
    record = make_record(1, top1=60.0, p10=2.5, params=2_278_604, macs=146_000_000, balanced_top1_percent=70.0)
    # 100 - 60; 100 - 70; p10, not the median; counts as they are
    expected = {"error_percent": 40.0, "latency_ms": 2.5, "params": 2_278_604.0, "macs": 146_000_000.0}
    expected["balanced_error_percent"] = 30.0
    assert objective.name == name
    assert objective.extract(record) == expected[name]
    assert objective.title
    shown = {"error_percent": "40.00 %", "latency_ms": "2.50 ms", "params": "2.28 M", "macs": "146 M"}
    shown["balanced_error_percent"] = "30.00 %"
    assert objective.show(expected[name]) == shown[name]


def test_objective_values_are_records_by_names(make_record: Make) -> None:
    records = [make_record(0, top1=60, p10=3), make_record(1, top1=70, p10=4)]
    values = objective_values(records, ["latency_ms", "error_percent"])
    np.testing.assert_array_equal(values, [[3, 40], [4, 30]])
    assert objective_values([], ["latency_ms", "error_percent"]).shape == (0, 2)


def test_a_missing_value_names_the_trial(make_record: Make) -> None:
    with pytest.raises(ValueError, match="trial 7 of study 'study' has no latency"):
        objective_values([make_record(7, p10=None)], ["latency_ms"])


def test_an_unknown_objective_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'latency_ms'"):
        front_of([], ["error_percent", "latency"])


@pytest.mark.parametrize(
    ("value", "text"), [(0.031416, "0.0314"), (3.14159, "3.14"), (314.159, "314"), (31415.9, "31400"), (0, "0")]
)
def test_significant_digits_have_no_exponent(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(("value", "text"), [(2_278_604, "2.28 M"), (341_000, "341 k"), (950, "950"), (3e9, "3.00 G")])
def test_counts_are_shown_with_a_letter(value: float, text: str) -> None:
    assert count_text(value) == text


def test_rows_are_sorted_by_latency_and_marked(make_record: Make) -> None:
    records = [make_record(0, top1=70, p10=9), make_record(1, top1=50, p10=2), make_record(2, top1=49, p10=3)]
    front = front_of(records, reference_point=(90, 10))
    assert [(row.record.trial, row.on_front) for row in front.rows] == [(1, True), (2, False), (0, True)]
    assert front.rows[0].values == (50.0, 2.0)
    # below (90, 10): (30, 9) spans 60 x 1 and (50, 2) adds 40 x 7
    assert front.hypervolume == pytest.approx(60 * 1 + 40 * 7)
    assert front.hypervolume_share == pytest.approx(340 / 900)


def test_a_latency_beside_other_work_is_marked_as_in_doubt(make_record: Make) -> None:
    quiet, beside = make_record(0, top1=70, p10=9), make_record(1, top1=50, p10=2)
    assert beside.latency is not None
    beside = replace(beside, latency=replace(beside.latency, contended=True))
    table = networks_table(front_of([quiet, beside]).rows, title="")
    assert [line.count("?") for line in str(table).splitlines() if line.split()[:1] in (["0"], ["1"])] == [1, 0]
    assert "measured beside other work" in table.note


def test_the_table_for_programs_has_no_mark_inside_a_name(make_record: Make) -> None:
    searched, published = (replace(make_record(0), arch_id="90eab1590829"), replace(make_record(1), arch_id="af7b"))
    front = front_of([searched, replace(published, variant="shufflenet_v2_x0_5")])
    table = networks_table(front.rows, title="", recommended=0)
    assert {row["trial"]: (row["network"], row["arch_id"]) for row in table.dicts()} == {
        0: ("90eab1590829", None),
        1: ("shufflenet_v2_x0_5", "af7b"),
    }
    assert "90eab1590829 *" in str(table)


def test_only_complete_records_reach_the_front(make_record: Make) -> None:
    others = [
        make_record(index, top1=99, p10=0.1, status=status)
        for index, status in enumerate(TrialStatus)
        if status is not TrialStatus.COMPLETE
    ]
    front = front_of([*others, make_record(9)])
    assert [row.record.trial for row in front.rows] == [9]
    assert front.statuses == dict.fromkeys((status.value for status in TrialStatus), 1)


def test_a_complete_record_without_a_finite_value_is_left_out_and_named(make_record: Make) -> None:
    front = front_of([make_record(0), make_record(1, top1=float("nan")), make_record(2, p10=None)])
    assert [row.record.trial for row in front.rows] == [0]
    assert [record.trial for record in front.unusable] == [1, 2]
    assert "left out, because a value is missing or not finite: trial 1, trial 2" in front.warnings


def test_equal_records_are_all_on_the_front(make_record: Make) -> None:
    front = front_of([make_record(0), make_record(1)])
    assert len(front.members) == 2


def test_three_objectives_keep_what_two_would_drop(make_record: Make) -> None:
    records = [make_record(0, top1=60, p10=3, params=9), make_record(1, top1=59, p10=4, params=5)]
    assert len(front_of(records).members) == 1
    assert len(front_of(records, ["error_percent", "latency_ms", "params"], (90, 30, 100)).members) == 2


def test_no_records_make_an_empty_front() -> None:
    front = front_of([], reference_point=(90, 30))
    assert front.rows == ()
    assert front.knee is None
    assert front.hypervolume == 0.0
    assert front.warnings == ()


def test_different_fingerprints_are_never_on_one_front_without_a_word(make_record: Make) -> None:
    front = front_of([make_record(0), make_record(1, fingerprint="0123456789ab", threads=2)])
    assert any("latencies are not comparable: 2 values of fingerprint" in text for text in front.warnings)
    assert any("2 values of threads (1, 2)" in text for text in front.warnings)
    assert front.conditions.fingerprint == ("0123456789ab", "f00dfeedbeef")


def test_two_gpus_of_one_fingerprint_are_compared_without_a_warning(make_record: Make) -> None:
    records = [make_record(0, device="cuda:0"), make_record(1, device="cuda:1")]
    front = front_of(records, reference_point=(90, 30))
    assert front.conditions.device == ("cuda:0", "cuda:1")
    assert front.warnings == ()


@pytest.mark.parametrize(("name", "value"), [("epochs", 9), ("seed", 1), ("split", "test"), ("train_images", 5)])
def test_different_trainings_are_named(name: str, value: object, make_record: Make) -> None:
    front = front_of([make_record(0), make_record(1, **{name: value})])
    assert any(f"accuracies are not comparable: 2 values of {name.replace('_', ' ')}" in w for w in front.warnings)


def test_unconverged_and_contended_measurements_are_named(make_record: Make) -> None:
    records = [make_record(0), make_record(1, converged=False), make_record(2, contended=True, variant="small")]
    warnings = front_of(records).warnings
    again = "archsearch confirm measures the front again, best while nothing else runs"
    assert f"the latency of trial 1 did not converge, so ranks may be wrong: {again}" in warnings
    slowed = "other work may have slowed the device while it measured small, so latencies may be too high"
    assert f"{slowed}: {again}" in warnings
    every = front_of([make_record(0, contended=True), make_record(1, contended=True)]).warnings
    assert any("while it measured all 2 networks" in text for text in every)


def test_a_board_that_slowed_itself_down_is_not_said_to_have_had_other_work(make_record: Make) -> None:
    hot = make_record(0, contended=True, state={"throttled": "yes"}, variant="small")
    (said,) = front_of([hot, make_record(1, state={"throttled": "no"})], reference_point=(90, 30)).warnings
    assert said.startswith("the board slowed itself down (heat, or too weak a supply) while it measured small, so")


def test_shared_conditions_give_no_warning(make_record: Make) -> None:
    assert front_of([make_record(0), make_record(1)], reference_point=(90, 30)).warnings == ()


def test_a_front_wholly_beyond_its_reference_point_says_so(make_record: Make) -> None:
    assert any(
        "beyond the reference point" in text for text in front_of([make_record(0)], reference_point=(1, 1)).warnings
    )


@pytest.mark.parametrize(
    ("objectives", "reference", "message"),
    [
        (["error_percent"], None, "2 or 3 are needed"),
        (["error_percent", "latency_ms", "params", "macs"], None, "2 or 3 are needed"),
        (["error_percent", "error_percent"], None, "given twice"),
        (["error_percent", "latency_ms"], (90,), "one value for each"),
        (["error_percent", "latency_ms"], (90, -1), "positive finite"),
        (["error_percent", "latency_ms"], (90, float("nan")), "positive finite"),
    ],
)
def test_wrong_objectives_and_reference_points_are_refused(
    objectives: list[str], reference: tuple[float, ...] | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        front_of([], objectives, reference)


@pytest.mark.parametrize(
    ("chosen", "ratio", "warned"),
    [
        (True, 1.49, "the largest that was tried"),
        (False, 1.0, "latency.batch: auto"),
        (True, 1.5, ""),
        (False, 2.0, ""),
    ],
)
def test_a_front_whose_latencies_do_not_tell_widths_apart_says_so(
    make_record: Make, chosen: bool, ratio: float, warned: str
) -> None:
    found = StudyBatch(batch=8, chosen=chosen, wide="x1.0", narrow="x0.5", ratios=((8, ratio),))
    front = front_of([make_record(0, top1=60, p10=3)], latency_batch=found)
    told = [warning for warning in front.warnings if "floor of kernel launches" in warning]
    assert front.latency_batch == found
    assert len(told) == bool(warned)
    if warned:
        assert f"x1.0 takes {ratio:.2f} times as long as x0.5" in told[0]
        assert warned in told[0]


def test_latencies_of_different_precision_are_not_comparable(make_record: Make) -> None:
    one, other = make_record(0, top1=60, p10=3), make_record(1, top1=70, p10=4)
    assert one.latency is not None
    front = front_of([replace(one, latency=replace(one.latency, precision="fp16")), other])
    assert front.conditions.precision == ("fp16", "fp32")
    assert "latencies are not comparable: 2 values of precision (fp16, fp32)" in front.warnings
