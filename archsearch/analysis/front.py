"""The front of a study: its complete records, which of them nothing dominates, and under which conditions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ConfigDict
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.analysis.conditions import (
    RecordConditions,
    batch_sentence,
    condition_warnings,
    conditions_of,
    mean_text,
)
from archsearch.analysis.objectives import (
    OBJECTIVES,
    complete_values,
    cost_of,
    floor_text,
    latency_of,
    resolve_objectives,
    score_of,
)
from archsearch.analysis.pareto import Noisy, hypervolume, knee, non_dominated
from archsearch.errors import ConfigError
from archsearch.limits import GUIDELINES
from archsearch.noise import NO_FLOOR, NoiseFloor
from archsearch.records import Cost, Latency, Record, Score, StudyBatch, TrialStatus
from archsearch.table import ARCH_ID, LATENCY, TOP1, TRIAL, Column, Marked, Table, notebook_block, paragraphs, table_of
from archsearch.text import first_of, percent_text, plural

DEFAULT_OBJECTIVES = ("error_percent", "latency_ms")
_HIGH_FLOOR = 0.10  # networks of one width often differ by less
MEASURED_OBJECTIVE = "latency_ms"  # the one that differs when measured again
_LATENCY_NOTE = "Latency: 10th percentile, drift-corrected; p10, median, p90: uncorrected (docs/latency.md)."


@dataclass(frozen=True, kw_only=True)
class FrontRow:
    """One complete record, its objective values in the front's order, and whether nothing dominates it."""

    record: Record
    values: tuple[float, ...]
    on_front: bool

    def __str__(self) -> str:
        return str(self.record)

    @property
    def cost(self) -> Cost:
        """Of the record."""
        return cost_of(self.record)

    @property
    def latency(self) -> Latency:
        """Of the record."""
        return latency_of(self.record)

    @property
    def score(self) -> Score:
        """Of the record."""
        return score_of(self.record)


def distinct(rows: Iterable[FrontRow]) -> list[FrontRow]:
    """One row a network, that of the lowest trial."""
    found: dict[str, FrontRow] = {}
    for row in sorted(rows, key=lambda row: row.record.trial):
        found.setdefault(row.record.arch_id, row)
    return list(found.values())


@dataclass(frozen=True, kw_only=True)
class Front:
    """The complete records of a study against its objectives, each lower-is-better.

    Attributes:
        objectives: names, in the order of every `values` and of the reference point.
        rows: every complete record, sorted by latency (then by the objectives, then by trial).
        reference_point: the study's fixed corner of the hypervolume; None if it has none.
        noise_floor: the study's: latencies that differ by less are ties (`pareto.non_dominated`). Without one every
            difference counts.
        hypervolume: of all rows as measured, in the product of the objectives' units: one more network never lowers
            it, as that of the members could, where it takes the place of a faster one that is a tie with it. None
            without a reference point.
        hypervolume_share: the hypervolume as a share of the box between zero and the reference point, in [0, 1]:
            zero error at zero cost would be 1. None without a reference point.
        latency_batch: the study's batch, and whether networks of different width differ in it; None where nobody asked.
        conditions: the distinct conditions of the complete records.
        statuses: how many records of each status there were, complete or not.
        unusable: records that count as complete but lack a cost, latency or score, or hold a value that is not
            finite; they are in no row, and a warning names them.
    """

    objectives: tuple[str, ...]
    rows: tuple[FrontRow, ...]
    reference_point: tuple[float, ...] | None
    noise_floor: NoiseFloor
    latency_batch: StudyBatch | None
    hypervolume: float | None
    hypervolume_share: float | None
    conditions: RecordConditions
    statuses: Mapping[str, int]
    unusable: tuple[Record, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        said = (self.volume_text, self.ties_text, *self.warnings)
        return "\n".join([self._title, str(networks_table(self.members, title="")), *filter(None, said)])

    @property
    def _title(self) -> str:
        return f"Front: {self.networks_text}"

    @property
    def networks_text(self) -> str:
        """How many networks are on it, of how many; one with two names is one: `2 of 12 networks`."""
        return f"{len(distinct(self.members))} of {plural(len(distinct(self.rows)), 'network')}"

    def _repr_html_(self) -> str:
        members = networks_table(self.members, title="")
        return notebook_block(
            self._title, members.notebook(), paragraphs(self.volume_text, self.ties_text, *self.warnings)
        )

    @property
    def members(self) -> tuple[FrontRow, ...]:
        """The rows on the front, sorted by latency."""
        return tuple(row for row in self.rows if row.on_front)

    @property
    def noisy(self) -> Noisy | None:
        """The objective in which differences below the noise floor are ties; None if there is none."""
        return noisy_latency(self.objectives, self.noise_floor)

    @property
    def statuses_text(self) -> str:
        """How many records of each status there were; empty without any."""
        return ", ".join(f"{count:,} {status}" for status, count in sorted(self.statuses.items()))

    @property
    def volume_text(self) -> str:
        """The hypervolume, and the box that it is a share of; empty without a reference point."""
        if self.hypervolume is None or self.hypervolume_share is None or self.reference_point is None:
            return ""
        return (
            f"hypervolume {self.hypervolume_share:.3f} of 1 (reference point: "
            f"{corner_text(self.objectives, self.reference_point)})"
        )

    @property
    def ties_text(self) -> str:
        """From which difference on latencies differ; empty where every difference counts."""
        return f"noise floor {floor_text(self.noise_floor)}: closer latencies are ties" if self.noise_floor.ties else ""

    def row_of(self, record: Record) -> FrontRow | None:
        """The record's row; where it has none, that of an equal network."""
        own = [row for row in self.rows if row.record.trial == record.trial]
        equal = [row for row in self.rows if row.record.arch_id == record.arch_id]
        return next(iter(own or equal), None)

    @property
    def knee(self) -> FrontRow | None:
        """The front's knee; None where it has none (see `pareto.knee`)."""
        found = knee([row.values for row in self.members]) if self.members else None
        return None if found is None else self.members[found]


def front_of(
    records: Sequence[Record],
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    reference_point: Sequence[float] | None = None,
    *,
    noise_floor: NoiseFloor | float = NO_FLOOR,
    latency_batch: StudyBatch | None = None,
) -> Front:
    """The front of these records.

    Args:
        records: of any status; only complete ones become rows.
        objectives: 2 or 3 names of OBJECTIVES.
        reference_point: one value for each objective, in that order and in its unit, positive and finite.
        noise_floor: the difference of two latencies from which on they differ; a number is a share (0.018: 1.8%).
        latency_batch: the study's, if it was found out.

    Raises ConfigError for unknown or repeated objectives, for other than 2 or 3 of them, and for a reference point
    that does not fit them.
    """
    floor = NoiseFloor.given(noise_floor)
    corner = checked_reference(objectives, reference_point)
    finished = [record for record in records if record.status is TrialStatus.COMPLETE]
    kept, values = complete_values(finished, objectives)
    in_use = {id(record) for record in kept}
    unusable = tuple(record for record in finished if id(record) not in in_use)
    mask = non_dominated(values, noisy_latency(objectives, floor))
    rows = [
        FrontRow(record=record, values=tuple(row), on_front=bool(on_front))
        for record, row, on_front in zip(kept, values.tolist(), mask, strict=True)
    ]
    rows.sort(key=lambda row: (row.latency.corrected_ms, row.values, row.record.trial))
    conditions = conditions_of(kept)
    volume = None if corner is None else hypervolume(values, corner)
    warnings = list(condition_warnings([row.record for row in rows], conditions))
    if unusable:
        listed = first_of([record.label for record in unusable], 8)
        warnings.append(f"left out, because a value is missing or not finite: {listed}")
    if floor.relative > _HIGH_FLOOR and rows:
        warnings.append(
            f"the study's noise floor is {floor_text(floor)}: latencies closer than that are ties; " + _remedy(floor)
        )
    if latency_batch is not None and latency_batch.on_launch_floor and rows:
        warnings.append(batch_sentence(latency_batch))
    if volume == 0.0 and rows:
        warnings.append("every point lies beyond the reference point, so the hypervolume is 0")
    return Front(
        objectives=tuple(objectives),
        rows=tuple(rows),
        reference_point=corner,
        noise_floor=floor,
        latency_batch=latency_batch,
        hypervolume=volume,
        hypervolume_share=None if corner is None or volume is None else volume / math.prod(corner),
        conditions=conditions,
        statuses=dict(Counter(record.status.value for record in records)),
        unusable=unusable,
        warnings=tuple(warnings),
    )


def _remedy(floor: NoiseFloor) -> str:
    """What makes a noise floor smaller."""
    rest = floor.without_widest
    if rest is None or rest > floor.relative / 2.0:
        return "a quieter machine or more bursts (latency.bursts) would tell them apart"
    few = ", and so few leave it larger than any difference" if floor.relative > floor.widest else ""
    without = floor_text(replace(floor, relative=rest))
    return (
        f"it rests on one of {floor.repeats} networks measured twice, whose latencies differ by "
        f"{percent_text(100.0 * floor.widest)} (without it the floor is {without}){few}; "
        "more trials with run --set latency.repeat_every=1, each complete one measured twice, tell how rare that is"
    )


OPEN = ConfigDict(extra="allow")  # of a TypedDict: its schema allows further keys


class NetworkJson(TypedDict):
    """One complete network of a study; `seed` is null where its numbers are the means of a design's seeds.

    Further keys: `guideline.NAME`, `choice.NAME` and, by further backends, `also.BACKEND.p10_ms` and so on.
    """

    __pydantic_config__ = OPEN  # type: ignore[misc]

    trial: int
    variant: str | None
    on_front: bool
    arch_id: str
    top1_percent: float
    error_percent: float
    balanced_error_percent: float | None
    latency_ms: float
    p10_ms: float
    median_ms: float
    p90_ms: float
    n_runs: int
    converged: bool
    ratio_to_reference: float
    ratio_low: float | None
    ratio_high: float | None
    reference: str
    reference_p10_ms: float
    drift: float | None
    attempts: int
    contended: bool
    params: int
    macs: int
    memory_bytes: int | None
    macs_not_counted: str | None
    epochs: int
    seed: int | None
    split: str
    train_images: int
    protocol: str
    device: str
    backend: str
    batch: int
    threads: int
    precision: str
    input_size: int
    fingerprint: str


def front_rows(front: Front, *, only_front: bool = False) -> list[dict[str, Any]]:
    """Everything of each complete record, or of the front alone, for programs: sorted by latency.

    The columns are the same in every row: the measurements with their conditions, those by further backends as
    `also.BACKEND.p10_ms` and so on, then every choice that any of the records has as `choice.NAME`; None where a
    record lacks it.
    """
    rows = front.members if only_front else front.rows
    names = sorted({name for row in rows for name in row.record.choices})
    backends = further_backends([row.record for row in rows])
    return [_plain_row(row, names, backends) for row in rows]


def further_backends(records: Sequence[Record]) -> tuple[str, ...]:
    """The backends that any of the records was measured by beside the one that ranks, sorted."""
    return tuple(
        sorted({other.by for record in records if record.latency is not None for other in record.latency.also})
    )


def latency_by(record: Record, backend: str) -> Latency | None:
    """The record's latency by a further backend; None if it was not measured by it."""
    others = () if record.latency is None else record.latency.also
    return next((other for other in others if other.by == backend), None)


# of a latency, by a further backend too
_FURTHER = ("p10_ms", "median_ms", "p90_ms", "ratio_to_reference", "converged", "fingerprint")


def _plain_row(row: FrontRow, choice_names: Sequence[str], backends: Sequence[str]) -> dict[str, Any]:
    record, cost, latency, score = row.record, row.cost, row.latency, row.score

    def of(part: object, *names: str) -> dict[str, Any]:
        return {name: getattr(part, name) for name in names}

    return {
        **of(record, "trial", "variant"),
        "on_front": row.on_front,
        "arch_id": record.arch_id,
        "top1_percent": score.top1_percent,
        "error_percent": record.error_percent,
        "balanced_error_percent": None if score.balanced_top1_percent is None else record.balanced_error_percent,
        "latency_ms": latency.corrected_ms,
        **of(latency, "p10_ms", "median_ms", "p90_ms"),
        "n_runs": latency.n,
        **of(latency, "converged", "ratio_to_reference", "ratio_low", "ratio_high", "reference", "reference_p10_ms"),
        **of(latency, "drift", "attempts", "contended"),
        **of(cost, "params", "macs", "memory_bytes"),
        **{f"guideline.{name}": cost.guidelines.get(name) for name in GUIDELINES},
        "macs_not_counted": " ".join(f"{name}:{times}" for name, times in sorted(cost.unsupported_ops.items())) or None,
        **of(score, "epochs"),
        "seed": None if mean_text(record) else score.seed,
        **of(score, "split", "train_images", "protocol"),
        **of(latency, "device", "backend", "batch", "threads", "precision", "input_size", "fingerprint"),
        **{
            f"also.{backend}.{name}": getattr(latency_by(record, backend), name, None)
            for backend in backends
            for name in _FURTHER
        },
        **{f"choice.{name}": record.choices.get(name) for name in choice_names},
    }


def networks_table(
    rows: Sequence[FrontRow],
    *,
    title: str,
    recommended: int | None = None,
    flagged: Collection[str] = (),
    numbers: Mapping[int, int] | None = None,
    wide: bool = False,
) -> Table:
    """Complete networks for people; `front_rows` has all of them for programs.

    Args:
        recommended: trial of the network to take, which is marked.
        flagged: `arch_id` of networks whose latency is in doubt, beside those that did not converge or were contended.
        numbers: of trials that have one in the figure.
        wide: whether only pages show the table.
    """
    every = all(row.on_front for row in rows)  # then the title says so

    def is_recommended(row: FrontRow) -> bool:
        return row.record.trial == recommended

    def doubtful(row: FrontRow) -> bool:
        return row.record.arch_id in flagged or not row.latency.converged or row.latency.contended

    marks = (
        ("*: recommended", any(map(is_recommended, rows))),
        ("?: latency in doubt (not converged, flagged, or measured beside other work)", any(map(doubtful, rows))),
        ("+: not every operator was counted", any(row.cost.unsupported_ops for row in rows)),
    )
    legend = "; ".join(mark for mark, occurs in marks if occurs)

    return table_of(
        title,
        rows,
        (Column(title="#", key="number", decimals=0, wide=True), lambda row: (numbers or {}).get(row.record.trial)),
        (TRIAL, lambda row: row.record.trial),
        (
            Column(title="Network", whole=True),
            lambda row: Marked(row.record.variant or row.record.arch_id, " *" if is_recommended(row) else ""),
        ),
        *([] if every else [(Column(title="On the front", key="on_front"), lambda row: row.on_front)]),
        (TOP1, lambda row: row.score.top1_percent),
        (LATENCY, lambda row: Marked(row.latency.corrected_ms, "?" if doubtful(row) else "")),
        (Column(title="p10", key="p10_ms", unit="ms", decimals=3, wide=True), lambda row: row.latency.p10_ms),
        (Column(title="Median", key="median_ms", unit="ms", decimals=3), lambda row: row.latency.median_ms),
        (Column(title="p90", key="p90_ms", unit="ms", decimals=3, wide=True), lambda row: row.latency.p90_ms),
        (Column(title="Runs", key="n_runs", decimals=0, wide=True), lambda row: row.latency.n),
        *(
            (
                Column(title=f"p10 by {name}", key=f"also.{name}.p10_ms", unit="ms", decimals=3, wide=True),
                lambda row, name=name: other.p10_ms if (other := latency_by(row.record, name)) else None,
            )
            for name in further_backends([row.record for row in rows])
        ),
        (Column(title="Params", decimals=0), lambda row: row.cost.params),
        (Column(title="MACs", decimals=0), lambda row: Marked(row.cost.macs, "+" if row.cost.unsupported_ops else "")),
        (ARCH_ID, lambda row: row.record.arch_id if row.record.variant else None),  # else it is the name
        note=f"{legend}. {_LATENCY_NOTE}" if legend else _LATENCY_NOTE,
        marked=is_recommended,
        wide=wide,
    )


def corner_text(objectives: Sequence[str], point: Sequence[float]) -> str:
    """A reference point for people: `90 % error, 1.89 ms`."""
    return ", ".join(
        f"{value:g} % error" if name == "error_percent" else OBJECTIVES[name].called(value)
        for name, value in zip(objectives, point, strict=True)
    )


def noisy_latency(objectives: Sequence[str], noise_floor: NoiseFloor) -> Noisy | None:
    """The latency as the objective in which small differences are ties; None if there are no ties."""
    if not noise_floor.ties or MEASURED_OBJECTIVE not in objectives:
        return None
    return Noisy(list(objectives).index(MEASURED_OBJECTIVE), noise_floor)


def checked_reference(
    objectives: Sequence[str], point: Sequence[float] | None, *, of: str = "a front"
) -> tuple[float, ...] | None:
    """The reference point, if there is one. Raises as `front_of` does."""
    if len(resolve_objectives(objectives)) not in (2, 3):
        raise ConfigError(f"objectives: 2 or 3 are needed for {of}, got {len(objectives)}: {', '.join(objectives)}")
    if point is None:
        return None
    if len(point) != len(objectives):
        raise ConfigError(
            f"reference_point: one value for each of {', '.join(objectives)} is needed, got {list(point)}"
        )
    corner = tuple(float(value) for value in point)
    if not all(math.isfinite(value) and value > 0 for value in corner):
        raise ConfigError(f"reference_point: positive finite values are needed, got {list(corner)}")
    return corner
