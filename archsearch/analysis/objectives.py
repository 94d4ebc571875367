"""The objectives that a front can stand on: name, axis title and where the number is found in a record.

Every objective is lower-is-better, so accuracy enters as its error. Directions are settled here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import ConfigError
from archsearch.noise import COVERAGE, LEAST_REPEATS, FloorSource, NoiseFloor
from archsearch.records import Cost, Latency, Record, TrialStatus
from archsearch.registry import Registry
from archsearch.text import count_text, percent_text, significant


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One objective, lower is better.

    Attributes:
        name: as written in a study's YAML.
        title: for an axis or a column, with the unit.
        extract: the value of a record; raises ValueError naming the trial if the record lacks it.
        show: a value as text for people, with its unit.
        difference: text of an improvement from `worse` to `best`, such as "0.31 ms (9.1 %) faster".
    """

    name: str
    title: str
    extract: Callable[[Record], float]
    show: Callable[[float], str]
    difference: Callable[[float, float], str]

    @property
    def short(self) -> str:
        """The title without unit and conditions: `Latency`."""
        return self.title.split(",")[0].split(" (")[0]


def relative_percent(worse: float, best: float) -> float:
    """How far `best` is below `worse`, in percent of `worse`; 0 where `worse` is 0."""
    return 100.0 * (worse - best) / worse if worse else 0.0


def floor_text(floor: NoiseFloor) -> str:
    """A noise floor for people: one share, or those at the smallest and the largest latency that it was learnt from."""
    if floor.growth == 0.0:
        return percent_text(100.0 * floor.relative)
    show = OBJECTIVES["latency_ms"].show
    low, high = (f"{percent_text(100.0 * float(floor.of(ms)))} at {show(ms)}" for ms in (floor.from_ms, floor.to_ms))
    return f"{low} to {high}"


def floor_basis(floor: NoiseFloor) -> str:
    """What a noise floor rests on, for people; empty where somebody gave it, or there is none."""
    times = f"{floor.repeats} network{'' if floor.repeats == 1 else 's'} measured twice"
    if floor.source is FloorSource.REPEATS:
        flagged = f", {floor.flagged} of them flagged" if floor.flagged else ""
        return f"from {times}{flagged}, for {100.0 * COVERAGE:.0f} % of such pairs"
    if floor.source is FloorSource.START:
        return "measured at the study's start, before anything was trained"
    if floor.source is FloorSource.ASSUMED:
        return f"assumed, the protocol's tolerance: {times} so far, {LEAST_REPEATS} are needed"
    return ""


def _latency(record: Record) -> Latency:
    if record.latency is None:
        raise ValueError(f"trial {record.trial} of study '{record.study}' has no latency")
    return record.latency


def _cost(record: Record) -> Cost:
    if record.cost is None:
        raise ValueError(f"trial {record.trial} of study '{record.study}' has no cost")
    return record.cost


def _points_more_accurate(worse: float, best: float) -> str:
    return f"{worse - best:.2f} points more accurate"


def _milliseconds_faster(worse: float, best: float) -> str:
    return f"{significant(worse - best, 2)} ms ({percent_text(relative_percent(worse, best))}) faster"


def _fewer(what: str) -> Callable[[float, float], str]:
    return lambda worse, best: (
        f"{count_text(worse - best)} ({percent_text(relative_percent(worse, best))}) fewer {what}"
    )


OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    {
        "error_percent": Objective(
            name="error_percent",
            title="Validation top-1 error (%)",
            extract=lambda record: record.error_percent,
            show=lambda value: f"{value:.2f} %",
            difference=_points_more_accurate,
        ),
        "balanced_error_percent": Objective(
            name="balanced_error_percent",
            title="Validation error, mean over the classes (%)",
            extract=lambda record: record.balanced_error_percent,
            show=lambda value: f"{value:.2f} %",
            difference=_points_more_accurate,
        ),
        "latency_ms": Objective(
            name="latency_ms",
            title="Latency, drift-corrected p10 (ms)",
            extract=lambda record: _latency(record).corrected_ms,
            show=lambda value: f"{significant(value)} ms",
            difference=_milliseconds_faster,
        ),
        "params": Objective(
            name="params",
            title="Params",
            extract=lambda record: float(_cost(record).params),
            show=count_text,
            difference=_fewer("params"),
        ),
        "macs": Objective(
            name="macs",
            title="MACs",
            extract=lambda record: float(_cost(record).macs),
            show=count_text,
            difference=_fewer("MACs"),
        ),
    },
)


def resolve_objectives(names: Sequence[str]) -> tuple[Objective, ...]:
    """The objectives of these names. Raises UnknownNameError, or ConfigError for a name given twice."""
    if len(set(names)) != len(names):
        raise ConfigError(f"objectives: a name is given twice: {', '.join(names)}", hint="name each objective once")
    return tuple(OBJECTIVES[name] for name in names)


def objective_values(records: Sequence[Record], names: Sequence[str]) -> NDArray[np.float64]:
    """The objectives of the records, (n records, m names), lower is better.

    Raises UnknownNameError for an unknown objective, ValueError naming the trial whose record lacks one.
    """
    chosen = resolve_objectives(names)
    rows = [[objective.extract(record) for objective in chosen] for record in records]
    return np.array(rows, dtype=np.float64).reshape(len(records), len(chosen))


def is_complete(record: Record) -> bool:
    """Whether the trial ended with a cost, a latency and a score: only such records reach a front."""
    return (
        record.status is TrialStatus.COMPLETE
        and record.cost is not None
        and record.latency is not None
        and record.score is not None
    )
