from __future__ import annotations

import math
import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from archsearch.analysis.confirmed import DRAWS, confirmed_of
from archsearch.analysis.front import front_of
from archsearch.designs import FRESH_IMAGES, Design, DesignPoint
from archsearch.errors import ArchsearchError
from archsearch.records import Record, TrialStatus

Make = Callable[..., Record]
OBJECTIVES = ("error_percent", "latency_ms")
MONTE_CARLO = 4 * 0.5 / math.sqrt(DRAWS)  # four standard errors of a share


def design(names: Sequence[str], seeds: int) -> Design:
    return Design(
        purpose="confirm",
        of="s",
        points=tuple(DesignPoint(name=name, family="f", choices={}, arch_id=name.ljust(12, "0")) for name in names),
        seeds=tuple(range(seeds)),
    )


def records(
    make_record: Make,
    made: Design,
    error: Mapping[str, Sequence[float]],
    p10: Mapping[str, Sequence[float]],
    params: Mapping[str, int] | None = None,
) -> list[Record]:
    found = []
    for point in made.points:
        for seed, value in enumerate(error[point.name]):
            record = make_record(
                len(found),
                top1=100.0 - value,
                p10=p10[point.name][seed],
                params=(params or {}).get(point.name, 1000),
                seed=seed,
                arch_id=point.arch_id,
            )
            found.append(replace(record, point=point.name))
    return found


def test_the_intervals_are_students_of_the_points_own_seeds(make_record: Make) -> None:
    made = design("a", 3)
    found = confirmed_of(
        records(make_record, made, {"a": [30.0, 31.0, 32.0]}, {"a": [4.0, 5.0, 4.5]}), made, OBJECTIVES, noise_floor=0.0
    )
    (point,) = found.points
    low, high = stats.t.interval(0.95, 2, loc=31.0, scale=1 / math.sqrt(3))
    assert (point.n, point.top1_percent) == (3, pytest.approx(69.0))
    # an error interval is a top-1 interval the other way round
    assert (point.top1_low_percent, point.top1_high_percent) == (pytest.approx(100 - high), pytest.approx(100 - low))
    logs = np.log([4.0, 5.0, 4.5])
    low, high = np.exp(stats.t.interval(0.95, 2, loc=logs.mean(), scale=stats.sem(logs)))
    assert point.latency_ms == pytest.approx(math.exp(logs.mean()))
    assert (point.latency_low_ms, point.latency_high_ms) == (pytest.approx(low), pytest.approx(high))


def test_an_interval_of_an_error_ends_at_0(make_record: Make) -> None:
    made = design("a", 2)
    (point,) = confirmed_of(
        records(make_record, made, {"a": [2.0, 5.0]}, {"a": [4.0, 4.1]}), made, OBJECTIVES, noise_floor=0.0
    ).points
    # 3.5 +- 12.706 x 1.5: -15.6 to 22.6
    assert (point.top1_high_percent, point.top1_low_percent) == (100.0, pytest.approx(96.5 - 12.706 * 1.5, abs=0.01))
    assert "(77.44 to 100.00)" in point.sentence


def test_the_probability_of_two_points_of_equal_cost_is_a_t_tail(make_record: Make) -> None:
    """With params equal only the lower error is on the front: P(a <= b) is Student's t of the difference."""
    made = design("ab", 4)
    error = {"a": [30.0, 31.0, 30.5, 32.0], "b": [31.0, 30.8, 31.5, 32.1]}
    given = records(make_record, made, error, {"a": [5.0, 5.1, 5.0, 5.2], "b": [5.0, 5.1, 5.0, 5.1]})
    found = confirmed_of(given, made, ("error_percent", "params"), noise_floor=0.0)
    differences = np.subtract(error["b"], error["a"])
    # with two points the block design's residual is the paired t test's: 3 degrees of freedom
    expected = stats.t.cdf(differences.mean() / stats.sem(differences), 3)
    assert found.points[0].probability_on_front == pytest.approx(expected, abs=MONTE_CARLO)
    assert found.points[1].probability_on_front == pytest.approx(1 - expected, abs=MONTE_CARLO)
    assert (found.points[0].on_front, found.points[1].on_front) == (True, False)


def balanced(given: Sequence[Record], error: Callable[[float], float]) -> list[Record]:
    """The records with an error over the classes that follows from their error."""
    return [
        replace(each, score=replace(each.score, balanced_top1_percent=100.0 - error(each.error_percent)))
        for each in given
        if each.score is not None
    ]


def test_an_error_over_the_classes_is_a_mean_over_the_seeds_and_as_uncertain_as_the_error(make_record: Make) -> None:
    made, objectives = design("ab", 4), (*OBJECTIVES, "balanced_error_percent")
    error = {"a": [30.0, 31.0, 30.5, 32.0], "b": [31.0, 30.8, 31.5, 32.1]}
    p10 = {"a": [5.0, 5.1, 5.0, 5.2], "b": [5.0, 5.1, 5.0, 5.1]}
    given = records(make_record, made, error, p10)
    # latencies are ties: the lower error is on the front alone, as in the test above, where the classes are alike
    differences = np.subtract(error["b"], error["a"])
    expected = stats.t.cdf(differences.mean() / stats.sem(differences), 3)
    for over_classes in (lambda value: value, lambda value: 2.0 * value - 20.0):
        found = confirmed_of(balanced(given, over_classes), made, objectives, noise_floor=0.5)
        # the means of the errors are 30.875 and 31.35
        assert [point.values[2] for point in found.points] == pytest.approx([over_classes(30.875), over_classes(31.35)])
        chances = [point.probability_on_front for point in found.points]
        assert chances == pytest.approx([expected, 1 - expected], abs=MONTE_CARLO)


def test_what_the_error_over_the_classes_has_of_its_own_is_drawn_too(make_record: Make) -> None:
    # of two networks with one error the classes' errors are 40 and 42, and 42 and 41: as uncertain as their t test says
    made, objectives = design("ab", 2), (*OBJECTIVES, "balanced_error_percent")
    given = records(make_record, made, {"a": [30.0] * 2, "b": [30.0] * 2}, {"a": [5.0, 5.1], "b": [5.0, 5.1]})
    over_classes = iter([40.0, 42.0, 42.0, 41.0])
    found = confirmed_of(balanced(given, lambda _: next(over_classes)), made, objectives, noise_floor=0.5)
    assert [point.values[2] for point in found.points] == pytest.approx([41.0, 41.5])
    # differences 2 and -1: 0.5 with a standard error of 1.5, and one degree of freedom
    expected = stats.t.cdf(0.5 / 1.5, 1)
    chances = [point.probability_on_front for point in found.points]
    assert chances == pytest.approx([expected, 1 - expected], abs=MONTE_CARLO)


def test_latencies_within_the_noise_floor_are_ties_in_every_draw(make_record: Make) -> None:
    made = design("ab", 5)
    error = {"a": [30.0, 30.1, 29.9, 30.0, 30.1], "b": [35.0, 35.1, 34.9, 35.1, 35.0]}
    p10 = {"a": [5.05, 5.06, 5.05, 5.04, 5.05], "b": [5.0, 5.01, 5.0, 4.99, 5.0]}
    given = records(make_record, made, error, p10)
    strict = confirmed_of(given, made, OBJECTIVES, noise_floor=0.0)
    tied = confirmed_of(given, made, OBJECTIVES, noise_floor=0.05)
    # b is 1 % faster and 5 points worse: on the front if 1 % counts, dominated if it is noise
    assert strict.points[1].probability_on_front == pytest.approx(1.0, abs=0.01)
    assert tied.points[1].probability_on_front == 0.0
    assert tied.points[0].probability_on_front == 1.0
    assert "within 5.0 % being ties" in tied.method


def test_what_the_searched_study_said_stands_beside(make_record: Make) -> None:
    made = design("ab", 3)
    error = {"a": [30.0, 31.0, 30.5], "b": [33.0, 33.5, 34.0]}
    p10 = {"a": [5.0, 5.1, 5.05], "b": [5.6, 5.7, 5.65]}
    searched = front_of(
        [
            make_record(7, top1=72.0, p10=5.5, arch_id=made.points[1].arch_id),
            make_record(9, top1=69.0, p10=5.0, arch_id=made.points[0].arch_id),
            make_record(11, top1=60.0, p10=9.0),
        ]
    )
    found = confirmed_of(records(make_record, made, error, p10), made, OBJECTIVES, noise_floor=0.01, original=searched)
    b = found.points[1]
    assert b.was_on_front is True
    assert (b.searched_top1_percent, b.searched_latency_ms) == (pytest.approx(72.0), pytest.approx(5.5))
    assert b.probability_on_front is not None
    assert b.probability_on_front < 0.05
    assert [each.label for each in found.kept] == ["a"]
    assert "it was on the searched front" in b.sentence
    # a had 69.0 % and has 69.5, b had 72.0 and has 66.5: 2.5 points less in the mean
    lost = "the networks of the searched front are 2.50 points less accurate in the mean than the search found."
    assert f"Trained again {lost}" in found.sentences
    assert "so luck with them stays (--fresh-images)" in found.method
    anew = confirmed_of(
        records(make_record, made, error, p10), replace(made, mode=FRESH_IMAGES), OBJECTIVES, noise_floor=0.01,
        original=searched, draws=0,
    )  # fmt: skip
    assert f"Trained again, and validated on other images, {lost}" in anew.sentences


def test_a_network_of_the_front_without_a_trial_is_not_said_to_be_thrown_off_it(make_record: Make) -> None:
    made = design("ab", 2)
    error, p10 = {"a": [30.0, 30.5], "b": [20.0, 20.5]}, {"a": [4.0, 4.1], "b": [6.0, 6.1]}
    given = [
        replace(each, status=TrialStatus.FAILED, score=None, reason="out of memory") if each.point == "b" else each
        for each in records(make_record, made, error, p10)
    ]
    searched = front_of([
        make_record(0, top1=70.0, p10=4.0, arch_id=made.points[0].arch_id),
        make_record(1, top1=80.0, p10=6.0, arch_id=made.points[1].arch_id),
    ])  # fmt: skip
    found = confirmed_of(given, made, OBJECTIVES, noise_floor=0.01, original=searched)
    assert found.sentences[0] == "1 of 1 network of the searched front is more probably on it than not: a."


def test_one_seed_has_no_probability(make_record: Make) -> None:
    made = design("ab", 1)
    given = records(make_record, made, {"a": [30.0], "b": [31.0]}, {"a": [5.0], "b": [4.0]})
    found = confirmed_of(given, made, OBJECTIVES, noise_floor=0.01)
    assert [point.probability_on_front for point in found.points] == [None, None]
    assert [point.on_front for point in found.points] == [True, True]
    assert found.draws == 0
    assert "one seed shows no spread" in found.warnings[0]
    assert "cannot be told" in found.points[0].sentence
    assert "Probability" not in found.method


def test_a_single_network_is_on_its_front_and_its_seeds_show_their_spread(make_record: Make) -> None:
    made = design("a", 3)
    given = records(make_record, made, {"a": [30.0, 31.0, 32.0]}, {"a": [4.0, 5.0, 4.5]})
    found = confirmed_of(given, made, OBJECTIVES, noise_floor=0.0)
    assert (found.points[0].probability_on_front, found.warnings) == (1.0, ())
    # the variance of 30, 31 and 32
    assert found.error_spread is not None
    assert (found.error_spread.variance, found.error_spread.freedom) == (pytest.approx(1.0), 2)


def test_values_that_never_scatter_are_said_to_be_taken_as_exact(make_record: Make) -> None:
    made = design("ab", 3)
    p10 = {"a": [5.0, 5.1, 5.05], "b": [4.0, 4.1, 4.05]}
    found = confirmed_of(
        records(make_record, made, {"a": [30.0] * 3, "b": [30.0] * 3}, p10), made, OBJECTIVES, noise_floor=0.0
    )
    assert any("shows no spread at all" in warning for warning in found.warnings)
    assert found.points[0].top1_low_percent is None


def test_an_interval_that_is_missing_because_all_seeds_agree_is_told_and_the_other_one_is_named(
    make_record: Make,
) -> None:
    made = design("ab", 2)
    error, p10 = {"a": [30.0, 30.0], "b": [20.0, 21.0]}, {"a": [4.0, 4.1], "b": [6.0, 6.1]}
    found = confirmed_of(records(make_record, made, error, p10), made, OBJECTIVES, noise_floor=0.0)
    assert found.points[0].top1_low_percent is None and found.points[0].latency_low_ms is not None
    assert "(n = 2 seeds, 95 % intervals)" in found.points[0].sentence
    assert found.warnings == ("no interval, because no spread is seen: a",)


def test_a_latency_in_doubt_is_told_by_its_name_in_the_search(make_record: Make) -> None:
    made = design(["trial 33", "trial 7"], 2)
    error = {"trial 33": [30.0, 30.5], "trial 7": [20.0, 21.0]}
    first, *rest = records(make_record, made, error, {"trial 33": [4.0, 4.1], "trial 7": [6.0, 6.1]})
    assert first.latency is not None
    doubtful = replace(first, latency=replace(first.latency, converged=False, contended=True))
    again = "more seeds measure every network again, best while nothing else runs"
    assert confirmed_of([doubtful, *rest], made, OBJECTIVES, noise_floor=0.0).warnings == (
        f"the latency of trial 33 did not converge, so it may be wrong: {again}",
        f"other work may have slowed the device while it measured trial 33, so latencies may be too high: {again}",
    )


def test_the_same_seed_draws_the_same_fronts(make_record: Make) -> None:
    made = design("abc", 3)
    generator = np.random.default_rng(2)
    error = {name: (30 + generator.normal(size=3)).tolist() for name in "abc"}
    p10 = {name: (5 + 0.1 * generator.normal(size=3)).tolist() for name in "abc"}
    given = records(make_record, made, error, p10)
    one = confirmed_of(given, made, OBJECTIVES, noise_floor=0.01)
    assert confirmed_of(given, made, OBJECTIVES, noise_floor=0.01) == one
    other = confirmed_of(given, made, OBJECTIVES, noise_floor=0.01, seed=1)
    for point, again in zip(one.points, other.points, strict=True):
        assert point.probability_on_front == pytest.approx(again.probability_on_front, abs=2 * MONTE_CARLO)


def test_a_failed_trial_leaves_its_point_with_fewer_seeds(make_record: Make) -> None:
    made = design("ab", 3)
    error = {"a": [30.0, 31.0, 30.5], "b": [31.0, 31.8, 31.5]}
    p10 = {"a": [5.0, 5.1, 5.05], "b": [4.0, 4.1, 4.05]}
    given = records(make_record, made, error, p10)
    given[4] = replace(given[4], status=TrialStatus.FAILED, score=None, reason="diverged")
    found = confirmed_of(given, made, OBJECTIVES, noise_floor=0.0)
    assert [point.n for point in found.points] == [3, 2]
    assert found.subtitle == ("2 networks, 2 to 3 seeds each, latency measured anew with each",)
    assert found.warnings[0] == "without a result, so left out: b with seed 1 (failed: diverged)"


def test_all_failed_or_no_record_has_points_without_numbers(make_record: Make) -> None:
    made = design("ab", 2)
    failed = [
        replace(make_record(index, top1=None, p10=None, status=TrialStatus.FAILED), point="a") for index in range(2)
    ]
    for given in ([], failed):
        found = confirmed_of(given, made, OBJECTIVES, noise_floor=0.01)
        assert [point.n for point in found.points] == [0, 0]
        assert found.points[0].values == ()
        assert found.points[0].probability_on_front is None
        assert "no trial has completed" in found.points[0].sentence
    with pytest.raises(ArchsearchError):
        confirmed_of([], made, ("error_percent", "speed"), noise_floor=0.0)


def test_thousands_of_points_are_drawn_less_often_and_it_is_said(make_record: Make) -> None:
    names = [f"p{index}" for index in range(1500)]
    made = design(names, 2)
    error = {name: [30.0 + index * 0.01, 30.3 + index * 0.01] for index, name in enumerate(names)}
    p10 = {name: [9.0 - index * 0.001, 9.01 - index * 0.001] for index, name in enumerate(names)}
    found = confirmed_of(
        records(make_record, made, error, p10), made, ("error_percent", "params"), noise_floor=0.0, draws=220
    )
    assert found.draws == 220
    assert confirmed_of([], made, OBJECTIVES, noise_floor=0.0).draws == 0
    assert "share of 220 drawn fronts" in found.method


def test_networks_are_on_the_front_as_often_as_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    script = runpy.run_path(str(folder / "confirm_calibration.py"))
    found = [
        script["said_and_true"](script["SETTINGS"][name], 12, draws=100, seed=1)
        for name in ("scattered", "close", "curved", "searched")
    ]
    said, true = (np.concatenate(values) for values in zip(*found, strict=True))
    bins = script["binned"](said, true)
    assert len(bins) == 5 and sum(count for _, _, count in bins) == 12 * (3 * 12 + 20)
    for stated, share, count in bins:
        assert abs(stated - share) <= 0.07 + 2 * math.sqrt(stated * (1 - stated) / count)
