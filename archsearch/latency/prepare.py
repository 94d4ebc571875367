"""Networks made ready to be timed, and the reference that many of them are measured against."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from archsearch.errors import ConfigError, MeasurementError, MeasurementMemoryError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.backends.onnx_runtime import OnnxRunner
from archsearch.latency.fingerprint import device_fingerprint
from archsearch.latency.lease import DeviceLease
from archsearch.latency.precision import Precision
from archsearch.latency.protocol import Conditions, measure_group
from archsearch.latency.runner import Runner
from archsearch.latency.settings import OTHER_BACKEND, LatencySettings
from archsearch.latency.watch import DeviceWatch
from archsearch.models.onnx_export import OnnxModel
from archsearch.records import Latency

# The process's memory in huge pages, so that what it did before does not change how long a network takes.
#
# A process that has trained, exported and opened networks for a while gets scattered pages for the next one, which
# then takes up to 15 % longer than in a process that has just begun (docs/latency.md). In huge pages it takes as long
# as there. Linux from 6.1 on; elsewhere memory stays as it is.

_SMAPS, _SIZE = Path("/proc/self/smaps"), Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
_HUGE, _COLLAPSE = 14, 25  # MADV_HUGEPAGE, MADV_COLLAPSE (madvise(2))
_LARGEST = 32 << 20  # bytes of a huge page: a kernel of 64 KiB pages has some of 512 MiB, which nothing fills
_FILLED = 0.5  # of a range: what is hardly used would take memory that nobody needs
_RANGE = re.compile(
    r"^(?P<begin>[0-9a-f]+)-(?P<end>[0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\]|\[anon:.*\])?\n"
    r"(?:(?!Rss:)\w+: .*\n)*Rss: *(?P<resident>\d+) kB\n"
    r"(?:(?!AnonHugePages:)\w+: .*\n)*AnonHugePages: *(?P<huge>\d+) kB",
    re.MULTILINE,
)


def use_huge_pages() -> int:
    """Put the memory that this process has filled so far into huge pages; gives how many are new (bytes)."""
    try:
        size, ranges = int(_SIZE.read_text(encoding="ascii")), _SMAPS.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return 0
    if sys.platform != "linux" or not 0 < size <= _LARGEST:
        return 0
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    made = 0
    for found in _RANGE.finditer(ranges):
        begin = -(-int(found["begin"], 16) // size) * size
        length = int(found["end"], 16) // size * size - begin
        resident, huge = (1024 * int(found[name]) for name in ("resident", "huge"))
        if length > 0 and huge < length and resident >= _FILLED * length:
            libc.madvise(begin, length, _HUGE)
            made += (length - huge) if libc.madvise(begin, length, _COLLAPSE) == 0 else 0
    return made


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
    """Standard normal images (batch, channels, input_size, input_size): zeros would run faster than a picture.

    Raises MeasurementError where they do not fit in memory.
    """
    generator, shape = torch.Generator().manual_seed(seed), (batch, channels, input_size, input_size)
    try:
        return torch.randn(shape, generator=generator).to(device)
    except RuntimeError as error:
        raise MeasurementError(
            f"a batch of {batch:,} images at {input_size}x{input_size} does not fit in memory", hint="a smaller batch"
        ) from error


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


# What exporting changes in latency: the network in torch beside its ONNX files, in the same bursts.

_DEVICE = "cpu"


@dataclass(frozen=True, kw_only=True)
class ExportLatency:
    """Latencies on this machine's CPU, batch 1, one thread.

    Attributes:
        files: by name, each run by ONNX Runtime; its reference is the network in torch (batch norms folded, eager), so
            `ratio_to_reference` is after over before and `reference_p10_ms` is before.
    """

    files: Mapping[str, Latency]


def measure_exported(model: nn.Module, files: Mapping[str, bytes], *, input_size: int) -> ExportLatency:
    """Measure ONNX files against the network that they were made of, under the usual protocol.

    Args:
        model: the network in eval mode, on the CPU.
        files: ONNX models by a name for each.
        input_size: height and width (pixels).

    Raises MeasurementError if the network or a file cannot be run or timed.
    """
    settings = LatencySettings(backend="onnxruntime", batch=1)
    lease = DeviceLease.of_device(_DEVICE)
    with lease.shared():
        example = random_input(batch=1, input_size=input_size, device=_DEVICE, seed=0)
        reference = BACKENDS[OTHER_BACKEND].prepare(model, example, threads=settings.threads)
        runners = [
            OnnxRunner(OnnxModel(data=content, exporter="torchscript"), example, threads=settings.threads)
            for content in files.values()
        ]
        for runner in (*runners, reference) * 2:  # the second run lays out the memory
            runner()
        use_huge_pages()
    conditions = conditions_of("the network in torch", settings, _DEVICE, input_size)
    latencies = measure_group(
        runners, reference, settings, lease=lease, conditions=conditions, watch=DeviceWatch(_DEVICE)
    )
    return ExportLatency(files=dict(zip(files, latencies, strict=True)))
