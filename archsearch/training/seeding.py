"""The one place that seeds torch, and never for longer than a `with` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

_SEEDS = 2**63


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Draw from torch's generators (CPU and, for a CUDA `device`, that one) as if just seeded; restore them after."""
    index = _cuda_index(device)
    with torch.random.fork_rng(devices=[] if index is None else [index]):
        torch.default_generator.manual_seed(seed % _SEEDS)
        if index is not None:
            torch.cuda.default_generators[index].manual_seed(seed % _SEEDS)
        yield


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed for one epoch alone, so that a resumed training draws what an uninterrupted one draws."""
    return (seed * 1_000_003 + epoch + 1) % _SEEDS


@dataclass(frozen=True)
class RandomState:
    """The states of torch's generators: of the CPU, and of the CUDA device in use (uint8, on the CPU)."""

    cpu: Tensor
    cuda: Tensor | None = None


def random_state(device: str = "cpu") -> RandomState:
    """The generators as they are now."""
    index = _cuda_index(device)
    return RandomState(torch.get_rng_state(), None if index is None else torch.cuda.get_rng_state(index))


def set_random_state(state: RandomState, device: str = "cpu") -> None:
    """Put the generators where they were. Within `seeded` alone, which restores what they were before."""
    torch.set_rng_state(state.cpu.cpu())
    index = _cuda_index(device)
    if index is not None and state.cuda is not None:
        torch.cuda.set_rng_state(state.cuda.cpu(), index)


def _cuda_index(device: str) -> int | None:
    target = torch.device(device)
    if target.type != "cuda":
        return None
    return torch.cuda.current_device() if target.index is None else target.index
