"""Attention modules, each (N, C, H, W) -> (N, C, H, W): one paper, one file, and one line in ATTENTION.

The table itself does not import torch: an entry imports its file when it is called with the number of channels.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from archsearch.registry import Registry

if TYPE_CHECKING:
    from torch import nn


def _lazily(module: str, name: str) -> Callable[[int], nn.Module]:
    def make(channels: int) -> nn.Module:
        made: nn.Module = getattr(import_module(module), name)(channels)
        return made

    return make


ATTENTION: Registry[Callable[[int], nn.Module]] = Registry(
    "attention",
    {
        "none": _lazily("torch.nn", "Identity"),
        "se": _lazily("archsearch.blocks.attention.se", "SqueezeExcitation"),
        "se_full": _lazily("archsearch.blocks.attention.se", "WideSqueezeExcitation"),
        "se_hard": _lazily("archsearch.blocks.attention.se_hard", "HardSqueezeExcitation"),
        "eca": _lazily("archsearch.blocks.attention.eca", "EfficientChannelAttention"),
        "cbam": _lazily("archsearch.blocks.attention.cbam", "ConvolutionalBlockAttention"),
        "coordinate": _lazily("archsearch.blocks.attention.coordinate", "CoordinateAttention"),
        "simam": _lazily("archsearch.blocks.attention.simam", "SimAM"),
    },
)
