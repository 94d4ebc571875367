"""ShuffleNet V1 built from its specification.

The units of ShuffleNet V1 (arXiv 1707.01083, figure 2 b and c).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archsearch.blocks.attention import ATTENTION
from archsearch.blocks.conv import conv2d, depthwise, make_classifier, make_gather
from archsearch.blocks.shuffle import GroupShuffle
from archsearch.blocks.stems import make_stem
from archsearch.models.specs.shufflenet_v1 import ShuffleNetV1Spec, ShuffleNetV1Stage


def main_branch(
    incoming: int,
    hidden: int,
    outgoing: int,
    stage: ShuffleNetV1Stage,
    *,
    stride: int,
    groups: tuple[int, int],
    shuffle: bool,
) -> nn.Sequential:
    """(N, incoming, H, W) -> (N, outgoing, ceil(H/s), ceil(W/s)): grouped 1x1, shuffle, depthwise, grouped 1x1.

    `groups` of the first and of the last 1x1. Each convolution has BN, the first ReLU too.
    """
    before, after = groups
    layers: list[nn.Module] = [
        conv2d(incoming, hidden, 1, groups=before),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
    ]
    if shuffle and after > 1:
        layers.append(GroupShuffle(after))
    return nn.Sequential(
        *layers,
        depthwise(hidden, stage.kernel, stride),
        nn.BatchNorm2d(hidden),
        conv2d(hidden, outgoing, 1, groups=after),
        nn.BatchNorm2d(outgoing),
    )


class AddUnit(nn.Module):
    """(N, c, H, W) -> (N, c, H, W): main branch, attention, sum with the input, ReLU (figure 2 b)."""

    def __init__(self, hidden: int, stage: ShuffleNetV1Stage, *, groups: int, shuffle: bool) -> None:
        super().__init__()
        channels = stage.channels
        self.main = main_branch(channels, hidden, channels, stage, stride=1, groups=(groups, groups), shuffle=shuffle)
        self.attention = ATTENTION[stage.attention](channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, H, W) -> (N, c, H, W)."""
        return F.relu(self.attention(self.main(x)) + x, inplace=True)


class ConcatUnit(nn.Module):
    """(N, i, H, W) -> (N, c, ceil(H/2), ceil(W/2)): average pool of the input, then c - i made (figure 2 c).

    Attention looks at all c channels, before the ReLU: so 2x with SE and three groups costs the printed 527M (table 5);
    on the c - i made channels alone it would be 526M. `first_groups` are those of the first 1x1: one in stage 2, where
    the input has few channels (section 3.2).
    """

    def __init__(
        self, incoming: int, hidden: int, stage: ShuffleNetV1Stage, *, first_groups: int, groups: int, shuffle: bool
    ) -> None:
        super().__init__()
        made = stage.channels - incoming
        self.pool = nn.AvgPool2d(3, 2, 1)
        self.main = main_branch(incoming, hidden, made, stage, stride=2, groups=(first_groups, groups), shuffle=shuffle)
        self.attention = ATTENTION[stage.attention](stage.channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, i, H, W) -> (N, c, ceil(H/2), ceil(W/2))."""
        both = torch.cat((self.pool(x), self.main(x)), dim=1)
        return F.relu(self.attention(both), inplace=True)


STEM_KERNEL = 3


class ShuffleNetV1(nn.Module):
    """(N, 3, H, W) -> (N, num_classes), for every input size. Parts are named after table 1: conv1, stage2 to 4, fc.

    Weights start as PyTorch's layers make them.
    """

    def __init__(self, spec: ShuffleNetV1Spec, *, num_classes: int) -> None:
        super().__init__()
        self.conv1 = make_stem("conv", spec.stem.channels, STEM_KERNEL, spec.stem.stride)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if spec.stem.pool else nn.Identity()
        (stem, second), (after_second, third), (after_third, fourth) = spec.widening()
        self.stage2 = _stage(spec, stem, second, first_groups=1)
        self.stage3 = _stage(spec, after_second, third, first_groups=spec.groups)
        self.stage4 = _stage(spec, after_third, fourth, first_groups=spec.groups)
        self.gather = make_gather("gap")
        self.fc = make_classifier("gap", fourth.channels, num_classes, map_size=1, hidden=0, activation="none")

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes) scores before softmax."""
        x = self.maxpool(self.conv1(x))
        x = self.stage4(self.stage3(self.stage2(x)))
        scores: Tensor = self.fc(self.gather(x))
        return scores


def _stage(spec: ShuffleNetV1Spec, incoming: int, stage: ShuffleNetV1Stage, *, first_groups: int) -> nn.Sequential:
    hidden, groups, shuffle = spec.hidden(stage), spec.groups, spec.shuffle
    down = ConcatUnit(incoming, hidden, stage, first_groups=first_groups, groups=groups, shuffle=shuffle)
    others = (AddUnit(hidden, stage, groups=groups, shuffle=shuffle) for _ in range(stage.units - 1))
    return nn.Sequential(down, *others)
