"""Fronts that may be true, given a few seeds of each point.

Each error is taken as point + seed + noise (the seeds are shared), each logarithm of a latency as point + noise (it is
measured afresh in every trial), with one noise for all points: a handful of seeds tells little of each point's own. A
draw is of the points' true means given what was seen: a noise variance from its scaled inverse chi-squared
distribution, then normal means (Gelman et al., "Bayesian Data Analysis", 3rd edition, section 3.2, flat prior). Its
front is made as a study's is, ties within the noise floor included.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from archsearch.analysis.cells import Cells
from archsearch.analysis.front import MEASURED_OBJECTIVE, noisy_latency
from archsearch.analysis.intervals import Additive, additive_fit
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.analysis.pareto import non_dominated
from archsearch.designs import Design
from archsearch.noise import NoiseFloor
from archsearch.records import Record


class FrontDraws:
    """The completed trials of a design, by point, and the fits to them."""

    def __init__(
        self, cells: Cells, design: Design, objectives: tuple[str, ...], noise_floor: NoiseFloor, confidence: float
    ) -> None:
        self.objectives, self.noise_floor, self.confidence = objectives, noise_floor, confidence
        self.seeds = design.seeds
        self.groups: dict[str, list[Record]] = {}
        self._cells = {
            key: record
            for key, record in cells.complete.items()
            if record.latency is not None and OBJECTIVES["latency_ms"].extract(record) > 0.0
        }
        for point in design.points:
            found = [self._cells[point.name, s] for s in design.seeds if (point.name, s) in self._cells]
            if found:
                self.groups[point.name] = found
        self.names = tuple(self.groups)
        self.error = self._fit("error_percent", _same, seeds=True)
        self.log_latency = self._fit("latency_ms", math.log, seeds=False)

    def _fit(self, name: str, scale: Callable[[float], float], *, seeds: bool) -> Additive:
        extract = OBJECTIVES[name].extract
        found = {
            (point, s): scale(extract(self._cells[point, s]))
            for point in self.names
            for s in self.seeds
            if (point, s) in self._cells
        }
        return additive_fit(found, seeds=seeds)

    def values_of_means(self) -> NDArray[np.float64]:
        """(points, objectives) at the fitted means."""
        return self._columns(self.error.effects, np.exp(self.log_latency.effects))

    def _columns(self, errors: NDArray[np.float64], latencies: NDArray[np.float64]) -> NDArray[np.float64]:
        measured = {"error_percent": errors, MEASURED_OBJECTIVE: latencies}
        columns = [
            measured[name]
            if name in measured
            else np.array([OBJECTIVES[name].extract(self.groups[point][0]) for point in self.names])
            for name in self.objectives
        ]
        return np.column_stack(columns) if self.names else np.zeros((0, len(self.objectives)))

    def front(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points stand on the front, as `front_of` decides."""
        return non_dominated(values, noisy_latency(self.objectives, self.noise_floor))

    def probabilities(self, draws: int, generator: np.random.Generator) -> tuple[dict[str, float], tuple[str, ...]]:
        """Share of the draws in which each point is on the front, and warnings; nothing if a spread is unknown."""
        needed = {"error_percent": self.error, MEASURED_OBJECTIVE: self.log_latency}
        fits = {name: fit for name, fit in needed.items() if name in self.objectives}
        if any(fit.spread.freedom < 1 for fit in fits.values()) or not self.names:
            return {}, ("one seed shows no spread: no probability of being on the front; give more seeds",)
        still = [name for name, fit in fits.items() if fit.spread.variance == 0.0]
        warnings = tuple(
            f"{OBJECTIVES[name].title} shows no spread at all over the seeds, so the probabilities take it as exact"
            for name in still
        )
        count = np.zeros(len(self.names))
        for _ in range(draws):
            errors = _draw(self.error, generator) if "error_percent" in fits else self.error.effects
            times = _draw(self.log_latency, generator) if MEASURED_OBJECTIVE in fits else self.log_latency.effects
            # An error is at least 0 and a latency positive: neither changes who dominates whom.
            count += self.front(self._columns(errors, np.exp(times)))
        return dict(zip(self.names, (count / draws).tolist(), strict=True)), warnings


def _same(value: float) -> float:
    return value


def _draw(fit: Additive, generator: np.random.Generator) -> NDArray[np.float64]:
    """The points' true effects as they may be: one draw, all points with one noise and one set of seeds' effects."""
    if fit.spread.variance == 0.0:
        return fit.effects
    deviation = math.sqrt(fit.spread.variance * fit.spread.freedom / generator.chisquare(fit.spread.freedom))
    own = generator.standard_normal(len(fit.points)) / np.sqrt(fit.counts)
    shared = np.zeros(len(fit.points))
    if fit.shares.shape[1] and np.any(fit.shares):  # a balanced design compares points without the seeds' effects
        values, vectors = np.linalg.eigh(fit.seed_covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        shared = fit.shares @ (root @ generator.standard_normal(len(values)))
    drawn: NDArray[np.float64] = fit.effects + deviation * (own - shared)
    return drawn
