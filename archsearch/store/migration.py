"""Bringing an older database to this version's tables: only ever something beside what is there.

| version | what it brought                                                                              |
|---------|----------------------------------------------------------------------------------------------|
| 2       | `archsearch_partials` and `archsearch_states`; indexes of the trials by variant and by told   |
| 3       | `archsearch_repeats`                                                                         |
| 4       | the column `checksums` of studies, trials, latencies, trainings and repeats                  |

No column of an older version changes, so whoever has the database open with an older version goes on undisturbed.
"""

from __future__ import annotations

from sqlalchemy import Connection, Table, inspect, select, text
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateColumn

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
