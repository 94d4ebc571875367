"""Enumeration of a small search space: every distinct network once, in an order drawn by the study's seed."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from archsearch.errors import ConfigError
from archsearch.search.samplers.points import OverPoints, Point, Points, seen_in, waiting_before

LARGEST_SPACE = 100_000


class ExhaustiveSampler(OverPoints):
    """Suggests the first network of the order that the study does not have yet.

    Nothing is kept between suggestions: a restarted study, or another worker, reads what there is. Workers that ask at
    the same moment see each other's trials before these have choices, and take one network further each.

    Args:
        study_seed: draws the order; every worker of a study needs the same.
        seed: of suggestions beyond the last network, which are random.
        points: see `OverPoints`.

    Raises ConfigError for a space of more than LARGEST_SPACE points.
    """

    def __init__(self, *, study_seed: int, seed: int, points: Points | None = None) -> None:
        if points is not None:
            check_size(points.size)
        super().__init__(points, seed=seed)
        self._study_seed = study_seed

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next network's choices; none, so that they are drawn, if the study has every network."""
        if self._points is None or not search_space:
            return {}
        check_size(self._points.size)
        trials = study.get_trials(deepcopy=False)
        skipped = waiting_before(trials, trial.number, self._points)
        # At the end of the order the last one, whoever else may have it: a repeat costs less than a gap.
        *_, last = [None, *islice(self.remaining(trials), skipped + 1)]
        return {} if last is None else self._points.choices(last)

    def used_up(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether the study has every network of the space; False while the space is not known."""
        return self._points is not None and next(self.remaining(trials), None) is None

    def remaining(self, trials: Sequence[FrozenTrial]) -> Iterator[Point]:
        """The points whose networks are not among the trials, each network once, in the study's order."""
        points = self._points
        if points is None:
            return
        seen: set[Hashable] = {None, *(points.identity(found.point) for found in seen_in(trials, points))}
        for number in np.random.default_rng([self._study_seed, points.size]).permutation(points.size):
            point = points.numbered(int(number))
            if (identity := points.identity(point)) not in seen:
                seen.add(identity)
                yield point


def check_size(size: int) -> None:
    """Raises ConfigError if a space has too many points to enumerate."""
    if size > LARGEST_SPACE:
        raise ConfigError(
            f"sampler 'exhaustive': the search space has {size:,} points, at most {LARGEST_SPACE:,} are enumerated",
            hint="restrict its choices (`restrict`, `fixed`), or take another sampler",
        )
