"""The plain CNN built from its specification."""

from __future__ import annotations

from torch import Tensor, nn

from archsearch.blocks.conv import GlobalAveragePool, conv2d
from archsearch.models.specs.plain_cnn import PlainCnnSpec, PlainCnnStage


class PlainCnn(nn.Module):
    """(N, 3, H, W) -> (N, num_classes). Pools round sizes up, so that no map ever becomes empty.

    Weights start as PyTorch's layers make them.
    """

    def __init__(self, spec: PlainCnnSpec, *, num_classes: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        incoming = 3
        for index, stage in enumerate(spec.stages):
            if index:
                stages.append(nn.MaxPool2d(2, ceil_mode=True))
            stages.append(_stage(incoming, stage, stride=1 if index else spec.stem.stride))
            incoming = stage.channels
        self.stage1, self.pool1, self.stage2, self.pool2, self.stage3, self.pool3, self.stage4 = stages
        self.gather = GlobalAveragePool()
        self.fc = nn.Linear(incoming, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes) scores before softmax."""
        x = self.pool1(self.stage1(x))
        x = self.pool2(self.stage2(x))
        x = self.pool3(self.stage3(x))
        scores: Tensor = self.fc(self.gather(self.stage4(x)))
        return scores


def _stage(incoming: int, stage: PlainCnnStage, *, stride: int) -> nn.Sequential:
    """(N, incoming, H, W) -> (N, channels, ceil(H/s), ceil(W/s))."""
    layers: list[nn.Module] = []
    for index in range(stage.units):
        conv = conv2d(stage.channels if index else incoming, stage.channels, stage.kernel, 1 if index else stride)
        layers += [conv, nn.BatchNorm2d(stage.channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
