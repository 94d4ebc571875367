from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision import models as torchvision_models

from archsearch.models.families import build
from archsearch.models.modules.shufflenet_v2 import BasicUnit, DownUnit, ShuffleNetV2
from archsearch.models.specs.shufflenet_v2 import ShuffleNetV2Spec

BASE = ShuffleNetV2Spec()
NARROW = BASE.with_choices({"channels": "8,16,32", "head.channels": 16, "stem.channels": 4, "units": 2})


def images(batch: int, size: int, *, seed: int = 0) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def randomise_statistics(model: nn.Module, sample: Tensor) -> None:
    """Running statistics near those of `sample`, so that outputs depend on the input, but random; affine ones too."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        model.train()(sample)
    model.eval()
    generator = torch.Generator().manual_seed(0)
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_var.mul_(0.5 + torch.rand(norm.running_var.shape, generator=generator))
        norm.running_mean.add_(0.1 * norm.running_var.sqrt() * torch.randn(norm.bias.shape, generator=generator))
        norm.weight.data.copy_(0.5 + torch.rand(norm.bias.shape, generator=generator))
        norm.bias.data.copy_(0.2 * torch.randn(norm.bias.shape, generator=generator))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("width", "original"),
    [
        (0.5, torchvision_models.shufflenet_v2_x0_5),
        (1.0, torchvision_models.shufflenet_v2_x1_0),
        (1.5, torchvision_models.shufflenet_v2_x1_5),
        (2.0, torchvision_models.shufflenet_v2_x2_0),
    ],
)
def test_torchvisions_weights_load_strictly_and_give_the_same_outputs(
    width: float, original: Callable[..., nn.Module], memory_format: torch.memory_format
) -> None:
    theirs = original(weights=None, num_classes=10)
    randomise_statistics(theirs, images(4, 64, seed=1))
    ours = build(BASE.with_choices({"width": width}), num_classes=10, input_size=64).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs, ours = theirs.to(memory_format=memory_format), ours.to(memory_format=memory_format)
    x = images(2, 64).to(memory_format=memory_format)
    with torch.inference_mode():
        expected = theirs(x)
        assert expected.std(dim=0).max() > 1e-2  # the scores depend on the image
        torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [4, 5, 6, 7])
def test_a_kernel_everywhere_adds_2460_times_its_extra_area(kernel: int) -> None:
    def params(spec: ShuffleNetV2Spec) -> int:
        return sum(each.numel() for each in build(spec, num_classes=1000, input_size=224).parameters())

    added = params(BASE.with_choices({"kernel": kernel})) - 2_278_604
    assert added == 2460 * (kernel**2 - 9)
    if kernel == 6:
        assert added == 66_420


@pytest.mark.parametrize("kernel", [4, 5, 6, 7])
def test_shapes_do_not_depend_on_the_kernel_at_any_input_size(kernel: int) -> None:
    spec = NARROW.with_choices({"units": 1})
    changed = spec.with_choices({"kernel": kernel, "stem.kernel": kernel})
    with torch.device("meta"):
        model = build(changed, num_classes=10, input_size=224).eval()
        assert isinstance(model, ShuffleNetV2)
        for size in (*range(24, 56), 224):  # every remainder of the whole network's stride of 32
            sizes, x = [], torch.empty(1, 3, size, size)
            for part in (model.conv1, model.maxpool, model.stage2, model.stage3, model.stage4):
                x = part(x)
                sizes.append(x.shape[-1])
            # kernel 3, padding 1: (n - 1) // stride + 1 after the stem, the pool and three down units
            expected = [size]
            for stride in (2, 2, 2, 2, 2):
                expected.append((expected[-1] - 1) // stride + 1)
            assert sizes == expected[1:] == list(spec.map_sizes(size))


def test_the_authors_down_unit_has_a_left_branch_as_wide_as_its_input() -> None:
    unit = DownUnit(24, BASE.stages[0], authors=True)
    # left: 24 * 9 + 2 * 24 + 24 * 24 + 2 * 24; main: 24 * 58 + 2 * 58 + 9 * 58 + 2 * 58 + 58 * 92 + 2 * 92
    expected = (24 * 9 + 48 + 24 * 24 + 48) + (24 * 58 + 116 + 9 * 58 + 116 + 58 * 92 + 184)
    assert sum(each.numel() for each in unit.parameters()) == expected
    assert unit(torch.randn(2, 24, 8, 8)).shape == (2, 116, 4, 4)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_the_first_channels_pass_a_unit_unchanged(ratio: float) -> None:
    stage = NARROW.with_choices({"split_ratio": ratio}).stages[1]
    unit = BasicUnit(stage).eval()
    x = torch.randn(2, 16, 5, 5)
    out = unit(x)
    passing = 16 - int(16 * ratio)
    assert unit.branch2[0].in_channels == 16 - passing
    for channel in range(passing):
        assert any(torch.equal(out[:, place], x[:, channel]) for place in range(16)), channel


@pytest.mark.parametrize("attention", ["none", "se"])
def test_a_residual_unit_adds_the_branch_input_after_attention_and_before_relu(attention: str) -> None:
    stage = NARROW.with_choices({"residual": True, "attention": attention}).stages[0]
    unit = BasicUnit(stage)
    randomise_statistics(unit, torch.randn(4, 8, 5, 5))
    x = torch.randn(2, 8, 5, 5)
    made = x[:, 4:]
    for layer in unit.branch2:
        made = layer(made)
    kinds = [type(layer).__name__ for layer in unit.branch2]
    assert kinds[:7] == ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "Conv2d", "BatchNorm2d"]
    assert kinds[7:] == ([] if attention == "none" else ["SqueezeExcitation"])
    # equal halves: main channel j leaves the shuffle at 2j + 1
    torch.testing.assert_close(unit(x)[:, 1::2], torch.relu(made + x[:, 4:]))
    torch.testing.assert_close(unit(x)[:, 0::2], x[:, :4])


def test_without_a_residual_attention_follows_the_last_relu() -> None:
    stage = NARROW.with_choices({"attention": "se"}).stages[0]
    for unit in (BasicUnit(stage), DownUnit(4, stage, authors=False)):
        assert [type(layer).__name__ for layer in unit.branch2][-3:] == ["BatchNorm2d", "ReLU", "SqueezeExcitation"]


@pytest.mark.parametrize("stem", ["conv", "ldc"])
@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_torch_fx_can_trace_the_network_so_that_folding_works(stem: str, ratio: float) -> None:
    changes = {"attention": "coordinate,simam,cbam", "stem.type": stem, "kernel": "3,4,5", "split_ratio": ratio}
    model = build(NARROW.with_choices(changes), num_classes=4, input_size=32, seed=0)
    randomise_statistics(model, images(8, 32, seed=1))
    traced = torch.fx.symbolic_trace(model)
    expected = model(images(2, 32))
    assert expected.std(dim=0).max() > 1e-2  # the scores depend on the image
    torch.testing.assert_close(traced(images(2, 32)), expected)


@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_channels_last_stays_channels_last_through_the_stages(ratio: float) -> None:
    model = build(NARROW.with_choices({"split_ratio": ratio, "kernel": 4}), num_classes=4, input_size=64)
    assert isinstance(model, ShuffleNetV2)
    x = images(2, 64).to(memory_format=torch.channels_last)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for part in (model.conv1, model.maxpool, model.stage2, model.stage3):
        x = part(x)
        assert x.is_contiguous(memory_format=torch.channels_last)
