"""Channel shuffles: of two parts of any widths (ShuffleNet V2, arXiv 1807.11164, section 3.3), and of equal groups.

The second is ShuffleNet V1's (arXiv 1707.01083, section 3.1).

The units of ShuffleNet V2 train on maps in two parts, which are shuffled and split again without being joined
(`exchange_halves`, `exchange_parts`). Of a map that is joined, shuffled and split between two units autograd makes some
six copies there and back: each part is taken out of the joined map, and on the way back written into zeros and added.
Here the parts are moved once in each direction, to maps of their own that are dense in memory, which the layers after
them read and write fastest. Values and gradients are moved, never computed with: they are those of `shuffle_halves` and
`shuffle_parts`, bit for bit.
"""

from __future__ import annotations

import sys
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_WIDER = {torch.float32: (torch.int32, torch.int64), torch.bfloat16: (torch.int16, torch.int32)}
"""The integers of a type's size, and of twice its size: two neighbours in memory are one of the latter."""

Parts = tuple[Tensor, Tensor]


def exchange_halves(first: Tensor, second: Tensor) -> Parts:
    """Two (N, C, H, W), C even -> the first and the last C channels of `shuffle_halves(first, second)`.

    Both come channels_last and dense, whatever the layout of the inputs.
    """
    parts: Parts = _Halves.apply(first, second)
    return parts


def exchange_parts(first: Tensor, second: Tensor, order: Tensor, *, at: int) -> Parts:
    """(N, n1, H, W), (N, n2, H, W) -> the first `at` and the other channels of `shuffle_parts(first, second, order)`.

    Both come channels_last and dense. `order` is a permutation of n1 + n2 (int64).
    """
    parts: Parts = _Routed.apply(first, second, order, at)
    return parts


def join_halves(first: Tensor, second: Tensor) -> Tensor:
    """Two (N, C, H, W) -> (N, 2C, H, W): `shuffle_halves`, channels_last, and dense gradients of both parts."""
    joined: Tensor = _Joined.apply(first, second)
    return joined


def join_parts(first: Tensor, second: Tensor, order: Tensor) -> Tensor:
    """(N, n1, H, W), (N, n2, H, W) -> (N, n1+n2, H, W): `shuffle_parts`, channels_last, and dense gradients."""
    return exchange_parts(first, second, order, at=len(order))[0]


class _Halves(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Parts:
        a, b, half = _rows(first), _rows(second), first.shape[1] // 2
        low = _interleaved(a[..., :half], b[..., :half])
        high = _interleaved(a[..., half:], b[..., half:])
        return low.permute(0, 3, 1, 2), high.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, low: Tensor, high: Tensor) -> Parts:
        given = (_rows(low).contiguous(), _rows(high).contiguous())
        half = given[0].shape[-1] // 2
        made = tuple(torch.empty_like(given[0]) for _ in range(2))
        for number, values in enumerate(given):
            for odd, target in enumerate(made):
                _take_alternate(values, target[..., number * half : (number + 1) * half], odd=bool(odd))
        return made[0].permute(0, 3, 1, 2), made[1].permute(0, 3, 1, 2)


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        return _interleaved(_rows(first), _rows(second)).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, joined: Tensor) -> Parts:
        values = _rows(joined).contiguous()
        made = tuple(values.new_empty((*values.shape[:-1], values.shape[-1] // 2)) for _ in range(2))
        for odd, target in enumerate(made):
            _take_alternate(values, target, odd=bool(odd))
        return made[0].permute(0, 3, 1, 2), made[1].permute(0, 3, 1, 2)


class _Routed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, order: Tensor, at: int) -> Parts:
        ctx.order, ctx.width = order, first.shape[1]
        return _picked(torch.cat((_rows(first), _rows(second)), dim=-1), order, at)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, None, None]:
        inverse = torch.empty_like(ctx.order)
        inverse[ctx.order] = torch.arange(len(inverse), device=inverse.device)
        first, second = _picked(torch.cat((_rows(low), _rows(high)), dim=-1), inverse, ctx.width)
        return first, second, None, None


def _rows(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C), a view."""
    return x.permute(0, 2, 3, 1)


def _picked(joined: Tensor, order: Tensor, at: int) -> Parts:
    """(N, H, W, C) -> (N, at, H, W) and (N, C - at, H, W): channels in `order`."""
    parts = []
    for some in (order[:at], order[at:]):
        # several times faster on a CPU than index_select, which goes row by row
        index = some.expand(*joined.shape[:-1], -1)
        parts.append(joined.gather(3, index).permute(0, 3, 1, 2))
    return parts[0], parts[1]


def _interleaved(a: Tensor, b: Tensor) -> Tensor:
    """Two (N, H, W, C) -> (N, H, W, 2C): a0 b0 a1 b1 ..., dense."""
    real = torch.promote_types(a.dtype, b.dtype)  # under autocast, an attention may give float32
    a, b = a.to(real), b.to(real)
    if a.device.type != "cpu":
        return torch.stack((a, b), dim=-1).flatten(-2)
    # On a CPU, stacking goes element by element; a complex number is two of them, written in one go.
    if a.dtype in (torch.float32, torch.float64):
        return torch.view_as_real(torch.complex(a, b)).flatten(-2)
    if a.dtype is torch.bfloat16 and sys.byteorder == "little":
        narrow, wide = _WIDER[a.dtype]
        above = b.view(narrow).to(wide).bitwise_left_shift_(16)
        return above.bitwise_or_(a.view(narrow).to(wide).bitwise_and_(0xFFFF)).view(torch.bfloat16)
    return torch.stack((a, b), dim=-1).flatten(-2)


def _take_alternate(values: Tensor, target: Tensor, *, odd: bool) -> None:
    """(N, H, W, 2C), dense -> `target` (N, H, W, C): each second channel."""
    types = _WIDER.get(values.dtype)
    if values.device.type != "cpu" or types is None or sys.byteorder != "little" or values.storage_offset() % 2:
        target.copy_(torch.unflatten(values, -1, (-1, 2))[..., int(odd)])
        return
    narrow, wide = types
    # As rows: a map of one pixel may have strides that no wider type takes.
    rows = values.reshape(-1, values.shape[-1]).view(wide)
    pairs = rows.view(*values.shape[:-1], -1)  # narrowing keeps the lower half, the first of two, and runs vectorised
    target.view(narrow).copy_(pairs >> (8 * values.element_size()) if odd else pairs)


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
        """As the call, the result split after `at` channels, both channels_last and dense: for training."""
        if self.first == self.second == at and at % 2 == 0:
            return exchange_halves(first, second)
        return exchange_parts(first, second, cast(Tensor, self.order), at=at)

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """As the call, channels_last, with dense gradients of both parts: for training."""
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
