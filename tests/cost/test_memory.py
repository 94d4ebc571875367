"""Memory access by hand arithmetic: 4 bytes for each number that an operator reads or writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.shufflenetv2 import channel_shuffle

from archsearch.blocks.shuffle import shuffle_halves
from archsearch.blocks.stems import DeformableConv2d
from archsearch.cost import memory_access

MAP = 3 * 8 * 8  # the image


@pytest.mark.parametrize(("out", "size"), [(5, 8), (64, 8), (3, 56)])
def test_a_pointwise_convolution_moves_what_guideline_1_says(out: int, size: int) -> None:
    # ShuffleNet V2, section 2, G1: MAC = hw(c1 + c2) + c1 c2
    moved = memory_access(nn.Conv2d(3, out, 1, bias=False), size)
    assert moved.total_bytes == 4 * (size * size * (3 + out) + 3 * out)
    assert moved.written_bytes == 4 * size * size * out
    assert moved.by_operator == {"aten::convolution": moved.total_bytes}


def test_a_grouped_pointwise_convolution_moves_what_guideline_2_says() -> None:
    # G2: hw(c1 + c2) + c1 c2 / g, here 3 -> 6 channels in 3 groups
    moved = memory_access(nn.Conv2d(3, 6, 1, groups=3, bias=False), 8)
    assert moved.total_bytes == 4 * (64 * (3 + 6) + 3 * 6 // 3)


class _Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> object:
        return self.function(images)


def _in_place(images: Tensor) -> Tensor:
    return images.clone().relu_()  # the copy moves as much as relu_ does


def _filled(images: Tensor) -> Tensor:
    made = torch.empty_like(images)
    made.copy_(images)
    return made * made


@pytest.mark.parametrize(
    ("function", "read", "written"),
    [  # numbers; the image has 3 x 8 x 8 = 192
        (torch.relu, MAP, MAP),
        (_in_place, 2 * MAP, 2 * MAP),
        (lambda x: x + x.relu(), MAP + 2 * MAP, 2 * MAP),
        (lambda x: x * x, MAP, MAP),  # taken twice, read once
        (lambda x: x + 1.0, MAP, MAP),
        (lambda x: torch.cat((x, x.relu()), 1), MAP + 2 * MAP, MAP + 2 * MAP),
        (lambda x: x[:, :1], 0, 0),  # views
        (lambda x: x.chunk(3, 1), 0, 0),
        (lambda x: x.flatten(1).unsqueeze(0).transpose(1, 2), 0, 0),
        (lambda x: x[:, :1].relu(), 64, 64),  # only its part is read
        (lambda x: x.transpose(1, 2).contiguous(), MAP, MAP),
        (lambda x: x.mean((2, 3)), MAP, 3),
        (lambda x: x * x.mean((2, 3), keepdim=True), MAP + MAP + 3, 3 + MAP),  # a factor for each channel
        (lambda x: x + x.mean((2, 3), keepdim=True).expand_as(x), MAP + MAP + 3, 3 + MAP),
        (lambda x: F.pad(x, (0, 1, 0, 1)), MAP, 3 * 9 * 9),
        (lambda x: F.max_pool2d(x, 3, 2, 1), MAP, 3 * 4 * 4),  # the maxima, not their positions
        (lambda x: F.avg_pool2d(x, 3, 2, 1), MAP, 3 * 4 * 4),
        (lambda x: x + torch.ones(3, 1, 1), MAP, MAP),  # a constant belongs to the program
        (_filled, MAP + MAP, MAP + MAP),  # an empty tensor is filled without being read
        (lambda x: channel_shuffle(torch.cat((x, x), 1), 2), 2 * MAP + MAP, 2 * MAP + 2 * MAP),  # x read once by cat
        (lambda x: shuffle_halves(x, x), MAP, 2 * MAP),  # stacked in one
    ],
)
def test_an_operator_reads_and_writes_its_tensors_once(
    function: Callable[[Tensor], object], read: int, written: int
) -> None:
    moved = memory_access(_Applied(function), 8)
    assert (moved.read_bytes, moved.written_bytes) == (4 * read, 4 * written)


def test_batch_norm_reads_its_statistics_and_writes_the_map_alone() -> None:
    moved = memory_access(nn.BatchNorm2d(3), 8)  # weight, bias, mean and variance: 4 numbers a channel
    assert (moved.read_bytes, moved.written_bytes) == (4 * (MAP + 4 * 3), 4 * MAP)


def test_a_linear_layer_reads_its_weights_and_its_bias() -> None:
    moved = memory_access(nn.Sequential(nn.Flatten(), nn.Linear(MAP, 10)), 8)
    assert (moved.read_bytes, moved.written_bytes) == (4 * (MAP + MAP * 10 + 10), 4 * 10)


def test_a_deformable_convolution_is_one_operator() -> None:
    # at 8x8, 3 -> 5 channels, 3x3: offsets 18 and mask 9 channels, each from a 3x3 convolution with bias; then the
    # operator takes the image, both of them and 5 * 27 weights
    moved = memory_access(DeformableConv2d(3, 5, 3, 1), 8)
    predictors = (MAP + 18 * 27 + 18) + (MAP + 9 * 27 + 9)
    sigmoid = 9 * 64
    operator = MAP + 18 * 64 + 9 * 64 + 5 * 27
    assert moved.read_bytes == 4 * (predictors + sigmoid + operator)
    assert moved.written_bytes == 4 * (18 * 64 + 9 * 64 + 9 * 64 + 5 * 64)
    assert moved.by_operator["torchvision::deform_conv2d"] == 4 * (operator + 5 * 64)


def test_numbers_count_at_the_size_that_they_have() -> None:
    moved = memory_access(_Applied(lambda x: x.argmax(1)), 8)  # whole numbers of 8 bytes
    assert (moved.read_bytes, moved.written_bytes) == (4 * MAP, 8 * 64)


def test_a_larger_image_moves_more_maps_and_no_more_weights() -> None:
    model = nn.Conv2d(3, 4, 3, padding=1)
    small, large = memory_access(model, 8), memory_access(model, 16)
    assert large.written_bytes == 4 * small.written_bytes
    assert large.read_bytes - small.read_bytes == 4 * 3 * MAP  # three more maps; the weights stay
