"""What a study's trials make of networks that it has not evaluated: objectives, bounds, and the worth of a trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from archsearch.analysis.pareto import non_dominated
from archsearch.search.samplers.history import Seen
from archsearch.search.samplers.improvement import boxes_of, expected_improvement
from archsearch.search.samplers.points import Point, Points
from archsearch.search.samplers.process import Encoding, Process, fit, standard

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MOST_FITTED = 300  # trials behind the predictions: a factorisation costs the cube of them
_MOST_TUNED = 200  # trials behind the hyperparameters: 25 factorisations
_STOPPED_NOISE = 4.0  # the variance of an expected error, in those of a measured one


class _Quantity:
    """One objective or bound as a Gaussian process: of its logarithm, if that is wished and every value is positive."""

    def __init__(
        self,
        encoding: Encoding,
        points: Indices,
        values: Floats,
        extra: Floats,
        generator: np.random.Generator,
        *,
        logarithm: bool,
    ) -> None:
        self.logarithm = logarithm and bool((values > 0.0).all())
        self._encoding = encoding
        self._points, self._extra = points, extra
        self._values = np.log(values) if self.logarithm else values
        tuned = np.sort(generator.permutation(len(values))[:_MOST_TUNED])
        centre, scale = standard(self._values[tuned])
        self._hyper = fit(encoding, points[tuned], (self._values[tuned] - centre) / scale, extra[tuned])
        self._process = self._made()

    def _made(self) -> Process:
        return Process(self._encoding, self._hyper, self._points, self._values, self._extra)

    def predict(self, points: Indices) -> tuple[Floats, Floats]:
        """Mean and standard deviation (of the logarithm if `logarithm`) at (n, choices) points."""
        return self._process.predict(points)

    def imagine(self, points: Indices) -> Floats:
        """Take the points as evaluated, with the values that are expected of them: (n,), as the quantity's own."""
        expected, _ = self.predict(points)
        self._points = np.concatenate([self._points, points])
        self._values = np.concatenate([self._values, expected])
        self._extra = np.concatenate([self._extra, np.ones(len(points))])
        self._process = self._made()
        return np.exp(expected) if self.logarithm else expected


class Belief:
    """Processes of all objectives and of the bounds that were ever broken.

    Args:
        points: of the search space.
        seen: what the study knows, running networks included; some of it must have values.
        generator: draws which trials are left out where there are more than MOST_FITTED.
        reference_point: the corner of the hypervolume; None: a tenth beyond the worst value of each objective.
    """

    def __init__(
        self,
        points: Points,
        seen: Sequence[Seen],
        generator: np.random.Generator,
        reference_point: Sequence[float] | None = None,
    ) -> None:
        encoding = Encoding(points.sizes, points.ordinal)
        # A replay says nothing new; another training of the same network has values of its own.
        different = {(found.point, found.values): found for found in seen if found.values is not None}
        usable = _chosen(list(different.values()), generator)
        at = np.array([found.point for found in usable], dtype=np.int64)
        values = np.array([found.values for found in usable], dtype=np.float64)
        extra = np.array([_STOPPED_NOISE if found.stopped else 1.0 for found in usable])
        # Only the first objective, the error, has fidelity: what else a stopped trial has was measured.
        self._objectives = [
            _Quantity(encoding, at, column, extra if index == 0 else np.ones(len(at)), generator, logarithm=True)
            for index, column in enumerate(values.T)
        ]
        self._bounds = _bounds(encoding, seen, generator)
        worst = values.max(axis=0)
        self._corner = worst + 0.1 * np.abs(worst) if reference_point is None else np.array(reference_point)
        whole = np.array([not found.stopped for found in usable])
        # As measured: the study's hypervolume counts what was measured, and benchmarks found expected values worse.
        self._members, self._values = at[whole], values[whole]
        if running := [found.point for found in seen if found.running]:
            self._imagine(np.array(running, dtype=np.int64))
        self._boxes = boxes_of(self._values, self._corner)

    @property
    def front(self) -> list[Point]:
        """The networks that nothing dominates; imagined ones among them."""
        keep = non_dominated(self._values)
        return [tuple(row) for row in self._members[keep].tolist()]

    def imagine(self, point: Point) -> None:
        """Take a point as evaluated, as expected: the next acquisition values look elsewhere."""
        self._imagine(np.array([point], dtype=np.int64))
        self._boxes = boxes_of(self._values, self._corner)

    def acquisition(self, points: Indices) -> Floats:
        """The worth of evaluating each of (n, choices) points: (n,), zero or more."""
        kept = np.ones(len(points))
        for bound in self._bounds:
            mean, deviation = bound.predict(points)
            kept *= ndtr(-mean / deviation)
        if not len(self._members):
            return kept
        found = [objective.predict(points) for objective in self._objectives]
        means, deviations = np.stack([mean for mean, _ in found], 1), np.stack([sd for _, sd in found], 1)
        logarithms = tuple(objective.logarithm for objective in self._objectives)
        return kept * expected_improvement(self._boxes, means, deviations, logarithms=logarithms)

    def _imagine(self, points: Indices) -> None:
        self._members = np.concatenate([self._members, points])
        expected = np.stack([objective.imagine(points) for objective in self._objectives], axis=1)
        self._values = np.concatenate([self._values, expected])


def _chosen(usable: list[Seen], generator: np.random.Generator) -> list[Seen]:
    """At most MOST_FITTED trials: half from the front and those behind it, the latest, and a draw of the rest."""
    if len(usable) <= MOST_FITTED:
        return usable
    values = np.array([found.values for found in usable], dtype=np.float64)
    left = np.arange(len(usable))
    kept: list[int] = []
    while len(kept) < MOST_FITTED // 2:
        layer = non_dominated(values[left])
        kept += left[layer].tolist()[: MOST_FITTED // 2 - len(kept)]
        left = left[~layer]
    taken = set(kept)
    rest = [index for index in range(len(usable)) if index not in taken]
    kept += rest[-MOST_FITTED // 4 :]
    rest = rest[: -MOST_FITTED // 4]
    kept += [rest[index] for index in generator.permutation(len(rest))[: MOST_FITTED - len(kept)]]
    return [usable[index] for index in sorted(kept)]


def _bounds(encoding: Encoding, seen: Sequence[Seen], generator: np.random.Generator) -> list[_Quantity]:
    found = []
    for name in sorted({name for each in seen for name, value in each.excess.items() if value > 0.0}):
        # An excess of exactly 0 was never found: the trial had ended before.
        told = [each for each in seen if each.excess.get(name, 0.0) != 0.0][-MOST_FITTED:]
        # Logarithms of value / bound: networks differ by factors, and 0 is the bound.
        values = np.log(np.maximum(1.0 + np.array([each.excess[name] for each in told], dtype=np.float64), 1e-3))
        at = np.array([each.point for each in told], dtype=np.int64)
        found.append(_Quantity(encoding, at, values, np.ones(len(told)), generator, logarithm=False))
    return found
