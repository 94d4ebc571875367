"""Training steps through torch.compile: minutes to prepare, then faster; for long trainings only."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from archsearch.errors import TrainingError
from archsearch.training.step import EagerStep


class CompiledStep(EagerStep):
    """As `EagerStep`, with forward and backward compiled. The network itself stays plain: it is scored and kept.

    The same weights come out up to rounding, since the compiler joins operations. Raises TrainingError at the first
    step if the network cannot be compiled here.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        label_smoothing: float,
        device: str,
        amp: bool,
        class_weights: Tensor | None = None,
    ) -> None:
        whole = cast(nn.Module, torch.compile(model))
        super().__init__(
            whole, optimizer, label_smoothing=label_smoothing, device=device, amp=amp, class_weights=class_weights
        )

    def __call__(self, inputs: Tensor, labels: Tensor, rate: float) -> Tensor:
        """As `TrainingStep` says."""
        try:
            return super().__call__(inputs, labels, rate)
        except torch._dynamo.exc.TorchDynamoException as error:
            raise TrainingError(
                f"torch.compile cannot compile this network here: {type(error).__name__}: {_first_line(error)}",
                hint="it needs a C++ compiler (on a GPU also Triton); or train without it",
            ) from error


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), "")
