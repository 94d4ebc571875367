"""The numbers that papers and documentations print, as data: pydantic models of YAML files that a person writes.

A file says what a column's numbers are, and a row has a value for each column; `Row.values` puts the two together. What
a reader may compute of a number, and why the others cannot be, is part of the data.

Whether a computed number is the printed one: exactly, rounded to the digits that were printed, or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from archsearch.errors import ConfigError, UnknownNameError
from archsearch.resources import read_yaml
from archsearch.validation import explain

FOLDER = Path(__file__).resolve().parent
DATA = FOLDER / "data"
REASONS = FOLDER / "reasons.yaml"

# What a printed number is. The first three can be computed from the network alone.
Kind = Literal["params", "macs", "choices", "accuracy", "speed", "setting"]
COMPUTED_KINDS = ("params", "macs", "choices")
# `conv_linear_pool` is conv_linear with the head's average pool, one for each element that it reads.
Convention = Literal["conv", "conv_linear", "conv_linear_pool", "thop_0_0_31", "thop_0_1_1", "fvcore"]
# What one of a unit is, for those in which counts are printed.
UNITS = {"count": 1, "1e6": 10**6, "1e9": 10**9, "M": 10**6, "G": 10**9, "MFLOPs": 10**6}


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


class NumberKind(BaseModel):
    """What one number is, and what it is compared with.

    Attributes:
        kind: what it is.
        unit: as printed; a count's is a key of `UNITS`.
        decimals: digits printed after the point, where they are more than the YAML number shows (2.50).
        convention: how multiply-adds are counted.
        choices: names of the choices whose values a list gives, in its order.
        reason: the key in `reasons.yaml` of why the number cannot be computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Kind
    unit: str = ""
    decimals: int | None = Field(None, ge=0)
    convention: Convention | None = None
    choices: list[str] = Field(default_factory=list)
    reason: str | None = None


class PrintedColumn(NumberKind):
    """One column of a table: `metric` (default: the column's key) and the conditions of every value in it.

    `parts` says what each number of a list, or each named entry of a mapping, is; a list's are in its order.
    """

    metric: str | None = None
    conditions: str = ""
    parts: dict[str, NumberKind] = Field(default_factory=dict)


class Row(BaseModel):
    """One printed row: the model as printed, our name for it if archsearch builds it, and a value for each column.

    `reason` is the key of why a count differs or cannot be computed; `conditions` and `convention` are those of this
    row in place of its columns'. Every other key is a column.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    model: str = Field(min_length=1)
    variant: str | None = None
    convention: Convention | None = None
    conditions: str | None = None
    reason: str | None = None

    _columns: Mapping[str, PrintedColumn] = PrivateAttr(default_factory=dict)
    _reasons: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def cells(self) -> dict[str, Any]:
        """PrintedColumn to what is printed in it, in the order of the file."""
        return dict(self.__pydantic_extra__ or {})

    @cached_property
    def values(self) -> tuple[PrintedValue, ...]:
        """What is printed in each column, with what the columns say of it."""
        return tuple(self._value(key, value, self._columns[key]) for key, value in self.cells.items())

    def _value(self, key: str, value: Any, column: PrintedColumn) -> PrintedValue:
        return PrintedValue(
            column=key,
            metric=column.metric or key,
            value=value,
            unit=column.unit,
            conditions=column.conditions if self.conditions is None else self.conditions,
            numbers=tuple(self._numbers(key, value, column)),
        )

    def _numbers(self, key: str, value: Any, column: PrintedColumn) -> Iterator[Number]:
        if not column.parts:
            yield self._number(key, value, column)
        elif isinstance(value, dict):
            for label, part in column.parts.items():
                if value.get(label) is not None:
                    yield self._number(label, value[label], part)
        else:
            for (label, part), printed in zip(column.parts.items(), value, strict=True):
                yield self._number(label, printed, part)

    def _number(self, label: str, printed: Any, kind: NumberKind) -> Number:
        reason = self.reason if kind.kind in COMPUTED_KINDS else kind.reason
        return Number(
            label=label,
            printed=printed,
            kind=kind.kind,
            unit=kind.unit,
            decimals=kind.decimals,
            convention=(self.convention or kind.convention) if kind.kind == "macs" else None,
            choices=tuple(kind.choices),
            reason="" if reason is None else self._reasons[reason],
        )


class Scale(BaseModel):
    """Under which conditions a table's networks are built, where they are not the variant's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    input_size: int = Field(224, ge=1)
    num_classes: int = Field(1000, ge=1)
    choices: dict[str, str | int | float | bool] = Field(default_factory=dict)


class PrintedTable(BaseModel):
    """One printed table, or figure; `scale` says how its networks are built where the variants' own is not meant."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    table: str
    caption: str = Field(min_length=1)
    scale: Scale | None = None
    columns: dict[str, PrintedColumn] = Field(min_length=1)
    rows: list[Row] = Field(min_length=1)

    @property
    def values(self) -> tuple[PrintedValue, ...]:
        """Every value of the table."""
        return tuple(value for row in self.rows for value in row.values)


class Paper(BaseModel):
    """A whole file: one source of printed numbers.

    Attributes:
        key: what `--paper` takes.
        title, reference, link: what it is and where it can be read.
        source: the short name by which its numbers are cited.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key: str = Field(min_length=1)
    title: str = Field(min_length=1)
    reference: str = Field(min_length=1)
    source: str = Field(min_length=1)
    link: str = Field(min_length=1)
    tables: list[PrintedTable] = Field(min_length=1)


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
    """The paper in a file.

    Args:
        reasons: the sentences that a `reason` may name, by their keys.

    Raises ConfigError naming file and key; UnknownNameError for a reason that is not known.
    """
    content = read_yaml(path)
    try:
        paper = Paper.model_validate(content)
    except ValidationError as error:
        raise explain(error, source=str(path), model=Paper) from error
    for table in paper.tables:
        for column_key, column in table.columns.items():
            for number in (column, *column.parts.values()):
                _check_number(number, f"{path}: table {table.table}: columns.{column_key}")
        for row in table.rows:
            _check_row(row, table, f"{path}: table {table.table}: row '{row.model}'")
    for where, reason in _reasons(paper):
        if reason not in reasons:
            unknown = UnknownNameError("reason", reason, reasons)
            raise ConfigError(f"{path}: {where}: {unknown.message}", hint=unknown.hint)
    for table in paper.tables:
        for row in table.rows:
            row._columns, row._reasons = table.columns, reasons
    return paper


def read_reasons(path: Path) -> dict[str, str]:
    """Key to sentence. Raises ConfigError if a sentence is not text."""
    content = read_yaml(path)
    for key, text in content.items():
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"{path}: {key}: a sentence was expected, got {text!r}")
    return {key: " ".join(text.split()) for key, text in content.items()}


def _check_number(number: NumberKind, where: str) -> None:
    if number.kind in ("params", "macs") and number.unit not in UNITS:
        raise ConfigError(f"{where}.unit: a count's unit was expected, got '{number.unit}'", hint=", ".join(UNITS))
    if number.kind == "macs" and number.convention is None:
        raise ConfigError(f"{where}.convention: multiply-adds need a convention")
    if number.kind == "choices" and not number.choices:
        raise ConfigError(f"{where}.choices: name the choices that the values are compared with")
    parts = number.parts if isinstance(number, PrintedColumn) else {}
    if number.kind not in COMPUTED_KINDS and number.reason is None and not parts:
        raise ConfigError(f"{where}.reason: say why it cannot be computed", hint="a key of reasons.yaml")


def _check_row(row: Row, table: PrintedTable, where: str) -> None:
    unknown = [key for key in row.cells if key not in table.columns]
    if unknown:
        error = UnknownNameError("column", unknown[0], table.columns)
        raise ConfigError(f"{where}: {error.message}", hint=error.hint)
    if not row.cells:
        raise ConfigError(f"{where}: no value", hint=f"columns: {', '.join(table.columns)}")
    for key, value in row.cells.items():
        column = table.columns[key]
        if isinstance(value, list) and column.parts and len(value) != len(column.parts):
            raise ConfigError(f"{where}: {key}: {len(column.parts)} values were expected, got {len(value)}")
        kinds = {part.kind for part in column.parts.values()} or {column.kind}
        if row.variant is None and row.reason is None and kinds & set(COMPUTED_KINDS):
            raise ConfigError(f"{where}: a count without a variant needs a reason", hint="a key of reasons.yaml")


def _reasons(paper: Paper) -> Iterator[tuple[str, str]]:
    for table in paper.tables:
        for key, column in table.columns.items():
            for number in (column, *column.parts.values()):
                if number.reason is not None:
                    yield f"table {table.table}: columns.{key}.reason", number.reason
        for row in table.rows:
            if row.reason is not None:
                yield f"table {table.table}: row '{row.model}': reason", row.reason


_SUFFIXES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMG]?)")


class Agreement(StrEnum):
    """How a printed number and a computed one compare."""

    EXACT = "exact"  # every digit was printed, and is the same
    ROUNDS = "rounds to it"  # the computed number, rounded to the printed digits, is the printed one
    DIFFERS = "differs"


@dataclass(frozen=True, kw_only=True)
class Match:
    """The result of one comparison.

    Attributes:
        agreement: exact, rounds to it, or differs.
        difference: computed minus printed, relative to printed; None where the two are no counts, or nothing differs.
    """

    agreement: Agreement
    difference: float | None = None


def compare(printed: Any, computed: Any, *, unit: int = 1, decimals: int | None = None) -> Match:
    """Compare a printed value with a computed one.

    Args:
        printed: a count as a number, or as text with its suffix (`2.3G`); or a list, compared element by element.
        computed: a whole number; a sequence for a list.
        unit: what the printed number counts (1, 10**6, 10**9); a suffix in the text takes its place.
        decimals: digits printed after the point; None: as many as `printed` shows.

    A printed whole number with unit 1 is a count in full, so it must be equal; any other has been rounded (half up),
    and the computed one is rounded to as many digits. Raises ValueError if `printed` is not a number.
    """
    if isinstance(printed, Sequence) and not isinstance(printed, str):
        return Match(agreement=Agreement.EXACT if list(printed) == list(computed) else Agreement.DIFFERS)
    number, unit = _read(printed, unit)
    digits = decimals if decimals is not None else max(0, -int(number.as_tuple().exponent))
    if unit == 1 and digits == 0:
        if number == computed:
            return Match(agreement=Agreement.EXACT)
    else:
        step = Decimal(1).scaleb(-digits)
        if (Decimal(computed) / unit).quantize(step, rounding=ROUND_HALF_UP) == number.quantize(step):
            return Match(agreement=Agreement.ROUNDS)
    whole = number * unit
    return Match(agreement=Agreement.DIFFERS, difference=float((computed - whole) / whole) if whole else None)


def _read(printed: Any, unit: int) -> tuple[Decimal, int]:
    if isinstance(printed, str):
        found = _COUNT.fullmatch(printed.strip())
        if found is None:
            raise ValueError(f"not a printed count: '{printed}'")
        return Decimal(found[1]), _SUFFIXES[found[2]] if found[2] else unit
    try:
        if isinstance(printed, bool):
            raise InvalidOperation
        return Decimal(str(printed)), unit
    except InvalidOperation as error:
        raise ValueError(f"not a printed count: {printed!r}") from error


# Counts of the named networks as data: they never change, and counting them all takes two minutes.
#
# `benchmarks/paper_counts.py` writes the file; tests count all of them anew.

FILE = Path(__file__).resolve().parent / "counts.json"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Trainable parameters, and multiply-adds of one image by convention, of one network."""

    params: int
    macs: Mapping[str, int]


def key_of(arch_id: str, *, input_size: int, num_classes: int) -> str:
    """What a network's counts are known by; `input_size` in pixels."""
    return f"{arch_id} {input_size} {num_classes}"


def stored_counts(arch_id: str, *, input_size: int, num_classes: int) -> Counts | None:
    """The counts of a network; None if it is no named one at its printed conditions."""
    return _stored().get(key_of(arch_id, input_size=input_size, num_classes=num_classes))


def text_of(counts: Mapping[str, Counts]) -> str:
    """The file that holds these counts."""
    return json.dumps({key: asdict(counts[key]) for key in sorted(counts)}, indent=0) + "\n"


@cache
def _stored() -> Mapping[str, Counts]:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return {key: Counts(params=found["params"], macs=found["macs"]) for key, found in content.items()}
