"""The one place that seeds torch, and never for longer than a `with` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SEEDS = 2**63


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Draw from torch's generators (CPU and, for a CUDA `device`, that one) as if just seeded; restore them after."""
    target = torch.device(device)
    cuda = target.type == "cuda"
    index = (torch.cuda.current_device() if target.index is None else target.index) if cuda else None
    with torch.random.fork_rng(devices=[] if index is None else [index]):
        torch.default_generator.manual_seed(seed % _SEEDS)
        if index is not None:
            torch.cuda.default_generators[index].manual_seed(seed % _SEEDS)
        yield


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed for one epoch alone, so that a resumed training draws what an uninterrupted one draws."""
    return (seed * 1_000_003 + epoch + 1) % _SEEDS
