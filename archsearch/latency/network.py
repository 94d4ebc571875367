"""Modules in, latencies out: a group of networks and the reference, made ready by one backend and measured together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from torch import nn

from archsearch.errors import MeasurementError
from archsearch.latency.group import LocalGroup
from archsearch.latency.lease import DeviceLease
from archsearch.latency.prepare import (
    ExportedNetwork,
    PreparedReference,
    prepare_reference,
    references_of,
    warn_of_load_once,
)
from archsearch.latency.protocol import Measurement, measure_group
from archsearch.latency.remeasure import until_trusted
from archsearch.latency.settings import LatencySettings
from archsearch.latency.watch import DeviceWatch
from archsearch.noise import quiet_memory_ms
from archsearch.records import Latency

# The memory witness: a copy of a fixed size, timed beside the runs, that tells when others use the machine's memory.
#
# A network whose data do not fit in a core's own cache waits for memory that other processes, and other virtual
# machines of the same host, use too. No core is taken away then, so neither the lease nor the load shows it, and the
# reference network, which fits, is no slower: the ratio to it does not cancel what happened. A copy that fits in no
# cache is slowed as those networks are. See docs/latency.md, "Memory".

COPIED_BYTES = 16 * 2**20
_COPIES = 4  # of a sample; the first of five is not counted


class MemoryWitness:
    """Times copies of `COPIED_BYTES`, and remembers how long they took in each measurement of this process.

    Args:
        clock: a monotonic clock (nanoseconds). The copies are real whatever the networks are, so it is the host's.
    """

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._source = np.ones(COPIED_BYTES, dtype=np.uint8)
        self._target = np.zeros(COPIED_BYTES, dtype=np.uint8)
        self._measured: list[float] = []

    def sample(self) -> list[float]:
        """Some copies one after the other (milliseconds each)."""
        found = []
        for _ in range(_COPIES + 1):
            began = self._clock()
            np.copyto(self._target, self._source)
            found.append((self._clock() - began) / 1e6)
        return found[1:]

    def note(self, memory_ms: float) -> None:
        """Remember what the copies of one whole measurement took (milliseconds, `Latency.memory_ms`)."""
        self._measured.append(memory_ms)

    @property
    def quiet_ms(self) -> float | None:
        """What a copy takes while nobody else uses the memory, as far as this process has seen (milliseconds)."""
        return quiet_memory_ms(self._measured)


@cache
def memory_witness(device: str) -> MemoryWitness | None:
    """This process's witness for a CPU; None for another device, whose memory it does not share."""
    return MemoryWitness() if device.partition(":")[0] == "cpu" else None


def measure_network(
    model: nn.Module,
    reference: nn.Module | PreparedReference,
    *,
    settings: LatencySettings,
    device: str,
    input_size: int,
    lease: DeviceLease | None,
    reference_name: str | None = None,
    study_reference_ms: float | None = None,
    seed: int = 0,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> Latency:
    """Measure one network against the reference on a device: `measure_networks` of a group of one."""
    (latency,) = measure_networks(
        (model,),
        reference,
        settings=settings,
        device=device,
        input_size=input_size,
        lease=lease,
        reference_name=reference_name,
        study_reference_ms=study_reference_ms,
        seed=seed,
        clock=clock,
        sleep=sleep,
    )
    return latency


def measure_networks(
    models: Sequence[nn.Module],
    reference: nn.Module | PreparedReference,
    *,
    settings: LatencySettings,
    device: str,
    input_size: int,
    lease: DeviceLease | None,
    names: Sequence[str] | None = None,
    reference_name: str | None = None,
    study_reference_ms: float | None = None,
    seed: int = 0,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Latency, ...]:
    """Measure several networks, in turn with one reference, in the same visits to the device.

    The further backends of the settings follow, each in a group of its own with a reference of its own
    (`Latency.also`). Networks that drifted, did not converge or met crowded memory are measured again, together,
    with the reference.

    Args:
        models: networks that take (N, 3, input_size, input_size); they are copied, not changed.
        reference: the reference network, or better what `prepare_reference` made of it under the same settings.
        settings: how they are run and timed.
        device: torch device ("cpu", "cuda:0").
        input_size: height and width (pixels).
        lease: the device's lease; the calling thread must not be inside `lease.shared()`. Without one the results say
            `contended`.
        names: of the networks, for messages; as many as models.
        reference_name: stored as `Latency.reference`; needed with a module, and not with a prepared reference.
        study_reference_ms: the reference's p10 that the study fixed (milliseconds), stored; None outside of a study,
            and at its first measurement. Drift is told from it.
        seed: of the random input; all networks get the same.
        clock, sleep: as in `protocol.measure_group`.

    Returns:
        A latency for each network, in their order; none without networks.

    Raises:
        ConfigError: a backend does not run on this device, or the device is not there.
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
    titles = [f"the network '{name}'" for name in names] if names is not None else ["the network"] * len(models)
    if len(titles) != len(models):
        raise ValueError(f"{len(models)} networks have {len(titles)} names")
    references = references_of(reference, settings, device, input_size)
    if not models:
        return ()
    if device.partition(":")[0] == "cpu":
        warn_of_load_once()

    witness = memory_witness(device)

    def measured(one: PreparedReference, fixed_ms: float | None) -> tuple[Latency, ...]:
        exported = [
            ExportedNetwork(model, one.conditions, what=title, lease=lease, seed=seed)
            for model, title in zip(models, titles, strict=True)
        ]
        runners = [network.open() for network in exported]

        def measure_once(chosen: Sequence[int]) -> list[Latency]:
            latencies = measure_group(
                [runners[index] for index in chosen],
                one.runner,
                settings,
                lease=lease,
                conditions=one.conditions,
                watch=DeviceWatch(device),
                witness=witness,
                clock=clock,
                sleep=sleep,
            )
            return [replace(latency, study_reference_ms=fixed_ms) for latency in latencies]

        def quiet_ms() -> float | None:
            return None if witness is None else witness.quiet_ms

        return until_trusted(measure_once, len(runners), settings, quiet_ms=quiet_ms)

    main, *others = (
        measured(one, study_reference_ms if number == 0 else None) for number, one in enumerate(references)
    )
    return tuple(replace(latency, also=tuple(other[number] for other in others)) for number, latency in enumerate(main))


def open_measurement(
    network: ExportedNetwork,
    reference: PreparedReference,
    *,
    settings: LatencySettings,
    lease: DeviceLease | None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Measurement:
    """Make a network ready to be measured visit by visit, opened anew.

    No visit is made yet. `Measurement.latencies(reference.conditions)` are then the records; drift, a second attempt
    and further backends are the caller's.

    Args:
        network: exported under the reference's conditions.
        reference: made ready under these settings; `PreparedReference.also` is not looked at.
        settings, lease, clock: as in `measure_networks`.

    Raises MeasurementError if the network could not be run.
    """
    conditions = reference.conditions
    if conditions.device.partition(":")[0] == "cpu":
        warn_of_load_once()
    group = LocalGroup(
        (network.open(), reference.runner),
        lease=lease,
        watch=DeviceWatch(conditions.device),
        witness=memory_witness(conditions.device),
        clock=clock,
    )
    return Measurement(group, settings, clock=clock)
