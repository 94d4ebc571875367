"""The data of any info as tables, for the page beside its figure: one table for each tuple of dataclasses in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from archsearch.table import Cell, Column, Table

_UNITS = {"ms": "ms", "percent": "%", "seconds": "s", "bytes": "bytes", "points": "points"}
_DECIMALS = {"ms": 3, "percent": 2, "seconds": 1, "points": 2}
_WHOLE = ("label", "name", "arch_id", "variant")


def info_tables(info: Any) -> tuple[Table, ...]:
    """A table for each field of the info that holds dataclasses; numbers within them are columns with their units.

    Sequences within a row stand in one cell; dataclasses within a row are columns of their own.
    """
    return tuple(
        _table(each.name, rows)
        for each in fields(info)
        if isinstance(rows := getattr(info, each.name), tuple) and rows and all(is_dataclass(row) for row in rows)
    )


def rounded(value: float | None) -> float | None:
    """Six significant digits, which is more than anything was measured to; None for what is not finite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def column_title(name: str) -> str:
    """A field's name as a column's title, its unit in brackets: `p10_ms` is `P10 (ms)`."""
    head, _, last = name.rpartition("_")
    unit = _UNITS.get(last)
    words = (head if unit and head else name).replace("_", " ").replace(".", " ")
    text = words[:1].upper() + words[1:]
    return f"{text} ({unit})" if unit and head else text


def _table(name: str, rows: tuple[Any, ...]) -> Table:
    found = [dict(_cells(row)) for row in rows]
    names = list(dict.fromkeys(key for row in found for key in row))
    columns = tuple(_column(key, [row.get(key) for row in found]) for key in names)
    return Table(
        title=column_title(name),
        columns=columns,
        rows=tuple(tuple(row.get(key) for key in names) for row in found),
    )


def _column(name: str, values: list[Cell]) -> Column:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not numbers or any(isinstance(value, str | bool) for value in values):
        return Column(title=column_title(name), whole=name.rpartition(".")[2] in _WHOLE)
    whole = all(isinstance(value, int) for value in numbers)
    decimals = 0 if whole else _DECIMALS.get(name.rpartition("_")[2], 4)
    return Column(title=column_title(name), decimals=decimals, trial=name == "trial")


def _cells(row: Any, prefix: str = "") -> Iterator[tuple[str, Cell]]:
    for each in fields(row):
        value = getattr(row, each.name)
        if is_dataclass(value):
            yield from _cells(value, f"{prefix}{each.name}.")
        else:
            yield f"{prefix}{each.name}", _cell(value)


def _cell(value: Any) -> Cell:
    if isinstance(value, float):
        return rounded(value)
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, tuple | list):
        return ", ".join(_text(item) for item in value)
    return str(value)


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " ".join(_text(item) for item in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
