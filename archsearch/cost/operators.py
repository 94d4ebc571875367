"""How many operators one image makes a network run: what a device has to start, whatever each of them costs.

A per-operator price (a kernel's launch, a framework's dispatch) is paid once for each, so where latency follows this
number, the network is too small for the device (ShuffleNet V2, arXiv 1807.11164, guideline G3, names kernel launching).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from archsearch.cost.count import evaluating, one_image, written_out
from archsearch.cost.memory import Traffic


def operators_run(model: nn.Module, input_size: int) -> int:
    """Operators that write a tensor when one image (1, 3, input_size, input_size) runs in eval mode; views are none.

    Of the module as it is: give it with batch norms folded, as it is deployed. The model is left as it was.
    """
    image = one_image(model, input_size)
    counter = _OperatorCounter()
    with evaluating(model), written_out(), counter:
        model(image)
    return counter.operators


class _OperatorCounter(Traffic):  # type: ignore[no-untyped-call]  # torch leaves its base untyped
    def __init__(self) -> None:
        super().__init__()
        self.operators = 0

    def noted(self, name: str, args: tuple[Any, ...], read: tuple[Tensor, ...], written: tuple[Tensor, ...]) -> None:
        """One operator moved something."""
        self.operators += 1
