"""Multi-objective asynchronous successive halving: at each rung the best third goes on, the others wait.

After Schmucker, Donini, Zafar, Salinas and Archambeau 2021, "Multi-objective Asynchronous Successive Halving",
arXiv:2106.12639, which gives ASHA (Li et al. 2020, "A system for massively parallel hyperparameter tuning",
arXiv:1810.05934) a non-dominated sorting in place of the order of one objective.

The best of several objectives, in order: fronts one below the other, and each front thinned evenly.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archsearch.search.stopping.base import Curve, Decision
from archsearch.search.stopping.settings import RuleContext, StoppingSettings

_OBJECTIVES = 3


def best_first(values: ArrayLike, count: int) -> list[int]:
    """The indices of the `count` best points, the best first.

    Non-dominated sorting: whoever is on the front comes before whoever is on the front of the rest, and so on. Within a
    front the points are put in the order of an epsilon-net (`epsilon_net`), so that however few of it are taken, they
    lie along all of it. This is the selection of multi-objective successive halving: Schmucker, Donini, Zafar, Salinas
    and Archambeau 2021, "Multi-objective Asynchronous Successive Halving", arXiv:2106.12639; the epsilon-net within a
    front is that of Salinas, Perrone, Cruchant and Archambeau 2021, "A multi-objective perspective on jointly tuning
    hardware and hyperparameters".

    Args:
        values: (n, m), lower is better, finite, m from 1 to 3.
        count: how many are wanted; fewer come back if there are fewer.
    """
    points = np.asarray(values, dtype=np.float64)
    if not len(points):
        return []
    span = np.ptp(points, axis=0)
    scaled = points / np.where(span > 0.0, span, 1.0)
    ranks = front_ranks(points)
    found: list[int] = []
    for rank in range(int(ranks.max()) + 1):
        front = np.flatnonzero(ranks == rank)
        found.extend(front[epsilon_net(scaled[front], min(len(front), count - len(found)))].tolist())
        if len(found) >= count:
            break
    return found


def front_ranks(values: ArrayLike) -> NDArray[np.intp]:
    """Which front each point is on: 0 for those that nothing dominates, 1 for those of the rest, and so on.

    Points in ascending order are put one by one on the first front of which no point dominates them, found by bisection
    (Zhang, Tian, Cheng and Jin 2015, "An efficient approach to nondominated sorting for evolutionary multiobjective
    optimization", ENS-BS). A front remembers the staircase of its other two objectives: one look at it is O(log n).

    Args:
        values: (n, m), lower is better, finite, m from 1 to 3. Equal points are on the same front.
    """
    points = np.asarray(values, dtype=np.float64)
    if points.shape[1] > _OBJECTIVES:
        raise ValueError(f"at most {_OBJECTIVES} objectives are sorted, got {points.shape[1]}")
    padded = np.zeros((len(points), _OBJECTIVES))
    padded[:, : points.shape[1]] = points
    unique, group = np.unique(padded, axis=0, return_inverse=True)  # sorted lexicographically
    fronts: list[_Stairs] = []
    ranks = np.zeros(len(unique), dtype=np.intp)
    for index, (_, y, z) in enumerate(unique.tolist()):
        rank = bisect_left(fronts, True, key=lambda front: not front.covers(y, z))
        if rank == len(fronts):
            fronts.append(_Stairs())
        fronts[rank].add(y, z)
        ranks[index] = rank
    return ranks[group.reshape(-1)]


class _Stairs:
    """The non-dominated (y, z) of a front so far, by growing y and falling z."""

    def __init__(self) -> None:
        self._ys: list[float] = []
        self._zs: list[float] = []

    def covers(self, y: float, z: float) -> bool:
        """Whether a pair is at least as good in both."""
        before = bisect_right(self._ys, y)
        return before > 0 and self._zs[before - 1] <= z

    def add(self, y: float, z: float) -> None:
        """Add a pair that is not covered."""
        first = last = bisect_left(self._ys, y)
        while last < len(self._ys) and self._zs[last] >= z:
            last += 1
        self._ys[first:last], self._zs[first:last] = [y], [z]


def epsilon_net(points: ArrayLike, count: int) -> NDArray[np.intp]:
    """The indices of `count` points that are spread: each next one is the farthest from all that were taken before.

    It begins at the lowest first objective. (Clarkson 2006, "Nearest-neighbor searching and metric space dimensions",
    in Nearest-Neighbor Methods in Learning and Vision, MIT Press: the greedy permutation.) Ties go to the lower index.

    Args:
        points: (n, m), in scales that may be compared.
        count: at most n.
    """
    places = np.asarray(points, dtype=np.float64)
    order = np.zeros(min(count, len(places)), dtype=np.intp)
    if not len(order):
        return order
    order[0] = int(np.argmin(places[:, 0]))
    nearest = np.full(len(places), np.inf)
    taken = np.zeros(len(places), dtype=np.bool_)
    for step in range(1, len(order)):
        last = order[step - 1]
        taken[last] = True
        nearest = np.minimum(nearest, np.linalg.norm(places - places[last], axis=1))
        order[step] = int(np.argmax(np.where(taken, -1.0, nearest)))
    return order


class MultiObjectiveHalving:
    """One in `reduction` of a rung's trials goes on; the others are stopped, and may be promoted later.

    The rungs are at `min_epochs`, `reduction` times that, and so on, below the schedule's end. A trial that has done a
    rung's epochs is ranked among all that ever did, by its error then and its other objectives (`sorting.best_first`):
    it goes on if it is among the best n // `reduction` of these n, or the best of fewer. It does not wait for others,
    so early trials meet little competition; a stopped one is promoted when the rung has grown and it is among the best.

    Latencies are compared as measured here, without the noise floor: a rank is no verdict.
    """

    def __init__(self, settings: StoppingSettings, context: RuleContext) -> None:
        del context
        self._first, self._reduction = settings.min_epochs, settings.reduction

    def rungs(self, epochs: int) -> list[int]:
        """The epochs after which a trial of a schedule this long is ranked, the first rung first."""
        return list(self._rungs(epochs))

    def decide(self, trial: Curve, others: Sequence[Curve]) -> Decision:
        """Stop at a rung unless the trial is among its best."""
        epoch = len(trial.errors)
        if trial.complete or epoch not in self.rungs(trial.epochs):
            return Decision(epoch=epoch, stop=False, would_stop=False)
        entered = sorted([trial, *others], key=lambda curve: curve.trial)
        members = [curve for curve in entered if len(curve.errors) >= epoch]
        best = self._best(members, epoch)
        if any(curve.trial == trial.trial for curve in best):
            return Decision(epoch=epoch, stop=False, would_stop=False)
        reason = (
            f"not among the best {len(best)} of {len(members)} trials after epoch {epoch} of {trial.epochs} "
            f"(error {trial.errors[-1]:.2f} %)"
        )
        return Decision(epoch=epoch, stop=True, would_stop=True, reason=reason)

    def promotable(self, curves: Sequence[Curve]) -> int | None:
        """The best trial that waits at the highest rung of whose best it is one."""
        rungs = sorted({rung for epochs in {curve.epochs for curve in curves} for rung in self._rungs(epochs)})
        for epoch in reversed(rungs):
            members = [curve for curve in curves if len(curve.errors) >= epoch]
            waiting = {curve.trial for curve in members if len(curve.errors) == epoch and not curve.running}
            best = self._best(members, epoch) if waiting else []
            for curve in best:
                if curve.trial in waiting and not curve.complete:
                    return curve.trial
        return None

    def _rungs(self, epochs: int) -> Iterator[int]:
        epoch = self._first
        while epoch < epochs:
            yield epoch
            epoch *= self._reduction

    def _best(self, members: Sequence[Curve], epoch: int) -> list[Curve]:
        if not members:
            return []
        values = [(curve.errors[epoch - 1], *curve.known) for curve in members]
        return [members[index] for index in best_first(values, max(1, len(members) // self._reduction))]
