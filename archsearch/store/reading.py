"""The one place where what a database gives back becomes values: parsed, compared with checksums, or refused by name.

A database is a file that may come from anywhere, and a disk may change a digit. Whatever cannot be what was stored is a
StoreError that names the study, the trial and the column.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Text, cast, func, null, select
from sqlalchemy.orm import Session

from archsearch.errors import StoreError, shown
from archsearch.store.schema import (
    Base,
    Checked,
    Json,
    RepeatRow,
    StudyRow,
    TrainingRow,
    TrialRow,
    checksum,
)
from archsearch.validation import must_be

_TAKE_IT = "put a copy of the database back; or set `checksums` of that row to NULL to take it as it is"


def raw_columns(kind: type[Base], names: Sequence[str], *, checked: bool) -> list[ColumnElement[Any]]:
    """The columns of a table as `values_of` takes them: JSON as text, then the checksums (NULL if they are not there).

    Args:
        checked: whether the database has checksums (`Database.checked`).
    """
    table = kind.__table__

    def raw(name: str) -> ColumnElement[Any]:
        column = table.c[name]
        text = cast(column, Text) if isinstance(column.type, Json) else column
        return text.label(f"{kind.__tablename__}_{name}")

    with_checksums = checked and issubclass(kind, Checked)
    checksums = raw("checksums") if with_checksums else null().label(f"{kind.__tablename__}_checksums")
    return [*map(raw, names), checksums]


def values_of(kind: type[Base], names: Sequence[str], found: Sequence[Any], where: str) -> dict[str, Any]:
    """The values of a row of `raw_columns`, by column.

    Args:
        kind, names: as they were asked for.
        found: the row, or the part of one.
        where: the study and the trial, for people.

    Raises StoreError for a column that was changed since it was stored, or holds no JSON.
    """
    *raw, said = found
    table = kind.__table__
    known = parsed(said, f"{where}: column 'checksums' of {kind.__tablename__}")
    known = {} if known is None else known
    values = {}
    for name, value in zip(names, raw, strict=True):
        column = table.c[name]
        place = f"{where}: column '{name}' of {kind.__tablename__}"
        wanted = known.get(name) if isinstance(known, dict) else ""
        if wanted is not None and wanted != checksum(column.type, value):
            raise StoreError(f"{place} was changed after it was stored", hint=_TAKE_IT)
        values[name] = parsed(value, place) if isinstance(column.type, Json) else value
    return values


def parsed(text: Any, place: str) -> Any:
    """The value of a JSON column's text; None of none. Raises StoreError for what is no JSON."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{place} holds no JSON: {shown(text)}", hint="put a copy of the database back") from error


def check_all_read(
    session: Session,
    kind: type[TrialRow | TrainingRow | RepeatRow],
    study_id: int,
    where: str,
    *,
    read: int,
    among: ColumnElement[bool] | None = None,
) -> None:
    """Raise StoreError if a row of a damaged SQLite file was not found, as one of no study or none of the index.

    Args:
        kind: the table.
        study_id, where: the study whose rows were read, by way of an index, and what it is called.
        read: how many there were.
        among: which of the study's; None: all.
    """
    if session.get_bind().dialect.name != "sqlite":
        return  # a server looks after its pages and references, and each of its queries sees a moment of its own
    table = kind.__tablename__
    stray = session.scalars(select(kind.id).where(kind.study_id.not_in(select(StudyRow.id))).limit(1)).first()
    if stray is not None:
        raise StoreError(
            f"{where}: row {stray} of {table} has lost its study",
            hint="put a copy of the database back, or delete that row",
        )
    # Without an index (+ 0): in a damaged file that one may list other rows than there are.
    there = select(func.count()).select_from(kind).where(kind.study_id + 0 == study_id)
    if session.scalars(there if among is None else there.where(among)).one() != read:
        raise StoreError(f"{where}: the index of {table} is damaged", hint="REINDEX, by sqlite3")


@contextmanager
def read_as_stored(where: str) -> Iterator[None]:
    """Inside it, a value of another kind than archsearch stores is a StoreError that says where it stands."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = f"{key}: {must_be([first])}, got {shown(first['input'])}"
        raise StoreError(f"{where} is damaged: {what.removeprefix(': ')}", hint=_COPY) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise StoreError(f"{where} is damaged: {type(error).__name__}: {error}", hint=_COPY) from error


_COPY = "put a copy of the database back"


class Stored(dict[str, Any]):
    """A stored mapping of which a key that archsearch always stores is missing: a StoreError instead of a KeyError."""

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        super().__init__(content)
        self._where = where

    def __missing__(self, key: str) -> Any:
        raise StoreError(f"{self._where} is damaged: '{key}' is missing", hint=_COPY)
