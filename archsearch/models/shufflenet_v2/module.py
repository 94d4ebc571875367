"""ShuffleNet V2 built from its specification."""

from __future__ import annotations

from torch import Tensor, nn

from archsearch.blocks.conv import pointwise
from archsearch.blocks.heads import make_classifier, make_gather
from archsearch.blocks.stems import make_stem
from archsearch.models.shufflenet_v2.spec import ShuffleNetV2Spec, ShuffleNetV2Stage
from archsearch.models.shufflenet_v2.units import BasicUnit, DownUnit, Stage


class ShuffleNetV2(nn.Module):
    """(N, 3, input_size, input_size) -> (N, num_classes).

    Parts and parameters are named as in torchvision's ShuffleNetV2, so that its state_dicts load with strict=True into
    the network of the same choices and give the same outputs. Weights start as PyTorch's layers make them, as there.
    Other input sizes run too, except with a `flatten` head, which fixes the size.
    """

    def __init__(self, spec: ShuffleNetV2Spec, *, num_classes: int, input_size: int) -> None:
        super().__init__()
        stem, head = spec.stem, spec.head
        self.conv1 = make_stem(stem.type, stem.channels, stem.kernel, stem.stride)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem.pool else nn.Identity()
        authors = spec.unit_form == "authors"
        self.stage2, self.stage3, self.stage4 = (
            _stage(incoming, stage, authors=authors) for incoming, stage in spec.widening()
        )
        self.conv5 = nn.Sequential(
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
        x = self.maxpool(self.conv1(x))
        x = self.stage4(self.stage3(self.stage2(x)))
        scores: Tensor = self.fc(self.gather(self.conv5(x)))
        return scores


def _stage(incoming: int, stage: ShuffleNetV2Stage, *, authors: bool) -> Stage:
    down = DownUnit(incoming, stage, authors=authors)
    return Stage(down, *(BasicUnit(stage) for _ in range(stage.units - 1)))
