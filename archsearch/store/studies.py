"""Studies in the database: entered once, found by name; what their first measurements fix stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import func, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from archsearch.errors import NothingStoredError, UnknownNameError
from archsearch.noise import NO_FLOOR, FloorSource, NoiseFloor, Repeat, noise_floor_of
from archsearch.records import Latency, StudyBatch
from archsearch.store.database import Database
from archsearch.store.designs import design_of
from archsearch.store.retry import retried
from archsearch.store.schema import RepeatRow, StudyRow, TrialRow

NOISE_FLOOR, LATENCY_BATCH = "noise_floor", "latency_batch"  # keys of StudyInfo.facts


@dataclass(frozen=True, kw_only=True)
class StudyInfo:
    """One study as stored.

    Attributes:
        reference_point: each objective with its bound, or None until it is fixed.
        facts: versions, machine and data of its first run; as `latency_batch`, what was found at its start; as
            `noise_floor`, what an older version found there.
        repeats: its networks that were measured twice, in that order.
    """

    id: int
    name: str
    config: Mapping[str, Any]
    space: Mapping[str, Any]
    space_fingerprint: str
    reference_point: Mapping[str, float] | None
    facts: Mapping[str, Any]
    created_at: datetime
    repeats: tuple[Repeat, ...] = ()

    @cached_property
    def noise_floor(self) -> NoiseFloor:
        """From which difference on two latencies differ: as the repeats say, once there are enough.

        A study of this version then takes its protocol's `tolerance`, which the halves of one measurement may differ
        by. One of an older version has what it measured at its start, or no floor at all.
        """
        return noise_floor_of(self.repeats, before=self._before_repeats())

    def _before_repeats(self) -> NoiseFloor:
        found, latency = self.facts.get(NOISE_FLOOR), self.config.get("latency", {})
        if found is not None:
            return NoiseFloor(relative=float(found["relative"]), source=FloorSource.START)
        if latency.get("repeat_every"):
            return NoiseFloor(relative=float(latency["tolerance"]), source=FloorSource.ASSUMED)
        return NO_FLOOR

    @property
    def latency_batch(self) -> StudyBatch | None:
        """The batch of its latencies, and whether widths differ in it; None where nobody asked."""
        found = self.facts.get(LATENCY_BATCH)
        return None if found is None else StudyBatch.from_dict(found)

    @property
    def noise_floor_seconds(self) -> float:
        """What measuring the noise floor took (seconds): the repeats, and what an older version did first."""
        start = float(self.facts.get(NOISE_FLOOR, {}).get("measure_seconds", 0.0))
        return start + sum(repeat.measure_seconds for repeat in self.repeats)


@retried
def enter_study(
    database: Database,
    *,
    name: str,
    config: Mapping[str, Any],
    space: Mapping[str, Any],
    space_fingerprint: str,
    facts: Mapping[str, Any],
) -> StudyInfo:
    """The stored study of this name, entered with these facts if there was none.

    What is stored is never changed here: the caller compares and refuses.
    """
    try:
        with database.writing() as session:
            row = session.scalar(select(StudyRow).where(StudyRow.name == name))
            if row is None:
                row = StudyRow(
                    name=name,
                    config=dict(config),
                    space=dict(space),
                    space_fingerprint=space_fingerprint,
                    facts=dict(facts),
                )
                session.add(row)
                session.flush()
            return _info(session, row)
    except IntegrityError:  # another process entered it at the same moment
        return find_study(database, name)


@retried
def find_study(database: Database, name: str) -> StudyInfo:
    """The study of this name. Raises UnknownNameError with the names that exist."""
    with database.reading() as session:
        row = session.scalar(select(StudyRow).where(StudyRow.name == name))
        if row is None:
            raise UnknownNameError("study", name, session.scalars(select(StudyRow.name)).all())
        return _info(session, row)


@retried
def list_studies(database: Database) -> tuple[StudyInfo, ...]:
    """Every study, the newest last."""
    with database.reading() as session:
        return tuple(_info(session, row) for row in session.scalars(select(StudyRow).order_by(StudyRow.id)))


@retried
def latest_study(database: Database) -> StudyInfo:
    """The study whose newest trial is the newest of all; one with a design stands for the one that it was made from.

    Raises StoreError if there is no study.
    """
    newest = select(func.max(TrialRow.id)).where(TrialRow.study_id == StudyRow.id).scalar_subquery()
    with database.reading() as session:
        row = session.scalar(select(StudyRow).order_by(newest.desc().nulls_last(), StudyRow.id.desc()).limit(1))
        if row is None:
            raise NothingStoredError(
                f"the database {database.safe_url} holds no study yet", hint="archsearch run --study quickstart"
            )
        design = design_of(row.config)
        made_from = None if design is None else session.scalar(select(StudyRow).where(StudyRow.name == design.of))
        return _info(session, made_from or row)


@retried
def fix_reference_point(database: Database, study_id: int, point: Mapping[str, float]) -> Mapping[str, float]:
    """Store the reference point of a study unless it has one; returns the one that holds.

    A hypervolume with a reference point that moves means nothing, so the first one stays.
    """
    with database.writing() as session:
        row = session.get_one(StudyRow, study_id, with_for_update=True)
        if row.reference_point is None:
            row.reference_point = dict(point)
        return dict(row.reference_point)


@retried
def fix_reference_latency(database: Database, study_id: int, p10_ms: float) -> float:
    """Store the reference network's p10 of a study unless it has one; returns the one that holds (milliseconds).

    Every latency of the study is scaled to it, so that a device that slows down for an hour reorders nothing.
    """
    with database.writing() as session:
        row = session.get_one(StudyRow, study_id, with_for_update=True)
        if row.reference_p10_ms is None:
            row.reference_p10_ms = p10_ms
        return row.reference_p10_ms


@retried
def add_repeat(database: Database, study_id: int, repeat: Repeat, latency: Latency) -> bool:
    """Store that a network of a study was measured a second time, with all that was found.

    Returns whether it is stored: of one network the first repeat stays.
    """
    try:
        with database.writing() as session:
            known = select(RepeatRow.id).where(RepeatRow.study_id == study_id, RepeatRow.arch_id == repeat.arch_id)
            if session.scalar(known) is not None:
                return False
            session.add(RepeatRow(study_id=study_id, details=asdict(latency), **asdict(repeat)))
            return True
    except IntegrityError:  # another process stored it at the same moment
        return False


def _repeats(session: Session, study_id: int) -> tuple[Repeat, ...]:
    if not inspect(session.connection()).has_table(RepeatRow.__tablename__):
        return ()  # an older database that this process may only read
    columns = [getattr(RepeatRow, field.name) for field in fields(Repeat)]
    rows = session.execute(select(*columns).where(RepeatRow.study_id == study_id).order_by(RepeatRow.id))
    return tuple(Repeat(**row) for row in rows.mappings())


def _info(session: Session, row: StudyRow) -> StudyInfo:
    return StudyInfo(
        id=row.id,
        name=row.name,
        config=row.config,
        space=row.space,
        space_fingerprint=row.space_fingerprint,
        reference_point=row.reference_point,
        facts=row.facts,
        created_at=row.created_at,
        repeats=_repeats(session, row.id),
    )
