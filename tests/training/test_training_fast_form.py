"""The form that networks are trained in gives the loss and gradients of a plain float32 loop, over the whole space."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archsearch.models.families import build
from archsearch.models.variants import VARIANTS
from archsearch.space.search_space import load_space
from archsearch.training.conv_forms import computed_as, float32_forms, small_map_forms
from archsearch.training.step import EagerStep

POINTS = range(8)
IMAGES = 24
SIZE = 32


CIFAR_STEM = {"stem.pool": False, "stem.stride": 1}
IMAGENET_STEM = {"stem.pool": True, "stem.stride": 2}  # 32 pixels become maps of 4, 2 and 1


@cache
def point(seed: int, stem: str = "CIFAR") -> nn.Module:
    """A random point of the space at width 0.5; of small maps in single precision rounding is all there is."""
    fixed = CIFAR_STEM if stem == "CIFAR" else IMAGENET_STEM
    space = load_space("shufflenet_v2").restricted({"width": [0.5]}, fixed, where="this test")
    return build(space.spec(space.sample(seed)).normalised(SIZE), num_classes=10, input_size=SIZE, seed=seed).train()


def batch(kind: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn((IMAGES, 3, SIZE, SIZE), generator=generator).to(kind), torch.arange(IMAGES) % 10


@cache
def exact_of(seed: int, stem: str = "CIFAR") -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of a point in double precision."""
    return plain(point(seed, stem), torch.float64)


def plain(model: nn.Module, kind: torch.dtype, *, amp: bool = False) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients as anyone would compute them, in contiguous memory."""
    model = copy.deepcopy(model).to(kind)
    inputs, labels = batch(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp):
        logits = model(inputs)
    loss = F.cross_entropy(logits.float() if amp else logits, labels, label_smoothing=0.1)
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def fast(model: nn.Module, kind: torch.dtype, *, amp: bool = False) -> tuple[float, dict[str, Tensor]]:
    """The same by a training's own step, channels_last."""
    model = copy.deepcopy(model).to(dtype=kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs, labels = batch(kind)
    step = EagerStep(model, torch.optim.SGD(model.parameters(), lr=0.0), label_smoothing=0.1, device="cpu", amp=amp)
    loss = step(inputs.contiguous(memory_format=torch.channels_last), labels, 0.0)
    return loss.item(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def error(found: dict[str, Tensor], exact: dict[str, Tensor]) -> float:
    """Length of the difference of all gradients, as a share of the length of the exact ones."""
    assert found.keys() == exact.keys()
    got, want = (torch.cat([grads[name].double().flatten() for name in exact]) for grads in (found, exact))
    return float((got - want).norm() / want.norm())


@pytest.mark.parametrize(
    ("stem", "seed"), [("CIFAR", seed) for seed in POINTS] + [("ImageNet", seed) for seed in range(4)]
)
def test_in_double_loss_and_gradients_are_those_of_a_plain_loop(stem: str, seed: int) -> None:
    model = point(seed, stem)
    loss, exact = exact_of(seed, stem)
    got, gradients = fast(model, torch.float64)
    assert got == pytest.approx(loss, rel=1e-12)
    assert error(gradients, exact) < 1e-10


@pytest.mark.parametrize("seed", POINTS)
def test_in_float32_loss_and_gradients_differ_by_rounding(seed: int) -> None:
    model = point(seed)
    loss, exact = exact_of(seed)
    got, gradients = fast(model, torch.float32)
    assert got == pytest.approx(loss, rel=1e-5)
    # Mostly 1e-6; a value that rounding moves over ReLU's zero, or over a pixel's edge, turns a whole channel's slope.
    assert error(gradients, exact) < 0.05


@pytest.mark.parametrize("seed", POINTS)
def test_in_bfloat16_gradients_are_as_near_as_those_of_plain_autocast(seed: int) -> None:
    model = point(seed)
    loss, exact = exact_of(seed)
    got, gradients = fast(model, torch.float32, amp=True)
    assert got == pytest.approx(loss, rel=1e-2)
    assert error(gradients, exact) < 1.15 * error(plain(model, torch.float32, amp=True)[1], exact)
    assert all(gradient.dtype is torch.float32 for gradient in gradients.values())


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_unit_with_a_hook_is_called_and_gives_the_same(register: str) -> None:
    model = build(VARIANTS["shufflenet_v2_x0_5"].spec, num_classes=10, input_size=32, seed=0).train()
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs = torch.randn((4, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    without = model(inputs)
    called: list[nn.Module] = []
    for unit in model.get_submodule("stage3").children():
        getattr(unit, register)(lambda module, *_: called.append(module))
    assert torch.equal(model(inputs), without)
    assert len(called) == len(list(model.get_submodule("stage3").children()))


def test_layers_kept_in_float32_are_the_strided_and_the_large_depthwise_ones() -> None:
    spec = VARIANTS["shufflenet_v2_x0_5"].spec
    small = build(spec, num_classes=10, input_size=32, seed=0)
    # Two depthwise convolutions of stride 2 in each of the three down units.
    assert len(float32_forms(small)) == 6
    large = build(spec.with_choices({"kernel": 5}), num_classes=10, input_size=32, seed=0)
    # And one in each of the other 13 units (4 + 8 + 4 - 3).
    assert len(float32_forms(large)) == 6 + 13


def test_after_a_step_the_network_has_its_own_forward_again() -> None:
    conv = nn.Conv2d(4, 4, 3, 2, 1, groups=4)
    x = torch.randn(2, 4, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert conv(x).dtype is torch.bfloat16
        with computed_as(float32_forms(conv)):
            assert conv(x.bfloat16()).dtype is torch.float32
        with pytest.raises(ZeroDivisionError), computed_as(float32_forms(conv)):
            raise ZeroDivisionError
        assert conv(x).dtype is torch.bfloat16
    assert "forward" not in vars(conv)


@pytest.mark.parametrize(("batch", "bias"), [(1, False), (5, True)])
@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"kernel_size": 1}, (3, 4)),
        ({"kernel_size": 3, "padding": 1, "groups": 6}, (1, 1)),
        ({"kernel_size": 7, "padding": 3, "groups": 6}, (2, 2)),
        ({"kernel_size": 3, "padding": 1, "stride": 2, "groups": 6}, (2, 2)),
        ({"kernel_size": 3, "padding": 1, "stride": 2, "groups": 6}, (3, 2)),
        ({"kernel_size": 3, "padding": 2, "dilation": 2, "groups": 6}, (1, 4)),
        ({"kernel_size": (1, 3), "padding": (0, 1), "groups": 6}, (2, 2)),
        ({"kernel_size": 2, "groups": 6}, (2, 3)),
    ],
    ids=str,
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_a_convolution_of_a_small_map_is_another_operator_with_the_same_values_and_gradients(
    options: dict[str, object],
    size: tuple[int, int],
    bias: bool,
    batch: int,
    layout: torch.memory_format,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 6, bias=bias, **options).double()  # type: ignore[arg-type]
    x = torch.randn(batch, 6, *size, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    wanted = conv(x)
    direction = torch.randn_like(wanted)
    inputs = (x, *conv.parameters())
    exact = torch.autograd.grad(wanted, inputs, direction)
    monkeypatch.setattr(F, "conv2d", None)  # what nn.Conv2d would call
    with computed_as(small_map_forms(conv)):
        got = conv(x)
    torch.testing.assert_close(got, wanted)
    for ours, theirs in zip(torch.autograd.grad(got, inputs, direction), exact, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"kernel_size": 1}, (16, 16)),
        ({"kernel_size": 1, "stride": 2}, (2, 2)),
        ({"kernel_size": 1, "padding": 1}, (2, 2)),
        ({"kernel_size": 3, "padding": 1, "groups": 6}, (4, 4)),
        ({"kernel_size": 3, "padding": 1, "groups": 3}, (2, 2)),
        ({"kernel_size": 3, "padding": "same", "groups": 6}, (2, 2)),
        ({"kernel_size": 3, "padding": 1, "padding_mode": "circular", "groups": 6}, (2, 2)),
    ],
    ids=str,
)
def test_any_other_convolution_stays_what_it_is(options: dict[str, object], size: tuple[int, int]) -> None:
    conv = nn.Conv2d(6, 6, **options)  # type: ignore[arg-type]
    x = torch.randn(3, 6, *size)
    with computed_as(small_map_forms(conv)):
        assert torch.equal(conv(x), nn.Conv2d.forward(conv, x))


def test_a_map_that_a_kernel_does_not_fit_is_refused_as_by_the_convolution() -> None:
    conv = nn.Conv2d(6, 6, 3, groups=6)
    with pytest.raises(RuntimeError, match="Kernel size"), computed_as(small_map_forms(conv)):
        conv(torch.randn(2, 6, 2, 2))
