from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from archsearch.analysis.intervals import PooledVariance, additive_fit, mean_interval


def test_the_interval_of_three_values_by_hand() -> None:
    # mean 2, standard deviation 1, standard error 1 / sqrt(3) = 0.57735; t(0.975, 2 df) = 4.30265 (any table)
    found = mean_interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.alone_low == pytest.approx(2.0 - 4.30265 * 0.57735, abs=1e-4)
    assert found.alone_high == pytest.approx(2.0 + 4.30265 * 0.57735, abs=1e-4)
    assert (found.low, found.high) == (found.alone_low, found.alone_high)  # one comparison


def test_the_interval_for_many_comparisons_is_bonferronis() -> None:
    values = [0.3, -0.2, 1.1, 0.6, 0.9]
    found = mean_interval(values, comparisons=19)
    low, high = stats.t.interval(1 - 0.05 / 19, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.alone_low, found.alone_high) == (pytest.approx(low), pytest.approx(high))


def test_a_known_spread_takes_the_place_of_the_values_own() -> None:
    # variance 4 with 10 degrees of freedom, 4 values: standard error 1; t(0.975, 10 df) = 2.22814
    found = mean_interval([1.0, 1.0, 1.0, 1.0], spread=PooledVariance(variance=4.0, freedom=10))
    assert found.low == pytest.approx(1.0 - 2.22814, abs=1e-4)


@pytest.mark.parametrize(
    ("values", "spread", "note"),
    [
        ([], None, "no pair"),
        ([1.0], None, "one pair"),
        ([0.5, 0.5, 0.5], None, "equal"),
        ([0.0, 0.0], None, "equal"),
        ([0.1 + 0.2, 0.3], None, "equal"),  # differ by rounding alone
        ([1.0, 2.0], PooledVariance(variance=math.nan, freedom=0), "too few"),
        ([1.0, 2.0], PooledVariance(variance=0.0, freedom=4), "no spread"),
    ],
)
def test_no_interval_is_made_where_the_spread_is_not_seen(
    values: list[float], spread: PooledVariance | None, note: str
) -> None:
    found = mean_interval(values, spread=spread)
    assert (found.low, found.high, found.alone_low, found.alone_high) == (None, None, None, None)
    assert note in found.note


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, math.nan])
    with pytest.raises(ValueError, match="comparison"):
        mean_interval([1.0, 2.0], comparisons=0)


def test_all_intervals_together_cover_as_often_as_they_say() -> None:
    """Seven true effects against one base, 4 seeds, paired differences that share the base; 1,500 repetitions."""
    generator = np.random.default_rng(7)
    repetitions, points, seeds = 1500, 7, 4
    true = np.linspace(-1.0, 2.0, points)
    together = alone = 0
    for _ in range(repetitions):
        base = generator.normal(size=seeds)
        differences = true[:, None] + generator.normal(size=(points, seeds)) - base
        found = [mean_interval(row.tolist(), comparisons=points) for row in differences]
        together += all(each.low <= value <= each.high for each, value in zip(found, true, strict=True))  # type: ignore[operator]
        alone += found[0].alone_low <= true[0] <= found[0].alone_high  # type: ignore[operator]
    # three standard errors of a share of 0.95 in 1,500 are 0.017; Bonferroni covers at least as often as it says
    assert together / repetitions > 0.95 - 0.017
    assert alone / repetitions == pytest.approx(0.95, abs=0.017)


def test_the_additive_fit_of_a_full_table_by_hand() -> None:
    # points a (1, 3) and b (4, 8) over seeds 0 and 1: means 2 and 6, seeds' means 2.5 and 5.5, grand mean 4.
    # residual of (a, 0): 1 - 2 - 2.5 + 4 = 0.5, and so all four +-0.5: sum of squares 1, (2-1)(2-1) = 1 df
    found = additive_fit({("a", 0): 1.0, ("a", 1): 3.0, ("b", 0): 4.0, ("b", 1): 8.0})
    assert found.points == ("a", "b")
    assert found.effects == pytest.approx([2.0, 6.0])
    assert found.spread.freedom == 1
    assert found.spread.variance == pytest.approx(1.0)


def test_the_additive_fit_of_a_table_with_gaps_is_least_squares() -> None:
    generator = np.random.default_rng(3)
    values = {
        (f"p{point}", seed): float(point + 0.5 * seed + generator.normal())
        for point in range(5)
        for seed in range(4)
        if (point, seed) not in ((0, 1), (2, 3), (4, 0), (4, 1))
    }
    found = additive_fit(values)
    rows = [(int(point[1:]), seed) for point, seed in values]
    design = np.zeros((len(rows), 5 + 3))
    for index, (point, seed) in enumerate(rows):
        design[index, point] = 1.0
        if seed:
            design[index, 4 + seed] = 1.0
    target = np.array(list(values.values()))
    coefficients, residual, rank, _ = np.linalg.lstsq(design, target, rcond=None)
    assert found.spread.freedom == len(rows) - rank == 16 - 8
    assert found.spread.variance == pytest.approx(float(residual[0]) / 8)
    assert np.diff(found.effects) == pytest.approx(np.diff(coefficients[:5]))
    # and the variance of a difference of two points, which the draws of a confirmation need
    covariance = np.linalg.inv(design.T @ design)
    contrast = np.zeros(8)
    contrast[0], contrast[4] = 1.0, -1.0
    shares = found.shares[0] - found.shares[4]
    own = 1 / found.counts[0] + 1 / found.counts[4]
    assert own + shares @ found.seed_covariance @ shares == pytest.approx(contrast @ covariance @ contrast)


def test_the_fit_without_seeds_has_each_points_own_mean() -> None:
    found = additive_fit({("a", 0): 1.0, ("a", 1): 3.0, ("b", 5): 4.0}, seeds=False)
    assert found.effects == pytest.approx([2.0, 4.0])
    assert (found.spread.variance, found.spread.freedom) == (pytest.approx(2.0), 1)


def test_of_a_single_point_the_spread_over_its_seeds_is_the_noise() -> None:
    found = additive_fit({("a", 0): 30.0, ("a", 1): 31.0, ("a", 2): 32.0})
    assert found.effects == pytest.approx([31.0])
    assert (found.spread.variance, found.spread.freedom) == (pytest.approx(1.0), 2)


def test_a_fit_of_nothing_has_nothing() -> None:
    found = additive_fit({})
    assert found.points == ()
    assert found.spread.freedom == 0
