"""Bringing an older database to this version's tables: only ever something beside what is there.

| version | what it brought                                                                              |
|---------|----------------------------------------------------------------------------------------------|
| 2       | `archsearch_partials` and `archsearch_states`; indexes of the trials by variant and by told   |
| 3       | `archsearch_repeats`                                                                         |

No column of an older table changes, so whoever has the database open with an older version goes on undisturbed.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from archsearch.store.schema import SCHEMA_VERSION, Base, SchemaRow, TrialRow

OLDER_VERSIONS = range(1, SCHEMA_VERSION)


def migrate(session: Session) -> None:
    """Bring an older database to this version within the session's transaction, which must hold the write lock.

    Several processes may come at once: the first does it, the others wait and find it done.
    """
    row = session.scalars(select(SchemaRow).with_for_update()).one()
    if row.version not in OLDER_VERSIONS:
        return
    connection = session.connection()
    Base.metadata.create_all(connection)  # what is missing alone
    for index in TrialRow.metadata.tables[TrialRow.__tablename__].indexes:
        index.create(connection, checkfirst=True)
    row.version = SCHEMA_VERSION
