"""Multiply-adds of a network, by operator and by module, counted by fvcore on a trace of one image."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from archsearch.blocks.deform import counting_form
from archsearch.cost.handles import COUNTED_OPS, FREE_OPS, FlopCountAnalysis

CHANNELS = 3


@dataclass(frozen=True, kw_only=True)
class OperatorCount:
    """What the trace of one image held.

    Attributes:
        by_operator: multiply-adds of each kind of operator (`conv`, `linear`, `deform_conv2d`, ...).
        by_module: multiply-adds inside each module, by its dotted name; "" is the whole network.
        unsupported_ops: operators that could not be counted and are not known to be free of multiply-adds
            (`archsearch.cost.handles.FREE_OPS`), with how often each was met.
    """

    by_operator: Mapping[str, int]
    by_module: Mapping[str, int]
    unsupported_ops: Mapping[str, int]

    @property
    def macs(self) -> int:
        """Multiply-adds of the whole network."""
        return sum(self.by_operator.values())


def count(model: nn.Module, input_size: int) -> tuple[int, Mapping[str, int]]:
    """Multiply-adds of one image (1, 3, input_size, input_size), and the operators that could not be counted.

    Conv+linear convention: see `archsearch.cost.handles`. The model is left as it was.
    """
    counted = count_operators(model, input_size)
    return counted.macs, counted.unsupported_ops


def count_operators(model: nn.Module, input_size: int) -> OperatorCount:
    """The same count, by operator and by module. Counted in eval mode, on the device where the model is."""
    parameter = next(model.parameters(), None)
    image = torch.zeros(1, CHANNELS, input_size, input_size, device=parameter.device if parameter is not None else None)
    with evaluating(model), torch.no_grad(), counting_form(), _quiet():
        analysis = (
            FlopCountAnalysis(model, image)
            .clear_op_handles()
            .set_op_handle(**COUNTED_OPS)
            .unsupported_ops_warnings(False)
            .uncalled_modules_warnings(False)
            .tracer_warnings("none")
        )
        by_operator = {name: int(macs) for name, macs in analysis.by_operator().items()}
        by_module = {name: int(macs) for name, macs in analysis.by_module().items()}
        unsupported = {name: n for name, n in sorted(analysis.unsupported_ops().items()) if name not in FREE_OPS}
    return OperatorCount(by_operator=by_operator, by_module=by_module, unsupported_ops=unsupported)


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
