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

from archsearch.blocks.deform import counting_form

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
