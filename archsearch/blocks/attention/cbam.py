"""Convolutional block attention: Woo et al. 2018, "CBAM" (arXiv 1807.06521), equations 2 and 3."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archsearch.blocks.conv import conv2d, pointwise

REDUCTION = 16  # the paper's r
SMALLEST = 8
SPATIAL_KERNEL = 7


class ConvolutionalBlockAttention(nn.Module):
    """(N, C, H, W) -> (N, C, H, W): scaled by channel, then by position.

    Channels: sigmoid of a shared bias-free perceptron C -> max(8, C//16) -> C on the mean plus on the maximum of each
    channel. Positions: sigmoid of a bias-free 7x7 convolution on the mean and the maximum over channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(SMALLEST, channels // REDUCTION)
        self.perceptron = nn.Sequential(pointwise(channels, hidden), nn.ReLU(), pointwise(hidden, channels))
        self.spatial = conv2d(2, 1, SPATIAL_KERNEL)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        mean, largest = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
        x = x * (self.perceptron(mean) + self.perceptron(largest)).sigmoid()
        over_channels = torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1)
        scaled: Tensor = x * self.spatial(over_channels).sigmoid()
        return scaled
