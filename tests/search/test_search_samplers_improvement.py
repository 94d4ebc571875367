"""Expected hypervolume improvement by hand arithmetic and by drawn values; the process beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from archsearch.analysis.pareto import hypervolume
from archsearch.search.samplers.guided import (
    MOST_MEMBERS,
    Encoding,
    Hyperparameters,
    Process,
    boxes_of,
    expected_improvement,
    fit,
)

CERTAIN = 1e-9


def test_boxes_of_two_points_are_the_steps_of_their_staircase() -> None:
    # corner (4, 4), front (1, 3) and (2, 1): free are y < 1 for every x, 1 <= y < 3 for x < 2, and 3 <= y < 4 for x < 1
    boxes = boxes_of(np.array([[1.0, 3.0], [2.0, 1.0]]), np.array([4.0, 4.0]))
    found = {
        (float(boxes.edges[0][high[0]]), float(boxes.edges[1][low[1]]), float(boxes.edges[1][high[1]]))
        for low, high in zip(boxes.lower, boxes.upper, strict=True)
    }
    assert found == {(4.0, -np.inf, 1.0), (2.0, 1.0, 3.0), (1.0, 3.0, 4.0)}
    assert (boxes.lower[:, 0] == 0).all()


def test_a_certain_candidate_improves_by_the_area_that_it_adds() -> None:
    boxes = boxes_of(np.array([[1.0, 3.0], [2.0, 1.0]]), np.array([4.0, 4.0]))
    # (1, 1) adds [1, 2] x [1, 3] = 2; (0, 0) adds 16 - (3 * 1 + 2 * 3 - 2 * 1) = 9; (3, 3) is dominated;
    # (5, 0) lies beyond the corner
    candidates = np.array([[1.0, 1.0], [0.0, 0.0], [3.0, 3.0], [5.0, 0.0]])
    found = expected_improvement(boxes, candidates, np.full((4, 2), CERTAIN), logarithms=(False, False))
    assert found == pytest.approx([2.0, 9.0, 0.0, 0.0], abs=1e-6)


def test_without_a_front_the_improvement_is_the_whole_box() -> None:
    boxes = boxes_of(np.zeros((0, 3)), np.array([2.0, 3.0, 4.0]))
    candidate = np.array([[1.0, 1.0, 1.0]])
    # (2 - 1) * (3 - 1) * (4 - 1) = 6
    found = expected_improvement(boxes, candidate, np.full((1, 3), CERTAIN), logarithms=(False,) * 3)
    assert found == pytest.approx([6.0])


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("logarithm", [False, True])
def test_the_expectation_is_the_mean_of_drawn_improvements(objectives: int, logarithm: bool) -> None:
    generator = np.random.default_rng(0)
    front = 0.2 + 0.6 * generator.random((8, objectives))
    corner = np.ones(objectives)
    mean, deviation = np.full((1, objectives), 0.4), np.full((1, objectives), 0.15)
    logarithms = (logarithm,) + (False,) * (objectives - 1)
    if logarithm:
        mean[0, 0] = np.log(mean[0, 0])
    drawn = mean + deviation * generator.standard_normal((3000, objectives))
    if logarithm:
        drawn[:, 0] = np.exp(drawn[:, 0])
    before = hypervolume(front, corner)
    gains = np.array([hypervolume(np.vstack([front, point]), corner) - before for point in drawn])
    found = expected_improvement(boxes_of(front, corner), mean, deviation, logarithms=logarithms)
    # five standard errors of the mean of the draws
    assert found[0] == pytest.approx(gains.mean(), abs=5 * gains.std() / np.sqrt(len(gains)))


def test_a_long_front_of_three_objectives_is_thinned_before_it_is_cut() -> None:
    angle = np.linspace(0.01, np.pi / 2 - 0.01, 500)
    front = 1.0 - 0.9 * np.stack([np.cos(angle), np.sin(angle), np.full(500, 0.5)], axis=1)
    boxes = boxes_of(front, np.ones(3))
    assert len(boxes.edges[0]) == MOST_MEMBERS + 2


ENCODING = Encoding((5, 3, 2), (True, False, False))
POINTS = np.array([[0, 0, 0], [4, 1, 1], [2, 2, 0], [3, 0, 1], [1, 1, 0], [2, 0, 0]])
VALUES = np.array([1.0, 5.0, 2.5, 4.0, 2.0, 1.8])


def test_differences_are_squares_of_scaled_places_and_whether_words_differ() -> None:
    found = ENCODING.differences(np.array([[0, 0, 0], [3, 2, 0]]))
    # 3 of 4 steps: (3/4)^2; other words: 1; the same word: 0
    assert found[:, 0, 1].tolist() == pytest.approx([0.5625, 1.0, 0.0])
    features = ENCODING.features(np.array([[0, 0, 0], [3, 2, 0]]))
    assert ((features[0] - features[1]) ** 2).sum() == pytest.approx(1.5625)


def test_predictions_are_those_of_another_library() -> None:
    hyper = Hyperparameters(weights=np.array([2.0, 0.5, 0.1]), signal=1.0, noise=0.01)
    process = Process(ENCODING, hyper, POINTS, VALUES)
    asked = np.array([[4, 2, 0], [0, 1, 1], [2, 0, 0]])
    root = np.sqrt(hyper.weights)[ENCODING.owner]
    other = GaussianProcessRegressor(Matern(nu=2.5), alpha=0.01 + 1e-8, optimizer=None, normalize_y=True)
    other.fit(ENCODING.features(POINTS) * root, VALUES)
    mean, deviation = other.predict(ENCODING.features(asked) * root, return_std=True)
    found = process.predict(asked)
    assert found[0] == pytest.approx(mean)
    assert found[1] == pytest.approx(deviation)


def test_a_choice_without_effect_gets_a_smaller_weight_than_those_with_one() -> None:
    generator = np.random.default_rng(0)
    points = np.stack([generator.integers(size, size=60) for size in (5, 3, 2)], axis=1)
    values = 0.5 * points[:, 0] + 1.0 * (points[:, 1] == 2) + 0.02 * generator.standard_normal(60)
    hyper = fit(ENCODING, points, (values - values.mean()) / values.std())
    assert hyper.weights[2] < 0.2 * min(hyper.weights[0], hyper.weights[1])
    # the noise's share of the variance of the values, 0.02^2 / var, within a factor of three
    assert hyper.noise == pytest.approx(0.02**2 / values.var(), rel=2.0)


def test_an_expected_value_counts_less_than_a_measured_one() -> None:
    hyper = Hyperparameters(weights=np.array([2.0, 0.5, 0.1]), signal=1.0, noise=0.1)
    extra = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 50.0])
    far = np.array([*VALUES[:-1], 8.0])
    kept, loose = (Process(ENCODING, hyper, POINTS, far, each).predict(POINTS[-1:])[0][0] for each in (None, extra))
    assert loose < kept < 8.0
