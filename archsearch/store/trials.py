"""Trials as records: written step by step, read as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import defer, joinedload

from archsearch.records import Cost, Epoch, Latency, Record, Score, TrialStatus
from archsearch.store.database import Database
from archsearch.store.running import lock_running
from archsearch.store.schema import LatencyRow, StudyRow, TrainingRow, TrialRow, utc_now

_LATENCY_COLUMNS = ("fingerprint", "p10_ms", "median_ms", "p90_ms")
_TRAINING_COLUMNS = ("protocol", "split", "epochs", "seed", "top1_percent")


def note_suggestion(database: Database, row_id: int, *, number: int, suggested: Mapping[str, Any] | None) -> None:
    """Store which Optuna trial a place has become, and what was suggested (None: a point outside the space)."""
    with database.writing() as session:
        session.execute(
            update(TrialRow)
            .where(TrialRow.id == row_id)
            .values(number=number, suggested=None if suggested is None else dict(suggested))
        )


def note_architecture(
    database: Database, row_id: int, *, family: str, arch_id: str, choices: Mapping[str, Any]
) -> tuple[str, int] | None:
    """Store the architecture of a running trial, unless an earlier trial of the study has the same one.

    Returns that trial's status and number instead: complete, failed or rejected (it need not be evaluated twice), or
    running (another worker is at it). The test and the write are one transaction, so two workers never both go ahead.
    """
    with database.writing() as session:
        row = session.get_one(TrialRow, row_id)
        session.get_one(StudyRow, row.study_id, with_for_update=True)
        row.family, row.arch_id, row.choices = family, arch_id, dict(choices)
        equal = session.scalar(
            select(TrialRow)
            .where(
                TrialRow.study_id == row.study_id,
                TrialRow.arch_id == arch_id,
                TrialRow.id != row_id,
                TrialRow.number.is_not(None),
                TrialRow.status.in_(
                    (TrialStatus.COMPLETE, TrialStatus.FAILED, TrialStatus.RUNNING, TrialStatus.REJECTED)
                ),
            )
            .order_by(TrialRow.id)
            .limit(1)
        )
        return None if equal is None or equal.number is None else (equal.status, equal.number)


def finish_trial(
    database: Database,
    row_id: int,
    *,
    status: TrialStatus,
    reason: str | None = None,
    cost: Cost | None = None,
    latency: Latency | None = None,
    score: Score | None = None,
    seconds: float | None = None,
) -> bool:
    """Store the end of a trial with all that was found, in one transaction.

    Returns whether it was written: a trial that is no longer running is left as it is, with a warning.
    """
    with database.writing() as session:
        row = lock_running(session, row_id)
        if row is None:
            return False
        row.status, row.reason, row.seconds = status, reason, seconds
        row.cost = None if cost is None else asdict(cost)
        if latency is not None and row.arch_id is not None:
            latency_row = latency_to_row(latency, row.arch_id)
            session.add(latency_row)
            session.flush()
            row.latency_id = latency_row.id
        if score is not None and row.arch_id is not None:
            training_row = score_to_row(score, row.study_id, row.arch_id)
            session.add(training_row)
            session.flush()
            row.training_id = training_row.id
        return True


def copy_result(
    database: Database, row_id: int, *, study_id: int, number: int, status: TrialStatus, reason: str
) -> bool:
    """End a trial with the cost, latency and training of an equal trial of the same study (by its number).

    Returns whether it was written: a trial that is no longer running is left as it is, with a warning.
    """
    with database.writing() as session:
        row = lock_running(session, row_id)
        if row is None:
            return False
        equal = session.scalars(select(TrialRow).where(TrialRow.study_id == study_id, TrialRow.number == number)).one()
        row.status, row.reason, row.seconds = status, reason, 0.0
        row.cost, row.latency_id, row.training_id = equal.cost, equal.latency_id, equal.training_id
        return True


def trial_numbers(database: Database, study_id: int) -> frozenset[int]:
    """The numbers of every trial of a study."""
    query = select(TrialRow.number).where(TrialRow.study_id == study_id, TrialRow.number.is_not(None))
    with database.reading() as session:
        return frozenset(number for number in session.scalars(query) if number is not None)


def add_training(database: Database, *, study_id: int, arch_id: str, score: Score, folder: str) -> None:
    """Store one finished training outside of a trial (a retraining) and the folder that holds its model.

    The same training (architecture, protocol, epochs, seed, split, folder) is stored once: done again, it replaces
    the earlier one, whose model the folder no longer holds.
    """
    row = score_to_row(score, study_id, arch_id)
    row.details["folder"] = folder
    with database.writing() as session:
        session.get_one(StudyRow, study_id, with_for_update=True)
        known = session.scalars(
            select(TrainingRow).where(
                TrainingRow.study_id == study_id,
                TrainingRow.arch_id == arch_id,
                TrainingRow.protocol == score.protocol,
                TrainingRow.epochs == score.epochs,
                TrainingRow.seed == score.seed,
                TrainingRow.split == score.split,
            )
        ).all()
        for other in known:
            if other.details.get("folder") == folder:
                session.delete(other)
        session.add(row)


def load_trainings(database: Database, study_id: int, *, split: str) -> tuple[tuple[str, Score], ...]:
    """Every stored training of a study on one split: (arch_id, score)."""
    with database.reading() as session:
        rows = session.scalars(
            select(TrainingRow).where(TrainingRow.study_id == study_id, TrainingRow.split == split)
        ).all()
        return tuple((row.arch_id, row_to_score(row, with_curve=True)) for row in rows)


def load_records(database: Database, study_id: int, *, with_curves: bool = False) -> tuple[Record, ...]:
    """Every trial of a study that Optuna has numbered, in order of number."""
    training = joinedload(TrialRow.training)
    query = (
        select(TrialRow, StudyRow.name)
        .join(StudyRow, StudyRow.id == TrialRow.study_id)
        .where(TrialRow.study_id == study_id, TrialRow.number.is_not(None))
        .options(joinedload(TrialRow.latency), training if with_curves else training.options(defer(TrainingRow.curve)))
        .order_by(TrialRow.number)
    )
    with database.reading() as session:
        return tuple(_record(row, name, with_curves) for row, name in session.execute(query))


def load_record(database: Database, study_id: int, number: int) -> Record | None:
    """One trial of a study by its number, with its curve; None if there is none."""
    query = (
        select(TrialRow, StudyRow.name)
        .join(StudyRow, StudyRow.id == TrialRow.study_id)
        .where(TrialRow.study_id == study_id, TrialRow.number == number)
        .options(joinedload(TrialRow.latency), joinedload(TrialRow.training))
    )
    with database.reading() as session:
        found = session.execute(query).first()
        return None if found is None else _record(found[0], found[1], with_curves=True)


def _record(row: TrialRow, study: str, with_curves: bool) -> Record:
    return Record(
        study=study,
        trial=-1 if row.number is None else row.number,
        arch_id=row.arch_id or "",
        family=row.family or "",
        choices=row.choices or {},
        suggested=row.suggested or {},
        status=TrialStatus(row.status),
        variant=row.variant,
        reason=row.reason,
        cost=None if row.cost is None else Cost(**row.cost),
        latency=None if row.latency is None else row_to_latency(row.latency),
        score=None if row.training is None else row_to_score(row.training, with_curve=with_curves),
        seconds=row.seconds,
    )


def latency_to_row(latency: Latency, arch_id: str) -> LatencyRow:
    """A latency as a row; fields without a column of their own go into `details`."""
    facts = asdict(latency)
    columns = {name: facts.pop(name) for name in _LATENCY_COLUMNS}
    return LatencyRow(arch_id=arch_id, details=facts, measured_at=utc_now(), **columns)


def row_to_latency(row: LatencyRow) -> Latency:
    """The frozen latency of a row."""
    return Latency.from_dict({**row.details, **{name: getattr(row, name) for name in _LATENCY_COLUMNS}})


def score_to_row(score: Score, study_id: int, arch_id: str) -> TrainingRow:
    """A score as a row, its curve apart from the rest so that it is read only when wanted."""
    facts = asdict(score)
    curve = list(facts.pop("curve"))
    columns = {name: facts.pop(name) for name in _TRAINING_COLUMNS}
    return TrainingRow(study_id=study_id, arch_id=arch_id, details=facts, curve=curve, **columns)


def row_to_score(row: TrainingRow, *, with_curve: bool) -> Score:
    """The frozen score of a row; its curve is empty unless asked for."""
    known = {field.name for field in fields(Score)}
    details = {key: value for key, value in row.details.items() if key in known}
    curve = tuple(Epoch(**point) for point in row.curve) if with_curve else ()
    return Score(**details, curve=curve, **{name: getattr(row, name) for name in _TRAINING_COLUMNS})
