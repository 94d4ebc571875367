"""ONNX Runtime computes what torch computes: every variant, random points of the spaces, networks of torchvision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from archsearch.errors import BuildError
from archsearch.latency.backends.onnx_runtime import OnnxRunner
from archsearch.models.families import build
from archsearch.models.onnx_export import export_onnx
from archsearch.models.spec import Spec
from archsearch.models.variants import VARIANTS, find_variant
from archsearch.space.search_space import load_space

TOLERANCE = 1e-4  # of the largest output: the stricter reading for outputs below 1, the usual one above
POINTS = 50
POINTS_BY_DEFAULT = 12
# By default: one of each kind of block. The others differ in width, groups or form, and run with `-m slow`.
BY_DEFAULT = (
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0_authors",
    "shufflenet_v2_x0_5_se_residual",
    "shufflenet_v2_x0_5_se_full",
    "shufflenet_v2_star_x1_0",
    "shufflenet_v2_s_counted",
    "shufflenet_v2_s_described",
    "shufflenet_v2_x1_0_dc0",
    "shufflenet_v2_x1_0_ldc0",
    "shufflenet_v2_x1_0_ldc3",
    "shufflenet_v1_x0_25_g3",
    "shufflenet_v1_x0_25_g3_noshuffle",
    "shufflenet_v1_x0_25_g8_se",
    "mobilenet_v3_small_mb0",
    "mobilenet_v3_small_dc0",
    "mobilenet_v3_small_ldc0",
    "mobilenet_v3_small_ldc3",
    "resnet20",
    "mobilenet_v2_x0_5",
    "plain_cnn",
    "torchvision/resnet18",
    "torchvision/mobilenet_v3_small",
    "torchvision/efficientnet_b0",
)
DEEPEST = "se_shufflenet_v2_164"
NAMES = [
    pytest.param(name, marks=[] if name in BY_DEFAULT else [pytest.mark.slow])
    for name in dict.fromkeys((*BY_DEFAULT, *VARIANTS.names()))
]
SEEDS = [pytest.param(seed, marks=[] if seed < POINTS_BY_DEFAULT else [pytest.mark.slow]) for seed in range(POINTS)]


def _as_if_trained(model: nn.Module) -> nn.Module:
    """A network whose output depends on its input: a fresh one, in eval mode, gives the same for every image.

    Batch norm takes the statistics of random images and a scale of its own; no weights stay zeros, as the offsets of a
    deformable stem start. Of 64 images, because the last maps are one pixel large, and statistics of few values make
    rounding errors grow from layer to layer.
    """
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for weights in model.parameters():
            if not weights.any():
                weights.normal_(0, 0.2, generator=generator)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0  # the running statistics become those of the last batch
                if module.affine:
                    module.weight.uniform_(0.8, 1.2, generator=generator)
        torch.manual_seed(1)
        model.train()(_images(5, batch=64))
    return model.eval()


def _images(seed: int, *, batch: int = 2) -> Tensor:
    return torch.randn((batch, 3, 32, 32), generator=torch.Generator().manual_seed(seed))


def _network(spec: Spec) -> nn.Module:
    return build(spec.normalised(32), num_classes=10, input_size=32, seed=0)


def _runner(model: nn.Module) -> OnnxRunner:
    return OnnxRunner(export_onnx(model, _images(2)), _images(2), threads=1)


def _of_largest(difference: Tensor, expected: Tensor) -> float:
    return float(difference.abs().max() / expected.abs().max())


def _check_same(spec: Spec) -> None:
    """On images that the export has not seen, against torch in float64.

    Where torch's own float32 is off by more than a third of the tolerance (many squeeze-excitations, 164 layers), ONNX
    Runtime may be off by three times as much as torch.
    """
    model = _as_if_trained(_network(spec))
    found = _runner(model).output_for(_images(3))
    with torch.inference_mode():
        in_float32 = model(_images(3))
        exact = model.double()
        expected, other = exact(_images(3).double()), exact(_images(4).double())
    assert _of_largest(expected - other, expected) > 1e-2  # the images matter
    rounding = _of_largest(in_float32 - expected, expected)
    assert _of_largest(found - expected, expected) < max(TOLERANCE, 3 * rounding)


@pytest.mark.parametrize("name", NAMES)
def test_a_named_network_gives_the_same_outputs_in_onnx_runtime(name: str) -> None:
    _check_same(find_variant(name).spec)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("space_name", ["shufflenet_v2", "mobilenet_v3_ldc"])
def test_a_random_point_gives_the_same_outputs_in_onnx_runtime(space_name: str, seed: int) -> None:
    space = load_space(space_name)
    _check_same(space.spec(space.sample(seed)))


@pytest.mark.slow
def test_the_deepest_network_gives_the_same_outputs_in_onnx_runtime() -> None:
    """With fresh weights, as a study measures it."""
    model = _network(VARIANTS[DEEPEST].spec).eval()
    with torch.inference_mode():
        expected = model(_images(3))
    assert _of_largest(_runner(model).output_for(_images(3)) - expected, expected) < TOLERANCE


def test_the_default_part_holds_networks_of_every_family_with_variants() -> None:
    families = {find_variant(name).spec.family for name in BY_DEFAULT}
    large = {"shufflenet_v2_large"}  # 10 and 50 million parameters: slow
    assert families == {VARIANTS[name].spec.family for name in VARIANTS} - large | {"torchvision"}


def test_a_failed_export_prints_nothing_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    # 7 pixels into 3: torch prints the whole graph from C++ when it refuses that
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(3), nn.Flatten())
    with pytest.raises(BuildError, match="torchscript"):
        export_onnx(network, torch.zeros(1, 3, 7, 7), exporter="torchscript")
    print("said afterwards", flush=True)
    assert capfd.readouterr().out == "said afterwards\n"
