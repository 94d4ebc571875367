"""What was measured of a study's networks: whoever goes on with one that was cut off need not measure it again."""

from __future__ import annotations

from sqlalchemy import select

from archsearch.records import Cost, Latency, TrialStatus
from archsearch.store.database import Database
from archsearch.store.retry import retried
from archsearch.store.rows import record_of, record_query
from archsearch.store.schema import LatencyRow, RepeatRow, StudyRow, TrialRow


@retried
def load_measured(
    database: Database, study_id: int, arch_id: str, *, variant: str | None = None
) -> tuple[Cost, Latency] | None:
    """Cost and latency of a network, from its newest trial in this study that has both; None if there is none.

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
    if record is None or record.cost is None or record.latency is None:
        return None
    return record.cost, record.latency


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
