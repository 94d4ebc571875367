"""Slots in a study: `--trials N` is a total over all workers and restarts, counted before a trial starts.

A worker claims a slot in one transaction that holds the study's row, so n workers never start n-1 trials too many.
Running, complete, stopped and failed trials hold a slot; rejected ones, replays and interrupted ones do not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from archsearch.records import TrialStatus
from archsearch.store.database import Database
from archsearch.store.partial_trainings import drop_states_of, hand_over
from archsearch.store.retry import retried
from archsearch.store.rows import earlier_end, lock_study, lock_trial
from archsearch.store.schema import TrialRow
from archsearch.store.workers import living_workers

HOLDS_SLOT = (TrialStatus.RUNNING, TrialStatus.COMPLETE, TrialStatus.STOPPED, TrialStatus.FAILED)
MAX_ATTEMPTS = 3
PROMOTED = "promoted: goes on as another trial"
_GIVEN_BACK = "given back, since the error is not the network's: "
_MOST_QUESTIONS = 3  # how often a promotion that another worker was quicker at is asked for anew

Variants = Sequence[tuple[str, Mapping[str, Any] | None]]


class NoSlot(Enum):
    """Why no slot could be claimed."""

    DONE = "every slot is filled by a finished trial"
    BUSY = "every slot is taken, some by running trials: one may yet be given back, or lead to a promotion"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A slot in the study.

    Attributes:
        row_id: the trial's row.
        sequence: how many claims the study has had, this one included: the sampler's seed comes from it, so neither a
            restart nor another worker repeats a suggestion.
        variant, suggested: the choices to evaluate, if they are already known (a published network, an interrupted
            trial, or a stopped one that is promoted); both None if the sampler is to suggest.
        attempt: 1, or more when earlier workers were killed at these choices and got nowhere.
    """

    row_id: int
    sequence: int
    variant: str | None
    suggested: Mapping[str, Any] | None
    attempt: int


@retried
def claim_trial(
    database: Database,
    *,
    study_id: int,
    total: int,
    worker_id: str,
    variants: Variants,
    promote: Callable[[], int | None] | None = None,
    listed_only: bool = False,
    waiting: Collection[int] = (),
) -> Claim | NoSlot:
    """Claim the next slot: an interrupted trial, else a variant not yet evaluated, else a promotion, else a new one.

    A promoted trial becomes interrupted, its choices are the new claim's, and its training goes on there
    (`load_partial_training`); a promotion needs no free slot, because it gives one back. A worker that has a running
    trial gets that one again: the answer to its earlier claim was lost.

    Args:
        variants: names and suggestions (None for a point outside the search space), in the order of evaluation.
        promote: the number of a stopped trial that should go on now, or None. It is asked outside of the transaction,
            and only if nothing comes before; whether that trial is still a stopped one is then seen within it.
        listed_only: whether the study has no other trials than the `variants`, each once, however many slots other
            trials hold; `total` does not matter then.
        waiting: rows of running trials that the worker knows it has, and does not want again.
    """
    questions, answer = 0, None
    while True:
        ask = promote is not None and questions < _MOST_QUESTIONS and (questions == 0 or answer is not None)
        with database.writing() as session:
            lock_study(session, study_id)
            if listed_only:
                return _claim_listed(session, study_id, worker_id, variants, waiting)
            found = _claim(
                session, study_id, total, worker_id, variants, waiting,
                promotes=promote is not None, promoted=answer, ask=ask,
            )  # fmt: skip
        if found is not None:
            return found
        questions, answer = questions + 1, None if promote is None else promote()


def _claim(
    session: Session,
    study_id: int,
    total: int,
    worker_id: str,
    variants: Variants,
    waiting: Collection[int],
    *,
    promotes: bool,
    promoted: int | None,
    ask: bool,
) -> Claim | NoSlot | None:
    """What `claim_trial` gives, for one answer of `promote`; None if it must be asked first."""
    counts = _counts(session, study_id)
    running = counts.get(TrialStatus.RUNNING, 0)
    if running:
        mine = _running_of(session, study_id, worker_id, waiting)
        if mine is not None:
            return _claim_of(session, mine)
    held = sum(counts.get(status, 0) for status in HOLDS_SLOT)
    full = held >= total
    row = TrialRow(study_id=study_id, status=TrialStatus.RUNNING, attempt=1, worker_id=worker_id)
    if not full:
        interrupted = _interrupted(session, study_id) if counts.get(TrialStatus.INTERRUPTED) else None
        if interrupted is not None:
            return _take_up(session, row, interrupted)
        for name, suggested in _not_taken(session, study_id, variants):
            row.variant = name
            row.suggested = None if suggested is None else dict(suggested)
            return _enter(session, row)
    if promoted is not None:
        stopped = session.scalar(
            select(TrialRow).where(
                TrialRow.study_id == study_id, TrialRow.number == promoted, TrialRow.status == TrialStatus.STOPPED
            )
        )
        if stopped is not None:
            stopped.status, stopped.reason = TrialStatus.INTERRUPTED, PROMOTED
            return _take_up(session, row, stopped)
    if ask:
        return None
    if full:
        return NoSlot.BUSY if running and (promotes or held - running < total) else NoSlot.DONE
    return _enter(session, row)


def _claim_listed(
    session: Session, study_id: int, worker_id: str, variants: Variants, waiting: Collection[int]
) -> Claim | NoSlot:
    """A claim of one of `variants`: an interrupted one first, else the first that no trial has."""
    mine = _running_of(session, study_id, worker_id, waiting)
    if mine is not None:
        return _claim_of(session, mine)
    rows = session.execute(
        select(TrialRow.id, TrialRow.variant, TrialRow.status, TrialRow.retried)
        .where(TrialRow.study_id == study_id, TrialRow.variant.is_not(None))
        .order_by(TrialRow.id)
    ).all()
    listed = {name for name, _ in variants}
    ours = [found for found in rows if found.variant in listed]
    row = TrialRow(study_id=study_id, status=TrialStatus.RUNNING, attempt=1, worker_id=worker_id)
    for found in ours:
        if found.status == TrialStatus.INTERRUPTED and not found.retried:
            return _take_up(session, row, session.get_one(TrialRow, found.id))
    taken = {found.variant for found in ours if found.status != TrialStatus.INTERRUPTED}
    for name, suggested in variants:
        if name not in taken:
            row.variant, row.suggested = name, None if suggested is None else dict(suggested)
            return _enter(session, row)
    running = any(found.status == TrialStatus.RUNNING for found in ours)
    return NoSlot.BUSY if running else NoSlot.DONE


def _running_of(session: Session, study_id: int, worker_id: str, waiting: Collection[int]) -> TrialRow | None:
    return session.scalar(
        select(TrialRow)
        .where(TrialRow.study_id == study_id, TrialRow.status == TrialStatus.RUNNING, TrialRow.worker_id == worker_id)
        .where(TrialRow.id.not_in(waiting))
        .limit(1)
    )


def _interrupted(session: Session, study_id: int) -> TrialRow | None:
    return session.scalar(
        select(TrialRow)
        .where(TrialRow.study_id == study_id, TrialRow.status == TrialStatus.INTERRUPTED, ~TrialRow.retried)
        .order_by(TrialRow.id)
        .limit(1)
    )


def _not_taken(session: Session, study_id: int, variants: Variants) -> Variants:
    if not variants:
        return ()
    taken = select(TrialRow.variant).where(
        TrialRow.study_id == study_id,
        TrialRow.variant.in_([name for name, _ in variants]),
        TrialRow.status != TrialStatus.INTERRUPTED,
    )
    names = set(session.scalars(taken))
    return [(name, suggested) for name, suggested in variants if name not in names]


def _take_up(session: Session, row: TrialRow, from_row: TrialRow) -> Claim:
    """Claim a row for the choices of a trial that ended unfinished, and its training with them."""
    from_row.retried = True
    row.variant, row.suggested = from_row.variant, from_row.suggested
    row.attempt = 1 if from_row.reason == PROMOTED else from_row.attempt
    claim = _enter(session, row)
    hand_over(session, from_row=from_row.id, to_row=row.id)
    return claim


def _enter(session: Session, row: TrialRow) -> Claim:
    session.add(row)
    session.flush()
    return _claim_of(session, row)


def _claim_of(session: Session, row: TrialRow) -> Claim:
    claims = select(func.count()).where(TrialRow.study_id == row.study_id, TrialRow.id <= row.id)
    return Claim(
        row_id=row.id,
        sequence=session.scalars(claims).one(),
        variant=row.variant,
        suggested=row.suggested,
        attempt=row.attempt,
    )


@retried
def recover_trials(database: Database, study_id: int) -> int:
    """Give back the slots of running trials whose worker is dead; returns how many.

    Their choices are tried again, unless their workers were killed MAX_ATTEMPTS times at them without a further state
    of the training in between (a network that takes more memory than there is kills every worker): then the trial has
    failed, and says so.
    """
    given_back = 0
    with database.writing() as session:
        lock_study(session, study_id)
        # Held for writing: a worker that is thought dead may be storing the end of its trial at this moment.
        running = session.scalars(
            select(TrialRow)
            .where(TrialRow.study_id == study_id, TrialRow.status == TrialStatus.RUNNING)
            .order_by(TrialRow.id)
            .with_for_update(key_share=True)
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
                drop_states_of(session, row.id)
            else:
                _interrupt(row, "its worker was killed")
                row.attempt += 1
    return given_back


@retried
def interrupt_trial(database: Database, row_id: int, reason: str) -> bool:
    """Give a slot back; the trial's choices are tried again.

    Returns whether it is written: a trial that has ended otherwise is left as it is, with a warning.
    """
    with database.writing() as session:
        row = lock_trial(session, row_id)
        earlier = earlier_end(row, status=TrialStatus.INTERRUPTED, reason=reason, seconds=None)
        if earlier is not None:
            return earlier
        _interrupt(row, reason)
        return True


@retried
def forget_kills(database: Database, row_id: int) -> None:
    """Count the workers that are killed at a running trial anew: what is left of it is to wait for a measurement."""
    with database.writing() as session:
        session.execute(update(TrialRow).where(TrialRow.id == row_id).values(attempt=1))


@dataclass(frozen=True)
class EndedTrial:
    """A trial whose network was trained, or failed.

    Attributes:
        row_id, number, arch_id: the trial's.
        failed: whether it failed; it was trained otherwise.
        reason: why it failed.
    """

    row_id: int
    number: int
    arch_id: str
    failed: bool
    reason: str | None


@retried
def give_back_failed(
    database: Database, study_id: int, chosen: Callable[[Sequence[EndedTrial]], Sequence[EndedTrial]]
) -> tuple[EndedTrial, ...]:
    """Give back the slots of failed trials whose failure was not theirs: their choices are tried again.

    Args:
        chosen: says which, of all that ended, the newest first. A trial that was given back in this way before is
            among them, as a failed one, until its choices are tried again.

    Returns the chosen ones.
    """
    trained = (TrialStatus.COMPLETE, TrialStatus.STOPPED)
    waiting = (
        (TrialRow.status == TrialStatus.INTERRUPTED)
        & ~TrialRow.retried
        & TrialRow.reason.startswith(_GIVEN_BACK, autoescape=True)
    )
    with database.writing() as session:
        lock_study(session, study_id)
        rows = session.execute(
            select(TrialRow.id, TrialRow.number, TrialRow.arch_id, TrialRow.status, TrialRow.reason)
            .where(TrialRow.study_id == study_id, TrialRow.number.is_not(None), TrialRow.arch_id.is_not(None))
            .where(TrialRow.status.in_((*trained, TrialStatus.FAILED)) | waiting)
            .order_by(TrialRow.id.desc())
        )
        ended = [
            EndedTrial(row_id, number or 0, arch_id or "", status not in trained, (why or "").removeprefix(_GIVEN_BACK))
            for row_id, number, arch_id, status, why in rows
        ]
        found = tuple(chosen(ended))
        for one in found:
            row = session.get_one(TrialRow, one.row_id)
            if row.status == TrialStatus.FAILED:
                _interrupt(row, f"{_GIVEN_BACK}{row.reason}")
        return found


def _interrupt(row: TrialRow, reason: str) -> None:
    row.status = TrialStatus.INTERRUPTED
    row.reason = reason
    row.retried = row.suggested is None and row.variant is None  # nothing to try again


@retried
def trial_counts(database: Database, study_id: int) -> Mapping[str, int]:
    """How many trials of a study stand in each status."""
    with database.reading() as session:
        return _counts(session, study_id)


def _counts(session: Session, study_id: int) -> dict[str, int]:
    rows = session.execute(
        select(TrialRow.status, func.count()).where(TrialRow.study_id == study_id).group_by(TrialRow.status)
    )
    return {status: count for status, count in rows}  # noqa: C416 (a Row is no pair to dict() and mypy)


@retried
def held_elsewhere(database: Database, study_id: int, names: Sequence[str]) -> int:
    """How many trials of a study hold a slot without being one of `names` (variants, or keys of a design)."""
    query = select(TrialRow.variant).where(TrialRow.study_id == study_id, TrialRow.status.in_(HOLDS_SLOT))
    listed = set(names)
    with database.reading() as session:
        return sum(name not in listed for name in session.scalars(query))


@retried
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


@retried
def is_suggesting(database: Database, study_id: int) -> bool:
    """Whether some worker is at a suggestion: a trial runs whose number is not noted yet."""
    query = select(TrialRow.id).where(
        TrialRow.study_id == study_id, TrialRow.status == TrialStatus.RUNNING, TrialRow.number.is_(None)
    )
    with database.reading() as session:
        return session.scalar(query.limit(1)) is not None


@retried
def mark_told(database: Database, row_id: int) -> None:
    """Note that Optuna knows the end of a trial."""
    with database.writing() as session:
        session.execute(update(TrialRow).where(TrialRow.id == row_id).values(told=True))
