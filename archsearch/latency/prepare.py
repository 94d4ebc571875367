"""Networks made ready to be timed, and the reference that many of them are measured against."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from archsearch.errors import ConfigError, MeasurementError, MeasurementMemoryError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.fingerprint import device_fingerprint
from archsearch.latency.huge_pages import use_huge_pages
from archsearch.latency.lease import DeviceLease
from archsearch.latency.precision import Precision
from archsearch.latency.protocol import Conditions
from archsearch.latency.runner import Runner
from archsearch.latency.settings import LatencySettings

logger = logging.getLogger(__name__)

IMAGE_CHANNELS = 3
_HIGH_LOAD = 1.5  # runnable processes a core: archsearch's own workers account for one
_WARNED: set[str] = set()


class ExportedNetwork:
    """A network in the form that a backend runs, to be opened as often as it is measured.

    What differs between two copies of a network is where their memory lies and which kernels are chosen, and both are
    settled when it is opened. Exporting it once more would only take its time again.

    Args:
        model: a network that takes (N, 3, input_size, input_size), or as many channels as its attribute
            `input_channels` says; it is copied, not changed.
        conditions: what it is measured under.
        what: names it in messages.
        lease: shared while the network is exported or opened, because another process may be measuring.
        seed: of the random input.

    Raises:
        ConfigError: the backend does not run on this device, or the device is not there.
        MeasurementError: the network could not be run.
    """

    def __init__(
        self, model: nn.Module, conditions: Conditions, *, what: str, lease: DeviceLease | None, seed: int = 0
    ) -> None:
        self.conditions = conditions
        self._what = what
        self._lease = lease
        backend = BACKENDS[conditions.backend]
        backend.check(conditions.device, conditions.precision)
        if conditions.device.partition(":")[0] == "cuda" and not torch.cuda.is_available():
            raise ConfigError(f"torch sees no GPU for the device '{conditions.device}'", hint="use the device cpu")
        with self._at_work():
            example = random_input(
                batch=conditions.batch,
                input_size=conditions.input_size,
                device=conditions.device,
                seed=seed,
                channels=getattr(model, "input_channels", IMAGE_CHANNELS),  # a part of a network takes a map instead
            )
            self._open = backend.export(model, example, threads=conditions.threads, precision=conditions.precision)

    def open(self) -> Runner:
        """Make it ready to be timed: a new session, a new graph, memory of its own. Raises MeasurementError."""
        with self._at_work():
            runner = self._open()
            if self.conditions.device == "cpu":
                use_huge_pages()
            return runner

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        conditions = self.conditions
        try:
            with self._lease.shared() if self._lease is not None else nullcontext():
                yield
                if conditions.device.startswith("cuda"):
                    torch.cuda.synchronize(conditions.device)  # nothing is queued when the lease is left
        except torch.OutOfMemoryError as error:
            raise MeasurementMemoryError(
                f"the device {conditions.device} has no memory left to make {self._what} ready: {error}",
                hint="other processes hold it: fewer workers, or another device",
            ) from error
        except RuntimeError as error:
            raise MeasurementError(
                f"{self._what} could not be run by the backend '{conditions.backend}' on '{conditions.device}' in "
                f"{conditions.precision} with batch {conditions.batch} at input size {conditions.input_size}: {error}"
            ) from error


@dataclass(frozen=True, kw_only=True)
class PreparedReference:
    """The reference network, ready to run: a worker prepares it once and measures every candidate against it.

    Attributes:
        exported, runner: the network.
        also: the same network made ready by the settings' further backends, in their order.
    """

    exported: ExportedNetwork
    runner: Runner
    also: tuple[PreparedReference, ...] = ()

    @property
    def conditions(self) -> Conditions:
        """What it was prepared for; a candidate is measured under the same."""
        return self.exported.conditions

    def again(self) -> PreparedReference:
        """The same network opened anew, by this backend alone. Raises MeasurementError."""
        return PreparedReference(exported=self.exported, runner=self.exported.open())


def prepare_reference(
    model: nn.Module,
    *,
    name: str,
    settings: LatencySettings,
    device: str,
    input_size: int,
    lease: DeviceLease | None,
    seed: int = 0,
) -> PreparedReference:
    """Make the reference network ready.

    Args:
        model, lease, seed: as for an `ExportedNetwork`.
        name: stored as `Latency.reference`.
        settings: backend, batch, threads and precision are taken from it.
        device: torch device ("cpu", "cuda:0").
        input_size: height and width (pixels).

    Raises:
        ConfigError: a backend does not run on this device, or the device is not there.
        MeasurementError: the network could not be run.
    """

    def prepared(backend: str) -> PreparedReference:
        conditions = conditions_of(name, settings.with_backend(backend), device, input_size)
        what = f"the reference network '{name}'"
        exported = ExportedNetwork(model, conditions, what=what, lease=lease, seed=seed)
        return PreparedReference(exported=exported, runner=exported.open())

    main = prepared(settings.backend_on(device))
    return replace(main, also=tuple(prepared(backend) for backend in settings.also_on(device)))


def random_input(*, batch: int, input_size: int, device: str, seed: int, channels: int = IMAGE_CHANNELS) -> Tensor:
    """Standard normal images (batch, channels, input_size, input_size): zeros would run faster than a picture."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((batch, channels, input_size, input_size), generator=generator).to(device)


@lru_cache(maxsize=16)
def _fingerprint_id(device: str, backend: str, threads: int, precision: Precision) -> str:
    return device_fingerprint(device, backend, threads, precision).id


def warn_of_load_once() -> None:
    """Log a warning, once a process, if more processes want the CPU than its cores and archsearch's workers explain."""
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    if load > _HIGH_LOAD * cores and "load" not in _WARNED:
        _WARNED.add("load")
        logger.warning(
            "the load average is %.1f on %d cores: other programs may disturb latencies; see whether they converged",
            load,
            cores,
        )


def conditions_of(reference: str, settings: LatencySettings, device: str, input_size: int) -> Conditions:
    """What is measured by the settings' backend on a device belongs to this."""
    backend, precision = settings.backend_on(device), settings.precision_on(device)
    return Conditions(
        reference=reference,
        device=device,
        backend=backend,
        batch=settings.batch_on(device),
        threads=settings.threads,
        precision=precision,
        input_size=input_size,
        fingerprint=_fingerprint_id(device, backend, settings.threads, precision),
    )


def references_of(
    reference: PreparedReference, settings: LatencySettings, device: str, input_size: int
) -> list[PreparedReference]:
    """The reference by each backend of the settings, the objective's first.

    Raises MeasurementError if it was prepared for another backend, device, batch, thread number, precision or input
    size.
    """
    by_backend = {one.conditions.backend: one for one in (reference, *reference.also)}
    chosen = []
    for backend in (settings.backend_on(device), *settings.also_on(device)):
        conditions = by_backend.get(backend, reference).conditions
        found = (conditions.device, conditions.backend, conditions.batch, conditions.threads, conditions.precision)
        wanted = (device, backend, settings.batch_on(device), settings.threads, settings.precision_on(device))
        if (*found, conditions.input_size) != (*wanted, input_size):
            raise MeasurementError(
                f"the reference '{conditions.reference}' was prepared for (device, backend, batch, threads, precision, "
                f"input size) {(*found, conditions.input_size)}, but the network is to be measured with "
                f"{(*wanted, input_size)}",
                hint="prepare the reference again",
            )
        chosen.append(by_backend[backend])
    return chosen
