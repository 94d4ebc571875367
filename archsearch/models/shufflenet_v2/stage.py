"""A stage of ShuffleNet V2: a unit that widens, then units of one width."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from archsearch.models.shufflenet_v2.units import BasicUnit, DownUnit


class Stage(nn.Sequential):
    """(N, i, H, W) -> (N, c, H', W'): its units, one after the other.

    In training on channels_last maps, the map between two units stays in the two parts that the next one wants
    (`archsearch.blocks.pairs`): the same values and gradients, with a fraction of the copying. Units are then not
    called but asked for their parts, so one with a hook is called after all, as in inference.
    """

    def __init__(self, first: DownUnit, *others: BasicUnit) -> None:
        super().__init__(first, *others)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (nn.Sequential's own name)
        """(N, i, H, W) -> (N, c, H', W')."""
        if not self._in_parts(input):
            return cast(Tensor, super().forward(input))  # type: ignore[no-untyped-call]
        first, *others = cast("tuple[DownUnit, *tuple[BasicUnit, ...]]", tuple(self))
        passed, made = first.parts(input)
        shuffle = first.shuffle
        for unit in others:
            passed, made = unit.parts(*shuffle.exchange(passed, made, at=unit.passing))
            shuffle = unit.shuffle
        return shuffle.join(passed, made)

    def _in_parts(self, x: Tensor) -> bool:
        return (
            self.training
            and torch.is_grad_enabled()
            and not torch.compiler.is_compiling()  # a compiler fuses the copies itself
            and x.is_contiguous(memory_format=torch.channels_last)
            and not any(unit._forward_hooks or unit._forward_pre_hooks for unit in self)
        )
