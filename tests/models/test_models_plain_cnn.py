"""The plain CNN of our own: its size by hand arithmetic, and the sizes of its maps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archsearch.models.families import build
from archsearch.models.specs.references import PlainCnnSpec
from archsearch.models.variants import find_variant


def params_of(spec: PlainCnnSpec, num_classes: int) -> int:
    return sum(each.numel() for each in build(spec, num_classes=num_classes, input_size=32, seed=0).parameters())


@pytest.mark.parametrize("num_classes", [10, 1000])
def test_the_parameters_are_those_of_its_layers(num_classes: int) -> None:
    # 3x3 convolutions: 9 * (3*32 + 32*32) + 9 * (32*64 + 64*64) + 9 * (64*128 + 128*128) + 9 * (128*256 + 256*256)
    convolutions = 10_080 + 55_296 + 221_184 + 884_736
    norms = 2 * 2 * (32 + 64 + 128 + 256)  # two a stage, scale and shift
    linear = 256 * num_classes + num_classes
    assert params_of(PlainCnnSpec(), num_classes) == convolutions + norms + linear


def test_it_is_no_larger_than_shufflenet_v2_x1_0() -> None:
    assert params_of(PlainCnnSpec(), 1000) < 2_278_604  # torchvision's x1.0


@pytest.mark.parametrize(
    ("stride", "input_size", "sizes"),
    [(1, 32, (32, 16, 8, 4)), (2, 32, (16, 8, 4, 2)), (2, 224, (112, 56, 28, 14)), (2, 8, (4, 2, 1, 1))],
)
def test_maps_halve_between_stages_and_never_become_empty(stride: int, input_size: int, sizes: tuple[int, ...]) -> None:
    spec = PlainCnnSpec().with_choices({"stem.stride": stride, "channels": "8,8,8,8"})
    model = build(spec, num_classes=10, input_size=input_size, seed=0).eval()
    found: list[int] = []
    for name in ("stage1", "stage2", "stage3", "stage4"):
        model.get_submodule(name).register_forward_hook(lambda _, __, output: found.append(output.shape[-1]))
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, input_size, input_size)).shape == (1, 10)
    assert tuple(found) == sizes


def test_units_kernels_and_channels_are_choices_of_each_stage() -> None:
    spec = PlainCnnSpec().with_choices({"stage2.units": 3, "stage3.kernel": 4, "stage4.channels": 40})
    model = build(spec, num_classes=10, input_size=32, seed=0)
    shapes = [tuple(module.weight.shape) for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert shapes == [
        (32, 3, 3, 3),
        (32, 32, 3, 3),
        (64, 32, 3, 3),
        (64, 64, 3, 3),
        (64, 64, 3, 3),
        (128, 64, 4, 4),
        (128, 128, 4, 4),
        (40, 128, 3, 3),
        (40, 40, 3, 3),
    ]
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_the_variant_says_that_its_structure_is_ours() -> None:
    variant = find_variant("plain_cnn")
    assert not variant.published
    assert "structure is ours" in variant.note
