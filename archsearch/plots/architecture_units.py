"""What the networks of each family are made of. A family without an entry is drawn from its layer table alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from archsearch.models.mobilenet_v3_ldc.spec import MobileNetV3LDCSpec
from archsearch.models.plain_cnn.spec import PlainCnnSpec
from archsearch.models.resnet_cifar.spec import ResNetCifarSpec
from archsearch.models.shufflenet_v1.spec import ShuffleNetV1Spec, ShuffleNetV1Stage
from archsearch.models.shufflenet_v2.spec import ShuffleNetV2Head, ShuffleNetV2Spec, ShuffleNetV2Stage
from archsearch.models.shufflenet_v2_large.spec import ShuffleNetV2LargeSpec
from archsearch.plots.architecture_parts import (
    ADDED,
    CHANGED,
    GONE,
    Differences,
    Op,
    UnitDiagram,
    chain,
    grouped,
    kernel_text,
)

_EXTRA_KERNEL = 3  # of the additional depthwise convolution, whatever the stage's kernel
Units = dict[str, tuple[UnitDiagram, ...]]  # by part: stem, stage2, layer7, head

_AVERAGE_AND_LINEAR: Units = {"head": (chain("", (Op(text="average", kind="pool"), Op(text="linear", kind="linear"))),)}


def _shuffle_v2_stage(
    group: str, incoming: int, stage: ShuffleNetV2Stage, authors: bool, stride: int, d: Differences
) -> Units:
    main = stage.main_channels
    width = grouped(("channels", "split_ratio"), group)
    kernel = f"{group}.kernel"
    full = stage.attention == "se_full" or (d.base[f"{group}.attention"] == "se_full" and stage.attention == "none")
    attention = d.attention(f"{group}.attention")
    inside, outside = ((), attention) if full else (attention, ())
    extra = d.optional(f"{group}.extra_depthwise", f"dw {kernel_text(_EXTRA_KERNEL)}", "depthwise")
    join = (Op(text="concat", kind="mix"), *outside, Op(text="shuffle", kind="mix"))
    left = incoming if authors else stage.channels - main
    emitted = stage.channels - left
    widths = (*width, "unit_form")
    down = UnitDiagram(
        name="down unit" if stride > 1 else "widening unit",
        branches=(
            (
                *d.conv(f"dw {kernel_text(stage.kernel, stride)}", kernel, kind="depthwise"),
                *d.conv(f"1×1 → {left}", *widths),
            ),
            (
                *extra,
                *d.conv(f"1×1 → {main}", *width),
                *d.conv(f"dw {kernel_text(stage.kernel, stride)}", kernel, kind="depthwise"),
                *d.conv(f"1×1 → {emitted}", *widths),
                *inside,
            ),
        ),
        after=join,
    )
    if stage.units == 1 and d.base[f"{group}.units"] == 1:
        return {group: (down,)}
    basic = UnitDiagram(
        name="basic unit",
        count=stage.units - 1,
        sign=d.sign(f"{group}.units"),
        before=d.conv(f"split {stage.channels - main} | {main}", *width, kind="mix"),
        branches=(
            (),
            (
                *extra,
                *d.conv(f"1×1 → {main}", *width),
                *d.conv(f"dw {kernel_text(stage.kernel)}", kernel, kind="depthwise"),
                *d.conv(f"1×1 → {main}", *width),
                *inside,
                *d.optional(f"{group}.residual", "add input", "mix"),
            ),
        ),
        after=join,
    )
    return {group: (down, basic)}


def _shuffle_v2_head(head: ShuffleNetV2Head, d: Differences) -> Units:
    gather = "flatten" if head.type == "flatten" else "average"
    changed = CHANGED if (d.base["head.type"] == "flatten") != (head.type == "flatten") else ""
    hidden = d.conv(f"linear → {head.hidden}", "head.type", "head.hidden", "head.activation", kind="linear")
    return {
        "head": (
            chain(
                "",
                d.conv(f"1×1 → {head.channels}", "head.channels"),
                (Op(text=gather, kind="pool", sign=changed),),
                hidden if head.type == "gap_hidden" else (),
                (Op(text="linear", kind="linear"),),
            ),
        )
    }


def _stem_text(kind: str) -> str:
    return {"dcn": "deformable", "ldc": "light deformable"}.get(kind, "conv")


def _shuffle_v2(spec: ShuffleNetV2Spec, d: Differences) -> Units:
    stem = spec.stem
    units: Units = {
        "stem": (
            chain(
                "",
                d.conv(
                    f"{_stem_text(stem.type)} {kernel_text(stem.kernel, stem.stride)} → {stem.channels}",
                    *grouped(("type", "kernel", "stride", "channels"), "stem"),
                ),
                d.optional("stem.pool", "max pool 3×3 s2", "pool"),
            ),
        )
    }
    for number, (incoming, stage) in enumerate(spec.widening(), start=2):
        units |= _shuffle_v2_stage(f"stage{number}", incoming, stage, spec.unit_form == "authors", 2, d)
    return units | _shuffle_v2_head(spec.head, d)


def _shuffle_v2_large(spec: ShuffleNetV2LargeSpec, d: Differences) -> Units:
    widths = spec.stem.widths
    names = grouped(("depth", "stride", "channels"), "stem")
    convs = [
        d.conv(f"conv {kernel_text(3, 1 if index else spec.stem.stride)} → {width}", *names)
        for index, width in enumerate(widths)
    ]
    units: Units = {"stem": (chain("", *convs, d.optional("stem.pool", "max pool 3×3 s2", "pool")),)}
    for number, (incoming, stage) in enumerate(spec.widening(), start=2):
        authors = spec.unit_form == "authors"
        units |= _shuffle_v2_stage(f"stage{number}", incoming, stage, authors, 1 if number == 2 else 2, d)
    return units | _shuffle_v2_head(spec.head, d)


def _shuffle_v1(spec: ShuffleNetV1Spec, d: Differences) -> Units:
    stem = spec.stem
    conv = d.conv(f"conv {kernel_text(3, stem.stride)} → {stem.channels}", "stem.stride", "stem.channels")
    units: Units = {"stem": (chain("", conv, d.optional("stem.pool", "max pool 3×3 s2", "pool")),)}
    for number, (incoming, stage) in enumerate(spec.widening(), start=2):
        units[f"stage{number}"] = _shuffle_v1_stage(f"stage{number}", incoming, stage, spec, d)
    return units | _AVERAGE_AND_LINEAR


def _shuffle_v1_stage(
    group: str, incoming: int, stage: ShuffleNetV1Stage, spec: ShuffleNetV1Spec, d: Differences
) -> tuple[UnitDiagram, ...]:
    width = (f"{group}.channels", "groups")
    in_groups = f" g{spec.groups}" if spec.groups > 1 else ""
    attention = d.attention(f"{group}.attention")

    def main(outgoing: int, stride: int, first: str) -> tuple[Op, ...]:
        return (
            *d.conv(f"1×1{first} → {spec.hidden(stage)}", *width),
            *(d.optional("shuffle", "shuffle", "mix") if spec.groups > 1 else ()),
            *d.conv(f"dw {kernel_text(stage.kernel, stride)}", f"{group}.kernel", kind="depthwise"),
            *d.conv(f"1×1{in_groups} → {outgoing}", *width),
        )

    down = UnitDiagram(
        name="concat unit",
        branches=(
            (Op(text="average pool 3×3 s2", kind="pool"),),
            main(stage.channels - incoming, 2, "" if group == "stage2" else in_groups),  # section 3.2
        ),
        after=(Op(text="concat", kind="mix"), *attention),
    )
    add = UnitDiagram(
        name="add unit",
        count=stage.units - 1,
        sign=d.sign(f"{group}.units"),
        branches=((), (*main(stage.channels, 1, in_groups), *attention)),
        after=(Op(text="add", kind="mix"),),
    )
    return (down, add) if add.count or add.sign else (down,)


def _mobilenet_v3(spec: MobileNetV3LDCSpec, d: Differences) -> Units:
    stem, head = spec.stem, spec.head
    text = f"{_stem_text(stem.type)} {kernel_text(stem.kernel, stem.stride)} → {stem.channels}"
    units: Units = {
        "stem": (chain("", d.conv(text, *grouped(("type", "kernel", "stride", "channels"), "stem"))),),
    }
    for number, incoming, layer in spec.numbered_layers():
        group = f"layer{number}"
        if layer.removed:
            sign = GONE if d.sign(f"{group}.removed") else ""
            units[group] = (chain("", (Op(text="removed", kind="other", sign=sign),)),)
            continue
        width = d.conv(f"1×1 → {layer.channels}", f"{group}.channels")
        main = (
            *d.conv(f"1×1 → {layer.expansion}", f"{group}.expansion", f"{group}.activation"),
            *d.conv(
                f"dw {kernel_text(layer.kernel, layer.stride)}",
                *grouped(("kernel", "stride", "activation"), group),
                kind="depthwise",
            ),
            *width,
            *d.attention(f"{group}.attention"),
        )
        passing = () if incoming == layer.channels else width
        added = layer.stride == 1
        units[group] = (
            UnitDiagram(
                name="",
                sign=ADDED if d.sign(f"{group}.removed") else "",
                branches=(passing, main) if added else (main,),
                after=(Op(text="add", kind="mix"),) if added else (),
            ),
        )
    hidden = d.conv(f"linear → {head.hidden}", "head.type", "head.hidden", kind="linear")
    units["head"] = (
        chain(
            "",
            d.conv(f"1×1 → {head.channels}", "head.channels"),
            (Op(text="average", kind="pool"),),
            hidden if head.type == "gap_hidden" else (),
            d.conv(f"dropout {head.dropout:g}", "head.dropout", kind="other") if head.dropout else (),
            (Op(text="linear", kind="linear"),),
        ),
    )
    return units


def _resnet(spec: ResNetCifarSpec, d: Differences) -> Units:
    stem = spec.stem
    units: Units = {
        "stem": (
            chain("", d.conv(f"conv {kernel_text(3, stem.stride)} → {stem.channels}", "stem.stride", "stem.channels")),
        )
    }
    for number, (incoming, stage) in enumerate(spec.widening(), start=1):
        group = f"stage{number}"
        made: list[UnitDiagram] = []
        first_stride = 2 if number > 1 else 1
        plain = first_stride == 1 and incoming == stage.channels
        shapes = [(stage.units, 1, plain)] if plain else [(1, first_stride, False), (stage.units - 1, 1, True)]
        for index, (count, stride, identity) in enumerate(shapes):
            text = "pad" if spec.shortcut == "pad" else "1×1"
            shortcut = () if identity else d.conv(f"{text}{f' s{stride}' if stride > 1 else ''}", "shortcut")
            conv = f"conv {kernel_text(3, stride)} → {stage.channels}"
            main = (
                *d.conv(conv, f"{group}.channels"),
                *d.conv(f"conv {kernel_text(3)} → {stage.channels}", f"{group}.channels"),
            )
            sign = d.sign(f"{group}.units") if index == len(shapes) - 1 else ""
            if count or sign:
                made.append(
                    UnitDiagram(
                        name="residual unit" if identity else "widening unit",
                        count=count,
                        sign=sign,
                        branches=(shortcut, main),
                        after=(Op(text="add", kind="mix"),),
                    )
                )
        units[group] = tuple(made)
    return units | _AVERAGE_AND_LINEAR


def _plain_cnn(spec: PlainCnnSpec, d: Differences) -> Units:
    units: Units = {}
    for number, stage in enumerate(spec.stages, start=1):
        group = f"stage{number}"
        names = grouped(("channels", "kernel"), group)
        pool = (Op(text="max pool 2×2 s2", kind="pool"),) if number > 1 else ()
        stride = spec.stem.stride if number == 1 else 1
        first = d.conv(
            f"conv {kernel_text(stage.kernel, stride)} → {stage.channels}", *names, *(("stem.stride",) * (number == 1))
        )
        rest = chain(
            "further",
            d.conv(f"conv {kernel_text(stage.kernel)} → {stage.channels}", *names),
            count=stage.units - 1,
            sign=d.sign(f"{group}.units"),
        )
        units[group] = (chain("", pool, first), *((rest,) if rest.count or rest.sign else ()))
    return units | _AVERAGE_AND_LINEAR


UNITS: Mapping[str, Callable[[Any, Differences], Units]] = {
    ShuffleNetV2Spec.family: _shuffle_v2,
    ShuffleNetV2LargeSpec.family: _shuffle_v2_large,
    ShuffleNetV1Spec.family: _shuffle_v1,
    MobileNetV3LDCSpec.family: _mobilenet_v3,
    ResNetCifarSpec.family: _resnet,
    PlainCnnSpec.family: _plain_cnn,
}
