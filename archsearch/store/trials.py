"""Trials as records: written step by step, read as frozen dataclasses."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import false, select, update
from sqlalchemy.orm import Session

from archsearch.designs import Design
from archsearch.errors import StoreError
from archsearch.records import Cost, EarlyStop, Latency, Phases, Record, Score, TrialStatus
from archsearch.store.database import Database, storage_options
from archsearch.store.partial_trainings import drop_states_of, keep_state_of
from archsearch.store.reading import check_all_read, read_as_stored
from archsearch.store.retry import retried
from archsearch.store.rows import (
    EARLY_STOP,
    PHASES,
    change_latency,
    design_of,
    earlier_end,
    latency_to_row,
    lock_if_running,
    lock_study,
    lock_trial,
    record_of,
    record_query,
    score_of,
    score_query,
    score_to_row,
)
from archsearch.store.schema import LatencyRow, RepeatRow, StudyRow, TrainingRow, TrialRow

_SPLITS = ("validation", "test")
_ANSWERS_FOR_ITS_NETWORK = (
    TrialStatus.COMPLETE,
    TrialStatus.STOPPED,
    TrialStatus.FAILED,
    TrialStatus.RUNNING,
    TrialStatus.REJECTED,
)
_MOST_BY_NUMBER = 500  # more records than this are read as a whole


@retried
def note_suggestion(database: Database, row_id: int, *, number: int, suggested: Mapping[str, Any] | None) -> None:
    """Store which Optuna trial a slot has become, and what was suggested (None: a point outside the space)."""
    with database.writing() as session:
        row = session.get_one(TrialRow, row_id)
        row.number, row.suggested = number, None if suggested is None else dict(suggested)


@retried
def note_architecture(
    database: Database,
    row_id: int,
    *,
    family: str,
    arch_id: str,
    choices: Mapping[str, Any],
    repeats: bool = False,
) -> tuple[str, int] | None:
    """Store the architecture of a running trial, unless an earlier trial of the study has the same one.

    Returns that trial's status and number instead: complete, stopped, failed or rejected (it need not be evaluated
    twice), or running (another worker is at it). The test and the write are one transaction, so two workers never
    both go ahead. With `repeats` an equal network is meant to be evaluated once more, and the answer is None.
    """
    with database.writing() as session:
        row = lock_trial(session, row_id)
        row.family, row.arch_id, row.choices = family, arch_id, dict(choices)
        if repeats:
            return None
        equal = session.execute(
            select(TrialRow.status, TrialRow.number)
            .where(
                TrialRow.study_id == row.study_id,
                TrialRow.arch_id == arch_id,
                TrialRow.id != row_id,
                TrialRow.number.is_not(None),
                TrialRow.status.in_(_ANSWERS_FOR_ITS_NETWORK),
            )
            .order_by(TrialRow.id)
            .limit(1)
        ).first()
        return None if equal is None or equal.number is None else (equal.status, equal.number)


@retried
def note_measured(database: Database, row_id: int, cost: Cost, latency: Latency) -> bool:
    """Store cost and latency of a running trial before it ends: the stopping rules of other workers need them.

    Returns whether they were written: not if the trial is no longer running, because its slot was given back.
    """
    with database.writing() as session:
        if not lock_if_running(session, row_id):
            return False
        row = session.get_one(TrialRow, row_id)
        row.cost = asdict(cost)
        _set_latency(session, row, latency)
        return True


@retried
def finish_trial(
    database: Database,
    row_id: int,
    *,
    status: TrialStatus,
    reason: str | None = None,
    cost: Cost | None = None,
    latency: Latency | None = None,
    score: Score | None = None,
    early_stop: EarlyStop | None = None,
    seconds: float | None = None,
    phases: Phases | None = None,
    state: bytes | None = None,
) -> bool:
    """Store the end of a trial with all that was found, in one transaction.

    Args:
        cost, latency: None leaves what `note_measured` stored.
        score: of a stopped trial, of the epochs that it had.
        early_stop, phases: what the stopping rule said of it, and what its time went into; stored with the score.
        state: the bytes that its training goes on from after its last epoch, for a promotion. None: those that were
            stored are forgotten, unless it is interrupted.

    Returns whether it is written: a trial that has ended otherwise is left as it is, with a warning. The same end
    again (a commit's answer was lost) counts as written.
    """
    with database.writing() as session:
        row = lock_trial(session, row_id)
        earlier = earlier_end(row, status=status, reason=reason, seconds=seconds)
        if earlier is not None:
            return earlier
        row.status, row.reason, row.seconds = status, reason, seconds
        if cost is not None:
            row.cost = asdict(cost)
        if latency is not None and row.arch_id is not None:
            _set_latency(session, row, latency)
        if score is not None and row.arch_id is not None:
            training_row = score_to_row(score, row.study_id, row.arch_id)
            if early_stop is not None:
                training_row.details[EARLY_STOP] = asdict(early_stop)
            if phases is not None:
                training_row.details[PHASES] = asdict(phases)
            session.add(training_row)
            session.flush()
            row.training_id = training_row.id
        if status is not TrialStatus.INTERRUPTED:
            drop_states_of(session, row_id)
        if state is not None:
            keep_state_of(session, row_id, state)
        return True


def _set_latency(session: Session, row: TrialRow, latency: Latency) -> None:
    if row.latency_id is not None:
        change_latency(session.get_one(LatencyRow, row.latency_id), latency)
        return
    latency_row = latency_to_row(latency, row.arch_id or "")
    session.add(latency_row)
    session.flush()
    row.latency_id = latency_row.id


@retried
def copy_result(
    database: Database, row_id: int, *, study_id: int, number: int, status: TrialStatus, reason: str
) -> bool:
    """End a trial with the cost, latency and training of an equal trial of the same study (by its number).

    Returns whether it is written: a trial that has ended otherwise is left as it is, with a warning.
    """
    with database.writing() as session:
        row = lock_trial(session, row_id)
        earlier = earlier_end(row, status=status, reason=reason, seconds=0.0)
        if earlier is not None:
            return earlier
        equal = session.scalars(select(TrialRow).where(TrialRow.study_id == study_id, TrialRow.number == number)).one()
        row.status, row.reason, row.seconds = status, reason, 0.0
        row.cost, row.latency_id, row.training_id = equal.cost, equal.latency_id, equal.training_id
        drop_states_of(session, row_id)
        return True


@retried
def trial_numbers(database: Database, study_id: int) -> frozenset[int]:
    """The numbers of every trial of a study."""
    query = select(TrialRow.number).where(TrialRow.study_id == study_id, TrialRow.number.is_not(None))
    with database.reading() as session:
        return frozenset(number for number in session.scalars(query) if number is not None)


@retried
def check_database_writable(database: Database) -> None:
    """See whether a training can be stored, before hours are spent on it. Raises StoreError."""
    if not database.checked:
        typed = shlex.join(["archsearch", "studies", *storage_options(database.url)])
        raise StoreError(
            f"the database {database.safe_url} is of an older version and could not be brought to this one",
            hint=f"let its owner open it once with this version: {typed}",
        )
    with database.writing() as session:  # which by itself asks for nothing: SQLite begins where it can only read, too
        session.execute(update(TrainingRow).where(false()).values(seed=0))


@retried
def add_training(database: Database, *, study_id: int, arch_id: str, score: Score, folder: str) -> None:
    """Store one finished training outside of a trial (a retraining) and the folder that holds its model.

    The same training (architecture, epochs, seed, split, folder) is stored once: done again, it replaces the earlier
    one, whose model the folder no longer holds.
    """
    row = score_to_row(score, study_id, arch_id)
    row.details["folder"] = folder
    with database.writing() as session:
        lock_study(session, study_id)
        known = session.scalars(
            select(TrainingRow).where(
                TrainingRow.study_id == study_id,
                TrainingRow.arch_id == arch_id,
                TrainingRow.epochs == score.epochs,
                TrainingRow.seed == score.seed,
                TrainingRow.split == score.split,
            )
        ).all()
        for other in known:
            if other.details.get("folder") == folder:
                session.delete(other)
        session.add(row)


@retried
def load_trainings(database: Database, study_id: int, *, split: str) -> tuple[tuple[str, Score], ...]:
    """Every stored training of a study on one split: (arch_id, score)."""
    columns = score_query(with_curve=True, checked=database.checked)
    query = select(TrainingRow.arch_id, *columns).where(TrainingRow.study_id == study_id, TrainingRow.split == split)
    with database.reading() as session:
        study, _ = _named(session, study_id)
        rows = session.execute(query).all()
        where = f"study '{study}'"
        check_all_read(session, TrainingRow, study_id, where, read=len(rows), among=TrainingRow.split == split)
        odd = TrainingRow.split.not_in(_SPLITS)
        lost = session.scalars(select(TrainingRow.id).where(TrainingRow.study_id == study_id, odd).limit(1)).first()
        if lost is not None:
            raise StoreError(
                f"{where}: column 'split' of row {lost} of archsearch_trainings is damaged",
                hint="put a copy of the database back",
            )
        return tuple(
            (arch_id, score_of(found, f"{where}, a training of {arch_id}", with_curve=True)) for arch_id, *found in rows
        )


@retried
def load_records(
    database: Database, study_id: int, *, with_curves: bool = False, earlier: Sequence[Record] = ()
) -> tuple[Record, ...]:
    """Every trial of a study that Optuna has numbered, in order of number.

    `earlier` is what an earlier call gave for this study, with or without curves as now: of the ended trials among it
    only those are read again whose status has changed.

    Raises StoreError if there is no such study.
    """
    with database.reading() as session:
        study, design = _named(session, study_id)
        query = record_query(study_id, with_curves=with_curves, checked=database.checked)
        kept = {record.trial: record for record in earlier if record.status is not TrialStatus.RUNNING}
        if not kept:
            rows = session.execute(query).all()
            _check_none_lost(session, study_id, study, shown=len(rows))
            return tuple(record_of(row, study, design) for row in rows)
        stand = session.execute(
            select(TrialRow.number, TrialRow.status).where(TrialRow.study_id == study_id, TrialRow.number.is_not(None))
        )
        changed = [number for number, status in stand if number not in kept or kept[number].status != status]
        if not changed:
            return tuple(kept[number] for number in sorted(kept))
        if len(changed) <= _MOST_BY_NUMBER:
            query = query.where(TrialRow.number.in_(changed))
        fresh = {row[0]: record_of(row, study, design) for row in session.execute(query)}
    found = kept | fresh
    return tuple(found[number] for number in sorted(found))


@retried
def load_record(database: Database, study_id: int, number: int) -> Record | None:
    """One trial of a study by its number, with its curve; None if there is none."""
    with database.reading() as session:
        query = record_query(study_id, with_curves=True, checked=database.checked).where(TrialRow.number == number)
        row = session.execute(query).first()
        if row is None:
            return None
        return record_of(row, *_named(session, study_id))


def _check_none_lost(session: Session, study_id: int, study: str, *, shown: int) -> None:
    """Raise StoreError if a row that was changed would be no trial of any study, or one that is never shown.

    `shown`: the trials that were read, by way of an index.
    """
    check_all_read(session, TrialRow, study_id, f"study '{study}'", read=shown, among=TrialRow.number.is_not(None))
    ended = (TrialStatus.COMPLETE, TrialStatus.STOPPED, TrialStatus.REPLAY, TrialStatus.REJECTED)
    nameless = (TrialRow.study_id == study_id) & TrialRow.number.is_(None) & TrialRow.status.in_(ended)
    lost = session.scalars(select(TrialRow.id).where(nameless).limit(1)).first()
    if lost is not None:
        raise StoreError(
            f"study '{study}': row {lost} of archsearch_trials has lost its number",
            hint="put a copy of the database back, or delete that row",
        )


def _named(session: Session, study_id: int) -> tuple[str, Design | None]:
    """A study's name, and its design if it has one."""
    name, config = session.execute(select(StudyRow.name, StudyRow.config).where(StudyRow.id == study_id)).one()
    with read_as_stored(f"study '{name}': its design"):
        return name, design_of(config)


# What was measured of a study's networks: whoever goes on with one that was cut off need not measure it again.


@retried
def load_measured(database: Database, study_id: int, arch_id: str, *, variant: str | None = None) -> Latency | None:
    """The latency of a network, from its newest trial in this study that has one; None if there is none.

    With `variant` only from trials of that name, or of that key of a design.
    """
    query = (
        record_query(study_id, with_curves=False, checked=database.checked)
        .where(TrialRow.arch_id == arch_id, TrialRow.latency_id.is_not(None))
        .order_by(None)
        .order_by(TrialRow.id.desc())
        .limit(1)
    )
    if variant is not None:
        query = query.where(TrialRow.variant == variant)
    with database.reading() as session:
        row = session.execute(query).first()
        name = session.scalars(select(StudyRow.name).where(StudyRow.id == study_id)).one()
    record = None if row is None else record_of(row, name)
    return None if record is None or record.cost is None else record.latency


@retried
def measured_networks(database: Database, study_id: int) -> dict[str, float]:
    """Latency over the reference's, as the study fixed that, of each network that was measured and not rejected.

    Told from p10, without the correction for drift: a measure of size. Empty while the study has no reference latency.
    """
    query = (
        select(TrialRow.arch_id, LatencyRow.p10_ms / StudyRow.reference_p10_ms)
        .join(LatencyRow, LatencyRow.id == TrialRow.latency_id)
        .join(StudyRow, StudyRow.id == TrialRow.study_id)
        .where(TrialRow.study_id == study_id, TrialRow.arch_id.is_not(None), StudyRow.reference_p10_ms.is_not(None))
        .where(TrialRow.status != TrialStatus.REJECTED)
        .order_by(TrialRow.id)
    )
    with database.reading() as session:
        return {arch_id: ratio for arch_id, ratio in session.execute(query) if arch_id is not None}


@retried
def repeated_networks(database: Database, study_id: int) -> frozenset[str]:
    """The networks of a study that were measured a second time."""
    with database.reading() as session:
        return frozenset(session.scalars(select(RepeatRow.arch_id).where(RepeatRow.study_id == study_id)))
