import pytest
import torch

from archsearch.models.families import build, spec_from_json
from archsearch.models.variants import VARIANTS


def params_of(name: str) -> int:
    variant = VARIANTS[name]
    with torch.device("meta"):
        model = build(variant.spec, num_classes=variant.num_classes, input_size=variant.input_size)
    return sum(each.numel() for each in model.parameters())


# Printed or published counts: torchvision's model cards (x0.5 to x2.0: 1,366,792, 2,278,604, 3,503,624, 7,393,996),
# the authors' form by its layers (x1.0), and table 1 of doi 10.12677/iae.2023.114046 (counted).
# Residuals add no parameters.
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
    ],
)
def test_published_networks_have_their_published_parameters(name: str, params: int) -> None:
    assert params_of(name) == params


def test_the_described_reading_adds_6x6_kernels_and_a_flattened_map() -> None:
    # x1.0 without its classifier (1024*1000 + 1000), plus 2460 * (36 - 9) = 66,420 for nineteen 6x6 depthwise kernels,
    # plus a linear layer from 1024 maps of 7x7 to 100 classes
    expected = 2_278_604 - 1_025_000 + 66_420 + 1024 * 49 * 100 + 100
    assert params_of("shufflenet_v2_s_described") == expected


def test_deformable_stems_add_the_parameters_of_their_predictors() -> None:
    # DC0: offsets 27 * 18 + 18, mask 27 * 9 + 9. LDC0: two depthwise 27 + 3, 1x1 3 * 18 + 18 and 3 * 9 + 9.
    # The LDC paper's DC0 - mb0 = 756 and LDC0 - mb0 = 168 are the same sums.
    assert params_of("shufflenet_v2_x1_0_dc0") - 2_278_604 == 756
    assert params_of("shufflenet_v2_x1_0_ldc0") - 2_278_604 == 168
    # One unit of stride 1 at c/2 = h channels: 2 h*h + 9 h, and three BNs of 2 h; stage 3: h = 116, stage 4: h = 232
    shallow, deep = (2 * h * h + 9 * h + 6 * h for h in (116, 232))
    assert params_of("shufflenet_v2_x1_0_ldc0") - params_of("shufflenet_v2_x1_0_ldc1") == shallow
    assert params_of("shufflenet_v2_x1_0_ldc0") - params_of("shufflenet_v2_x1_0_ldc2") == deep
    assert params_of("shufflenet_v2_x1_0_ldc0") - params_of("shufflenet_v2_x1_0_ldc3") == shallow + deep


def test_the_larger_receptive_field_adds_one_depthwise_convolution_a_unit() -> None:
    # 9 weights and 2 of BN a channel of the main branch's input: down units 24, 116, 232; others 58, 116, 232
    channels = (24 + 3 * 58) + (116 + 7 * 116) + (232 + 3 * 232)
    assert params_of("shufflenet_v2_star_x1_0") - 2_278_604 == 11 * channels


@pytest.mark.parametrize("name", VARIANTS.names())
def test_every_variant_says_what_it_is_and_survives_its_json(name: str) -> None:
    variant = VARIANTS[name]
    assert variant.name == name
    assert variant.source
    assert spec_from_json(variant.spec.canonical_json()) == variant.spec
    assert variant.published != ("dc" in name)  # DCNv2 and LDC stems are carried over from MobileNetV3


@pytest.mark.parametrize("name", VARIANTS.names())
def test_every_variant_runs_at_32_pixels(name: str) -> None:
    model = build(VARIANTS[name].spec, num_classes=10, input_size=32, seed=0).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_only_the_two_forms_of_the_narrowest_width_are_the_same_network() -> None:
    names: dict[str, list[str]] = {}
    for name in VARIANTS:
        names.setdefault(VARIANTS[name].spec.arch_id, []).append(name)
    shared = [group for group in names.values() if len(group) > 1]
    bare = [f"shufflenet_v2_x0_5{extra}" for extra in ("", "_se", "_residual", "_se_residual")]
    assert shared == [[name, f"{name}_authors"] for name in bare]
