"""The LDC paper's MobileNetV3-small built from its specification.

The inverted residual of MobileNetV3 (Howard et al. 2019, arXiv 1905.02244, figure 4) as the LDC paper builds it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from archsearch.blocks.attention import ATTENTION
from archsearch.blocks.conv import GlobalAveragePool, depthwise, pointwise
from archsearch.blocks.stems import make_stem
from archsearch.models.specs.mobilenet_v3_ldc import LayerSpec, MobileNetV3LDCSpec

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "hard_swish": partial(nn.Hardswish, inplace=True),
}


class InvertedResidual(nn.Module):
    """(N, i, H, W) -> (N, o, ceil(H/s), ceil(W/s)): 1x1 to e channels, depthwise, 1x1 to o channels; the input added.

    Differs from MobileNetV3 in three ways, without which the LDC paper's table 4 does not come out: attention is on
    the o channels that come out, after the last BN and before the sum, in place of the e expanded ones; with stride 1
    the input is always added, through a 1x1 convolution and BN where i != o; and the 1x1 to e channels is there
    where e == i, too.
    """

    def __init__(self, incoming: int, layer: LayerSpec) -> None:
        super().__init__()
        self.kernel_size, self.stride = layer.kernel, layer.stride
        expanded, outgoing, activation = layer.expansion, layer.channels, ACTIVATIONS[layer.activation]
        self.main = nn.Sequential(
            pointwise(incoming, expanded),
            nn.BatchNorm2d(expanded),
            activation(),
            depthwise(expanded, layer.kernel, layer.stride),
            nn.BatchNorm2d(expanded),
            activation(),
            pointwise(expanded, outgoing),
            nn.BatchNorm2d(outgoing),
        )
        if layer.attention != "none":
            self.main.append(ATTENTION[layer.attention](outgoing))
        self.shortcut: nn.Module | None = None
        if layer.stride == 1:
            self.shortcut = (
                nn.Identity()
                if incoming == outgoing
                else nn.Sequential(pointwise(incoming, outgoing), nn.BatchNorm2d(outgoing))
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, i, H, W) -> (N, o, ceil(H/s), ceil(W/s))."""
        made: Tensor = self.main(x)
        return made if self.shortcut is None else made + self.shortcut(x)


class MobileNetV3LDC(nn.Module):
    """(N, 3, H, W) -> (N, num_classes), for every input size from 8 pixels.

    Weights start as PyTorch's layers make them; the paper does not say how its own did. The average over the map is
    no nn.AdaptiveAvgPool2d, which counters of modules count: the paper's numbers leave it out.
    """

    def __init__(self, spec: MobileNetV3LDCSpec, *, num_classes: int) -> None:
        super().__init__()
        stem, head = spec.stem, spec.head
        hard_swish = ACTIVATIONS["hard_swish"]
        self.layer1 = make_stem(stem.type, stem.channels, stem.kernel, stem.stride, activation=hard_swish)
        self.layers = nn.Sequential(
            OrderedDict(
                (f"layer{number}", InvertedResidual(incoming, layer))
                for number, incoming, layer in spec.numbered_layers()
                if not layer.removed
            )
        )
        self.layer13 = nn.Sequential(
            pointwise(spec.layers[-1].channels, head.channels), nn.BatchNorm2d(head.channels), hard_swish()
        )
        self.gather = GlobalAveragePool()
        features = head.channels
        self.hidden: nn.Module = nn.Identity()
        if head.type == "gap_hidden":
            self.hidden = nn.Sequential(nn.Linear(features, head.hidden), nn.BatchNorm1d(head.hidden), hard_swish())
            features = head.hidden
        self.dropout = nn.Dropout(head.dropout) if head.dropout else nn.Identity()
        self.fc = nn.Linear(features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes) scores before softmax."""
        x = self.layer13(self.layers(self.layer1(x)))
        scores: Tensor = self.fc(self.dropout(self.hidden(self.gather(x))))
        return scores
