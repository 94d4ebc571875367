"""Values of a design paired by seed: differences between points, and the spread that they share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from archsearch.analysis.cells import Cells
from archsearch.analysis.effects import Effect, measured_effect
from archsearch.analysis.intervals import PooledVariance, additive_fit
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.designs import Design, DesignPoint
from archsearch.records import Record

PooledOrOwn = Literal["own", "pooled"]


def top1_of(record: Record) -> float:
    """Top-1 on the validation split (percent)."""
    return 100.0 - record.error_percent


def latency_of(record: Record) -> float:
    """The drift-corrected p10 (ms)."""
    return OBJECTIVES["latency_ms"].extract(record)


def log_latency_of(record: Record) -> float:
    """Its natural logarithm; NaN where there is none."""
    return math.log(latency_of(record)) if latency_of(record) > 0.0 else math.nan


class Paired:
    """The cells of a design with the spreads that are asked for more than once."""

    def __init__(self, cells: Cells, design: Design, confidence: float, spread: str) -> None:
        self.cells, self.design, self.confidence, self.spread = cells, design, confidence, spread
        self._spreads: dict[Callable[[Record], float], PooledVariance] = {}

    def values(self, of: Callable[[Record], float], point: DesignPoint) -> dict[int, float]:
        """A point's finite values by seed, in the design's order."""
        found = {
            seed: of(self.cells.complete[point.name, seed])
            for seed in self.design.seeds
            if (point.name, seed) in self.cells.complete
        }
        return {seed: value for seed, value in found.items() if math.isfinite(value)}

    def mean(self, of: Callable[[Record], float], point: DesignPoint) -> float:
        """Of a point's values; NaN without one."""
        values = self.values(of, point)
        return math.fsum(values.values()) / len(values) if values else math.nan

    def effect(
        self,
        quantity: str,
        unit: str,
        of: Callable[[Record], float],
        terms: Sequence[tuple[int, DesignPoint]],
        comparisons: int,
    ) -> Effect:
        """Of the sum of each term's weight (1 or -1) times its point's value, over the seeds that all points have."""
        values = [(weight, self.values(of, point)) for weight, point in terms]
        seeds = [seed for seed in self.design.seeds if all(seed in found for _, found in values)]
        differences = {seed: sum(weight * found[seed] for weight, found in values) for seed in seeds}
        pooled = None
        if self.spread == "pooled":
            noise = self._pooled(of)
            pooled = PooledVariance(variance=len(terms) * noise.variance, freedom=noise.freedom)
        return measured_effect(
            quantity,
            unit,
            differences,
            confidence=self.confidence,
            comparisons=max(comparisons, 1),
            spread=pooled,
            logarithms=unit == "%",
        )

    def _pooled(self, of: Callable[[Record], float]) -> PooledVariance:
        if of not in self._spreads:
            values = {
                (point.name, seed): value
                for point in self.design.points
                for seed, value in self.values(of, point).items()
            }
            self._spreads[of] = additive_fit(values).spread if values else PooledVariance(variance=math.nan, freedom=0)
        return self._spreads[of]

    def count(self, point: DesignPoint, name: str) -> int | None:
        """A cost of a point's network; equal for all its seeds."""
        for seed in self.design.seeds:
            record = self.cells.complete.get((point.name, seed))
            if record is not None and record.cost is not None:
                return int(getattr(record.cost, name))
        return None
