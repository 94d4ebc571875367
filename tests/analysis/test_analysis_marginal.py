from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from makers import make_noise

from archsearch.analysis.levels import networks_of
from archsearch.analysis.marginal import MIN_LEVEL, marginal_effects
from archsearch.errors import ConfigError
from archsearch.records import Record, TrialStatus
from archsearch.text import level_text

Make = Callable[..., Record]
LEVELS: Mapping[str, tuple[Any, ...]] = {
    "kernel": (3, 5, 7),
    "attention": ("none", "se", "eca"),
    "residual": (False, True),
    "ratio": (0.25, 0.5),
    "head": ("gap",),
}
ERROR = {3: 2.0, 5: 0.0, 7: -2.0}  # points of error, and factors of latency
FACTOR = {3: 0.8, 5: 1.0, 7: 1.25}


def drawn(make_record: Make, count: int, *, seed: int = 0, noise: float = 0.5) -> list[Record]:
    """Networks drawn at random: the kernel alone acts, on both objectives."""
    generator = np.random.default_rng(seed)
    records = []
    for trial in range(count):
        point = {name: values[int(generator.integers(len(values)))] for name, values in LEVELS.items()}
        error = 50.0 + ERROR[point["kernel"]] + noise * generator.normal()
        ms = 2.0 * FACTOR[point["kernel"]] * float(np.exp(0.02 * generator.normal()))
        records.append(replace(make_record(trial, top1=100.0 - error, p10=ms), suggested=point))
    return records


def test_effects_are_found_with_intervals_that_hold_them(make_record: Make) -> None:
    found = marginal_effects(drawn(make_record, 300))
    assert (found.networks, found.constant, found.left_out, found.reason) == (300, ("head",), 0, "")
    error, latency = found.models
    assert (error.unit, latency.unit) == ("points", "%")
    assert error.choices[0] == latency.choices[0] == "kernel"
    kernels = {effect.value: effect for effect in error.effects if effect.choice == "kernel"}
    # against the average network: the mean of the effects, weighted by how often each level was drawn, is 0
    mean = sum(ERROR[value] * effect.networks for value, effect in kernels.items()) / 300
    for value, effect in kernels.items():
        assert effect.low <= ERROR[value] - mean <= effect.high
        assert effect.effect == pytest.approx(ERROR[value] - mean, abs=0.2)
    times = {effect.value: effect for effect in latency.effects if effect.choice == "kernel"}
    log_mean = sum(np.log(FACTOR[value]) * effect.networks for value, effect in times.items()) / 300
    for value, effect in times.items():
        assert effect.effect == pytest.approx(100.0 * (FACTOR[value] / np.exp(log_mean) - 1.0), abs=1.0)
    others = [effect for effect in error.effects if effect.choice != "kernel"]
    assert sum(bool(effect.told_from_zero) for effect in others) <= 1
    # the kernel's effects have a variance of 8/3 around a noise of 0.25: the most that any model could predict is 0.914
    assert 0.85 < error.r2 < 0.95
    assert "observational" in found.note


def test_effects_are_those_of_least_squares(make_record: Make) -> None:
    records = drawn(make_record, 200, noise=2.0)
    found = {
        (effect.choice, effect.value): effect.effect
        for effect in marginal_effects(records, ("error_percent",), bootstraps=0).models[0].effects
    }
    # the same by numpy: one column for each level but the first of each choice
    columns = [(name, value) for name, values in LEVELS.items() for value in values[1:]]
    matrix = np.array([[1.0, *(record.suggested[name] == value for name, value in columns)] for record in records])
    target = np.array([record.error_percent for record in records])
    solved = dict(zip(columns, np.linalg.lstsq(matrix, target, rcond=None)[0][1:], strict=True))
    for name, values in LEVELS.items():
        if len(values) > 1:
            for value in values[1:]:
                assert found[name, value] - found[name, values[0]] == pytest.approx(solved[name, value], abs=0.05)


def test_intervals_miss_no_effect_about_one_time_in_twenty(make_record: Make) -> None:
    held = []
    for seed in range(8):
        model = marginal_effects(drawn(make_record, 90, seed=seed), ("error_percent",), seed=seed).models[0]
        held += [not effect.told_from_zero for effect in model.effects if effect.choice != "kernel"]
    assert 0.85 < np.mean(held) <= 1.0


def test_without_any_effect_one_study_in_twenty_names_one(make_record: Make) -> None:
    named, studies = 0, 60
    for seed in range(studies):
        model = marginal_effects(make_noise(seed=seed), ("error_percent",), seed=seed).models[0]
        told = sum(bool(effect.told_among_all) for effect in model.tested)
        assert f"; {told} of {len(model.tested)} effects can be told from 0." in model.sentence
        named += told > 0
    assert named / studies < 0.05 + 3.0 * (0.05 * 0.95 / studies) ** 0.5


def test_effects_that_there_are_are_told_among_all_and_two_levels_are_one(make_record: Make) -> None:
    model = marginal_effects(drawn(make_record, 300), ("error_percent",)).models[0]
    # a kernel of 3 costs 2 points and one of 7 saves 2, with a standard error near sqrt(0.25 / 100); 5 is the average
    assert all(each.told_among_all for each in model.effects if each.choice == "kernel" and each.value != 5)
    # three levels of two choices, and once each of residual and ratio, with two
    assert (len(model.effects), len(model.tested)) == (10, 8)
    for choice in ("residual", "ratio"):
        assert len({each.told_among_all for each in model.effects if each.choice == choice}) == 1
    assert marginal_effects(drawn(make_record, 60), bootstraps=0).models[0].tested == ()


def test_a_network_of_several_records_counts_once(make_record: Make) -> None:
    records = drawn(make_record, 60)
    again = [replace(record, trial=record.trial + 100) for record in records]
    once, twice = marginal_effects(records), marginal_effects([*records, *again])
    assert twice.networks == 60
    assert twice.models == once.models


def test_noise_alone_is_said_to_be_noise(make_record: Make) -> None:
    generator = np.random.default_rng(1)
    records = [
        replace(record, score=replace(record.score, top1_percent=float(generator.normal(50.0, 3.0))))
        for record in drawn(make_record, 60)
    ]
    model = marginal_effects(records, ("error_percent",)).models[0]
    assert model.r2 is not None
    assert model.r2 <= 0.0
    assert "no better than their mean" in model.reason


def test_a_rare_level_has_no_interval(make_record: Make) -> None:
    records = drawn(make_record, 60)
    rare = [replace(each, suggested={**each.suggested, "kernel": 9}) for each in records[: MIN_LEVEL - 1]]
    model = marginal_effects([*rare, *records[MIN_LEVEL - 1 :]]).models[0]
    assert [(effect.low, effect.networks) for effect in model.effects if effect.value == 9] == [(None, MIN_LEVEL - 1)]
    assert all(effect.low is not None for effect in model.effects if effect.value != 9)


@pytest.mark.parametrize(
    "records",
    [
        lambda make: [],
        lambda make: drawn(make, 1),
        lambda make: drawn(make, 19),
        lambda make: [replace(each, status=TrialStatus.FAILED, score=None) for each in drawn(make, 40)],
        lambda make: [replace(each, status=TrialStatus.REJECTED) for each in drawn(make, 40)],
    ],
)
def test_too_few_networks_give_a_reason(make_record: Make, records: Callable[[Make], list[Record]]) -> None:
    found = marginal_effects(records(make_record))
    assert found.models == ()
    assert "at least 20" in found.reason


def test_more_levels_need_more_networks(make_record: Make) -> None:
    # 41 levels of a further choice: 40 + 2 + 2 + 1 + 1 free ones, times 1.5
    records = [replace(each, suggested={**each.suggested, "width": each.trial % 41}) for each in drawn(make_record, 60)]
    assert (
        marginal_effects(records).reason
        == "60 complete networks of the search space; marginal effects need at least 69"
    )


def test_equal_values_and_one_point_give_a_reason(make_record: Make) -> None:
    records = drawn(make_record, 30)
    equal = [replace(each, score=records[0].score, latency=records[0].latency) for each in records]
    found = marginal_effects(equal)
    assert [model.reason for model in found.models] == [
        "all networks have the same validation top-1 error",
        "all networks have the same latency",
    ]
    assert all((model.effects, model.r2) == ((), None) for model in found.models)
    alone = marginal_effects([replace(each, suggested=records[0].suggested) for each in records])
    assert (alone.models, alone.reason) == ((), "every choice had one value in all networks")


def test_levels_that_always_occur_together_share_their_effect(make_record: Make) -> None:
    records = [
        replace(each, suggested={**each.suggested, "twin": each.suggested["kernel"]}) for each in drawn(make_record, 90)
    ]
    model = marginal_effects(records, ("error_percent",)).models[0]
    found = {(effect.choice, effect.value): effect.effect for effect in model.effects}
    for value in (3, 5, 7):
        assert found["kernel", value] == pytest.approx(found["twin", value], abs=1e-6)
        assert np.isfinite(found["kernel", value])


def test_what_is_outside_the_search_space_is_left_out_and_counted(make_record: Make) -> None:
    records = [*drawn(make_record, 40), make_record(90, variant="x"), make_record(91, p10=float("nan"))]
    found = marginal_effects(records)
    assert (found.networks, found.left_out) == (40, 2)


def test_true_is_not_one_and_one_is_one_point_zero(make_record: Make) -> None:
    values = (True, 1, 1.0, "1", None, 0.5, "none")
    assert [level_text(value) for value in values] == ["true", "1", "1", "1", "none", "0.5", "none"]
    records = [
        replace(make_record(trial), suggested={"a": value})
        for trial, value in enumerate((7, 1.0, True, 0.5, "none", "b", 1))
    ]
    assert networks_of(records, ("latency_ms",)).levels["a"] == ("none", True, 0.5, 1.0, 7, "b")


def test_ten_thousand_networks(make_record: Make) -> None:
    found = marginal_effects(drawn(make_record, 10_000), bootstraps=20)
    assert found.models[0].effects[0].choice == "kernel"


def test_unknown_and_repeated_objectives_are_refused() -> None:
    for names in (("error_percent", "error_percent"), ("speed",)):
        with pytest.raises(ConfigError):
            marginal_effects([], names)
