"""The layout of a paper's YAML file, checked by pydantic: what a person may write, and where it must be complete."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archsearch.errors import ConfigError, UnknownNameError
from archsearch.resources import read_yaml
from archsearch.validation import explain

# What a printed number is. The first three can be computed from the network alone.
Kind = Literal["params", "macs", "choices", "accuracy", "speed", "setting"]
COMPUTED_KINDS = ("params", "macs", "choices")
# `conv_linear_pool` is conv_linear with the head's average pool, one for each element that it reads.
Convention = Literal["conv", "conv_linear", "conv_linear_pool", "thop_0_0_31", "thop_0_1_1", "fvcore"]
# What one of a unit is, for those in which counts are printed.
UNITS = {"count": 1, "1e6": 10**6, "1e9": 10**9, "M": 10**6, "G": 10**9, "MFLOPs": 10**6}


class NumberFile(BaseModel):
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


class ColumnFile(NumberFile):
    """One column of a table: `metric` (default: the column's key) and the conditions of every value in it.

    `parts` says what each number of a list, or each named entry of a mapping, is; a list's are in its order.
    """

    metric: str | None = None
    conditions: str = ""
    parts: dict[str, NumberFile] = Field(default_factory=dict)


class RowFile(BaseModel):
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

    @property
    def values(self) -> dict[str, Any]:
        """Column to value, in the order of the file."""
        return dict(self.__pydantic_extra__ or {})


class ScaleFile(BaseModel):
    """Under which conditions a table's networks are built, where they are not the variant's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    input_size: int = Field(224, ge=1)
    num_classes: int = Field(1000, ge=1)
    choices: dict[str, str | int | float | bool] = Field(default_factory=dict)


class TableFile(BaseModel):
    """One printed table, or figure; `scale` says how its networks are built where the variants' own is not meant."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    table: str
    caption: str = Field(min_length=1)
    scale: ScaleFile | None = None
    columns: dict[str, ColumnFile] = Field(min_length=1)
    rows: list[RowFile] = Field(min_length=1)


class PaperFile(BaseModel):
    """A whole file: one source of printed numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key: str = Field(min_length=1)
    title: str = Field(min_length=1)
    reference: str = Field(min_length=1)
    source: str = Field(min_length=1)
    link: str = Field(min_length=1)
    tables: list[TableFile] = Field(min_length=1)


def read_paper(path: Path, reasons: Collection[str]) -> PaperFile:
    """The content of a paper's file.

    Args:
        reasons: the keys that a `reason` may name.

    Raises ConfigError naming file and key; UnknownNameError for a reason that is not known.
    """
    content = read_yaml(path)
    try:
        paper = PaperFile.model_validate(content)
    except ValidationError as error:
        raise explain(error, source=str(path), model=PaperFile) from error
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
    return paper


def read_reasons(path: Path) -> dict[str, str]:
    """Key to sentence. Raises ConfigError if a sentence is not text."""
    content = read_yaml(path)
    for key, text in content.items():
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"{path}: {key}: a sentence was expected, got {text!r}")
    return {key: " ".join(text.split()) for key, text in content.items()}


def _check_number(number: NumberFile, where: str) -> None:
    if number.kind in ("params", "macs") and number.unit not in UNITS:
        raise ConfigError(f"{where}.unit: a count's unit was expected, got '{number.unit}'", hint=", ".join(UNITS))
    if number.kind == "macs" and number.convention is None:
        raise ConfigError(f"{where}.convention: multiply-adds need a convention")
    if number.kind == "choices" and not number.choices:
        raise ConfigError(f"{where}.choices: name the choices that the values are compared with")
    parts = number.parts if isinstance(number, ColumnFile) else {}
    if number.kind not in COMPUTED_KINDS and number.reason is None and not parts:
        raise ConfigError(f"{where}.reason: say why it cannot be computed", hint="a key of reasons.yaml")


def _check_row(row: RowFile, table: TableFile, where: str) -> None:
    unknown = [key for key in row.values if key not in table.columns]
    if unknown:
        error = UnknownNameError("column", unknown[0], table.columns)
        raise ConfigError(f"{where}: {error.message}", hint=error.hint)
    if not row.values:
        raise ConfigError(f"{where}: no value", hint=f"columns: {', '.join(table.columns)}")
    for key, value in row.values.items():
        column = table.columns[key]
        if isinstance(value, list) and column.parts and len(value) != len(column.parts):
            raise ConfigError(f"{where}: {key}: {len(column.parts)} values were expected, got {len(value)}")
        kinds = {part.kind for part in column.parts.values()} or {column.kind}
        if row.variant is None and row.reason is None and kinds & set(COMPUTED_KINDS):
            raise ConfigError(f"{where}: a count without a variant needs a reason", hint="a key of reasons.yaml")


def _reasons(paper: PaperFile) -> Iterator[tuple[str, str]]:
    for table in paper.tables:
        for key, column in table.columns.items():
            for number in (column, *column.parts.values()):
                if number.reason is not None:
                    yield f"table {table.table}: columns.{key}.reason", number.reason
        for row in table.rows:
            if row.reason is not None:
                yield f"table {table.table}: row '{row.model}': reason", row.reason
