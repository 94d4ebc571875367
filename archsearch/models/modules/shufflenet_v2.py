"""ShuffleNet V2 built from its specification."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archsearch.blocks.attention import ATTENTION
from archsearch.blocks.attention.se import JointSqueezeExcitation
from archsearch.blocks.conv import conv2d, depthwise, make_classifier, make_gather, pointwise
from archsearch.blocks.shuffle import ChannelShuffle
from archsearch.blocks.stems import make_stem
from archsearch.models.specs.shufflenet_v2 import (
    ShuffleNetV2LargeSpec,
    ShuffleNetV2LargeStem,
    ShuffleNetV2Spec,
    ShuffleNetV2Stage,
)

# The units of ShuffleNet V2 (arXiv 1807.11164, figure 3 c and d) and their variants (appendix, figure 2).
#
# A stage of ShuffleNet V2: a unit that widens, then units of one width.

EXTRA_KERNEL = 3  # v2*'s additional depthwise convolution, whatever the stage's kernel
FULL_WIDTH = "se_full"  # the attention that belongs to the unit, not to its main branch


def main_branch(
    incoming: int, hidden: int, outgoing: int, stage: ShuffleNetV2Stage, *, stride: int, residual: bool
) -> nn.Sequential:
    """(N, incoming, H, W) -> (N, outgoing, ceil(H/s), ceil(W/s)): 1x1, depthwise, 1x1, each with BN; then attention.

    The last BN is followed by ReLU unless the unit adds a residual: then ReLU comes after the sum, so attention
    stands between BN and the sum (figure 2 c). Attention over the unit's full width is not in the branch.
    """
    layers: list[nn.Module] = []
    if stage.extra_depthwise:
        layers += [depthwise(incoming, EXTRA_KERNEL), nn.BatchNorm2d(incoming)]
    layers += [
        pointwise(incoming, hidden),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        depthwise(hidden, stage.kernel, stride),
        nn.BatchNorm2d(hidden),
        pointwise(hidden, outgoing),
        nn.BatchNorm2d(outgoing),
    ]
    if not residual:
        layers.append(nn.ReLU(inplace=True))
    if stage.attention not in ("none", FULL_WIDTH):
        layers.append(ATTENTION[stage.attention](outgoing))
    return nn.Sequential(*layers)


def full_attention(passing: int, made: int, stage: ShuffleNetV2Stage) -> JointSqueezeExcitation | None:
    """SE over all channels of a unit, squeezed and scaled with both parts together: c -> c/2 -> c, c^2 multiply-adds.

    It is the reading that meets the printed cost of 2x with SE and of SE-ShuffleNet v2-164 (arXiv 1807.11164, table 8
    and appendix, table 2); None for every other attention.
    """
    return JointSqueezeExcitation(passing, made) if stage.attention == FULL_WIDTH else None


class BasicUnit(nn.Module):
    """(N, c, H, W) -> (N, c, H, W): the first c - m channels pass, the last m go through the main branch; shuffled.

    With a residual the main branch's input is added to its output, then ReLU (appendix, figure 2 a). Attention over
    the full width scales both parts right before: the made one before the sum and its ReLU.
    """

    def __init__(self, stage: ShuffleNetV2Stage) -> None:
        super().__init__()
        main = stage.main_channels
        self.passing = stage.channels - main
        self.residual = stage.residual
        self.branch2 = main_branch(main, main, main, stage, stride=1, residual=stage.residual)
        self.attention = full_attention(self.passing, main, stage)
        self.shuffle = ChannelShuffle(self.passing, main)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, H, W) -> (N, c, H, W)."""
        shuffled: Tensor = self.shuffle(*self.parts(x[:, : self.passing], x[:, self.passing :]))
        return shuffled

    def parts(self, passed: Tensor, taken: Tensor) -> tuple[Tensor, Tensor]:
        """(N, c - m, H, W) and (N, m, H, W) -> the same shapes: both parts before they are shuffled."""
        made = self.branch2(taken)
        if self.attention is not None:
            passed, made = self.attention(passed, made)
        if self.residual:
            made = F.relu(made + taken, inplace=True)
        return passed, made


class DownUnit(nn.Module):
    """(N, i, H, W) -> (N, c, ceil(H/2), ceil(W/2)): both branches see the whole input with stride 2; shuffled.

    torchvision's form emits c - m and m channels, the authors' i and c - i (see ShuffleNetV2Spec). `stride` is there
    for WideningUnit.
    """

    def __init__(self, incoming: int, stage: ShuffleNetV2Stage, *, authors: bool, stride: int = 2) -> None:
        super().__init__()
        hidden = stage.main_channels
        left = incoming if authors else stage.channels - hidden
        main = stage.channels - left
        self.branch1 = nn.Sequential(
            depthwise(incoming, stage.kernel, stride),
            nn.BatchNorm2d(incoming),
            pointwise(incoming, left),
            nn.BatchNorm2d(left),
            nn.ReLU(inplace=True),
        )
        self.branch2 = main_branch(incoming, hidden, main, stage, stride=stride, residual=False)
        self.attention = full_attention(left, main, stage)
        self.shuffle = ChannelShuffle(left, main)

    def forward(self, x: Tensor) -> Tensor:
        """(N, i, H, W) -> (N, c, ceil(H/s), ceil(W/s))."""
        shuffled: Tensor = self.shuffle(*self.parts(x))
        return shuffled

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, i, H, W) -> both branches before they are shuffled."""
        left, made = self.branch1(x), self.branch2(x)
        if self.attention is not None:
            left, made = self.attention(left, made)
        return left, made


class WideningUnit(DownUnit):
    """(N, i, H, W) -> (N, c, H, W): a down unit of stride 1, where a stage widens its input but keeps the map."""

    def __init__(self, incoming: int, stage: ShuffleNetV2Stage, *, authors: bool) -> None:
        super().__init__(incoming, stage, authors=authors, stride=1)


class Stage(nn.Sequential):
    """(N, i, H, W) -> (N, c, H', W'): its units, one after the other.

    In training on channels_last maps, the map between two units stays in the two parts that the next one wants
    (`archsearch.blocks.shuffle`): the same values and gradients, with a fraction of the copying. Units are then not
    called but asked for their parts, so one with a hook is called after all, as in inference.
    """

    def __init__(self, first: DownUnit, *others: BasicUnit) -> None:
        super().__init__(first, *others)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (nn.Sequential's own name)
        """(N, i, H, W) -> (N, c, H', W')."""
        if not self._in_parts(input):
            return cast(Tensor, super().forward(input))  # type: ignore[no-untyped-call]
        first, *others = cast("tuple[DownUnit, *tuple[BasicUnit, ...]]", tuple(self))
        passed, made = first.parts(input)
        shuffle = first.shuffle
        for unit in others:
            passed, made = unit.parts(*shuffle.exchange(passed, made, at=unit.passing))
            shuffle = unit.shuffle
        return shuffle.join(passed, made)

    def _in_parts(self, x: Tensor) -> bool:
        return (
            self.training
            and torch.is_grad_enabled()
            and not torch.compiler.is_compiling()  # a compiler fuses the copies itself
            and x.is_contiguous(memory_format=torch.channels_last)
            and not any(unit._forward_hooks or unit._forward_pre_hooks for unit in self)
        )


class ShuffleNetV2(nn.Module):
    """(N, 3, input_size, input_size) -> (N, num_classes).

    Parts and parameters are named as in torchvision's ShuffleNetV2, so that its state_dicts load with strict=True into
    the network of the same choices and give the same outputs. Weights start as PyTorch's layers make them, as there.
    Other input sizes run too, except with a `flatten` head, which fixes the size.
    """

    def __init__(self, spec: ShuffleNetV2Spec, *, num_classes: int, input_size: int) -> None:
        super().__init__()
        stem = spec.stem
        self.conv1 = make_stem(stem.type, stem.channels, stem.kernel, stem.stride)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem.pool else nn.Identity()
        authors = spec.unit_form == "authors"
        self.stage2, self.stage3, self.stage4 = (
            _stage(DownUnit(incoming, stage, authors=authors), stage) for incoming, stage in spec.widening()
        )
        self.conv5 = _last_convolution(spec)
        self.gather = make_gather(spec.head.type)
        self.fc = _classifier(spec, num_classes, input_size)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes) scores before softmax."""
        x = self.maxpool(self.conv1(x))
        x = self.stage4(self.stage3(self.stage2(x)))
        scores: Tensor = self.fc(self.gather(self.conv5(x)))
        return scores


def _stage(first: DownUnit, stage: ShuffleNetV2Stage) -> Stage:
    return Stage(first, *(BasicUnit(stage) for _ in range(stage.units - 1)))


def _last_convolution(spec: ShuffleNetV2Spec | ShuffleNetV2LargeSpec) -> nn.Sequential:
    channels = spec.head.channels
    return nn.Sequential(pointwise(spec.stages[-1].channels, channels), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _classifier(spec: ShuffleNetV2Spec | ShuffleNetV2LargeSpec, num_classes: int, input_size: int) -> nn.Module:
    head, map_size = spec.head, spec.map_sizes(input_size)[-1]
    return make_classifier(
        head.type, head.channels, num_classes, map_size=map_size, hidden=head.hidden, activation=head.activation
    )


# Large ShuffleNet V2.

STEM_KERNEL = 3


class ShuffleNetV2Large(nn.Module):
    """(N, 3, input_size, input_size) -> (N, num_classes). Parts are named after table 2: conv1, stage2 to 5, conv6.

    Weights start as PyTorch's layers make them. Other input sizes run too, except with a `flatten` head.
    """

    def __init__(self, spec: ShuffleNetV2LargeSpec, *, num_classes: int, input_size: int) -> None:
        super().__init__()
        self.conv1 = _stem(spec.stem)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if spec.stem.pool else nn.Identity()
        authors = spec.unit_form == "authors"
        (incoming, first), *others = spec.widening()
        self.stage2 = _stage(WideningUnit(incoming, first, authors=authors), first)
        self.stage3, self.stage4, self.stage5 = (
            _stage(DownUnit(incoming, stage, authors=authors), stage) for incoming, stage in others
        )
        self.conv6 = _last_convolution(spec)
        self.gather = make_gather(spec.head.type)
        self.fc = _classifier(spec, num_classes, input_size)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes) scores before softmax."""
        x = self.stage2(self.maxpool(self.conv1(x)))
        x = self.conv6(self.stage5(self.stage4(self.stage3(x))))
        scores: Tensor = self.fc(self.gather(x))
        return scores


def _stem(stem: ShuffleNetV2LargeStem) -> nn.Sequential:
    layers: list[nn.Module] = []
    incoming, stride = 3, stem.stride
    for width in stem.widths:
        layers += [conv2d(incoming, width, STEM_KERNEL, stride), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        incoming, stride = width, 1
    return nn.Sequential(*layers)
