"""The networks of ShuffleNet V2's four experiments (arXiv 1807.11164, tables 1-4) as modules.

They take their map as it is, (N, `input_channels`, 56, 56), so that nothing but the blocks is timed.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from archsearch.models.guideline_spec import BLOCKS, Bottleneck, ChannelRatio, Fragments, Groups, GuidelineNetwork


class BottleneckBlock(nn.Module):
    """1x1 to a quarter of the channels, 3x3, 1x1 back; ReLU after each, the last one after the addition, as in ResNet.

    (N, C, H, W) to the same shape.
    """

    def __init__(self, spec: Bottleneck) -> None:
        super().__init__()
        inner = spec.inner_channels
        self.reduce = nn.Conv2d(spec.channels, inner, 1)
        self.middle = nn.Conv2d(inner, inner, 3, padding=1)
        self.expand = nn.Conv2d(inner, spec.channels, 1)
        self.shortcut = spec.shortcut
        self.activation: nn.Module = nn.ReLU() if spec.relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        out = self.activation(self.reduce(x))
        out = self.activation(self.middle(out))
        out = self.expand(out)
        if self.shortcut:
            out = out + x
        return cast(Tensor, self.activation(out))


class ParallelBlock(nn.Module):
    """1x1 convolutions of the same map, added. (N, C, H, W) to the same shape."""

    def __init__(self, channels: int, fragments: int) -> None:
        super().__init__()
        self.fragments = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(fragments))

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        first, *others = self.fragments
        out = first(x)
        for fragment in others:
            out = out + fragment(x)
        return cast(Tensor, out)


class GuidelineModule(nn.Sequential):
    """Ten equal blocks: (N, `input_channels`, H, W) to the same shape.

    Attributes:
        input_channels: channels of its input, for whoever makes one; other networks take images.
    """

    def __init__(self, spec: GuidelineNetwork) -> None:
        super().__init__(*(_block(spec) for _ in range(BLOCKS)))
        self.input_channels = spec.input_channels


def guideline_network(spec: GuidelineNetwork, *, seed: int = 0) -> GuidelineModule:
    """The network of a row, in eval mode, with weights drawn by `seed`.

    torch's initial weights keep the values of ten linear blocks finite, and none of them becomes denormal, which a CPU
    would be slow at.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GuidelineModule(spec).eval()


def _block(spec: GuidelineNetwork) -> nn.Module:
    if isinstance(spec, ChannelRatio):
        return nn.Sequential(nn.Conv2d(spec.c1, spec.c2, 1), nn.Conv2d(spec.c2, spec.c1, 1))
    if isinstance(spec, Groups):
        return nn.Conv2d(spec.input_channels, spec.input_channels, 1, groups=spec.groups)
    if isinstance(spec, Bottleneck):
        return BottleneckBlock(spec)
    if isinstance(spec, Fragments):
        channels = spec.input_channels
        if spec.parallel:
            return ParallelBlock(channels, spec.fragments)
        return nn.Sequential(*(nn.Conv2d(channels, channels, 1) for _ in range(spec.fragments)))
    raise TypeError(f"no blocks for {type(spec).__name__}")
