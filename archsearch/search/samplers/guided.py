"""Our own model-guided step: the expected hypervolume improvement over the enumerated neighbourhood of the front.

What a study's trials make of networks that it has not evaluated: objectives, bounds, and the worth of a trial.

A Gaussian process over choices: Matern 5/2 of a distance in which every choice has a weight of its own.

Two points are as far apart as the sum over the choices of weight times difference: the squared difference of ordered
values scaled to [0, 1], or whether two categories differ (a Hamming distance). Weights, signal and noise are the
maximum of their posterior density (Rasmussen and Williams 2006, section 5.4.1, with log-normal priors).

The expected hypervolume improvement of a candidate whose objectives are known as independent distributions.

The region that no point of the front dominates, below the reference point, is cut into boxes. With independent
objectives the expected improvement is, exactly and for any number of them, the sum over the boxes of the product over
the objectives of E[(upper - y)+] - E[(lower - y)+] (Yang, Emmerich, Deutz and Baeck 2019,
doi:10.1007/s10898-019-00798-7). Every objective is lower-is-better.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.special import ndtr

from archsearch.analysis.pareto import non_dominated
from archsearch.search.samplers.points import Indices, OverPoints, Point, Points, Seen, seen_in, waiting_before

MOST_MEMBERS = 60
_AT_ONCE = 512  # candidates: the table of candidates and boxes stays small


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """The non-dominated region below a reference point, as disjoint boxes.

    Attributes:
        edges: for each objective its distinct bounds in ascending order, the first one minus infinity.
        lower, upper: (boxes, objectives) indices into `edges`.
    """

    edges: tuple[Floats, ...]
    lower: NDArray[np.int64]
    upper: NDArray[np.int64]


def boxes_of(values: Floats, corner: Floats) -> Boxes:
    """The boxes above which a front of 1, 2 or 3 objectives leaves room: (n, m) values, (m,) corner.

    In two objectives n + 1 boxes, in three of the order of n squared: of a front of more than MOST_MEMBERS points
    so many are taken there, evenly along the first objective.
    """
    inside = values[(values < corner).all(axis=1)]
    front = np.unique(inside[non_dominated(inside)], axis=0) if len(inside) else inside
    if len(corner) > 2 and len(front) > MOST_MEMBERS:
        front = front[np.linspace(0, len(front) - 1, MOST_MEMBERS).round().astype(np.int64)]
    edges = tuple(
        np.concatenate([[-np.inf], np.unique(front[:, column]), [corner[column]]]) for column in range(len(corner))
    )
    ranks = np.stack([np.searchsorted(edges[column], front[:, column]) for column in range(len(corner))], axis=1)
    pieces = _pieces(ranks.astype(np.int64), tuple(len(each) - 1 for each in edges))
    found = np.array(pieces, dtype=np.int64).reshape(-1, 2, len(corner))
    return Boxes(edges=edges, lower=found[:, 0], upper=found[:, 1])


def expected_improvement(boxes: Boxes, mean: Floats, deviation: Floats, *, logarithms: tuple[bool, ...]) -> Floats:
    """Of each candidate: (n, m) means and standard deviations give (n,), in the product of the objectives' units.

    Where `logarithms` is set, mean and deviation are those of the objective's natural logarithm.
    """
    found = np.zeros(len(mean))
    for start in range(0, len(mean), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        product = np.ones((len(mean[part]), len(boxes.lower)))
        for column, edges in enumerate(boxes.edges):
            below = np.zeros((len(product), len(edges)))
            shortfall = _lognormal_shortfall if logarithms[column] else _normal_shortfall
            below[:, 1:] = shortfall(edges[None, 1:], mean[part, column, None], deviation[part, column, None])
            product *= np.maximum(below[:, boxes.upper[:, column]] - below[:, boxes.lower[:, column]], 0.0)
        found[part] = product.sum(axis=1)
    return found


def _pieces(ranks: NDArray[np.int64], top: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The part of the grid [0, top) that no rank dominates, as (lower, upper) corners.

    Slabs along the last objective, each cut along the others by the ranks that lie below it.
    """
    if len(top) == 1:
        end = int(ranks.min()) if len(ranks) else top[0]
        return [((0,), (end,))]
    found = []
    cuts = [0, *sorted({int(rank) for rank in ranks[:, -1]}), top[-1]]
    for lower, upper in pairwise(cuts):
        under = ranks[ranks[:, -1] <= lower][:, :-1]
        found += [((*low, lower), (*high, upper)) for low, high in _pieces(under, top[:-1])]
    return found


def _normal_shortfall(bound: Floats, mean: Floats, deviation: Floats) -> Floats:
    """E[(bound - y)+] of a normal y."""
    score = (bound - mean) / deviation
    density = np.exp(-0.5 * score**2) / np.sqrt(2.0 * np.pi)
    return np.asarray((bound - mean) * ndtr(score) + deviation * density, dtype=np.float64)


def _lognormal_shortfall(bound: Floats, mean: Floats, deviation: Floats) -> Floats:
    """E[(bound - y)+] of a y whose logarithm is normal; bounds are positive."""
    score = (np.log(bound) - mean) / deviation
    grown = np.exp(mean + 0.5 * deviation**2)
    return np.asarray(bound * ndtr(score) - grown * ndtr(score - deviation), dtype=np.float64)


_STEPS = 25  # of L-BFGS-B; each costs one factorisation
_JITTER = 1e-8
# Priors of the logarithms: (mean, standard deviation). All weights together span about one length at the start.
_WEIGHT_TOTAL, _WEIGHT_SPREAD = 1.5, 1.5
_SIGNAL = (0.0, 1.0)
_NOISE = (math.log(0.02), 1.5)


class Encoding:
    """Points as features, such that squared differences of features are the differences of choices.

    Args:
        sizes: how many values each choice has.
        ordinal: whether a choice's values are ordered.
    """

    def __init__(self, sizes: tuple[int, ...], ordinal: tuple[bool, ...]) -> None:
        blocks: list[Floats] = []
        for size, ordered in zip(sizes, ordinal, strict=True):
            scale = np.linspace(0.0, 1.0, size)[:, None]
            blocks.append(scale if ordered else np.eye(size) / math.sqrt(2.0))
        self.choices = len(sizes)
        self.owner = np.repeat(np.arange(self.choices), [block.shape[1] for block in blocks])
        self._blocks = blocks

    def features(self, points: NDArray[np.int64]) -> Floats:
        """(n, choices) indices as (n, features)."""
        return np.concatenate([block[points[:, place]] for place, block in enumerate(self._blocks)], axis=1)

    def differences(self, points: NDArray[np.int64]) -> Floats:
        """(choices, n, n): how far the points differ in each choice."""
        tables = [((block[:, None] - block[None]) ** 2).sum(axis=2) for block in self._blocks]
        return np.stack([table[np.ix_(points[:, place], points[:, place])] for place, table in enumerate(tables)])


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Of one process: a weight for each choice, and the variances of signal and noise of standardised values."""

    weights: Floats
    signal: float
    noise: float


def fit(encoding: Encoding, points: NDArray[np.int64], values: Floats, extra: Floats | None = None) -> Hyperparameters:
    """The most probable hyperparameters of (n,) values, standardised, at (n, choices) points.

    `extra`: for each value, by how much its noise variance is multiplied.
    """
    count = encoding.choices
    differences = encoding.differences(points).reshape(count, -1)
    scale = np.ones(len(values)) if extra is None else extra
    centre = np.concatenate([np.full(count, math.log(_WEIGHT_TOTAL / count)), [_SIGNAL[0], _NOISE[0]]])
    spread = np.concatenate([np.full(count, _WEIGHT_SPREAD), [_SIGNAL[1], _NOISE[1]]])

    def loss(theta: Floats) -> tuple[float, Floats]:
        weights, signal, noise = np.exp(theta[:count]), math.exp(theta[count]), math.exp(theta[count + 1])
        correlation, slope = _matern((weights @ differences).reshape(len(values), -1))
        covariance = signal * correlation
        covariance[np.diag_indices_from(covariance)] += noise * scale + _JITTER
        try:
            factor = cho_factor(covariance, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e12, np.zeros_like(theta)
        alpha = cho_solve(factor, values, check_finite=False)
        inner = cho_solve(factor, np.eye(len(values)), check_finite=False) - np.outer(alpha, alpha)
        off = (theta - centre) / spread
        value = 0.5 * values @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * (off**2).sum()
        gradient = off / spread
        gradient[:count] += 0.5 * signal * weights * (differences @ (inner * slope).ravel())
        gradient[count] += 0.5 * signal * (inner * correlation).sum()
        gradient[count + 1] += 0.5 * noise * (np.diag(inner) * scale).sum()
        return float(value), gradient

    found = minimize(
        loss, centre, jac=True, method="L-BFGS-B", bounds=[(m - 8.0, m + 8.0) for m in centre],
        options={"maxiter": _STEPS},
    )  # fmt: skip
    theta = np.asarray(found.x, dtype=np.float64)
    return Hyperparameters(weights=np.exp(theta[:count]), signal=math.exp(theta[count]), noise=math.exp(theta[-1]))


class Process:
    """What is known of a function after some of its values: predictions of the function itself, without the noise.

    Args:
        encoding, hyper: of the choices; as `fit` found them.
        points, values: (n, choices) and (n,), as they are: they are standardised here.
        extra: for each value, by how much its noise variance is multiplied.
    """

    def __init__(
        self,
        encoding: Encoding,
        hyper: Hyperparameters,
        points: NDArray[np.int64],
        values: Floats,
        extra: Floats | None = None,
    ) -> None:
        self._centre, self._scale = standard(values)
        self._encoding, self._hyper = encoding, hyper
        self._root = np.sqrt(hyper.weights)[encoding.owner]
        self._features = encoding.features(points) * self._root
        covariance = hyper.signal * _matern(_squared(self._features, self._features))[0]
        noise = np.ones(len(values)) if extra is None else extra
        covariance[np.diag_indices_from(covariance)] += hyper.noise * noise + _JITTER
        self._factor = np.linalg.cholesky(covariance)
        self._alpha = cho_solve((self._factor, True), (values - self._centre) / self._scale, check_finite=False)

    def predict(self, points: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Means and standard deviations at (n, choices) points: (n,) each."""
        features = self._encoding.features(points) * self._root
        cross = self._hyper.signal * _matern(_squared(self._features, features))[0]
        solved = solve_triangular(self._factor, cross, lower=True, check_finite=False)
        variance = np.maximum(self._hyper.signal - (solved**2).sum(axis=0), 1e-12)
        return self._centre + self._scale * (cross.T @ self._alpha), self._scale * np.sqrt(variance)


def standard(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation of values; 1 in place of a deviation of 0."""
    deviation = float(values.std())
    return float(values.mean()), deviation if deviation > 0.0 else 1.0


def _squared(one: Floats, other: Floats) -> Floats:
    product = -2.0 * one @ other.T
    product += (one**2).sum(axis=1)[:, None]
    product += (other**2).sum(axis=1)[None]
    return np.asarray(np.maximum(product, 0.0), dtype=np.float64)


def _matern(squared: Floats) -> tuple[Floats, Floats]:
    """Matern 5/2 of a squared distance, and its derivative by the squared distance."""
    distance = np.sqrt(5.0 * squared)
    decay = np.exp(-distance)
    return (1.0 + distance + distance**2 / 3.0) * decay, -5.0 / 6.0 * (1.0 + distance) * decay


Floats = NDArray[np.float64]

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
        # A replay says nothing new; another training of the same network has values of its own. Of a network that was
        # stopped and promoted later, the end speaks, or its highest rung: at one before it erred more than it does.
        told = [found for found in seen if found.values is not None]
        furthest = {found.point: found for found in sorted(told, key=lambda found: not found.stopped)}
        different = {
            (found.point, found.values): found
            for found in told
            if not found.stopped or furthest[found.point].values == found.values
        }
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


_RANDOM_CANDIDATES = 500
_PAIRS = 1000  # two choices moved, drawn
_MEMBERS = 20  # of the front, whose neighbourhoods are enumerated
_CLIMBERS, _CLIMB_STEPS = 4, 8
_DRAWS = 200
_MOST_WAITING = 8
_SMALL = 2000  # points of a space whose every point is a candidate


class GuidedSampler(OverPoints):
    """Suggests the network of the largest expected hypervolume improvement.

    After `startup` trials with values it fits a Gaussian process to each objective and to each bound that was ever
    broken. Candidates are every network that is one choice away from the front, some two choices away, and random
    ones; the best few are improved choice by choice. Each counts by its expected improvement times its probability of
    keeping the bounds. What the study has already, and what runs, is no candidate; running networks count as if they
    had ended as expected. Nothing is kept between suggestions.

    Args:
        seed: of the random part.
        startup: trials with values before the first model.
        points: see `OverPoints`.
        reference_point: the corner of the hypervolume; None: a tenth beyond the worst value of each objective.
    """

    def __init__(
        self,
        *,
        seed: int,
        startup: int,
        points: Points | None = None,
        reference_point: Sequence[float] | None = None,
    ) -> None:
        super().__init__(points, seed=seed)
        self._startup = startup
        self._reference_point = reference_point
        self._generator = np.random.default_rng(seed)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The choices of the best candidate; of a random new network before there is a model."""
        points = self._points
        if points is None or not search_space:
            return {}
        trials = study.get_trials(deepcopy=False)
        seen = seen_in(trials, points)
        known: set[Hashable] = {None, *(points.identity(found.point) for found in seen)}
        # Workers that ask at the same moment would all be given the best: each takes one further.
        turns = 1 + min(waiting_before(trials, trial.number, points), _MOST_WAITING)
        chosen = self._drawn(points, known)
        if sum(found.values is not None for found in seen) >= self._startup:
            belief = Belief(points, seen, self._generator, self._reference_point)
            for _ in range(turns):
                best = self._best(points, belief, known)
                if best is None:
                    break
                chosen = best
                known.add(points.identity(best))
                belief.imagine(best)
        return {} if chosen is None else points.choices(chosen)

    def _drawn(self, points: Points, known: set[Hashable]) -> Point | None:
        """A random network that the study does not have; None if none is found (of a small space: if none is left)."""
        if points.size <= _SMALL:
            rows = [points.numbered(int(number)) for number in self._generator.permutation(points.size)]
        else:
            rows = [tuple(row) for row in points.draw(_DRAWS, self._generator).tolist()]
        return next((row for row in rows if points.identity(row) not in known), None)

    def _best(self, points: Points, belief: Belief, known: set[Hashable]) -> Point | None:
        """The new network of the largest acquisition value, or None if each is known or worth nothing."""
        candidates = self._candidates(points, belief.front)
        worth = belief.acquisition(candidates)
        order = np.argsort(-worth, kind="stable")
        scores = {tuple(candidates[index].tolist()): float(worth[index]) for index in order}
        climbers = list(islice((point for point in scores if points.identity(point) not in known), _CLIMBERS))
        for _ in range(_CLIMB_STEPS):
            around = {near for point in climbers for near in points.neighbours(point)} - scores.keys()
            if not around:
                break
            listed = sorted(around)
            scores.update(zip(listed, belief.acquisition(np.array(listed)).tolist(), strict=True))
            moved = [self._climbed(points, point, scores, known) for point in climbers]
            if moved == climbers:
                break
            climbers = list(dict.fromkeys(moved))
        best = max(climbers, key=lambda point: scores[point], default=None)
        return best if best is not None and scores[best] > 0.0 else None

    def _climbed(self, points: Points, point: Point, scores: dict[Point, float], known: set[Hashable]) -> Point:
        """The best new neighbour if it is better than the point itself."""
        near = sorted(points.neighbours(point), key=lambda other: -scores[other])
        for other in near:
            if scores[other] <= scores[point]:
                return point
            if points.identity(other) not in known:
                return other
        return point

    def _candidates(self, points: Points, front: Sequence[Point]) -> Indices:
        """Distinct points: the whole of a small space; else all one choice from the front, some two, some random."""
        if points.size <= _SMALL:
            return np.array([points.numbered(number) for number in range(points.size)], dtype=np.int64)
        members = list(front)
        if len(members) > _MEMBERS:
            members = [members[index] for index in sorted(self._generator.permutation(len(members))[:_MEMBERS])]
        found = [self._moved_twice(points, members), points.draw(_RANDOM_CANDIDATES, self._generator)]
        found += [np.array(list(points.neighbours(member)), dtype=np.int64) for member in members]
        return np.unique(np.concatenate(found), axis=0)

    def _moved_twice(self, points: Points, members: Sequence[Point]) -> NDArray[np.int64]:
        if not members:
            return np.zeros((0, len(points.sizes)), dtype=np.int64)
        start = np.array(members, dtype=np.int64)[self._generator.integers(len(members), size=_PAIRS)]
        sizes = np.array(points.sizes)
        for _ in range(2):
            place = self._generator.integers(len(sizes), size=len(start))
            start[np.arange(len(start)), place] = self._generator.integers(sizes[place])
        return start
