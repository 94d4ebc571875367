"""Frozen records from and to rows. Reading takes columns, not objects of the ORM: those cost most of the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Row, Select, select

from archsearch.designs import Design
from archsearch.records import Cost, EarlyStop, Epoch, Latency, Phases, Record, Score, TrialStatus
from archsearch.store.designs import point_of
from archsearch.store.schema import LatencyRow, TrainingRow, TrialRow, utc_now

EARLY_STOP, PHASES = "early_stop", "phases"  # keys of TrainingRow.details
_LATENCY_COLUMNS = ("fingerprint", "p10_ms", "median_ms", "p90_ms")
_TRAINING_COLUMNS = ("protocol", "split", "epochs", "seed", "top1_percent")
_LATENCY_FIELDS = frozenset(field.name for field in fields(Latency))
_EARLY_STOP_FIELDS = frozenset(field.name for field in fields(EarlyStop))
_PHASES_FIELDS = frozenset(field.name for field in fields(Phases))


def latency_to_row(latency: Latency, arch_id: str) -> LatencyRow:
    """A latency as a row; fields without a column of their own go into `details`."""
    facts = asdict(latency)
    columns = {name: facts.pop(name) for name in _LATENCY_COLUMNS}
    return LatencyRow(arch_id=arch_id, details=facts, measured_at=utc_now(), **columns)


def change_latency(row: LatencyRow, latency: Latency) -> None:
    """Make a row the latency that was measured later, of the same network."""
    facts = asdict(latency)
    for name in _LATENCY_COLUMNS:
        setattr(row, name, facts.pop(name))
    row.details, row.measured_at = facts, utc_now()


def score_to_row(score: Score, study_id: int, arch_id: str) -> TrainingRow:
    """A score as a row, its curve apart from the rest so that it is read only when wanted."""
    facts = asdict(score)
    curve = list(facts.pop("curve"))
    columns = {name: facts.pop(name) for name in _TRAINING_COLUMNS}
    return TrainingRow(study_id=study_id, arch_id=arch_id, details=facts, curve=curve, **columns)


def row_to_score(row: TrainingRow, *, with_curve: bool) -> Score:
    """The frozen score of a row; its curve is empty unless asked for."""
    columns = tuple(getattr(row, name) for name in _TRAINING_COLUMNS)
    return _score(columns, row.details, row.curve if with_curve else ())


def curve_of(points: list[Any] | tuple[Any, ...]) -> tuple[Epoch, ...]:
    """A stored learning curve."""
    return tuple(Epoch(**point) for point in points)


_TRIAL = (
    TrialRow.number,
    TrialRow.arch_id,
    TrialRow.family,
    TrialRow.choices,
    TrialRow.suggested,
    TrialRow.status,
    TrialRow.variant,
    TrialRow.reason,
    TrialRow.cost,
    TrialRow.seconds,
)
_LATENCY = (*(getattr(LatencyRow, name) for name in _LATENCY_COLUMNS), LatencyRow.details)
_TRAINING = (*(getattr(TrainingRow, name) for name in _TRAINING_COLUMNS), TrainingRow.details)
_LATENCY_AT = len(_TRIAL)
_TRAINING_AT = _LATENCY_AT + len(_LATENCY)
_CURVE_AT = _TRAINING_AT + len(_TRAINING)


def record_query(study_id: int, *, with_curves: bool) -> Select[Any]:
    """The columns that `record_of` takes, of every trial of a study that has a number, in order of number."""
    columns = (*_TRIAL, *_LATENCY, *_TRAINING, *((TrainingRow.curve,) if with_curves else ()))
    return (
        select(*columns)
        .outerjoin(LatencyRow, LatencyRow.id == TrialRow.latency_id)
        .outerjoin(TrainingRow, TrainingRow.id == TrialRow.training_id)
        .where(TrialRow.study_id == study_id, TrialRow.number.is_not(None))
        .order_by(TrialRow.number)
    )


def record_of(row: Row[Any], study: str, design: Design | None = None) -> Record:
    """The record of one row of `record_query`; `design` is the study's, if it has one."""
    number, arch_id, family, choices, suggested, status, variant, reason, cost, seconds = row[:_LATENCY_AT]
    latency, training = row[_LATENCY_AT:_TRAINING_AT], row[_TRAINING_AT:_CURVE_AT]
    curve = row[_CURVE_AT] if len(row) > _CURVE_AT else None
    trained = training[-1] is not None
    early_stop = training[-1].get(EARLY_STOP) if trained else None
    phases = training[-1].get(PHASES) if trained else None
    point = None if design is None else point_of(variant, design)
    if design is not None:
        variant = None if point is None else point.variant
    return Record(
        study=study,
        trial=number,
        arch_id=arch_id or "",
        family=family or "",
        choices=choices or {},
        suggested=suggested or {},
        status=TrialStatus(status),
        variant=variant,
        reason=reason,
        cost=None if cost is None else Cost(**cost),
        latency=None if latency[-1] is None else _latency(latency[:-1], latency[-1]),
        score=_score(training[:-1], training[-1], curve or ()) if trained else None,
        early_stop=None if early_stop is None else _early_stop(early_stop),
        seconds=seconds,
        point=None if point is None else point.name,
        phases=None if phases is None else _phases(phases),
    )


def _latency(columns: tuple[Any, ...], details: Mapping[str, Any]) -> Latency:
    facts = {**details, **dict(zip(_LATENCY_COLUMNS, columns, strict=True))}
    if facts.get("also") or not _LATENCY_FIELDS.issuperset(facts):
        return Latency.from_dict(facts)
    return Latency(**{**facts, "also": ()})


def _score(columns: tuple[Any, ...], details: Mapping[str, Any], curve: list[Any] | tuple[Any, ...]) -> Score:
    return Score.from_dict({**details, **dict(zip(_TRAINING_COLUMNS, columns, strict=True))}, curve_of(curve))


def _early_stop(facts: Mapping[str, Any]) -> EarlyStop:
    return EarlyStop(**{key: value for key, value in facts.items() if key in _EARLY_STOP_FIELDS})


def _phases(facts: Mapping[str, Any]) -> Phases:
    return Phases(**{key: value for key, value in facts.items() if key in _PHASES_FIELDS})
