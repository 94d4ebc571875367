"""Squeeze-and-excitation with batch normalisation and a hard sigmoid, as the LDC paper's MobileNetV3-small has it."""

from __future__ import annotations

from torch import Tensor, nn

from archsearch.blocks.conv import pointwise

REDUCTION = 4  # MobileNetV3 (arXiv 1905.02244), section 5.3: a quarter, there of the expanded channels


class HardSqueezeExcitation(nn.Module):
    """(N, C, H, W) -> (N, C, H, W): channels scaled by pool, 1x1 C -> C//4, BN, ReLU, 1x1 -> C, BN, hard sigmoid.

    No convolution has a bias. The pool is an nn.AdaptiveAvgPool2d, which counters of modules count: only so do the
    paper's multiply-adds (table 4) come out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            pointwise(channels, hidden),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            pointwise(hidden, channels),
            nn.BatchNorm2d(channels),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        scaled: Tensor = x * self.scale(x)
        return scaled
