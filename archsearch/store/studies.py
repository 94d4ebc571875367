"""Studies in the database: entered once, found by name; what their first measurements fix stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from archsearch.errors import NothingStoredError, UnknownNameError
from archsearch.records import StudyBatch
from archsearch.store.database import Database
from archsearch.store.designs import design_of
from archsearch.store.patience import patient
from archsearch.store.schema import StudyRow, TrialRow

NOISE_FLOOR, LATENCY_BATCH = "noise_floor", "latency_batch"  # keys of StudyInfo.facts


@dataclass(frozen=True, kw_only=True)
class StudyInfo:
    """One study as stored.

    Attributes:
        reference_point: each objective with its bound, or None until it is fixed.
        facts: versions, machine and data of its first run; as `latency_batch` and `noise_floor`, what was found at its
            start.
    """

    id: int
    name: str
    config: Mapping[str, Any]
    space: Mapping[str, Any]
    space_fingerprint: str
    reference_point: Mapping[str, float] | None
    facts: Mapping[str, Any]
    created_at: datetime

    @property
    def noise_floor(self) -> float:
        """The relative difference of two latencies from which on they differ; 0.0 if none was measured."""
        return float(self.facts.get(NOISE_FLOOR, {}).get("relative", 0.0))

    @property
    def latency_batch(self) -> StudyBatch | None:
        """The batch of its latencies, and whether widths differ in it; None where nobody asked."""
        found = self.facts.get(LATENCY_BATCH)
        return None if found is None else StudyBatch.from_dict(found)

    @property
    def noise_floor_seconds(self) -> float:
        """What measuring the noise floor took (seconds); 0.0 if none was measured."""
        return float(self.facts.get(NOISE_FLOOR, {}).get("measure_seconds", 0.0))


@patient
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
            return _info(row)
    except IntegrityError:  # another process entered it at the same moment
        return find_study(database, name)


@patient
def find_study(database: Database, name: str) -> StudyInfo:
    """The study of this name. Raises UnknownNameError with the names that exist."""
    with database.reading() as session:
        row = session.scalar(select(StudyRow).where(StudyRow.name == name))
        if row is None:
            raise UnknownNameError("study", name, session.scalars(select(StudyRow.name)).all())
        return _info(row)


@patient
def list_studies(database: Database) -> tuple[StudyInfo, ...]:
    """Every study, the newest last."""
    with database.reading() as session:
        return tuple(_info(row) for row in session.scalars(select(StudyRow).order_by(StudyRow.id)))


@patient
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
        return _info(made_from or row)


@patient
def fix_reference_point(database: Database, study_id: int, point: Mapping[str, float]) -> Mapping[str, float]:
    """Store the reference point of a study unless it has one; returns the one that holds.

    A hypervolume with a reference point that moves means nothing, so the first one stays.
    """
    with database.writing() as session:
        row = session.get_one(StudyRow, study_id, with_for_update=True)
        if row.reference_point is None:
            row.reference_point = dict(point)
        return dict(row.reference_point)


@patient
def fix_reference_latency(database: Database, study_id: int, p10_ms: float) -> float:
    """Store the reference network's p10 of a study unless it has one; returns the one that holds (milliseconds).

    Every latency of the study is scaled to it, so that a device that slows down for an hour reorders nothing.
    """
    with database.writing() as session:
        row = session.get_one(StudyRow, study_id, with_for_update=True)
        if row.reference_p10_ms is None:
            row.reference_p10_ms = p10_ms
        return row.reference_p10_ms


@patient
def has_begun(database: Database, study_id: int) -> bool:
    """Whether a study has its reference latency: what it was measured with stays then."""
    with database.reading() as session:
        return session.scalars(select(StudyRow.reference_p10_ms).where(StudyRow.id == study_id)).one() is not None


@patient
def begin_measuring(
    database: Database, study_id: int, *, reference_p10_ms: float, noise_floor: Mapping[str, Any]
) -> bool:
    """Store the reference network's p10 of a study together with its noise floor, unless it has begun already.

    A study that began without a noise floor keeps none: its front must not change under it.

    Args:
        reference_p10_ms: see `fix_reference_latency`.
        noise_floor: `relative` (difference from which on two latencies differ), `measure_seconds`, and more as
            measured; `StudyInfo.facts` has it as `noise_floor`.

    Returns whether it is what is stored now.
    """
    found = json.loads(json.dumps(dict(noise_floor)))  # as it comes back
    with database.writing() as session:
        row = session.get_one(StudyRow, study_id, with_for_update=True)
        if row.reference_p10_ms is not None:  # this very one, if the answer to its commit was lost
            return row.reference_p10_ms == reference_p10_ms and row.facts.get(NOISE_FLOOR) == found
        row.reference_p10_ms = reference_p10_ms
        row.facts = {**row.facts, NOISE_FLOOR: found}
        return True


def _info(row: StudyRow) -> StudyInfo:
    return StudyInfo(
        id=row.id,
        name=row.name,
        config=row.config,
        space=row.space,
        space_fingerprint=row.space_fingerprint,
        reference_point=row.reference_point,
        facts=row.facts,
        created_at=row.created_at,
    )
