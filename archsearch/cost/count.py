"""Multiply-adds of a network, by operator and by module, counted by fvcore on a trace of one image.

Which operators the conv+linear convention counts, and which are known to hold no multiply-adds that it counts.

The convention (the project's own `macs`): one for each multiply-add of a convolution, plain, transposed or deformable,
of a linear layer and of a matrix product; nothing for biases, normalisation, activations, pooling and element-wise
arithmetic. It is exactly half of what `torch.utils.flop_counter` says. fvcore's own table also counts batch norm,
global pooling and grid sampling, so the operators counted here are named one by one.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.blocks.stems import counting_form

CHANNELS = 3
# One trace is counted in two conventions: the kind of operator is prefixed with whose count it is.
_OWN, _FVCORE, _UNCOUNTED = "own:", "fvcore:", "uncounted:"


@dataclass(frozen=True, kw_only=True)
class OperatorCount:
    """What the trace of one image held.

    Attributes:
        by_operator: multiply-adds of each kind of operator (`conv`, `linear`, `deform_conv2d`, ...).
        by_module: multiply-adds inside each module, by its dotted name; "" is the whole network.
        unsupported_ops: operators that could not be counted and are not known to be free of multiply-adds
            (`archsearch.cost.count.FREE_OPS`), with how often each was met.
        fvcore_by_operator: what fvcore counts by itself, of each kind of operator: batch norm, some pooling and
            resizing as well (`archsearch.cost.count.FVCORE_OPS`).
    """

    by_operator: Mapping[str, int]
    by_module: Mapping[str, int]
    unsupported_ops: Mapping[str, int]
    fvcore_by_operator: Mapping[str, int]

    @property
    def macs(self) -> int:
        """Multiply-adds of the whole network."""
        return sum(self.by_operator.values())


def count(model: nn.Module, input_size: int) -> tuple[int, Mapping[str, int]]:
    """Multiply-adds of one image (1, 3, input_size, input_size), and the operators that could not be counted.

    Conv+linear convention: see `archsearch.cost.count`. The model is left as it was.
    """
    counted = count_operators(model, input_size)
    return counted.macs, counted.unsupported_ops


def count_operators(model: nn.Module, input_size: int) -> OperatorCount:
    """The same count, by operator and by module. Counted in eval mode, on the device where the model is."""
    with evaluating(model), written_out(), _quiet():
        analysis = (
            FlopCountAnalysis(model, one_image(model, input_size))
            .clear_op_handles()
            .set_op_handle(**{name: _handle(name) for name in {**COUNTED_OPS, **FVCORE_OPS}})
            .unsupported_ops_warnings(False)
            .uncalled_modules_warnings(False)
            .tracer_warnings("none")
        )
        by_module = {name: _only(_OWN, kinds) for name, kinds in analysis.by_module_and_operator().items()}
        found = analysis.by_operator()
        unhandled = Counter(analysis.unsupported_ops()) + Counter(_only(_UNCOUNTED, found))
    return OperatorCount(
        by_operator=_only(_OWN, found),
        by_module={name: sum(kinds.values()) for name, kinds in by_module.items()},
        unsupported_ops={name: n for name, n in sorted(unhandled.items()) if name not in FREE_OPS},
        fvcore_by_operator=_only(_FVCORE, found),
    )


def one_image(model: nn.Module, input_size: int) -> Tensor:
    """A black image (1, 3, input_size, input_size) on the device where the model is."""
    parameter = next(model.parameters(), None)
    device = None if parameter is None else parameter.device
    return torch.zeros(1, CHANNELS, input_size, input_size, device=device)


def _handle(operator: str) -> Handle:
    """One operator counted as this project and as fvcore counts it; whoever does not know it counts nothing."""
    own, theirs = COUNTED_OPS.get(operator), FVCORE_OPS.get(operator)

    def handle(inputs: Sequence[Any], outputs: Sequence[Any]) -> Counter[str]:
        found: Counter[str] = Counter()
        if own is None:
            found[_UNCOUNTED + operator] = 1
        for whose, rule in ((_OWN, own), (_FVCORE, theirs)):
            counted = 0 if rule is None else rule(inputs, outputs)
            kinds = counted if isinstance(counted, Counter) else {operator.split("::")[1]: counted}
            found.update({whose + kind: int(macs) for kind, macs in kinds.items() if macs})
        return found

    return handle


def _only(prefix: str, found: Mapping[str, int]) -> dict[str, int]:
    return {name.removeprefix(prefix): int(n) for name, n in found.items() if name.startswith(prefix)}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode; afterwards every module is in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def written_out() -> Iterator[None]:
    """Inside it networks run without gradients, one operator for each thing done.

    A deformable convolution is one operator, and torch's attention layers run as the products that they are, where
    inference would take one fused kernel.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), counting_form():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings from tracing: what could not be counted is in the result, where a person sees it."""
    tracer = logging.getLogger("fvcore.nn.jit_analysis")
    disabled, tracer.disabled = tracer.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        tracer.disabled = disabled


with warnings.catch_warnings():  # fvcore scripts a loss function on import, which torch now warns about
    warnings.simplefilter("ignore")
    from fvcore.nn import FlopCountAnalysis, jit_handles
    from fvcore.nn.flop_count import _DEFAULT_SUPPORTED_OPS as FVCORE_DEFAULT_OPS

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
