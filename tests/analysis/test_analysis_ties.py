"""Latencies closer than the noise floor are ties: what that does to domination, fronts and verdicts."""

from __future__ import annotations

from collections.abc import Callable
from graphlib import TopologicalSorter

import numpy as np
import pytest

from archsearch.analysis.front import front_of
from archsearch.analysis.pareto import Noisy, dominates, level, non_dominated
from archsearch.analysis.verdicts import Standing, verdicts_of
from archsearch.noise import NO_FLOOR, NoiseFloor, Repeat, noise_floor_of
from archsearch.records import Record

Make = Callable[..., Record]
# of one share for all latencies, and of a share that grows with them: from 2 % at 1 ms on, or within 1.1 to 1.6 ms only
FLOORS = (
    *(NoiseFloor(relative=share) for share in (0.001, 0.018, 0.1, 0.5)),
    NoiseFloor(relative=0.02, growth=2.0),
    NoiseFloor(relative=0.2, growth=1.0, at_ms=1.5, from_ms=1.1, to_ms=1.6),
)


def random_points(seed: int) -> np.ndarray:
    """Error, latency, and in every other case params: latencies so dense that many are ties, errors often equal."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 50))
    columns = [generator.integers(30, 40, count), np.exp(generator.uniform(0.0, 0.7, count))]
    if seed % 2:
        columns.append(generator.integers(1, 5, count))
    return np.column_stack(columns).astype(float)


def upper(ms: float, floor: NoiseFloor) -> float:
    within = min(max(ms, floor.from_ms), floor.to_ms)
    return float(ms * (1 + floor.relative * (within / floor.at_ms) ** floor.growth))


def beats(one: np.ndarray, other: np.ndarray, floor: NoiseFloor) -> bool:
    """The definition, written out: the latency is worse or better only by more than the floor."""
    exact = np.arange(len(one)) != 1
    worse = (one[exact] > other[exact]).any() or one[1] > upper(other[1], floor)
    better = (one[exact] < other[exact]).any() or other[1] > upper(one[1], floor)
    return bool(better and not worse)


@pytest.mark.parametrize("seed", range(100))
def test_domination_with_ties_is_as_defined_and_has_no_cycle(seed: int) -> None:
    points, floor = random_points(seed), FLOORS[seed % len(FLOORS)]
    graph: dict[int, list[int]] = {}
    for index, point in enumerate(points):
        graph[index] = [other for other in range(len(points)) if beats(points[other], point, floor)]
        by_function = [
            other for other in range(len(points)) if dominates(points[other].tolist(), point.tolist(), Noisy(1, floor))
        ]
        assert by_function == graph[index]
    TopologicalSorter(graph).prepare()  # raises CycleError for a cycle


@pytest.mark.parametrize("seed", range(100))
def test_a_front_with_ties_is_never_empty_dominates_all_else_and_nothing_of_itself(seed: int) -> None:
    points, floor = random_points(seed), FLOORS[seed % len(FLOORS)]
    mask = non_dominated(points, Noisy(1, floor))
    assert mask.any()
    for index, on_front in enumerate(mask):
        beaten = any(beats(points[member], points[index], floor) for member in np.flatnonzero(mask))
        assert beaten is not bool(on_front)


@pytest.mark.parametrize("seed", range(100))
def test_a_front_with_ties_adds_to_the_plain_one_only_what_is_level_with_a_member(seed: int) -> None:
    points, noisy = random_points(seed), Noisy(1, FLOORS[seed % len(FLOORS)])
    members, plain = non_dominated(points, noisy), non_dominated(points)
    for index in np.flatnonzero(members & ~plain):
        others = [other for other in np.flatnonzero(members) if other != index]
        assert any(level(points[index].tolist(), points[other].tolist(), noisy) for other in others)


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(60))
def test_one_sweep_finds_the_front_that_comparing_with_every_member_finds(seed: int, objectives: int) -> None:
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 200))
    points = generator.integers(0, int(generator.integers(2, 12)), (count, objectives)).astype(float)
    column, noisy = seed % objectives, Noisy(seed % objectives, FLOORS[seed % len(FLOORS)])
    if seed % 3:
        points[:, column] = np.exp(generator.uniform(0.0, 1.0, count))
    if seed % 5 == 0:
        points[generator.random(points.shape) < 0.1] = np.inf
    exact = [other for other in range(objectives) if other != column]
    kept: list[int] = []  # the definition of `non_dominated`, point by point
    for index in sorted(range(count), key=lambda at: (*points[at, exact], points[at, column])):
        if not any(dominates(points[member].tolist(), points[index].tolist(), noisy) for member in kept):
            kept.append(index)
    assert np.flatnonzero(non_dominated(points, noisy)).tolist() == sorted(kept)


@pytest.mark.parametrize("seed", range(50))
def test_without_a_noise_floor_the_front_is_the_plain_one(seed: int, make_record: Make) -> None:
    points = random_points(seed)
    assert non_dominated(points, Noisy(1, NO_FLOOR)).tolist() == non_dominated(points).tolist()
    records = [make_record(trial, top1=100 - point[0], p10=point[1]) for trial, point in enumerate(points)]
    assert front_of(records, noise_floor=0.0) == front_of(records)


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_the_records_changes_nothing(seed: int) -> None:
    points, noisy = random_points(seed), Noisy(1, FLOORS[1])
    turned = np.random.default_rng(seed).permutation(len(points))
    assert non_dominated(points[turned], noisy).tolist() == non_dominated(points, noisy)[turned].tolist()


def test_a_long_chain_of_ties_leaves_a_front_of_points_that_differ() -> None:
    # each point 1 % slower and 1 point more accurate than the one before; ties below 1.8 %: by the best, 1.05,
    # 1.04 falls (1.05 < 1.04 x 1.018); 1.03 stays (1.03 x 1.018 = 1.0485 < 1.05); so 1.01 stays (x 1.018 = 1.0282)
    points = [[50 - step, 1 + step / 100] for step in range(6)]
    assert non_dominated(points, Noisy(1, FLOORS[1])).tolist() == [False, True, False, True, False, True]


def test_a_floor_is_a_finite_share_and_a_negative_latency_has_none() -> None:
    for wrong in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="noise floor"):
            NoiseFloor(relative=wrong)
        with pytest.raises(ValueError, match="does not fall"):
            NoiseFloor(relative=0.1, growth=wrong)
    with pytest.raises(ValueError, match="negative"):
        non_dominated([[1, -1]], Noisy(1, FLOORS[2]))


def test_a_network_faster_by_less_than_the_floor_does_not_pay_for_its_error(make_record: Make) -> None:
    records = [make_record(0, top1=60, p10=3.00, variant="v"), make_record(1, top1=61, p10=3.03)]  # 1 % slower
    assert [row.record.trial for row in front_of(records, noise_floor=0.005).members] == [0, 1]
    front = front_of(records, reference_point=(90, 30), noise_floor=0.02)
    assert [row.record.trial for row in front.members] == [1]
    assert front.knee is None
    # of both as measured: 50 points wide from 3.00 ms on, 1 point more from 3.03 ms on
    assert front.hypervolume == pytest.approx(50 * (30 - 3.00) + 1 * (30 - 3.03))
    (verdict,) = verdicts_of(records, front)
    assert (verdict.standing, verdict.by) == (Standing.DOMINATED, records[1])
    assert verdict.accuracy_points == 1.0 and verdict.faster_ms == pytest.approx(-0.03)
    assert verdict.sentence == (
        "v (60.00 % top-1, 3.00 ms) is dominated by trial 1: 1.00 points more accurate, at a latency within the noise "
        "floor of 2.0 %."
    )


@pytest.mark.parametrize("seed", range(10))
def test_one_more_network_never_lowers_the_hypervolume(seed: int, make_record: Make) -> None:
    points, floor = random_points(2 * seed), FLOORS[seed % len(FLOORS)]
    records = [make_record(trial, top1=100 - point[0], p10=point[1]) for trial, point in enumerate(points)]
    volumes = [
        front_of(records[:count], reference_point=(41, 3), noise_floor=floor).hypervolume
        for count in range(len(records) + 1)
    ]
    assert volumes == sorted(volumes)


def test_networks_of_one_error_and_a_latency_within_the_floor_are_level(make_record: Make) -> None:
    records = [make_record(0, top1=60, p10=3.03, variant="v"), make_record(1, top1=60, p10=3.00)]
    front = front_of(records, noise_floor=0.018)
    assert len(front.members) == 2
    (verdict,) = verdicts_of(records, front)
    assert (verdict.standing, verdict.by) == (Standing.TIE, records[1])
    assert verdict.faster_ms == pytest.approx(0.03)
    assert verdict.sentence == (
        "v (60.00 % top-1, 3.03 ms) is on the front, level with trial 1 within the noise floor of 1.8 %."
    )
    assert verdicts_of(records, front_of(records))[0].standing is Standing.DOMINATED


def test_ties_are_of_latency_alone(make_record: Make) -> None:
    records = [
        make_record(0, top1=60, p10=3, params=1_000_000),
        make_record(1, top1=60, p10=3, params=1_000_001),
        make_record(2, top1=59.99, p10=3, params=1_000_000),
    ]
    front = front_of(records, ["error_percent", "latency_ms", "params"], noise_floor=0.5)
    assert [row.record.trial for row in front.members] == [0]


def test_a_noise_floor_that_swallows_most_differences_is_warned_of(make_record: Make) -> None:
    assert any("noise floor is 25 %" in text for text in front_of([make_record(0)], noise_floor=0.25).warnings)
    assert front_of([make_record(0)], noise_floor=0.02).warnings == ()


def test_a_large_noise_floor_says_whether_one_repeat_makes_it_so(make_record: Make) -> None:
    def warnings(*moved: float) -> str:
        repeats = [Repeat(arch_id=str(i), first_ms=1.0, second_ms=1.0 + each) for i, each in enumerate(moved)]
        return " ".join(front_of([make_record(0)], noise_floor=noise_floor_of(repeats)).warnings)

    one = warnings(0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.38)
    assert "rests on one of 7 networks measured twice, whose latencies differ by 38 % (without it the floor is 2" in one
    assert "repeat_every=1" in one
    assert "a quieter machine" in warnings(0.2, 0.3, 0.25, 0.28, 0.22, 0.31, 0.38)
    assert warnings(0.01, 0.02, 0.03) == ""
