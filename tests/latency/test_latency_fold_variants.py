"""Folding on the project's own networks: what is measured must be the network that is trained."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archsearch.latency.backends.fold import folded
from archsearch.models.families import build
from archsearch.models.variants import VARIANTS
from archsearch.space.search_space import load_space


def _with_random_statistics(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            count = module.num_features
            module.running_mean = torch.randn(count, generator=generator) * 0.1
            module.running_var = torch.rand(count, generator=generator) + 0.5
            module.weight.data = torch.rand(count, generator=generator) + 0.5
            module.bias.data = torch.randn(count, generator=generator) * 0.1
    return model.eval()


def _difference(model: nn.Module) -> float:
    images = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected, found = model(images), folded(model)(images)
    return float((expected - found).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", VARIANTS.names())
def test_a_folded_variant_gives_the_same_outputs(name: str) -> None:
    model = _with_random_statistics(build(VARIANTS[name].spec.normalised(32), num_classes=10, input_size=32, seed=0))
    assert _difference(model) < 1e-4


@pytest.mark.parametrize("seed", range(12))
def test_a_folded_random_point_gives_the_same_outputs(seed: int) -> None:
    space = load_space("shufflenet_v2").restricted({"width": [0.5, 1.0]})
    spec = space.spec(space.sample(seed)).normalised(32)
    model = _with_random_statistics(build(spec, num_classes=10, input_size=32, seed=0))
    assert _difference(model) < 1e-4


def test_folding_leaves_no_batch_norm_in_a_plain_network() -> None:
    model = build(VARIANTS["shufflenet_v2_x0_5"].spec, num_classes=10, input_size=32, seed=0).eval()
    assert not [module for module in folded(model).modules() if isinstance(module, nn.BatchNorm2d)]
    # the stem, 3 in the main branch of each of 16 units, 2 more on the left of each of 3 down units, the last 1x1
    assert len([module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]) == 1 + 16 * 3 + 3 * 2 + 1
