"""Efficient channel attention: Wang et al. 2020, "ECA-Net" (arXiv 1910.03151), sections 3.2 and 3.3."""

from __future__ import annotations

import math

from torch import Tensor, nn


def eca_kernel(channels: int, *, gamma: int = 2, offset: int = 1) -> int:
    """Width of the filter over channels: the odd number nearest above int(|log2(C)/gamma + b/gamma|), equation 12."""
    width = int(abs((math.log2(channels) + offset) / gamma))
    return width if width % 2 else width + 1


class EfficientChannelAttention(nn.Module):
    """(N, C, H, W) -> (N, C, H, W): channels scaled by the sigmoid of a 1-D convolution over the pooled channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        kernel = eca_kernel(channels)
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        pooled = x.mean(dim=(2, 3)).unsqueeze(1)  # (N, 1, C)
        scale: Tensor = self.conv(pooled).sigmoid().squeeze(1)
        return x * scale[:, :, None, None]
