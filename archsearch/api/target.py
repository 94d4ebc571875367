"""What a board is, how steadily it measures, what the line to it costs; and whether several may share measurements."""

from __future__ import annotations

import shlex
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.errors import ConfigError
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import build
from archsearch.models.variants import find_variant
from archsearch.records import Latency
from archsearch.table import Cell, Column, InNotebooks, Table, json_as
from archsearch.targets.board import Board, measure_on_board
from archsearch.targets.pool import PoolCheck, check_pool
from archsearch.targets.transports import parse_target
from archsearch.targets.wire import Have

_NETWORK, _REFERENCE = "shufflenet_v2_x0_5", "shufflenet_v2_x1_0"
_INPUT_SIZE, _CLASSES = 32, 10
_REPEATS = 4
_QUESTIONS = 20
_NAMES = {
    "board": "board",
    "cpu": "processor",
    "cpu_parts": "ARM core types (CPU part)",
    "capacities": "clusters (capacity of each kind of core; 1024 is the fastest)",
    "cores": "cores",
    "governor": "frequency governor",
    "memory_kib": "memory (KiB)",
    "system": "system",
    "machine": "architecture",
    "kernel": "kernel",
    "python": "Python",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
}


class TargetJson(TypedDict):
    """A board: `ratios` and `p10_ms` of each measurement of the one network."""

    target: str
    facts: dict[str, str]
    clock_khz: list[int]
    temperature_millidegrees: list[int]
    throttled: bool | None
    ratios: list[float]
    p10_ms: list[float]
    noise_percent: float
    answer_ms: float
    wire_share: float


@dataclass(frozen=True, kw_only=True)
class TargetCheck(InNotebooks):
    """A board as it was found: an `archsearch.table.Result`.

    Attributes:
        facts: what it says that it is.
        clock_khz, temperature_millidegrees: of its cores and thermal zones; empty: not known.
        throttled: whether it slowed itself down while it measured; None: not known.
        latencies: of one small network, measured several times.
        answer_ms: median time from a question to its answer, which is what the line costs.
        wire_share: share of a visit's time that is not the board's own work (0 to 1).
    """

    target: str
    facts: Mapping[str, str]
    clock_khz: tuple[int, ...]
    temperature_millidegrees: tuple[int, ...]
    throttled: bool | None
    latencies: tuple[Latency, ...]
    answer_ms: float
    wire_share: float
    subtitle: tuple[str, ...] = ()
    method: str = ""
    warnings: tuple[str, ...] = ()
    empty: str | None = None

    @property
    def title(self) -> str:
        """Which target."""
        return f"Target {self.target}"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What to do next."""
        return (f"A measurement there: archsearch measure NAME --target {shlex.quote(self.target)}",)

    @property
    def noise_percent(self) -> float:
        """Largest difference of two of the measured ratios (percent of the smaller)."""
        ratios = [latency.ratio_to_reference for latency in self.latencies]
        return 100.0 * (max(ratios) / min(ratios) - 1.0)

    def tables(self) -> tuple[Table, ...]:
        """One line a fact."""
        clocks, heat = self.clock_khz, self.temperature_millidegrees
        first = self.latencies[0]
        rows: list[tuple[Cell, ...]] = [(words, self.facts.get(key) or "not known") for key, words in _NAMES.items()]
        rows += [
            ("clock (MHz)", f"{min(clocks) // 1000} to {max(clocks) // 1000}" if clocks else "not known"),
            ("temperature (degrees Celsius)", f"{max(heat) / 1000:.0f}" if heat else "not known"),
            ("throttled", "not known" if self.throttled is None else "yes" if self.throttled else "no"),
            (f"{_NETWORK} at {_INPUT_SIZE}x{_INPUT_SIZE}", f"{first.p10_ms:.3f} ms (p10)"),
            (f"its ratio to {_REFERENCE}", f"{first.ratio_to_reference:.3f}"),
            (f"noise: largest difference of {len(self.latencies)} measurements of it", f"{self.noise_percent:.1f} %"),
            ("time from a question to its answer", f"{self.answer_ms:.2f} ms"),
            ("share of a measurement that the line takes", f"{100.0 * self.wire_share:.1f} %"),
        ]  # fmt: skip
        columns = (Column(title="Fact", key="fact"), Column(title="Value", key="value"))
        return (Table(title="", columns=columns, rows=tuple(rows)),)

    def plain(self) -> TargetJson:
        """Plain data for JSON."""
        ratios = [latency.ratio_to_reference for latency in self.latencies]
        return json_as(TargetJson, self, ratios=ratios, p10_ms=[latency.p10_ms for latency in self.latencies])


def target_check(target: str, *, on_step: Callable[[str], None] | None = None) -> TargetCheck:
    """Connect to a board, ask what it is, and measure a small network on it several times.

    Raises ConfigError for a name that is no board's, MeasurementError if it does not answer or lacks something; the
    hint says what installs it.
    """
    tell = on_step or (lambda _step: None)
    found = parse_target(target)
    if found is None:
        raise ConfigError("local is this machine: there is no line to check", hint="archsearch measure NAME")
    tell("connecting")
    with closing(Board(found)) as board:
        line, times = board.connection(), []
        for _ in range(_QUESTIONS):
            began = time.perf_counter()
            line.ask("put", Have, seconds=30.0, sha256="0" * 64)
            times.append(1000.0 * (time.perf_counter() - began))
        network, reference = (
            build(find_variant(name).spec.normalised(_INPUT_SIZE), num_classes=_CLASSES, input_size=_INPUT_SIZE, seed=0)
            for name in (_NETWORK, _REFERENCE)
        )
        settings = LatencySettings(backend="onnxruntime")
        latencies: list[Latency] = []
        for repeat in range(_REPEATS):
            tell(f"measuring, {repeat + 1} of {_REPEATS}")
            latencies += measure_on_board(
                [network], reference, board=board, names=[_NETWORK], reference_name=_REFERENCE, settings=settings,
                input_size=_INPUT_SIZE,
            )  # fmt: skip
        throttled = {latency.state["throttled"] for latency in latencies}
        state = board.hello.state
        return TargetCheck(
            target=target,
            facts=board.facts,
            clock_khz=state.clock_khz,
            temperature_millidegrees=state.temperature_millidegrees,
            throttled=True if "yes" in throttled else False if throttled == {"no"} else None,
            latencies=tuple(latencies),
            answer_ms=statistics.median(times),
            wire_share=statistics.median(float(latency.state["wire_share"]) for latency in latencies),
        )


def target_pool(*targets: str, on_step: Callable[[str], None] | None = None) -> PoolCheck:
    """Measure five networks on each of several boards of one model: whether a study may take them in turn.

    Raises ConfigError for a name that is no board's, and for boards of different models; MeasurementError if one does
    not answer or lacks something.
    """
    settings = LatencySettings(backend="onnxruntime")
    return check_pool(targets, settings, input_size=_INPUT_SIZE, on_step=on_step or (lambda _step: None))
