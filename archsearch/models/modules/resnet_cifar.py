"""CIFAR ResNets built from their specification."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from archsearch.blocks.conv import GlobalAveragePool, conv2d
from archsearch.models.specs.resnet_cifar import ResNetCifarSpec


class ResNetCifar(nn.Module):
    """(N, 3, H, W) -> (N, num_classes): He et al. 2016, section 4.2.

    Convolutions start as He et al. 2015 draw them (normal, fan out), as the paper has it.
    """

    def __init__(self, spec: ResNetCifarSpec, *, num_classes: int) -> None:
        super().__init__()
        stem = spec.stem
        self.stem = nn.Sequential(
            conv2d(3, stem.channels, 3, stem.stride), nn.BatchNorm2d(stem.channels), nn.ReLU(inplace=True)
        )
        self.stage1, self.stage2, self.stage3 = (
            nn.Sequential(
                *(
                    ResidualUnit(
                        stage.channels if index else incoming,
                        stage.channels,
                        stride=2 if number > 1 and index == 0 else 1,
                        padded=spec.shortcut == "pad",
                    )
                    for index in range(stage.units)
                )
            )
            for number, (incoming, stage) in enumerate(spec.widening(), start=1)
        )
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(spec.stages[-1].channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes) scores before softmax."""
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        scores: Tensor = self.fc(self.pool(x))
        return scores


class ResidualUnit(nn.Module):
    """(N, i, H, W) -> (N, c, ceil(H/s), ceil(W/s)): two 3x3 convolutions; the input is added, then ReLU (figure 2)."""

    def __init__(self, incoming: int, channels: int, *, stride: int, padded: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv2d(incoming, channels, 3, stride),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            conv2d(channels, channels, 3),
            nn.BatchNorm2d(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or incoming != channels:
            self.shortcut = (
                PaddedShortcut(channels - incoming, stride)
                if padded
                else nn.Sequential(
                    nn.Conv2d(incoming, channels, 1, stride, bias=False),
                    nn.BatchNorm2d(channels),
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, i, H, W) -> (N, c, ceil(H/s), ceil(W/s))."""
        return F.relu(self.branch(x) + self.shortcut(x), inplace=True)


class PaddedShortcut(nn.Module):
    """(N, i, H, W) -> (N, i + added, ceil(H/s), ceil(W/s)): every s-th pixel, zeros in added channels (option A)."""

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = added, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, i, H, W) -> (N, i + added, ceil(H/s), ceil(W/s))."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))

    def extra_repr(self) -> str:
        """Channels added, and the stride."""
        return f"added={self.added}, stride={self.stride}"
