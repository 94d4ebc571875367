from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from makers import make_noise, make_record

from archsearch.records import Record, TrialStatus
from archsearch.search.importance import METHODS, importances

LEVELS: Mapping[str, tuple[Any, ...]] = {
    "kernel": (3, 5, 7),
    "attention": ("none", "se"),
    "residual": (False, True),
    "head": ("gap",),
}


def drawn(count: int, *, seed: int = 0) -> list[Record]:
    """Networks drawn at random: the kernel sets the latency, the attention the error."""
    generator = np.random.default_rng(seed)
    records = []
    for trial in range(count):
        point = {name: values[int(generator.integers(len(values)))] for name, values in LEVELS.items()}
        error = 50.0 - 8.0 * (point["attention"] == "se") + 0.5 * float(generator.normal())
        ms = 0.5 * point["kernel"] * float(np.exp(0.05 * generator.normal()))
        records.append(replace(make_record(trial, top1=100.0 - error, p10=ms), suggested=point))
    return records


def test_the_choice_that_acts_has_the_largest_share_of_each_objective() -> None:
    found = importances(drawn(150))
    assert (found.networks, found.constant, found.left_out, found.reason) == (150, ("head",), 0, "")
    assert [(table.objective, table.method) for table in found.rankings] == [
        (objective, method.name) for objective in ("error_percent", "latency_ms") for method in METHODS
    ]
    for table in found.rankings:
        first = table.rows[0]
        assert first.choice == {"error_percent": "attention", "latency_ms": "kernel"}[table.objective]
        assert first.share > (0.6 if table.method == "PED-ANOVA" else 0.9)  # the best tenth are 15 networks
        assert sum(row.share for row in table.rows) == pytest.approx(1.0)
        assert all(0.0 <= row.share <= 1.0 for row in table.rows)
        assert {row.choice for row in table.rows} == {"kernel", "attention", "residual"}
        if table.method == "PED-ANOVA":
            assert first.told_from_chance
            assert all(row.chance is not None for row in table.rows)
    assert "observational" in found.note


def test_shares_are_those_of_optunas_own_call() -> None:
    records = drawn(80)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    kinds = {
        name: optuna.distributions.CategoricalDistribution([str(value).lower() for value in LEVELS[name]])
        for name in ("kernel", "attention", "residual")
    }
    study.add_trials(
        optuna.trial.create_trial(
            params={name: str(record.suggested[name]).lower() for name in kinds},
            distributions=kinds,
            value=record.error_percent,
        )
        for record in records
    )
    theirs = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.1)
    )
    table = importances(records, chance=False).ranking("error_percent", "PED-ANOVA")
    assert table is not None
    assert {row.choice: pytest.approx(row.share) for row in table.rows} == theirs
    assert all(row.chance is None and row.told_from_chance is None for row in table.rows)


def test_shares_are_optunas_where_levels_are_missing_among_the_best_and_values_are_tied() -> None:
    generator = np.random.default_rng(5)
    levels = {"a": (1, 2), "b": tuple("pqrstuvw"), "c": (None, True, 0.5)}
    records = []
    for trial in range(30):  # the best tenth is three networks and all that are equal to the third
        point = {name: values[int(generator.integers(len(values)))] for name, values in levels.items()}
        top1 = float(generator.integers(50, 60))
        records.append(replace(make_record(trial, top1=top1), suggested=point))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    kinds = {name: optuna.distributions.CategoricalDistribution(list(map(str, levels[name]))) for name in levels}
    study.add_trials(
        optuna.trial.create_trial(
            params={name: str(record.suggested[name]) for name in levels},
            distributions=kinds,
            value=record.error_percent,
        )
        for record in records
        if record.suggested is not None
    )
    theirs = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.1)
    )
    table = importances(records, ("error_percent",), methods=("PED-ANOVA",)).rankings[0]
    assert {row.choice: pytest.approx(row.share) for row in table.rows} == theirs


def test_the_same_records_give_the_same_shares() -> None:
    assert importances(drawn(60), seed=3) == importances(drawn(60), seed=3)


@pytest.mark.parametrize(
    "records",
    [
        [],
        drawn(1),
        drawn(19),
        [replace(each, status=TrialStatus.FAILED, score=None) for each in drawn(40)],
        [replace(each, status=TrialStatus.REJECTED) for each in drawn(40)],
        [replace(each, arch_id="a" * 12) for each in drawn(40)],
    ],
    ids=["none", "one", "few", "failed", "rejected", "duplicates"],
)
def test_too_few_networks_give_a_reason(records: list[Record]) -> None:
    found = importances(records)
    assert found.rankings == ()
    assert "at least 20" in found.reason


def test_equal_values_and_one_point_give_a_reason() -> None:
    records = drawn(30)
    equal = importances([replace(each, score=records[0].score, latency=records[0].latency) for each in records])
    assert all(table.rows == () and table.reason.startswith("all networks have the same") for table in equal.rankings)
    alone = importances([replace(each, suggested=records[0].suggested) for each in records])
    assert (alone.rankings, alone.reason) == ((), "every choice had one value in all networks")


def test_an_error_over_the_classes_is_an_error_and_not_a_cost() -> None:
    alike = [
        replace(each, score=replace(each.score, balanced_top1_percent=each.score.top1_percent))
        for each in make_noise(seed=1)
        if each.score is not None
    ]
    found = importances(alike, ("error_percent", "balanced_error_percent"), methods=("fANOVA",))
    errors, over_classes = (each.rows for each in found.rankings)
    assert errors and over_classes == errors


def test_with_noise_alone_one_study_in_twenty_names_a_choice_as_above_chance() -> None:
    named, studies = 0, 200
    for seed in range(studies):
        ranking = importances(make_noise(seed=seed), ("error_percent",), methods=("PED-ANOVA",)).rankings[0]
        named += any(row.told_from_chance for row in ranking.rows)
        assert ranking.sentence.endswith("none.") != any(row.told_from_chance for row in ranking.rows)
    # 5 %, by three standard errors of a share of 200: 0.4 % to 9.6 %
    assert abs(named / studies - 0.05) < 3.0 * math.sqrt(0.05 * 0.95 / studies)


def test_two_values_tied_all_over_give_numbers() -> None:
    records = [replace(each, latency=replace(each.latency, p10_ms=1.0 + each.trial % 2)) for each in drawn(40)]
    for table in importances(records).rankings:
        assert table.rows or table.reason
        assert all(math.isfinite(row.share) for row in table.rows)


def test_networks_outside_the_search_space_are_left_out_and_counted() -> None:
    found = importances([*drawn(30), make_record(90, variant="x")], methods=("PED-ANOVA",), chance=False)
    assert (found.networks, found.left_out) == (30, 1)


def test_of_very_many_networks_the_forest_sees_a_part() -> None:
    found = importances(drawn(10_000), ("latency_ms",), chance=False)
    assert {table.method: table.networks for table in found.rankings} == {"PED-ANOVA": 10_000, "fANOVA": 1_000}
    assert all(table.rows[0].choice == "kernel" for table in found.rankings)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown methods"):
        importances([], methods=("SHAP",))
