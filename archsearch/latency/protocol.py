"""The one measuring procedure of archsearch: what is timed, in which order, and when it is enough.

1. The device is held (`lease.exclusive()`), and both networks run untimed until successive windows agree.
2. In each visit an agent (`targets.board`) opens the networks anew: where its memory lies is settled then, and moves a
   network's latency by some percent, for a whole measurement if it is opened once. Then come a few untimed runs, on a
   GPU for some time, and bursts of the candidate and of the reference in turn, the order swapped after each pair, every
   run timed by itself: synchronise, read the host clock, run, synchronise, read the clock. A device with a clock of its
   own (CUDA events) tells the time, and the host's checks it.
3. Between visits the device is free, so that the runs see different episodes of interference. The process sleeps, or
   does other work: the measurement waits for it (`Measurement`).
4. When the planned bursts are done and their halves (earlier and later; even and odd visits) give the same ratio
   within the tolerance, the measurement has converged; else visits go on until the budget ends, and it says so.

Several candidates may share one reference: in each turn every network has one burst.

The clock and the sleep are arguments: the tests run all this on a simulated clock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from archsearch.latency.group import NS_PER_SECOND, Group, Lease, LocalGroup, VisitPlan, Watch, Witness
from archsearch.latency.precision import Precision
from archsearch.latency.runner import Runner
from archsearch.latency.samples import Samples
from archsearch.latency.settings import LatencySettings
from archsearch.records import Latency

logger = logging.getLogger(__name__)


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
    group = LocalGroup((*candidates, reference), lease=lease, watch=watch, witness=witness, clock=clock)
    measurement = Measurement(group, settings, clock=clock)
    measurement.complete(sleep)
    return measurement.latencies(conditions)


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
        group: the networks; the last one is the reference. The budget grows with the group
            (`settings.group_budget_seconds`), the spread of the visits does not.
        settings, clock: as in `measure_group`.
    """

    def __init__(
        self, group: Group, settings: LatencySettings, *, clock: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self.samples = Samples.of(group.networks)
        self.done = False
        self._group = group
        self._settings = settings
        self._clock = clock
        self._budget_ns = settings.group_budget_seconds(group.networks) * NS_PER_SECOND
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
        samples, settings = self.samples, self._settings
        asked = self._clock()
        self._charged_ns += min(asked, max(self._due, self._left)) - self._left
        plan = VisitPlan(
            number=samples.visits,
            bursts=settings.bursts_of_visit(samples.visits),
            before=samples.bursts,
            runs=self._runs,
            left_ns=self._budget_ns - self._charged_ns,
        )
        made = self._group.visit(settings, plan)
        began = asked + made.waited_ns
        self._runs = made.runs
        samples.add(made)
        samples.converged = samples.bursts >= settings.bursts and samples.halves_agree(settings.tolerance)
        self._left = self._clock()
        self._charged_ns += self._left - began
        self._due = round(began + settings.gap_seconds * NS_PER_SECOND)
        pause_ns = max(0, self._due - self._left)
        self.done = samples.converged or (samples.bursts >= 2 and self._charged_ns + pause_ns >= self._budget_ns)
        samples.total_seconds += (self._left - asked) / NS_PER_SECOND
        if self.done:
            if samples.memory_ms is not None:
                self._group.note(samples.memory_ms)
            logger.debug(
                "%d bursts in %d visits: held %.2f s, waited %.2f s, %.2f s in all, %s",
                samples.bursts,
                samples.visits,
                samples.held_seconds,
                samples.waited_seconds,
                samples.total_seconds,
                "converged" if samples.converged else "not converged",
            )

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
        state = self._group.state()  # first: it may look for neighbours once more
        contended = self._group.contended
        return [
            self._latency(number, conditions, contended=contended, state={**state, **self._group.energy(number)})
            for number in range(self._group.networks - 1)
        ]

    def _latency(self, network: int, conditions: Conditions, *, contended: bool, state: Mapping[str, str]) -> Latency:
        samples, settings = self.samples, self._settings
        own, reference = samples.quantiles(network), samples.quantiles(-1)
        low, high = samples.ratio_interval(network)
        difference = samples.half_split_difference(network)
        return Latency(
            ratio_to_reference=samples.ratio(network),
            ratio_low=low,
            ratio_high=high,
            reference_p10_ms=reference.p10_ms,
            n=len(samples.runs_ns(network)),
            bursts=samples.bursts,
            half_split_difference=difference,
            memory_ms=samples.memory_ms,
            converged=samples.bursts >= settings.bursts and difference <= settings.tolerance,
            contended=contended,
            measure_seconds=samples.total_seconds,
            state={**state, **samples.clocks()},
            **asdict(own),
            **asdict(conditions),
        )
