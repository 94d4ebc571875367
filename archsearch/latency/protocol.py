"""The one measuring procedure of archsearch: what is timed, in which order, and when it is enough.

1. The device is held (`lease.exclusive()`), and both networks run untimed until successive windows agree.
2. In each visit: a few untimed runs, on a GPU for some time, then bursts of the candidate and of the reference in
   turn, the order swapped after each pair, every run timed by itself: synchronise, read the host clock, run,
   synchronise, read the clock. A device with a clock of its own (CUDA events) tells the time, and the host's checks it.
3. Between visits the device is free, so that the runs see different episodes of interference. The process sleeps, or
   does other work: the measurement waits for it (`Measurement`).
4. When the planned bursts are done and their halves (earlier and later; even and odd visits) give the same ratio
   within the tolerance, the measurement has converged; else visits go on until the budget ends, and it says so.

Several candidates may share one reference: in each turn every network has one burst.

The clock and the sleep are arguments: the tests run all this on a simulated clock.
"""

from __future__ import annotations

import gc
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from archsearch.errors import MeasurementError
from archsearch.latency.precision import Precision
from archsearch.latency.runner import Runner
from archsearch.latency.samples import NS_PER_MS, Samples
from archsearch.latency.settings import LatencySettings
from archsearch.latency.warmup import warm_up
from archsearch.records import Latency

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


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a measured number belongs to, as `records.Latency` stores it."""

    reference: str
    device: str
    backend: str
    batch: int
    threads: int
    precision: Precision = "fp32"
    input_size: int
    fingerprint: str


def measure(
    candidate: Runner,
    reference: Runner,
    settings: LatencySettings,
    *,
    lease: Lease | None,
    conditions: Conditions,
    watch: Watch | None = None,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> Latency:
    """Measure one network against the reference: `measure_group` of a group of one."""
    (latency,) = measure_group(
        (candidate,), reference, settings, lease=lease, conditions=conditions, watch=watch, clock=clock, sleep=sleep
    )
    return latency


def measure_group(
    candidates: Sequence[Runner],
    reference: Runner,
    settings: LatencySettings,
    *,
    lease: Lease | None,
    conditions: Conditions,
    watch: Watch | None = None,
    witness: Witness | None = None,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Latency]:
    """Measure several networks together against one reference, until all have converged or their budget ends.

    Args:
        candidates, reference: networks made ready by a backend, on the same device and with the same batch.
        settings: bursts, visits, tolerance, budget.
        lease: held for every visit; None where there is none, and then the results say `contended`.
        conditions: stored beside the numbers.
        watch: looks for other users of the device in every visit; None: nobody looks.
        witness: tells of other users of the memory, at the start and the end of every visit; None: nobody looks.
        clock: a monotonic clock (nanoseconds).
        sleep: spends so many seconds between visits.

    Raises:
        MeasurementError: a run took no time, a negative time or no finite time, or was not waited for.
    """
    measurement = Measurement(
        (*candidates, reference), settings, lease=lease, watch=watch, witness=witness, clock=clock
    )
    measurement.complete(sleep)
    return measurement.latencies(conditions)


class Witness(Protocol):
    """What the protocol needs of a memory witness; `witness.MemoryWitness` is one."""

    def sample(self) -> list[float]:
        """How long some copies took (milliseconds each)."""

    def note(self, memory_ms: float) -> None:
        """What the copies of a whole measurement took."""


class Measurement:
    """A measurement in the making: visit after visit, each when it is due; the time between them is the caller's.

    `complete` sleeps through it, and then all visits are `measure_group`. A caller with other work does that instead
    and makes a visit when it comes to it: too late rather than too early, so the visits lie at least as far apart as
    planned. The budget counts the time within the visits, without waiting for the device, and of the time between
    two visits what was planned at most: other work is not charged to it.

    Attributes:
        samples: the runs so far.
        done: whether it has converged or spent its budget; no visit is made then.

    Args:
        runners: the networks, made ready by a backend, on the same device and with the same batch; the last one is
            the reference. The budget grows with the group (`settings.group_budget_seconds`), the spread of the visits
            does not.
        settings, lease, watch, witness, clock: as in `measure_group`.
    """

    def __init__(
        self,
        runners: Sequence[Runner],
        settings: LatencySettings,
        *,
        lease: Lease | None,
        watch: Watch | None = None,
        witness: Witness | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.samples = Samples.of(len(runners))
        self.done = False
        self._runners = tuple(runners)
        self._settings = settings
        self._lease = lease
        self._watch = watch
        self._witness = witness
        self._clock = clock
        self._budget_ns = settings.group_budget_seconds(len(runners)) * NS_PER_SECOND
        self._runs = settings.runs_per_burst
        self._charged_ns = 0.0  # to the budget, up to the end of the last visit
        self._left = self._due = self._clock()  # when the last visit ended, and when the next one is due

    def due_seconds(self) -> float:
        """Time until the next visit is due; 0 if it is due now."""
        return max(0.0, (self._due - self._clock()) / NS_PER_SECOND)

    def visit(self) -> None:
        """Wait for the device, hold it, and make the bursts of one visit. The calling thread holds no lease.

        Raises (and the measurement is of no use then):
            MeasurementError: as `measure_group`.
            RuntimeError: the measurement is done.
        """
        if self.done:
            raise RuntimeError("a measurement that is done has no further visit")
        samples, settings, clock = self.samples, self._settings, self._clock
        asked = clock()
        self._charged_ns += min(asked, max(self._due, self._left)) - self._left
        with self._lease.exclusive() if self._lease is not None else nullcontext():
            began = clock()
            with self._watch.visit() if self._watch is not None else nullcontext(), _visit(self._runners):
                self._look_at_memory()
                if samples.visits == 0:
                    self._runs = _warm_up(self._runners, settings, samples, clock)
                else:
                    _untimed(self._runners, settings, clock)
                for _ in range(settings.bursts_of_visit(samples.visits)):
                    if samples.bursts >= 2 and self._charged_ns + clock() - began >= self._budget_ns:
                        break
                    _burst(self._runners, self._runs, samples, clock)
                self._look_at_memory()
            samples.held_seconds += (clock() - began) / NS_PER_SECOND
        samples.visits += 1
        samples.waited_seconds += (began - asked) / NS_PER_SECOND
        samples.converged = samples.bursts >= settings.bursts and samples.halves_agree(settings.tolerance)
        self._left = clock()
        self._charged_ns += self._left - began
        self._due = round(began + settings.gap_seconds * NS_PER_SECOND)
        pause_ns = max(0, self._due - self._left)
        self.done = samples.converged or (samples.bursts >= 2 and self._charged_ns + pause_ns >= self._budget_ns)
        samples.total_seconds += (self._left - asked) / NS_PER_SECOND
        if self.done:
            if self._witness is not None and samples.memory_ms is not None:
                self._witness.note(samples.memory_ms)
            logger.debug(
                "%d bursts in %d visits: held %.2f s, waited %.2f s, %.2f s in all, %s",
                samples.bursts,
                samples.visits,
                samples.held_seconds,
                samples.waited_seconds,
                samples.total_seconds,
                "converged" if samples.converged else "not converged",
            )

    def _look_at_memory(self) -> None:
        if self._witness is not None:
            self.samples.copies_ms += self._witness.sample()

    def complete(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Make the visits that are left, each when it is due; `sleep` spends so many seconds between them."""
        while not self.done:
            if (pause := self.due_seconds()) > 0:
                began = self._clock()
                sleep(pause)
                self.samples.total_seconds += (self._clock() - began) / NS_PER_SECOND
            self.visit()

    def latencies(self, conditions: Conditions) -> list[Latency]:
        """What the runs so far say of each network but the reference; final when `done`, provisional before.

        A provisional one has not converged. Raises MeasurementError with fewer than two bursts.
        """
        state = {} if self._watch is None else self._watch.state()  # first: it may look for neighbours once more
        contended = self._lease is None or (self._watch is not None and self._watch.disturbed)
        return [
            to_latency(self.samples, number, self._settings, conditions, contended=contended, state=state)
            for number in range(len(self._runners) - 1)
        ]


def to_latency(
    samples: Samples,
    network: int,
    settings: LatencySettings,
    conditions: Conditions,
    *,
    contended: bool,
    state: Mapping[str, str],
) -> Latency:
    """The record of one network of a measurement. Raises MeasurementError where a number would be missing."""
    own, reference = samples.quantiles(network), samples.quantiles(-1)
    low, high = samples.ratio_interval(network)
    difference = samples.half_split_difference(network)
    return Latency(
        p10_ms=own.p10_ms,
        median_ms=own.median_ms,
        p90_ms=own.p90_ms,
        ratio_to_reference=samples.ratio(network),
        ratio_low=low,
        ratio_high=high,
        reference=conditions.reference,
        reference_p10_ms=reference.p10_ms,
        n=len(samples.runs_ns(network)),
        bursts=samples.bursts,
        half_split_difference=difference,
        memory_ms=samples.memory_ms,
        converged=samples.bursts >= settings.bursts and difference <= settings.tolerance,
        contended=contended,
        device=conditions.device,
        backend=conditions.backend,
        batch=conditions.batch,
        threads=conditions.threads,
        precision=conditions.precision,
        input_size=conditions.input_size,
        fingerprint=conditions.fingerprint,
        measure_seconds=samples.total_seconds,
        state={**state, **samples.clocks()},
    )


def _burst(runners: Sequence[Runner], runs: int, samples: Samples, clock: Callable[[], int]) -> None:
    """One burst of every network, in the order of `runners` and in the reverse order in turn."""
    order = range(len(runners))
    samples.visit_of_burst.append(samples.visits)
    for index in order if samples.bursts % 2 == 0 else reversed(order):
        samples.bursts_ns[index].append(
            [_time_run(runners[index], clock, samples.host_over_device) for _ in range(runs)]
        )


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


def _warm_up(runners: Sequence[Runner], settings: LatencySettings, samples: Samples, clock: Callable[[], int]) -> int:
    """Warm every network up; the runs of a burst for which the planned bursts fit in their share of the budget."""
    budget_ns = settings.budget_seconds * NS_PER_SECOND
    run_ns = 0.0
    for runner in runners:
        warm = warm_up(
            runner,
            time_run=lambda one: _time_run(one, clock),
            window=settings.warmup_runs,
            max_windows=settings.warmup_windows,
            tolerance=settings.warmup_tolerance,
            min_ns=settings.warmup_seconds * NS_PER_SECOND / len(runners),
            max_ns=_WARMUP_SHARE * budget_ns,
        )
        samples.warmup_runs.append(warm.runs)
        run_ns += warm.run_ns
    group_ns = settings.group_budget_seconds(len(runners)) * NS_PER_SECOND
    fitting = int(_PLAN_SHARE * group_ns / (settings.bursts * run_ns))
    return max(1, min(settings.runs_per_burst, fitting))


@contextmanager
def _visit(runners: Sequence[Runner]) -> Iterator[None]:
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
