"""Every named network trains, traces and scores each image alone: at 32x32 as in studies, at 224x224 as printed."""

from __future__ import annotations

import warnings

import pytest
import torch
from fake_cuda import shortened
from kinds import LARGE, cases, one_of_each_kind
from torch import Tensor, nn

from archsearch.cost.count import count
from archsearch.models.families import build
from archsearch.models.variants import VARIANTS, find_variant, torchvision_names

TORCHVISION = tuple(
    f"torchvision/{name}"
    for name in (
        "resnet18",
        "mobilenet_v2",
        "mobilenet_v3_small",
        "efficientnet_b0",
        "shufflenet_v2_x1_0",
        "squeezenet1_1",
        "vit_b_16",
    )
)


def images(number: int, input_size: int) -> Tensor:
    return torch.randn(number, 3, input_size, input_size, generator=torch.Generator().manual_seed(1))


def fresh(name: str, *, input_size: int, num_classes: int = 6) -> nn.Module:
    return build(find_variant(name).spec.at_scale({}), num_classes=num_classes, input_size=input_size, seed=0)


def trained_one_step(model: nn.Module, x: Tensor, classes: int) -> nn.Module:
    """One forward and backward: outputs, losses and gradients are finite, and no weight is left without gradient."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # one step makes the running statistics those of the batch
    last = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # dropout
        if not last.weight.any():  # a classifier that starts at zero (ViT) passes no gradient on in the first step
            nn.init.normal_(last.weight, std=0.02)
        scores = model(x)
    assert scores.shape == (len(x), classes)
    assert scores.isfinite().all()
    nn.functional.cross_entropy(scores, torch.arange(len(x)) % classes).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # A bias before a batch norm has no effect, so its gradient may be zero.
        assert name.endswith("bias") or parameter.grad.abs().max() > 0, name
    return model.eval()


def check_each_image_is_scored_alone(model: nn.Module, x: Tensor) -> None:
    """In double precision: statistics of one small batch make a network ill-conditioned, not dependent on its batch."""
    model, x = model.double(), x.double()
    with torch.no_grad():
        scores = model(x)
        scale = float(scores.abs().max())
        assert scores.isfinite().all()
        assert scores.std(dim=0).max() > 1e-4 * scale  # the scores depend on the image
        torch.testing.assert_close(model(x[1:2]), scores[1:2], rtol=1e-7, atol=1e-7 * scale)


def check_traces(model: nn.Module, x: Tensor, scores: Tensor) -> None:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace is deprecated, and is what the counter uses
        traced = torch.jit.trace(model, x[:1], check_trace=False)
        torch.testing.assert_close(traced(x), scores, rtol=1e-4, atol=1e-4 * float(scores.abs().max()))


@pytest.mark.parametrize("name", cases(VARIANTS, set(VARIANTS) - set(LARGE)))
def test_every_variant_trains_and_scores_each_image_alone_at_32_pixels(name: str) -> None:
    x = images(4, 32)
    model = trained_one_step(fresh(name, input_size=32), x, 6)
    check_each_image_is_scored_alone(model, x)


@pytest.mark.parametrize("name", cases(VARIANTS, one_of_each_kind()))
def test_every_variant_trains_and_scores_each_image_alone_at_224_pixels(name: str) -> None:
    x = images(2, 224)
    model = trained_one_step(fresh(name, input_size=224), x, 6)
    check_each_image_is_scored_alone(model, x)


@pytest.mark.parametrize("name", cases((*VARIANTS, *TORCHVISION), {*one_of_each_kind(), *TORCHVISION}))
def test_every_variant_traces_and_every_operator_is_counted(name: str) -> None:
    spec = shortened(find_variant(name).spec.at_scale({}), 3)
    model = build(spec, num_classes=6, input_size=32, seed=0).eval()
    x = images(2, 32)
    with torch.no_grad():
        scores = model(x)
    check_traces(model, x, scores)
    macs, unsupported = count(model, 32)
    assert macs > 0
    assert unsupported == {}


@pytest.mark.parametrize("name", TORCHVISION)
def test_networks_of_torchvision_train_at_32_pixels(name: str) -> None:
    x = images(4, 32)
    model = trained_one_step(fresh(name, input_size=32), x, 6)
    check_each_image_is_scored_alone(model, x)


@pytest.mark.slow
@pytest.mark.parametrize("name", torchvision_names())
def test_every_network_of_torchvision_trains_at_224_pixels(name: str) -> None:
    x = images(2, 224)
    model = trained_one_step(fresh(name, input_size=224), x, 6)
    check_each_image_is_scored_alone(model, x)
