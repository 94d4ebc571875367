"""Stems: convolution, batch normalisation, activation on the image. The convolution is plain, DCNv2 or LDC."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import deform_conv2d

from archsearch.blocks.conv import conv2d, depthwise, pad_before, pad_same, pointwise

# Deformable convolution, and the two predictors of its offsets and masks: DCNv2 and LDC.
#
# DCNv2: Zhu et al. 2019, "Deformable ConvNets v2" (arXiv 1811.11168), equation 1. LDC: Sun et al. 2022, the low-cost
# deformable convolution (doi 10.11896/jsjkx.211200036), whose predictors are depthwise separable.

_counting: ContextVar[bool] = ContextVar("archsearch_deform_counting", default=False)


@contextmanager
def counting_form() -> Iterator[None]:
    """Inside it, every deformable convolution is the one operator `torchvision::deform_conv2d`, on any device.

    A counter of multiply-adds then meets one operator whose cost it knows, in place of a sampling and a 1x1
    convolution.
    """
    token = _counting.set(True)
    try:
        yield
    finally:
        _counting.reset(token)


def deformable_conv2d(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, *, kernel: int, stride: int) -> Tensor:
    """Modulated deformable convolution without bias, in the form that suits the device; both forms agree.

    The operator of torchvision on CUDA and inside `counting_form`; sampling by `grid_sample` elsewhere: on a CPU it
    trains about seven times faster (batch 128 at 32x32), and it exports to ONNX, which the operator does not.

    Args:
        x: (N, C, H, W).
        offset: (N, 2*k*k, ceil(H/s), ceil(W/s)) in pixels; channels 2*p and 2*p+1 shift kernel point p down and right.
        mask: (N, k*k, ceil(H/s), ceil(W/s)), a factor for each kernel point.
        weight: (O, C, k, k).
        kernel: k, as a plain int: a shape would become part of a trace.
        stride: 1 or 2.

    Returns:
        (N, O, ceil(H/s), ceil(W/s)). Zeros are sampled outside x.
    """
    if x.is_cuda or _counting.get():
        return deformable_by_operator(x, offset, mask, weight, kernel=kernel, stride=stride)
    return deformable_by_grid(x, offset, mask, weight, kernel=kernel, stride=stride)


torch.fx.wrap("deformable_conv2d")  # one node to torch.fx: the form depends on the device, which a proxy lacks


def deformable_by_operator(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, *, kernel: int, stride: int
) -> Tensor:
    """`deformable_conv2d` by torchvision's operator, which pads alike on both sides: even kernels are padded before."""
    padding = pad_before(kernel)
    if kernel % 2 == 0:
        x, padding = pad_same(x, kernel), 0
    made: Tensor = deform_conv2d(x, offset, weight, stride=stride, padding=padding, mask=mask)
    return made


def deformable_by_grid(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, *, kernel: int, stride: int) -> Tensor:
    """`deformable_conv2d` by one bilinear sampling of all kernel points, then a 1x1 convolution over (channel, point).

    At offsets that are whole numbers bilinear sampling has a kink, and this form and the operator may take the slope
    of different sides; outputs still agree.
    """
    height, width = x.shape[-2:]
    out_height, out_width = offset.shape[-2:]
    real = torch.promote_types(x.dtype, torch.float32)  # positions need more digits than half precision has
    shift = offset.to(real).reshape(-1, kernel * kernel, 2, out_height, out_width)  # (N, K, 2, H', W')

    tap = torch.arange(kernel, device=x.device, dtype=real) - pad_before(kernel)
    rows = torch.arange(out_height, device=x.device, dtype=real) * stride
    columns = torch.arange(out_width, device=x.device, dtype=real) * stride
    y = shift[:, :, 0] + tap.repeat_interleave(kernel).view(-1, 1, 1) + rows.view(1, -1, 1)
    z = shift[:, :, 1] + tap.repeat(kernel).view(-1, 1, 1) + columns.view(1, 1, -1)

    # grid_sample without aligned corners puts pixel p of n at (2p + 1)/n - 1
    grid = torch.stack(((2 * z + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)  # (N, K, H', W', 2)
    sampled = F.grid_sample(x.to(real), grid.flatten(1, 2), "bilinear", "zeros", align_corners=False)
    points = sampled.reshape(-1, x.shape[1], kernel * kernel, out_height, out_width)  # (N, C, K, H', W')
    points = points * mask.to(real).unsqueeze(1)
    return F.conv2d(points.flatten(1, 2).to(weight.dtype), weight.flatten(1)[:, :, None, None])


class _Deformable(nn.Module):
    """The bias-free k x k kernel that both predictors share; initialised as nn.Conv2d's."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.offset: nn.Module
        self.mask: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, ceil(H/s), ceil(W/s))."""
        return deformable_conv2d(
            x, self.offset(x), self.mask(x).sigmoid(), self.weight, kernel=self.kernel, stride=self.stride
        )

    def extra_repr(self) -> str:
        """Shape of the kernel, and the stride."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, kernel={self.kernel}, stride={self.stride}"


class DeformableConv2d(_Deformable):
    """DCNv2: offsets and mask from k x k convolutions of the same stride, with bias, that start at zero.

    (N, C_in, H, W) -> (N, C_out, ceil(H/s), ceil(W/s)). So it starts as a plain convolution times 1/2, the mask's
    sigmoid of 0 (arXiv 1811.11168, section 3.2).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, kernel, stride)
        points = kernel * kernel
        self.offset = _zeroed(conv2d(in_channels, 2 * points, kernel, stride, bias=True))
        self.mask = _zeroed(conv2d(in_channels, points, kernel, stride, bias=True))


class LightDeformableConv2d(_Deformable):
    """LDC: offsets and mask each from a depthwise k x k convolution of the same stride, then a 1x1, both with bias.

    (N, C_in, H, W) -> (N, C_out, ceil(H/s), ceil(W/s)). Two separate predictors with biases are the reading that gives
    the paper's printed 65.5M (2,509,916 parameters for MobileNetV3-small); its formula (7) taken literally does not.
    The 1x1 weights start small (normal, standard deviation 0.01), not at zero: zero would make the first gradient of
    the depthwise weights before them zero as well. Offsets then start within about a hundredth of a pixel.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, kernel, stride)
        points = kernel * kernel
        self.offset = _separable(in_channels, 2 * points, kernel, stride)
        self.mask = _separable(in_channels, points, kernel, stride)


def _separable(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Sequential:
    last = pointwise(in_channels, out_channels, bias=True)
    nn.init.normal_(last.weight, std=0.01)
    if last.bias is not None:
        nn.init.zeros_(last.bias)
    return nn.Sequential(depthwise(in_channels, kernel, stride, bias=True), last)


def _zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


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
