"""How a study measures its networks: each beside the canary, doubtful ones again, and some a second time.

A worker does not sleep while it measures: a trial's visits to the device are made between the chunks of its own
training, each when it is due (`TrialLatency`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property

import torch
from torch import nn

from archsearch.errors import MeasurementError
from archsearch.latency.lease import DeviceLease
from archsearch.latency.network import ExportedNetwork, PreparedReference, open_measurement, prepare_reference
from archsearch.latency.prepare import conditions_of
from archsearch.latency.protocol import Measurement
from archsearch.latency.remeasure import better, is_doubtful
from archsearch.latency.settings import LatencySettings
from archsearch.latency.witness import memory_witness
from archsearch.noise import Repeat, is_crowded
from archsearch.records import Latency
from archsearch.search.stopwatch import Stopwatch

logger = logging.getLogger(__name__)


class StudyLatency:
    """Measures the networks of one study on one device; the reference is made ready once.

    The reference is also the study's canary: a trial in which its own p10 was far from the study's, or in which the
    halves did not agree, or beside which the memory witness was slow, is measured again, in another episode of the
    machine. The reference's p10 in the first measurement is the one that the study fixes.

    Args:
        settings: the study's latency protocol.
        device: torch device ("cpu", "cuda:0").
        input_size: height and width of the images (pixels).
        seed: of the random input.
        lease: of the device.
        reference: builds the reference network; `reference_name` is what records call it.
        fix_reference: takes the reference's p10 of a measurement and gives the one that the study has fixed (both in
            milliseconds).
        sleep: spends so many seconds between visits to the device, where there is nothing else to do.
        stopwatch: counts what is done here to the phase `measure`.
    """

    def __init__(
        self,
        settings: LatencySettings,
        *,
        device: str,
        input_size: int,
        seed: int,
        lease: DeviceLease,
        reference: Callable[[], nn.Module],
        reference_name: str,
        fix_reference: Callable[[float], float],
        sleep: Callable[[float], None],
        stopwatch: Stopwatch,
    ) -> None:
        self.settings = settings
        self._device = device
        self._input_size = input_size
        self._seed = seed
        self._lease = lease
        self._build_reference = reference
        self._reference_name = reference_name
        self._fix_reference = fix_reference
        self.sleep = sleep
        self.stopwatch = stopwatch
        self._prepared: PreparedReference | None = None
        self._reference_ms: float | None = None

    def of(self, model: nn.Module, earlier: Latency | None = None) -> TrialLatency:
        """A network's latency in the making: made ready for every backend of the study, its first visit done.

        A further backend that cannot run the network leaves no latency of it, with a warning: the trial does not stand
        or fall with it. `earlier` was measured by an earlier worker; if that was on a device like this one, under this
        protocol's backend, nothing is left to do but what `is_doubtful`.

        Raises MeasurementError or ConfigError if the network could not be measured.
        """
        if earlier is not None and self._is_of_this_device(earlier):
            self._reference_ms = earlier.study_reference_ms or self._reference_ms
            return TrialLatency(self, model, earlier)
        return TrialLatency(self, model, None)

    def in_doubt(self, latency: Latency) -> bool:
        """Whether a latency is one to be measured again: `remeasure.is_doubtful`."""
        return is_doubtful(latency, self.settings, self.quiet_ms)

    def crowding(self, latency: Latency) -> float:
        """How much longer than in quiet measurements the memory witness took (0.1: 10%); 0 where that is not known."""
        quiet_ms = self.quiet_ms
        return 0.0 if latency.memory_ms is None or quiet_ms is None else max(0.0, latency.memory_ms / quiet_ms - 1.0)

    @property
    def quiet_ms(self) -> float | None:
        """What the memory witness takes in quiet measurements (milliseconds), as far as this worker knows."""
        witness = memory_witness(self._device)
        return None if witness is None else witness.quiet_ms

    @property
    def reference_ms(self) -> float | None:
        """The reference's p10 as the study has it fixed (milliseconds); None before this worker's first latency."""
        return self._reference_ms

    def fixed(self, p10_ms: float) -> float:
        """The reference's p10 that the study has fixed, which may be this one (milliseconds)."""
        if self._reference_ms is None:
            self._reference_ms = self._fix_reference(p10_ms)
        return self._reference_ms

    @property
    def backends(self) -> tuple[str, ...]:
        """The study's backend, and the further ones."""
        return (self.settings.backend_on(self._device), *self.settings.also_on(self._device))

    def export(self, model: nn.Module, backend: str) -> ExportedNetwork:
        """A network in the form that one of `backends` runs. Raises MeasurementError."""
        conditions = self.reference(backend).conditions
        return ExportedNetwork(model, conditions, what="the network", lease=self._lease, seed=self._seed)

    def open(self, network: ExportedNetwork, reference: PreparedReference) -> Measurement:
        """Make a network ready to be measured against the reference, opened anew. Raises MeasurementError."""
        settings = self.settings.with_backend(network.conditions.backend)
        return open_measurement(network, reference, settings=settings, lease=self._lease)

    def reference(self, backend: str) -> PreparedReference:
        """The reference network, made ready for one of `backends`."""
        if self._prepared is None:
            self._prepared = prepare_reference(
                self._build_reference(),
                name=self._reference_name,
                settings=self.settings,
                device=self._device,
                input_size=self._input_size,
                lease=self._lease,
            )
        return {one.conditions.backend: one for one in (self._prepared, *self._prepared.also)}[backend]

    def _is_of_this_device(self, latency: Latency) -> bool:
        settings = self.settings.with_backend(self.backends[0])
        here = conditions_of(self._reference_name, settings, self._device, self._input_size)
        return latency.fingerprint == here.fingerprint


class TrialLatency:
    """One network's latency in the making, beside whatever else its trial does; see `StudyLatency.of`.

    Between two pieces of other work `advance` makes a visit that is due. What is left when there is no other work,
    `complete` does and sleeps through the pauses. A measurement that is in doubt is made again:
    by `begin_again` beside the rest of the training, or by `settle`.

    `measure_seconds` of the latencies is the time that the worker spent here, making ready, waiting for the device and
    sleeping included, and no other work between visits. A repeat has its own.
    """

    def __init__(self, study: StudyLatency, model: nn.Module, earlier: Latency | None) -> None:
        self._study = study
        self._spent_seconds = 0.0 if earlier is None else earlier.measure_seconds
        if earlier is not None:
            self._main = _Attempts(study, model, earlier.backend, kept=earlier)
            self._also = [_Attempts(study, model, one.backend, kept=one) for one in earlier.also]
            return
        main, *others = study.backends
        self._main = _Attempts(study, model, main)
        self._also = [_Attempts(study, model, backend) for backend in others]
        with self._spending():
            for attempts in self._all:
                with self._failing(attempts):
                    attempts.begin()
            self._main.visit()

    @property
    def known(self) -> bool:
        """Whether every backend's first measurement is done; before, the latency is `provisional`."""
        return all(attempts.kept is not None for attempts in self._all)

    @property
    def doubtful(self) -> bool:
        """Whether a first measurement is not done, or one that is in doubt is to be made again."""
        return any(
            attempts.kept is None or attempts.under_way or attempts.is_put_off or attempts.needed
            for attempts in self._all
        )

    @property
    def latency(self) -> Latency:
        """What was measured, by the study's backend and by the further ones. Raises ValueError unless it is `known`."""
        kept = [attempts.kept for attempts in self._all if attempts.kept is not None]
        if not self.known:
            raise ValueError("a network whose first measurement is not done has no latency yet")
        return replace(kept[0], also=tuple(kept[1:]), measure_seconds=self._spent_seconds)

    @property
    def exported(self) -> ExportedNetwork:
        """The network in the form that the study's backend runs."""
        return self._main.exported

    def provisional(self) -> Latency:
        """The latency by the study's backend as far as it is measured, which has not converged; to be stored nowhere.

        Where that says nothing yet (the study has no reference latency to correct it by, or there is one burst), the
        measurement is completed first.
        """
        found = None if self._main.kept is not None else self._main.provisional()
        if found is None:
            return self.complete()
        return replace(found, measure_seconds=self._spent_seconds)

    def advance(self) -> bool:
        """Make one visit if one is due; whether `latency` is another one now. The caller holds no lease.

        One for which the device has not the memory beside a training is put off until `complete`.
        """
        due = next((attempts for attempts in self._all if attempts.is_due), None)
        if due is None:
            return False
        try:
            with self._spending(), self._failing(due):
                due.visit()
        except torch.OutOfMemoryError as error:
            logger.info("a measurement by %s is put off until the training has ended: %s", due.backend, error)
            due.put_off()
            return False
        return not due.under_way and self.known

    def complete(self) -> Latency:
        """Make all visits that are left of the measurements under way, sleeping between them. Gives the `latency`."""
        with self._spending():
            for attempts in self._all:
                if attempts.is_put_off:
                    with self._failing(attempts):
                        attempts.begin()
            while under_way := [attempts for attempts in self._all if attempts.under_way]:
                first = min(under_way, key=_Attempts.due_seconds)
                if (pause := first.due_seconds()) > 0:
                    self._study.sleep(pause)
                with self._failing(first):
                    first.visit()
        return self.latency

    def begin_again(self) -> None:
        """Begin to measure again what needs it, beside a training: not at once, but in another episode of the machine.

        That is `spread_seconds` after the last attempt at the earliest. What cannot be made ready beside a training is
        put off until `settle`.
        """
        for attempts in self._all:
            if attempts.needed and attempts.ended_seconds() >= self._study.settings.spread_seconds:
                with self._spending():
                    try:
                        attempts.begin()
                    except MeasurementError as error:
                        logger.info("measuring again is put off until the training has ended: %s", error)
                        attempts.put_off()

    def settle(self) -> Latency:
        """Complete what is under way and measure again what needs it, at most `remeasure` times. Gives the `latency`.

        Of two measurements the better one is kept. What cannot be measured again stays as it was, with a warning.
        """
        self.complete()
        while again := [attempts for attempts in self._all if attempts.needed]:
            for attempts in again:
                with self._spending(), self._failing(attempts):
                    attempts.begin()
            self.complete()
        return self.latency

    @property
    def _all(self) -> tuple[_Attempts, ...]:
        return (self._main, *self._also)

    @contextmanager
    def _failing(self, attempts: _Attempts) -> Iterator[None]:
        """Let the first attempt by the study's backend fail; of any other one a failure is a warning.

        What was kept then stays, and a further backend of which nothing was is left out.
        """
        try:
            yield
        except MeasurementError as error:
            attempts.give_up()
            if attempts.kept is not None:
                logger.warning("the first measurement is kept, because the next one failed: %s", error)
            elif attempts is not self._main:
                logger.warning("not measured by %s: %s", attempts.backend, error)
                self._also.remove(attempts)
            else:
                raise

    @contextmanager
    def _spending(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            with self._study.stopwatch.at("measure"):
                yield
        finally:
            self._spent_seconds += time.monotonic() - began


class _Attempts:
    """The attempts at one network's latency by one backend: one under way or none, and the best of those made.

    Attributes:
        kept: the best so far; None until the first attempt has ended.
        is_put_off: whether an attempt is to be begun anew.
    """

    def __init__(self, study: StudyLatency, model: nn.Module, backend: str, *, kept: Latency | None = None) -> None:
        self.backend = backend
        self.kept = kept
        self._study = study
        self._model = model
        self._measurement: Measurement | None = None
        self.is_put_off = False
        self._gave_up = False
        self._ended = -math.inf

    @cached_property
    def exported(self) -> ExportedNetwork:
        """The network in the form that the backend runs; every attempt opens it anew. Raises MeasurementError."""
        return self._study.export(self._model, self.backend)

    @property
    def under_way(self) -> bool:
        """Whether an attempt has begun and not ended."""
        return self._measurement is not None

    @property
    def is_due(self) -> bool:
        """Whether a visit is due now."""
        return self._measurement is not None and self._measurement.due_seconds() == 0

    @property
    def needed(self) -> bool:
        """Whether the best attempt is in doubt, and another one is allowed and has not begun."""
        if self.kept is None or self.under_way or self.is_put_off or self._gave_up:
            return False
        return self.kept.attempts <= self._study.settings.remeasure and self._study.in_doubt(self.kept)

    def due_seconds(self) -> float:
        """Time until the next visit is due, of an attempt under way."""
        return math.inf if self._measurement is None else self._measurement.due_seconds()

    def ended_seconds(self) -> float:
        """How long ago the last attempt ended here."""
        return time.monotonic() - self._ended

    def begin(self) -> None:
        """Make the network ready. Raises MeasurementError."""
        if self.kept is not None:
            why = _why(self.kept, self._study.settings, self._study.quiet_ms)
            logger.info("%s: attempt %d by %s", why, self.kept.attempts + 1, self.backend)
        self.is_put_off = False
        self._measurement = self._study.open(self.exported, self._study.reference(self.backend))

    def put_off(self) -> None:
        """Begin the attempt anew later."""
        self._measurement, self.is_put_off = None, True

    def give_up(self) -> None:
        """Make no further attempt."""
        self._measurement, self._gave_up = None, True

    def provisional(self) -> Latency | None:
        """What the attempt under way says so far; None where that is nothing yet."""
        measurement, fixed_ms = self._measurement, self._study.reference_ms
        if measurement is None or measurement.samples.bursts < 2 or fixed_ms is None:
            return None
        (found,) = measurement.latencies(self._study.reference(self.backend).conditions)
        return replace(found, study_reference_ms=fixed_ms)

    def visit(self) -> bool:
        """Make a visit of the attempt under way; whether it has ended with it. Raises MeasurementError."""
        measurement = self._measurement
        assert measurement is not None
        measurement.visit()
        if not measurement.done:
            return False
        self._measurement, self._ended = None, time.monotonic()
        (new,) = measurement.latencies(self._study.reference(self.backend).conditions)
        if self.kept is None:
            main = self.backend == self._study.backends[0]
            fixed_ms = self._study.fixed(new.reference_p10_ms) if main else None
            self.kept = replace(new, study_reference_ms=fixed_ms)
        else:
            new = replace(new, study_reference_ms=self.kept.study_reference_ms)
            kept = better(self.kept, new, self._study.settings, self._study.quiet_ms)
            self.kept = replace(kept, attempts=self.kept.attempts + 1)
        return True


class RepeatMeasurement:
    """A network measured once more by the study's backend, visit by visit beside trainings.

    What differs between two copies of a network (where their memory lies, which kernels were chosen) is part of what
    two measurements differ by, so the network and a reference of its own are opened anew. Further backends have no
    repeats.

    Args:
        study: whose reference latency is known.
        network: exported for the study's backend.
        arch_id: the network.
        first: what it is compared with; None: this is the first of the two.

    Raises MeasurementError if it cannot be made ready.
    """

    def __init__(self, study: StudyLatency, network: ExportedNetwork, arch_id: str, first: Latency | None) -> None:
        began = time.monotonic()
        self._study = study
        self._arch_id = arch_id
        self._first = first
        self._conditions = network.conditions
        self._measurement = study.open(network, study.reference(network.conditions.backend).again())
        self._prepare_seconds = time.monotonic() - began

    @property
    def done(self) -> bool:
        """Whether there is a `result`."""
        return self._measurement.done

    def advance(self) -> None:
        """Make the next visit if it is due. The calling thread holds no lease."""
        if not self.done and self._measurement.due_seconds() == 0.0:
            self._measurement.visit()

    def complete(self) -> None:
        """Make the visits that are left, sleeping between them."""
        self._measurement.complete(self._study.sleep)

    def result(self) -> tuple[Repeat | None, Latency]:
        """The repeat, if there was a first, and the latency."""
        study = self._study
        (found,) = self._measurement.latencies(self._conditions)
        seconds = self._prepare_seconds + self._measurement.samples.total_seconds
        second = replace(found, study_reference_ms=study.reference_ms, measure_seconds=seconds)
        if self._first is None:
            return None, second
        repeat = Repeat(
            arch_id=self._arch_id,
            first_ms=self._first.corrected_ms,
            second_ms=second.corrected_ms,
            sound=not (study.in_doubt(self._first) or study.in_doubt(second)),
            measure_seconds=seconds,
        )
        return repeat, second


def _why(latency: Latency, settings: LatencySettings, quiet_ms: float | None) -> str:
    if not latency.converged:
        return f"not converged (halves differ by {latency.half_split_difference:.1%})"
    if is_crowded(latency.memory_ms, quiet_ms, settings.memory_tolerance):
        return f"the memory was crowded (a copy took {latency.memory_ms:.2f} ms, {quiet_ms:.2f} ms in quiet)"
    return f"the reference had drifted by {latency.drift or 0.0:+.1%}, beyond {settings.drift_tolerance:.0%}"
