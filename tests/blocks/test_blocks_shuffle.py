from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torchvision.models.shufflenetv2 import channel_shuffle

from archsearch.blocks.shuffle import ChannelShuffle, interleaving

FORMATS = [torch.contiguous_format, torch.channels_last]


def two_parts(first: int, second: int, memory_format: torch.memory_format) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    parts = (torch.randn(2, width, 3, 5, generator=generator) for width in (first, second))
    a, b = (part.to(memory_format=memory_format) for part in parts)
    return a, b


@pytest.mark.parametrize("memory_format", FORMATS)
def test_equal_parts_are_shuffled_exactly_as_torchvision_does(memory_format: torch.memory_format) -> None:
    a, b = two_parts(6, 6, memory_format)
    out = ChannelShuffle(6, 6)(a, b)
    assert torch.equal(out, channel_shuffle(torch.cat((a, b), 1), 2))
    assert out.is_contiguous(memory_format=memory_format)


def test_unequal_order_is_the_one_worked_out_by_hand() -> None:
    # Keys: a0 = 0, a1 = 1/2; b0 = 0, b1 = 1/4, b2 = 2/4, b3 = 3/4. Ascending, a first on ties:
    # a0 (0), b0 (0), b1 (1/4), a1 (1/2), b2 (1/2), b3 (3/4); b starts at index 2.
    assert interleaving(2, 4) == (0, 2, 3, 1, 4, 5)
    # Keys: a 0, 1/3, 2/3; b 0, 1/2: a0 b0 a1 b1 a2
    assert interleaving(3, 2) == (0, 3, 1, 4, 2)


@pytest.mark.parametrize(("first", "second"), [(24, 92), (15, 43), (29, 87), (1, 7), (7, 1)])
def test_every_window_holds_both_parts_in_proportion(first: int, second: int) -> None:
    order = interleaving(first, second)
    assert sorted(order) == list(range(first + second))
    for end in range(1, first + second + 1):
        held = sum(index < first for index in order[:end])
        # From the start, at most one channel away from the exact share; any window is the difference of two such.
        assert abs(held - Fraction(end * first, first + second)) <= 1


@pytest.mark.parametrize("memory_format", FORMATS)
def test_unequal_parts_are_taken_in_that_order(memory_format: torch.memory_format) -> None:
    a, b = two_parts(2, 4, memory_format)
    out = ChannelShuffle(2, 4)(a, b)
    expected = torch.stack((a[:, 0], b[:, 0], b[:, 1], a[:, 1], b[:, 2], b[:, 3]), 1)
    assert torch.equal(out, expected)
    assert out.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("second", [4, 6])
def test_state_dict_stays_empty(second: int) -> None:
    assert not ChannelShuffle(4, second).state_dict()


@pytest.mark.parametrize("second", [4, 6])
def test_a_trace_from_one_memory_format_serves_the_other(second: int) -> None:
    shuffle = ChannelShuffle(4, second)
    for traced_with in FORMATS:
        traced = torch.jit.trace(shuffle, two_parts(4, second, traced_with))
        for format_ in FORMATS:
            parts = two_parts(4, second, format_)
            assert torch.equal(traced(*parts), shuffle(*parts))
