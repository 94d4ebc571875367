"""Multiply-adds against the papers' numbers, torch's own counter and hand arithmetic."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import DeformConv2d

from archsearch.blocks.attention import ATTENTION
from archsearch.cost import cost_of, count, count_operators
from archsearch.models.families import FAMILIES, build
from archsearch.models.variants import VARIANTS
from archsearch.space import load_space

BASE = FAMILIES["shufflenet_v2"].base


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [  # ShuffleNet V2 (arXiv 1807.11164): 41M / 1.4M and 146M / 2.3M; torchvision's own x1.0 has 2,278,604 parameters
        ("shufflenet_v2_x0_5", 1_366_792, 40_476_448),
        ("shufflenet_v2_x0_5_authors", 1_366_792, 40_476_448),
        ("shufflenet_v2_x1_0", 2_278_604, 144_907_992),
        ("shufflenet_v2_x1_0_authors", 2_279_760, 145_814_296),
    ],
)
def test_published_networks_cost_what_the_paper_prints(name: str, params: int, macs: int) -> None:
    cost = cost_of(VARIANTS[name].spec, num_classes=1000, input_size=224)
    assert (cost.params, cost.macs, dict(cost.unsupported_ops)) == (params, macs, {})
    assert (cost.input_size, cost.num_classes) == (224, 1000)


@pytest.mark.parametrize(
    ("name", "printed"),
    [  # table 8: 299M and 591M at 1.5x and 2x; torchvision's own x2.0 only has 583.25M
        ("shufflenet_v2_x1_5_authors", 299),
        ("shufflenet_v2_x2_0_authors", 591),
        ("shufflenet_v2_x2_0", 583),
    ],
)
def test_wide_networks_round_to_the_published_millions(name: str, printed: int) -> None:
    assert round(cost_of(VARIANTS[name].spec, num_classes=1000, input_size=224).macs / 1e6) == printed


@pytest.mark.parametrize(
    ("width", "stem", "printed"),
    [  # docs: conv+linear at 32x32 with 10 classes for the three stems
        (0.5, {"stem.stride": 2, "stem.pool": True}, "0.815"),
        (0.5, {"stem.stride": 2, "stem.pool": False}, "2.733"),
        (0.5, {"stem.stride": 1, "stem.pool": False}, "10.902"),
        (1.0, {"stem.stride": 2, "stem.pool": True}, "2.947"),
        (1.0, {"stem.stride": 2, "stem.pool": False}, "11.258"),
        (1.0, {"stem.stride": 1, "stem.pool": False}, "45.002"),
    ],
)
def test_small_images_cost_what_is_published_for_each_stem(width: float, stem: dict[str, object], printed: str) -> None:
    spec = BASE.with_choices({"width": width, **stem})
    assert f"{cost_of(spec, num_classes=10, input_size=32).macs / 1e6:.3f}" == printed


@pytest.mark.parametrize("kernel", [4, 5, 6, 7])
def test_a_depthwise_kernel_costs_its_taps_at_every_position(kernel: int) -> None:
    # Depthwise channels: stage 2 at 28x28: 24 + 58 + 3 * 58 = 256; stage 3 at 14x14: 116 + 116 + 7 * 116 = 1044;
    # stage 4 at 7x7: 232 + 232 + 3 * 232 = 1160. Each tap more costs 256 * 784 + 1044 * 196 + 1160 * 49 = 462,168.
    spec = BASE.with_choices({"width": 1.0, "kernel": kernel})
    cost = cost_of(spec, num_classes=1000, input_size=224)
    assert cost.macs == 144_907_992 + 462_168 * (kernel**2 - 9)
    assert cost.params == 2_278_604 + 2460 * (kernel**2 - 9)


def test_the_deformable_stem_costs_its_offset_and_mask_convolutions() -> None:
    # DC0: 112 * 112 positions; 27 inputs a position (3x3x3); 18 offsets, 9 masks, and the 24 filters like a plain stem
    cost = cost_of(BASE.with_choices({"width": 1.0, "stem.type": "dcn"}), num_classes=1000, input_size=224)
    assert cost.macs == 144_907_992 + 112 * 112 * (18 * 27 + 9 * 27)
    assert dict(cost.unsupported_ops) == {}


def test_the_low_cost_deformable_stem_costs_its_separable_predictors() -> None:
    # LDC0: offsets: depthwise 3x3 on 3 channels (27), 1x1 3->18 (54); mask: depthwise (27), 1x1 3->9 (27)
    cost = cost_of(BASE.with_choices({"width": 1.0, "stem.type": "ldc"}), num_classes=1000, input_size=224)
    assert cost.macs == 144_907_992 + 112 * 112 * (27 + 54 + 27 + 27)


class _Deformable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.offsets = nn.Conv2d(6, 2 * 2 * 3 * 5, (3, 5), padding=(1, 2))
        self.convolution = DeformConv2d(6, 8, (3, 5), padding=(1, 2), groups=2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = torch.cat([images, images], 1)
        return self.convolution(features, self.offsets(features))


def test_torchvisions_own_deformable_convolution_is_counted_like_a_plain_one() -> None:
    counted = count_operators(_Deformable(), 10)
    assert counted.by_operator == {
        "conv": 10 * 10 * 60 * 6 * 15,
        "deform_conv2d": 10 * 10 * 8 * (6 // 2) * 15,  # two groups: each filter sees half of the inputs
    }
    assert counted.unsupported_ops == {}


def _twice_the_macs(model: nn.Module, input_size: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 3, input_size, input_size))
    return counter.get_total_flops()


@pytest.mark.parametrize("attention", ATTENTION.names())
@pytest.mark.parametrize("form", ["torchvision", "authors"])
def test_torchs_counter_says_exactly_twice_as_much_with_every_attention(attention: str, form: str) -> None:
    spec = BASE.with_choices({"width": 0.5, "attention": attention, "unit_form": form, "residual": form == "authors"})
    model = build(spec, num_classes=10, input_size=48, seed=0)
    macs, unsupported = count(model, 48)
    assert 2 * macs == _twice_the_macs(model, 48)
    assert unsupported == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": 4, "split_ratio": 0.25, "head.type": "flatten"},
        {"kernel": 6, "split_ratio": 0.75, "head.type": "gap_hidden", "head.hidden": 300},
        {"stage3.kernel": 7, "extra_depthwise": True, "removed": "both", "stem.kernel": 6, "stem.stride": 1},
        {"split_ratio": 0.375, "residual": True, "stage2.attention": "se", "stem.pool": False, "stage3.removed": 7},
    ],
)
def test_torchs_counter_says_exactly_twice_as_much_for_mixed_choices(changes: dict[str, object]) -> None:
    model = build(BASE.with_choices({"width": 0.5, **changes}), num_classes=7, input_size=40, seed=1)
    macs, unsupported = count(model, 40)
    assert 2 * macs == _twice_the_macs(model, 40)
    assert unsupported == {}


@pytest.mark.parametrize("seed", range(6))
def test_torchs_counter_says_exactly_twice_as_much_at_random_points(seed: int) -> None:
    space = load_space("shufflenet_v2").restricted({"width": [0.5, 1.0]}, {"stem.type": "conv"})
    model = build(space.spec(space.sample(seed)), num_classes=10, input_size=32, seed=seed)
    macs, unsupported = count(model, 32)
    assert 2 * macs == _twice_the_macs(model, 32)
    assert unsupported == {}


@pytest.mark.parametrize("stem", ["dcn", "ldc"])
@pytest.mark.parametrize("kernel", [3, 4, 5, 6, 7])
def test_deformable_stems_of_every_kernel_are_counted_whole(stem: str, kernel: int) -> None:
    # At 16x16 outputs and k * k taps on 3 channels: 24 filters; offsets and masks are 3 k*k channels, each from 3 k*k
    # inputs (DCNv2), or from 3 channels after a depthwise k x k, twice (LDC)
    taps, positions = kernel**2, 16 * 16
    spec = BASE.with_choices({"stem.type": stem, "stem.kernel": kernel})
    model = build(spec, num_classes=10, input_size=32, seed=0)
    predictors = 3 * taps * 3 * taps if stem == "dcn" else 2 * 3 * taps + 3 * 3 * taps
    counted = count_operators(model, 32)
    assert counted.by_operator["deform_conv2d"] == positions * 24 * 3 * taps
    assert counted.by_module["conv1"] == positions * (24 * 3 * taps + predictors)
    assert counted.unsupported_ops == {}


class _Applied(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 1)
        self.function = function

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.function(self.convolution(images))


def _sampled(features: torch.Tensor) -> torch.Tensor:
    return nn.functional.grid_sample(features, torch.zeros(1, 4, 4, 2), align_corners=False)


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (_sampled, "aten::grid_sampler"),
        (torch.fft.rfft2, "aten::fft_rfft2"),
    ],
)
def test_what_cannot_be_counted_is_listed(
    function: Callable[[torch.Tensor], torch.Tensor], operator: str, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")  # neither fvcore nor the tracer may speak to the user
        macs, unsupported = count(_Applied(function), 8)
    assert macs == 8 * 8 * 3 * 2
    assert unsupported == {operator: 1}
    assert caplog.records == []


@pytest.mark.parametrize(
    "function",
    [
        torch.relu,
        torch.sigmoid,
        nn.functional.hardswish,
        nn.BatchNorm2d(2),
        nn.MaxPool2d(3, 2, 1),
        nn.AdaptiveAvgPool2d(1),
        lambda x: x * x.mean((2, 3), keepdim=True) + x.amax(1, keepdim=True),
        lambda x: nn.functional.pad(x, (1, 2, 1, 2)),
    ],
)
def test_operators_without_multiply_adds_are_neither_counted_nor_listed(
    function: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    assert count(_Applied(function), 8) == (8 * 8 * 3 * 2, {})


def test_a_convolution_with_a_padding_mode_is_counted() -> None:
    assert count(nn.Conv2d(3, 4, 3, padding="same", bias=False), 8) == (8 * 8 * 4 * 27, {})


def test_matrix_products_are_counted() -> None:
    def products(features: torch.Tensor) -> torch.Tensor:
        rows = features.flatten(2)  # (1, 2, 64)
        return torch.bmm(rows, rows.transpose(1, 2)) @ torch.ones(2, 5)

    # convolution, then (2 x 64)(64 x 2) and (2 x 2)(2 x 5)
    assert count(_Applied(products), 8)[0] == 8 * 8 * 3 * 2 + 2 * 64 * 2 + 2 * 2 * 5


@pytest.mark.parametrize(
    ("function", "products"),
    [
        (lambda x: torch.matmul(x.permute(0, 2, 3, 1), torch.ones(3)), 256 * 3),  # a vector
        (lambda x: torch.matmul(torch.ones(16), x.mean((0, 1))), 16 * 16),
        (lambda x: torch.ones(1, 1, 256, 16) @ torch.ones(8, 16, 64) * x.mean(), 8 * 256 * 16 * 64),  # broadcast
        (lambda x: torch.einsum("nchw,kc->nkhw", x, torch.ones(8, 3)), 8 * 3 * 256),
        (lambda x: torch.einsum("n c ..., k c -> n k ...", x, torch.ones(24, 3)), 24 * 3 * 256),
        (lambda x: torch.einsum("nchw,nchw", x, x), 3 * 256),  # no arrow: every index is twice, so summed
        (lambda x: torch.einsum("nchw->nwhc", x), 0),
        # from left to right: (256 x 3)(3 x 5), then (256 x 5)(5 x 7)
        (lambda x: torch.einsum("chw,cd,de->hwe", x[0], torch.ones(3, 5), torch.ones(5, 7)), 256 * (15 + 35)),
        (lambda x: torch.einsum("ii,ij->j", x[0, 0], torch.ones(16, 2)), 16 * 2),
    ],
)
def test_every_form_of_a_product_is_counted_exactly(
    function: Callable[[torch.Tensor], torch.Tensor], products: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.opt_einsum, "enabled", False)  # it may choose another order of three
    network = _Applied(function)
    network.convolution = nn.Conv2d(3, 3, 1)
    assert count(network, 16) == (256 * 9 + products, {})


def test_counting_leaves_the_model_and_the_random_state_as_they_were() -> None:
    model = build(BASE.with_choices({"width": 0.5}), num_classes=10, input_size=32, seed=0).train()
    next(iter(model.children())).eval()
    modes = [module.training for module in model.modules()]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random_state = torch.get_rng_state()
    count(model, 32)
    cost_of(BASE, num_classes=10, input_size=32)
    assert torch.equal(random_state, torch.get_rng_state())
    assert modes == [module.training for module in model.modules()]
    assert hooks == [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
