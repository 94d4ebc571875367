"""Reference networks: torchvision's by name, CIFAR's ResNet-20, MobileNetV2 x0.5."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torchvision import models

from archsearch.cost import cost_of
from archsearch.errors import BuildError, ConfigError, UnknownNameError
from archsearch.models.families import build, spec_from_json
from archsearch.models.modules.references import adapt_stem, model_names
from archsearch.models.specs.references import MobileNetV2Spec, ResNetCifarSpec, TorchvisionSpec
from archsearch.models.variants import VARIANTS, find_variant, torchvision_names

# one of each way of taking an image: a stem with a pool, without, an auxiliary head, patches, windows, stride 1
SOME = (
    "resnet18",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "densenet121",
    "googlenet",
    "squeezenet1_1",
    "shufflenet_v2_x0_5",
    "regnet_y_400mf",
    "mnasnet0_5",
    "swin_t",
    "convnext_tiny",
)


def params_of(model: nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def map_sizes(model: nn.Module, input_size: int) -> list[int]:
    """Height of the map after every convolution."""
    sizes: list[int] = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, output: sizes.append(output.shape[-2]))
    with torch.inference_mode():
        model.eval()(torch.zeros(1, 3, input_size, input_size))
    return sizes


@pytest.mark.parametrize("name", SOME)
def test_a_torchvision_model_by_name_runs_at_32_pixels_with_torchvisions_parameters(name: str) -> None:
    variant = find_variant(f"torchvision/{name}")
    assert variant.source == f"torchvision.models.{name}"
    assert "Reference network" in variant.note
    model = build(variant.spec, num_classes=10, input_size=32, seed=0)
    assert all(module.training for module in model.modules())
    loss = model(torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))).square().sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert model.eval()(torch.zeros(3, 3, 32, 32)).shape == (3, 10)
    extra = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    assert params_of(model) == params_of(models.get_model(name, weights=None, num_classes=10, **extra))


def test_at_224_pixels_the_network_is_torchvisions_own() -> None:
    own = build(find_variant("torchvision/resnet18").spec, num_classes=7, input_size=224, seed=0).eval()
    theirs = models.resnet18(num_classes=7).eval()
    theirs.load_state_dict(own.state_dict())
    images = torch.randn((1, 3, 96, 96), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(own(images), theirs(images))


def test_at_32_pixels_a_resnet_keeps_its_map_until_the_second_stage() -> None:
    model = build(find_variant("torchvision/resnet18").spec, num_classes=10, input_size=32, seed=0)
    # the CIFAR form of He et al.: stride 1 and no pool; stages of 32, 16, 8, 4
    assert sorted(set(map_sizes(model, 32))) == [4, 8, 16, 32]
    plain = TorchvisionSpec(name="resnet18", form="imagenet")
    assert sorted(set(map_sizes(build(plain, num_classes=10, input_size=32, seed=0), 32))) == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("name", model_names())
def test_the_specification_knows_which_models_have_one_form_only(name: str) -> None:
    spec = TorchvisionSpec(name=name)
    one_form = spec.normalised(32) == spec.normalised(224)
    if name.startswith("regnet"):  # computes widths from tensors, which the device meta does not have
        assert not one_form
        return
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        model = models.get_model(name, weights=None, **extra)
    strides = [module.stride for module in model.modules() if isinstance(module, nn.Conv2d)]
    adapt_stem(model)
    adapted = [module.stride for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert (strides == adapted) == (one_form and name != "maxvit_t")  # its windows fit a stem of stride 2 alone


def test_auto_is_settled_by_the_input_size_alone() -> None:
    auto, small, large = (TorchvisionSpec(form=form) for form in ("auto", "small_input", "imagenet"))
    assert auto.normalised(64) == small
    assert auto.normalised(65) == large
    assert small.normalised(224) == small
    assert large.normalised(32) == large
    assert spec_from_json(small.canonical_json()) == small


@pytest.mark.parametrize(
    ("name", "input_size", "why"),
    [
        ("inception_v3", 32, "size per channel|Kernel size"),
        ("vit_b_16", 40, "indivisible"),
        ("maxvit_t", 32, "partition size"),
    ],
)
def test_a_model_that_does_not_take_the_input_size_says_so_in_one_line(name: str, input_size: int, why: str) -> None:
    spec = TorchvisionSpec(name=name)
    with pytest.raises(BuildError, match=f"{name} does not take images of {input_size}x{input_size}.*({why})") as error:
        build(spec, num_classes=10, input_size=input_size, seed=0)
    assert "\n" not in error.value.message


def test_unknown_models_suggest_the_nearest_wherever_they_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'torchvision/resnet18'"):
        find_variant("torchvision/resnet_18")
    with pytest.raises(UnknownNameError, match=r"torchvision/NAME .* such as torchvision/resnet18"):
        find_variant("resnet18")  # without the seconds that importing torchvision takes
    with pytest.raises(UnknownNameError, match="did you mean 'resnet18'"):
        build(TorchvisionSpec(name="resnet_18"), num_classes=10, input_size=32)
    with pytest.raises(UnknownNameError, match=r"did you mean 'resnet20'.*torchvision/NAME"):
        find_variant("resnet_20")
    with pytest.raises(ConfigError, match="a classification model"):
        TorchvisionSpec(name="../resnet18")


def test_the_names_are_those_of_classification_models() -> None:
    names = torchvision_names()
    assert {"torchvision/resnet18", "torchvision/mobilenet_v3_small", "torchvision/efficientnet_b0"} <= set(names)
    # torchvision also lists quantised, detection, segmentation, optical flow and video models
    every = models.list_models()
    others = ("quantized_resnet18", "fasterrcnn_resnet50_fpn", "fcn_resnet50", "raft_small", "r3d_18")
    assert set(others) <= set(every)
    assert not {f"torchvision/{other}" for other in others} & set(names)
    assert not set(names) & set(VARIANTS)


def test_specifications_of_references_need_no_torch() -> None:
    code = (
        "import sys; from archsearch.models.specs.references import TorchvisionSpec as T; "
        "T(name='resnet18').normalised(32); sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_resnet_20_has_the_parameters_of_the_paper() -> None:
    # 3x3 convolutions 3*16*9 + 6*16*16*9 + (16*32 + 5*32*32)*9 + (32*64 + 5*64*64)*9 = 432 + 13,824 + 50,688 + 202,752;
    # BN 2 * (7*16 + 6*32 + 6*64) = 1,376; linear 64*10 + 10. Table 6 prints 0.27M.
    variant = find_variant("resnet20")
    model = build(variant.spec, num_classes=variant.num_classes, input_size=variant.input_size, seed=0)
    assert params_of(model) == 432 + 13_824 + 50_688 + 202_752 + 1_376 + 650 == 269_722
    # option B adds two 1x1 convolutions and their BN: 16*32 + 2*32 + 32*64 + 2*64
    other = variant.spec.with_choices({"shortcut": "conv"})
    assert params_of(build(other, num_classes=10, input_size=32, seed=0)) == 269_722 + 2_752


def test_resnet_20_costs_what_published_cifar_versions_say() -> None:
    # convolutions: 432 + 13,824 weights on 32x32, 50,688 on 16x16, 202,752 on 8x8; a linear layer 64 -> 10
    padded = cost_of(ResNetCifarSpec(), num_classes=10, input_size=32).macs
    assert padded == 14_256 * 1024 + 50_688 * 256 + 202_752 * 64 + 640
    # option B adds 16*32 weights on 16x16 and 32*64 on 8x8; chenyaofo/pytorch-cifar-models prints 40.81M for it
    spec = ResNetCifarSpec(shortcut="conv")
    assert round(cost_of(spec, num_classes=10, input_size=32).macs / 1e6, 2) == 40.81


@pytest.mark.parametrize(("depth", "units"), [(20, 3), (32, 5), (44, 7), (56, 9), (110, 18)])
def test_the_depth_of_a_cifar_resnet_is_6n_plus_2(depth: int, units: int) -> None:
    assert ResNetCifarSpec().with_choices({"depth": depth}) == ResNetCifarSpec().with_choices({"units": units})
    with pytest.raises(ConfigError, match="depth"):
        ResNetCifarSpec().with_choices({"depth": 21})


def test_a_padded_shortcut_takes_every_other_pixel_and_adds_zeros() -> None:
    model = build(ResNetCifarSpec(), num_classes=10, input_size=9, seed=0)
    shortcut = model.get_submodule("stage2.0.shortcut")
    x = torch.randn((2, 16, 9, 9), generator=torch.Generator().manual_seed(0))
    made = shortcut(x)
    assert made.shape == (2, 32, 5, 5)
    assert torch.equal(made[:, :16], x[:, :, [0, 2, 4, 6, 8]][:, :, :, [0, 2, 4, 6, 8]])
    assert not made[:, 16:].any()


def test_a_padded_shortcut_cannot_narrow() -> None:
    with pytest.raises(ConfigError, match=r"stage2\.channels.*at least the 16"):
        ResNetCifarSpec().with_choices({"stage2.channels": 8})
    narrow = ResNetCifarSpec().with_choices({"stage2.channels": 8, "shortcut": "conv"})
    assert build(narrow, num_classes=10, input_size=32, seed=0)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_mobilenet_v2_is_torchvisions_at_224_pixels() -> None:
    own = build(MobileNetV2Spec(width=0.5), num_classes=1000, input_size=224, seed=0).eval()
    theirs = models.mobilenet_v2(width_mult=0.5).eval()
    theirs.load_state_dict(own.state_dict())
    images = torch.randn((1, 3, 96, 96), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(own(images), theirs(images))


def test_mobilenet_v2_keeps_the_map_through_stem_and_second_stage_at_32_pixels() -> None:
    model = build(find_variant("mobilenet_v2_x0_5").spec, num_classes=10, input_size=32, seed=0)
    # chenyaofo/pytorch-cifar-models: 32 up to the stage of 24 channels, then 16, 8, and 4 from that of 160
    assert map_sizes(model, 32)[0] == 32
    assert sorted(set(map_sizes(model, 32))) == [4, 8, 16, 32]
    # its table: 0.70M parameters, 27.97M multiply-adds
    cost = cost_of(find_variant("mobilenet_v2_x0_5").spec, num_classes=10, input_size=32)
    assert (round(cost.params / 1e6, 2), round(cost.macs / 1e6, 2)) == (0.70, 27.97)
