"""The front of a study: its complete records, which of them nothing dominates, and under which conditions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from archsearch.analysis.conditions import RecordConditions, batch_sentence, condition_warnings, conditions_of
from archsearch.analysis.objectives import floor_text, is_complete, objective_values, resolve_objectives
from archsearch.analysis.pareto import Noisy, hypervolume, knee, non_dominated
from archsearch.errors import ConfigError
from archsearch.noise import NO_FLOOR, NoiseFloor
from archsearch.records import Record, StudyBatch, TrialStatus

DEFAULT_OBJECTIVES = ("error_percent", "latency_ms")
_HIGH_FLOOR = 0.10  # networks of one width often differ by less
MEASURED_OBJECTIVE = "latency_ms"  # the one that differs when measured again


@dataclass(frozen=True, kw_only=True)
class FrontRow:
    """One complete record, its objective values in the front's order, and whether nothing dominates it."""

    record: Record
    values: tuple[float, ...]
    on_front: bool


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
        warnings: sentences to show beside the front.
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

    def _repr_html_(self) -> str:
        from archsearch.analysis.display import html_of

        return html_of(self)

    @property
    def members(self) -> tuple[FrontRow, ...]:
        """The rows on the front, sorted by latency."""
        return tuple(row for row in self.rows if row.on_front)

    @property
    def noisy(self) -> Noisy | None:
        """The objective in which differences below the noise floor are ties; None if there is none."""
        return noisy_latency(self.objectives, self.noise_floor)

    @property
    def knee(self) -> FrontRow | None:
        """The front's knee; None where it has none (see `pareto.knee`)."""
        members = self.members
        found = knee([row.values for row in members]) if members else None
        return None if found is None else members[found]


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
    chosen = resolve_objectives(objectives)
    if len(chosen) not in (2, 3):
        raise ConfigError(f"objectives: 2 or 3 are needed for a front, got {len(chosen)}: {', '.join(objectives)}")
    corner = _checked_reference(reference_point, objectives)
    finished = [record for record in records if record.status is TrialStatus.COMPLETE]
    complete = [record for record in finished if is_complete(record)]
    found = objective_values(complete, objectives)
    finite = np.asarray(np.isfinite(found).all(axis=1), dtype=np.bool_)
    values, kept = found[finite], [record for record, good in zip(complete, finite, strict=True) if good]
    in_use = {id(record) for record in kept}
    unusable = tuple(record for record in finished if id(record) not in in_use)
    mask = non_dominated(values, noisy_latency(objectives, floor))
    rows = [
        FrontRow(record=record, values=tuple(row), on_front=bool(on_front))
        for record, row, on_front in zip(kept, values.tolist(), mask, strict=True)
    ]
    rows.sort(key=lambda row: (_latency_ms(row.record), row.values, row.record.trial))
    conditions = conditions_of(kept)
    volume = None if corner is None else hypervolume(values, corner)
    warnings = list(condition_warnings([row.record for row in rows], conditions))
    if unusable:
        listed = ", ".join(record.label for record in unusable[:8]) + (", ..." if len(unusable) > 8 else "")
        warnings.append(f"left out, because a value is missing or not finite: {listed}")
    if floor.relative > _HIGH_FLOOR and rows:
        warnings.append(
            f"the study's noise floor is {floor_text(floor)}: latencies closer than that are ties; "
            "a quieter machine or more bursts (latency.bursts) would tell them apart"
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


def noisy_latency(objectives: Sequence[str], noise_floor: NoiseFloor) -> Noisy | None:
    """The latency as the objective in which small differences are ties; None if there are no ties."""
    if not noise_floor.ties or MEASURED_OBJECTIVE not in objectives:
        return None
    return Noisy(list(objectives).index(MEASURED_OBJECTIVE), noise_floor)


def _latency_ms(record: Record) -> float:
    return record.latency.corrected_ms if record.latency is not None else math.inf


def _checked_reference(point: Sequence[float] | None, objectives: Sequence[str]) -> tuple[float, ...] | None:
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
