"""Fronts and hypervolumes against those of optuna and of moocore, on random sets with duplicates and ties."""

from __future__ import annotations

import moocore
import numpy as np
import optuna
import pytest
from optuna.trial import create_trial

from archsearch.analysis.pareto import hypervolume, non_dominated

SETS = 200


def drawn(seed: int, objectives: int) -> np.ndarray:
    """Between 1 and 60 points: of a coarse grid (ties), of the plane, or both; some twice; some on one line."""
    generator = np.random.default_rng([seed, objectives])
    count = int(generator.integers(1, 40))
    kind = seed % 4
    if kind == 0:
        points = generator.integers(0, 6, (count, objectives)).astype(float)
    elif kind == 1:
        points = generator.uniform(0.0, 6.0, (count, objectives))
    elif kind == 2:  # near a line on which every point is on the front
        points = generator.dirichlet(np.ones(objectives), count) * 6.0
    else:
        points = np.vstack(
            [generator.integers(0, 6, (count, objectives)), generator.uniform(0.0, 6.0, (count, objectives))]
        )
    return np.vstack([points, points[generator.integers(0, len(points), int(generator.integers(0, 20)))]])


def optunas_front(points: np.ndarray) -> list[bool]:
    study = optuna.create_study(
        directions=["minimize"] * points.shape[1], sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.add_trials(create_trial(values=row) for row in points.tolist())
    best = {trial.number for trial in study.best_trials}
    return [number in best for number in range(len(points))]


def optunas_hypervolume(points: np.ndarray, corner: np.ndarray) -> float:
    """optuna's own, as its hypervolume plot has it: points beyond the corner are moved onto it."""
    from optuna._hypervolume import compute_hypervolume

    return float(compute_hypervolume(np.minimum(points, corner), corner))


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_front_is_optunas_and_moocores(objectives: int) -> None:
    sizes = set()
    for seed in range(SETS):
        points = drawn(seed, objectives)
        ours = non_dominated(points).tolist()
        assert ours == moocore.is_nondominated(points, keep_weakly=True).tolist(), seed
        assert ours == optunas_front(points), seed
        sizes.add(sum(ours))
    assert len(sizes) > 10  # not one kind of set


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_hypervolume_is_optunas_and_moocores(objectives: int) -> None:
    outside = 0
    for seed in range(SETS):
        points = drawn(seed, objectives)
        corner = np.full(objectives, (4.0, 6.0, 7.5)[seed % 3]) + np.arange(objectives) / 8.0
        ours = hypervolume(points, corner)
        assert ours == pytest.approx(moocore.hypervolume(points, ref=corner), rel=1e-9, abs=1e-9), seed
        assert ours == pytest.approx(optunas_hypervolume(points, corner), rel=1e-9, abs=1e-9), seed
        outside += bool((points >= corner).any())
    assert 20 < outside < SETS
