"""ShuffleNet v2-50 and SE-ShuffleNet v2-164 (arXiv 1807.11164, appendix, table 2)."""

import pytest
import torch
from torch import nn

from archsearch.cost import count_operators
from archsearch.errors import ConfigError
from archsearch.models.families import build
from archsearch.models.modules.shufflenet_v2 import DownUnit, ShuffleNetV2Large, WideningUnit
from archsearch.models.specs.shufflenet_v2 import ShuffleNetV2LargeSpec
from archsearch.models.variants import VARIANTS

BASE = ShuffleNetV2LargeSpec()
SMALL = BASE.with_choices({"channels": "16,24,32,48", "units": 2, "stem.channels": 8, "head.channels": 32})


def test_v2_50_costs_the_printed_2_3_billion() -> None:
    counted = count_operators(build(VARIANTS["shufflenet_v2_50"].spec, num_classes=1000, input_size=224), 224)
    assert f"{counted.macs / 1e9:.4f}" == "2.3147"
    assert counted.unsupported_ops == {}


def test_se_v2_164_costs_the_printed_12_7_billion() -> None:
    # Multiply-adds by hand, from table 2 in the authors' form, to compare with a count of the built network's shapes.
    macs = 112 * 112 * (3 * 64 + 64 * 64 + 64 * 128) * 9
    incoming, size = 128, 56
    for stride, channels, units in ((1, 340, 10), (2, 680, 10), (2, 1360, 23), (2, 2720, 10)):
        before, size = size**2, size // stride
        half, after = channels // 2, size**2
        left = after * (9 * incoming + incoming**2)
        main = before * incoming * half + after * (9 * half + half * (channels - incoming))
        basic = after * (2 * half**2 + 9 * half)
        macs += left + main + (units - 1) * basic + units * channels**2  # c^2: SE
        incoming = channels
    macs += 49 * 2720 * 2048 + 2048 * 1000
    assert f"{macs / 1e9:.3f}" == "12.665"

    spec = VARIANTS["se_shufflenet_v2_164"].spec
    counted = 0

    def add(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        nonlocal counted
        if isinstance(module, nn.Conv2d):
            counted += output[0, 0].numel() * module.weight.numel()
        elif isinstance(module, nn.Linear):
            counted += module.weight.numel()

    with torch.device("meta"):
        model = build(spec, num_classes=1000, input_size=224).eval()
        for module in model.modules():
            module.register_forward_hook(add)
        model(torch.empty(1, 3, 224, 224))
    assert counted == macs


@pytest.mark.parametrize(("depth", "widths"), [(1, (12,)), (3, (6, 6, 12))])
def test_the_stem_widens_with_its_last_convolution(depth: int, widths: tuple[int, ...]) -> None:
    model = build(SMALL.with_choices({"stem.depth": depth, "stem.channels": 12}), num_classes=5, input_size=32)
    assert isinstance(model, ShuffleNetV2Large)
    convolutions = [layer for layer in model.conv1 if isinstance(layer, nn.Conv2d)]
    assert tuple(layer.out_channels for layer in convolutions) == widths
    assert [layer.stride[0] for layer in convolutions] == [2] + [1] * (depth - 1)


@pytest.mark.parametrize("form", ["authors", "torchvision"])
def test_the_first_stage_keeps_the_map_and_the_others_halve_it(form: str) -> None:
    spec = SMALL.with_choices({"unit_form": form, "residual": True, "attention": "se_full"})
    model = build(spec, num_classes=5, input_size=64)
    assert isinstance(model, ShuffleNetV2Large)
    x = model.maxpool(model.conv1(torch.zeros(2, 3, 64, 64)))
    shapes = [tuple(x.shape[1:])]
    for stage in (model.stage2, model.stage3, model.stage4, model.stage5):
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(8, 16, 16), (16, 16, 16), (24, 8, 8), (32, 4, 4), (48, 2, 2)]
    assert spec.map_sizes(64) == (32, 16, 16, 8, 4, 2)


def test_a_widening_unit_is_a_down_unit_of_stride_one() -> None:
    stage = SMALL.stages[0]
    widening, down = WideningUnit(8, stage, authors=True), DownUnit(8, stage, authors=True)
    assert widening(torch.zeros(2, 8, 6, 6)).shape == (2, 16, 6, 6)
    assert down(torch.zeros(2, 8, 6, 6)).shape == (2, 16, 3, 3)
    assert {name: value.shape for name, value in widening.state_dict().items()} == {
        name: value.shape for name, value in down.state_dict().items()
    }


def test_equal_networks_are_equal_choices() -> None:
    # both forms agree where the left branch is as wide as the input: 8, 16, 32, 64 into 16, 32, 64, 128
    same = SMALL.with_choices({"channels": "16,32,64,128"})
    assert same.unit_form == "torchvision"
    flat = SMALL.with_choices({"head.type": "flatten"})
    assert flat.normalised(32) == SMALL.normalised(32)  # 32 -> 16 -> 8 -> 8 -> 4 -> 2 -> 1
    assert flat.normalised(64) == flat


def test_the_authors_form_refuses_a_stage_that_does_not_widen() -> None:
    with pytest.raises(ConfigError, match=r"'stage3\.channels' cannot be 16 with unit_form authors"):
        SMALL.with_choices({"stage3.channels": 16})


@pytest.mark.parametrize("attention", ["none", "se", "se_full"])
def test_it_trains_traces_and_scores_each_image_alone(attention: str) -> None:
    spec = SMALL.with_choices({"attention": attention, "residual": True, "stem.depth": 3})
    assert ShuffleNetV2LargeSpec.from_canonical_json(spec.canonical_json()) == spec
    model = build(spec, num_classes=4, input_size=32, seed=0)
    x = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    nn.functional.cross_entropy(model(x), torch.arange(6) % 4).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in model.parameters())
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(torch.fx.symbolic_trace(model)(x)[:1], model(x[:1]), rtol=1e-4, atol=1e-5)
