"""ShuffleNet V1 built from its specification."""

from __future__ import annotations

from torch import Tensor, nn

from archsearch.blocks.heads import make_classifier, make_gather
from archsearch.blocks.stems import make_stem
from archsearch.models.shufflenet_v1.spec import ShuffleNetV1Spec, ShuffleNetV1Stage
from archsearch.models.shufflenet_v1.units import AddUnit, ConcatUnit

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
