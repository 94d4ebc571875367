"""The cost of a specification: it is built once, observed once and thrown away.

The cost of a specification from its shapes alone: for lists of many networks, whose weights nobody needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from archsearch.blocks.conv import BatchNorm
from archsearch.cost.audit import Audit, audit
from archsearch.cost.conventions import ModuleCall, Observation, macs_as_observed, observe
from archsearch.cost.count import CHANNELS
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.records import Cost


def cost_of(spec: Spec, *, num_classes: int, input_size: int) -> Cost:
    """Parameters, multiply-adds in every convention and memory access of one image of `input_size` pixels a side.

    Takes about 0.15 s of CPU time for ShuffleNetV2 x1.0, whatever the input size up to 224. Random generators are left
    as they were. Raises BuildError if the specification cannot be built at this input size.
    """
    model = build(spec, num_classes=num_classes, input_size=input_size, seed=0)
    return cost_as_observed(observe(model, input_size), num_classes=num_classes, input_size=input_size)


def cost_as_observed(seen: Observation, *, num_classes: int, input_size: int) -> Cost:
    """The cost of a network that has been observed already."""
    return Cost(
        params=params_of(seen.model),
        macs=seen.operators.macs,
        input_size=input_size,
        num_classes=num_classes,
        unsupported_ops=seen.operators.unsupported_ops,
        macs_by_convention=macs_as_observed(seen),
        memory_read_bytes=seen.memory.read_bytes,
        memory_written_bytes=seen.memory.written_bytes,
    )


def params_of(module: nn.Module) -> int:
    """Trainable parameters; a shared one counts once."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def outline_cost(spec: Spec, *, num_classes: int, input_size: int) -> tuple[int, int]:
    """Parameters and multiply-adds (conv+linear) of one image of `input_size` x `input_size` pixels.

    The numbers of `cost_of`, about seven times faster and without memory for weights: the network stands on torch's
    meta device and is counted by `torch.utils.flop_counter`, where a multiply-add is two. Nothing is said of
    operators that cannot be counted: `cost_of` does. Raises BuildError if the specification cannot be built at this
    input size.
    """
    from torch.utils.flop_counter import FlopCounterMode  # it imports triton, which takes long

    with _Unfilled():
        model = build(spec, num_classes=num_classes, input_size=input_size).to("meta").eval()
    params = params_of(model)
    _without_normalisation(model)
    image = torch.empty(1, CHANNELS, input_size, input_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    return params, counter.get_total_flops() // 2


class _Unfilled(TorchFunctionMode):
    """New weights stand on the meta device; what is computed while a network is laid out keeps its values."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is torch.empty and given.get("device") is None:
            given["device"] = "meta"
        return func(*args, **given)


def _without_normalisation(model: nn.Module) -> None:
    """Take out batch norms: they hold no multiply-adds of the convention, and are most of the time on that device."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, BatchNorm):
                setattr(module, name, nn.Identity())


# A network as a table: one row for the stem, each unit and each part of the head, with what it costs.


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row of the table.

    Attributes:
        name: the module's dotted name in the network, `stage2.0` for the first unit of stage 2.
        kind: what it is, in words: `conv 3x3 s2`, `max pool 3x3 s2`, `down unit`, `linear`.
        output_shape: of one image, without the batch: (channels, height, width) or (features,).
        params: trainable parameters; the column sums to the network's.
        macs: multiply-adds of one image, conv+linear convention; the column sums to the network's.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    params: int
    macs: int


def cost_layers_and_audit(spec: Spec, *, num_classes: int, input_size: int) -> tuple[Cost, tuple[Layer, ...], Audit]:
    """The cost of one image of `input_size` pixels a side, the network's rows in the order of running, the audit.

    The network is built once for all three; the cost is that of `cost_of`, with the audit's scores in it. Raises
    BuildError if the specification cannot be built at this input size.
    """
    model = build(spec, num_classes=num_classes, input_size=input_size, seed=0)
    seen = observe(model, input_size)
    cost = cost_as_observed(seen, num_classes=num_classes, input_size=input_size)
    audited = audit(model, input_size)
    return replace(cost, guidelines=audited.scores), _layers(seen), audited


def _layers(seen: Observation) -> tuple[Layer, ...]:
    rows = dict(_rows(seen.model, ""))
    return tuple(
        Layer(
            name=name,
            kind=_kind(rows[name]),
            output_shape=shape,
            params=params_of(rows[name]),
            macs=seen.operators.by_module.get(name, 0),
        )
        for name, shape in _output_shapes(seen.calls, rows).items()
    )


def _rows(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Parts of the network. A stage gives a row for each unit, a classifier of two linear layers one for each."""
    for name, child in module.named_children():
        parts = list(child.children())
        if isinstance(child, nn.Sequential) and parts and all(any(part.children()) for part in parts):
            yield from _rows(child, f"{prefix}{name}.")
        elif sum(isinstance(part, nn.Linear) for part in parts) > 1:
            for part_name, part in child.named_children():
                if isinstance(part, nn.Linear):
                    yield f"{prefix}{name}.{part_name}", part
        elif not isinstance(child, nn.Identity):
            yield f"{prefix}{name}", child


def _output_shapes(calls: Iterable[ModuleCall], rows: dict[str, nn.Module]) -> dict[str, tuple[int, ...]]:
    """Output shape of each row that ran, without the batch, in the order of running."""
    names = {module: name for name, module in rows.items()}
    return {names[call.module]: call.output_shape[1:] for call in calls if call.module in names}


def _kind(module: nn.Module) -> str:
    """The part in words: the class of its first operation, with kernel and stride where it has them."""
    first = next(module.children()) if isinstance(module, nn.Sequential) else module
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(first).__name__.removesuffix("2d")).lower()
    weight = getattr(first, "weight", None)
    kernel = (
        weight.shape[-1] if isinstance(weight, Tensor) and weight.ndim == 4 else getattr(first, "kernel_size", None)
    )
    if kernel is None:
        return words
    stride = getattr(first, "stride", 1)
    stride = stride[0] if isinstance(stride, tuple) else stride
    return f"{words} {kernel}x{kernel}" + (f" s{stride}" if stride != 1 else "")
