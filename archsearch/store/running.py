"""Holding a study and its trials for writing: a trial ends once, whoever comes late.

Locks are taken in one order, the study before its trials: two orders would be a deadlock. They leave the keys free
(PostgreSQL's FOR NO KEY UPDATE; SQLite has one writer at a time anyway), so that a row which only refers to the study
does not wait.
"""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from archsearch.records import TrialStatus
from archsearch.store.schema import StudyRow, TrialRow

logger = logging.getLogger(__name__)


def lock_study(session: Session, study_id: int) -> None:
    """Hold a study to the end of the transaction: whoever changes which trials it has comes one after the other.

    Raises StoreError if there is no such study.
    """
    session.scalars(select(StudyRow.id).where(StudyRow.id == study_id).with_for_update(key_share=True)).one()


def lock_trial(session: Session, row_id: int) -> TrialRow:
    """A trial's row, held with its study to the end of the transaction.

    Raises StoreError if there is no such trial.
    """
    lock_study(session, session.scalars(select(TrialRow.study_id).where(TrialRow.id == row_id)).one())
    return session.get_one(TrialRow, row_id, with_for_update={"key_share": True})


def lock_if_running(session: Session, row_id: int) -> bool:
    """Whether a trial is running; if so, it stays so to the end of the transaction (its study is not held)."""
    held = select(TrialRow.status).where(TrialRow.id == row_id).with_for_update(key_share=True)
    return session.scalars(held).one() == TrialStatus.RUNNING


def earlier_end(row: TrialRow, *, status: TrialStatus, reason: str | None, seconds: float | None) -> bool | None:
    """None while a trial runs, so that its end may be written; else whether it has ended in just this way.

    The very same end again means that a commit went through but its answer was lost. Another one, which is warned of,
    comes to a worker whose heartbeat was silent for so long (a laptop's sleep, a lost network) that another one gave
    its slot back.
    """
    if row.status == TrialStatus.RUNNING:
        return None
    if (row.status, row.reason, row.seconds) == (status, reason, seconds):
        return True
    name = f"row {row.id}" if row.number is None else str(row.number)
    logger.warning(
        "trial %s was ended by another worker meanwhile (%s): this worker's result of it is dropped", name, row.status
    )
    return False
