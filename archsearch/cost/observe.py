"""One network seen at work once: what its trace held, which modules ran on which shapes, and what its operators moved.

Every convention of counting and every table is a function of what is observed here, so that a network is built, traced
and run once however many numbers are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from archsearch.cost.count import OperatorCount, count_operators
from archsearch.cost.memory import MemoryAccess, memory_access


@dataclass(frozen=True, kw_only=True)
class ModuleCall:
    """One call of one module, with the shapes of its first input and of its output, batch included."""

    module: nn.Module
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one image in eval mode showed.

    Attributes:
        model: the network.
        operators: multiply-adds by operator and by module, from the trace.
        calls: the modules that made one tensor of another, in the order of their ends.
        memory: bytes read and written by all operators.
    """

    model: nn.Module
    operators: OperatorCount
    calls: tuple[ModuleCall, ...]
    memory: MemoryAccess


def observe(model: nn.Module, input_size: int) -> Observation:
    """Trace and run one image (1, 3, input_size, input_size) where the model is. The model is left as it was."""
    calls: list[ModuleCall] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        first = next(iter((*args, *kwargs.values())), None)
        if isinstance(first, Tensor) and isinstance(output, Tensor):
            calls.append(
                ModuleCall(module=module, input_shape=tuple(first.shape), output_shape=tuple(output.shape)),
            )

    hooks = [module.register_forward_hook(note, with_kwargs=True) for module in model.modules()]
    try:
        memory = memory_access(model, input_size)
    finally:
        for hook in hooks:
            hook.remove()
    return Observation(model=model, operators=count_operators(model, input_size), calls=tuple(calls), memory=memory)
