"""How a training step on a CPU computes a network's convolutions, where PyTorch's own way is slow.

In float32, the convolutions of small maps in other operators: the same values up to rounding, several times faster.
oneDNN computes PyTorch's convolutions on a CPU, and is near the processor's peak on large maps; of a small one it
mostly reorders the weights (1x1), or handles padding (depthwise). In bfloat16, some layers in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from itertools import product
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SLOW_KERNEL = 4  # depthwise kernels from here on have no fast weight gradient in bfloat16
_MOST_ROWS = 512  # pixels of a batch up to which a matrix product is the faster 1x1 convolution
_MOST_PAIRS = 16  # pixels that go in times pixels that come out: maps of 2x2, 1x1, and what is between them

Forms = Mapping[nn.Module, Callable[[Tensor], Tensor]]
"""Convolutions of one network, and how each is computed instead."""


@contextmanager
def computed_as(forms: Forms) -> Iterator[None]:
    """Inside it, these convolutions are computed in their other forms."""
    for module, form in forms.items():
        module.forward = form  # on the instance, and gone after the step: others see plain convolutions
    try:
        yield
    finally:
        for module in forms:
            del module.forward


def float32_forms(model: nn.Module) -> Forms:
    """The convolutions that a CPU computes in float32 inside bfloat16 autocast, since it trains them faster so.

    Depthwise ones of stride 2, whose gradient for the input is a hundred times slower in bfloat16 (oneDNN 3.13 on
    AVX512), and of kernel 4 and more, whose gradient for the weights has only a generic form, slower in bfloat16.
    """
    return {
        module: partial(_without_autocast, module)
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
        and module.groups == module.in_channels > 1
        and (max(module.stride) > 1 or max(module.kernel_size) >= _SLOW_KERNEL)
    }


def _without_autocast(module: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return cast(Tensor, type(module).forward(module, x.float()))


def small_map_forms(model: nn.Module) -> Forms:
    """The convolutions that have a faster form where their map is small; where it is not, they stay as they are."""
    forms: dict[nn.Module, Callable[[Tensor], Tensor]] = {}
    for module in model.modules():
        if type(module) is not nn.Conv2d or module.padding_mode != "zeros" or isinstance(module.padding, str):
            continue
        if module.groups == 1 and (module.kernel_size, module.stride, module.padding) == ((1, 1), (1, 1), (0, 0)):
            forms[module] = partial(_pointwise, module)
        elif module.groups == module.in_channels == module.out_channels > 1:
            forms[module] = partial(_depthwise, module)
    return forms


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """(N, i, H, W) -> (N, c, H, W): of few pixels as one product of matrices."""
    if x.device.type != "cpu" or x.shape[0] * x.shape[2] * x.shape[3] > _MOST_ROWS:
        return nn.Conv2d.forward(conv, x)
    return F.linear(x.permute(0, 2, 3, 1), conv.weight.flatten(1), conv.bias).permute(0, 3, 1, 2)


def _depthwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """(N, c, H, W) -> (N, c, H', W'): of a tiny map as the sum over its pixels, each times its weight."""
    count, channels, height, width = x.shape
    kernel, stride, dilation = (
        cast("tuple[int, int]", side) for side in (conv.kernel_size, conv.stride, conv.dilation)
    )
    padding = cast("tuple[int, int]", conv.padding)
    rows, columns = (
        (size + 2 * pad - step * (taps - 1) - 1) // move + 1
        for size, pad, step, taps, move in zip((height, width), padding, dilation, kernel, stride, strict=True)
    )
    if x.device.type != "cpu" or rows < 1 or columns < 1 or height * width * rows * columns > _MOST_PAIRS:
        return nn.Conv2d.forward(conv, x)
    taps = torch.tensor(_taps((height, width), (rows, columns), kernel, stride, padding, dilation))
    weights = F.pad(conv.weight.flatten(1).t(), (0, 0, 0, 1))  # a last row of zeros, for pixels that no tap sees
    weights = weights.index_select(0, taps).view(rows * columns, height * width, channels)
    pixels = x.permute(0, 2, 3, 1).reshape(count, 1, height * width, channels)
    made = (pixels * weights).sum(2)
    if conv.bias is not None:
        made = made + conv.bias
    return made.view(count, rows, columns, channels).permute(0, 3, 1, 2)


@cache
def _taps(
    incoming: tuple[int, int],
    made: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> list[int]:
    """For each pixel that comes out, and in it for each that goes in, which tap joins them; one past the last: none."""
    outside = kernel[0] * kernel[1]
    found = []
    for at in product(range(made[0]), range(made[1]), range(incoming[0]), range(incoming[1])):
        steps = [divmod(at[2 + side] + padding[side] - at[side] * stride[side], dilation[side]) for side in (0, 1)]
        seen = all(rest == 0 and 0 <= tap < taps for (tap, rest), taps in zip(steps, kernel, strict=True))
        found.append(steps[0][0] * kernel[1] + steps[1][0] if seen else outside)
    return found
