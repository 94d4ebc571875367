"""What was measured of a study's networks: whoever goes on with one that was cut off need not measure it again."""

from __future__ import annotations

from sqlalchemy import select

from archsearch.records import Cost, Latency
from archsearch.store.database import Database
from archsearch.store.retry import retried
from archsearch.store.rows import record_of, record_query
from archsearch.store.schema import LatencyRow, StudyRow, TrialRow


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
    """Latency over the reference's, as the study fixed that, of each network of a study that was measured.

    Told from p10, without the correction for drift: a measure of size. Empty while the study has no reference latency.
    """
    reference = select(StudyRow.reference_p10_ms).where(StudyRow.id == study_id)
    query = (
        select(TrialRow.arch_id, LatencyRow.p10_ms)
        .join(LatencyRow, LatencyRow.id == TrialRow.latency_id)
        .where(TrialRow.study_id == study_id)
        .order_by(TrialRow.id.desc())
    )
    with database.reading() as session:
        reference_ms = session.scalars(reference).one()
        if reference_ms is None:
            return {}
        return {arch_id: p10_ms / reference_ms for arch_id, p10_ms in session.execute(query) if arch_id is not None}
