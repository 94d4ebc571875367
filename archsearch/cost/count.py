"""Multiply-adds of a network, by operator and by module, counted by fvcore on a trace of one image."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.blocks.deform import counting_form
from archsearch.cost.handles import COUNTED_OPS, FREE_OPS, FVCORE_OPS, FlopCountAnalysis, Handle

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
            (`archsearch.cost.handles.FREE_OPS`), with how often each was met.
        fvcore_by_operator: what fvcore counts by itself, of each kind of operator: batch norm, some pooling and
            resizing as well (`archsearch.cost.handles.FVCORE_OPS`).
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

    Conv+linear convention: see `archsearch.cost.handles`. The model is left as it was.
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
