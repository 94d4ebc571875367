"""In which numbers networks are measured: who takes which, how far outputs may move, and what is set and restored."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from archsearch.blocks.attention import ATTENTION
from archsearch.errors import ConfigError, MeasurementError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.backends.base import check_same_output
from archsearch.latency.backends.onnx_runtime import OnnxRunner
from archsearch.latency.backends.torch_backend import fast_form, plain_output
from archsearch.latency.fingerprint import device_fingerprint
from archsearch.latency.network import measure_network
from archsearch.latency.precision import PRECISIONS, Precision, cast, dtype_of, float32_arithmetic
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import build
from archsearch.models.onnx_export import export_onnx
from archsearch.models.spec import Spec
from archsearch.models.variants import VARIANTS
from archsearch.records import Latency
from archsearch.space.search_space import load_space

HALVES: tuple[Precision, ...] = ("fp16", "bf16")
POINTS = [pytest.param(seed, marks=[] if seed < 4 else [pytest.mark.slow]) for seed in range(40)]


def images() -> Tensor:
    return torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))


def check_in_halves(spec: Spec) -> None:
    model = build(spec.normalised(32), num_classes=10, input_size=32, seed=0).eval()
    for precision in HALVES:
        fast, inputs = fast_form(model, images(), precision)
        assert {weights.dtype for weights in fast.parameters()} == {inputs.dtype} == {dtype_of(precision)}
        with torch.inference_mode():
            got = fast(inputs)
        check_same_output(expected=plain_output(model, images()), got=got, what="halving", hint="", precision=precision)


@pytest.mark.parametrize("seed", POINTS)
@pytest.mark.parametrize("space", ["shufflenet_v2", "mobilenet_v3_ldc"])
def test_points_of_the_spaces_compute_the_same_in_half_precision(space: str, seed: int) -> None:
    found = load_space(space)
    check_in_halves(found.spec(found.sample(seed)))


@pytest.mark.parametrize("attention", ATTENTION.names())
def test_every_attention_computes_the_same_in_half_precision(attention: str) -> None:
    check_in_halves(VARIANTS["shufflenet_v2_x0_5"].spec.with_choices({"attention": attention}))


def test_outputs_that_a_half_cannot_hold_are_no_difference() -> None:
    """The fresh MobileNetV2 gives outputs below 6e-5, the smallest normal number of float16."""
    spec = VARIANTS["mobilenet_v2_x0_5"].spec.normalised(32)
    model = build(spec, num_classes=10, input_size=32, seed=0)
    assert float(plain_output(model, images()).abs().max()) < 2.0**-14
    check_in_halves(spec)


@pytest.mark.parametrize(
    ("precision", "off", "same"),
    [
        ("fp32", 0.009, True), ("fp32", 0.011, False), ("tf32", 0.009, True), ("tf32", 0.011, False),
        ("fp16", 0.009, True), ("fp16", 0.011, False), ("bf16", 0.049, True), ("bf16", 0.051, False),
        ("fp16", float("nan"), False), ("bf16", float("nan"), False),
    ],
)  # fmt: skip
def test_an_output_may_move_by_one_percent_of_the_largest_and_by_five_in_bfloat16(
    precision: Precision, off: float, same: bool
) -> None:
    expected = torch.tensor([[100.0, 3.0]])
    got = torch.tensor([[100.0, 3.0 + 100.0 * off]])
    if same:
        check_same_output(expected=expected, got=got, what="it", hint="", precision=precision)
    else:
        with pytest.raises(MeasurementError, match="changed the network's output"):
            check_same_output(expected=expected, got=got, what="it", hint="", precision=precision)


def arithmetic() -> tuple[object, object]:
    conv = getattr(torch.backends.cudnn, "conv", None)
    convolutions = torch.backends.cudnn.allow_tf32 if conv is None else conv.fp32_precision
    return convolutions, torch.get_float32_matmul_precision()


@pytest.mark.parametrize(("precision", "products"), [("fp32", "highest"), ("tf32", "high")])
def test_tf32_is_set_for_a_gpu_and_as_before_afterwards(precision: Precision, products: str) -> None:
    before = arithmetic()
    with pytest.raises(KeyboardInterrupt), float32_arithmetic(precision, torch.device("cuda")):
        convolutions, set_products = arithmetic()
        assert convolutions in ({"fp32": ("ieee", False), "tf32": ("tf32", True)}[precision])
        assert set_products == products
        raise KeyboardInterrupt
    assert arithmetic() == before


@pytest.mark.parametrize(("precision", "device"), [("fp16", "cuda"), ("bf16", "cuda"), ("fp32", "cpu")])
def test_nothing_is_set_where_float32_is_not_rounded(precision: Precision, device: str) -> None:
    before = arithmetic()
    with float32_arithmetic(precision, torch.device(device)):
        assert arithmetic() == before


@pytest.mark.parametrize("name", BACKENDS.names())
def test_every_backend_takes_the_default_precision_of_each_of_its_devices(name: str) -> None:
    for device in BACKENDS[name].devices:
        BACKENDS[name].check(device, LatencySettings().precision_on(device))
        assert set(BACKENDS[name].precisions[device]) <= set(PRECISIONS)


@pytest.mark.parametrize(
    ("name", "device", "precision"),
    [("onnxruntime", "cpu", "fp16"), ("onnxruntime", "cuda:0", "bf16"), ("torch", "cpu", "tf32"),
     ("torch", "cpu", "fp16")],
)  # fmt: skip
def test_a_precision_that_a_backend_does_not_take_is_answered_with_those_it_takes(
    name: str, device: str, precision: Precision
) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' does not run in {precision} on '{device}'") as caught:
        BACKENDS[name].check(device, precision)
    assert "fp32" in (caught.value.hint or "")


def test_the_default_is_what_is_deployed_on_the_device() -> None:
    settings = LatencySettings()
    assert [settings.precision_on(device) for device in ("cpu", "cuda", "cuda:1", "mps")] == [
        "fp32", "fp16", "fp16", "fp32",
    ]  # fmt: skip
    assert LatencySettings(precision="tf32").precision_on("cuda") == "tf32"


def test_a_latency_in_bfloat16_says_so_and_is_not_comparable_with_one_in_float32() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    quick = {
        "backend": "torch",
        "bursts": 2,
        "runs_per_burst": 1,
        "visits": 1,
        "spread_seconds": 0.0,
        "budget_seconds": 2,
    }
    found = {
        precision: measure_network(
            network, network, reference_name="itself", settings=LatencySettings(**quick, precision=precision),
            device="cpu", input_size=32, lease=None,
        )
        for precision in ("fp32", "bf16")
    }  # fmt: skip
    assert {precision: latency.precision for precision, latency in found.items()} == {"fp32": "fp32", "bf16": "bf16"}
    assert found["fp32"].fingerprint != found["bf16"].fingerprint


def test_float32_on_a_cpu_has_the_fingerprint_that_it_had_before_there_was_a_choice() -> None:
    facts = device_fingerprint("cpu", "torch", 1, "fp32").facts
    assert set(facts) - {"governor"} == {
        "device", "cpu", "cores", "cpu_capability", "system", "machine", "torch", "backend", "backend_version",
        "threads", "float32_matmul_precision",
    }  # fmt: skip
    assert device_fingerprint("cpu", "torch", 1, "bf16").facts == {**facts, "precision": "bf16"}


@pytest.mark.parametrize(("device", "precision"), [("cpu", "fp32"), ("cuda:0", "tf32")])
def test_a_latency_of_before_there_was_a_choice_is_torchs_float32(device: str, precision: str) -> None:
    old = {
        "p10_ms": 1.0, "median_ms": 1.0, "p90_ms": 1.0, "ratio_to_reference": 1.0, "reference": "r",
        "reference_p10_ms": 1.0, "n": 1, "bursts": 2, "half_split_difference": 0.0, "converged": True,
        "contended": False, "device": device, "backend": "torch", "batch": 1, "threads": 1, "input_size": 32,
        "fingerprint": "f", "measure_seconds": 1.0,
    }  # fmt: skip
    assert Latency.from_dict(old).precision == precision
    assert Latency.from_dict({**old, "precision": "bf16"}).precision == "bf16"


def test_onnx_runtime_computes_the_same_in_float16() -> None:
    """Its CPU provider runs float16 by casting; what is exported and bound is what the CUDA provider gets."""
    spec = VARIANTS["shufflenet_v2_x0_5"].spec.normalised(32)
    model = build(spec, num_classes=10, input_size=32, seed=0).eval()
    own, inputs = cast(copy.deepcopy(model), images(), "fp16")
    runner = OnnxRunner(export_onnx(own, inputs), inputs, threads=1, precision="fp16")
    got = runner.output_for(inputs)
    assert got.dtype is torch.float16
    check_same_output(expected=plain_output(model, images()), got=got, what="it", hint="", precision="fp16")
