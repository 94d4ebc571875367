"""What was measured of a network before its training was cut off: whoever goes on with it need not measure it again."""

from __future__ import annotations

from archsearch.records import Cost, Latency
from archsearch.store.database import Database
from archsearch.store.patience import patient
from archsearch.store.rows import record_of, record_query
from archsearch.store.schema import TrialRow


@patient
def load_measured(
    database: Database, study_id: int, arch_id: str, *, variant: str | None = None
) -> tuple[Cost, Latency] | None:
    """Cost and latency of a network, from its newest trial in this study that has both; None if there is none.

    With `variant` only from trials of that name, or of that key of a design.
    """
    query = (
        record_query(study_id, with_curves=False)
        .where(TrialRow.arch_id == arch_id, TrialRow.latency_id.is_not(None))
        .order_by(None)
        .order_by(TrialRow.id.desc())
        .limit(1)
    )
    if variant is not None:
        query = query.where(TrialRow.variant == variant)
    with database.reading() as session:
        row = session.execute(query).first()
    record = None if row is None else record_of(row, "")
    if record is None or record.cost is None or record.latency is None:
        return None
    return record.cost, record.latency
