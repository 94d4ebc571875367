"""The cost of a specification: it is built once, observed once and thrown away.

The cost of a specification from its shapes alone: for lists of many networks, whose weights nobody needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from archsearch.blocks.conv import BatchNorm
from archsearch.cost.conventions import macs_as_observed
from archsearch.cost.count import CHANNELS
from archsearch.cost.observe import Observation, observe
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
