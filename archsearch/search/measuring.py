"""How a study measures its networks: each beside the canary, doubtful ones again, and some a second time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from torch import nn

from archsearch.errors import MeasurementError
from archsearch.latency.again import better, needs_again
from archsearch.latency.lease import DeviceLease
from archsearch.latency.network import PreparedReference, measure_network, open_measurement, prepare_reference
from archsearch.latency.prepare import conditions_of
from archsearch.latency.protocol import Measurement
from archsearch.latency.settings import LatencySettings
from archsearch.latency.witness import memory_witness
from archsearch.noise import Repeat, is_crowded
from archsearch.records import Latency

logger = logging.getLogger(__name__)


class StudyLatency:
    """Measures the networks of one study on one device; the reference is made ready once.

    The reference is also the study's canary: a trial in which its own p10 was far from the study's, or in which the
    halves did not agree, or beside which the memory witness was slow, is measured again after its training, in another
    episode of the machine. Its p10 in the first measurement is the one that the study fixes.

    Args:
        settings: the study's latency protocol.
        device: torch device ("cpu", "cuda:0").
        input_size: height and width of the images (pixels).
        seed: of the random input.
        lease: of the device.
        reference: builds the reference network; `reference_name` is what records call it.
        fix_reference: takes the reference's p10 of a measurement and gives the one that the study has fixed (both in
            milliseconds).
        sleep: spends so many seconds between visits to the device.
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
    ) -> None:
        self._settings = settings
        self._device = device
        self._input_size = input_size
        self._seed = seed
        self._lease = lease
        self._build_reference = reference
        self._reference_name = reference_name
        self._fix_reference = fix_reference
        self._sleep = sleep
        self._prepared: PreparedReference | None = None

    def measure(self, model: nn.Module) -> Latency:
        """Measure a network by the study's backend and, beside it, by the further ones.

        A further backend that cannot run the network leaves no latency of it, with a warning: the trial does not stand
        or fall with it. `measure_seconds` of the result is the wall time of all this, making ready and waiting
        included.

        Raises MeasurementError or ConfigError if the network could not be measured.
        """
        began = time.monotonic()
        reference = self._reference()
        main = self._once(model, reference, self._settings.backend_on(self._device))
        fixed_ms = self._fix_reference(main.reference_p10_ms)
        also = []
        for backend in self._settings.also_on(self._device):
            try:
                also.append(self._once(model, reference, backend))
            except MeasurementError as error:
                logger.warning("not measured by %s: %s", backend, error)
        seconds = time.monotonic() - began
        return replace(main, study_reference_ms=fixed_ms, also=tuple(also), measure_seconds=seconds)

    def is_of_this_device(self, latency: Latency) -> bool:
        """Whether a latency was measured on a device like this one, under this protocol's backend."""
        settings = self._settings.with_backend(self._settings.backend_on(self._device))
        here = conditions_of(self._reference_name, settings, self._device, self._input_size)
        return latency.fingerprint == here.fingerprint

    def needs_again(self, latency: Latency) -> bool:
        """Whether a latency, or one by a further backend, is in doubt and may be measured again."""
        return any(self._may_again(one) for one in (latency, *latency.also))

    def doubt(self, latency: Latency) -> float:
        """How far a latency that needs to be measured again may be off, as a share."""
        quiet_ms = self._quiet_ms()
        crowd = 0.0 if latency.memory_ms is None or quiet_ms is None else latency.memory_ms / quiet_ms - 1.0
        return max(latency.half_split_difference, abs(latency.drift or 0.0), crowd)

    def measure_again(self, model: nn.Module, latency: Latency) -> Latency:
        """Measure again what is in doubt, at most `remeasure` times; of two the better one is kept.

        What cannot be measured again stays as it was, with a warning. `measure_seconds` grows by the time spent.
        """
        began = time.monotonic()
        main, *also = (self._until_trusted(one, model) for one in (latency, *latency.also))
        spent = latency.measure_seconds + time.monotonic() - began
        return replace(main, also=tuple(also), measure_seconds=spent)

    def begin_repeat(self, model: nn.Module, arch_id: str, first: Latency) -> RepeatMeasurement:
        """Make a network ready to be measured a second time, with a reference of its own: see `RepeatMeasurement`.

        What differs between two copies of a network (where their memory lies, which kernels were chosen) is part of
        what two measurements differ by, so both are made ready anew. Further backends have no repeats.

        Raises MeasurementError if it cannot be made ready.
        """
        began = time.monotonic()
        settings = self._settings.with_backend(self._settings.backend_on(self._device))
        reference = self._prepare_reference(settings)
        measurement = open_measurement(model, reference, settings=settings, lease=self._lease, seed=self._seed)

        def result(seconds: float) -> tuple[Repeat, Latency]:
            (second,) = measurement.latencies(reference.conditions)
            second = replace(second, study_reference_ms=first.study_reference_ms, measure_seconds=seconds)
            repeat = Repeat(
                arch_id=arch_id,
                first_ms=first.corrected_ms,
                second_ms=second.corrected_ms,
                sound=not (self._in_doubt(first) or self._in_doubt(second)),
                measure_seconds=seconds,
            )
            return repeat, second

        return RepeatMeasurement(measurement, result, prepare_seconds=time.monotonic() - began)

    def _may_again(self, latency: Latency) -> bool:
        return latency.attempts <= self._settings.remeasure and self._in_doubt(latency)

    def _in_doubt(self, latency: Latency) -> bool:
        return needs_again(latency, self._settings, self._quiet_ms())

    def _quiet_ms(self) -> float | None:
        witness = memory_witness(self._device)
        return None if witness is None else witness.quiet_ms

    def _until_trusted(self, latency: Latency, model: nn.Module) -> Latency:
        while self._may_again(latency):
            attempts = latency.attempts + 1
            logger.info(
                "%s: attempt %d by %s", _why(latency, self._settings, self._quiet_ms()), attempts, latency.backend
            )
            try:
                new = self._once(model, self._reference(), latency.backend)
            except MeasurementError as error:
                logger.warning("the first measurement is kept, because the next one failed: %s", error)
                return latency
            new = replace(new, study_reference_ms=latency.study_reference_ms)
            latency = replace(better(latency, new, self._settings, self._quiet_ms()), attempts=attempts)
        return latency

    def _once(self, model: nn.Module, reference: PreparedReference, backend: str) -> Latency:
        return measure_network(
            model,
            reference,
            settings=self._settings.with_backend(backend).model_copy(update={"remeasure": 0}),
            device=self._device,
            input_size=self._input_size,
            lease=self._lease,
            seed=self._seed,
            sleep=self._sleep,
        )

    def _reference(self) -> PreparedReference:
        if self._prepared is None:
            self._prepared = self._prepare_reference(self._settings)
        return self._prepared

    def _prepare_reference(self, settings: LatencySettings) -> PreparedReference:
        return prepare_reference(
            self._build_reference(),
            name=self._reference_name,
            settings=settings,
            device=self._device,
            input_size=self._input_size,
            lease=self._lease,
            seed=self._seed,
        )


class RepeatMeasurement:
    """A second measurement of a network, made visit by visit between the steps of its training.

    Args:
        measurement: opened; no visit is made yet.
        result: what it gives in the end, told what it took (seconds).
        prepare_seconds: what making both networks ready took.
    """

    def __init__(
        self, measurement: Measurement, result: Callable[[float], tuple[Repeat, Latency]], *, prepare_seconds: float
    ) -> None:
        self._measurement = measurement
        self._result = result
        self._prepare_seconds = prepare_seconds

    def visit_if_due(self) -> None:
        """Make the next visit if its time has come. The calling thread holds no lease."""
        if not self._measurement.done and self._measurement.due_seconds() == 0.0:
            self._measurement.visit()

    def complete(self, sleep: Callable[[float], None]) -> tuple[Repeat, Latency]:
        """Make the visits that are left; the repeat, and the second measurement."""
        self._measurement.complete(sleep)
        return self._result(self._prepare_seconds + self._measurement.samples.total_seconds)


def _why(latency: Latency, settings: LatencySettings, quiet_ms: float | None) -> str:
    if not latency.converged:
        return f"not converged (halves differ by {latency.half_split_difference:.1%})"
    if is_crowded(latency.memory_ms, quiet_ms, settings.memory_tolerance):
        return f"the memory was crowded (a copy took {latency.memory_ms:.2f} ms, {quiet_ms:.2f} ms in quiet)"
    return f"the reference had drifted by {latency.drift or 0.0:+.1%}, beyond {settings.drift_tolerance:.0%}"
