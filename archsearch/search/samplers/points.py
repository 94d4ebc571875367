"""The points of a study's search space as a sampler sees them: one index for each choice, and which network that is.

What a study's trials in Optuna say: which networks are known, which are being suggested now, and how they ended.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from archsearch.errors import ArchsearchError
from archsearch.search.outcome import EARLY_STOP
from archsearch.space.search_space import SearchSpace

Point = tuple[int, ...]
Indices = NDArray[np.int64]


class Points:
    """Every suggestion that a study can get, as the index of each choice's value.

    Args:
        distributions: of each choice; only discrete ones (a step, whole numbers, categories).
        space: the search space that they belong to, with its own values in the same order; it knows which suggestions
            build equal networks. Without it every suggestion counts as a network of its own.
        input_size: of the images (pixels): choices without effect at this size make no other network.

    Raises ValueError for a distribution that is not discrete.
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        space: SearchSpace | None = None,
        *,
        input_size: int | None = None,
    ) -> None:
        self.distributions = dict(distributions)
        self.names = tuple(distributions)
        own = {} if space is None else {domain.name: domain.values for domain in space.domains}
        self.values = tuple(own.get(name, values_of(kind)) for name, kind in distributions.items())
        self.ordinal = tuple(
            not isinstance(distribution, CategoricalDistribution) for distribution in distributions.values()
        )
        self.sizes = tuple(map(len, self.values))
        self.size = math.prod(self.sizes)
        self._space = space
        self._input_size = input_size
        self._identities: dict[Point, Hashable] = {}
        self._index = tuple({_key(value): index for index, value in enumerate(values)} for values in self.values)

    def choices(self, point: Point) -> dict[str, Any]:
        """The suggestion of a point."""
        return {name: values[index] for name, values, index in zip(self.names, self.values, point, strict=True)}

    def point(self, choices: Mapping[str, Any]) -> Point | None:
        """The point of a suggestion, or None if it is none of this space (it lacks a choice, or has another value)."""
        found = []
        for name, values, index in zip(self.names, self.values, self._index, strict=True):
            if name not in choices:
                return None
            value = choices[name]
            at = index.get(_key(value))
            if at is None and isinstance(value, float):  # a stepped float may be off in its last digit
                at = next((i for i, known in enumerate(values) if math.isclose(known, value, rel_tol=1e-9)), None)
            if at is None:
                return None
            found.append(at)
        return tuple(found)

    def identity(self, point: Point) -> Hashable:
        """Which network a point builds: equal for equal networks, None if the family refuses the combination."""
        if self._space is None:
            return point
        if point not in self._identities:
            self._identities[point] = self._network(self._space, point)
        return self._identities[point]

    def networks(self, *, most: int) -> int | None:
        """How many different networks the points build; None if there are more points than `most`."""
        if self.size > most:
            return None
        built = {self.identity(self.numbered(number)) for number in range(self.size)}
        return len(built - {None})

    def learn(self, point: Point, arch_id: str) -> None:
        """Take the network of a stored trial from the study, which knows it: working it out takes a millisecond."""
        if self._space is not None and self._input_size is not None:
            self._identities.setdefault(point, arch_id)

    def numbered(self, number: int) -> Point:
        """The point of a number from 0 to size - 1: the last choice runs fastest."""
        found = []
        for size in reversed(self.sizes):
            number, index = divmod(number, size)
            found.append(index)
        return tuple(reversed(found))

    def draw(self, count: int, generator: np.random.Generator) -> Indices:
        """Points drawn uniformly, every choice independently: (count, choices)."""
        return np.stack([generator.integers(size, size=count) for size in self.sizes], axis=1)

    def neighbours(self, point: Point) -> Iterator[Point]:
        """Every point that differs in exactly one choice."""
        for place, size in enumerate(self.sizes):
            for index in range(size):
                if index != point[place]:
                    yield (*point[:place], index, *point[place + 1 :])

    def _network(self, space: SearchSpace, point: Point) -> str | None:
        try:
            spec = space.spec(self.choices(point))
        except ArchsearchError:
            return None
        return (spec if self._input_size is None else spec.normalised(self._input_size)).arch_id


def values_of(distribution: BaseDistribution) -> tuple[Any, ...]:
    """Every value of a discrete distribution, in order. Raises ValueError for one that is not discrete."""
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)
    if isinstance(distribution, IntDistribution) and not distribution.log:
        return tuple(range(distribution.low, distribution.high + 1, distribution.step))
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        # As decimals: 0.3 + 3 * 0.1 is 0.6000000000000001 in binary, and Optuna does not find that below 0.6.
        low, high, step = (Decimal(str(each)) for each in (distribution.low, distribution.high, distribution.step))
        return tuple(float(low + index * step) for index in range(int((high - low) // step) + 1))
    raise ValueError(f"not a discrete distribution: {distribution}")


def _key(value: Any) -> tuple[type, Any]:
    return type(value), value  # 1 and True are equal, but two choices


class OverPoints(BaseSampler):
    """A sampler of a study's points. What it does not choose itself is drawn: nothing is known, or left, of the space.

    Args:
        points: those of the study; None: what its finished trials share, so that the first suggestions are random.
        seed: of what is drawn.
    """

    def __init__(self, points: Points | None, *, seed: int) -> None:
        self._points = points
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every choice, as soon as they are known."""
        if self._points is None and (found := intersection_search_space(study.get_trials(deepcopy=False))):
            with suppress(ValueError):  # of a continuous choice
                self._points = Points(found)
        return {} if self._points is None else self._points.distributions

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)


_NOTED = "archsearch"  # the attribute that a trial gets once its network is in archsearch's own tables


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One network that the study knows.

    Attributes:
        point: its choices.
        values: its objectives; None while it runs, if it failed, and if it broke a bound: some values of such a trial
            may stand for unknown ones.
        stopped: whether its training was stopped early, so that the values are what was expected of it.
        excess: of each bound, how far it is exceeded; positive breaks it, 0 says nothing (the value was not found).
        running: whether it runs now.
    """

    point: Point
    values: tuple[float, ...] | None
    stopped: bool
    excess: dict[str, float]
    running: bool


def seen_in(trials: Sequence[FrozenTrial], points: Points) -> list[Seen]:
    """The trials with choices of this space, in order; trials that the study has forgotten left out."""
    return [found for trial in trials if (found := _seen(trial, points)) is not None]


def finished_or_running(trial: FrozenTrial) -> bool:
    """Whether a trial's network needs no other suggestion.

    A trial that failed in Optuna failed in the study, too, or comes back from the study's own tables; except one whose
    worker was killed before it was stored there.
    """
    return trial.state in (TrialState.COMPLETE, TrialState.RUNNING) or _NOTED in trial.user_attrs


def waiting_before(trials: Sequence[FrozenTrial], number: int, points: Points) -> int:
    """How many earlier trials are being suggested at this moment: running, without all their choices yet."""
    return sum(
        trial.state is TrialState.RUNNING
        and trial.number < number
        and _NOTED not in trial.user_attrs
        and points.point(trial.params) is None
        for trial in trials
    )


def _seen(trial: FrozenTrial, points: Points) -> Seen | None:
    if not finished_or_running(trial) or (point := points.point(trial.params)) is None:
        return None
    arch_id = trial.user_attrs.get(_NOTED, {}).get("arch_id")
    if not points.names and points.identity(point) != arch_id:
        return None  # a space of one point has no choices to tell its network from one outside by
    if arch_id:
        points.learn(point, arch_id)
    constraints = trial.constraints
    stopped = constraints.pop(EARLY_STOP, 0.0) > 0.0
    kept = trial.state is TrialState.COMPLETE and all(value <= 0.0 for value in constraints.values())
    return Seen(
        point=point,
        values=tuple(trial.values) if kept and trial.values is not None else None,
        stopped=stopped,
        excess=constraints if trial.state is TrialState.COMPLETE else {},
        running=trial.state is TrialState.RUNNING,
    )
