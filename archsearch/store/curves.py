"""The learning curves of a study, whole and under way: what its stopping rule compares a trial with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from archsearch.records import Cost, TrialStatus, known_fields
from archsearch.store.database import Database
from archsearch.store.reading import read_as_stored
from archsearch.store.retry import retried
from archsearch.store.schema import LatencyRow, PartialTrainingRow, TrainingRow, TrialRow, WorkerRow, utc_now

_TRAINED = (TrialStatus.COMPLETE, TrialStatus.STOPPED)
_MOST_BY_ID = 500  # more rows than this are read as a whole


@dataclass(frozen=True, kw_only=True)
class StoredCurve:
    """The training of one trial, as far as it is.

    Attributes:
        trial: the trial's number.
        arch_id: its network.
        status: COMPLETE, STOPPED, or RUNNING: the curve goes on.
        errors: validation error (percent) after each epoch done, the first epoch first.
        losses: mean training loss of each of them.
        cost, latency_ms: the network's (`Latency.corrected_ms`), as far as they are known.
        row_id, training_id: where it is stored.
    """

    trial: int
    arch_id: str
    status: TrialStatus
    errors: tuple[float, ...]
    losses: tuple[float, ...] = ()
    cost: Cost | None = None
    latency_ms: float | None = None
    row_id: int
    training_id: int | None = None


@retried
def load_curves(database: Database, study_id: int, earlier: Sequence[StoredCurve] = ()) -> tuple[StoredCurve, ...]:
    """The curves of a study's trainings, in order of trial number: complete, stopped, and running.

    The training that a repeated suggestion was spent on, with another seed, is not among them, nor is one that was cut
    off and waits for a worker. One training that two trials share (a published network under its own name) comes once.

    `earlier` is what an earlier call gave for this study: of the ended trials among it nothing is read again.
    """
    kept = {curve.row_id: curve for curve in earlier if curve.status is not TrialStatus.RUNNING}
    with database.reading() as session:
        # From an index alone: this is what every worker asks after every epoch.
        rows = session.execute(
            select(TrialRow.id, TrialRow.status).where(
                TrialRow.study_id == study_id, TrialRow.status.in_((*_TRAINED, TrialStatus.RUNNING))
            )
        )
        stand = {row_id: status for row_id, status in rows}  # noqa: C416 (a Row is no pair to dict() and mypy)
        ended = {row_id for row_id, status in stand.items() if status != TrialStatus.RUNNING}
        found = {row_id: curve for row_id, curve in kept.items() if stand.get(row_id) == curve.status}
        missing = sorted(ended - found.keys())
        found |= {curve.row_id: curve for curve in _ended(session, study_id, missing)}
        if len(ended) < len(stand):
            found |= {curve.row_id: curve for curve in _running(session, study_id)}
    first: dict[int, StoredCurve] = {}
    for curve in sorted(found.values(), key=lambda each: each.trial):
        first.setdefault(-curve.row_id if curve.training_id is None else curve.training_id, curve)
    return tuple(first.values())


@dataclass(frozen=True, kw_only=True)
class RunningTrial:
    """A trial under way, as its worker has stored it.

    Attributes:
        trial: its number; None until Optuna has given one.
        name: its variant, else its network's `arch_id`; "" before one is suggested.
        epoch: epochs of its training that are done.
        latency_ms: the network's (`Latency.corrected_ms`); None before it is measured.
        seconds: since it was claimed, by this machine's clock.
        device: of its worker; "" where the worker is no longer entered.
    """

    trial: int | None
    name: str
    epoch: int
    latency_ms: float | None
    seconds: float
    device: str


@retried
def running_trials(database: Database, study_id: int) -> tuple[RunningTrial, ...]:
    """The trials of a study that run now, on whatever machine, in the order in which they were claimed."""
    query = (
        select(
            TrialRow.number, TrialRow.variant, TrialRow.arch_id, TrialRow.started_at, PartialTrainingRow.epoch,
            LatencyRow.p10_ms, LatencyRow.details, WorkerRow.device,
        )
        .outerjoin(PartialTrainingRow, PartialTrainingRow.row_id == TrialRow.id)
        .outerjoin(LatencyRow, LatencyRow.id == TrialRow.latency_id)
        .outerjoin(WorkerRow, WorkerRow.id == TrialRow.worker_id)
        .where(TrialRow.study_id == study_id, TrialRow.status == TrialStatus.RUNNING)
        .order_by(TrialRow.id)
    )  # fmt: skip
    now = utc_now()
    with database.reading() as session:
        return tuple(
            RunningTrial(
                trial=number,
                name=variant or arch_id or "",
                epoch=epoch or 0,
                latency_ms=None if details is None else _corrected_ms(p10_ms, details),
                seconds=max(0.0, (now - started_at).total_seconds()),
                device=device or "",
            )
            for number, variant, arch_id, started_at, epoch, p10_ms, details, device in session.execute(query)
        )


_COLUMNS = (
    TrialRow.id,
    TrialRow.number,
    TrialRow.arch_id,
    TrialRow.status,
    TrialRow.cost,
    TrialRow.training_id,
    LatencyRow.p10_ms,
    LatencyRow.details,
)


def _ended(session: Session, study_id: int, row_ids: Sequence[int]) -> list[StoredCurve]:
    if not row_ids:
        return []
    query = (
        select(*_COLUMNS, TrainingRow.curve)
        .join(TrainingRow, TrainingRow.id == TrialRow.training_id)
        .outerjoin(LatencyRow, LatencyRow.id == TrialRow.latency_id)
        .where(TrialRow.number.is_not(None), TrialRow.status.in_(_TRAINED))
    )
    few = len(row_ids) <= _MOST_BY_ID
    query = query.where(TrialRow.id.in_(row_ids) if few else TrialRow.study_id == study_id)
    wanted = set(row_ids)
    return [_curve(row) for row in session.execute(query) if row[0] in wanted]


def _running(session: Session, study_id: int) -> list[StoredCurve]:
    query = (
        select(*_COLUMNS, PartialTrainingRow.curve)
        .join(PartialTrainingRow, PartialTrainingRow.row_id == TrialRow.id)
        .outerjoin(LatencyRow, LatencyRow.id == TrialRow.latency_id)
        .where(
            TrialRow.study_id == study_id,
            TrialRow.status == TrialStatus.RUNNING,
            TrialRow.number.is_not(None),
            ~PartialTrainingRow.repeat,
        )
    )
    return [_curve(row) for row in session.execute(query)]


def _curve(row: Row[Any]) -> StoredCurve:
    row_id, number, arch_id, status, cost, training_id, p10_ms, latency, points = tuple(row)
    with read_as_stored(f"the training of trial {number}"):
        return StoredCurve(
            trial=number,
            arch_id=arch_id or "",
            status=TrialStatus(status),
            errors=tuple(100.0 - point["top1_percent"] for point in points),
            losses=tuple(point["train_loss"] for point in points),
            cost=None if cost is None else Cost(**known_fields(Cost, cost)),
            latency_ms=None if latency is None else _corrected_ms(p10_ms, latency),
            row_id=row_id,
            training_id=training_id,
        )


def _corrected_ms(p10_ms: float, details: Mapping[str, Any]) -> float:
    """`Latency.corrected_ms` of a stored latency."""
    fixed_ms = details.get("study_reference_ms")
    return p10_ms if fixed_ms is None else float(details["ratio_to_reference"] * fixed_ms)
