from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from optuna._hypervolume import compute_hypervolume
from optuna.study._multi_objective import _is_pareto_front

from archsearch.analysis.pareto import dominates, hypervolume, knee, non_dominated


def random_set(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of 2 or 3 objectives with duplicates, ties and points beyond the reference point, and that point."""
    generator = np.random.default_rng(seed)
    objectives = 2 + seed % 2
    count = int(generator.integers(1, 60))
    if seed % 3 == 0:  # a coarse grid: many ties and duplicates
        points = generator.integers(0, 6, (count, objectives)).astype(float)
        reference = np.full(objectives, 4.5)
    else:
        points = generator.random((count, objectives))
        points[: count // 3] = points[count // 3 : 2 * (count // 3)]
        reference = generator.uniform(0.5, 1.1, objectives)
    return points, reference


@pytest.mark.parametrize("seed", range(200))
def test_hypervolume_equals_optunas_on_random_sets(seed: int) -> None:
    points, reference = random_set(seed)
    inside = points[(points < reference).all(axis=1)]  # optuna wants points below the reference point only
    expected = compute_hypervolume(inside, reference) if len(inside) else 0.0
    assert hypervolume(points, reference) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("seed", range(200))
def test_front_equals_optunas_and_the_definition_on_random_sets(seed: int) -> None:
    points, _ = random_set(seed)
    mask = non_dominated(points)
    by_definition = [not any(dominates(other, point) for other in points.tolist()) for point in points.tolist()]
    assert mask.tolist() == by_definition
    assert mask.tolist() == _is_pareto_front(points, assume_unique_lexsorted=False).tolist()


def test_front_keeps_equal_points() -> None:
    assert non_dominated([[1, 2], [1, 2], [2, 1], [2, 2]]).tolist() == [True, True, True, False]


@pytest.mark.parametrize("shape", [(0, 2), (0, 3)])
def test_front_and_hypervolume_of_no_points_are_empty(shape: tuple[int, int]) -> None:
    assert non_dominated(np.empty(shape)).shape == (0,)
    assert hypervolume(np.empty(shape), np.ones(shape[1])) == 0.0


@pytest.mark.parametrize("function", [non_dominated, knee, lambda values: hypervolume(values, [1, 1])])
def test_nan_is_refused(function: Callable[[object], object]) -> None:
    with pytest.raises(ValueError, match="NaN"):
        function([[0.0, math.nan], [0.5, 0.5]])


def test_four_objectives_follow_the_definition() -> None:
    points = np.random.default_rng(4).integers(0, 4, (150, 4)).astype(float)
    expected = [not any(dominates(other, point) for other in points.tolist()) for point in points.tolist()]
    assert non_dominated(points).tolist() == expected


def test_infinite_values_can_be_dominated_and_add_no_volume() -> None:
    points = [[1.0, math.inf], [1.0, 1.0], [math.inf, 0.5]]
    assert non_dominated(points).tolist() == [False, True, True]
    assert hypervolume(points, [2, 2]) == 1.0  # only (1, 1) lies below the reference point: 1 x 1


def test_hypervolume_of_a_staircase_worked_by_hand() -> None:
    # (1,3) spans 3x1, (2,2) adds 2x1, (3,1) adds 1x1 below the corner (4,4): 3 + 2 + 1
    assert hypervolume([[1, 3], [2, 2], [3, 1]], [4, 4]) == 6.0


def test_hypervolume_of_two_boxes_worked_by_hand() -> None:
    # boxes 3x3x1 and 1x1x3 below (4,4,4) share 1x1x1: 9 + 3 - 1
    assert hypervolume([[1, 1, 3], [3, 3, 1]], [4, 4, 4]) == 11.0


def test_points_on_or_beyond_the_reference_contribute_nothing() -> None:
    assert hypervolume([[1, 1]], [2, 2]) == hypervolume([[1, 1], [0, 2], [3, 0]], [2, 2]) == 1.0


@pytest.mark.parametrize("reference", [[1.0], [1.0] * 4, [1.0, math.inf], [[1.0, 1.0]]])
def test_hypervolume_refuses_other_reference_points(reference: list[float]) -> None:
    with pytest.raises(ValueError, match="reference point"):
        hypervolume([[0.5, 0.5]], reference)


def test_hypervolume_refuses_points_of_other_objectives() -> None:
    with pytest.raises(ValueError, match="3 objectives against a reference point of 2"):
        hypervolume([[0.1, 0.2, 0.3]], [1, 1])


def test_ten_thousand_points_that_all_stand_on_the_front_are_kept() -> None:
    angle = np.linspace(0.01, math.pi / 2 - 0.01, 10_000)
    assert non_dominated(np.column_stack([np.cos(angle), np.sin(angle), 1 - angle])).any()
    assert non_dominated(np.column_stack([angle, -angle, np.zeros_like(angle)])).all()


def test_knee_is_farthest_below_the_line_through_the_extremes() -> None:
    # scaled: (0,1), (0.2,0.3), (0.5,0.2), (1,0) with sums 1, 0.5, 0.7, 1
    assert knee([[10, 100], [12, 30], [15, 20], [20, 0]]) == 1


def test_knee_does_not_depend_on_units() -> None:
    points = np.array([[10.0, 100.0], [12.0, 30.0], [15.0, 20.0], [20.0, 0.0]])
    assert knee(points * [1e6, 1e-3]) == 1


@pytest.mark.parametrize(
    "points",
    [
        [[5, 5]],
        [[2, 1], [1, 2]],
        [[3, 3], [3, 3]],
        [[2, 1], [1, 2], [2, 1], [9, 9]],  # two distinct points and a dominated one
        [[0, 1], [0.6, 0.6], [1, 0]],  # it bulges: 0.6 + 0.6 is above the line x + y = 1
        [[0, 1], [0.5, 0.5], [1, 0]],  # on the line
        [[0, 1, 7], [0.6, 0.6, 7], [1, 0, 7]],  # the third objective counts for nothing
    ],
)
def test_nothing_lies_below_the_line_so_there_is_no_knee(points: list[list[float]]) -> None:
    assert knee(points) is None


def test_three_objectives_have_a_knee_from_three_points_on() -> None:
    # scaled sums 2, 2, 2, 0.9
    assert knee([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0.3, 0.3, 0.3]]) == 3
    assert knee([[0, 1, 0.5], [1, 0, 0.5]]) is None


def test_knee_ties_go_to_the_lower_first_objective() -> None:
    # sums 1, 0.5, 0.5, 1: (0.1,0.4) before (0.4,0.1)
    assert knee([[0, 1], [0.4, 0.1], [0.1, 0.4], [1, 0]]) == 2


def test_knee_is_never_a_dominated_point_and_ignores_how_bad_those_are() -> None:
    front = [[10, 100], [12, 30], [15, 20], [20, 0]]
    assert knee([[1000, 1000], *front]) == 2


def test_knee_needs_points() -> None:
    with pytest.raises(ValueError, match="without points"):
        knee(np.empty((0, 2)))
