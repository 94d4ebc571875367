"""What every level of an ablation changes against the base, with intervals, from differences paired by seed.

A point and the base that were trained with one seed share initial weights' seed and data order, so their difference
holds less noise than either. Every effect is *point minus base*: what changing the base so does. In leave-one-out the
base is the whole network and a point takes one choice back, so a choice that pays shows as an effect that is worse.

Intervals are Student's t on the paired differences, Bonferroni-corrected: all intervals of one quantity together cover
their true effects with the stated confidence, whatever their dependence (they share the base). A verdict is that
interval's: `better` or `worse` where it lies on one side of 0, else `cannot be told`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from archsearch.designs import Design, DesignPoint


class Finding(StrEnum):
    """Of one effect: what the change does for whoever uses the network."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "no difference"  # of an exact number only: a measured effect is never known to be 0
    UNTOLD = "cannot be told"


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


@dataclass(frozen=True, kw_only=True)
class AblationRow:
    """One point of the design against the base.

    Attributes:
        choice: the names of what is changed, joined by " + " ("kernel", "kernel + stem.type").
        label: the change in words: "kernel 5 instead of 3".
        top1: in points of validation top-1.
        latency: in % of the base's, from the ratios to the reference.
        latency_ms: the same in milliseconds (drift-corrected p10).
        params, macs: exact; an estimate of NaN if the point has no record.
        mean_top1_percent, mean_latency_ms: of the point itself over all its seeds (the latency's mean is geometric);
            NaN without any.
        answer: "pays in accuracy, costs latency".
        sentence: all of it with n and intervals.
    """

    point: DesignPoint
    choice: str
    label: str
    top1: Effect
    latency: Effect
    latency_ms: Effect
    params: Effect
    macs: Effect
    mean_top1_percent: float
    mean_latency_ms: float
    answer: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """Of a point with two changes: its effect minus the sum of the two single effects, paired by seed.

    Of top-1 in points; of latency in %, beyond the product of the two ratios. 0: the two changes simply add up.
    Better: together they do more for the user than each alone promises.
    """

    point: DesignPoint
    first: DesignPoint
    second: DesignPoint
    label: str
    top1: Effect
    latency: Effect
    sentence: str


@dataclass(frozen=True, kw_only=True)
class MissingPair:
    """A point's trial, or the base's, that did not complete: its pair drops out."""

    point: str
    seed: int
    why: str


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """All effects of one ablation.

    Attributes:
        design: points, seeds and mode; the first point is the base.
        rows: one for each other point, in the design's order.
        interactions: of the points with two changes whose single changes are points too.
        confidence: of the simultaneous intervals: 0.95.
        comparisons: how many effects of one quantity the intervals are corrected for: all other points of the design.
        correction: "Bonferroni".
        base_top1_percent, base_latency_ms, base_n: the base's means and its completed seeds (latency geometric).
        missing: trials that did not complete, of those that have ended or run.
        pending: trials of the design that have no record yet.
        answers: one sentence for each choice, over its levels.
        method: how all this was found, for people.
        warnings: sentences to show beside it.
    """

    design: Design
    rows: tuple[AblationRow, ...]
    interactions: tuple[Interaction, ...]
    confidence: float
    comparisons: int
    correction: str
    base_top1_percent: float
    base_latency_ms: float
    base_n: int
    missing: tuple[MissingPair, ...]
    pending: int
    answers: tuple[str, ...]
    method: str
    warnings: tuple[str, ...]

    @property
    def base(self) -> DesignPoint:
        """What every other point is compared with."""
        return self.design.points[0]
