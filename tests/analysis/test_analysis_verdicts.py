from __future__ import annotations

from collections.abc import Callable

import pytest

from archsearch.analysis.front import front_of
from archsearch.analysis.verdicts import Standing, verdicts_of
from archsearch.records import Record, TrialStatus

Make = Callable[..., Record]


def test_a_variant_nothing_dominates_is_on_the_front(make_record: Make) -> None:
    records = [make_record(0, variant="small", top1=50, p10=2), make_record(1, top1=60, p10=3)]
    (verdict,) = verdicts_of(records, front_of(records))
    assert (verdict.standing, verdict.by) == (Standing.ON_FRONT, None)
    assert verdict.sentence == "small (50.00 % top-1, 2.00 ms) is on the front."


def test_a_dominated_variant_says_by_whom_and_how_much(make_record: Make) -> None:
    records = [make_record(0, variant="large", top1=60, p10=4), make_record(41, top1=61.25, p10=3)]
    (verdict,) = verdicts_of(records, front_of(records))
    assert verdict.standing is Standing.DOMINATED
    assert verdict.by is records[1]
    assert (verdict.accuracy_points, verdict.faster_ms, verdict.faster_percent) == (1.25, 1.0, 25.0)
    assert verdict.sentence == (
        "large (60.00 % top-1, 4.00 ms) is dominated by trial 41: 1.25 points more accurate and 1.0 ms (25 %) faster."
    )


def test_the_strongest_of_several_dominating_records_is_named(make_record: Make) -> None:
    # ranges: error 10, latency 4. Gains: trial 1 (1/10 + 3/4 = 0.85), trial 2 (8/10 + 1/4 = 1.05), trial 3 is
    # dominated by trial 2 and does not count
    records = [
        make_record(0, variant="v", top1=60, p10=5),
        make_record(1, top1=61, p10=2),
        make_record(2, top1=68, p10=4),
        make_record(3, top1=67, p10=4.5),
        make_record(4, top1=58, p10=1),
    ]
    (verdict,) = verdicts_of(records, front_of(records))
    assert verdict.by is records[2]


def test_an_equal_objective_is_said_to_be_equal(make_record: Make) -> None:
    records = [make_record(0, variant="v", top1=60, p10=4), make_record(1, top1=60, p10=3)]
    (verdict,) = verdicts_of(records, front_of(records))
    assert verdict.sentence.endswith("1.0 ms (25 %) faster, at equal validation top-1 error.")


def test_equal_points_are_a_tie(make_record: Make) -> None:
    records = [make_record(3, variant="v"), make_record(1), make_record(2)]
    (verdict,) = verdicts_of(records, front_of(records))
    assert (verdict.standing, verdict.by) == (Standing.TIE, records[1])
    assert verdict.sentence.endswith("on the front, level with trial 1.")


def test_a_third_objective_can_save_a_slower_variant_or_condemn_it(make_record: Make) -> None:
    objectives = ("error_percent", "latency_ms", "params")
    small = make_record(0, variant="v", top1=60, p10=4, params=10)
    better = make_record(1, top1=61, p10=3, params=20)
    records = [small, better]
    assert verdicts_of(records, front_of(records, objectives))[0].standing is Standing.ON_FRONT
    records = [small, better, make_record(2, top1=61, p10=3, params=8)]
    (verdict,) = verdicts_of(records, front_of(records, objectives))
    assert verdict.standing is Standing.DOMINATED
    assert "2 (20 %) fewer params" in verdict.sentence


def test_an_error_over_the_classes_is_named_as_one_beside_the_accuracy(make_record: Make) -> None:
    objectives = ("error_percent", "latency_ms", "balanced_error_percent")
    variant = make_record(0, variant="v", top1=60, p10=4, balanced_top1_percent=55.0)
    better = make_record(1, top1=61, p10=3, balanced_top1_percent=58.0)
    front = front_of([variant, better], objectives, (90.0, 8.0, 95.0))
    (verdict,) = verdicts_of([variant, better], front)
    assert verdict.sentence == (
        "v (60.00 % top-1, 4.00 ms, 45.00 % balanced error) is dominated by trial 1: 1.00 points more accurate and "
        "1.0 ms (25 %) faster and 3.00 points less balanced error."
    )
    assert "(reference point: 90 % error, 8.00 ms, 95.00 % balanced error)" in front.volume_text
    equal = make_record(1, top1=60, p10=3, balanced_top1_percent=55.0)
    (verdict,) = verdicts_of([variant, equal], front_of([variant, equal], objectives))
    assert verdict.sentence.endswith("faster, at equal validation top-1 error and validation balanced error.")


@pytest.mark.parametrize("status", [TrialStatus.FAILED, TrialStatus.REJECTED])
def test_a_variant_without_a_result_says_why(status: TrialStatus, make_record: Make) -> None:
    records = [make_record(0, variant="v", top1=None, status=status, reason="out of memory"), make_record(1)]
    (verdict,) = verdicts_of(records, front_of(records))
    assert verdict.standing is Standing.NOT_MEASURED
    assert verdict.sentence == f"v was not measured ({status.value}: out of memory)."


def test_a_replayed_variant_gets_the_verdict_of_the_equal_network(make_record: Make) -> None:
    records = [
        make_record(0, variant="first", top1=50, p10=2, arch_id="a" * 12),
        make_record(1, variant="again", top1=50, p10=2, arch_id="a" * 12, status=TrialStatus.REPLAY),
    ]
    first, again = verdicts_of(records, front_of(records))
    assert (first.variant, first.standing) == ("first", Standing.ON_FRONT)
    assert (again.variant, again.standing, again.record) == ("again", Standing.ON_FRONT, records[1])


def test_another_device_is_said_in_the_verdict(make_record: Make) -> None:
    records = [make_record(0, variant="v", top1=60, p10=4), make_record(1, top1=61, p10=3, fingerprint="other")]
    (verdict,) = verdicts_of(records, front_of(records))
    assert verdict.sentence.endswith("measured on different devices.")


def test_verdicts_come_by_latency_and_the_unmeasured_last(make_record: Make) -> None:
    records = [
        make_record(0, variant="failed", status=TrialStatus.FAILED),
        make_record(1, variant="slow", p10=9),
        make_record(2, variant="fast", p10=1),
        make_record(3),
    ]
    assert [verdict.variant for verdict in verdicts_of(records, front_of(records))] == ["fast", "slow", "failed"]


def test_an_interrupted_trial_of_a_variant_is_no_second_verdict(make_record: Make) -> None:
    stopped = make_record(0, variant="small", status=TrialStatus.INTERRUPTED, top1=None, p10=None)
    waiting = make_record(1, variant="large", status=TrialStatus.INTERRUPTED, top1=None, p10=None)
    again = make_record(2, variant="small", top1=50, p10=2)
    found = verdicts_of([stopped, waiting, again], front_of([stopped, waiting, again]))
    assert [(each.variant, each.record.trial, each.standing) for each in found] == [
        ("small", 2, Standing.ON_FRONT),
        ("large", 1, Standing.NOT_MEASURED),
    ]
    assert found[1].sentence == "large is not measured yet (interrupted)."
