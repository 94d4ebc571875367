"""The tables, beside Optuna's in the same database; every name starts with `archsearch_`.

A trial row is written when its worker claims a slot in the study (so that `--trials` is a total over all workers and
restarts), and completed in one transaction with its latency and its training. Nothing here imports torch or Optuna.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    Connection,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    event,
    inspect,
    select,
    text,
)  # fmt: skip
from sqlalchemy.orm import DeclarativeBase, Mapped, Mapper, Session, mapped_column, relationship
from sqlalchemy.schema import CreateColumn

from archsearch.errors import StoreError, shown

SCHEMA_VERSION = 4
"""
| version | what it brought                                                                              |
|---------|----------------------------------------------------------------------------------------------|
| 2       | `archsearch_partials` and `archsearch_states`; indexes of the trials by variant and by told   |
| 3       | `archsearch_repeats`                                                                         |
| 4       | the column `checksums` of studies, trials, latencies, trainings and repeats                  |

No column of an older version changes, so whoever has the database open with an older version goes on undisturbed.
"""
OLDER_VERSIONS = range(1, SCHEMA_VERSION)


def utc_now() -> datetime:
    """The current time without a time zone, in UTC: SQLite keeps none."""
    return datetime.now(UTC).replace(tzinfo=None)


class _Readable(TypeDecorator[Any]):
    """A type of which a stored value that cannot be read is a StoreError, whoever reads it."""

    impl: Any = JSON
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """SQLAlchemy's own, with its errors told."""
        read = super().result_processor(dialect, coltype)

        def told(value: Any) -> Any:
            try:
                return value if read is None else read(value)
            except (ValueError, TypeError, RecursionError) as error:
                raise StoreError(f"the database holds a value that cannot be read: {shown(value)}: {error}") from error

        return told


class Json(_Readable):
    """Plain dicts and lists."""

    impl = JSON
    cache_ok = True


class Moment(_Readable):
    """A time in UTC, without a zone."""

    impl = DateTime
    cache_ok = True


class Base(DeclarativeBase):
    """Typed ORM base; JSON columns hold plain dicts and lists."""

    type_annotation_map = {dict[str, Any]: Json, list[Any]: Json, datetime: Moment, str: Text}  # noqa: RUF012 (SQLAlchemy's own form)


class Checked:
    """A row that keeps a checksum of each of its columns named in `checked`, so that a changed value is told.

    None: not known. A row of before version 4 has none, nor one that a person takes as it is and sets it to NULL.
    """

    checked: ClassVar[tuple[str, ...]]
    checksums: Mapped[dict[str, Any] | None] = mapped_column(Json, deferred=True)


def checksum(kind: Any, value: Any) -> str:
    """Eight hex digits of a column's value, of JSON as Python's or as the stored text (CRC-32 tells mistakes)."""
    if value is None:
        text = "null"
    elif isinstance(kind, Json):
        text = value if isinstance(value, str) else json.dumps(value)
    elif isinstance(kind, Float) and not isinstance(value, str | bytes):
        text = repr(float(value))
    else:
        text = str(value)
    return f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"


@event.listens_for(Checked, "before_insert", propagate=True)
@event.listens_for(Checked, "before_update", propagate=True)
def _note_checksums(mapper: Mapper[Any], _connection: object, row: Any) -> None:
    columns = mapper.local_table.c
    given = {name: getattr(row, name) for name in row.checked}
    row.checksums = {
        name: checksum(columns[name].type, value)
        for name, value in given.items()
        if value is not None or columns[name].default is None  # one that the database layer fills in is not known yet
    }


class SchemaRow(Base):
    """The version of these tables: one row."""

    __tablename__ = "archsearch_schema"
    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int]


class StudyRow(Checked, Base):
    """One study: its configuration as run, and the reference point that its hypervolume is measured from."""

    __tablename__ = "archsearch_studies"
    checked = (
        "name", "config", "space", "space_fingerprint", "reference_point", "reference_p10_ms", "facts", "created_at",
    )  # fmt: skip
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    config: Mapped[dict[str, Any]]
    space: Mapped[dict[str, Any]]
    space_fingerprint: Mapped[str] = mapped_column(String(12))
    reference_point: Mapped[dict[str, Any] | None] = mapped_column(Json)
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


class LatencyRow(Checked, Base):
    """One measured latency of one architecture; the fields of `records.Latency`."""

    __tablename__ = "archsearch_latencies"
    checked = ("arch_id", "fingerprint", "p10_ms", "median_ms", "p90_ms", "details")
    id: Mapped[int] = mapped_column(primary_key=True)
    arch_id: Mapped[str] = mapped_column(String(12), index=True)
    fingerprint: Mapped[str] = mapped_column(String(12))
    p10_ms: Mapped[float]
    median_ms: Mapped[float]
    p90_ms: Mapped[float]
    details: Mapped[dict[str, Any]]  # the remaining fields
    measured_at: Mapped[datetime] = mapped_column(default=utc_now)


class RepeatRow(Checked, Base):
    """A network of a study measured a second time; the fields of `noise.Repeat`, and of the `records.Latency` found."""

    __tablename__ = "archsearch_repeats"
    __table_args__ = (UniqueConstraint("study_id", "arch_id"),)
    checked = ("study_id", "arch_id", "first_ms", "second_ms", "sound", "measure_seconds", "details")
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("archsearch_studies.id", ondelete="CASCADE"))
    arch_id: Mapped[str] = mapped_column(String(12))
    first_ms: Mapped[float]
    second_ms: Mapped[float]
    sound: Mapped[bool]
    measure_seconds: Mapped[float]
    details: Mapped[dict[str, Any]]  # the second measurement
    measured_at: Mapped[datetime] = mapped_column(default=utc_now)


class TrainingRow(Checked, Base):
    """One finished training of one architecture, proxy or full; the fields of `records.Score`."""

    __tablename__ = "archsearch_trainings"
    checked = (
        "study_id", "arch_id", "protocol", "split", "epochs", "seed", "top1_percent", "details", "curve",
    )  # fmt: skip
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


class TrialRow(Checked, Base):
    """One evaluated suggestion; `number` is Optuna's, None until Optuna has given one."""

    __tablename__ = "archsearch_trials"
    checked = (
        "study_id", "number", "status", "reason", "variant", "suggested", "family", "arch_id", "choices", "cost",
        "latency_id", "training_id", "seconds",
    )  # fmt: skip
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
    suggested: Mapped[dict[str, Any] | None] = mapped_column(Json)
    family: Mapped[str | None] = mapped_column(String(60))
    arch_id: Mapped[str | None] = mapped_column(String(12))
    choices: Mapped[dict[str, Any] | None] = mapped_column(Json)
    cost: Mapped[dict[str, Any] | None] = mapped_column(Json)
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


def migrate(session: Session) -> None:
    """Bring an older database to this version within the session's transaction, which must hold the write lock.

    Several processes may come at once: the first does it, the others wait and find it done.
    """
    row = session.scalars(select(SchemaRow).with_for_update()).one()
    if row.version not in OLDER_VERSIONS:
        return
    connection = session.connection()
    Base.metadata.create_all(connection)  # what is missing alone
    for table in Base.metadata.sorted_tables:
        _add_columns(connection, table)
    for index in TrialRow.metadata.tables[TrialRow.__tablename__].indexes:
        index.create(connection, checkfirst=True)
    row.version = SCHEMA_VERSION


def _add_columns(connection: Connection, table: Table) -> None:
    """Add what a table lacks; all of it may be NULL, which older versions leave it."""
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in there:
            declared = CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {declared}"))
