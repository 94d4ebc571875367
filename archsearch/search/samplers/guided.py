"""Our own model-guided step: the expected hypervolume improvement over the enumerated neighbourhood of the front."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from archsearch.search.samplers.belief import Belief
from archsearch.search.samplers.history import seen_in, waiting_before
from archsearch.search.samplers.points import Indices, Point, Points, points_of

_RANDOM_CANDIDATES = 500
_PAIRS = 1000  # two choices moved, drawn
_MEMBERS = 20  # of the front, whose neighbourhoods are enumerated
_CLIMBERS, _CLIMB_STEPS = 4, 8
_DRAWS = 200
_MOST_WAITING = 8
_SMALL = 2000  # points of a space whose every point is a candidate


class GuidedSampler(BaseSampler):
    """Suggests the network of the largest expected hypervolume improvement.

    After `startup` trials with values it fits a Gaussian process to each objective and to each bound that was ever
    broken. Candidates are every network that is one choice away from the front, some two choices away, and random
    ones; the best few are improved choice by choice. Each counts by its expected improvement times its probability of
    keeping the bounds. What the study has already, and what runs, is no candidate; running networks count as if they
    had ended as expected. Nothing is kept between suggestions.

    Args:
        seed: of the random part.
        startup: trials with values before the first model.
        points: those of the study; None: of its finished trials.
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
        self._points = points
        self._startup = startup
        self._reference_point = reference_point
        self._random = RandomSampler(seed=seed)
        self._generator = np.random.default_rng(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every choice, as soon as they are known."""
        self._points = self._points or points_of(study)
        return {} if self._points is None else self._points.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The choices of the best candidate; of a random new network before there is a model."""
        points = self._points
        if points is None or not search_space:
            return {}
        trials = study.get_trials(deepcopy=False)
        seen = seen_in(trials, points)
        known: set[Hashable] = {points.identity(found.point) for found in seen}
        known.add(None)
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

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value, while nothing is known of the space, or when it is used up."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

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
