"""Latencies of networks on this device, whatever they are named by, outside of any study."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.api.networks import FoundNetwork, enough_memory, find_network, find_networks
from archsearch.errors import ConfigError, UnknownNameError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.precision import PRECISIONS, Precision
from archsearch.latency.settings import LOCAL, MOST_SECONDS, LatencySettings
from archsearch.models.spec import Spec
from archsearch.records import Latency
from archsearch.search.devices import measured_where
from archsearch.table import Column, InNotebooks, Marked, Table, json_as
from archsearch.targets.board import Board, check_backend, check_cores, measure_on
from archsearch.text import plural
from archsearch.validation import check_seconds, whole

if TYPE_CHECKING:
    from torch import nn

REFERENCE = "shufflenet_v2_x1_0"
_SPREAD_SHARE = 0.25  # of a budget: what its spread may take at most
_MS_PER_SECOND = 1000.0


@dataclass(frozen=True, kw_only=True)
class MeasuredNetwork:
    """One network measured by one backend at one batch.

    Attributes:
        name: what it was asked for by.
        spec: its choices, normalised at the input size.
        num_classes: outputs of the classifier; the reference had as many.
        latency: the measured numbers with their conditions.
        backend_version: of the library that ran it.
    """

    name: str
    spec: Spec
    num_classes: int
    latency: Latency
    backend_version: str

    @property
    def images_per_second(self) -> float:
        """Images of one batch over its median latency."""
        return self.latency.batch * _MS_PER_SECOND / self.latency.median_ms


class NetworkLatencyJson(TypedDict):
    """One network measured by one backend at one batch: `images_per_second` by the median."""

    name: str
    arch_id: str
    family: str
    num_classes: int
    latency: Latency
    images_per_second: float
    backend_version: str


class LatenciesJson(TypedDict):
    """What was measured, in the order in which it was asked for."""

    networks: list[NetworkLatencyJson]


class MeasuredNetworks(InNotebooks, tuple[MeasuredNetwork, ...]):
    """What `measure` found, in the order in which it was asked for: a tuple, and an `archsearch.table.Result`."""

    __slots__ = ()
    __repr__ = InNotebooks.__str__
    title = "Latencies"
    sentences: tuple[str, ...] = ()
    empty: str | None = None
    method = (
        "p10, median, p90: milliseconds a batch; the median is what a user feels. ratio: p10 over the reference's p10 "
        "in the same bursts, with its 95 % interval; it ranks networks. ?: did not converge in its budget. !: "
        "contended. images/s: batch over median"
    )

    @property
    def subtitle(self) -> tuple[str, ...]:
        """The conditions, one line for each set of them."""
        return tuple(dict.fromkeys(_conditions(one) for one in self))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Whether others used the device, or it slowed itself down."""
        why = (
            "the board slowed itself down" if one.latency.throttled else "other work used the device"
            for one in self
            if one.latency.contended
        )
        return tuple(f"{each} meanwhile; numbers marked ! may be too high" for each in dict.fromkeys(why))

    def tables(self) -> tuple[Table, ...]:
        """One line a measurement; conditions have a column where they differ."""
        conditions: dict[str, list[str | int]] = {
            "backend": [one.latency.backend for one in self],
            "batch": [one.latency.batch for one in self],
            "precision": [one.latency.precision for one in self],
            "input": [one.latency.input_size for one in self],
            "outputs": [one.num_classes for one in self],
        }
        varying = {name: values for name, values in conditions.items() if len(set(values)) > 1}
        rows = [
            (
                one.name,
                *(values[number] for values in varying.values()),
                one.latency.p10_ms,
                one.latency.median_ms,
                one.latency.p90_ms,
                Marked(one.latency.ratio_to_reference, "?" * (not one.latency.converged) + "!" * one.latency.contended),
                _interval(one.latency),
                f"{one.latency.n}/{one.latency.bursts}",
                one.images_per_second,
            )
            for number, one in enumerate(self)
        ]
        columns = (
            Column(title="network", whole=True),
            *(Column(title=name, whole=True) for name in varying),
            Column(title="p10 ms", decimals=3),
            Column(title="median", key="median_ms", decimals=3),
            Column(title="p90", key="p90_ms", decimals=3),
            Column(title="ratio", key="ratio_to_reference", decimals=3),
            Column(title="95 % interval", key="ratio_interval", whole=True),
            Column(title="n/bursts", key="runs_and_bursts", whole=True),
            Column(title="images/s", key="images_per_second", decimals=1),
        )
        return (Table(title="", columns=columns, rows=tuple(rows)),)

    def plain(self) -> LatenciesJson:
        """Every field of every latency, beside the network's own."""
        return {
            "networks": [
                json_as(NetworkLatencyJson, one, arch_id=one.spec.arch_id, family=one.spec.family) for one in self
            ]
        }


def _conditions(one: MeasuredNetwork) -> str:
    latency = one.latency
    return (
        f"{latency.device}, {latency.backend} {one.backend_version}, {plural(latency.threads, 'thread')}, "
        f"batch {latency.batch}, {latency.precision}, {latency.input_size}x{latency.input_size}, "
        f"{plural(one.num_classes, 'output')}, reference {latency.reference}, fingerprint {latency.fingerprint}"
    )


def _interval(latency: Latency) -> str:
    low, high = latency.ratio_low, latency.ratio_high
    return "" if low is None or high is None else f"{low:.3f}-{high:.3f}"


@dataclass(frozen=True, kw_only=True)
class MeasureProgress:
    """How far a call of `measure` is: told before a group of networks, and whenever the device is left alone.

    Attributes:
        group, groups: number of the group in hand (1 is the first), and of all.
        networks: networks of this group, the reference not counted.
        backend, batch, precision, device, input_size: its conditions.
        seconds: since the group began.
    """

    group: int
    groups: int
    networks: int
    backend: str
    batch: int
    precision: str
    device: str
    input_size: int
    seconds: float


def measure(
    names: str | Path | Sequence[str | Path],
    *,
    backends: str | Sequence[str] = (),
    batches: int | Sequence[int] = (),
    precisions: str | Sequence[str] = (),
    threads: int = 1,
    input_size: int | None = None,
    num_classes: int | None = None,
    device: str = "auto",
    reference: str = REFERENCE,
    budget_seconds: float | None = None,
    target: str = LOCAL,
    cores: str = "all",
    storage: str | None = None,
    on_measured: Callable[[MeasuredNetwork], None] | None = None,
    on_progress: Callable[[MeasureProgress], None] | None = None,
) -> MeasuredNetworks:
    """Measure networks on a device, once with each backend at each batch in each precision.

    The networks of one backend, batch, precision, input size and number of classes are one group: their bursts take
    turns with each other's and with the reference's, so their ratios were measured in the same seconds. The device
    lease is held for every timed run: trainings of this user pause meanwhile, and a study's measurements come before or
    after.

    Args:
        names: as `describe` takes them. One name, backend, batch or precision alone may stand for itself.
        backends: names of `archsearch.latency.backends.BACKENDS`; empty: the device's default.
        batches: images a run; empty: 1 on a CPU, 8 on a GPU.
        precisions: names of `archsearch.latency.precision.PRECISIONS`; empty: fp32 on a CPU, fp16 on a GPU.
        threads: CPU threads of one run.
        input_size: height and width (pixels); None: each network's own: as printed (224), or the study's.
        num_classes: None: each network's own.
        device: auto, cpu, cuda or cuda:N.
        reference: the network that the others are divided by, named as they are, at the input size and number of
            classes of each group.
        budget_seconds: of a network measured alone, after which no burst begins; a group of n networks has n + 1
            halves of it. None: the protocol's own.
        target: where they run: local, ssh:HOST, command:PROGRAM ARGS or adb:SERIAL (`archsearch.targets`). A board runs
            ONNX Runtime on its CPU, and has no other `device`.
        cores: the board's cores: all, big or little.
        storage: the database that a STUDY is looked up in.
        on_measured: called with each measurement when its group has ended.
        on_progress: see `MeasureProgress`; never called while a run is timed.

    Returns:
        For each backend, batch and precision in the order given, the networks in the order given.

    Raises:
        ConfigError, UnknownNameError, StoreError: something asked for is not there, or does not run on this device.
        BuildError: a network cannot be built at this input size.
        MeasurementError: a network could not be run or timed; no number stands in its place.
    """
    wanted = find_networks(names, storage=storage, input_size=input_size, num_classes=num_classes)
    base = find_network(reference, storage=storage)
    threads = whole(threads, "threads")
    on_board, where = measured_where(target, device, threads=threads, cores=cores)
    wanted_settings = _settings(
        [backends] if isinstance(backends, str) else [*map(str, backends)],
        list(batches) if isinstance(batches, Iterable) else [batches],
        [precisions] if isinstance(precisions, str) else [*map(str, precisions)],
        threads,
        budget_seconds,
        where,
    )
    each = [settings.model_copy(update={"target": target, "cores": cores}) for settings in wanted_settings]
    sizes = list(dict.fromkeys((network.input_size, network.num_classes) for network in wanted))
    groups = len(each) * len(sizes)
    found: dict[tuple[int, int], MeasuredNetwork] = {}
    if on_board is not None:
        for settings in each:
            check_backend(settings)
    with ExitStack() as stack:
        board = None if on_board is None else stack.enter_context(closing(Board(on_board)))
        if board is not None:
            check_cores(board, cores, threads=threads)
        for number, (settings, (size, classes)) in enumerate(product(each, sizes)):
            indices = [
                index for index, one in enumerate(wanted) if (one.input_size, one.num_classes) == (size, classes)
            ]
            progress = MeasureProgress(
                group=number + 1,
                groups=groups,
                networks=len(indices),
                backend=settings.backend,
                batch=settings.batch_on(where),
                precision=settings.precision_on(where),
                device=where if board is None else board.target.name,
                input_size=size,
                seconds=0.0,
            )
            tell = partial(_tell, on_progress, progress, time.monotonic())
            group = [wanted[index] for index in indices]
            measured = _measure_group(group, base.at(size, classes), settings, where, tell, board=board)
            for index, one in zip(indices, measured, strict=True):
                found[number // len(sizes), index] = one
                if on_measured is not None:
                    on_measured(one)
    return MeasuredNetworks(found[key] for key in sorted(found))


def _tell(on_progress: Callable[[MeasureProgress], None] | None, group: MeasureProgress, began: float) -> None:
    """How far a group is now that began then."""
    if on_progress is not None:
        on_progress(replace(group, seconds=time.monotonic() - began))


def _built(network: FoundNetwork) -> nn.Module:
    """Fresh weights: a latency does not depend on them. Raises BuildError."""
    with enough_memory(f"{network.name} cannot be built at {network.input_size}x{network.input_size}"):
        return network.build(seed=0)


def _settings(
    backends: Sequence[str],
    batches: Sequence[int],
    precisions: Sequence[str],
    threads: int,
    budget_seconds: float | None,
    device: str,
) -> list[LatencySettings]:
    """One for each backend, batch and precision, each combination once, all resolved. Raises ConfigError."""
    for batch in batches:
        if whole(batch, "batch") < 1:
            raise ConfigError(f"a batch is at least 1 image, got {batch}")
    check_seconds(budget_seconds, "budget_seconds")
    if budget_seconds is not None and not 0 < budget_seconds <= MOST_SECONDS:
        raise ConfigError(f"budget_seconds {budget_seconds:g}: must be above 0, and at most {MOST_SECONDS:g}")
    usual = LatencySettings(threads=threads)
    if budget_seconds is not None:
        spread = min(usual.spread_seconds, _SPREAD_SHARE * budget_seconds)
        usual = usual.model_copy(update={"budget_seconds": budget_seconds, "spread_seconds": spread})
    wanted: dict[Precision, None] = {}
    for asked in precisions or (usual.precision_on(device),):
        if asked not in PRECISIONS:
            raise UnknownNameError("precision", asked, PRECISIONS)
        wanted[asked] = None
    chosen: dict[str, None] = {}
    for name in backends or (usual.backend,):
        resolved = usual.with_backend(name).backend_on(device)
        for precision in wanted:
            BACKENDS[resolved].check(device, precision)
        chosen[resolved] = None
    sizes = dict.fromkeys([*map(int, batches)] or [usual.batch_on(device)])
    return [
        usual.with_backend(name).model_copy(update={"batch": batch, "precision": precision})
        for name, batch, precision in product(chosen, sizes, wanted)
    ]


def _measure_group(
    networks: Sequence[FoundNetwork],
    reference: FoundNetwork,
    settings: LatencySettings,
    device: str,
    tell: Callable[[], None],
    *,
    board: Board | None,
) -> tuple[MeasuredNetwork, ...]:
    """Build a group, measure it, and give each network its latency."""
    from archsearch.latency.lease import DeviceLease

    tell()
    with DeviceLease.of_device(device).shared():  # building disturbs another process's measurement as training does
        models = [_built(network) for network in networks]
        divisor = _built(reference)

    def rest(seconds: float) -> None:
        """Between two visits: the device is free, so this may be shown."""
        tell()
        time.sleep(seconds)

    version = BACKENDS[settings.backend].version() if board is None else board.facts["onnxruntime"]
    latencies = measure_on(device, board, settings)(
        models,
        divisor,
        names=[network.name for network in networks],
        reference_name=reference.name,
        input_size=reference.input_size,
        sleep=rest,
    )
    return tuple(
        MeasuredNetwork(
            name=network.name,
            spec=network.spec,
            num_classes=network.num_classes,
            latency=latency,
            backend_version=version,
        )
        for network, latency in zip(networks, latencies, strict=True)
    )
