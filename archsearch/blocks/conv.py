"""Convolutions whose output is ceil(H / stride) for every kernel size, odd or even; and heads.

Batch normalisation as one type: torch's common base has a private name.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
"""For annotations and isinstance; lazy ones are subclasses."""


def pad_before(kernel: int) -> int:
    """Rows (columns) of padding above (left of) the map: (k-1)//2."""
    return (kernel - 1) // 2


def pad_after(kernel: int) -> int:
    """Rows (columns) of padding below (right of) the map: k//2. Equal to `pad_before` when k is odd."""
    return kernel // 2


def pad_same(x: Tensor, kernel: int) -> Tensor:
    """(N, C, H, W) -> (N, C, H+k-1, W+k-1), zeros by the rule of this file."""
    before, after = pad_before(kernel), pad_after(kernel)
    return F.pad(x, (before, after, before, after))


class SameConv2d(nn.Conv2d):
    """(N, C_in, H, W) -> (N, C_out, ceil(H/s), ceil(W/s)): nn.Conv2d, padded alike for every kernel and stride.

    On each axis (k-1)//2 zeros before and k//2 after: k=3 gives nn.Conv2d(..., padding=1), and every other k gives the
    same output size, for stride 1 and 2 alike. (`padding="same"` refuses stride 2, and symmetric padding with an even
    kernel changes the size.) Odd kernels use nn.Conv2d's own padding; even ones are padded explicitly.
    Parameters have nn.Conv2d's names, so state_dicts load.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        self.explicit = kernel_size % 2 == 0
        padding = 0 if self.explicit else pad_before(kernel_size)
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (nn.Conv2d's own name)
        """(N, C_in, H, W) -> (N, C_out, ceil(H/s), ceil(W/s))."""
        return super().forward(pad_same(input, self.kernel_size[0]) if self.explicit else input)


def conv2d(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """The same-size convolution as the plainest module that computes it: nn.Conv2d itself when the kernel is odd.

    Tools that look for exactly nn.Conv2d (folding of batch normalisation, quantisation) then find it.
    """
    if kernel % 2:
        return nn.Conv2d(
            in_channels, out_channels, kernel, stride, padding=pad_before(kernel), groups=groups, bias=bias
        )
    return SameConv2d(in_channels, out_channels, kernel, stride, groups=groups, bias=bias)


def depthwise(channels: int, kernel: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """(N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s)), one k x k filter a channel."""
    return conv2d(channels, channels, kernel, stride, groups=channels, bias=bias)


def pointwise(in_channels: int, out_channels: int, *, bias: bool = False) -> nn.Conv2d:
    """(N, C_in, H, W) -> (N, C_out, H, W), 1x1."""
    return nn.Conv2d(in_channels, out_channels, 1, bias=bias)


# Heads: what turns the last map into class scores.


class GlobalAveragePool(nn.Module):
    """(N, C, H, W) -> (N, C): the mean of each channel, as torchvision's ShuffleNetV2 takes it."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C)."""
        return x.mean(dim=(2, 3))


def make_gather(kind: str) -> nn.Module:
    """(N, C, H, W) -> (N, features): flattened for `flatten`, else averaged over the map."""
    return nn.Flatten(1) if kind == "flatten" else GlobalAveragePool()


def make_classifier(
    kind: str, channels: int, num_classes: int, *, map_size: int, hidden: int, activation: str
) -> nn.Module:
    """(N, features) -> (N, num_classes), from a map of `channels` x `map_size` x `map_size`.

    `gap`: one linear layer on the averaged channels. `gap_hidden`: a linear layer to `hidden` features, ReLU unless
    `activation` is `none`, and a linear layer. `flatten`: one linear layer on every position of the map.
    """
    if kind == "gap_hidden":
        between = [nn.ReLU(inplace=True)] if activation == "relu" else []
        return nn.Sequential(nn.Linear(channels, hidden), *between, nn.Linear(hidden, num_classes))
    return nn.Linear(channels * map_size**2 if kind == "flatten" else channels, num_classes)
