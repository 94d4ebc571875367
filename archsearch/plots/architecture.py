"""A network as a drawing: its parts in the order of the data, what each costs, and what differs from a baseline.

`architecture_figure` draws it. Nothing here imports torch: the layer table is made by the caller
(`archsearch.cost.layers`), and without one the drawing says what the choices say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from archsearch.analysis.baseline import Baseline
from archsearch.errors import ArchsearchError
from archsearch.models.families import FAMILIES
from archsearch.models.spec import Spec
from archsearch.plots.architecture_parts import ADDED, CHANGED, GONE, Differences, Op, UnitDiagram, chain
from archsearch.plots.architecture_units import UNITS, Units
from archsearch.records import Cost, Record
from archsearch.table import Column, InNotebooks, Table
from archsearch.text import count_text, level_text, percent_text

if TYPE_CHECKING:
    from archsearch.cost.layers import Layer

_SILENT = ("batch norm", "re lu", "re lu6", "dropout", "flatten")  # rows that cost nothing and say little


@dataclass(frozen=True, kw_only=True)
class Change:
    """One choice that differs from the baseline's."""

    choice: str
    value: str
    base: str

    @property
    def sentence(self) -> str:
        """`stage2.kernel 5 (baseline 3)`."""
        return f"{self.choice} {self.value} (baseline {self.base})"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the network: the stem, a stage, a layer, the head.

    Attributes:
        units: in the order of the data.
        output_shape: (channels, height, width) or (features,) of what it emits; None without a layer table.
        params, macs: of the whole part; None without a layer table.
        params_percent, macs_percent: its share of the network's.
        changes: the choices of this part that differ from the baseline's.
    """

    name: str
    units: tuple[UnitDiagram, ...]
    output_shape: tuple[int, ...] | None
    params: int | None
    macs: int | None
    params_percent: float | None
    macs_percent: float | None
    changes: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True)
class Architecture(InNotebooks):
    """What the drawing shows, an `archsearch.table.Result`; text is plain.

    Attributes:
        parts: in the order of the data.
        changes: those that belong to no single part.
        params, macs: of the whole network; None where they are not known.
        empty: why there is nothing to draw, or None.
    """

    title: str = "Architecture"
    subtitle: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    changes: tuple[Change, ...] = ()
    params: int | None = None
    macs: int | None = None
    sentences: tuple[str, ...] = ()
    method: str = ""
    warnings: tuple[str, ...] = ()
    empty: str | None = None

    @property
    def signs(self) -> str:
        """What the signs in the drawing mean; empty where nothing differs."""
        if not self.changes and not any(part.changes for part in self.parts):
            return ""
        return f"{CHANGED} differs from the baseline   {ADDED} not in the baseline   {GONE} only in the baseline"

    def tables(self) -> tuple[Table, ...]:
        """The parts with their costs, and every choice that differs from the baseline."""
        changes = [("", change) for change in self.changes]
        changes += [(part.name, change) for part in self.parts for change in part.changes]
        return (
            Table(
                title="The parts of the network",
                columns=(
                    Column(title="Part", whole=True),
                    Column(title="Output", whole=True),
                    Column(title="MACs", decimals=0),
                    Column(title="MACs (%)", decimals=1),
                    Column(title="Params", decimals=0),
                    Column(title="Params (%)", decimals=1),
                ),
                rows=tuple(
                    (
                        part.name,
                        " × ".join(map(str, part.output_shape or ())),
                        part.macs,
                        part.macs_percent,
                        part.params,
                        part.params_percent,
                    )
                    for part in self.parts
                ),
            ),
            Table(
                title="What differs from the baseline",
                columns=tuple(Column(title=title, whole=True) for title in ("Part", "Choice", "Here", "Baseline")),
                rows=tuple((part, change.choice, change.value, change.base) for part, change in changes),
            ),
        )


def architecture_of(
    spec: Spec,
    baseline: Spec | None = None,
    layers: Sequence[Layer] | None = None,
    *,
    name: str = "",
    baseline_name: str = "",
    baseline_layers: Sequence[Layer] | None = None,
    input_size: int | None = None,
    cost: Cost | None = None,
) -> Architecture:
    """The drawing of a network.

    Args:
        spec: the network.
        baseline: what it is compared with; None, or a network of another family: with nothing.
        layers, baseline_layers: the layer tables, for shapes and costs. Without one there are neither.
        name, baseline_name: what the two are called; by default by their ids.
        input_size: height and width (pixels) that the tables were made at.
        cost: of the whole network, for the heading where there is no layer table.
    """
    if baseline is not None and input_size is not None:
        baseline = baseline.normalised(input_size)
    differences = Differences(spec, baseline)
    units = UNITS[spec.family](spec, differences) if spec.family in UNITS else {}
    rows = list(layers or ())
    found = _by_part(rows, units) if units else _by_map(rows)
    params, macs = _totals(rows) if rows else (None, None)
    if cost is not None and not rows:
        params, macs = cost.params, cost.macs
    changes = [
        Change(choice=choice, value=level_text(spec.choices()[choice]), base=level_text(differences.base[choice]))
        for choice in differences.names()
    ]
    named = units or found
    parts = []
    for part, of_part in ((part, found.get(part, ((), ()))) for part in named):
        made, its_rows = of_part
        shape = next((row.output_shape for row in reversed(its_rows)), None)
        part_params, part_macs = _totals(its_rows) if rows else (None, None)
        parts.append(
            Part(
                name=part,
                units=units.get(part, made),
                output_shape=shape,
                params=part_params,
                macs=part_macs,
                params_percent=_percent(part_params, params),
                macs_percent=_percent(part_macs, macs),
                changes=tuple(change for change in changes if change.choice.partition(".")[0] == part),
            )
        )
    of_no_part = tuple(change for change in changes if change.choice.partition(".")[0] not in named)
    return Architecture(
        title=f"Architecture: {name or spec.arch_id}",
        subtitle=tuple(
            line
            for line in (
                _facts_line(spec, params, macs, input_size, name),
                _baseline_line(spec, baseline, baseline_name, baseline_layers, params, macs, changes),
                "; ".join(change.sentence for change in of_no_part),
            )
            if line
        ),
        parts=tuple(parts),
        changes=of_no_part,
        params=params,
        macs=macs,
        empty=None if parts else f"No layer table of this network, and its family ({spec.family}) is drawn from it",
    )


def record_architecture(record: Record | None, *, study: str, baseline: Baseline | None = None) -> Architecture:
    """The drawing of a stored network, without a layer table: that would need torch.

    Args:
        baseline: what it is compared with; None: its family's base.
    """
    title = f"Architecture: study {study}"
    if record is None:
        return Architecture(title=title, empty="No complete network to draw")
    if record.family not in FAMILIES:
        return Architecture(title=title, empty=f"No drawing: the family {record.family} is not known here")
    base = FAMILIES[record.family].base
    try:
        spec = base.with_choices(record.choices)
        if baseline is not None:
            base = base.with_choices(baseline.choices)
    except ArchsearchError as error:
        return Architecture(title=title, empty=f"No drawing: {error}")
    return architecture_of(
        spec,
        base,
        name=f"{record.label} of study {study}",
        baseline_name=record.family if baseline is None else baseline.name,
        input_size=None if record.cost is None else record.cost.input_size,
        cost=record.cost,
    )


def _totals(rows: Sequence[Layer]) -> tuple[int, int]:
    return sum(row.params for row in rows), sum(row.macs for row in rows)


def _percent(value: int | None, total: int | None) -> float | None:
    return None if value is None or not total else 100.0 * value / total


def _by_part(rows: Sequence[Layer], units: Units) -> dict[str, tuple[tuple[UnitDiagram, ...], list[Layer]]]:
    """The rows of each part. A row that names none is the stem's before the first stage, the head's after the last
    one, and the next stage's in between, as a pool is."""
    found: dict[str, tuple[tuple[UnitDiagram, ...], list[Layer]]] = {part: ((), []) for part in units}
    waiting: list[Layer] = []
    started = False
    for row in rows:
        part = next((piece for piece in row.name.split(".") if piece in units), None)
        if part is None:
            waiting.append(row)
            continue
        if not started and part != "stem" and "stem" in units:
            found["stem"][1].extend(waiting)
            waiting = []
        started = started or part != "stem"
        found[part][1].extend([*waiting, row])
        waiting = []
    found["head"][1].extend(waiting)
    return found


def _by_map(rows: Sequence[Layer]) -> dict[str, tuple[tuple[UnitDiagram, ...], list[Layer]]]:
    """Of a family that we know no more of: the rows by the size of their maps, equal ones in a row as one."""
    found: dict[str, tuple[tuple[UnitDiagram, ...], list[Layer]]] = {}
    for size, same_size in groupby(rows, key=lambda row: row.output_shape[1:]):
        part_rows = list(same_size)
        units = []
        for _, equal in groupby(part_rows, key=lambda row: (row.kind, row.output_shape, row.macs)):
            row, *others = list(equal)
            if not row.macs and row.kind in _SILENT:
                continue
            kind = row.name.rpartition(".")[2] if row.kind in _SILENT else row.kind
            units.append(chain("", (_op_of(kind, row, times=len(others) + 1),)))
        name = " × ".join(map(str, size)) if size else "features"
        while name in found:  # a map that grows again
            name += " again"
        found[name] = (tuple(units), part_rows)
    return found


def _op_of(kind: str, row: Layer, *, times: int) -> Op:
    which = "pool" if "pool" in kind else "linear" if len(row.output_shape) == 1 else "conv"
    text = kind if which == "pool" else f"{kind} → {row.output_shape[0]}"
    return Op(text=text + (f", {times} times" if times > 1 else ""), kind=which)


def _facts_line(spec: Spec, params: int | None, macs: int | None, input_size: int | None, name: str) -> str:
    parts = [spec.family, f"arch_id {spec.arch_id}" if name else ""]
    if params is not None and macs is not None:
        parts += [f"{input_size}×{input_size} pixels" if input_size else ""]
        parts += [f"{count_text(params)} params", f"{count_text(macs)} MACs of one image"]
    return " · ".join(part for part in parts if part)


def _baseline_line(
    spec: Spec,
    baseline: Spec | None,
    name: str,
    layers: Sequence[Layer] | None,
    params: int | None,
    macs: int | None,
    changes: Sequence[Change],
) -> str:
    if baseline is None:
        return ""
    called = name or baseline.arch_id
    if baseline.family != spec.family:
        return f"Not compared with {called}, which is of another family ({baseline.family})"
    if not changes:
        return f"Baseline {called}: the same network"
    count = f"{len(changes)} choice{'' if len(changes) == 1 else 's'} differ{'s' if len(changes) == 1 else ''}"
    line = f"Baseline {called}: {count}"
    if layers and params is not None and macs is not None:
        base_params, base_macs = _totals(layers)
        line += f"; params {_ratio(params, base_params)}, MACs {_ratio(macs, base_macs)}"
    return line


def _ratio(value: int, base: int) -> str:
    if not base or value == base:
        return "as many" if value == base else "not comparable"
    return f"{'+' if value > base else '−'}{percent_text(abs(100.0 * (value / base - 1.0)))}"
