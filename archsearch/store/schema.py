"""The tables, beside Optuna's in the same database; every name starts with `archsearch_`.

A trial row is written when its worker claims a slot in the study (so that `--trials` is a total over all workers and
restarts), and completed in one transaction with its latency and its training. Nothing here imports torch or Optuna.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA_VERSION = 3  # what 1 lacks: store/migration.py


def utc_now() -> datetime:
    """The current time without a time zone, in UTC: SQLite keeps none."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    """Typed ORM base; JSON columns hold plain dicts and lists."""

    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, str: Text}  # noqa: RUF012 (SQLAlchemy's own form)


class SchemaRow(Base):
    """The version of these tables: one row."""

    __tablename__ = "archsearch_schema"
    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int]


class StudyRow(Base):
    """One study: its configuration as run, and the reference point that its hypervolume is measured from."""

    __tablename__ = "archsearch_studies"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    config: Mapped[dict[str, Any]]
    space: Mapped[dict[str, Any]]
    space_fingerprint: Mapped[str] = mapped_column(String(12))
    reference_point: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    reference_p10_ms: Mapped[float | None]  # of the reference network, at the first measurement
    facts: Mapped[dict[str, Any]]  # versions, machine, command of the first run
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class WorkerRow(Base):
    """One worker process. Alive while its heartbeat comes, or while the same process runs on this host."""

    __tablename__ = "archsearch_workers"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("archsearch_studies.id", ondelete="CASCADE"))
    host: Mapped[str] = mapped_column(String(200))
    pid: Mapped[int]
    process_start: Mapped[str] = mapped_column(String(40))
    device: Mapped[str] = mapped_column(String(40))
    last_seen: Mapped[datetime] = mapped_column(default=utc_now)


class LatencyRow(Base):
    """One measured latency of one architecture; the fields of `records.Latency`."""

    __tablename__ = "archsearch_latencies"
    id: Mapped[int] = mapped_column(primary_key=True)
    arch_id: Mapped[str] = mapped_column(String(12), index=True)
    fingerprint: Mapped[str] = mapped_column(String(12))
    p10_ms: Mapped[float]
    median_ms: Mapped[float]
    p90_ms: Mapped[float]
    details: Mapped[dict[str, Any]]  # the remaining fields
    measured_at: Mapped[datetime] = mapped_column(default=utc_now)


class RepeatRow(Base):
    """A network of a study measured a second time; the fields of `noise.Repeat`, and of the `records.Latency` found."""

    __tablename__ = "archsearch_repeats"
    __table_args__ = (UniqueConstraint("study_id", "arch_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("archsearch_studies.id", ondelete="CASCADE"))
    arch_id: Mapped[str] = mapped_column(String(12))
    first_ms: Mapped[float]
    second_ms: Mapped[float]
    sound: Mapped[bool]
    measure_seconds: Mapped[float]
    details: Mapped[dict[str, Any]]  # the second measurement
    measured_at: Mapped[datetime] = mapped_column(default=utc_now)


class TrainingRow(Base):
    """One finished training of one architecture, proxy or full; the fields of `records.Score`."""

    __tablename__ = "archsearch_trainings"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("archsearch_studies.id", ondelete="CASCADE"), index=True)
    arch_id: Mapped[str] = mapped_column(String(12), index=True)
    protocol: Mapped[str] = mapped_column(String(60))
    split: Mapped[str] = mapped_column(String(20))
    epochs: Mapped[int]
    seed: Mapped[int]
    top1_percent: Mapped[float]
    details: Mapped[dict[str, Any]]  # the remaining fields
    curve: Mapped[list[Any]]
    finished_at: Mapped[datetime] = mapped_column(default=utc_now)


class TrialRow(Base):
    """One evaluated suggestion; `number` is Optuna's, None until Optuna has given one."""

    __tablename__ = "archsearch_trials"
    __table_args__ = (
        UniqueConstraint("study_id", "number"),
        Index("archsearch_trials_by_status", "study_id", "status"),
        Index("archsearch_trials_by_arch", "study_id", "arch_id"),
        Index("archsearch_trials_by_variant", "study_id", "variant"),
        Index("archsearch_trials_by_told", "study_id", "told"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("archsearch_studies.id", ondelete="CASCADE"))
    number: Mapped[int | None]
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None]
    variant: Mapped[str | None] = mapped_column(String(100))
    suggested: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    family: Mapped[str | None] = mapped_column(String(60))
    arch_id: Mapped[str | None] = mapped_column(String(12))
    choices: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    cost: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    attempt: Mapped[int] = mapped_column(default=1)
    retried: Mapped[bool] = mapped_column(default=False)  # whether another trial has taken an interrupted one's choices
    told: Mapped[bool] = mapped_column(default=False)  # whether Optuna knows the end of this trial
    worker_id: Mapped[str | None] = mapped_column(String(32))
    latency_id: Mapped[int | None] = mapped_column(ForeignKey("archsearch_latencies.id"))
    training_id: Mapped[int | None] = mapped_column(ForeignKey("archsearch_trainings.id"))
    started_at: Mapped[datetime] = mapped_column(default=utc_now)
    seconds: Mapped[float | None]

    latency: Mapped[LatencyRow | None] = relationship(lazy="raise")
    training: Mapped[TrainingRow | None] = relationship(lazy="raise")


class PartialTrainingRow(Base):
    """A training under way, or how far one came: of one architecture with one seed, whichever trial goes on with it.

    `row_id` is the trial that it belongs to now. The bytes to go on from are apart (`StateRow`): SQLite writes a whole
    row anew when one of its values changes its length, and the curve does so after every epoch.
    """

    __tablename__ = "archsearch_partials"
    __table_args__ = (UniqueConstraint("study_id", "arch_id", "seed"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("archsearch_studies.id", ondelete="CASCADE"))
    arch_id: Mapped[str] = mapped_column(String(12))
    seed: Mapped[int]
    row_id: Mapped[int] = mapped_column(ForeignKey("archsearch_trials.id", ondelete="CASCADE"), index=True)
    repeat: Mapped[bool] = mapped_column(default=False)  # another training of a network that the study has already
    epoch: Mapped[int] = mapped_column(default=0)  # done
    curve: Mapped[list[Any]] = mapped_column(default=list)
    decisions: Mapped[list[Any]] = mapped_column(default=list)  # of the stopping rule, one an epoch
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class StateRow(Base):
    """What a training goes on from: weights and optimizer after `epoch` epochs, as bytes of the training's own."""

    __tablename__ = "archsearch_states"
    partial_id: Mapped[int] = mapped_column(
        ForeignKey("archsearch_partials.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    epoch: Mapped[int]
    state: Mapped[bytes] = mapped_column(LargeBinary)
