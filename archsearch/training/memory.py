"""What a training does when its device runs out of memory: the same steps, each in smaller parts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archsearch.errors import TrainingMemoryError
from archsearch.training.averaging import Averaged

LEAST_IMAGES = 2
"""Images that a part of a training step must have: batch normalisation takes its statistics over one."""


class Snapshot:
    """Weights, buffers, momentum and averages as they are now, copied to main memory, to begin an epoch anew from.

    A step that ends for want of memory leaves the weights as they were, but the statistics of the normalisations that
    it passed have moved, and how many it passed depends on the device. So an epoch begins anew as a whole.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, averaged: Averaged | None = None) -> None:
        self._model, self._optimizer, self._averaged = model, optimizer, averaged
        self._weights = _copied(model.state_dict())
        self._momentum = _copied(optimizer.state_dict())
        self._averages: dict[str, Any] = {} if averaged is None else _copied(averaged.state_dict())

    def restore(self) -> None:
        """Put them back. The gradients of the step that failed are dropped, and memory that is held in reserve, too."""
        self._optimizer.zero_grad(set_to_none=True)
        self._model.load_state_dict(self._weights)
        self._optimizer.load_state_dict(_copied(self._momentum))  # on a CPU the optimizer keeps the tensors it is given
        if self._averaged is not None:
            self._averaged.load_state_dict(self._averages)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def more_parts(parts: int, *, images: int, least: int, device: str) -> int:
    """Twice as many parts of `images`. Raises TrainingMemoryError if one would then have fewer than `least`."""
    if images // (2 * parts) < least:
        raise TrainingMemoryError(
            f"the device {device} ran out of memory, even with {-(-images // parts)} of {images} images at once",
            hint="a smaller network or input size, or a device with more memory",
        )
    return 2 * parts


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_copied(entry) for entry in value]
    return value
