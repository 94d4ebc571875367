"""Trainings under way, epoch by epoch, so that whoever comes first goes on with one that was cut off.

A training is known by its network and its seed, not by its trial: another worker's trial, on another host, or the
promotion of a stopped one finds it by them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, inspect, select, update
from sqlalchemy.orm import Session

from archsearch.records import Epoch, TrialStatus
from archsearch.store.database import Database
from archsearch.store.reading import read_as_stored
from archsearch.store.retry import retried
from archsearch.store.rows import curve_of, lock_if_running, lock_trial
from archsearch.store.schema import PartialTrainingRow, StateRow, TrainingRow, TrialRow


@dataclass(frozen=True, kw_only=True)
class PartialTraining:
    """What a training goes on from: all of it as it was when `state` was taken.

    Attributes:
        epoch: epochs that were done then, at least 1.
        curve: one point for each of them. What was trained after them is trained again.
        state: the training's own bytes (weights, optimizer).
        decisions: what the stopping rule said after these epochs, with `epoch` as a key of each.
    """

    epoch: int
    curve: tuple[Epoch, ...]
    state: bytes
    decisions: tuple[Mapping[str, Any], ...]


@retried
def curves_so_far(database: Database, study_id: int, *, ended: Collection[int]) -> dict[int, tuple[Epoch, ...]]:
    """Every epoch that was done in the study's running trials, and in these ended ones, by their numbers."""
    query = (
        select(TrialRow.number, PartialTrainingRow.curve)
        .join(PartialTrainingRow, PartialTrainingRow.row_id == TrialRow.id)
        .where(
            TrialRow.study_id == study_id,
            (TrialRow.status == TrialStatus.RUNNING) | TrialRow.number.in_(ended),
            TrialRow.number.is_not(None),
        )
    )
    with database.reading() as session:
        rows = [(number, points) for number, points in session.execute(query) if number is not None]
    with read_as_stored("the trainings under way"):
        return {number: curve_of(points) for number, points in rows}


@retried
def note_epoch(
    database: Database,
    *,
    study_id: int,
    row_id: int,
    arch_id: str,
    seed: int,
    curve: Sequence[Epoch],
    decision: Mapping[str, Any] | None = None,
    state: bytes | None = None,
) -> bool:
    """Store how far a running trial's training is, in place of what was stored of this network and seed.

    Args:
        curve: every epoch done so far.
        decision: what the stopping rule said after the last of them.
        state: the bytes to go on from after the last of them. None keeps the older bytes with their own epoch; they
            are forgotten if the curve is shorter than that, because a training that began anew does not lead there.

    Returns whether it was written: not if the trial is no longer running, because its slot was given back. A worker
    that hears so may as well stop training: its result would be dropped too.
    """
    epoch = len(curve)
    with database.writing() as session:
        if not lock_if_running(session, row_id):
            return False
        partial = session.scalar(select(PartialTrainingRow).where(*_is(study_id, arch_id, seed)))
        if partial is None:
            partial = PartialTrainingRow(study_id=study_id, arch_id=arch_id, seed=seed, decisions=[])
            session.add(partial)
        partial.row_id, partial.epoch = row_id, epoch
        partial.curve = [asdict(point) for point in curve]
        said = [earlier for earlier in partial.decisions if earlier["epoch"] < epoch]
        partial.decisions = said if decision is None else [*said, {**decision, "epoch": epoch}]
        session.flush()
        outdated = () if state is not None else (StateRow.epoch > epoch,)
        session.execute(delete(StateRow).where(StateRow.partial_id == partial.id, *outdated))
        if state is not None:
            session.add(StateRow(partial_id=partial.id, epoch=epoch, state=state))
            # It gets on: only kills at one and the same epoch speak against the network.
            session.execute(update(TrialRow).where(TrialRow.id == row_id).values(attempt=1))
        return True


@retried
def load_partial_training(database: Database, study_id: int, arch_id: str, seed: int) -> PartialTraining | None:
    """What the training of a network with a seed can go on from; None if no state of it is stored."""
    query = (
        select(PartialTrainingRow.curve, PartialTrainingRow.decisions, StateRow.epoch, StateRow.state)
        .join(StateRow, StateRow.partial_id == PartialTrainingRow.id)
        .where(*_is(study_id, arch_id, seed))
    )
    with database.reading() as session:
        found = session.execute(query).first()
    if found is None:
        return None
    curve, decisions, epoch, state = found
    with read_as_stored(f"the partial training of {arch_id} with seed {seed}"):
        return PartialTraining(
            epoch=epoch,
            curve=curve_of(curve[:epoch]),
            state=state,
            decisions=tuple(decision for decision in decisions if decision["epoch"] <= epoch),
        )


@retried
def load_decisions(database: Database, study_id: int) -> Mapping[int, tuple[Mapping[str, Any], ...]]:
    """All that the stopping rule said, by the trial's number: one decision an epoch, with `epoch` as a key of each."""
    query = (
        select(TrialRow.number, PartialTrainingRow.decisions)
        .join(TrialRow, TrialRow.id == PartialTrainingRow.row_id)
        .where(PartialTrainingRow.study_id == study_id, ~PartialTrainingRow.repeat, TrialRow.number.is_not(None))
        .order_by(TrialRow.number)
    )
    with database.reading() as session:
        if not inspect(session.connection()).has_table(PartialTrainingRow.__tablename__):
            return {}  # an older database that this process may only read
        return {number: tuple(decisions) for number, decisions in session.execute(query) if number is not None}


@retried
def claim_seed(database: Database, row_id: int, *, arch_id: str, base_seed: int, most: int) -> int | None:
    """A seed to train the network of a running trial with once more; None if it has had its trainings.

    It is the lowest of `base_seed` + 1 to `base_seed` + `most` - 1 that no proxy training of the network in this study
    has or had, also a failed one; no two trials get the same. A trial that takes up the choices of an interrupted one
    gets the seed that was that one's, and goes on from its state. The training is a repeat from now on, which
    `load_curves` leaves out.
    """
    with database.writing() as session:
        row = lock_trial(session, row_id)
        of_network = (PartialTrainingRow.study_id == row.study_id, PartialTrainingRow.arch_id == arch_id)
        mine = session.scalar(
            select(PartialTrainingRow.seed).where(
                *of_network, PartialTrainingRow.row_id == row_id, PartialTrainingRow.repeat
            )
        )
        if mine is not None:
            return mine
        trained = select(TrainingRow.seed).where(
            TrainingRow.study_id == row.study_id, TrainingRow.arch_id == arch_id, TrainingRow.split == "validation"
        )
        # One that is interrupted and not yet taken up is anybody's.
        begun = (
            select(PartialTrainingRow.seed)
            .join(TrialRow, TrialRow.id == PartialTrainingRow.row_id)
            .where(*of_network, TrialRow.status != TrialStatus.INTERRUPTED)
        )
        taken = {*session.scalars(trained), *session.scalars(begun)}
        seed = next((seed for seed in range(base_seed + 1, base_seed + most) if seed not in taken), None)
        if seed is None:
            return None
        partial = session.scalar(select(PartialTrainingRow).where(*_is(row.study_id, arch_id, seed)))
        if partial is None:
            partial = PartialTrainingRow(study_id=row.study_id, arch_id=arch_id, seed=seed)
            session.add(partial)
        partial.row_id, partial.repeat = row_id, True
        return seed


def drop_states_of(session: Session, row_id: int) -> None:
    """Forget the bytes of whatever training belongs to a trial, which has ended."""
    theirs = select(PartialTrainingRow.id).where(PartialTrainingRow.row_id == row_id)
    session.execute(delete(StateRow).where(StateRow.partial_id.in_(theirs)))


def keep_state_of(session: Session, row_id: int, state: bytes) -> None:
    """Store the bytes that the training of a trial, which has ended, goes on from after its last epoch."""
    theirs = select(PartialTrainingRow).where(PartialTrainingRow.row_id == row_id, ~PartialTrainingRow.repeat)
    partial = session.scalars(theirs).one()
    session.add(StateRow(partial_id=partial.id, epoch=partial.epoch, state=state))


def hand_over(session: Session, *, from_row: int, to_row: int) -> None:
    """Give the training of a trial to the one that takes its choices up."""
    session.execute(update(PartialTrainingRow).where(PartialTrainingRow.row_id == from_row).values(row_id=to_row))


def _is(study_id: int, arch_id: str, seed: int) -> tuple[ColumnElement[bool], ...]:
    return (
        PartialTrainingRow.study_id == study_id,
        PartialTrainingRow.arch_id == arch_id,
        PartialTrainingRow.seed == seed,
    )
