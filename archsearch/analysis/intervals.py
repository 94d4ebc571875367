"""Intervals of means: Student's t, corrected for the number of comparisons, and the spread of a blocked design."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from archsearch.records import Score

Floats = NDArray[np.float64]

CONFIDENCE = 0.95  # of every interval
NORMAL_95 = 1.959964  # standard errors on each side of a normal value that 95 % lie within

# Differences whose spread is below this share of their size differ by rounding alone.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class PooledVariance:
    """A variance that was estimated for several means together: of one value, with its degrees of freedom."""

    variance: float
    freedom: int

    @property
    def seen(self) -> bool:
        """Whether there is one: of several values, that are not all equal."""
        return self.freedom > 0 and self.variance > 0.0


@dataclass(frozen=True, kw_only=True)
class MeanInterval:
    """A mean with two intervals: of itself alone, and one that holds for all comparisons at once.

    Attributes:
        mean: NaN without values.
        low, high: simultaneous; None where none can be given, and `note` says why.
        alone_low, alone_high: uncorrected; None likewise.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    alone_low: float | None = None
    alone_high: float | None = None
    note: str = ""

    def through(self, scale: Callable[[float], float]) -> MeanInterval:
        """The same on another scale, that this function brings each number to; it must grow."""
        ends = (self.low, self.high, self.alone_low, self.alone_high)
        low, high, alone_low, alone_high = (None if end is None else scale(end) for end in ends)
        return replace(self, mean=scale(self.mean), low=low, high=high, alone_low=alone_low, alone_high=alone_high)


def share_error_points(percent: float, count: int) -> float | None:
    """Standard error (points) of a share that was counted on so many images; None without a count.

    sqrt(p (1 - p) / n), of the binomial distribution. What another seed changes is not in it.
    """
    if count <= 0:
        return None
    share = min(max(percent / 100.0, 0.0), 1.0)
    return 100.0 * math.sqrt(share * (1.0 - share) / count)


def counting_margin_points(one: Score, other: Score) -> float | None:
    """Half of the 95 % interval (points) of the difference of two accuracies, from the numbers of images alone.

    Two binomial shares: that both networks saw the same images would narrow it, but which images they got right is not
    stored. Other seeds move accuracies further. None where a score has no count, and where both have all images right
    or all wrong: that says that the spread of counting cannot be seen, not that there is none.
    """
    errors = [share_error_points(score.top1_percent, score.eval_images) for score in (one, other)]
    known = [error for error in errors if error is not None]
    return NORMAL_95 * math.hypot(*known) if len(known) == len(errors) and any(known) else None


def half_width(deviation: float, freedom: int, *, comparisons: int = 1) -> float:
    """Half of the t interval of a mean whose standard error is `deviation`, Bonferroni-corrected.

    t at 1 - 0.05 / (2 comparisons) with these degrees of freedom, times the standard error (Dunn 1961, "Multiple
    comparisons among means", section 2).
    """
    from scipy.special import stdtrit  # slow to import, and those who only read a study may not need it

    return -deviation * float(stdtrit(freedom, (1.0 - CONFIDENCE) / (2.0 * comparisons)))


def mean_interval(
    values: Sequence[float], *, comparisons: int = 1, spread: PooledVariance | None = None
) -> MeanInterval:
    """The mean of these values (of paired differences, say) and its intervals.

    Args:
        values: finite.
        comparisons: how many intervals are to hold at once (1 or more).
        spread: the variance of one value where it was estimated from more than these; None: from these alone.

    Without a spread, fewer than two values have no interval, and neither have values that are all equal: their
    standard error of 0 says that the spread cannot be seen, not that there is none.

    Raises ValueError for fewer comparisons, or a value that is not finite.
    """
    if comparisons < 1:
        raise ValueError(f"an interval is of 1 comparison or more, got {comparisons}")
    found = np.asarray(values, dtype=np.float64)
    if not np.isfinite(found).all():
        raise ValueError("an interval needs finite values")
    if len(found) == 0:
        return MeanInterval(mean=math.nan, note="no pair")
    mean = float(found.mean())
    if spread is not None:
        if spread.freedom < 1:
            return MeanInterval(mean=mean, note="too few trials for a spread")
        if not spread.variance > 0.0:
            return MeanInterval(mean=mean, note="no spread is seen anywhere")
        deviation, freedom = math.sqrt(spread.variance), spread.freedom
    elif len(found) < 2:
        return MeanInterval(mean=mean, note="one pair has no spread")
    else:
        deviation, freedom = float(found.std(ddof=1)), len(found) - 1
        if deviation <= _ROUNDING * float(np.abs(found).max()):
            return MeanInterval(mean=mean, note=f"all {len(found)} differences are equal, so their spread is not seen")
    error = deviation / math.sqrt(len(found))
    alone, wide = half_width(error, freedom), half_width(error, freedom, comparisons=comparisons)
    return MeanInterval(mean=mean, low=mean - wide, high=mean + wide, alone_low=mean - alone, alone_high=mean + alone)


@dataclass(frozen=True)
class Additive:
    """Values as point + seed + noise, fitted by least squares (a randomised block design; seeds are the blocks).

    Attributes:
        points: names, in order of the rest.
        counts: values of each point.
        effects: of each point, at the average of all seeds' effects.
        shares: (points, seeds) share of each point's values in each seed, less the average point's.
        seed_covariance: (seeds, seeds) of the seeds' effects, for a noise variance of 1.
        residuals: of each value, by point and seed.
    """

    points: tuple[str, ...]
    counts: Floats
    effects: Floats
    shares: Floats
    seed_covariance: Floats
    residuals: Mapping[tuple[str, int], float]
    spread: PooledVariance


def additive_fit(values: Mapping[tuple[str, int], float], *, seeds: bool = True) -> Additive:
    """The additive model of values by (point, seed), not every pair being there.

    Seeds are partialled out of the points first (Frisch and Waugh 1933), so that thousands of points cost no more than
    a system of as many equations as there are seeds. Where trials failed, a point is thereby compared as if it had had
    the average seeds.

    Args:
        values: finite.
        seeds: False: seeds have no effect of their own (repeated measurements in no order), only the points. Nor have
            those of a single point: nothing tells it from noise.
    """
    points = tuple(dict.fromkeys(point for point, _ in values))
    blocks = list(dict.fromkeys(seed for _, seed in values)) if seeds and len(points) > 1 else []
    order = {name: index for index, name in enumerate(points)}
    row = np.array([order[point] for point, _ in values], dtype=np.intp)
    found = np.fromiter(values.values(), dtype=np.float64, count=len(values))
    if not np.isfinite(found).all():
        raise ValueError("a fit needs finite values")
    counts = np.bincount(row, minlength=len(points)).astype(np.float64)
    means = np.bincount(row, weights=found, minlength=len(points)) / counts
    dummies = np.equal.outer([seed for _, seed in values], blocks).astype(np.float64)
    shares = np.zeros((len(points), len(blocks)))
    np.add.at(shares, row, dummies)
    shares /= counts[:, None]
    within = dummies - shares[row]
    covariance: Floats = np.zeros((0, 0))
    if blocks:
        covariance = np.asarray(np.linalg.pinv(within.T @ within, hermitian=True), dtype=np.float64)
    rank = int(np.linalg.matrix_rank(within)) if blocks else 0
    coefficients = covariance @ (within.T @ (found - means[row]))
    residual = found - means[row] - within @ coefficients
    freedom = len(found) - len(points) - rank
    shares -= shares.mean(axis=0) if points else 0.0
    variance = float((residual**2).sum()) / freedom if freedom > 0 else math.nan
    if variance <= (_ROUNDING * float(np.abs(found).max(initial=0.0))) ** 2:
        variance = 0.0
    return Additive(
        points=points,
        counts=counts,
        effects=means - shares @ coefficients,
        shares=shares,
        seed_covariance=covariance,
        residuals=dict(zip(values, residual.tolist(), strict=True)),
        spread=PooledVariance(variance=variance, freedom=freedom),
    )
