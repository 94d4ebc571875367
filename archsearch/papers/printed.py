"""The printed numbers of the papers, frozen, each with its paper, table, row, unit and conditions. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from archsearch.errors import ConfigError, UnknownNameError
from archsearch.papers.schema import (
    COMPUTED_KINDS,
    ColumnFile,
    NumberFile,
    RowFile,
    TableFile,
    read_paper,
    read_reasons,
)

FOLDER = Path(__file__).resolve().parent
DATA = FOLDER / "data"
REASONS = FOLDER / "reasons.yaml"


@dataclass(frozen=True, kw_only=True)
class Number:
    """One number of a printed value.

    Attributes:
        label: what it is called: the column, or its name within a list.
        printed: as printed, in `unit`; text, a list or None where the paper has no plain number.
        kind: params, macs, choices, accuracy, speed or setting.
        unit: as printed.
        decimals: digits that were printed after the point, where `printed` does not show them all (2.50).
        convention: how multiply-adds are counted; None for anything else.
        choices: the choices whose values a list gives.
        reason: why it cannot be computed, or is known to differ; empty if nothing is known.
    """

    label: str
    printed: Any
    kind: str
    unit: str = ""
    decimals: int | None = None
    convention: str | None = None
    choices: tuple[str, ...] = ()
    reason: str = ""

    @property
    def computed_kind(self) -> bool:
        """Whether the network alone decides this number."""
        return self.kind in COMPUTED_KINDS


@dataclass(frozen=True, kw_only=True)
class PrintedValue:
    """What stands in one cell of a printed table; `numbers` are what it holds, mostly one."""

    column: str
    metric: str
    value: Any
    unit: str
    conditions: str
    numbers: tuple[Number, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One printed row: the model as printed, and our variant if archsearch builds the network."""

    model: str
    variant: str | None
    reason: str
    values: tuple[PrintedValue, ...]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Under which conditions a table's networks are built (pixels, outputs, choices set)."""

    input_size: int
    num_classes: int
    choices: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Column:
    """The head of a column: its unit, and the conditions of the values in it whose row has none of its own."""

    key: str
    metric: str
    unit: str
    conditions: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """One printed table; `scale` is None where the variants' own conditions hold."""

    table: str
    caption: str
    scale: Scale | None
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def values(self) -> tuple[PrintedValue, ...]:
        """Every value of the table."""
        return tuple(value for row in self.rows for value in row.values)


@dataclass(frozen=True, kw_only=True)
class Paper:
    """One source of printed numbers.

    Attributes:
        key: what `--paper` takes.
        title, reference, link: what it is and where it can be read.
        source: the short name by which its numbers are cited.
    """

    key: str
    title: str
    reference: str
    source: str
    link: str
    tables: tuple[Table, ...]


@cache
def load_papers() -> tuple[Paper, ...]:
    """Every paper that is shipped, in the order of their keys. Raises ConfigError naming file and key."""
    reasons = read_reasons(REASONS)
    papers = tuple(load_paper(path, reasons) for path in sorted(DATA.glob("*.yaml")))
    if not papers:
        raise ConfigError(f"the folder {DATA} of the printed numbers is empty", hint="install archsearch again")
    return papers


def find_paper(key: str) -> Paper:
    """The paper of this key. Raises UnknownNameError with the nearest one."""
    papers = {paper.key: paper for paper in load_papers()}
    if key not in papers:
        raise UnknownNameError("paper", key, papers)
    return papers[key]


def load_paper(path: Path, reasons: Mapping[str, str]) -> Paper:
    """The paper in a file; `reasons` are the sentences that its keys stand for. Raises ConfigError."""
    content = read_paper(path, reasons)
    return Paper(
        key=content.key,
        title=content.title,
        reference=content.reference,
        source=content.source,
        link=content.link,
        tables=tuple(_table(table, reasons) for table in content.tables),
    )


def _table(content: TableFile, reasons: Mapping[str, str]) -> Table:
    scale = content.scale
    return Table(
        table=content.table,
        caption=content.caption,
        scale=None
        if scale is None
        else Scale(input_size=scale.input_size, num_classes=scale.num_classes, choices=dict(scale.choices)),
        columns=tuple(
            Column(
                key=key,
                metric=column.metric or key,
                unit=column.unit,
                conditions=column.conditions,
            )
            for key, column in content.columns.items()
        ),
        rows=tuple(_row(row, content.columns, reasons) for row in content.rows),
    )


def _row(content: RowFile, columns: Mapping[str, ColumnFile], reasons: Mapping[str, str]) -> Row:
    return Row(
        model=content.model,
        variant=content.variant,
        reason="" if content.reason is None else reasons[content.reason],
        values=tuple(
            PrintedValue(
                column=key,
                metric=columns[key].metric or key,
                value=value,
                unit=columns[key].unit,
                conditions=columns[key].conditions if content.conditions is None else content.conditions,
                numbers=tuple(_numbers(key, value, content, columns[key], reasons)),
            )
            for key, value in content.values.items()
        ),
    )


def _numbers(key: str, value: Any, row: RowFile, column: ColumnFile, reasons: Mapping[str, str]) -> Iterator[Number]:
    if not column.parts:
        yield _number(key, value, column, row, reasons)
    elif isinstance(value, dict):
        for label, part in column.parts.items():
            if value.get(label) is not None:
                yield _number(label, value[label], part, row, reasons)
    else:
        for (label, part), printed in zip(column.parts.items(), value, strict=True):
            yield _number(label, printed, part, row, reasons)


def _number(label: str, printed: Any, content: NumberFile, row: RowFile, reasons: Mapping[str, str]) -> Number:
    computed = content.kind in COMPUTED_KINDS
    reason = row.reason if computed else content.reason
    return Number(
        label=label,
        printed=printed,
        kind=content.kind,
        unit=content.unit,
        decimals=content.decimals,
        convention=(row.convention or content.convention) if content.kind == "macs" else None,
        choices=tuple(content.choices),
        reason="" if reason is None else reasons[reason],
    )
