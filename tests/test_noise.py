"""The noise floor: its estimators by hand, what it promises by simulation, and ties that grow with the latency."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from archsearch.noise import (
    LEAST_REPEATS,
    FloorSource,
    NoiseFloor,
    Repeat,
    is_crowded,
    noise_floor_of,
    quiet_memory_ms,
)

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Draw = Callable[[np.random.Generator, int], Floats]

# |ln(second / first)| of a network's two measurements, of any scale: each of these at every size of network
SHAPES: dict[str, Draw] = {
    "normal": lambda generator, count: generator.standard_normal(count),
    "t3": lambda generator, count: generator.standard_t(3, count),
    "laplace": lambda generator, count: generator.laplace(size=count),
    "episodes": lambda generator, count: (
        generator.standard_normal(count) * np.where(generator.random(count) < 0.1, 5, 1)
    ),
}


def repeats_of(logs: Floats, sizes: Floats | None = None) -> list[Repeat]:
    """Repeats whose logarithms are these, of networks of these latencies (ms), all 1 ms without them."""
    first = np.ones(len(logs)) if sizes is None else sizes / np.exp(logs / 2)
    return [
        Repeat(arch_id=f"{place:012x}", first_ms=float(ms), second_ms=float(ms * math.exp(log)))
        for place, (ms, log) in enumerate(zip(first, logs, strict=True))
    ]


def test_a_floor_of_few_repeats_is_that_of_students_distribution_about_zero() -> None:
    # Three pairs 2 % apart: root mean square ln 1.02 = 0.0198026. Student's two-sided 96.8 % quantile of 3 degrees of
    # freedom: P(|t| > 3.8245) = 1 - (2 / pi) (atan(x) + x / (1 + x^2)), x = t / sqrt(3) = 2.20807:
    # atan = 1.145576, x / (1 + x^2) = 0.375795: 0.6366198 x 1.521371 = 0.968535. So t = 3.80 within 0.03.
    floor = noise_floor_of(repeats_of(np.log([1.02, 1 / 1.02, 1.02])))
    quantile = math.log1p(floor.relative) / math.log(1.02)
    x = quantile / math.sqrt(3)
    assert 2 / math.pi * (math.atan(x) + x / (1 + x * x)) == pytest.approx(0.968, abs=1e-6)
    assert (floor.source, floor.repeats, floor.growth) == (FloorSource.REPEATS, 3, 0.0)


def test_a_floor_of_many_repeats_is_the_distance_that_a_further_one_stays_below() -> None:
    # of 19 the 20 x 0.95 = 19th: the largest; of 39 the 38th; of 25 the 24.7th, between the 24th and the 25th
    for count, rank in ((19, 19.0), (25, 24.7), (39, 38.0)):
        logs = np.arange(1, count + 1) / 1000
        generator = np.random.default_rng(count)
        floor = noise_floor_of(repeats_of(generator.permutation(logs), generator.uniform(1.0, 2.0, count)))
        assert floor.growth == 0.0
        assert math.log1p(floor.relative) == pytest.approx(rank / 1000)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [6, 12, 18, 19, 24, 40])
def test_a_further_pair_lies_within_the_floor_in_93_to_97_cases_of_100(shape: str, count: int) -> None:
    generator = np.random.default_rng(count)
    within = []
    for _ in range(1000):
        logs = 0.01 * SHAPES[shape](generator, count + 1)
        within.append(math.expm1(abs(logs[-1])) <= noise_floor_of(repeats_of(logs[:-1])).relative)
    assert 0.93 - 0.020 <= np.mean(within) <= 0.97 + 0.014  # two and a half standard deviations of a share of 1000


def test_where_slow_networks_are_noisier_the_floor_grows_and_holds_for_small_and_large_ones() -> None:
    generator = np.random.default_rng(3)
    within: dict[bool, list[bool]] = {False: [], True: []}
    grown = []
    for _ in range(400):
        sizes = np.exp(generator.normal(0.0, 0.7, 61))
        logs = 0.01 * sizes * generator.standard_normal(61)
        floor = noise_floor_of(repeats_of(logs[:-1], sizes[:-1]))
        grown.append(floor.growth > 0.0)
        within[bool(sizes[-1] > 1.0)].append(math.expm1(abs(logs[-1])) <= float(floor.of(sizes[-1])))
    assert np.mean(grown) > 0.9
    for share in map(np.mean, within.values()):
        assert 0.90 <= share <= 0.99  # of about 200 each


def test_noise_of_one_size_seldom_looks_as_if_it_grew() -> None:
    generator = np.random.default_rng(4)
    sizes = np.exp(generator.normal(0.0, 0.7, (300, 30)))
    grown = [noise_floor_of(repeats_of(0.01 * generator.standard_normal(30), row)).growth > 0.0 for row in sizes]
    assert np.mean(grown) <= 0.03  # a test at 1 %


def test_too_few_repeats_leave_what_held_before_and_say_how_many_there_are() -> None:
    before = NoiseFloor(relative=0.03, source=FloorSource.ASSUMED)
    floor = noise_floor_of(repeats_of(np.full(LEAST_REPEATS - 1, 0.5)), before=before)
    assert (floor.relative, floor.source, floor.repeats) == (0.03, FloorSource.ASSUMED, LEAST_REPEATS - 1)
    assert not noise_floor_of([]).ties


def test_a_repeat_of_a_flagged_measurement_is_left_out() -> None:
    steady = repeats_of(np.full(4, 0.01))
    wild = Repeat(arch_id="f" * 12, first_ms=1.0, second_ms=3.0, sound=False)
    assert noise_floor_of([*steady, wild]) == noise_floor_of(steady)


@pytest.mark.parametrize("count", [7, 30])
def test_a_floor_tells_the_repeat_that_makes_it_largest_and_what_it_is_without_that_one(count: int) -> None:
    logs = np.linspace(-0.01, 0.01, count)
    logs[2] = math.log(1.38)
    found = noise_floor_of(repeats_of(logs))
    assert found.growth == 0.0
    assert found.widest == pytest.approx(0.38)
    assert found.without_widest == pytest.approx(noise_floor_of(repeats_of(np.delete(logs, 2))).relative)
    assert noise_floor_of(repeats_of(logs[:LEAST_REPEATS])).without_widest is None


def test_repeats_that_do_not_differ_make_no_ties() -> None:
    assert not noise_floor_of(repeats_of(np.zeros(30), np.linspace(1, 2, 30))).ties


def test_the_upper_end_of_a_tie_grows_with_the_latency_and_a_floor_beyond_what_was_seen_does_not() -> None:
    floor = NoiseFloor(relative=0.02, growth=1.0, at_ms=2.0, from_ms=1.0, to_ms=4.0)
    assert floor.of([0.5, 1.0, 2.0, 4.0, 100.0]).tolist() == [0.01, 0.01, 0.02, 0.04, 0.04]
    values = np.linspace(0.0, 9.0, 1000)
    assert (np.diff(floor.upper(values)) > 0.0).all()
    assert float(NoiseFloor.given(0.02).upper(3.0)) == 3.0 * 1.02
    assert float(floor.upper(math.inf)) == math.inf


@pytest.mark.parametrize("wrong", [-0.1, math.nan, math.inf])
def test_a_floor_is_a_finite_share_that_does_not_fall(wrong: float) -> None:
    with pytest.raises(ValueError, match="noise floor"):
        NoiseFloor(relative=wrong)
    with pytest.raises(ValueError, match="does not fall"):
        NoiseFloor(relative=0.1, growth=wrong)


def test_memory_is_crowded_where_its_witness_is_slower_than_in_the_quiet_quarter() -> None:
    quiet = quiet_memory_ms([1.0, 1.2, 1.0, 2.0, 1.1])
    assert quiet == 1.0
    assert [is_crowded(ms, quiet, 0.1) for ms in (0.5, 1.1, 1.11)] == [False, False, True]
    assert quiet_memory_ms([1.0, 2.0, 3.0]) is None
    assert not is_crowded(9.0, None, 0.1) and not is_crowded(None, 1.0, 0.1) and not is_crowded(9.0, 1.0, None)
