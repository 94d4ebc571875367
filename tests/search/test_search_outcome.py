"""What the sampler is told, by hand arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from makers import make_latency, make_score

from archsearch.records import Cost, EarlyStop, Latency, Record, TrialStatus
from archsearch.search.config import Constraints, StudyConfig
from archsearch.search.outcome import (
    Outcome,
    broken,
    constraint_excess,
    outcome_of,
    reference_point_of,
    told_excess,
    values_of,
)

COST = Cost(params=300, macs=5000, input_size=32, num_classes=10)
POINT = {"error_percent": 90.0, "latency_ms": 16.0, "params": 1200.0}


def latency(**changes: Any) -> Latency:
    facts = {"median_ms": 3.5, "p90_ms": 5.0, "reference_p10_ms": 6.0, "study_reference_ms": 4.0, "bursts": 2, "n": 20}
    return make_latency(3.0, **(facts | changes))


SCORE = make_score(62.5, epochs=1)


def test_excess_is_the_share_of_the_bound() -> None:
    bounds = Constraints(params=200, macs=10_000, latency_ms=2.0)
    # 300 / 200 - 1; 5000 / 10000 - 1; drift-corrected latency 0.5 x 4 ms = 2 ms stands at its bound
    excess = constraint_excess(bounds, COST, latency())
    assert excess == {"params": 0.5, "macs": -0.5, "latency_ms": 0.0}
    assert broken(excess) == ("params",)


def test_a_bound_is_inclusive_and_only_bounds_that_are_set_count() -> None:
    assert broken(constraint_excess(Constraints(params=300), COST, None)) == ()
    assert broken(constraint_excess(Constraints(params=299), COST, None)) == ("params",)
    assert constraint_excess(Constraints(), COST, latency()) == {}


def test_what_was_not_found_yet_stands_at_its_bound() -> None:
    assert constraint_excess(Constraints(params=100, latency_ms=1.0), COST, None) == {"params": 2.0, "latency_ms": 0.0}


def test_values_are_error_and_drift_corrected_latency_in_the_order_of_objectives() -> None:
    outcome = Outcome(status=TrialStatus.COMPLETE, cost=COST, latency=latency(), score=SCORE)
    # 100 - 62.5; 0.5 x 4 ms (not the 3 ms that the slow moment showed)
    assert values_of(outcome, ("error_percent", "latency_ms"), POINT) == [37.5, 2.0]
    assert values_of(outcome, ("error_percent", "latency_ms", "params"), POINT) == [37.5, 2.0, 300.0]


def test_a_rejected_outcome_is_as_bad_as_the_reference_point_where_unknown() -> None:
    outcome = Outcome(status=TrialStatus.REJECTED, cost=COST)
    assert values_of(outcome, ("error_percent", "latency_ms", "params"), POINT) == [90.0, 16.0, 300.0]


def test_the_default_reference_point_is_guessing_and_four_reference_latencies(make_config: Any) -> None:
    # 10 classes: 100 x (1 - 1/10) = 90 percent; 4 x the study's 4 ms; outside of a study 4 x the 6 ms measured
    assert reference_point_of(make_config(), num_classes=10, latency=latency(), reference_cost=COST) == {
        "error_percent": 90.0,
        "latency_ms": 16.0,
    }
    outside = reference_point_of(
        make_config(), num_classes=4, latency=latency(study_reference_ms=None), reference_cost=COST
    )
    assert outside == {"error_percent": 75.0, "latency_ms": 24.0}


def test_a_study_may_give_its_reference_point_in_part(make_config: Any) -> None:
    config = make_config(
        reference_point={"latency_ms": 7.5}, objectives=["error_percent", "latency_ms", "macs"]
    )  # macs: 4 x 5000
    point = reference_point_of(config, num_classes=10, latency=latency(), reference_cost=COST)
    assert point == {"error_percent": 90.0, "latency_ms": 7.5, "macs": 20_000.0}


@pytest.mark.parametrize(
    ("status", "params", "told"),
    [
        (TrialStatus.COMPLETE, 1000, TrialStatus.COMPLETE),
        (TrialStatus.REPLAY, 1000, TrialStatus.COMPLETE),
        (TrialStatus.REPLAY, 100, TrialStatus.REJECTED),
        (TrialStatus.FAILED, 1000, TrialStatus.FAILED),
    ],
)
def test_a_replay_counts_as_what_it_repeats(status: TrialStatus, params: int, told: TrialStatus) -> None:
    record = Record(
        study="s", trial=0, arch_id="a", family="f", choices={}, suggested={}, status=status, cost=COST, score=SCORE
    )
    assert outcome_of(record, Constraints(params=params)).status is told


def early(**changes: Any) -> EarlyStop:
    facts: dict[str, Any] = {
        "policy": "predicted", "epoch": 2, "of_epochs": 8, "error_percent": 60.0, "expected_error_percent": 40.0,
        "optimistic_error_percent": 35.0, "stopped": True,
    }  # fmt: skip
    return EarlyStop(**(facts | changes))


def test_a_stopped_outcome_is_told_with_the_error_expected_of_it_or_else_its_last_one() -> None:
    stopped = Outcome(
        status=TrialStatus.STOPPED, cost=COST, latency=latency(), score=replace(SCORE, epochs=2), early_stop=early()
    )
    objectives = ("error_percent", "latency_ms", "params")
    assert values_of(stopped, objectives, POINT) == [40.0, 2.0, 300.0]
    blind = replace(stopped, early_stop=early(expected_error_percent=None))
    assert values_of(blind, objectives, POINT) == [37.5, 2.0, 300.0]
    spared = replace(stopped, status=TrialStatus.COMPLETE, early_stop=early(stopped=False, exempt="drawn"))
    assert values_of(spared, objectives, POINT) == [37.5, 2.0, 300.0]


@pytest.mark.parametrize(
    ("status", "told"),
    # 2 of 8 epochs done: three quarters spared
    [(TrialStatus.STOPPED, 0.75), (TrialStatus.COMPLETE, -1.0), (TrialStatus.REJECTED, 0.0)],
)
def test_under_a_stopping_rule_every_outcome_names_the_same_constraints(
    make_config: Any, status: TrialStatus, told: float
) -> None:
    proxy = {"epochs": 8, "validation_images": 32}
    outcome = Outcome(status=status, score=replace(SCORE, epochs=2), excess={"params": -0.5})
    config = make_config(proxy=proxy, stopping={"policy": "mo_asha"})
    assert told_excess(outcome, config) == {"params": -0.5, "early_stop": told}
    assert told_excess(outcome, make_config(proxy=proxy)) == {"params": -0.5}


def test_a_replay_of_a_stopped_trial_is_stopped() -> None:
    record = Record(
        study="s", trial=0, arch_id="a", family="f", choices={}, suggested={}, status=TrialStatus.REPLAY,
        cost=COST, latency=latency(), score=SCORE, early_stop=early(),
    )  # fmt: skip
    assert outcome_of(record, Constraints()).status is TrialStatus.STOPPED
    spared = replace(record, early_stop=early(stopped=False))
    assert outcome_of(spared, Constraints()).status is TrialStatus.COMPLETE
    assert outcome_of(record, Constraints(params=100)).status is TrialStatus.REJECTED


def test_the_sampler_is_told_the_balanced_error() -> None:
    objectives = ("error_percent", "latency_ms", "balanced_error_percent")
    config = StudyConfig(name="x", space="shufflenet_v2", dataset="digits", objectives=objectives)
    point = reference_point_of(config, num_classes=4, latency=latency(), reference_cost=COST)
    assert point["balanced_error_percent"] == 75.0  # an answer that ignores the image has a mean recall of 1 / 4
    score = replace(SCORE, balanced_top1_percent=40.0)
    outcome = Outcome(status=TrialStatus.COMPLETE, cost=COST, latency=latency(), score=score)
    assert values_of(outcome, objectives, point) == [37.5, 2.0, 60.0]
