"""A moving average of a network's weights, which is scored and kept in the place of the last step's."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Averaged:
    """An exponential moving average of weights and of the statistics of batch normalisation.

    After step n (from 1) the average moves towards the network by max(1 / n, 1 / `steps`): it is the plain mean of the
    steps so far, until there are `steps` of them, and then one with that many steps of memory (a decay of
    1 - 1 / steps). Statistics are averaged like weights, so they are of the steps that the averaged weights are of.
    Whole numbers (how many batches a normalisation saw) are copied.

    Unlike `torch.optim.swa_utils.AveragedModel` it keeps its count on the host, so that no step waits for the device.

    Args:
        model: the network, which stays as it is; the average begins as a copy.
        steps: length of the memory in steps, at least 1.

    Attributes:
        model: the average, a network of its own.
        count: steps taken in so far.
    """

    def __init__(self, model: nn.Module, *, steps: int) -> None:
        self.model = copy.deepcopy(model)
        self.count = 0
        self._steps = max(1, steps)
        pairs = [
            (average.detach(), value.detach())
            for average, value in zip(_tensors(self.model), _tensors(model), strict=True)
        ]
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._others = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network as it is now."""
        self.count += 1
        weight = max(1.0 / self.count, 1.0 / self._steps)
        move = get_ema_multi_avg_fn(1.0 - weight)  # type: ignore[no-untyped-call]
        move([average for average, _ in self._floats], [value for _, value in self._floats], self.count)
        for average, value in self._others:
            average.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """The average and its count. The tensors are its own: write them down at once, or copy them."""
        return {"count": self.count, "model": self.model.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.model.load_state_dict(state["model"])
        self.count = int(state["count"])


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
