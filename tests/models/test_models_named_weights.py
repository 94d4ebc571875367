"""Initial weights by name: what two networks share starts equal, as it was meant to be distributed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.models.variants import find_variant


def spec_of(name: str, **changes: Any) -> Spec:
    found = find_variant(name).spec.at_scale({})
    choices = {key.replace("__", "."): value for key, value in changes.items()}
    return found.with_choices(choices).normalised(32)


def weights(spec: Spec, *, seed: int = 0, by_name: bool = True) -> dict[str, torch.Tensor]:
    """The parameters that random numbers fill."""
    model = build(spec, num_classes=10, input_size=32, seed=seed, by_name=by_name)
    return {name: each.detach() for name, each in model.named_parameters() if each.unique().numel() > 1}


@pytest.mark.parametrize("by_name", [True, False])
def test_networks_that_differ_in_a_kernel_share_every_other_weight(by_name: bool) -> None:
    base = weights(spec_of("shufflenet_v2_x0_5"), by_name=by_name)
    other = weights(
        spec_of("shufflenet_v2_x0_5", stage2__kernel=5, stage3__kernel=5, stage4__kernel=5), by_name=by_name
    )
    assert base.keys() == other.keys()
    alike = [name for name in base if base[name].shape == other[name].shape]
    assert 30 < len(alike) < len(base)
    equal = [name for name in alike if torch.equal(base[name], other[name])]
    assert equal == (alike if by_name else alike[:1])  # one after the other, all but the stem differ


def test_a_seed_and_a_name_give_the_same_weights_and_another_seed_others() -> None:
    spec = spec_of("shufflenet_v2_x0_5")
    state = torch.get_rng_state()
    one, again, other = (weights(spec, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
    values = torch.cat([each.flatten()[:20] for each in one.values()])
    assert values.unique().numel() > 0.99 * values.numel()  # no two parameters start with the same numbers


@pytest.mark.parametrize(
    "name", ["resnet20", "mobilenet_v2_x0_5", "plain_cnn", "mobilenet_v3_small_ldc0", "shufflenet_v1_x0_5_g3"]
)
def test_weights_by_name_have_the_distribution_that_the_network_asks_for(name: str) -> None:
    """Each family draws in ways of its own: uniform, normal, fan in or out, after its layers were made or within."""
    by_name, in_order = (weights(spec_of(name), by_name=each) for each in (True, False))
    assert by_name.keys() == in_order.keys()
    for key, expected in in_order.items():
        got, count = by_name[key], expected.numel()
        assert not torch.equal(got, expected)
        if count >= 200:
            # a deviation's standard error is at most a share 1 / sqrt(2 n) of a normal one; of two, and five of them
            assert float(got.std() / expected.std()) == pytest.approx(1.0, abs=5 / math.sqrt(count)), key
            assert float((got.mean() - expected.mean()).abs()) < 6 * float(expected.std()) / math.sqrt(count), key
