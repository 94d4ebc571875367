"""Places in a study: `--trials N` is a total over all workers and restarts, counted before a trial starts.

A worker claims a place in one transaction that holds the study's row, so n workers never start n-1 trials too many.
Running, complete and failed trials hold a place; rejected ones, replays and interrupted ones do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from archsearch.records import TrialStatus
from archsearch.store.database import Database
from archsearch.store.running import lock_running
from archsearch.store.schema import StudyRow, TrialRow
from archsearch.store.workers import living_workers

HOLDS_PLACE = (TrialStatus.RUNNING, TrialStatus.COMPLETE, TrialStatus.FAILED)
MAX_ATTEMPTS = 3


class NoPlace(Enum):
    """Why no place could be claimed."""

    DONE = "every place is filled by a finished trial"
    BUSY = "every place is taken, some by running trials: one may yet be given back"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A place in the study.

    Attributes:
        row_id: the trial's row.
        sequence: how many claims the study has had, this one included: the sampler's seed comes from it, so neither a
            restart nor another worker repeats a suggestion.
        variant, suggested: the choices to evaluate, if they are already known (a published network, or an interrupted
            trial); both None if the sampler is to suggest.
        attempt: 1, or more when earlier workers were killed at these choices.
    """

    row_id: int
    sequence: int
    variant: str | None
    suggested: Mapping[str, Any] | None
    attempt: int


def claim_trial(
    database: Database,
    *,
    study_id: int,
    total: int,
    worker_id: str,
    variants: Sequence[tuple[str, Mapping[str, Any] | None]],
) -> Claim | NoPlace:
    """Claim the next place: an interrupted trial first, then a variant not yet evaluated, then a new suggestion.

    `variants` are names and suggestions (None for a point outside the search space), in the order of evaluation.
    """
    with database.writing() as session:
        session.get_one(StudyRow, study_id, with_for_update=True)
        counts = _counts(session, study_id)
        if sum(counts.get(status, 0) for status in HOLDS_PLACE) >= total:
            return NoPlace.BUSY if counts.get(TrialStatus.RUNNING) else NoPlace.DONE
        row = _next_row(session, study_id, variants)
        row.worker_id = worker_id
        session.add(row)
        session.flush()
        sequence = session.scalar(select(func.count()).where(TrialRow.study_id == study_id)) or 1
        return Claim(
            row_id=row.id, sequence=sequence, variant=row.variant, suggested=row.suggested, attempt=row.attempt
        )


def _next_row(session: Session, study_id: int, variants: Sequence[tuple[str, Mapping[str, Any] | None]]) -> TrialRow:
    row = TrialRow(study_id=study_id, status=TrialStatus.RUNNING, attempt=1)
    interrupted = session.scalar(
        select(TrialRow)
        .where(TrialRow.study_id == study_id, TrialRow.status == TrialStatus.INTERRUPTED, ~TrialRow.retried)
        .order_by(TrialRow.id)
        .limit(1)
    )
    if interrupted is not None:
        interrupted.retried = True
        row.variant, row.suggested, row.attempt = interrupted.variant, interrupted.suggested, interrupted.attempt
        return row
    taken = set(
        session.scalars(
            select(TrialRow.variant).where(
                TrialRow.study_id == study_id,
                TrialRow.variant.is_not(None),
                TrialRow.status != TrialStatus.INTERRUPTED,
            )
        )
    )
    for name, suggested in variants:
        if name not in taken:
            row.variant = name
            row.suggested = None if suggested is None else dict(suggested)
            return row
    return row


def recover_trials(database: Database, study_id: int) -> int:
    """Give back the places of running trials whose worker is dead; returns how many.

    Their choices are tried again, unless their workers were killed MAX_ATTEMPTS times at them (a network that takes
    more memory than there is kills every worker): then the trial has failed, and says so.
    """
    given_back = 0
    with database.writing() as session:
        session.get_one(StudyRow, study_id, with_for_update=True)
        # Held for writing: a worker that is thought dead may be storing the end of its trial at this moment.
        running = session.scalars(
            select(TrialRow)
            .where(TrialRow.study_id == study_id, TrialRow.status == TrialStatus.RUNNING)
            .order_by(TrialRow.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).all()
        # Looked up after the trials: a worker that enters and claims meanwhile must not pass for dead.
        living = living_workers(database, study_id) if running else frozenset()
        for row in running:
            if row.worker_id in living:
                continue
            given_back += 1
            if row.attempt >= MAX_ATTEMPTS:
                row.status = TrialStatus.FAILED
                row.reason = f"its worker was killed {row.attempt} times while it ran (out of memory?)"
            else:
                _interrupt(row, "its worker was killed")
                row.attempt += 1
    return given_back


def interrupt_trial(database: Database, row_id: int, reason: str) -> bool:
    """Give a place back; the trial's choices are tried again.

    Returns whether it was written: a trial that is no longer running is left as it is, with a warning.
    """
    with database.writing() as session:
        row = lock_running(session, row_id)
        if row is None:
            return False
        _interrupt(row, reason)
        return True


def _interrupt(row: TrialRow, reason: str) -> None:
    row.status = TrialStatus.INTERRUPTED
    row.reason = reason
    row.retried = row.suggested is None and row.variant is None  # nothing to try again


def trial_counts(database: Database, study_id: int) -> Mapping[str, int]:
    """How many trials of a study stand in each status."""
    with database.reading() as session:
        return _counts(session, study_id)


def _counts(session: Session, study_id: int) -> dict[str, int]:
    rows = session.execute(
        select(TrialRow.status, func.count()).where(TrialRow.study_id == study_id).group_by(TrialRow.status)
    )
    return {status: count for status, count in rows}  # noqa: C416 (a Row is no pair to dict() and mypy)


def untold_trials(database: Database, study_id: int) -> tuple[TrialRow, ...]:
    """Ended trials that Optuna was not told of: a worker died between the two writes."""
    with database.reading() as session:
        rows = session.scalars(
            select(TrialRow)
            .where(
                TrialRow.study_id == study_id,
                TrialRow.status != TrialStatus.RUNNING,
                TrialRow.number.is_not(None),
                ~TrialRow.told,
            )
            .order_by(TrialRow.id)
        ).all()
        session.expunge_all()
        return tuple(rows)


def mark_told(database: Database, row_id: int) -> None:
    """Note that Optuna knows the end of a trial."""
    with database.writing() as session:
        session.execute(update(TrialRow).where(TrialRow.id == row_id).values(told=True))
