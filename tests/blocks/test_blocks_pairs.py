"""Maps in two parts: the values and gradients of the plain shuffle and split, moved and never computed with."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from archsearch.blocks.shuffle import ChannelShuffle

WIDTHS = [(6, 6, 6), (5, 5, 5), (2, 6, 2), (6, 2, 6), (4, 4, 3), (1, 7, 5)]
TYPES = [torch.float32, torch.float64, torch.bfloat16]


def parts_of(first: int, second: int, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(first)
    made = [torch.randn(2, width, 3, 5, generator=generator).to(kind) for width in (first, second)]
    for part in made:
        part[0, 0, 0, :2] = torch.tensor([float("-inf"), -0.0], dtype=kind)  # bits that arithmetic loses
    a, b = (part.to(memory_format=torch.channels_last).requires_grad_() for part in made)
    return a, b


def bits(x: Tensor) -> Tensor:
    kinds = {8: torch.int64, 4: torch.int32, 2: torch.int16}
    return x.detach().contiguous().view(kinds[x.element_size()])


@pytest.mark.parametrize("kind", TYPES, ids=str)
@pytest.mark.parametrize(("first", "second", "at"), WIDTHS)
def test_exchanged_parts_are_the_shuffled_map_split_bit_for_bit(
    first: int, second: int, at: int, kind: torch.dtype
) -> None:
    a, b = parts_of(first, second, kind)
    shuffle = ChannelShuffle(first, second)
    whole = shuffle(a.detach(), b.detach())
    low, high = shuffle.exchange(a, b, at=at)
    assert torch.equal(bits(low), bits(whole[:, :at]))
    assert torch.equal(bits(high), bits(whole[:, at:]))
    for part in (low, high, shuffle.join(a, b)):
        assert part.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(bits(shuffle.join(a, b)), bits(whole))


@pytest.mark.parametrize("kind", TYPES, ids=str)
@pytest.mark.parametrize(("first", "second", "at"), WIDTHS)
def test_gradients_return_to_the_channels_that_they_came_from(
    first: int, second: int, at: int, kind: torch.dtype
) -> None:
    a, b = parts_of(first, second, kind)
    shuffle = ChannelShuffle(first, second)
    grad = torch.arange(2 * (first + second) * 15).view(2, first + second, 3, 5).to(kind)
    expected = torch.autograd.grad(shuffle(a, b), (a, b), grad)
    low, high = shuffle.exchange(a, b, at=at)
    for given in (grad, grad.to(memory_format=torch.channels_last)):
        got = torch.autograd.grad((low, high), (a, b), (given[:, :at], given[:, at:]), retain_graph=True)
        joined = torch.autograd.grad(shuffle.join(a, b), (a, b), given)
        for want, exchanged, whole in zip(expected, got, joined, strict=True):
            assert torch.equal(exchanged, want)
            assert torch.equal(whole, want)
            assert exchanged.is_contiguous(memory_format=torch.channels_last)


def test_a_part_that_nothing_was_made_of_has_a_gradient_of_zero() -> None:
    a, b = parts_of(4, 4, torch.float32)
    low, _ = ChannelShuffle(4, 4).exchange(a, b, at=4)
    grad_a, grad_b = torch.autograd.grad(low.nan_to_num(0, 0, 0).sum(), (a, b))
    # a0 b0 a1 b1 are in the first half, a2 and on in the second
    assert torch.equal(grad_a[1, :, 0, 0], torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert torch.equal(grad_b[1, :, 0, 0], torch.tensor([1.0, 1.0, 0.0, 0.0]))


def test_parts_of_two_types_meet_in_the_wider_one() -> None:
    a, b = parts_of(4, 4, torch.bfloat16)
    wide = b.detach().float().requires_grad_()
    shuffle = ChannelShuffle(4, 4)
    low, high = shuffle.exchange(a, wide, at=4)
    assert low.dtype == high.dtype == torch.float32
    (low.nan_to_num(0, 0, 0).sum() + high.nan_to_num(0, 0, 0).sum()).backward()
    assert a.grad is not None and a.grad.dtype is torch.bfloat16
    assert wide.grad is not None and wide.grad.dtype is torch.float32


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_maps_of_one_pixel_have_their_gradients_too(layout: torch.memory_format) -> None:
    # A map of one pixel is row-major and channels_last at once, whatever its strides say.
    shuffle = ChannelShuffle(4, 4)
    a, b = (torch.randn(3, 4, 1, 1).to(memory_format=layout).requires_grad_() for _ in range(2))
    grad = torch.arange(24.0).view(3, 8, 1, 1)
    for given in (grad, grad.to(memory_format=torch.channels_last), grad.expand(3, 8, 1, 1).clone()):
        expected = torch.autograd.grad(shuffle(a, b), (a, b), given)
        low, high = shuffle.exchange(a, b, at=4)
        got = torch.autograd.grad((low, high), (a, b), (given[:, :4], given[:, 4:]))
        assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))
