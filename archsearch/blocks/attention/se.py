"""Squeeze-and-excitation: Hu et al. 2018, "Squeeze-and-Excitation Networks" (arXiv 1709.01507), section 3."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision import ops

REDUCTION = 16  # the paper's default r
SMALLEST = 8  # narrower layers than this lose more than they save


class SqueezeExcitation(ops.SqueezeExcitation):  # type: ignore[misc]  # torchvision is untyped
    """(N, C, H, W) -> (N, C, H, W): channels scaled by pool, 1x1 C -> max(8, C//16), ReLU, 1x1 -> C, sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, max(SMALLEST, channels // REDUCTION))


class WideSqueezeExcitation(ops.SqueezeExcitation):  # type: ignore[misc]  # torchvision is untyped
    """(N, C, H, W) -> (N, C, H, W): the same with a hidden layer of C/2, so that both 1x1 cost C^2 multiply-adds.

    ShuffleNet V2's reading (arXiv 1807.11164, appendix, table 2: "the number of neurons in SE modules is 1/2 of the
    channels"). An odd C is rounded down.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, max(1, channels // 2))


class JointSqueezeExcitation(WideSqueezeExcitation):
    """(N, n1, H, W) and (N, n2, H, W) -> the same shapes: both parts of a map of C = n1 + n2 channels scaled together.

    What WideSqueezeExcitation makes of their concatenation, without concatenating them.
    """

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first + second)
        self.parts = [first, second]

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """(N, n1, H, W) and (N, n2, H, W) -> (N, n1, H, W) and (N, n2, H, W)."""
        pooled = torch.cat((self.avgpool(first), self.avgpool(second)), dim=1)
        gates = self.scale_activation(self.fc2(self.activation(self.fc1(pooled))))
        of_first, of_second = gates.split(self.parts, dim=1)
        return first * of_first, second * of_second
