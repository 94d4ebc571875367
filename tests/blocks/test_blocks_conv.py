import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archsearch.blocks.conv import SameConv2d, conv2d, depthwise, pad_same


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 4, 5, 6, 7])
def test_output_is_the_input_size_over_the_stride_rounded_up_for_every_size(kernel: int, stride: int) -> None:
    with torch.device("meta"):
        conv = SameConv2d(1, 1, kernel, stride)
        for size in range(1, 225):
            assert conv(torch.empty(1, 1, size, size)).shape[-1] == math.ceil(size / stride)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_odd_kernels_equal_a_symmetrically_padded_convolution(kernel: int) -> None:
    torch_conv = nn.Conv2d(3, 4, kernel, 2, padding=kernel // 2, bias=False)
    same = SameConv2d(3, 4, kernel, 2)
    same.load_state_dict(torch_conv.state_dict())
    x = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(same(x), torch_conv(x), rtol=0, atol=0)


def test_even_kernel_pads_one_more_after_than_before() -> None:
    conv = SameConv2d(1, 1, 4, 1)
    nn.init.ones_(conv.weight)
    # ones(3, 3) padded by 1 before and 2 after; the window at (0, 0) covers rows and columns 0..2: 9 ones. The one at
    # (2, 2) covers rows and columns 1..4 of the image: 2x2 of them ones.
    out = conv(torch.ones(1, 1, 3, 3))[0, 0]
    assert out[0, 0] == 9
    assert out[2, 2] == 4


@pytest.mark.parametrize("kernel", [3, 6])
def test_parameters_are_named_as_in_torch(kernel: int) -> None:
    made = conv2d(3, 8, kernel, 2, bias=True)
    assert made.state_dict().keys() == nn.Conv2d(3, 8, kernel).state_dict().keys()


def test_odd_kernels_are_plain_convolutions_that_folding_tools_know() -> None:
    assert type(conv2d(3, 8, 5)) is nn.Conv2d
    assert type(conv2d(3, 8, 4)) is SameConv2d


def test_same_convolution_is_a_convolution_of_the_padded_map() -> None:
    made = depthwise(4, 6, 2)
    x = torch.randn(2, 4, 7, 7, generator=torch.Generator().manual_seed(1))
    expected = F.conv2d(F.pad(x, (2, 3, 2, 3)), made.weight, stride=2, groups=4)
    torch.testing.assert_close(made(x), expected)
    torch.testing.assert_close(pad_same(x, 6), F.pad(x, (2, 3, 2, 3)))
