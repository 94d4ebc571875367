"""The LDC paper's MobileNetV3-small built from its specification."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from archsearch.blocks.conv import pointwise
from archsearch.blocks.heads import GlobalAveragePool
from archsearch.blocks.stems import make_stem
from archsearch.models.mobilenet_v3_ldc.spec import MobileNetV3LDCSpec
from archsearch.models.mobilenet_v3_ldc.units import ACTIVATIONS, InvertedResidual


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
