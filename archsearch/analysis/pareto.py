"""Pareto arithmetic on plain arrays (n points, m objectives); every objective is lower-is-better.

A point dominates another if it is nowhere worse and somewhere better (Deb 2001, definition 2.5). With up to three
objectives one sweep over the sorted points keeps the staircase of the other two: O(n log n) for front and
hypervolume (Beume, Fonseca et al. 2009, doi:10.1109/TEVC.2009.2015575, section III).

One objective may be measured with noise: `Noisy` says which, and from which difference on two of its values differ at
all. See `non_dominated` for what becomes of domination then.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archsearch.analysis.intervals import Floats
from archsearch.noise import NO_FLOOR, NoiseFloor

# Sums of scaled values that differ by less than rounding are ties for the knee.
_KNEE_TIE = 1e-12


@dataclass(frozen=True)
class Noisy:
    """The objective whose small differences are ties.

    Attributes:
        column: its index among the objectives.
        floor: the noise floor: a and b differ only if the larger is more than `floor.upper` of the smaller. Values of
            this objective may not be negative then.
    """

    column: int
    floor: NoiseFloor

    def below(self, one: ArrayLike, other: ArrayLike) -> NDArray[np.bool_]:
        """Whether `one` is smaller than `other` by more than the floor."""
        return np.asarray(self.floor.upper(one) < np.asarray(other, dtype=np.float64), dtype=np.bool_)

    def tie(self, one: float, other: float) -> bool:
        """Whether two values of this objective differ by no more than the floor."""
        return not self.below(one, other) and not self.below(other, one)


def dominates(one: Sequence[float], other: Sequence[float], noisy: Noisy | None = None) -> bool:
    """Whether `one` is nowhere worse than `other` and somewhere better.

    In the noisy objective only a difference above its floor is worse or better.
    """
    worse = better = False
    for column, (a, b) in enumerate(zip(one, other, strict=True)):
        if noisy is not None and column == noisy.column:
            better |= bool(noisy.below(a, b))
            worse |= bool(noisy.below(b, a))
        else:
            better |= a < b
            worse |= a > b
    return better and not worse


def level(one: Sequence[float], other: Sequence[float], noisy: Noisy | None = None) -> bool:
    """Whether two points are equal, in the noisy objective within its floor."""
    return all(
        a == b or (noisy is not None and column == noisy.column and noisy.tie(a, b))
        for column, (a, b) in enumerate(zip(one, other, strict=True))
    )


def non_dominated(values: ArrayLike, noisy: Noisy | None = None) -> NDArray[np.bool_]:
    """Which points stand on the front: no point of the front dominates another, and each other point is dominated by
    one of the front. Equal points are treated alike.

    Without noise that is the set of the points that no point dominates.

    With it (`noisy`, a floor above 0) a value is better than another if `upper` of it is still below the other, and
    `upper` of a value is never below the value itself. `dominates` has no cycles then: the exact objectives never get
    worse along a chain of dominating points, so in a cycle they would all be equal, each step would have to be a gain
    in the noisy objective, and that objective would end below where it began. But it is no longer transitive: a may be
    level with b in latency and b with c, and a not with c. In a dense study the points that nothing at all dominates
    would then be the end of one long chain of ties. So the front is the kernel of the relation (von Neumann and
    Morgenstern 1944, section 65): a set with the two properties above, of which a finite relation without cycles has
    exactly one, never empty if there are points. It is found by looking at each point after all that could dominate
    it, best first in the exact objectives and then in the noisy one. A point of it that the plain front lacks is
    level with another point of it: `upper` grows strictly, so whatever dominates a point dominates all that it is
    plainly better than. With a floor of 0 it is the plain front.

    Args:
        values: (n, m), lower is better; infinities are allowed.
        noisy: the objective in which small differences are ties.

    Returns:
        (n,) True for the front.

    Raises ValueError if `values` is not two-dimensional or contains NaN, or a negative value in an objective with ties.
    """
    points = _points(values)
    if points.size == 0:
        return np.ones(len(points), dtype=np.bool_)
    if noisy is None or not noisy.floor.ties:
        noisy = Noisy(points.shape[1] - 1, NO_FLOOR)
    exact, measured = np.delete(points, noisy.column, axis=1), points[:, noisy.column]
    if noisy.floor.ties and (measured < 0.0).any():
        raise ValueError("a relative noise floor means nothing for negative values")
    order = np.lexsort((measured, *exact.T[::-1]))
    keep = np.zeros(len(points), dtype=np.bool_)
    if exact.shape[1] <= 2:
        keep[order] = _sweep(exact[order], measured[order], noisy)
        return keep
    members: list[list[float]] = []
    for place in order.tolist():  # more objectives than a study has: O(front * n)
        point = points[place].tolist()
        if not any(dominates(member, point, noisy) for member in members):
            members.append(point)
            keep[place] = True
    return keep


def hypervolume(values: ArrayLike, reference_point: ArrayLike) -> float:
    """The exact volume that the points dominate below the reference point, for 2 or 3 objectives.

    Args:
        values: (n, m), lower is better. A point that is not strictly below the reference point in every objective
            contributes nothing.
        reference_point: (m,), finite.

    Returns:
        The volume, in the product of the objectives' units; 0.0 without points.

    Raises ValueError for NaN, -inf, an infinite reference point, or other than 2 or 3 objectives.
    """
    reference = np.asarray(reference_point, dtype=np.float64)
    if reference.ndim != 1 or reference.shape[0] not in (2, 3):
        raise ValueError(f"the hypervolume needs a reference point of 2 or 3 objectives, got shape {reference.shape}")
    if not np.isfinite(reference).all():
        raise ValueError(f"the reference point must be finite, got {reference.tolist()}")
    points = _points(values, columns=reference.shape[0])
    if np.isneginf(points).any():
        raise ValueError("a value of -inf has no finite hypervolume")
    points = points[(points < reference).all(axis=1)]
    if reference.shape[0] == 2:  # a slab of thickness 1
        points = np.column_stack([points, np.zeros(len(points))])
        reference = np.append(reference, 1.0)
    stairs = _Staircase(float(reference[0]), float(reference[1]))
    volume, height = 0.0, 0.0
    for x, y, z in points[np.argsort(points[:, 2], kind="stable")].tolist():
        volume += stairs.area * (z - height)
        height = z
        stairs.add(x, y)
    return volume + stairs.area * (float(reference[2]) - height)


def knee(values: ArrayLike) -> int | None:
    """The index of the knee, where giving up a little of one objective stops paying in the others; None without one.

    Rule: scale each objective of the non-dominated points to [0, 1]; the knee is the point farthest below the line
    through the two extremes, that is the smallest sum of scaled values (Das 1999, "On characterizing the knee of the
    Pareto curve", doi:10.1007/s001580050072; the same distance as in Kneedle, Satopaa 2011). With three objectives
    the line becomes the plane of equal sums. An objective in which all points are equal counts for nothing.

    Ties go to the lower first objective, then to the lower index. Dominated points are never the knee.

    A front of one or two distinct points has no knee: nothing lies between its ends. Neither has a front in two
    objectives that nowhere lies below that line, as one that bulges away from the origin: each of its points is as
    far as an end, or farther.

    Args:
        values: (n, m), lower is better, finite.

    Raises ValueError without points, or for NaN or infinite values.
    """
    points = _points(values)
    if len(points) == 0:
        raise ValueError("there is no knee without points")
    if not np.isfinite(points).all():
        raise ValueError("the knee needs finite values")
    front = np.flatnonzero(non_dominated(points))
    chosen = points[front]
    span = np.ptp(chosen, axis=0)
    scaled = (chosen - chosen.min(axis=0)) / np.where(span > 0.0, span, 1.0)
    total = scaled.sum(axis=1)
    if len(np.unique(chosen, axis=0)) < 3 or (np.count_nonzero(span) == 2 and total.min() >= 1.0 - _KNEE_TIE):
        return None
    tied = np.flatnonzero(total <= total.min() + _KNEE_TIE)
    return int(front[tied[np.argmin(chosen[tied, 0])]])


class _Staircase:
    """Non-dominated (x, y) pairs by growing x and falling y, and the area that they dominate below a corner."""

    def __init__(self, corner_x: float, corner_y: float) -> None:
        self._corner = (corner_x, corner_y)
        self._xs: list[float] = []
        self._ys: list[float] = []
        self.area = 0.0

    def lowest(self, x: float) -> float | None:
        """The lowest y of the pairs whose x is not above this one; None if there is none."""
        before = bisect_right(self._xs, x)
        return self._ys[before - 1] if before else None

    def add(self, x: float, y: float) -> bool:
        """Add one pair; False if a pair on the staircase is at least as good in both."""
        xs, ys = self._xs, self._ys
        before = bisect_right(xs, x)
        if before and ys[before - 1] <= y:
            return False
        first = last = bisect_left(xs, x)
        left, level = x, ys[first - 1] if first else self._corner[1]
        gained = 0.0
        while last < len(xs) and ys[last] >= y:  # steps that the new pair covers
            gained += (xs[last] - left) * (level - y)
            left, level = xs[last], ys[last]
            last += 1
        gained += ((xs[last] if last < len(xs) else self._corner[0]) - left) * (level - y)
        self.area += gained
        xs[first:last] = [x]
        ys[first:last] = [y]
        return True


def _points(values: ArrayLike, *, columns: int | None = None) -> Floats:
    points = np.asarray(values, dtype=np.float64)
    if points.size == 0 and points.ndim < 2:
        points = points.reshape(0, columns or 0)
    if points.ndim != 2:
        raise ValueError(f"values must be (n points, m objectives), got shape {points.shape}")
    if columns is not None and points.shape[1] != columns:
        raise ValueError(f"values of {points.shape[1]} objectives against a reference point of {columns}")
    if np.isnan(points).any():
        raise ValueError("values contain NaN: a missing value has no place on a front")
    return points


def _sweep(exact: Floats, measured: Floats, noisy: Noisy) -> NDArray[np.bool_]:
    """The front of sorted points of up to two exact objectives, in one sweep: O(n log n).

    Whoever came before is no worse in the first exact objective. So a member that differs in these two dominates
    exactly if the fastest one that is no worse in the second is not slower by more than the floor. Of the members that
    are equal in both it is the fastest again, and it has to be faster by more than the floor.
    """
    second = exact[:, 1] if exact.shape[1] == 2 else np.zeros(len(exact))
    first = exact[:, 0] if exact.shape[1] else second
    stairs = _Staircase(0.0, 0.0)  # members by their second exact objective and the noisy one
    keep: list[bool] = []
    place: tuple[float, float] | None = None  # the exact objectives of the points at hand
    fastest: float | None = None  # of the members there
    fastest_upper = 0.0
    uppers = noisy.floor.upper(measured)
    for a, b, value, upper in zip(first.tolist(), second.tolist(), measured.tolist(), uppers.tolist(), strict=True):
        if place != (a, b):
            if place is not None and fastest is not None:
                stairs.add(place[1], fastest)
            place, fastest, fastest_upper = (a, b), None, 0.0
        lowest = stairs.lowest(b)
        beaten = (lowest is not None and lowest <= upper) or (fastest is not None and fastest_upper < value)
        if not beaten and fastest is None:
            fastest, fastest_upper = value, upper
        keep.append(not beaten)
    return np.array(keep, dtype=np.bool_)
