"""Stems: convolution, batch normalisation, activation on the image. The convolution is plain, DCNv2 or LDC."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from archsearch.blocks.conv import conv2d
from archsearch.blocks.deform import DeformableConv2d, LightDeformableConv2d

# (in_channels, out_channels, kernel, stride) -> the stem's convolution
STEM_CONVOLUTIONS: dict[str, Callable[[int, int, int, int], nn.Module]] = {
    "conv": conv2d,
    "dcn": DeformableConv2d,
    "ldc": LightDeformableConv2d,
}

RELU = partial(nn.ReLU, inplace=True)


def make_stem(
    kind: str,
    channels: int,
    kernel: int,
    stride: int,
    *,
    activation: Callable[[], nn.Module] = RELU,
) -> nn.Sequential:
    """(N, 3, H, W) -> (N, channels, ceil(H/s), ceil(W/s)). `kind` is a name of STEM_CONVOLUTIONS."""
    conv = STEM_CONVOLUTIONS[kind](3, channels, kernel, stride)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), activation())
