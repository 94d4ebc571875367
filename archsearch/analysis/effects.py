"""The effect of one change on one quantity, with its intervals and what they allow to be said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from archsearch.analysis.intervals import MeanInterval, PooledVariance, mean_interval


class Finding(StrEnum):
    """Of one effect: what the change does for whoever uses the network."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "no difference"  # of an exact number only: a measured effect is never known to be 0
    UNTOLD = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one change does to one quantity: point minus base.

    Attributes:
        quantity: `top1` (points), `latency` (% of the base's), `latency_ms` (ms), `params`, `macs`.
        unit: of the estimate and the intervals: "points", "%", "ms", or "" for counts.
        estimate: the mean of the paired differences; of `latency` from the mean difference of the logarithms. NaN
            without a pair.
        low, high: simultaneous interval over all comparisons; None where none can be given (see `note`).
        alone_low, alone_high: the interval of this comparison alone, uncorrected.
        n: pairs of one seed each; 0 for an exact number.
        exact: a count that no measurement enters: the estimate is the effect.
        finding: better is more top-1, less of all else.
        seeds, differences: the pairs, in the order of the design's seeds: top-1 points, % of latency, or ms.
        note: why there is no interval ("" if there is one).
    """

    quantity: str
    unit: str
    estimate: float
    low: float | None = None
    high: float | None = None
    alone_low: float | None = None
    alone_high: float | None = None
    n: int = 0
    exact: bool = False
    finding: Finding = Finding.UNTOLD
    seeds: tuple[int, ...] = ()
    differences: tuple[float, ...] = ()
    note: str = ""


def measured_effect(
    quantity: str,
    unit: str,
    differences: Mapping[int, float],
    *,
    confidence: float,
    comparisons: int,
    spread: PooledVariance | None = None,
    logarithms: bool = False,
) -> Effect:
    """An effect from differences by seed; with `logarithms` they are of natural logarithms, and become %.

    The mean and the ends of an interval of logarithms become 100 (exp(x) - 1): the interval of the ratio of geometric
    means. `spread` is the variance of one difference where it is known from elsewhere.
    """
    found = mean_interval(tuple(differences.values()), confidence=confidence, comparisons=comparisons, spread=spread)
    shown = _percent if logarithms else float
    scaled = found.through(shown)
    return Effect(
        quantity=quantity,
        unit=unit,
        estimate=scaled.mean,
        low=scaled.low,
        high=scaled.high,
        alone_low=scaled.alone_low,
        alone_high=scaled.alone_high,
        n=len(differences),
        finding=_finding(found, more_is_better=quantity == "top1"),
        seeds=tuple(differences),
        differences=tuple(map(shown, differences.values())),
        note=found.note,
    )


def exact_effect(quantity: str, point: int | None, base: int | None) -> Effect:
    """The difference of two counts of which less is better; NaN, and nothing told, where one is not known."""
    if point is None or base is None:
        return Effect(quantity=quantity, unit="", estimate=math.nan, exact=True, note="not counted")
    finding = Finding.SAME if point == base else Finding.BETTER if point < base else Finding.WORSE
    return Effect(quantity=quantity, unit="", estimate=float(point - base), exact=True, finding=finding)


def _finding(interval: MeanInterval, *, more_is_better: bool) -> Finding:
    if interval.low is None or interval.high is None or interval.low <= 0.0 <= interval.high:
        return Finding.UNTOLD
    return Finding.BETTER if (interval.low > 0.0) == more_is_better else Finding.WORSE


def _percent(logarithm: float) -> float:
    return math.inf if logarithm > 700.0 else 100.0 * math.expm1(logarithm)
