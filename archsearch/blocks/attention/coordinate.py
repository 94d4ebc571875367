"""Coordinate attention: Hou et al. 2021 (arXiv 2103.02907), section 3.2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archsearch.blocks.conv import pointwise

REDUCTION = 32  # the paper's r
SMALLEST = 8  # and the least width of its official code


class CoordinateAttention(nn.Module):
    """(N, C, H, W) -> (N, C, H, W): scaled by a factor for each (channel, row) and one for each (channel, column).

    Rows' and columns' means share a 1x1 convolution C -> max(8, C//32) with BN and hard-swish; then each has its own
    1x1 back to C and a sigmoid.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(SMALLEST, channels // REDUCTION)
        self.shared = nn.Sequential(pointwise(channels, hidden, bias=True), nn.BatchNorm2d(hidden), nn.Hardswish())
        self.rows = pointwise(hidden, channels, bias=True)
        self.columns = pointwise(hidden, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        height, width = x.shape[2], x.shape[3]
        by_row = x.mean(dim=3, keepdim=True)  # (N, C, H, 1)
        by_column = x.mean(dim=2, keepdim=True).transpose(2, 3)  # (N, C, W, 1)
        both = self.shared(torch.cat((by_row, by_column), dim=2))
        by_row, by_column = both.split([height, width], dim=2)
        scaled: Tensor = x * self.rows(by_row).sigmoid() * self.columns(by_column.transpose(2, 3)).sigmoid()
        return scaled
