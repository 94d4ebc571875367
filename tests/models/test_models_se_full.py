"""SE over a unit's full width: what the printed 597M of ShuffleNet V2 2x with SE counts."""

import pytest
import torch
from torch import Tensor, nn
from torchvision import ops

from archsearch.blocks.attention.se import JointSqueezeExcitation, WideSqueezeExcitation
from archsearch.cost import count_operators
from archsearch.models.families import build
from archsearch.models.modules.shufflenet_v2 import BasicUnit, DownUnit, WideningUnit
from archsearch.models.specs.shufflenet_v2 import WIDTHS, ShuffleNetV2Spec
from archsearch.models.variants import VARIANTS

BASE = ShuffleNetV2Spec()
NARROW = BASE.with_choices({"channels": "16,32,64", "head.channels": 16, "stem.channels": 4, "units": 2})
FULL = NARROW.with_choices({"attention": "se_full"})


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def params_of(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def test_two_times_wide_with_se_costs_the_printed_597_million() -> None:
    # arXiv 1807.11164, table 8: 591M, with SE 597M. c^2 a unit: 4 * 244^2 + 8 * 488^2 + 4 * 976^2 = 5,953,600
    variant = VARIANTS["shufflenet_v2_x2_0_se_full_authors"]
    counted = count_operators(build(variant.spec, num_classes=1000, input_size=224), 224)
    assert counted.macs == 590_783_000 + 5_953_600 == 596_736_600
    assert counted.unsupported_ops == {}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("form", ["torchvision", "authors"])
@pytest.mark.parametrize("residual", [False, True])
def test_every_unit_pays_two_layers_between_its_width_and_half_of_it(width: float, form: str, residual: bool) -> None:
    plain = BASE.with_choices({"width": width, "unit_form": form, "residual": residual})
    with torch.device("meta"):
        added = [
            params_of(build(spec, num_classes=10, input_size=32))
            for spec in (plain, plain.with_choices({"attention": "se_full"}))
        ]
    # c -> c/2 -> c: c^2 weights, c/2 + c biases, in 4, 8 and 4 units
    each = [units * (c * c + c // 2 + c) for c, units in zip(WIDTHS[width], (4, 8, 4), strict=False)]
    assert added[1] - added[0] == sum(each)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.625])
def test_an_uneven_split_pays_for_the_whole_unit_too(ratio: float) -> None:
    stage = FULL.with_choices({"split_ratio": ratio}).stages[1]
    for unit in (BasicUnit(stage), DownUnit(16, stage, authors=True), DownUnit(16, stage, authors=False)):
        assert unit.attention is not None
        assert unit.attention.fc1.weight.numel() + unit.attention.fc2.weight.numel() == 32 * 32


def test_both_parts_are_scaled_as_torchvision_scales_their_concatenation() -> None:
    ours, theirs = JointSqueezeExcitation(5, 7), ops.SqueezeExcitation(12, 6)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    first, second = maps(2, 5, 4, 3), maps(2, 7, 4, 3, seed=1)
    expected = theirs(torch.cat((first, second), 1))
    torch.testing.assert_close(torch.cat(ours(first, second), 1), expected)
    assert params_of(WideSqueezeExcitation(12)) == params_of(theirs)


def test_without_a_residual_the_whole_output_is_scaled_before_the_shuffle() -> None:
    unit = BasicUnit(FULL.stages[0]).eval()
    assert [type(layer).__name__ for layer in unit.branch2][-2:] == ["BatchNorm2d", "ReLU"]
    x = maps(2, 16, 5, 5)
    joined = torch.cat((x[:, :8], unit.branch2(x[:, 8:])), 1)
    attention = ops.SqueezeExcitation(16, 8)
    assert unit.attention is not None
    attention.load_state_dict(unit.attention.state_dict())
    scaled = attention(joined)
    # equal halves: passing channel j leaves the shuffle at 2j, made channel j at 2j + 1
    torch.testing.assert_close(unit(x)[:, 0::2], scaled[:, :8])
    torch.testing.assert_close(unit(x)[:, 1::2], scaled[:, 8:])


def test_with_a_residual_the_made_part_is_scaled_before_the_sum_and_its_relu() -> None:
    unit = BasicUnit(FULL.with_choices({"residual": True}).stages[0]).eval()
    assert type(unit.branch2[-1]).__name__ == "BatchNorm2d"
    x = maps(2, 16, 5, 5)
    assert unit.attention is not None
    passed, made = unit.attention(x[:, :8], unit.branch2(x[:, 8:]))
    torch.testing.assert_close(unit(x)[:, 0::2], passed)
    torch.testing.assert_close(unit(x)[:, 1::2], torch.relu(made + x[:, 8:]))


def test_a_down_unit_scales_both_branches_together() -> None:
    stage = FULL.stages[1]
    unit = DownUnit(16, stage, authors=False).eval()
    x = maps(2, 16, 6, 6)
    assert unit.attention is not None
    left, made = unit.attention(unit.branch1(x), unit.branch2(x))
    torch.testing.assert_close(unit(x)[:, 0::2], left)
    torch.testing.assert_close(unit(x)[:, 1::2], made)


def test_other_attention_adds_nothing_to_a_unit_but_its_branch() -> None:
    for attention in ("none", "se", "eca"):
        stage = NARROW.with_choices({"attention": attention}).stages[0]
        for unit in (BasicUnit(stage), DownUnit(4, stage, authors=False), WideningUnit(4, stage, authors=False)):
            assert unit.attention is None
            assert {name.split(".")[0] for name in unit.state_dict()} <= {"branch1", "branch2"}


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("residual", [False, True])
def test_it_traces_and_keeps_its_memory_format(residual: bool, memory_format: torch.memory_format) -> None:
    model = build(FULL.with_choices({"residual": residual}), num_classes=4, input_size=64, seed=0).eval()
    x = maps(2, 3, 64, 64).to(memory_format=memory_format)
    model.to(memory_format=memory_format)  # type: ignore[call-overload]
    with torch.no_grad():
        expected = model(x)
        torch.testing.assert_close(torch.fx.symbolic_trace(model)(x), expected)
        torch.testing.assert_close(torch.jit.trace(model, x[:1], check_trace=False)(x), expected)
        unit = BasicUnit(FULL.stages[0]).to(memory_format=memory_format).eval()  # type: ignore[call-overload]
        wide = maps(2, 16, 6, 6).to(memory_format=memory_format)
        assert unit(wide).is_contiguous(memory_format=memory_format)
