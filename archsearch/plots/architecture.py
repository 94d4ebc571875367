"""A network as a drawing: its parts in the order of the data, what each costs, and what differs from a baseline.

`architecture_figure` draws it. Nothing here imports torch: the layer table is made by the caller
(`archsearch.cost.architecture`), and without one the drawing says what the choices say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from archsearch.analysis.baseline import Baseline
from archsearch.errors import ArchsearchError
from archsearch.models.families import FAMILIES
from archsearch.models.spec import Spec
from archsearch.models.specs.mobilenet_v3_ldc import MobileNetV3LDCSpec
from archsearch.models.specs.references import PlainCnnSpec, ResNetCifarSpec
from archsearch.models.specs.shufflenet_v1 import ShuffleNetV1Spec, ShuffleNetV1Stage
from archsearch.models.specs.shufflenet_v2 import ShuffleNetV2LargeSpec, ShuffleNetV2Spec, ShuffleNetV2Stage
from archsearch.records import Cost, Record
from archsearch.table import Column, InNotebooks, Table, table_of
from archsearch.text import count_text, level_text, percent_text, plural

if TYPE_CHECKING:
    from archsearch.cost.architecture import Layer


# Operations, branches and units: what an architecture is drawn of, and how each differs from a baseline.

CHANGED, ADDED, GONE = "≠", "+", "−"
_ATTENTION = {"se": "SE", "se_full": "SE, all", "se_hard": "SE", "eca": "ECA", "cbam": "CBAM", "simam": "SimAM"}


@dataclass(frozen=True, kw_only=True)
class Op:
    """One operation. `kind`: conv, depthwise, attention, mix (split, concat, add, shuffle), pool, linear or other.

    `sign`: "≠" it differs from the baseline's, "+" the baseline has none here, "−" only the baseline has it.
    """

    text: str
    kind: str
    sign: str = ""


@dataclass(frozen=True, kw_only=True)
class UnitDiagram:
    """`count` equal units in a row: what comes before the branches, the branches, and what joins them.

    A branch without operations passes its input on.
    """

    name: str
    branches: tuple[tuple[Op, ...], ...]
    count: int = 1
    before: tuple[Op, ...] = ()
    after: tuple[Op, ...] = ()
    sign: str = ""  # of the count


def op(text: str, kind: str) -> tuple[Op, ...]:
    """An operation that hangs on no choice."""
    return (Op(text=text, kind=kind),)


AVERAGE, LINEAR = op("average", "pool"), op("linear", "linear")
ADD, CONCAT, SHUFFLE = op("add", "mix"), op("concat", "mix"), op("shuffle", "mix")


class Differences:
    """The choices that differ from a baseline of the same family, and the sign of what hangs on them."""

    def __init__(self, spec: Spec, baseline: Spec | None) -> None:
        self.choices: Mapping[str, Any] = spec.choices()
        comparable = baseline is not None and baseline.family == spec.family
        self.base: Mapping[str, Any] = baseline.choices() if comparable and baseline is not None else self.choices

    def of(self, group: str, *names: str) -> tuple[str, ...]:
        """The dotted names of those choices of a group that the family has."""
        return tuple(dotted for name in names if (dotted := f"{group}.{name}") in self.choices)

    def sign(self, *names: str) -> str:
        """`≠` if one of these choices differs."""
        return CHANGED if any(self.choices[name] != self.base[name] for name in names) else ""

    def conv(self, text: str, *names: str, kind: str = "conv") -> tuple[Op, ...]:
        """An operation that hangs on these choices."""
        return (Op(text=text, kind=kind, sign=self.sign(*names)),)

    def optional(self, name: str, kind: str, text: str = "") -> tuple[Op, ...]:
        """What a flag switches, or an attention (its own `text`); where there is none here, what the baseline has."""
        here, there = (None if value in (False, "none") else value for value in (self.choices[name], self.base[name]))
        if here is None and there is None:
            return ()
        shown = str(there if here is None else here)
        sign = GONE if here is None else ADDED if there is None else "" if here == there else CHANGED
        return (Op(text=text or _ATTENTION.get(shown, shown), kind=kind, sign=sign),)


def kernel_text(size: int, stride: int = 1) -> str:
    """`3×3`, with `s2` for a stride of two."""
    return f"{size}×{size}" + (f" s{stride}" if stride != 1 else "")


def chain(name: str, *ops: tuple[Op, ...], count: int = 1, sign: str = "") -> UnitDiagram:
    """A unit of one branch."""
    return UnitDiagram(name=name, branches=(tuple(op for part in ops for op in part),), count=count, sign=sign)


_EXTRA_KERNEL = 3  # of the additional depthwise convolution, whatever the stage's kernel
_STEMS = {"dcn": "deformable", "ldc": "light deformable"}
_Parts = dict[str, tuple[tuple[UnitDiagram, ...], list["Layer"]]]  # by part: its units, its rows of the layer table
Units = dict[str, tuple[UnitDiagram, ...]]  # by part: stem, stage2, layer7, head

_AVERAGE_AND_LINEAR: Units = {"head": (chain("", AVERAGE, LINEAR),)}


def _stem(d: Differences, *convs: tuple[Op, ...]) -> Units:
    """A stem of these convolutions, or of one, and its pool if the family has one."""
    here = d.choices
    if not convs:
        kernel = kernel_text(here.get("stem.kernel", 3), here["stem.stride"])
        text = f"{_STEMS.get(here.get('stem.type', ''), 'conv')} {kernel} → {here['stem.channels']}"
        convs = (d.conv(text, *d.of("stem", "type", "kernel", "stride", "channels")),)
    pool = d.optional("stem.pool", "pool", "max pool 3×3 s2") if "stem.pool" in here else ()
    return {"stem": (chain("", *convs, pool),)}


def _head(d: Differences) -> Units:
    """A last convolution, its maps gathered, and linear layers."""
    here = d.choices
    flat, flat_there = (choices["head.type"] == "flatten" for choices in (here, d.base))
    hidden = d.conv(f"linear → {here['head.hidden']}", *d.of("head", "type", "hidden", "activation"), kind="linear")
    dropout = here.get("head.dropout", 0.0)
    return {
        "head": (
            chain(
                "",
                d.conv(f"1×1 → {here['head.channels']}", "head.channels"),
                (Op(text="flatten" if flat else "average", kind="pool", sign=CHANGED if flat != flat_there else ""),),
                hidden if here["head.type"] == "gap_hidden" else (),
                d.conv(f"dropout {dropout:g}", "head.dropout", kind="other") if dropout else (),
                LINEAR,
            ),
        )
    }


def _shuffle_v2_stage(
    group: str, incoming: int, stage: ShuffleNetV2Stage, authors: bool, stride: int, d: Differences
) -> Units:
    main = stage.main_channels
    width = d.of(group, "channels", "split_ratio")
    full = stage.attention == "se_full" or (d.base[f"{group}.attention"] == "se_full" and stage.attention == "none")
    attention = d.optional(f"{group}.attention", "attention")
    inside, outside = ((), attention) if full else (attention, ())
    extra = d.optional(f"{group}.extra_depthwise", "depthwise", f"dw {kernel_text(_EXTRA_KERNEL)}")
    join = (*CONCAT, *outside, *SHUFFLE)
    left = incoming if authors else stage.channels - main
    narrow = d.conv(f"1×1 → {main}", *width)

    def depthwise(stride: int) -> tuple[Op, ...]:
        return d.conv(f"dw {kernel_text(stage.kernel, stride)}", f"{group}.kernel", kind="depthwise")

    def emitted(channels: int) -> tuple[Op, ...]:
        return d.conv(f"1×1 → {channels}", *width, "unit_form")

    down = UnitDiagram(
        name="down unit" if stride > 1 else "widening unit",
        branches=(
            (*depthwise(stride), *emitted(left)),
            (*extra, *narrow, *depthwise(stride), *emitted(stage.channels - left), *inside),
        ),
        after=join,
    )
    residual = d.optional(f"{group}.residual", "mix", "add input")
    basic = UnitDiagram(
        name="basic unit",
        count=stage.units - 1,
        sign=d.sign(f"{group}.units"),
        before=d.conv(f"split {stage.channels - main} | {main}", *width, kind="mix"),
        branches=((), (*extra, *narrow, *depthwise(1), *narrow, *inside, *residual)),
        after=join,
    )
    return {group: (down, basic)}


def _shuffle_v2(spec: ShuffleNetV2Spec | ShuffleNetV2LargeSpec, d: Differences) -> Units:
    if isinstance(spec, ShuffleNetV2LargeSpec):
        names = d.of("stem", "depth", "stride", "channels")
        strides = [spec.stem.stride] + [1] * len(spec.stem.widths)
        units = _stem(
            d,
            *(
                d.conv(f"conv {kernel_text(3, stride)} → {width}", *names)
                for width, stride in zip(spec.stem.widths, strides, strict=False)
            ),
        )
        first_stride = 1
    else:
        units, first_stride = _stem(d), 2
    for number, (incoming, stage) in enumerate(spec.widening(), start=2):
        stride = first_stride if number == 2 else 2
        units |= _shuffle_v2_stage(f"stage{number}", incoming, stage, spec.unit_form == "authors", stride, d)
    return units | _head(d)


def _shuffle_v1(spec: ShuffleNetV1Spec, d: Differences) -> Units:
    units = _stem(d)
    for number, (incoming, stage) in enumerate(spec.widening(), start=2):
        units[f"stage{number}"] = _shuffle_v1_stage(f"stage{number}", incoming, stage, spec, d)
    return units | _AVERAGE_AND_LINEAR


def _shuffle_v1_stage(
    group: str, incoming: int, stage: ShuffleNetV1Stage, spec: ShuffleNetV1Spec, d: Differences
) -> tuple[UnitDiagram, ...]:
    width = (f"{group}.channels", "groups")
    in_groups = f" g{spec.groups}" if spec.groups > 1 else ""
    attention = d.optional(f"{group}.attention", "attention")

    def main(outgoing: int, stride: int, first: str) -> tuple[Op, ...]:
        return (
            *d.conv(f"1×1{first} → {spec.hidden(stage)}", *width),
            *(d.optional("shuffle", "mix", "shuffle") if spec.groups > 1 else ()),
            *d.conv(f"dw {kernel_text(stage.kernel, stride)}", f"{group}.kernel", kind="depthwise"),
            *d.conv(f"1×1{in_groups} → {outgoing}", *width),
        )

    first = "" if group == "stage2" else in_groups  # section 3.2
    down = UnitDiagram(
        name="concat unit",
        branches=(op("average pool 3×3 s2", "pool"), main(stage.channels - incoming, 2, first)),
        after=(*CONCAT, *attention),
    )
    add = UnitDiagram(
        name="add unit",
        count=stage.units - 1,
        sign=d.sign(f"{group}.units"),
        branches=((), (*main(stage.channels, 1, in_groups), *attention)),
        after=ADD,
    )
    return down, add


def _mobilenet_v3(spec: MobileNetV3LDCSpec, d: Differences) -> Units:
    units = _stem(d)
    for number, incoming, layer in spec.numbered_layers():
        group = f"layer{number}"
        if layer.removed:
            sign = GONE if d.sign(f"{group}.removed") else ""
            units[group] = (chain("", (Op(text="removed", kind="other", sign=sign),)),)
            continue
        width = d.conv(f"1×1 → {layer.channels}", f"{group}.channels")
        kernel = kernel_text(layer.kernel, layer.stride)
        main = (
            *d.conv(f"1×1 → {layer.expansion}", *d.of(group, "expansion", "activation")),
            *d.conv(f"dw {kernel}", *d.of(group, "kernel", "stride", "activation"), kind="depthwise"),
            *width,
            *d.optional(f"{group}.attention", "attention"),
        )
        added = layer.stride == 1
        units[group] = (
            UnitDiagram(
                name="",
                sign=ADDED if d.sign(f"{group}.removed") else "",
                branches=(() if incoming == layer.channels else width, main) if added else (main,),
                after=ADD if added else (),
            ),
        )
    return units | _head(d)


def _resnet(spec: ResNetCifarSpec, d: Differences) -> Units:
    units = _stem(d)
    for number, (incoming, stage) in enumerate(spec.widening(), start=1):
        group = f"stage{number}"
        stride = 2 if number > 1 else 1
        plain = stride == 1 and incoming == stage.channels
        made = []
        shapes = [(stage.units, 1, True)] if plain else [(1, stride, False), (stage.units - 1, 1, True)]
        for count, stride, identity in shapes:
            pad = "pad" if spec.shortcut == "pad" else "1×1"
            shortcut = () if identity else d.conv(f"{pad}{f' s{stride}' if stride > 1 else ''}", "shortcut")
            convs = [d.conv(f"conv {kernel_text(3, s)} → {stage.channels}", f"{group}.channels") for s in (stride, 1)]
            unit = UnitDiagram(
                name="residual unit" if identity else "widening unit",
                count=count,
                sign=d.sign(f"{group}.units") if identity else "",
                branches=(shortcut, convs[0] + convs[1]),
                after=ADD,
            )
            made.append(unit)
        units[group] = tuple(made)
    return units | _AVERAGE_AND_LINEAR


def _plain_cnn(spec: PlainCnnSpec, d: Differences) -> Units:
    units: Units = {}
    for number, stage in enumerate(spec.stages, start=1):
        group = f"stage{number}"
        names = d.of(group, "channels", "kernel")
        # the first stage takes the stem's stride, the others a pool before them
        pool, stride, own = (
            (op("max pool 2×2 s2", "pool"), 1, ()) if number > 1 else ((), spec.stem.stride, ("stem.stride",))
        )
        first = d.conv(f"conv {kernel_text(stage.kernel, stride)} → {stage.channels}", *names, *own)
        rest = chain(
            "further",
            d.conv(f"conv {kernel_text(stage.kernel)} → {stage.channels}", *names),
            count=stage.units - 1,
            sign=d.sign(f"{group}.units"),
        )
        units[group] = (chain("", pool, first), rest)
    return units | _AVERAGE_AND_LINEAR


UNITS: Mapping[str, Callable[[Any, Differences], Units]] = {
    ShuffleNetV2Spec.family: _shuffle_v2,
    ShuffleNetV2LargeSpec.family: _shuffle_v2,
    ShuffleNetV1Spec.family: _shuffle_v1,
    MobileNetV3LDCSpec.family: _mobilenet_v3,
    ResNetCifarSpec.family: _resnet,
    PlainCnnSpec.family: _plain_cnn,
}


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
        output_shape: (channels, height, width) or (features,) of what it emits; None without a layer table.
        params, macs: of the whole part; None without a layer table.
        params_percent, macs_percent: its share of the network's.
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
            table_of(
                "The parts of the network",
                self.parts,
                (Column(title="Part", whole=True), lambda part: part.name),
                (Column(title="Output", whole=True), lambda part: " × ".join(map(str, part.output_shape or ()))),
                Column(title="MACs", decimals=0),
                (Column(title="MACs (%)", decimals=1), lambda part: part.macs_percent),
                Column(title="Params", decimals=0),
                (Column(title="Params (%)", decimals=1), lambda part: part.params_percent),
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
    units = {part: tuple(unit for unit in made if unit.count or unit.sign) for part, made in units.items()}
    rows = list(layers or ())
    found = _by_part(rows, units) if units else _by_map(rows)
    params, macs = _totals(rows) if rows else (None, None) if cost is None else (cost.params, cost.macs)
    changes = [
        Change(choice=choice, value=level_text(value), base=level_text(differences.base[choice]))
        for choice, value in differences.choices.items()
        if value != differences.base[choice]
    ]
    parts = []
    for part, (made, its_rows) in found.items():
        part_params, part_macs = _totals(its_rows) if rows else (None, None)
        parts.append(
            Part(
                name=part,
                units=made,
                output_shape=its_rows[-1].output_shape if its_rows else None,
                params=part_params,
                macs=part_macs,
                params_percent=_percent(part_params, params),
                macs_percent=_percent(part_macs, macs),
                changes=tuple(change for change in changes if change.choice.partition(".")[0] == part),
            )
        )
    of_no_part = tuple(change for change in changes if change.choice.partition(".")[0] not in found)
    facts = [spec.family, f"arch_id {spec.arch_id}" if name else ""]
    if params is not None and macs is not None:
        facts += [f"{input_size}×{input_size} pixels" if input_size else ""]
        facts += [f"{count_text(params)} params", f"{count_text(macs)} MACs of one image"]
    lines = (
        " · ".join(filter(None, facts)),
        _baseline_line(spec, baseline, baseline_name, baseline_layers, params, macs, changes),
        "; ".join(change.sentence for change in of_no_part),
    )
    return Architecture(
        title=f"Architecture: {name or spec.arch_id}",
        subtitle=tuple(filter(None, lines)),
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


def _by_part(rows: Sequence[Layer], units: Units) -> _Parts:
    """The rows of each part. A row that names none is the stem's before the first stage, the head's after the last
    one, and the next stage's in between, as a pool is."""
    found: _Parts = {part: (made, []) for part, made in units.items()}
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


def _by_map(rows: Sequence[Layer]) -> _Parts:
    """Of a family that we know no more of: the rows by the size of their maps, equal ones in a row as one."""
    found: _Parts = {}
    for size, same_size in groupby(rows, key=lambda row: row.output_shape[1:]):
        part_rows = list(same_size)
        units = []
        for _, equal in groupby(part_rows, key=lambda row: (row.kind, row.output_shape, row.macs)):
            row, *others = list(equal)
            if not row.macs and row.kind in _SILENT:
                continue
            text = row.name.rpartition(".")[2] if row.kind in _SILENT else row.kind
            kind = "pool" if "pool" in text else "linear" if len(row.output_shape) == 1 else "conv"
            text += "" if kind == "pool" else f" → {row.output_shape[0]}"
            text += f", {len(others) + 1} times" if others else ""
            units.append(chain("", op(text, kind)))
        name = " × ".join(map(str, size)) if size else "features"
        while name in found:  # a map that grows again
            name += " again"
        found[name] = (tuple(units), part_rows)
    return found


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
    line = f"Baseline {called}: {plural(len(changes), 'choice')} differ{'s' if len(changes) == 1 else ''}"
    if layers and params is not None and macs is not None:
        base_params, base_macs = _totals(layers)
        line += f"; params {_ratio(params, base_params)}, MACs {_ratio(macs, base_macs)}"
    return line


def _ratio(value: int, base: int) -> str:
    if not base or value == base:
        return "as many" if value == base else "not comparable"
    percent = percent_text(abs(100.0 * (value / base - 1.0)))
    if not percent[0].isdigit():
        return f"{percent} {'more' if value > base else 'fewer'}"
    return f"{'+' if value > base else '−'}{percent}"
