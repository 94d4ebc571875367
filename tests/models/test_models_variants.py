"""What the named networks are: names, sources, sizes, identity. How they run is in test_models_variants_run.py."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from archsearch.errors import UnknownNameError
from archsearch.models.families import FAMILIES, build, spec_from_json
from archsearch.models.variants import VARIANTS, find_variant

V2_WIDTHS = ("x0_5", "x1_0", "x1_5", "x2_0")
V2_EXTRAS = ("", "_se", "_se_full", "_residual", "_se_residual")
V1_WIDTHS = ("x0_25", "x0_5", "x1_0", "x1_5", "x2_0")
V1_GROUPS = (1, 2, 3, 4, 8)
LDC_ROWS = ("dc0", "ldc0", "ldc1", "ldc2", "ldc3")
# Every name that a user may count on. A variant may be added to it; none may go.
PROMISED = (
    *(f"shufflenet_v2_{width}{extra}{form}" for width, extra, form in product(V2_WIDTHS, V2_EXTRAS, ("", "_authors"))),
    "shufflenet_v2_star_x1_0",
    "shufflenet_v2_50",
    "se_shufflenet_v2_164",
    "shufflenet_v2_s_counted",
    "shufflenet_v2_s_described",
    *(
        f"shufflenet_v1_{width}_g{groups}{extra}"
        for width, groups, extra in product(V1_WIDTHS, V1_GROUPS, ("", "_noshuffle", "_se"))
    ),
    *(f"mobilenet_v3_small_{row}" for row in ("mb0", *LDC_ROWS)),
    *(f"shufflenet_v2_x1_0_{row}" for row in LDC_ROWS),
    "plain_cnn",
    "resnet20",
    "mobilenet_v2_x0_5",
)
OURS = {"plain_cnn", *(f"shufflenet_v2_x1_0_{row}" for row in LDC_ROWS)}
TORCHVISION = ("torchvision/resnet18", "torchvision/mobilenet_v3_small", "torchvision/efficientnet_b0")
EVERYONE = (*VARIANTS.names(), *TORCHVISION)


def params_of(name: str) -> int:
    variant = find_variant(name)
    with torch.device("meta"):
        model = build(variant.spec, num_classes=variant.num_classes, input_size=variant.input_size)
    return sum(each.numel() for each in model.parameters())


def test_every_promised_name_is_there() -> None:
    assert [name for name in PROMISED if name not in VARIANTS] == []


# Printed or published counts: torchvision's model cards (ShuffleNet V2 x0.5 to x2.0, ResNet-18, MobileNetV3-small,
# EfficientNet-B0, MobileNetV2), the authors' form by its layers (x1.0), table 1 of doi 10.12677/iae.2023.114046
# (counted). Residuals add no parameters.
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("shufflenet_v2_x0_5", 1_366_792),
        ("shufflenet_v2_x0_5_authors", 1_366_792),
        ("shufflenet_v2_x1_0", 2_278_604),
        ("shufflenet_v2_x1_0_authors", 2_279_760),
        ("shufflenet_v2_x1_5", 3_503_624),
        ("shufflenet_v2_x2_0", 7_393_996),
        ("shufflenet_v2_x1_0_residual", 2_278_604),
        ("shufflenet_v2_x1_0_residual_authors", 2_279_760),
        ("shufflenet_v2_s_counted", 2_380_648),
        ("torchvision/shufflenet_v2_x1_0", 2_278_604),
        ("torchvision/resnet18", 11_689_512),
        ("torchvision/mobilenet_v2", 3_504_872),
        ("torchvision/mobilenet_v3_small", 2_542_856),
        ("torchvision/efficientnet_b0", 5_288_548),
    ],
)
def test_published_networks_have_their_published_parameters(name: str, params: int) -> None:
    assert params_of(name) == params


def test_the_described_reading_adds_6x6_kernels_and_a_flattened_map() -> None:
    # x1.0 without its classifier (1024*1000 + 1000), plus 2460 * (36 - 9) = 66,420 for nineteen 6x6 depthwise kernels,
    # plus a linear layer from 1024 maps of 7x7 to 100 classes
    expected = 2_278_604 - 1_025_000 + 66_420 + 1024 * 49 * 100 + 100
    assert params_of("shufflenet_v2_s_described") == expected


# DC0: offsets 27 * 18 + 18, mask 27 * 9 + 9: 756. LDC0: two depthwise 27 + 3, 1x1 3 * 18 + 18 and 3 * 9 + 9: 168.
# Table 4 of the LDC paper: DC0 - mb0 = 756 and LDC0 - mb0 = 168 in MobileNetV3-small.
@pytest.mark.parametrize("prefix", ["shufflenet_v2_x1_0", "mobilenet_v3_small"])
def test_deformable_stems_add_the_parameters_of_their_predictors(prefix: str) -> None:
    base = params_of({"mobilenet_v3_small": "mobilenet_v3_small_mb0"}.get(prefix, prefix))
    assert params_of(f"{prefix}_dc0") - base == 756
    assert params_of(f"{prefix}_ldc0") - base == 168


def test_removed_units_take_their_parameters_with_them() -> None:
    # One unit of stride 1 at c/2 = h channels: 2 h*h + 9 h, and three BNs of 2 h; stage 3: h = 116, stage 4: h = 232
    shallow, deep = (2 * h * h + 9 * h + 6 * h for h in (116, 232))
    whole = params_of("shufflenet_v2_x1_0_ldc0")
    assert whole - params_of("shufflenet_v2_x1_0_ldc1") == shallow
    assert whole - params_of("shufflenet_v2_x1_0_ldc2") == deep
    assert whole - params_of("shufflenet_v2_x1_0_ldc3") == shallow + deep


def test_the_larger_receptive_field_adds_one_depthwise_convolution_a_unit() -> None:
    # 9 weights and 2 of BN a channel of the main branch's input: down units 24, 116, 232; others 58, 116, 232
    channels = (24 + 3 * 58) + (116 + 7 * 116) + (232 + 3 * 232)
    assert params_of("shufflenet_v2_star_x1_0") - 2_278_604 == 11 * channels


@pytest.mark.parametrize("name", EVERYONE)
def test_every_variant_says_what_it_is_and_survives_its_json(name: str) -> None:
    variant = find_variant(name)
    assert variant.name == name
    assert variant.spec.family in FAMILIES
    assert variant.source
    assert variant.published == (name not in OURS)
    assert variant.published or variant.note  # what is ours says what it is
    again = spec_from_json(variant.spec.canonical_json())
    assert again == variant.spec
    assert again.arch_id == variant.spec.arch_id


@pytest.mark.parametrize("name", EVERYONE)
def test_a_studys_scale_changes_no_variant_but_in_strides_and_pooling(name: str) -> None:
    spec = find_variant(name).spec
    scaled = find_variant(name).spec.at_scale({"stem.stride": 1, "stem.pool": False})
    before, after = spec.choices(), scaled.choices()
    assert type(scaled) is type(spec)
    assert {key for key in after if after[key] != before[key]} <= {"stem.stride", "stem.pool"}
    assert after.get("stem.stride") in (None, 1)
    assert after.get("stem.pool") in (None, False)


def test_only_networks_that_are_said_to_be_equal_are_the_same_network() -> None:
    names: dict[str, set[str]] = {}
    for name in VARIANTS:
        variant = VARIANTS[name]
        names.setdefault(variant.spec.normalised(variant.input_size).arch_id, set()).add(name)
    shared = sorted(sorted(group) for group in names.values() if len(group) > 1)
    # At x0.5 the first unit has as many channels on the left as half its output: both forms of ShuffleNet V2 agree.
    forms = [[f"shufflenet_v2_x0_5{extra}", f"shufflenet_v2_x0_5{extra}_authors"] for extra in V2_EXTRAS]
    # In one group there is nothing to shuffle: ShuffleNet V1 g1 is its own _noshuffle.
    ungrouped = [[f"shufflenet_v1_{width}_g1", f"shufflenet_v1_{width}_g1_noshuffle"] for width in V1_WIDTHS]
    assert shared == sorted(forms + ungrouped)


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("shufflenet_v2_x1.0", "shufflenet_v2_x1_0"),
        ("resnet_20", "resnet20"),
        ("torchvision/resnet_18", "torchvision/resnet18"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(typed: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean '{nearest}'"):
        find_variant(typed)
