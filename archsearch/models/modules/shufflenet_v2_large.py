"""A large ShuffleNet V2 built from its specification."""

from __future__ import annotations

from torch import Tensor, nn

from archsearch.blocks.conv import conv2d, make_classifier, make_gather, pointwise
from archsearch.models.modules.shufflenet_v2 import BasicUnit, DownUnit, Stage, WideningUnit
from archsearch.models.specs.shufflenet_v2 import ShuffleNetV2Stage
from archsearch.models.specs.shufflenet_v2_large import ShuffleNetV2LargeSpec, ShuffleNetV2LargeStem

STEM_KERNEL = 3


class ShuffleNetV2Large(nn.Module):
    """(N, 3, input_size, input_size) -> (N, num_classes). Parts are named after table 2: conv1, stage2 to 5, conv6.

    Weights start as PyTorch's layers make them. Other input sizes run too, except with a `flatten` head.
    """

    def __init__(self, spec: ShuffleNetV2LargeSpec, *, num_classes: int, input_size: int) -> None:
        super().__init__()
        head = spec.head
        self.conv1 = _stem(spec.stem)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if spec.stem.pool else nn.Identity()
        authors = spec.unit_form == "authors"
        (incoming, first), *others = spec.widening()
        self.stage2 = _stage(WideningUnit(incoming, first, authors=authors), first)
        self.stage3, self.stage4, self.stage5 = (
            _stage(DownUnit(incoming, stage, authors=authors), stage) for incoming, stage in others
        )
        self.conv6 = nn.Sequential(
            pointwise(spec.stages[-1].channels, head.channels), nn.BatchNorm2d(head.channels), nn.ReLU(inplace=True)
        )
        self.gather = make_gather(head.type)
        self.fc = make_classifier(
            head.type,
            head.channels,
            num_classes,
            map_size=spec.map_sizes(input_size)[-1],
            hidden=head.hidden,
            activation=head.activation,
        )

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


def _stage(first: DownUnit, stage: ShuffleNetV2Stage) -> Stage:
    return Stage(first, *(BasicUnit(stage) for _ in range(stage.units - 1)))
