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


def matmul_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Multiply-adds of a matrix product, also of vectors and of broadcast batches: each output sums so many products.

    fvcore's handle multiplies the first shape by the last of the second, which misses what is broadcast.
    """
    return prod(shape_of(outputs[0])) * shape_of(inputs[0])[-1]


def einsum_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Multiply-adds of `aten::einsum`: of two operands one for each value of all their indices together.

    torch contracts more than two from left to right, or along a path that it is given: each step is one of two
    operands, whose product keeps the indices that the output or a later operand has. One operand is no product.
    fvcore's handle reads the count that numpy prints, rounded to four digits.
    """
    equation = inputs[0].toIValue().replace(" ", "")
    shapes = [shape_of(each) for each in inputs[1].node().inputs()]
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    sizes: dict[str, int] = {}
    operands = []
    for term, shape in zip(terms, shapes, strict=True):
        before, dots, after = term.partition("...")
        spread = len(shape) - len(before) - len(after) if dots else 0
        # The last index that an ellipsis stands for is the same one in every operand: they broadcast from the right.
        names = [*before, *(f".{place}" for place in range(spread, 0, -1)), *after]
        for name, size in zip(names, shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 1))
        operands.append(frozenset(names))
    if arrow:
        kept = {name for name in result if name != "."}
    else:
        kept = {name for name in left if name.isalpha() and left.count(name) == 1}
    if not arrow or "." in result:
        kept |= {name for name in sizes if name.startswith(".")}
    path = inputs[2].toIValue() if len(inputs) > 2 else None
    total = 0
    for first, second in zip(path[::2], path[1::2], strict=True) if path else [(0, 1)] * (len(operands) - 1):
        pair = operands[first] | operands[second]
        total += prod(sizes[name] for name in pair)
        operands = [each for place, each in enumerate(operands) if place not in (first, second)]
        operands.append(pair & frozenset(kept).union(*operands))
        if not path:
            operands.insert(0, operands.pop())
    return total


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
    "aten::mm": matmul_macs,
    "aten::matmul": matmul_macs,
    "aten::bmm": matmul_macs,
    "aten::einsum": einsum_macs,
    "aten::scaled_dot_product_attention": attention_macs,
    "torchvision::deform_conv2d": deformable_macs,
}
"""What the conv+linear convention counts."""


def _by_fvcore_of_matrices(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """fvcore's own count of a matrix product; of vectors, which it cannot count, the right one."""
    vector = any(len(shape_of(each)) < 2 for each in inputs)
    return int(matmul_macs(inputs, outputs) if vector else jit_handles.matmul_flop_jit(inputs, outputs))


FVCORE_OPS: Mapping[str, Handle] = {
    **FVCORE_DEFAULT_OPS,
    "aten::matmul": _by_fvcore_of_matrices,
    "torchvision::deform_conv2d": deformable_macs,
}
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
