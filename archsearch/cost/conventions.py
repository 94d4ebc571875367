"""The named conventions in which papers and tools count multiply-adds. Two numbers compare within one of them only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from archsearch.cost.observe import Observation, observe
from archsearch.cost.thop import THOP_0_0_31, THOP_0_1_1, thop_macs
from archsearch.registry import Registry

_CONVOLUTIONS = ("conv", "_convolution_mode", "deform_conv2d")


@dataclass(frozen=True, kw_only=True)
class Convention:
    """A way to count the multiply-adds of one image.

    Attributes:
        summary: what is counted, in one line for a person.
        count: what was observed of a network -> its multiply-adds in this convention.
    """

    summary: str
    count: Callable[[Observation], int]


CONVENTIONS: Registry[Convention] = Registry(
    "convention",
    {
        "conv": Convention(
            summary="convolutions only",
            count=lambda seen: sum(seen.operators.by_operator.get(kind, 0) for kind in _CONVOLUTIONS),
        ),
        "conv_linear": Convention(
            summary="convolutions and linear layers: what MACs mean here",
            count=lambda seen: seen.operators.macs,
        ),
        "thop_0_0_31": Convention(
            summary="thop of 2020: and 1 for each output with a bias, 2 for each value in batch norm, pooling modules",
            count=lambda seen: thop_macs(seen.model, seen.calls, THOP_0_0_31),
        ),
        "thop_0_1_1": Convention(
            summary="thop of 2022: no biases, 4 for each value in batch norm, pooling modules",
            count=lambda seen: thop_macs(seen.model, seen.calls, THOP_0_1_1),
        ),
        "fvcore": Convention(
            summary="fvcore's own table: 2 for each value in batch norm, adaptive pooling, resizing",
            count=lambda seen: sum(seen.operators.fvcore_by_operator.values()),
        ),
    },
)


def macs_by_convention(model: nn.Module, input_size: int) -> Mapping[str, int]:
    """Multiply-adds of one image (1, 3, input_size, input_size) in every convention, by its name.

    The model is counted in eval mode, where it is, and left as it was.
    """
    return macs_as_observed(observe(model, input_size))


def macs_as_observed(seen: Observation) -> dict[str, int]:
    """The same of a network that has been observed already."""
    return {name: CONVENTIONS[name].count(seen) for name in CONVENTIONS}
