"""Initial weights that belong to a parameter's name: networks that differ in one layer share those of all others.

A network's constructors draw one parameter after the other from one generator, so after the first layer that two
networks do not share nothing is equal. Here each parameter's random filling is seen while the network is built, and
done once more from a generator of its own, seeded by the seed and the parameter's name. The distributions stay those of
the constructors, whatever they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

_RANDOM = ("normal_", "uniform_", "bernoulli_", "exponential_", "random_", "cauchy_", "log_normal_", "geometric_")
_OVERWRITES = ("zero_", "fill_", "copy_")


def with_named_weights(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """The network that `make` builds, each parameter filled from (seed, its name).

    A parameter whose values do not come from one random filling in place (and operations in place after it, as in a
    truncated normal distribution) keeps what `make` gave it. Uses and moves torch's default generator.
    """
    with _Fillings() as seen:
        network = make()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            steps = seen.of(parameter)
            if steps:
                digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
                torch.default_generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
                for step, arguments, keywords in steps:
                    step(parameter, *arguments, **keywords)
    return network


class _Fillings(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Remembers the last random filling of each tensor, and what was done to it in place after that."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._steps: dict[int, list[tuple[Any, tuple[Any, ...], dict[str, Any]]]] = {}
        self._alive: list[torch.Tensor] = []  # so that no storage is taken for another one's

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        keywords = dict(kwargs or {})
        name = func.overloadpacket.__name__
        if name.endswith("_") and args and isinstance(args[0], torch.Tensor):
            place = _place(args[0])
            whole = args[0].numel() * args[0].element_size() == args[0].untyped_storage().nbytes()
            if name in _RANDOM and whole:
                self._steps[place] = []
                self._alive.append(args[0])
            if name in _OVERWRITES or not whole:
                self._steps.pop(place, None)
            elif place in self._steps:
                self._steps[place].append((func, args[1:], keywords))
        return func(*args, **keywords)

    def of(self, parameter: nn.Parameter) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
        """What filled a parameter: the operations to be done again, in order."""
        return self._steps.get(_place(parameter), [])


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
