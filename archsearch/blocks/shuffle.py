"""Channel shuffles: of two parts of any widths (ShuffleNet V2, arXiv 1807.11164, section 3.3), and of equal groups.

The second is ShuffleNet V1's (arXiv 1707.01083, section 3.1).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from archsearch.blocks.pairs import exchange_halves, exchange_parts, join_halves, join_parts


def interleaving(first: int, second: int) -> tuple[int, ...]:
    """The order in which channels of two concatenated parts leave the shuffle.

    Channel i of the first part (n1 = `first` channels a) has the key i/n1, channel j of the second (n2 = `second`
    channels b) the key j/n2; channels leave in ascending order of keys, a before b where they tie. Keys are compared
    exactly, as the integers i*n2 and j*n1. With n1 == n2 this is a0 b0 a1 b1 ..., torchvision's channel_shuffle with
    two groups; otherwise each contiguous window of the output holds both parts in the proportion n1 : n2.

    >>> interleaving(2, 4)  # a0 b0 b1 a1 b2 b3
    (0, 2, 3, 1, 4, 5)
    """
    keys = [(i * second, 0, i) for i in range(first)] + [(j * first, 1, first + j) for j in range(second)]
    return tuple(index for _, _, index in sorted(keys))


def shuffle_halves(first: Tensor, second: Tensor) -> Tensor:
    """Two (N, C, H, W) -> (N, 2C, H, W): torchvision's channel_shuffle(cat((first, second), 1), 2), bit for bit.

    Stacking writes the result once, in the layout of `second`; torchvision's view, transpose and copy concatenates
    first, and turns channels_last maps back to contiguous ones in every unit.
    """
    if _channels_last(second):
        pairs = torch.stack((first.permute(0, 2, 3, 1), second.permute(0, 2, 3, 1)), dim=-1)
        return pairs.flatten(-2).permute(0, 3, 1, 2)
    return torch.stack((first, second), dim=2).flatten(1, 2)


def shuffle_parts(first: Tensor, second: Tensor, order: Tensor) -> Tensor:
    """(N, n1, H, W) and (N, n2, H, W) -> (N, n1+n2, H, W): the concatenation's channels taken in `order` (int64)."""
    joined = torch.cat((first, second), dim=1)
    if _channels_last(second):
        return joined.permute(0, 2, 3, 1).index_select(3, order).permute(0, 3, 1, 2)
    return joined.index_select(1, order)


def shuffle_groups(x: Tensor, groups: int) -> Tensor:
    """(N, g*n, H, W) -> (N, n*g, H, W): channel j of group i leaves at j*g + i, as nn.ChannelShuffle(g) has it.

    Written for maps that stay channels_last, where nn.ChannelShuffle copies more slowly.
    """
    if _channels_last(x):
        pairs = torch.unflatten(x.permute(0, 2, 3, 1), 3, (groups, -1)).transpose(3, 4)
        return pairs.flatten(3).permute(0, 3, 1, 2)
    return torch.unflatten(x, 1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def _channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


# one node each to torch.fx: they look at the memory format, which a proxy lacks
torch.fx.wrap("shuffle_halves")
torch.fx.wrap("shuffle_parts")
torch.fx.wrap("shuffle_groups")


class ChannelShuffle(nn.Module):
    """(N, n1, H, W) and (N, n2, H, W) -> (N, n1+n2, H, W): concatenates two parts and interleaves their channels.

    The order is that of `interleaving`. It has no parameters and adds nothing to a state_dict.
    """

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.first, self.second = first, second
        # of equal parts, too: `exchange` may route them, and no step makes a tensor on the CPU
        self.register_buffer("order", torch.tensor(interleaving(first, second)), persistent=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(N, n1, H, W) and (N, n2, H, W) -> (N, n1+n2, H, W), in the memory format of `second`."""
        if self.first == self.second:
            return shuffle_halves(first, second)
        return shuffle_parts(first, second, cast(Tensor, self.order))

    def exchange(self, first: Tensor, second: Tensor, *, at: int) -> tuple[Tensor, Tensor]:
        """As the call, the result split after `at` channels, both channels_last and dense; see pairs.py."""
        if self.first == self.second == at and at % 2 == 0:
            return exchange_halves(first, second)
        return exchange_parts(first, second, cast(Tensor, self.order), at=at)

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """As the call, channels_last, with dense gradients of both parts: for training, see pairs.py."""
        if self.first == self.second:
            return join_halves(first, second)
        return join_parts(first, second, cast(Tensor, self.order))

    def extra_repr(self) -> str:
        """The widths of both parts."""
        return f"{self.first}, {self.second}"


class GroupShuffle(nn.Module):
    """(N, C, H, W) -> (N, C, H, W): `groups` equal groups of channels dealt out in turn; they divide C."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), in the same memory format."""
        return shuffle_groups(x, self.groups)

    def extra_repr(self) -> str:
        """The number of groups."""
        return f"{self.groups}"
