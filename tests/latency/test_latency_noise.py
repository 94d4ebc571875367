"""The noise floor: its estimator by hand, what it promises by simulation, and the rounds on a simulated clock."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from archsearch.errors import MeasurementError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.network import noise_floor
from archsearch.latency.noise import NoiseFloor, relative_floor
from archsearch.latency.settings import LatencySettings


@pytest.fixture
def settings(world) -> LatencySettings:
    return LatencySettings(backend="simulated", also=("simulated-slow",), spread_seconds=1, noise_rounds=4, remeasure=3)


def test_the_floor_is_that_of_students_distribution() -> None:
    # Mean 0, s = sqrt(2) * ln 1.01 = 0.0140719, one degree of freedom: t = 12.7062 (any table, two-sided 5%).
    # sqrt(2) * 12.7062 * 0.0140719 = 0.252861; exp of it less 1 = 0.28771.
    assert relative_floor([1.01, 1 / 1.01]) == pytest.approx(0.28771, abs=1e-4)
    # Six of 2% up and down: s = ln 1.02 * sqrt(6 / 5) = 0.0216927, t(5) = 2.570582: 0.0788607 -> 0.0820537
    assert relative_floor([1.02, 1 / 1.02] * 3) == pytest.approx(0.0820537, abs=1e-5)


def test_a_reference_that_is_slower_than_its_copies_throughout_moves_none_of_them_against_another() -> None:
    steady = [1.01, 0.99, 1.02, 1.0]
    assert relative_floor([0.95 * ratio for ratio in steady]) == pytest.approx(relative_floor(steady), rel=1e-9)


def test_without_noise_no_difference_is_a_tie() -> None:
    assert relative_floor([1.0, 1.0, 1.0]) == 0.0


def test_two_measurements_of_one_network_differ_by_more_than_the_floor_in_one_case_of_twenty() -> None:
    generator = np.random.default_rng(5)
    rounds = generator.normal(0.03, 0.01, size=(4000, 8))  # logarithms: six rounds, and two measurements to compare
    apart = [math.expm1(abs(row[6] - row[7])) > relative_floor(np.exp(row[:6]).tolist()) for row in rounds]
    assert np.mean(apart) == pytest.approx(0.05, abs=0.011)  # three standard deviations of a share of 4000


@pytest.mark.parametrize("ratios", [[1.0], [1.0, 0.0], [1.0, math.nan], [1.0, math.inf]])
def test_a_floor_of_too_few_or_impossible_ratios_is_an_error(ratios: list[float]) -> None:
    with pytest.raises(MeasurementError):
        relative_floor(ratios)


@pytest.fixture
def copies(world, timed, monkeypatch):
    """Makes each network that is made ready, the reference first, take what the next of these functions says (ms)."""

    def install(*run_ms):
        backend, left = BACKENDS["simulated"], iter(run_ms)

        def prepare(model, example_input, *, threads, precision):
            return backend.prepare(timed(model.name, next(left)), example_input, threads=threads, precision=precision)

        monkeypatch.setitem(BACKENDS._entries, "simulated", replace(backend, prepare=prepare))

    return install


def test_the_reference_is_measured_against_itself_made_ready_anew_for_each_round(
    world, timed, settings, copies
) -> None:
    # In the second and fourth round the copy that is the candidate takes 3% more.
    usual, slower = (lambda _: 2.0), (lambda _: 2.06)
    copies(usual, usual, usual, slower, usual, usual, usual, slower)
    floor = noise_floor(
        timed("x1", usual),
        name="x1",
        settings=settings,
        device="cpu",
        input_size=32,
        lease=world,
        clock=world.clock,
        sleep=world.sleep,
    )
    assert floor.ratios == pytest.approx((1.0, 1.03, 1.0, 1.03))
    # s = ln 1.03 / 2 * sqrt(4 / 3) = 0.0170658, t(3) = 3.182446: sqrt(2) * 3.182446 * s = 0.0768071 -> 0.0798337
    assert floor.relative == pytest.approx(0.0798337, abs=1e-4)
    assert floor.offset == pytest.approx(1.03**0.5 - 1)  # the mean of the logarithms
    assert (floor.rounds, floor.converged_rounds, floor.reference) == (4, 4, "x1")
    assert (floor.backend, floor.batch, floor.input_size) == ("simulated", 1, 32)
    assert floor.reference_p10_ms == pytest.approx(2.0)
    assert [backend for backend, _ in world.prepared] == ["simulated"] * 8  # no further backend
    assert world.visits == 4 * 5
    assert floor.measure_seconds == pytest.approx(world.now / 1e9)


def test_rounds_that_do_not_converge_are_told_and_not_made_again(world, timed, settings, copies) -> None:
    copies(lambda _: 1.0, lambda k: 1 + 0.01 * k, lambda _: 1.0, lambda _: 1.0)
    floor = noise_floor(
        timed("x1", lambda _: 1.0),
        name="x1",
        settings=settings.model_copy(update={"budget_seconds": 3.0, "noise_rounds": 2}),
        device="cpu",
        input_size=32,
        lease=world,
        clock=world.clock,
        sleep=world.sleep,
    )
    assert (floor.rounds, floor.converged_rounds) == (2, 1)
    assert len(floor.ratios) == 2
    assert len(world.prepared) == 4


def test_a_floor_survives_being_stored_as_json() -> None:
    floor = NoiseFloor(
        relative=0.02,
        ratios=(1.0, 1.01),
        rounds=2,
        converged_rounds=2,
        contended=False,
        reference="x1",
        reference_p10_ms=1.5,
        device="cpu",
        backend="torch",
        batch=1,
        threads=1,
        input_size=32,
        fingerprint="0123456789ab",
        measure_seconds=10.0,
    )
    assert NoiseFloor.from_dict(json.loads(json.dumps(asdict(floor))) | {"of a later version": 1}) == floor
