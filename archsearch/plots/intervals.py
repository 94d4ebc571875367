"""Intervals of networks that were evaluated again with more seeds, as figures draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from archsearch.analysis.confirmed import Confirmed
from archsearch.analysis.objectives import is_complete
from archsearch.records import Record


@dataclass(frozen=True, kw_only=True)
class PointInterval:
    """What further evaluations of one trial's network found.

    Attributes:
        trial: of the search study.
        n: evaluations.
        latency_ms, top1_percent: their means; the search's own values may well be better, since they were chosen.
        latency_low_ms, latency_high_ms, top1_low_percent, top1_high_percent: ends of the intervals; None where one
            evaluation gives none.
        confidence: of the intervals, as a share.
        probability_on_front: how likely the network is on the front; None if nobody worked it out.
    """

    trial: int
    n: int
    latency_ms: float
    latency_low_ms: float | None
    latency_high_ms: float | None
    top1_percent: float
    top1_low_percent: float | None
    top1_high_percent: float | None
    confidence: float
    probability_on_front: float | None

    @property
    def latencies_ms(self) -> tuple[float, ...]:
        """The mean and the ends that there are."""
        return tuple(v for v in (self.latency_ms, self.latency_low_ms, self.latency_high_ms) if v is not None)

    @property
    def top1s_percent(self) -> tuple[float, ...]:
        """The mean and the ends that there are."""
        return tuple(v for v in (self.top1_percent, self.top1_low_percent, self.top1_high_percent) if v is not None)


def intervals_of(confirmed: Confirmed | None, records: Sequence[Record]) -> tuple[PointInterval, ...]:
    """The confirmed networks that these records hold, each at the first complete trial that has it."""
    if confirmed is None:
        return ()
    trials: dict[str, int] = {}
    for record in records:
        if is_complete(record):
            trials.setdefault(record.arch_id, record.trial)
    return tuple(
        PointInterval(
            trial=trials[each.point.arch_id],
            n=each.n,
            latency_ms=each.latency_ms,
            latency_low_ms=each.latency_low,
            latency_high_ms=each.latency_high,
            top1_percent=100.0 - each.error_percent,
            top1_low_percent=None if each.error_high is None else 100.0 - each.error_high,
            top1_high_percent=None if each.error_low is None else 100.0 - each.error_low,
            confidence=confirmed.confidence,
            probability_on_front=each.probability_on_front,
        )
        for each in confirmed.points
        if each.point.arch_id in trials and math.isfinite(each.error_percent) and math.isfinite(each.latency_ms)
    )
