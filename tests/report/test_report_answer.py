from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint
from archsearch.designs import Design, DesignPoint
from archsearch.noise import NO_FLOOR
from archsearch.records import Record, TrialStatus
from archsearch.report.answer import answer_sentences, chosen_rows, margin_points, picks_of, told_apart
from archsearch.report.data import ReportData

Make = Callable[..., Record]
Data = Callable[..., ReportData]


def roles(data: ReportData) -> dict[int, tuple[str, ...]]:
    return {row.record.trial: names for row, names in chosen_rows(data.front)}


def test_three_networks_are_taken_from_a_front_that_bends(make_record: Make, make_data: Data) -> None:
    # Over guessing one of ten classes the best gains 50: at least 10 + 0.8 * 50 = 50 % is within reason: not trial 0.
    points = [(0, 45.0, 1.0), (1, 51.0, 2.0), (2, 58.0, 3.0), (3, 60.0, 9.0)]
    data = make_data([make_record(trial, top1=top1, p10=p10) for trial, top1, p10 in points])
    # Scaled sums of (error, latency): 1.0, 0.6 + 0.125, 0.133 + 0.25, 1.0: the knee is trial 2.
    assert roles(data) == {1: ("fastest within reason",), 2: ("knee",), 3: ("most accurate",)}


def test_one_network_may_have_several_roles(make_record: Make, make_data: Data) -> None:
    data = make_data([make_record(0, top1=50.0, p10=1.0), make_record(1, top1=50.5, p10=4.0)])
    assert roles(data) == {0: ("fastest within reason",), 1: ("most accurate", "knee")}
    assert [pick.trial for pick in picks_of(data)] == [0, 1]


def test_a_front_worse_than_guessing_still_has_an_answer(make_record: Make, make_data: Data) -> None:
    data = make_data([make_record(0, top1=9.0, p10=2.0), make_record(1, top1=8.0, p10=1.0)])
    assert roles(data) == {0: ("most accurate", "fastest within reason", "knee")}


@pytest.mark.parametrize("count", [1, 5])
def test_equal_networks_are_one_answer(count: int, make_record: Make, make_data: Data) -> None:
    data = make_data([make_record(trial) for trial in range(count)])
    picks = picks_of(data)
    assert [pick.trial for pick in picks] == [0]
    said = answer_sentences(data, picks)[0]
    assert ("One network is complete" if count == 1 else "All 5 complete networks have the same") in said


def test_without_a_complete_trial_the_reasons_are_said(make_record: Make, make_data: Data) -> None:
    assert answer_sentences(make_data([]), ()) == ("There is no network to take yet: the study has no trials.",)
    failed = [
        make_record(trial, top1=None, p10=None, status=TrialStatus.FAILED, reason="out of memory") for trial in range(2)
    ]
    rejected = [make_record(2, top1=None, status=TrialStatus.REJECTED, reason="params 9 M exceed 5 M")]
    said = answer_sentences(make_data(failed + rejected), ())
    assert said[0].endswith("none of the study's trials is complete (2 failed, 1 rejected).")
    assert said[1:] == ("2 trials: out of memory", "1 trial: params 9 M exceed 5 M")


def test_a_margin_is_that_of_two_counts(make_record: Make) -> None:
    # 1.96 * sqrt(0.5 * 0.5 / 2500 + 0.5 * 0.5 / 2500) = 1.96 * sqrt(0.0002) = 2.77 points
    one, other = (make_record(trial, top1=50.0, eval_images=2500).score for trial in (0, 1))
    assert one is not None
    assert other is not None
    assert margin_points(one, other) == pytest.approx(2.77, abs=0.005)
    assert margin_points(replace(one, eval_images=0), other) is None


def test_networks_within_the_margin_are_not_told_apart(make_record: Make, make_data: Data) -> None:
    near = [make_record(0, top1=50.0, p10=1.0, eval_images=2500), make_record(1, top1=52.0, p10=4.0, eval_images=2500)]
    far = [near[0], make_record(1, top1=54.0, p10=4.0, eval_images=2500)]
    assert not told_apart(*near)
    assert told_apart(*far)
    data = make_data(near)
    assert "trial 0, the fastest, is the safest to take" in answer_sentences(data, picks_of(data))[1]
    assert "2.00 points less accurate (too little to tell), 4.0 times as fast." in picks_of(data)[0].why[0]
    data = make_data(far)
    assert "safest" not in answer_sentences(data, picks_of(data))[1]


def test_a_network_without_confirmation_says_so_and_how_to_get_one(make_record: Make, make_data: Data) -> None:
    pick = picks_of(make_data([make_record(7, seed=3)], storage="sqlite:///my.db"))[0]
    assert pick.certainty[0] == "One seed (3), 8 epochs, not confirmed."
    assert not pick.confirmed
    assert pick.confirm == "archsearch confirm --study study --storage sqlite:///my.db"
    assert pick.command == "archsearch retrain --study study --storage sqlite:///my.db --trial 7"


def confirmation(record: Record, **changes: Any) -> Confirmed:
    point = DesignPoint(
        name=record.label, family=record.family, choices=record.choices, arch_id=record.arch_id, trial=record.trial
    )
    facts: dict[str, Any] = {
        "point": point,
        "n": 5,
        "error_percent": 49.0,
        "error_low": 48.0,
        "error_high": 50.5,
        "latency_ms": 5.1,
        "latency_low": 5.0,
        "latency_high": 5.2,
        "params": 1,
        "macs": 1,
        "values": (49.0, 5.1),
        "on_front": True,
        "probability_on_front": 0.83,
        "original_values": None,
        "was_on_front": True,
        "sentence": "It stays.",
    }
    return Confirmed(
        design=Design(purpose="confirm", of="study", points=(point,), seeds=(0, 1, 2, 3, 4)),
        objectives=("error_percent", "latency_ms"),
        points=(ConfirmedPoint(**{**facts, **changes}),),
        confidence=0.95,
        noise_floor=NO_FLOOR,
        draws=1000,
        method="Means over seeds.",
        warnings=(),
    )


def with_confirmation(records: Sequence[Record], make_data: Data, **changes: Any) -> ReportData:
    data = make_data(records)
    return replace(data, plots=replace(data.plots, confirmed=confirmation(records[0], **changes)))


def test_a_confirmed_network_has_interval_and_probability(make_record: Make, make_data: Data) -> None:
    pick = picks_of(with_confirmation([make_record(0)], make_data))[0]
    assert pick.confirmed
    assert pick.confirm is None
    # An error between 48.0 and 50.5 % is a top-1 between 49.5 and 52.0 %.
    assert pick.certainty == (
        "Confirmed with 5 seeds: top-1 51.00 % (49.50 to 52.00), latency 5.10 ms (5.00 to 5.20) (95 % intervals).",
        "On the front with a probability of 83 %.",
    )


def test_a_confirmation_of_one_seed_claims_no_probability(make_record: Make, make_data: Data) -> None:
    alone = {"n": 1, "error_low": None, "error_high": None, "latency_low": None, "latency_high": None}
    pick = picks_of(with_confirmation([make_record(0)], make_data, **alone, probability_on_front=None))[0]
    assert pick.certainty == (
        "Confirmed with 1 seed: top-1 51.00 %, latency 5.10 ms.",
        "How probably it is on the front cannot be told from so few seeds.",
    )


def test_a_confirmation_without_a_trial_confirms_nothing(make_record: Make, make_data: Data) -> None:
    assert not picks_of(with_confirmation([make_record(0)], make_data, n=0))[0].confirmed
