"""The boxes of a drawing are the operators that one image meets in the network itself, in number, kind and shape."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from fake_cuda import shortened
from kinds import one_of_each_kind

from archsearch.cost.audit import Call, Operator, Trace, trace
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.models.variants import VARIANTS
from archsearch.plots.architecture import UNITS, Op, architecture_of

CLASSES, SIZE = 10, 32
DRAWN = sorted(name for name in {*one_of_each_kind(), "shufflenet_v2_50"} if VARIANTS[name].spec.family in UNITS)
AVERAGES = ("aten::mean", "aten::adaptive_avg_pool2d", "aten::_adaptive_avg_pool2d")


def drawn(spec: Spec) -> Counter[str]:
    """The boxes of a drawing by what they say; a box in a unit that stands for several counts for each."""
    found = Counter[str]()
    for part in architecture_of(spec).parts:
        for unit in part.units:
            for op in (*unit.before, *(op for branch in unit.branches for op in branch), *unit.after):
                if text := as_operator(op):
                    found[text] += unit.count
    return found


def as_operator(op: Op) -> str:
    """What the box of an operator says, as `traced` says it; nothing for what is no operator or may be part of one."""
    if op.kind == "attention":
        return "attention"
    if op.kind == "linear":
        return op.text if "→" in op.text else f"linear → {CLASSES}"
    if op.text.startswith("add"):
        return "add"
    if op.kind in ("mix", "other") or op.text in ("flatten", "pad s2"):
        return ""
    return "max pool" if op.text.startswith("max pool") else op.text.removeprefix("light ")


def traced(spec: Spec) -> Counter[str]:
    """The operators of the network that is built, outside of attentions and of the predictors of deformable stems."""
    with torch.device("meta"):
        seen = trace(build(spec, num_classes=CLASSES, input_size=SIZE), SIZE)
    hidden, attentions = within_boxes(seen)
    found = Counter(text for at, each in enumerate(seen.operators) if at not in hidden and (text := said(each)))
    if attentions:
        found["attention"] = attentions
    return found


def within_boxes(seen: Trace) -> tuple[set[int], int]:
    """The operators that are inside one box with others, and how many attentions there are."""

    def calls(call: Call) -> Iterator[Call]:
        if call.module.__module__.startswith("archsearch.blocks.attention"):
            yield call
        else:
            for inner in call.inner:
                yield from calls(inner)

    attentions = [call for call in calls(seen.root) if call.end > call.first]
    hidden = {at for call in attentions for at in range(call.first, call.end)}
    deformable = [each.path for each in seen.operators if each.name == "torchvision::deform_conv2d"]
    for at, each in enumerate(seen.operators):
        if each.name != "torchvision::deform_conv2d" and any(each.path.startswith(path) for path in deformable):
            hidden.add(at)
    return hidden, len(attentions)


def said(operator: Operator) -> str:
    """An operator as a box would name it; nothing for one that is drawn as no box."""
    if (conv := operator.convolution) is not None:
        side = math.isqrt(conv.kernel)
        shifts = 3 * conv.kernel * conv.area if operator.name == "torchvision::deform_conv2d" else 0  # and masks
        padded = math.isqrt((operator.read_maps - shifts) // conv.incoming)
        stride = (padded - (side - 1) * (side % 2 == 0)) // math.isqrt(conv.area)  # even windows: padded beforehand
        window = f"{side}×{side}" + (f" s{stride}" if stride > 1 else "")
        if operator.name == "torchvision::deform_conv2d":
            return f"deformable {window} → {conv.outgoing}"
        if conv.depthwise:
            return f"dw {window}"
        if conv.pointwise:
            return f"{window}{f' g{conv.groups}' if conv.groups > 1 else ''} → {conv.outgoing}"
        return f"conv {window} → {conv.outgoing}"
    if operator.name in ("aten::addmm", "aten::linear"):
        return f"linear → {operator.written}"
    if operator.name.startswith("aten::max_pool2d"):
        return "max pool"
    if operator.name == "aten::avg_pool2d":
        return "average pool 3×3 s2"
    if operator.name in AVERAGES:
        return "average"
    return "add" if operator.name in ("aten::add", "aten::add_") else ""


def test_the_kinds_are_of_every_family_that_is_drawn() -> None:
    assert {VARIANTS[name].spec.family for name in DRAWN} == set(UNITS)


@pytest.mark.parametrize("name", DRAWN)
def test_the_boxes_are_the_operators_of_the_network(name: str) -> None:
    spec = shortened(VARIANTS[name].spec.at_scale({}).normalised(SIZE), 3)
    assert drawn(spec) == traced(spec)
