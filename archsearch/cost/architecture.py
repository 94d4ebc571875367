"""The cost of a specification: it is built once, observed once and thrown away."""

from __future__ import annotations

from torch import nn

from archsearch.cost.conventions import macs_as_observed
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
