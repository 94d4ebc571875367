"""The expected hypervolume improvement of a candidate whose objectives are known as independent distributions.

The region that no point of the front dominates, below the reference point, is cut into boxes. With independent
objectives the expected improvement is, exactly and for any number of them, the sum over the boxes of the product over
the objectives of E[(upper - y)+] - E[(lower - y)+] (Yang, Emmerich, Deutz and Baeck 2019,
doi:10.1007/s10898-019-00798-7). Every objective is lower-is-better.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from archsearch.analysis.pareto import non_dominated

Floats = NDArray[np.float64]

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
