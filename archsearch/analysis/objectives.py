"""The objectives that a front can stand on: name, axis title and where the number is found in a record.

Every objective is lower-is-better, so accuracy enters as its error. Directions are settled here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from archsearch.analysis.intervals import Floats
from archsearch.errors import ConfigError
from archsearch.noise import COVERAGE, LEAST_REPEATS, FloorSource, NoiseFloor
from archsearch.records import Cost, Latency, Record, Score, TrialStatus
from archsearch.registry import Registry
from archsearch.text import accurate_text, amount_text, count_text, percent_text, plural, significant

Part = TypeVar("Part", Cost, Latency, Score)
ERRORS = ("error_percent", "balanced_error_percent")  # the objectives that are rates: all others act by factors


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One objective, lower is better.

    Attributes:
        name: as written in a study's YAML.
        title: for an axis or a column, with the unit.
        noun: what a value is called behind its number; "" where its unit says it.
        extract: the value of a record; raises ValueError naming the trial if the record lacks it.
        show: a value as text for people, with its unit.
        difference: text of an improvement from `worse` to `best`, such as "0.31 ms (9.1 %) faster".
        than: what a network has whose value is lower, and higher: "faster", "slower".
    """

    name: str
    title: str
    noun: str = ""
    extract: Callable[[Record], float]
    show: Callable[[float], str]
    difference: Callable[[float, float], str]
    than: tuple[str, str]

    @property
    def short(self) -> str:
        """The title without unit and conditions: `Latency`."""
        return self.title.split(",")[0].split(" (")[0]

    def called(self, value: float) -> str:
        """A value as text that says what it is of, beside others: `0.31 ms`, `2.28 M params`."""
        return f"{self.show(value)} {self.noun}".rstrip()


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
    times = f"{plural(floor.repeats, 'network')} measured twice"
    if floor.source is FloorSource.REPEATS:
        flagged = f", {floor.flagged} of them flagged" if floor.flagged else ""
        return f"from {times}{flagged}, for {100.0 * COVERAGE:.0f} % of such pairs"
    if floor.source is FloorSource.START:
        return "measured at the study's start, before anything was trained"
    if floor.source is FloorSource.ASSUMED:
        return f"assumed, the protocol's tolerance: {times} so far, {LEAST_REPEATS} are needed"
    return ""


def latency_of(record: Record) -> Latency:
    """The record's latency. Raises ValueError naming the trial if it has none, as the next two do."""
    return _known(record.latency, "latency", record)


def cost_of(record: Record) -> Cost:
    """The record's cost."""
    return _known(record.cost, "cost", record)


def score_of(record: Record) -> Score:
    """The record's score."""
    return _known(record.score, "score", record)


def _known(part: Part | None, what: str, record: Record) -> Part:
    if part is None:
        raise ValueError(f"trial {record.trial} of study '{record.study}' has no {what}")
    return part


def _by_factors(amount: Callable[[float], str], than: tuple[str, str], **facts: Any) -> Objective:
    """An objective whose improvements are told as an amount, and beside it in percent."""

    def difference(worse: float, best: float) -> str:
        return f"{amount(worse - best)} ({percent_text(relative_percent(worse, best))}) {than[0]}"

    return Objective(difference=difference, than=than, **facts)


OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    {
        each.name: each
        for each in (
            Objective(
                name="error_percent",
                title="Validation top-1 error (%)",
                noun="error",
                extract=lambda record: record.error_percent,
                show=lambda value: f"{value:.2f} %",
                difference=lambda worse, best: accurate_text(worse - best)[0],
                than=("less error", "more error"),
            ),
            Objective(
                name="balanced_error_percent",
                title="Validation balanced error, mean over the classes (%)",
                noun="balanced error",
                extract=lambda record: record.balanced_error_percent,
                show=lambda value: f"{value:.2f} %",
                difference=lambda worse, best: f"{amount_text(worse - best, decimals=2)} points less balanced error",
                than=("less balanced error", "more balanced error"),
            ),
            _by_factors(
                lambda value: f"{significant(value, 2)} ms",
                ("faster", "slower"),
                name="latency_ms",
                title="Latency, drift-corrected p10 (ms)",
                extract=lambda record: latency_of(record).corrected_ms,
                show=lambda value: f"{significant(value)} ms",
            ),
            _by_factors(
                count_text,
                ("fewer params", "more params"),
                name="params",
                title="Params",
                noun="params",
                extract=lambda record: float(cost_of(record).params),
                show=count_text,
            ),
            _by_factors(
                count_text,
                ("fewer MACs", "more MACs"),
                name="macs",
                title="MACs",
                noun="MACs",
                extract=lambda record: float(cost_of(record).macs),
                show=count_text,
            ),
        )
    },
)


def resolve_objectives(names: Sequence[str]) -> tuple[Objective, ...]:
    """The objectives of these names. Raises UnknownNameError, or ConfigError for a name given twice."""
    if len(set(names)) != len(names):
        raise ConfigError(f"objectives: a name is given twice: {', '.join(names)}", hint="name each objective once")
    return tuple(OBJECTIVES[name] for name in names)


def objective_values(records: Sequence[Record], names: Sequence[str]) -> Floats:
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


def complete_values(records: Iterable[Record], names: Sequence[str]) -> tuple[list[Record], Floats]:
    """The complete records of which every objective is finite, and their objectives, (n records, m names).

    Raises as `objective_values` does.
    """
    complete = [record for record in records if is_complete(record)]
    values = objective_values(complete, names)
    finite = np.flatnonzero(np.isfinite(values).all(axis=1))
    return [complete[index] for index in finite], values[finite]
