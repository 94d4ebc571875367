"""The measuring procedure on a simulated clock: what is timed, in which order, when it stops, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import pytest

from archsearch.errors import MeasurementError
from archsearch.latency.group import LocalGroup
from archsearch.latency.protocol import Conditions, Measurement, measure_group
from archsearch.latency.runner import Runner
from archsearch.latency.settings import LatencySettings
from archsearch.records import Latency

MS = 1_000_000


def measurement_of(runners: Sequence[Runner], settings: LatencySettings, world: World) -> Measurement:
    """A measurement of networks on a simulated clock."""
    return Measurement(LocalGroup(runners, lease=world, clock=world.clock), settings, clock=world.clock)


CONDITIONS = Conditions(
    reference="anchor", device="cpu", backend="torch", batch=1, threads=1, input_size=32, fingerprint="0123456789ab"
)


@dataclass(frozen=True, kw_only=True)
class CallRunner:
    """A runner of plain functions: `call` is one run, `wait` returns when it is over."""

    call: Callable[[], object]
    wait: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        self.call()

    def synchronize(self) -> None:
        self.wait()

    def device_ms(self) -> float | None:
        return None

    def ready(self) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass
class World:
    """A clock that moves only when a network runs or the process sleeps, and a lease that sees who runs when."""

    now: int = 0
    events: list[str] = field(default_factory=list)
    held: bool = False
    lease_wait_ns: int = 0
    sleeps: list[float] = field(default_factory=list)

    def clock(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert not self.held, "the device must be free while the process sleeps"
        self.sleeps.append(seconds)
        self.events.append("sleep")
        self.now += round(seconds * 1e9)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        self.now += self.lease_wait_ns
        self.held = True
        self.events.append("enter")
        yield
        self.held = False
        self.events.append("leave")

    def runner(self, name: str, run_ns: Callable[[int], int], log: list[int] | None = None) -> CallRunner:
        """A network whose k-th run takes `run_ns(k)`; every run is logged."""
        runs = iter(range(10**9))

        def run() -> None:
            assert self.held, "a network ran without the lease"
            took = run_ns(next(runs))
            self.events.append(name)
            if log is not None:
                log.append(took)
            self.now += took

        return CallRunner(call=run)

    def measure(self, candidate: CallRunner, reference: CallRunner, settings: LatencySettings) -> Latency:
        (latency,) = measure_group(
            (candidate,), reference, settings, lease=self, conditions=CONDITIONS, clock=self.clock, sleep=self.sleep
        )
        return latency


def constant(ms: float) -> Callable[[int], int]:
    return lambda _: round(ms * MS)


def test_quantiles_are_those_of_the_timed_runs_with_warm_up_left_out() -> None:
    # One visit: no untimed runs besides warm-up, so the timed runs are the last n of the log.
    world = World()
    log: list[int] = []
    reference_log: list[int] = []
    noise = np.random.default_rng(0).gamma(2.0, 0.2 * MS, size=2000).astype(int) + 3 * MS
    candidate = world.runner("c", lambda k: int(noise[k]) * (10 if k < 10 else 3 if k < 20 else 1), log)
    reference = world.runner("r", lambda k: int(noise[-1 - k]) * 2, reference_log)
    settings = LatencySettings(visits=1, spread_seconds=0, bursts=30, tolerance=0.5, warmup_tolerance=0.15)
    latency = world.measure(candidate, reference, settings)

    timed, reference_timed = log[-300:], reference_log[-300:]
    assert len(log) == 300 + 40  # warm-up windows of 10 runs: ten times, three times, once, once the final time
    expected = np.quantile(np.array(timed) / MS, [0.1, 0.5, 0.9])
    assert [latency.p10_ms, latency.median_ms, latency.p90_ms] == pytest.approx(expected.tolist(), rel=1e-12)
    expected_reference = float(np.quantile(np.array(reference_timed) / MS, 0.1))
    assert latency.reference_p10_ms == pytest.approx(expected_reference, rel=1e-12)
    assert latency.ratio_to_reference == pytest.approx(expected[0] / expected_reference, rel=1e-12)
    assert (latency.n, latency.bursts, latency.reference) == (300, 30, "anchor")
    assert latency.converged
    assert not latency.contended


def test_bursts_alternate_and_their_order_is_swapped_after_each_pair() -> None:
    world = World()
    settings = LatencySettings(
        visits=2, bursts=4, runs_per_burst=3, warmup_runs=1, warmup_windows=2, untimed_runs=2, spread_seconds=1
    )
    world.measure(world.runner("c", constant(1)), world.runner("r", constant(2)), settings)
    first = "enter cc rr ccc rrr rrr ccc leave"  # warm-up of two windows of one run, then two pairs
    second = "enter cc rr ccc rrr rrr ccc leave"  # two untimed runs, then two pairs
    expected = [*_events(first), "sleep", *_events(second)]
    assert world.events == expected


def _events(text: str) -> list[str]:
    words = [[word] if word in ("enter", "leave") else list(word) for word in text.split()]
    return [event for word in words for event in word]


def test_visits_begin_at_equal_gaps_and_the_device_is_free_between_them() -> None:
    world = World()
    settings = LatencySettings(visits=5, spread_seconds=4.0, bursts=10)
    latency = world.measure(world.runner("c", constant(1)), world.runner("r", constant(1)), settings)
    assert world.events.count("enter") == world.events.count("leave") == 5
    # Five visits, a second from start to start; each is 2 pairs of bursts of 10 runs of 1 ms (40 ms) after 6 ms
    # untimed; the first has 40 ms of warm-up instead (two windows of ten runs of each network).
    assert world.sleeps == pytest.approx([0.92, 0.954, 0.954, 0.954])
    assert latency.measure_seconds == pytest.approx(4.046)


def test_waiting_for_the_device_is_not_charged_to_the_budget() -> None:
    world = World(lease_wait_ns=60 * 10**9)
    settings = LatencySettings(visits=2, bursts=4, spread_seconds=1, budget_seconds=5)
    latency = world.measure(world.runner("c", constant(1)), world.runner("r", constant(1)), settings)
    assert latency.converged
    assert latency.bursts == 4
    assert latency.measure_seconds > 120


def test_measuring_goes_on_until_the_halves_agree() -> None:
    # The first ten bursts of the candidate are disturbed (x1.2), so the plan's halves of ten bursts differ by 20%.
    # Each more visit has four bursts: 24 are halves of 12, of which the earlier has two clean ones, a sixth of its
    # runs, and its p10 is clean.
    world = World()
    warm_up = 20  # two windows of ten equal runs

    def disturbed(k: int) -> int:
        return round((1.2 if k < warm_up + 100 else 1.0) * MS)

    settings = LatencySettings(visits=5, bursts=20, spread_seconds=2, untimed_runs=0, budget_seconds=60)
    latency = world.measure(world.runner("c", disturbed), world.runner("r", constant(1)), settings)
    assert latency.converged
    assert latency.bursts == 24
    assert latency.half_split_difference <= settings.tolerance
    assert latency.p10_ms == pytest.approx(1.0)
    assert world.events.count("enter") == 6


def test_a_measurement_whose_halves_never_agree_ends_with_its_budget_and_says_so() -> None:
    world = World()
    # The candidate slows down by 1% of its first time with every run, for ever.
    settings = LatencySettings(visits=3, bursts=6, spread_seconds=1, budget_seconds=8)
    latency = world.measure(
        world.runner("c", lambda k: round(MS * (1 + 0.01 * k))), world.runner("r", constant(1)), settings
    )
    assert not latency.converged
    assert latency.half_split_difference > settings.tolerance
    assert latency.bursts > 6
    assert latency.measure_seconds < 8 + 1


def test_half_split_difference_compares_the_earlier_with_the_later_half() -> None:
    world = World()
    # 4 bursts of 10: the candidate takes 2 ms in the first 20 timed runs and 3 ms in the rest; the reference 1 ms.
    settings = LatencySettings(
        visits=1, spread_seconds=0, bursts=4, untimed_runs=0, budget_seconds=0.5, warmup_windows=2
    )
    latency = world.measure(
        world.runner("c", lambda k: 2 * MS if k < 40 else 3 * MS), world.runner("r", constant(1)), settings
    )
    # The first plan's halves: |2 / 3 - 1| = 1/3. Until 0.5 s are over the earlier half keeps runs of 2 ms; its p10 is
    # 2 ms as long as 20 runs are more than a tenth of it.
    assert not latency.converged
    assert latency.half_split_difference == pytest.approx(1 / 3)


def test_visits_that_disagree_in_turn_do_not_converge() -> None:
    world = World()
    # 1.2 times slower in every second visit: the earlier and the later half agree, even and odd visits do not.
    settings = LatencySettings(visits=4, bursts=8, spread_seconds=3, budget_seconds=10)
    candidate = world.runner("c", lambda _: round(MS * (1.2 if world.events.count("enter") % 2 == 0 else 1.0)))
    latency = world.measure(candidate, world.runner("r", constant(1)), settings)
    assert not latency.converged
    assert latency.half_split_difference == pytest.approx(1 / 6)  # |1 / 1.2 - 1|


def test_interference_in_episodes_moves_the_median_but_not_the_p10_ratio() -> None:
    world = World()

    def disturbed(ms: float) -> Callable[[int], int]:  # everything is 1.6 times slower in six of ten seconds
        return lambda _: round(ms * MS * (1.6 if (world.now // 10**9) % 10 < 6 else 1.0))

    settings = LatencySettings(visits=20, bursts=40, spread_seconds=19, budget_seconds=30)
    latency = world.measure(world.runner("c", disturbed(2)), world.runner("r", disturbed(4)), settings)
    assert latency.ratio_to_reference == pytest.approx(0.5)
    assert latency.p10_ms == pytest.approx(2.0)
    assert latency.median_ms == pytest.approx(3.2)
    assert latency.converged


def test_a_slow_network_gets_shorter_bursts_so_that_the_plan_fits_half_the_budget() -> None:
    # 30 bursts of (40 + 60) ms a run: 10 s, half of the budget, hold 10 / 3 -> 3 runs a burst.
    world = World()
    latency = world.measure(world.runner("c", constant(40)), world.runner("r", constant(60)), LatencySettings())
    assert (latency.n, latency.bursts) == (90, 30)
    assert latency.converged


def test_a_network_too_slow_for_its_budget_stops_early_and_has_not_converged() -> None:
    world = World()
    settings = LatencySettings(visits=2, bursts=30, spread_seconds=0.1, budget_seconds=4)
    latency = world.measure(world.runner("c", constant(500)), world.runner("r", constant(500)), settings)
    assert not latency.converged
    assert 2 <= latency.bursts < 30
    assert latency.p10_ms == pytest.approx(500)


def test_warm_up_ends_when_two_windows_agree_and_at_its_cap_otherwise() -> None:
    world = World()
    settings = LatencySettings(visits=1, spread_seconds=0, bursts=2, warmup_runs=5, warmup_windows=7, tolerance=0.9)
    measurement = measurement_of(
        (
            world.runner("settles", lambda k: MS * (10 if k < 10 else 1)),  # windows 10, 10: agree at once
            world.runner("later", lambda k: MS * (8 if k < 5 else 4 if k < 10 else 2)),  # 8, 4, 2, 2
            world.runner("never", lambda k: MS * (1 + k // 5)),  # 1, 2, 3, ...: never within 5%
        ),
        settings,
        world,
    )
    measurement.complete(world.sleep)
    assert measurement.samples.warmup_runs == [10, 20, 35]


@pytest.mark.parametrize("took", [0, -5, float("nan"), float("inf")])
def test_a_run_without_a_positive_finite_time_is_an_error_and_never_a_latency(took: float) -> None:
    world = World()
    good = world.runner("r", constant(1))

    def broken() -> None:
        world.now += took  # type: ignore[assignment]

    with pytest.raises(MeasurementError, match="by the host clock"):
        world.measure(CallRunner(call=broken), good, LatencySettings())


@dataclass
class _DeviceRunner:
    """A network on a device with a clock of its own."""

    world: World
    device_time_ms: float

    def __call__(self) -> None:
        self.world.now += MS

    def synchronize(self) -> None:
        return

    def device_ms(self) -> float:
        return self.device_time_ms

    def ready(self) -> object:
        return CallRunner(call=lambda: None).ready()


@pytest.mark.parametrize(
    ("device_time_ms", "message"),
    [
        (5.0, "did not wait for its device"),  # 5 ms of work in a run of 1 ms: only the launch was timed
        (0.0, "by the device's clock"),
        (float("nan"), "by the device's clock"),
    ],
)
def test_a_device_that_was_not_waited_for_is_an_error(device_time_ms: float, message: str) -> None:
    world = World()
    with pytest.raises(MeasurementError, match=message):
        measure_group(
            (_DeviceRunner(world, device_time_ms),),  # type: ignore[arg-type]
            world.runner("r", constant(1)),
            LatencySettings(),
            lease=world,
            conditions=CONDITIONS,
            clock=world.clock,
            sleep=world.sleep,
        )


def test_every_timed_run_begins_and_ends_with_an_idle_device() -> None:
    world, events = World(), []

    def run() -> None:
        events.append("run")
        world.now += MS

    runner = CallRunner(call=run, wait=lambda: events.append("wait"))
    settings = LatencySettings(visits=1, spread_seconds=0, bursts=2, untimed_runs=0)
    world.measure(runner, world.runner("r", constant(1)), settings)
    positions = [index for index, event in enumerate(events) if event == "run"]
    assert len(positions) == 2 * 10 + 2 * 10  # warm-up and the two bursts
    assert all(events[index - 1] == events[index + 1] == "wait" for index in positions)


def test_without_a_lease_the_latency_says_that_it_was_contended() -> None:
    world = World(held=True)
    candidate, reference = world.runner("c", constant(1)), world.runner("r", constant(1))
    settings = LatencySettings(visits=1, spread_seconds=0)
    (latency,) = measure_group(
        (candidate,), reference, settings, lease=None, conditions=CONDITIONS, clock=world.clock, sleep=world.sleep
    )
    assert latency.contended


def test_several_networks_share_the_bursts_of_one_reference() -> None:
    world = World()
    runners = [world.runner(name, constant(ms)) for name, ms in (("a", 1), ("b", 3), ("r", 2))]
    settings = LatencySettings(visits=2, spread_seconds=1, bursts=4)
    measurement = measurement_of(runners, settings, world)
    measurement.complete(world.sleep)
    samples = measurement.samples
    assert [samples.ratio(0), samples.ratio(1)] == pytest.approx([0.5, 1.5])
    assert samples.converged


def test_the_ratio_comes_with_its_interval() -> None:
    # A visit of two bursts: the candidate takes 2 ms in the first and 4 ms in the second, the reference 1 ms. Of the
    # resamples of two bursts, one in four has the second burst twice.
    world = World()
    settings = LatencySettings(
        visits=1, spread_seconds=0, bursts=2, untimed_runs=0, warmup_windows=2, tolerance=0.9, budget_seconds=5
    )
    candidate = world.runner("c", lambda k: 2 * MS if k < 30 else 4 * MS)
    latency = world.measure(candidate, world.runner("r", constant(1)), settings)
    assert latency.bursts == 2
    assert (latency.ratio_low, latency.ratio_to_reference, latency.ratio_high) == pytest.approx((2.0, 2.0, 4.0))


def test_in_a_group_each_turn_has_one_burst_of_every_network() -> None:
    world = World()
    settings = LatencySettings(
        visits=1, bursts=2, runs_per_burst=1, warmup_runs=1, warmup_windows=2, untimed_runs=0, spread_seconds=0
    )
    group = [world.runner(name, constant(1)) for name in ("a", "b")]
    reference = world.runner("r", constant(1))
    clocks = {"clock": world.clock, "sleep": world.sleep}
    measure_group(group, reference, settings, lease=world, conditions=CONDITIONS, **clocks)  # type: ignore[arg-type]
    assert world.events == ["enter", *"aabbrr", *"abr", *"rba", "leave"]


def test_a_group_takes_the_time_of_its_runs_and_spreads_them_once() -> None:
    # Eight candidates and the reference, 1 ms each: 30 bursts x 10 runs x 9 = 2.7 s of runs in visits over 5 s. One
    # after the other they would take eight times the spread, 40 s.
    world = World()
    networks = [world.runner(str(number), constant(1)) for number in range(9)]
    latencies = measure_group(
        networks[:-1],
        networks[-1],
        LatencySettings(),
        lease=world,
        conditions=CONDITIONS,
        clock=world.clock,
        sleep=world.sleep,
    )
    assert len(latencies) == 8
    assert all(latency.converged and latency.n == 300 for latency in latencies)
    # The last visit begins at 5 s; it has 3 untimed runs and 6 bursts of 10 runs of each network: 0.567 s.
    assert latencies[0].measure_seconds == pytest.approx(5.567)


def test_a_group_of_slow_networks_has_as_many_runs_as_each_would_have_alone() -> None:
    # Alone: 30 bursts of (50 + 50) ms a run, 10 s, hold 10 / 3 -> 3 runs. Five: 30 x 250 ms = 7.5 s, and half of the
    # group's budget of 20 x 5 / 2 = 50 s holds 25 / 7.5 -> 3 runs.
    world = World()
    networks = [world.runner(str(number), constant(50)) for number in range(5)]
    latencies = measure_group(
        networks[:-1],
        networks[-1],
        LatencySettings(),
        lease=world,
        conditions=CONDITIONS,
        clock=world.clock,
        sleep=world.sleep,
    )
    assert [latency.n for latency in latencies] == [90] * 4
    assert all(latency.converged for latency in latencies)


def test_one_network_of_a_group_that_does_not_converge_leaves_the_others_as_they_are() -> None:
    world = World()
    settings = LatencySettings(visits=3, bursts=6, spread_seconds=1, budget_seconds=8)
    latencies = measure_group(
        [world.runner("steady", constant(1)), world.runner("slower", lambda k: round(MS * (1 + 0.01 * k)))],
        world.runner("r", constant(1)),
        settings,
        lease=world,
        conditions=CONDITIONS,
        clock=world.clock,
        sleep=world.sleep,
    )
    assert [latency.converged for latency in latencies] == [True, False]


@dataclass
class Onlooker:
    """A watch that counts the visits, and says what it was told to."""

    world: World
    disturbed: bool
    visits: int = 0

    @contextmanager
    def visit(self) -> Iterator[None]:
        assert self.world.held, "a visit was watched before the device was held"
        self.visits += 1
        yield

    def state(self) -> dict[str, str]:
        return {"visits_seen": str(self.visits)}


@pytest.mark.parametrize("disturbed", [False, True])
def test_what_is_seen_of_others_during_the_visits_is_told(disturbed: bool) -> None:
    world = World()
    watch = Onlooker(world, disturbed)
    (latency,) = measure_group(
        (world.runner("c", constant(1)),),
        world.runner("r", constant(1)),
        LatencySettings(visits=4, spread_seconds=1),
        lease=world,
        conditions=CONDITIONS,
        watch=watch,
        clock=world.clock,
        sleep=world.sleep,
    )
    assert latency.contended is disturbed
    assert latency.state == {"visits_seen": "4"}


@dataclass
class _ClockedRunner:
    """A network on a device whose own clock says less than the host's, which also counts the launch and the wait."""

    world: World
    device_time_ms: float
    host_time_ms: float
    runs: int = 0

    def __call__(self) -> None:
        assert self.world.held
        self.runs += 1
        self.world.events.append("run")
        self.world.now += round(self.host_time_ms * MS)

    def synchronize(self) -> None:
        return

    def device_ms(self) -> float | None:
        return self.device_time_ms

    def ready(self) -> AbstractContextManager[None]:
        return nullcontext()


def test_the_devices_own_clock_times_a_run_and_the_hosts_is_kept_beside_it() -> None:
    # By the host the two differ 1.05-fold (0.42 and 0.40 ms), by the device twofold (0.04 and 0.02 ms).
    world = World()
    latency = world.measure(
        _ClockedRunner(world, 0.04, 0.42),  # type: ignore[arg-type]
        _ClockedRunner(world, 0.02, 0.40),  # type: ignore[arg-type]
        LatencySettings(warmup_seconds=0.0),
    )
    assert (latency.p10_ms, latency.reference_p10_ms) == pytest.approx((0.04, 0.02))
    assert latency.ratio_to_reference == pytest.approx(2.0)
    # 300 runs each of 10.5 and of 20 times: between the two middle ones of 600
    assert latency.state["host_over_device"] == "15.250"


def test_a_host_without_a_devices_clock_has_nothing_to_compare() -> None:
    world = World()
    latency = world.measure(world.runner("c", constant(1)), world.runner("r", constant(1)), LatencySettings())
    assert "host_over_device" not in latency.state


def test_a_gpu_is_warmed_up_by_time_in_every_visit() -> None:
    # Runs of 1 ms that agree at once. Of 200 ms each of two networks has 100: in the first visit ten windows of ten,
    # in each of the two others a hundred runs; then three visits of two bursts of ten timed runs.
    world = World()
    networks = [_ClockedRunner(world, 1.0, 1.0) for _ in range(2)]
    settings = LatencySettings(warmup_seconds=0.2, visits=3, bursts=6, spread_seconds=2, untimed_runs=3)
    world.measure(*networks, settings)  # type: ignore[arg-type]
    assert [network.runs for network in networks] == [3 * 100 + 60] * 2


def test_without_a_clock_of_its_own_a_device_has_a_few_untimed_runs() -> None:
    world, log = World(), list[int]()
    settings = LatencySettings(warmup_seconds=0.2, visits=3, bursts=6, spread_seconds=2, untimed_runs=3)
    world.measure(world.runner("c", constant(1), log), world.runner("r", constant(1)), settings)
    assert len(log) == 20 + 2 * 3 + 60  # two windows that agree, then three runs in each later visit


def made_beside(work_seconds: float, settings: LatencySettings) -> tuple[World, Latency]:
    """A measurement whose caller works in pieces of `work_seconds`, and makes a visit between two when one is due."""
    world = World()
    networks = (world.runner("c", constant(1)), world.runner("r", constant(2)))
    measurement = measurement_of(networks, settings, world)
    while not measurement.done:
        if measurement.due_seconds() == 0:
            measurement.visit()
        else:
            world.sleep(work_seconds)
    (latency,) = measurement.latencies(CONDITIONS)
    return world, latency


def test_a_measurement_beside_other_work_makes_the_same_runs_as_one_that_sleeps() -> None:
    settings = LatencySettings(visits=3, spread_seconds=2.0, bursts=6)
    world, beside = made_beside(0.3, settings)
    asleep_world = World()
    networks = (asleep_world.runner("c", constant(1)), asleep_world.runner("r", constant(2)))
    asleep = asleep_world.measure(*networks, settings)
    assert [event for event in world.events if event != "sleep"] == [
        event for event in asleep_world.events if event != "sleep"
    ]
    assert (beside.p10_ms, beside.ratio_to_reference, beside.n) == (asleep.p10_ms, 0.5, 60)
    assert beside.converged
    # What it took is its visits alone: two windows of ten runs, then twice three untimed ones, and six pairs of bursts
    # of ten runs, of 1 ms and of 2 ms.
    assert beside.measure_seconds == pytest.approx((20 + 2 * 3 + 60) * 3e-3)


def test_other_work_between_visits_is_not_charged_to_the_budget() -> None:
    # Pieces of 60 s between visits that were planned a second apart: a budget of 5 s of wall time were long over.
    settings = LatencySettings(visits=4, bursts=8, spread_seconds=3, budget_seconds=5)
    world, latency = made_beside(60.0, settings)
    assert latency.converged
    assert latency.bursts == 8
    assert world.now > 180e9


def test_what_was_planned_between_visits_is_charged_to_the_budget_whoever_fills_it() -> None:
    # The reference slows down by 1% of its first time with every run, so the halves never agree.
    def visits(piece_seconds: float) -> int:
        world = World()
        networks = (world.runner("c", constant(1)), world.runner("r", lambda k: round(MS * (1 + 0.01 * k))))
        settings = LatencySettings(visits=3, bursts=6, spread_seconds=1, budget_seconds=8)
        measurement = measurement_of(networks, settings, world)
        while not measurement.done:
            if measurement.due_seconds() == 0:
                measurement.visit()
            else:
                world.sleep(piece_seconds)
        assert not measurement.samples.converged
        return measurement.samples.visits

    assert visits(30.0) == visits(0.001) > 6


def test_a_measurement_that_is_not_done_gives_a_latency_that_has_not_converged() -> None:
    world = World()
    networks = (world.runner("c", constant(1)), world.runner("r", constant(2)))
    measurement = measurement_of(networks, LatencySettings(), world)
    measurement.visit()
    (first,) = measurement.latencies(CONDITIONS)
    assert (first.bursts, first.converged, first.ratio_to_reference) == (6, False, 0.5)
    measurement.complete(world.sleep)
    (last,) = measurement.latencies(CONDITIONS)
    assert (last.bursts, last.converged) == (30, True)
    with pytest.raises(RuntimeError, match="done"):
        measurement.visit()
