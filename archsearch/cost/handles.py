"""Which operators the conv+linear convention counts, and which are known to hold no multiply-adds that it counts.

The convention (the project's own `macs`): one for each multiply-add of a convolution, plain, transposed or deformable,
of a linear layer and of a matrix product; nothing for biases, normalisation, activations, pooling and element-wise
arithmetic. It is exactly half of what `torch.utils.flop_counter` says. fvcore's own table also counts batch norm,
global pooling and grid sampling, so the operators counted here are named one by one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

with warnings.catch_warnings():  # fvcore scripts a loss function on import, which torch now warns about
    warnings.simplefilter("ignore")
    from fvcore.nn import FlopCountAnalysis, jit_handles
    from fvcore.nn.flop_count import _DEFAULT_SUPPORTED_OPS as FVCORE_DEFAULT_OPS

__all__ = ["COUNTED_OPS", "FREE_OPS", "FVCORE_OPS", "FlopCountAnalysis", "Handle"]

Handle = Callable[[Sequence[Any], Sequence[Any]], Any]
"""fvcore's: the inputs and outputs of a traced operator (`torch._C.Value`) -> its multiply-adds."""


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of a traced tensor."""
    return tuple(jit_handles.get_shape(value))


def deformable_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Multiply-adds of `torchvision::deform_conv2d`, counted like a plain convolution on the sampled map.

    batch * out_h * out_w * out_channels * (in_channels / groups) * k_h * k_w: the weight (the operator's second
    input) has shape (out_channels, in_channels / groups, k_h, k_w). Bilinear sampling and the modulation mask are not
    counted (LDC paper, table 4, row DC0).
    """
    batch, _, height, width = shape_of(outputs[0])
    return batch * height * width * prod(shape_of(inputs[1]))


def convolution_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Multiply-adds of a convolution traced with a padding mode ('same', 'valid'), which fvcore does not know."""
    output = shape_of(outputs[0])
    return output[0] * prod(output[2:]) * prod(shape_of(inputs[1]))


def attention_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Multiply-adds of `aten::scaled_dot_product_attention`: its two matrix products.

    Queries (..., L, E) by keys (..., S, E), then the weights (..., L, S) by values (..., S, V). The softmax is free.
    """
    query, key, value = (shape_of(each) for each in inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


COUNTED_OPS: Mapping[str, Handle] = {
    "aten::_convolution": jit_handles.conv_flop_jit,
    "aten::_convolution_mode": convolution_macs,
    "aten::addmm": jit_handles.addmm_flop_jit,
    "aten::linear": jit_handles.linear_flop_jit,
    "aten::mm": jit_handles.matmul_flop_jit,
    "aten::matmul": jit_handles.matmul_flop_jit,
    "aten::bmm": jit_handles.bmm_flop_jit,
    "aten::einsum": jit_handles.einsum_flop_jit,
    "aten::scaled_dot_product_attention": attention_macs,
    "torchvision::deform_conv2d": deformable_macs,
}
"""What the conv+linear convention counts."""

FVCORE_OPS: Mapping[str, Handle] = {**FVCORE_DEFAULT_OPS, "torchvision::deform_conv2d": deformable_macs}
"""What fvcore counts by itself, and deformable convolution, which it would take for free."""

_ELEMENTWISE = (
    "abs add add_ clamp_max clamp_min div div_ exp maximum minimum mul mul_ neg pow reciprocal rsqrt rsub sqrt square "
    "sub sub_ where"
)
_ACTIVATIONS = (
    "elu gelu hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_ leaky_relu mish prelu relu6 sigmoid "
    "sigmoid_ silu silu_ softmax log_softmax softplus tanh"
)
_REDUCTIONS = (
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d amax amin avg_pool1d avg_pool2d "
    "max_pool1d max_pool2d max_pool2d_with_indices mean min std sum var var_mean"
)
_NORMALISATION = "batch_norm group_norm instance_norm layer_norm"
_SHAPES = (
    "alias broadcast_to channel_shuffle clone concat dropout_ expand_as feature_dropout flip index_select linspace "
    "meshgrid movedim new_ones numel ones_like pad pixel_shuffle pixel_unshuffle repeat reshape_as scalar_tensor "
    "swapaxes tensor_split unflatten unfold upsample_nearest2d view_as"
)
FREE_OPS: frozenset[str] = frozenset(
    f"aten::{name}"
    for group in (_ELEMENTWISE, _ACTIVATIONS, _REDUCTIONS, _NORMALISATION, _SHAPES)
    for name in group.split()
)
"""Operators without multiply-adds in this convention, besides the shape operators that fvcore itself ignores.

Grid sampling, Fourier transforms, bilinear resizing, attention kernels and every custom operator are not here: a
network that uses one lists it as unsupported.
"""
