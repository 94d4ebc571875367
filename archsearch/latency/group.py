"""The networks of one measurement, ready to run together: one call is one visit.

`LocalGroup` times them in this process. Another group may do it elsewhere, as long as a visit is made as here: some
untimed runs, then bursts of all networks in turn, the order swapped after each, while the device is held.
"""

from __future__ import annotations

import gc
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from archsearch.errors import MeasurementError
from archsearch.latency.runner import Runner
from archsearch.latency.samples import NS_PER_MS, Visit
from archsearch.latency.settings import LatencySettings

logger = logging.getLogger(__name__)

NS_PER_SECOND = 1e9
_WARMUP_SHARE = 0.125  # of the budget of a candidate alone, for each network's warm-up
_PLAN_SHARE = 0.5  # of the group's budget, for the planned bursts
_DEVICE_CLOCK_SLACK = 1.05  # two clocks of different resolution never agree exactly
_DEVICE_CLOCK_SLACK_MS = 0.02


class Lease(Protocol):
    """What the protocol needs of a device lease; `archsearch.latency.lease.DeviceLease` is one."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the device alone."""


class Watch(Protocol):
    """What the protocol needs of a look at the device's other users; `watch.DeviceWatch` is one."""

    def visit(self) -> AbstractContextManager[None]:
        """Around the runs of one visit, while the device is held."""

    @property
    def disturbed(self) -> bool:
        """Whether another process used the device in a visit."""

    def state(self) -> dict[str, str]:
        """What `records.Latency.state` stores."""


class Witness(Protocol):
    """What the protocol needs of a memory witness; `network.MemoryWitness` is one."""

    def sample(self) -> list[float]:
        """How long some copies took (milliseconds each)."""

    def note(self, memory_ms: float) -> None:
        """What the copies of a whole measurement took."""


@dataclass(frozen=True, kw_only=True)
class VisitPlan:
    """What one visit is to be.

    Attributes:
        number: 0 is the first, which begins with the warm-up.
        bursts: of each network, at most.
        before: bursts of earlier visits: the order is swapped after each, and two are made whatever they take.
        runs: timed runs of a burst; of the first visit the warm-up decides.
        left_ns: time within the visit after which no burst begins (nanoseconds).
    """

    number: int
    bursts: int
    before: int
    runs: int
    left_ns: float

    def goes_on(self, made: int, spent_ns: float) -> bool:
        """Whether another burst begins after `made` of them."""
        return made < self.bursts and not (self.before + made >= 2 and spent_ns >= self.left_ns)

    def order(self, networks: int, made: int) -> Sequence[int]:
        """In which order the networks have their next burst."""
        forward = range(networks)
        return forward if (self.before + made) % 2 == 0 else forward[::-1]


class Group(Protocol):
    """What a measurement needs of its networks."""

    @property
    def networks(self) -> int:
        """How many they are, the reference, which is the last, included."""

    @property
    def contended(self) -> bool:
        """Whether others may have used the device within the visits."""

    def visit(self, settings: LatencySettings, plan: VisitPlan) -> Visit:
        """Wait for the device, hold it, and run. A visit is whole or raises MeasurementError."""

    def state(self) -> dict[str, str]:
        """What `records.Latency.state` stores of the device. Not asked within a visit."""

    def energy(self, network: int) -> dict[str, str]:
        """What `records.Latency.state` stores of one network's energy; empty where nothing tells."""

    def note(self, memory_ms: float) -> None:
        """Told what the copies of a whole measurement took."""


class LocalGroup:
    """Networks that this process runs.

    Args:
        runners: made ready by a backend, on the same device and with the same batch; the last one is the reference.
        lease: held for every visit; None where there is none, and then the group is contended.
        watch: looks for other users of the device in every visit; None: nobody looks.
        witness: tells of other users of the memory, at the start and the end of every visit; None: nobody looks.
        clock: a monotonic clock (nanoseconds).
    """

    def __init__(
        self,
        runners: Sequence[Runner],
        *,
        lease: Lease | None,
        watch: Watch | None = None,
        witness: Witness | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._runners = tuple(runners)
        self._lease = lease
        self._watch = watch
        self._witness = witness
        self._clock = clock

    @property
    def networks(self) -> int:
        """How many they are, the reference included."""
        return len(self._runners)

    @property
    def contended(self) -> bool:
        """Whether nobody held the device, or another process used it within the visits."""
        return self._lease is None or (self._watch is not None and self._watch.disturbed)

    def state(self) -> dict[str, str]:
        """The device's state, as far as the watch tells."""
        return {} if self._watch is None else self._watch.state()

    def energy(self, network: int) -> dict[str, str]:
        """Nothing tells here."""
        return {}

    def note(self, memory_ms: float) -> None:
        """Handed to the witness."""
        if self._witness is not None:
            self._witness.note(memory_ms)

    def visit(self, settings: LatencySettings, plan: VisitPlan) -> Visit:
        """One visit. The calling thread holds no lease. Raises MeasurementError for a run that cannot be."""
        clock, runners = self._clock, self._runners
        bursts: list[list[list[int]]] = []
        warmup_runs: list[int] = []
        host_over_device: list[float] = []
        runs, asked = plan.runs, clock()
        with self._lease.exclusive() if self._lease is not None else nullcontext():
            began = clock()
            with self._watch.visit() if self._watch is not None else nullcontext(), _ready(runners):
                copies = self._copies()
                if plan.number == 0:
                    runs, warmup_runs = _warm_up(runners, settings, clock)
                else:
                    _untimed(runners, settings, clock)
                while plan.goes_on(len(bursts), clock() - began):
                    made: list[list[int]] = [[] for _ in runners]
                    for index in plan.order(len(runners), len(bursts)):
                        made[index] = [_time_run(runners[index], clock, host_over_device) for _ in range(runs)]
                    bursts.append(made)
                copies += self._copies()
            held = clock() - began
        return Visit(
            bursts_ns=bursts,
            runs=runs,
            warmup_runs=warmup_runs,
            host_over_device=host_over_device,
            copies_ms=copies,
            held_ns=held,
            waited_ns=began - asked,
        )

    def _copies(self) -> list[float]:
        return [] if self._witness is None else self._witness.sample()


def _time_run(runner: Runner, clock: Callable[[], int], host_over_device: list[float] | None = None) -> int:
    """One run (nanoseconds), from an idle device to an idle device: by the device's own clock if it has one.

    The host's clock also counts the launch and the wait, 20 to 40 us on a GPU, and so pulls ratios towards 1. It has to
    say as much at least: its time over the device's is appended to `host_over_device`.
    """
    runner.synchronize()
    start = clock()
    runner()
    runner.synchronize()
    elapsed = clock() - start
    if not (math.isfinite(elapsed) and elapsed > 0):
        raise MeasurementError(
            f"a run took {elapsed} ns by the host clock", hint="the clock is broken, or nothing was run"
        )
    device_ms = runner.device_ms()
    if device_ms is None:
        return elapsed
    _check_device_clock(device_ms, elapsed / NS_PER_MS)
    if host_over_device is not None:
        host_over_device.append(elapsed / NS_PER_MS / device_ms)
    return round(device_ms * NS_PER_MS)


def _untimed(runners: Sequence[Runner], settings: LatencySettings, clock: Callable[[], int]) -> None:
    """The uncounted runs at the start of a later visit: some of each network, on a GPU for `warmup_seconds` in all."""
    least_ns = settings.warmup_seconds * NS_PER_SECOND / len(runners)
    for runner in runners:
        began, runs = clock(), 0
        while runs < settings.untimed_runs or (runner.device_ms() is not None and clock() - began < least_ns):
            runner()
            runner.synchronize()
            runs += 1


def _check_device_clock(device_ms: float, host_ms: float) -> None:
    if not (math.isfinite(device_ms) and device_ms > 0):
        raise MeasurementError(f"a run took {device_ms} ms by the device's clock", hint="nothing was run on the device")
    if device_ms > host_ms * _DEVICE_CLOCK_SLACK + _DEVICE_CLOCK_SLACK_MS:
        raise MeasurementError(
            f"the device worked for {device_ms:.3f} ms on a run that the host saw for {host_ms:.3f} ms",
            hint="the backend did not wait for its device; this is a fault of the backend",
        )


def _warm_up(runners: Sequence[Runner], settings: LatencySettings, clock: Callable[[], int]) -> tuple[int, list[int]]:
    """Warm every network up: timed runs of a burst from then on, and the runs that each network's warm-up took."""
    least_ns = settings.warmup_seconds * NS_PER_SECOND / len(runners)
    ended = [_warm_one_up(runner, settings, clock, least_ns) for runner in runners]
    run_ns = sum(one_ns for one_ns, _ in ended)
    return runs_of_burst(settings, run_ns, networks=len(runners)), [runs for _, runs in ended]


def _warm_one_up(
    runner: Runner, settings: LatencySettings, clock: Callable[[], int], least_ns: float
) -> tuple[float, int]:
    """Run until the medians of two successive windows agree: kernels are chosen, caches filled and clocks raised until
    time stands still. Gives the last window's median (nanoseconds), an estimate of one run, and the runs made.

    A device with a clock of its own (a GPU) is run for `least_ns` at least, because its first windows agree at the
    clock of an idle device. After `warmup_ns` of timed runs no run begins; the first run is always made.
    """
    before: float | None = None
    now, runs, spent, windows = 0.0, 0, 0, 0
    cold = True
    while windows < settings.warmup_windows or cold:
        times: list[int] = []
        while len(times) < settings.warmup_runs and (runs == 0 or spent < warmup_ns(settings)):
            times.append(_time_run(runner, clock))
            spent += times[-1]
            runs += 1
        if not times:
            break
        now, windows = median(times), windows + 1
        cold = spent < least_ns and runner.device_ms() is not None
        agree = before is not None and abs(now / before - 1.0) <= settings.warmup_tolerance
        if agree and not cold and len(times) == settings.warmup_runs:
            return now, runs
        before = now
    logger.debug("warm-up ended after %d runs without two windows that agree", runs)
    return now, runs


def warmup_ns(settings: LatencySettings) -> float:
    """What one network's warm-up may take at most (nanoseconds of timed runs)."""
    return _WARMUP_SHARE * settings.budget_seconds * NS_PER_SECOND


def runs_of_burst(settings: LatencySettings, run_ns: float, *, networks: int) -> int:
    """Timed runs of a burst with which the planned bursts fit in their share of the budget, at least one.

    Args:
        run_ns: one run of every network (nanoseconds).
    """
    group_ns = settings.group_budget_seconds(networks) * NS_PER_SECOND
    return max(1, min(settings.runs_per_burst, int(_PLAN_SHARE * group_ns / (settings.bursts * run_ns))))


@contextmanager
def _ready(runners: Sequence[Runner]) -> Iterator[None]:
    """The conditions of every runner, and no garbage collection between the runs (as `timeit` does)."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with ExitStack() as stack:
            for runner in runners:
                stack.enter_context(runner.ready())
            yield
    finally:
        if collecting:
            gc.enable()
