"""A module in, a latency out: both networks prepared by one backend and measured by the protocol."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from archsearch.errors import ConfigError, MeasurementError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.fingerprint import device_fingerprint
from archsearch.latency.lease import DeviceLease
from archsearch.latency.protocol import Conditions, measure
from archsearch.latency.runner import Runner
from archsearch.latency.settings import LatencySettings
from archsearch.records import Latency

logger = logging.getLogger(__name__)

IMAGE_CHANNELS = 3
_HIGH_LOAD = 1.5  # runnable processes a core: archsearch's own workers account for one
_WARNED: set[str] = set()


@dataclass(frozen=True, kw_only=True)
class PreparedReference:
    """The reference network, ready to run: a worker prepares it once and measures every candidate against it.

    Attributes:
        runner: the network.
        conditions: what it was prepared for; a candidate is measured under the same.
    """

    runner: Runner
    conditions: Conditions


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
        model: a network that takes (N, 3, input_size, input_size); it is copied, not changed.
        name: stored as `Latency.reference`.
        settings: backend, batch and threads are taken from it.
        device: torch device ("cpu", "cuda:0").
        input_size: height and width (pixels).
        lease: shared while the network is prepared, because another process may be measuring.
        seed: of the random input.

    Raises:
        ConfigError: the backend does not run on this device, or the device is not there.
        MeasurementError: the network could not be run.
    """
    conditions = Conditions(
        reference=name,
        device=device,
        backend=settings.backend,
        batch=settings.batch_on(device),
        threads=settings.threads,
        input_size=input_size,
        fingerprint=_fingerprint_id(device, settings.backend, settings.threads),
    )
    runner = _prepare(model, conditions, what=f"the reference network '{name}'", lease=lease, seed=seed)
    return PreparedReference(runner=runner, conditions=conditions)


def measure_network(
    model: nn.Module,
    reference: nn.Module | PreparedReference,
    *,
    settings: LatencySettings,
    device: str,
    input_size: int,
    lease: DeviceLease | None,
    reference_name: str | None = None,
    seed: int = 0,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> Latency:
    """Measure a network against the reference on a device.

    Args:
        model: a network that takes (N, 3, input_size, input_size); it is copied, not changed.
        reference: the reference network, or better what `prepare_reference` made of it under the same settings.
        settings: how it is run and timed.
        device: torch device ("cpu", "cuda:0").
        input_size: height and width (pixels).
        lease: the device's lease; the calling thread must not be inside `lease.shared()`. Without one the result says
            `contended`.
        reference_name: stored as `Latency.reference`; needed with a module, and not with a prepared reference.
        seed: of the random input; both networks get the same.
        clock, sleep: as in `protocol.measure`.

    Raises:
        ConfigError: the backend does not run on this device, or the device is not there.
        MeasurementError: a network could not be run or timed, or the reference was prepared for other conditions.
    """
    if isinstance(reference, nn.Module):
        if not reference_name:
            raise MeasurementError("a reference network needs a name", hint="pass reference_name")
        reference = prepare_reference(
            reference,
            name=reference_name,
            settings=settings,
            device=device,
            input_size=input_size,
            lease=lease,
            seed=seed,
        )
    conditions = reference.conditions
    prepared_for = (conditions.device, conditions.backend, conditions.batch, conditions.threads, conditions.input_size)
    wanted = (device, settings.backend, settings.batch_on(device), settings.threads, input_size)
    if prepared_for != wanted:
        raise MeasurementError(
            f"the reference '{conditions.reference}' was prepared for (device, backend, batch, threads, input size) "
            f"{prepared_for}, but the network is to be measured with {wanted}",
            hint="prepare the reference again",
        )
    candidate = _prepare(model, conditions, what="the network", lease=lease, seed=seed)
    if device.partition(":")[0] == "cpu":
        _warn_of_load_once()
    return measure(candidate, reference.runner, settings, lease=lease, conditions=conditions, clock=clock, sleep=sleep)


def random_input(*, batch: int, input_size: int, device: str, seed: int) -> Tensor:
    """Standard normal images (batch, 3, input_size, input_size): zeros would run faster than a picture."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((batch, IMAGE_CHANNELS, input_size, input_size), generator=generator).to(device)


def _prepare(model: nn.Module, conditions: Conditions, *, what: str, lease: DeviceLease | None, seed: int) -> Runner:
    backend = BACKENDS[conditions.backend]
    kind = conditions.device.partition(":")[0]
    if kind not in backend.devices:
        raise ConfigError(
            f"the latency backend '{backend.name}' does not run on '{conditions.device}'",
            hint=f"it runs on {', '.join(backend.devices)}",
        )
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"torch sees no GPU for the device '{conditions.device}'", hint="use the device cpu")
    try:
        with lease.shared() if lease is not None else nullcontext():
            example = random_input(
                batch=conditions.batch, input_size=conditions.input_size, device=conditions.device, seed=seed
            )
            return backend.prepare(model, example, threads=conditions.threads)
    except RuntimeError as error:
        raise MeasurementError(
            f"{what} could not be run by the backend '{backend.name}' on '{conditions.device}' with batch "
            f"{conditions.batch} at input size {conditions.input_size}: {error}"
        ) from error


@lru_cache(maxsize=16)
def _fingerprint_id(device: str, backend: str, threads: int) -> str:
    return device_fingerprint(device, backend, threads).id


def _warn_of_load_once() -> None:
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    if load > _HIGH_LOAD * cores and "load" not in _WARNED:
        _WARNED.add("load")
        logger.warning(
            "the load average is %.1f on %d cores: other programs may disturb latencies; see whether they converged",
            load,
            cores,
        )
