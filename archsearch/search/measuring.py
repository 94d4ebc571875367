"""How a study measures its networks: its noise floor first, then each network beside the canary, some once more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from torch import nn

from archsearch.errors import MeasurementError
from archsearch.latency.again import better, needs_again
from archsearch.latency.lease import DeviceLease
from archsearch.latency.network import PreparedReference, measure_network, noise_floor, prepare_reference
from archsearch.latency.noise import NoiseFloor
from archsearch.latency.prepare import conditions_of
from archsearch.latency.settings import LatencySettings
from archsearch.records import Latency

logger = logging.getLogger(__name__)

Begin = Callable[[Callable[[], NoiseFloor]], bool]


class StudyLatency:
    """Measures the networks of one study on one device; the reference is made ready once.

    The reference is also the study's canary: a trial in which its own p10 was far from the study's, or in which the
    halves did not agree, is measured again after its training, in another episode of the machine.

    Args:
        settings: the study's latency protocol.
        device: torch device ("cpu", "cuda:0").
        input_size: height and width of the images (pixels).
        seed: of the random input.
        lease: of the device.
        reference: builds the reference network; `reference_name` is what records call it.
        begin: gives the study its noise floor and its reference latency unless it has them: it takes a function that
            measures them, and says whether it called that and stored what it gave.
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
        begin: Begin,
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
        self._begin = begin
        self._fix_reference = fix_reference
        self._sleep = sleep
        self._prepared: PreparedReference | None = None

    def measure(self, model: nn.Module) -> Latency:
        """Measure a network by the study's backend and, beside it, by the further ones.

        A further backend that cannot run the network leaves no latency of it, with a warning: the trial does not stand
        or fall with it. `measure_seconds` of the result is the wall time of all this, making ready and waiting
        included, without the study's noise floor, which has its own.

        Raises MeasurementError or ConfigError if the network could not be measured.
        """
        began = time.monotonic()
        if self._prepared is None and self._begin(self._measure_noise_floor):
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
        """Whether a latency, or one by a further backend, drifted or did not converge, and may be measured again."""
        return any(self._may_again(one) for one in (latency, *latency.also))

    def measure_again(self, model: nn.Module, latency: Latency) -> Latency:
        """Measure again what drifted or did not converge, at most `remeasure` times; of two the better one is kept.

        What cannot be measured again stays as it was, with a warning. `measure_seconds` grows by the time spent.
        """
        began = time.monotonic()
        main, *also = (self._until_trusted(one, model) for one in (latency, *latency.also))
        spent = latency.measure_seconds + time.monotonic() - began
        return replace(main, also=tuple(also), measure_seconds=spent)

    def _may_again(self, latency: Latency) -> bool:
        return latency.attempts <= self._settings.remeasure and needs_again(latency, self._settings)

    def _until_trusted(self, latency: Latency, model: nn.Module) -> Latency:
        while self._may_again(latency):
            attempts = latency.attempts + 1
            logger.info("%s: attempt %d by %s", _why(latency, self._settings), attempts, latency.backend)
            try:
                new = self._once(model, self._reference(), latency.backend)
            except MeasurementError as error:
                logger.warning("the first measurement is kept, because the next one failed: %s", error)
                return latency
            new = replace(new, study_reference_ms=latency.study_reference_ms)
            latency = replace(better(latency, new, self._settings), attempts=attempts)
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
            self._prepared = prepare_reference(
                self._build_reference(),
                name=self._reference_name,
                settings=self._settings,
                device=self._device,
                input_size=self._input_size,
                lease=self._lease,
            )
        return self._prepared

    def _measure_noise_floor(self) -> NoiseFloor:
        logger.info("the study's noise floor is measured: %d rounds", self._settings.noise_rounds)
        return noise_floor(
            self._build_reference(),
            name=self._reference_name,
            settings=self._settings,
            device=self._device,
            input_size=self._input_size,
            lease=self._lease,
            seed=self._seed,
            sleep=self._sleep,
        )


def _why(latency: Latency, settings: LatencySettings) -> str:
    if not latency.converged:
        return f"not converged (halves differ by {latency.half_split_difference:.1%})"
    return f"the reference had drifted by {latency.drift or 0.0:+.1%}, beyond {settings.drift_tolerance:.0%}"
