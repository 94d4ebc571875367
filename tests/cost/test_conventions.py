"""Multiply-adds in the named conventions: against papers, against the tools themselves, and by hand."""

from __future__ import annotations

import pytest
import torch
import torchvision
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import DeformConv2d

from archsearch.blocks.conv import SameConv2d
from archsearch.blocks.stems import DeformableConv2d, LightDeformableConv2d
from archsearch.cost import CONVENTIONS, cost_of, count, macs_by_convention
from archsearch.models.variants import find_variant

TORCHVISION = ["resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "densenet121", "squeezenet1_1"]


def torchvisions(name: str) -> nn.Module:
    model: nn.Module = getattr(torchvision.models, name)()
    return model.eval()


def test_the_conventions_are_those_that_describe_promises() -> None:
    assert CONVENTIONS.names() == ("conv", "conv_linear", "thop_0_0_31", "thop_0_1_1", "fvcore")
    assert all(CONVENTIONS[name].summary for name in CONVENTIONS)


@pytest.mark.parametrize(
    ("name", "macs", "printed"),
    [  # LDC paper, table 4: 63.4M, 72.9M, 65.5M, 60.4M, 59.3M, 54.1M; the first three known to the last digit
        ("mobilenet_v3_small_mb0", 63_418_108, "63.4"),
        ("mobilenet_v3_small_dc0", 72_901_372, "72.9"),
        ("mobilenet_v3_small_ldc0", 65_525_500, "65.5"),
        ("mobilenet_v3_small_ldc1", None, "60.4"),
        ("mobilenet_v3_small_ldc2", None, "59.3"),
        ("mobilenet_v3_small_ldc3", None, "54.1"),
    ],
)
def test_the_ldc_papers_table_4_comes_out_in_the_convention_of_thop_0_0_31(
    name: str, macs: int | None, printed: str
) -> None:
    counted = cost_of(find_variant(name).spec, num_classes=1000, input_size=224).macs_by_convention["thop_0_0_31"]
    assert f"{counted / 1e6:.1f}" == printed
    assert macs in (None, counted)


def test_torchvisions_x2_0_prints_the_papers_591_million_by_accident() -> None:
    # thop 0.0.31 prints 590.7M where the paper has 591M; convolutions and linear layers are 583.25M
    counted = macs_by_convention(torchvisions("shufflenet_v2_x2_0"), 224)
    assert f"{counted['thop_0_0_31'] / 1e6:.1f}" == "590.7"
    assert f"{counted['conv_linear'] / 1e6:.2f}" == "583.25"


@pytest.mark.parametrize("name", TORCHVISION)
def test_fvcores_convention_is_what_fvcore_says(name: str) -> None:
    model = torchvisions(name)
    analysis = FlopCountAnalysis(model, torch.zeros(1, 3, 64, 64))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    assert macs_by_convention(model, 64)["fvcore"] == analysis.total()


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchs_counter_says_exactly_twice_conv_linear(name: str) -> None:
    model = torchvisions(name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 64, 64))
    assert 2 * macs_by_convention(model, 64)["conv_linear"] == counter.get_total_flops()


def test_torchs_attention_is_counted_by_its_products() -> None:
    model = torchvision.models.vit_b_16(image_size=32).eval()  # 4 patches and a class token: 5 tokens of 768
    counted = macs_by_convention(model, 32)
    # patches, then 12 layers of qkv (3), output (1) and MLP (4 + 4), each 5 * 768 * 768, then the head of one token
    layers = 4 * 768 * 3 * 16 * 16 + 12 * 5 * 768 * 768 * 12 + 768 * 1000
    # in each layer 5 queries by 5 keys of 768 channels in all heads, and the 5 x 5 weights by the values
    assert counted["conv_linear"] == layers + 12 * 2 * 5 * 5 * 768
    assert count(model, 32)[1] == {}


HAND = [
    # module behind a 1x1 convolution without bias at 8x8 (3 -> 4: 768 MACs, 256 elements); then what it adds:
    # (conv, conv_linear, thop 0.0.31, thop 0.1.1, fvcore)
    (nn.Conv2d(4, 8, 3, 2, 1), (4608, 4608, 4608 + 128, 4608, 4608)),  # 4*4 * 8 * 36; 128 outputs with a bias
    (nn.Conv2d(4, 8, 3, 2, 1, groups=4, bias=False), (1152, 1152, 1152, 1152, 1152)),  # 4*4 * 8 * 9
    (SameConv2d(4, 8, 2), (8 * 8 * 8 * 16,) * 5),  # an even kernel is no nn.Conv2d to thop, but counted as one
    (nn.ConvTranspose2d(4, 2, 2, 2, bias=False), (2048, 2048, 8192, 8192, 2048)),  # in*k*k*out, thop: per output
    (nn.BatchNorm2d(4), (0, 0, 512, 1024, 512)),
    (nn.BatchNorm2d(4, affine=False), (0, 0, 512, 512, 256)),
    (nn.AdaptiveAvgPool2d(1), (0, 0, 4 * 65, 4 * 65, 256)),  # window 64 and the division, 4 outputs
    (nn.AdaptiveAvgPool2d(3), (0, 0, 36 * 5, 292, 256)),  # 8 // 3 = 2: 4 + 1; (64/9 + 1) * 36 = 292
    (nn.AvgPool2d(2), (0, 0, 64, 64, 0)),
    (nn.MaxPool2d(2), (0, 0, 0, 0, 0)),
    (nn.Flatten(), (0, 0, 0, 0, 0)),
    (nn.Sequential(nn.Flatten(), nn.Linear(256, 10)), (0, 2560, 2560, 2560, 2560)),
    (nn.ReLU(), (0, 0, 0, 0, 0)),
    (nn.LeakyReLU(), (0, 0, 256, 0, 0)),
    (nn.PReLU(), (0, 0, 0, 256, 0)),
    (nn.Softmax(1), (0, 0, 0, 64 * 11, 0)),  # 64 positions of 4: exp 4, add 3, divide 4
    (nn.GroupNorm(2, 4), (0, 0, 0, 0, 5 * 256)),
    (nn.InstanceNorm2d(4), (0, 0, 0, 512, 4 * 256)),
    (nn.Upsample(scale_factor=2), (0, 0, 0, 1024, 1024)),
    (nn.Upsample(scale_factor=2, mode="bilinear"), (0, 0, 11 * 1024, 11 * 1024, 4 * 1024)),
    # a deformable kernel is counted like a plain one (8*8 * 5 * 36 = 11520) and has no bias; its predictors are
    # 8*8 * 27 * 36 = 62208 with 27 * 64 = 1728 biased outputs
    (DeformableConv2d(4, 5, 3, 1), (73728, 73728, 73728 + 1728, 73728, 73728)),
    # predictors: two depthwise 3x3 on 4 channels (2 * 2304, 512 biases), 1x1 4 -> 18 and 4 -> 9 (6912, 1728 biases)
    (LightDeformableConv2d(4, 5, 3, 1), (23040, 23040, 23040 + 512 + 1728, 23040, 23040)),
]


@pytest.mark.parametrize(("module", "added"), HAND, ids=lambda each: type(each).__name__)
def test_each_module_adds_what_its_rule_says(module: nn.Module, added: tuple[int, ...]) -> None:
    counted = macs_by_convention(nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), module), 8)
    assert tuple(macs - 768 for macs in counted.values()) == added


class _Functions(nn.Module):
    """What thop does not see: a mean, an addition and functions; a batch norm that stands at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1, bias=False)
        self.first = nn.Sequential(nn.BatchNorm2d(4))
        self.second = nn.Sequential(self.first[0])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.second(self.first(self.conv(input=images)))
        return torch.relu(maps + maps).mean((2, 3))


def test_functions_are_invisible_to_thop_and_a_shared_module_counts_at_each_of_its_places() -> None:
    counted = macs_by_convention(_Functions(), 8)
    # two calls of 2 * 256, added at both places; 0.1.1: two calls of 4 * 256
    assert counted["thop_0_0_31"] == 768 + 2 * (2 * 512)
    assert counted["thop_0_1_1"] == 768 + 2 * (2 * 1024)
    assert counted["fvcore"] == 768 + 2 * 512


class _Torchvisions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = DeformConv2d(3, 6, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.convolution(images, images.new_zeros(1, 18, 8, 8))


def test_torchvisions_deformable_module_is_counted_like_a_plain_one() -> None:
    macs, elements = 8 * 8 * 6 * 27, 8 * 8 * 6
    assert list(macs_by_convention(_Torchvisions(), 8).values()) == [macs, macs, macs + elements, macs, macs]


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_installed_thop_says_the_same(name: str) -> None:
    thop = pytest.importorskip("thop")
    version = "thop_0_1_1" if hasattr(thop, "__version__") else "thop_0_0_31"
    model = torchvisions(name)
    said, _ = thop.profile(model, (torch.zeros(1, 3, 64, 64),), verbose=False)
    assert macs_by_convention(model, 64)[version] == said


def test_counting_leaves_no_hook_and_no_mode_behind() -> None:
    model = torchvisions("mobilenet_v3_small").train()
    torch.backends.mha.set_fastpath_enabled(True)
    macs_by_convention(model, 32)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.is_grad_enabled()
