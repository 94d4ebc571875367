"""The best of several objectives, in order: fronts one below the other, and each front thinned evenly."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
