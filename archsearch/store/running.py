"""The row of a running trial, held for writing its end: a trial ends once, whoever comes late."""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from archsearch.records import TrialStatus
from archsearch.store.schema import StudyRow, TrialRow

logger = logging.getLogger(__name__)


def lock_running(session: Session, row_id: int) -> TrialRow | None:
    """The trial's row, held to the end of the transaction; None, with a warning, if the trial has ended already.

    That happens to a worker whose heart was silent for so long (a laptop's sleep, a lost network) that another one
    gave its place back. The study's row is held first, as everywhere: two orders of locking would be a deadlock.

    Raises sqlalchemy.exc.NoResultFound if there is no such trial.
    """
    study_id = session.scalars(select(TrialRow.study_id).where(TrialRow.id == row_id)).one()
    session.get_one(StudyRow, study_id, with_for_update=True)
    row = session.get_one(TrialRow, row_id, with_for_update=True)
    if row.status == TrialStatus.RUNNING:
        return row
    name = f"row {row_id}" if row.number is None else str(row.number)
    logger.warning(
        "trial %s was ended by another worker meanwhile (%s): this worker's result of it is dropped", name, row.status
    )
    return None
