import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torchvision.models._utils import _make_divisible

from archsearch.blocks.attention import ATTENTION
from archsearch.blocks.stems import STEM_CONVOLUTIONS, make_stem
from archsearch.errors import ConfigError
from archsearch.models.families import build
from archsearch.models.modules.mobilenet_v3_ldc import InvertedResidual, MobileNetV3LDC
from archsearch.models.specs.mobilenet_v3_ldc import LAYERS, STEM_TYPES, WIDTHS, MobileNetV3LDCSpec, scaled_channels
from archsearch.models.variants import find_variant

BASE = MobileNetV3LDCSpec()
REMOVABLE = (4, 6, 7, 9, 11, 12)
ROWS = ("mb0", "dc0", "ldc0", "ldc1", "ldc2", "ldc3")


def images(batch: int, size: int, *, seed: int = 0) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def built(spec: MobileNetV3LDCSpec, *, num_classes: int = 10, input_size: int = 32) -> MobileNetV3LDC:
    model = build(spec, num_classes=num_classes, input_size=input_size, seed=0)
    assert isinstance(model, MobileNetV3LDC)
    return model


def trained(model: nn.Module, sample: Tensor) -> nn.Module:
    """In eval mode, with the statistics of `sample` in every batch normalisation."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        model.train()(sample)
    return model.eval()


def params_of(spec: MobileNetV3LDCSpec, *, num_classes: int = 1000) -> int:
    with torch.device("meta"):
        model = build(spec, num_classes=num_classes, input_size=224)
    return sum(each.numel() for each in model.parameters())


# The LDC paper's table 4 prints 2.51M, 2.51M, 2.51M, 2.48M, 2.38M and 2.35M. By layers: DC0 adds to mb0 the predictors
# 27 * 18 + 18 and 27 * 9 + 9, LDC0 two depthwise 27 + 3 and the 1x1 3 * 18 + 18 and 3 * 9 + 9. A layer of c channels
# and expansion e has 2ce + 25e weights, BN 4e + 2c, SE c/4 * 2c and its BN c/2 + 2c: layer 6 (40, 240) 27,140 and
# layer 11 (96, 576) 132,336.
@pytest.mark.parametrize(
    ("row", "params"),
    [
        ("mb0", 2_509_748),
        ("dc0", 2_509_748 + 756),
        ("ldc0", 2_509_748 + 168),
        ("ldc1", 2_509_916 - 27_140),
        ("ldc2", 2_509_916 - 132_336),
        ("ldc3", 2_509_916 - 27_140 - 132_336),
    ],
)
def test_the_rows_of_table_4_have_their_parameters(row: str, params: int) -> None:
    variant = find_variant(f"mobilenet_v3_small_{row}")
    assert isinstance(variant.spec, MobileNetV3LDCSpec)
    assert params_of(variant.spec) == params
    assert variant.published


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("size", [8, 33])
def test_every_row_runs_at_small_and_odd_sizes(row: str, size: int) -> None:
    spec = find_variant(f"mobilenet_v3_small_{row}").spec
    model = build(spec, num_classes=3, input_size=size, seed=0)
    assert model(images(2, size)).shape == (2, 3)
    assert model.eval()(images(1, size)).shape == (1, 3)


def test_the_map_shrinks_as_with_padding_of_one() -> None:
    # 3x3, padding 1, at 224 pixels: 112 after the stem, then 56, 28, 28, 14 x5, 7 x3
    model, sizes = built(BASE).eval(), []
    x = model.layer1(images(1, 224))
    assert x.shape == (1, 16, 112, 112)
    for layer in model.layers:
        x = layer(x)
        sizes.append(x.shape[-1])
    assert sizes == [56, 28, 28, 14, 14, 14, 14, 14, 7, 7, 7]


def test_layers_of_stride_1_add_their_input_and_others_do_not() -> None:
    layers = dict(built(BASE).layers.named_children())
    shortcuts = {name: layer.shortcut for name, layer in layers.items() if isinstance(layer, InvertedResidual)}
    assert [name for name, shortcut in shortcuts.items() if shortcut is None] == [
        "layer2",
        "layer3",
        "layer5",
        "layer10",
    ]
    assert [type(part).__name__ for part in shortcuts.pop("layer8").children()] == ["Conv2d", "BatchNorm2d"]  # type: ignore[union-attr]
    assert all(shortcut is None or isinstance(shortcut, nn.Identity) for shortcut in shortcuts.values())


def test_attention_stands_after_the_last_normalisation_and_before_the_sum() -> None:
    unit = InvertedResidual(40, LAYERS[8 - 2])
    trained(unit, torch.randn(8, 40, 6, 6))
    names = [type(part).__name__ for part in unit.main]
    assert names == [
        *("Conv2d", "BatchNorm2d", "Hardswish"),
        *("Conv2d", "BatchNorm2d", "Hardswish"),
        *("Conv2d", "BatchNorm2d", "HardSqueezeExcitation"),
    ]
    x = torch.randn(2, 40, 6, 6)
    assert unit.shortcut is not None
    made = unit.main[:-1](x)
    torch.testing.assert_close(unit(x), unit.main[-1](made) + unit.shortcut(x))


def test_hard_squeeze_excitation_scales_channels_by_a_hard_sigmoid() -> None:
    attention = ATTENTION["se_hard"](16)
    # 16 -> 4 -> 16 without bias, each with BN
    assert sum(each.numel() for each in attention.parameters()) == 16 * 4 + 2 * 4 + 4 * 16 + 2 * 16
    trained(attention, 3 + torch.randn(8, 16, 5, 5))
    x = 3 + torch.randn(4, 16, 5, 5)
    first, norm1, second, norm2 = (attention.scale[i] for i in (1, 2, 4, 5))  # type: ignore[index, union-attr]
    hidden = norm1(first(x.mean((2, 3), keepdim=True))).relu()
    factor = ((norm2(second(hidden)) + 3) / 6).clamp(0, 1)
    torch.testing.assert_close(attention(x), x * factor)


def test_a_stem_may_have_another_activation() -> None:
    stem = make_stem("conv", 8, 3, 2, activation=nn.Hardswish)
    assert stem(images(4, 16)).min() < 0
    assert isinstance(built(BASE).layer1[2], nn.Hardswish)
    assert tuple(STEM_CONVOLUTIONS) == STEM_TYPES


@pytest.mark.parametrize("number", REMOVABLE)
def test_removing_a_layer_leaves_every_other_parameter(number: int) -> None:
    whole = set(built(BASE).state_dict())
    without = set(built(BASE.with_choices({f"layer{number}.removed": True})).state_dict())
    gone = whole - without
    assert without < whole
    assert gone == {name for name in whole if name.startswith(f"layers.layer{number}.")}


def test_a_removed_layers_other_choices_have_no_effect() -> None:
    removed = BASE.with_choices({"layer6.removed": True})
    for changes in (
        {"layer6.kernel": 7},
        {"layer6.expansion": 64},
        {"layer6.attention": "eca"},
        {"layer6.activation": "relu"},
    ):
        assert removed.with_choices(changes).arch_id == removed.arch_id
        assert BASE.with_choices(changes).arch_id != BASE.arch_id
    narrow = {"width": 0.5, "removed": "both"}
    assert BASE.with_choices(narrow) == BASE.with_choices({**narrow, "layer11.expansion": 96})


@pytest.mark.parametrize("number", [2, 3, 5, 10])
def test_a_layer_that_shrinks_the_map_cannot_be_removed(number: int) -> None:
    with pytest.raises(ConfigError, match=rf"'layer{number}\.removed' cannot be true: the layer has stride 2"):
        BASE.with_choices({f"layer{number}.removed": True})


def test_a_layer_that_changes_the_channels_cannot_be_removed() -> None:
    with pytest.raises(ConfigError, match=r"turns 40 channels into 48.*set layer8\.channels to 40"):
        BASE.with_choices({"layer8.removed": True})
    changed = BASE.with_choices({"layer8.removed": True, "layer8.channels": 40})
    assert built(changed)(images(2, 32)).shape == (2, 10)


def test_another_number_of_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match="has 11 inverted residuals, got 10"):
        replace(BASE, layers=LAYERS[:10])


@pytest.mark.parametrize("width", WIDTHS)
def test_widths_round_channels_as_torchvisions_mobilenets_do(width: float) -> None:
    spec = BASE.with_choices({"width": width})
    assert spec.stem.channels == _make_divisible(16 * width, 8)
    assert spec.head.channels == _make_divisible(576 * width, 8)
    for scaled, layer in zip(spec.layers, LAYERS, strict=True):
        assert scaled.channels == _make_divisible(layer.channels * width, 8)
        assert scaled.expansion == _make_divisible(layer.expansion * width, 8)
    assert all(scaled_channels(n, width) == _make_divisible(n * width, 8) for n in range(4, 2000))
    assert built(spec.with_choices({"removed": "both"}))(images(2, 32)).shape == (2, 10)


def test_macros_set_every_layer_and_removed_sets_two() -> None:
    assert {layer.kernel for layer in BASE.with_choices({"kernel": 4}).layers} == {4}
    for value, gone in {"none": [], "shallow": [6], "deep": [11], "both": [6, 11]}.items():
        spec = BASE.with_choices({"removed": value})
        assert [number for number, _, layer in spec.numbered_layers() if layer.removed] == gone
    with pytest.raises(ConfigError, match="one of none, shallow, deep, both"):
        BASE.with_choices({"removed": 3})


@pytest.mark.parametrize("row", ROWS)
def test_layers_with_different_defaults_survive_json(row: str) -> None:
    spec = find_variant(f"mobilenet_v3_small_{row}").spec
    assert MobileNetV3LDCSpec.from_canonical_json(spec.canonical_json()) == spec
    assert spec.normalised(32) == spec


def test_a_head_without_hidden_layer_is_one_linear_layer() -> None:
    plain = BASE.with_choices({"head.type": "gap", "head.hidden": 320})
    assert plain == BASE.with_choices({"head.type": "gap"})
    # 576 -> 1280 with bias and BN, then 1280 -> 10; against 576 -> 10
    hidden, direct = 576 * 1280 + 1280 + 2 * 1280 + 1280 * 10 + 10, 576 * 10 + 10
    assert params_of(BASE, num_classes=10) - params_of(plain, num_classes=10) == hidden - direct


def test_dropout_acts_in_training_alone_and_has_no_parameters() -> None:
    plain = trained(built(BASE), images(8, 32))
    dropping = built(BASE.with_choices({"head.dropout": 0.25}))
    dropping.load_state_dict(plain.state_dict(), strict=True)
    x = images(2, 32, seed=1)
    torch.testing.assert_close(dropping.eval()(x), plain(x))
    assert isinstance(dropping.dropout, nn.Dropout)
    assert dropping.dropout.p == 0.25


@pytest.mark.parametrize(
    "changes",
    [
        {"stem.type": "ldc", "removed": "both"},
        {"stem.type": "dcn", "kernel": "3,4,5,6,7,3,4,5,6,7,3",
         "attention": "se,eca,cbam,coordinate,simam,se_hard,none,se,eca,cbam,se_hard"},
        {"width": 0.5, "head.type": "gap", "activation": "relu"},
    ],
)  # fmt: skip
def test_networks_trace_and_score_each_image_alone(changes: dict[str, object]) -> None:
    model = built(BASE.with_choices(changes))
    nn.functional.cross_entropy(model(images(8, 32)), torch.arange(8)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    trained(model, images(8, 32))
    x = images(4, 32, seed=1)
    with torch.no_grad():
        scores = model(x)
        assert scores.std(dim=0).max() > 1e-3  # the scores depend on the image
        torch.testing.assert_close(model(x[2:3]), scores[2:3], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(torch.fx.symbolic_trace(model)(x), scores, rtol=1e-4, atol=1e-5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit.trace is deprecated, and is what the counter uses
            traced = torch.jit.trace(model, x[:1], check_trace=False)
        torch.testing.assert_close(traced(x), scores, rtol=1e-4, atol=1e-5)
