"""Forty random points of the whole space: whatever can be chosen together must train, export and be itself."""

import random
import warnings

import pytest
import torch
from torch import nn

from archsearch.blocks.attention import ATTENTION
from archsearch.models.families import build
from archsearch.models.spec import Decimal, Flag, OneOf, Rule, Whole
from archsearch.models.specs.shufflenet_v2 import ShuffleNetV2Spec

BASE = ShuffleNetV2Spec()


def draw(rule: Rule, rng: random.Random) -> object:
    match rule:
        case OneOf(names):
            return rng.choice(names)
        case Whole(low, high):
            return rng.randint(low, high)
        case Decimal(low, high):
            return rng.uniform(low, high)
        case Flag():
            return rng.random() < 0.5
    raise AssertionError(rule)


def random_spec(seed: int) -> ShuffleNetV2Spec:
    """Every choice drawn from all that its rule allows, but for sizes, which are kept small enough to test."""
    rng = random.Random(seed)
    changes = {name: draw(rule, rng) for name, rule in BASE.rules().items()}
    changes["stem.channels"] = rng.randint(8, 20)
    changes["head.channels"] = rng.randint(8, 40)
    changes["head.hidden"] = rng.randint(8, 40)
    widths = sorted(rng.sample(range(21, 90), 3))
    for number, width in zip((2, 3, 4), widths, strict=True):
        changes[f"stage{number}.channels"] = width
        changes[f"stage{number}.units"] = rng.randint(1, 2)
    return BASE.with_choices(changes)


@pytest.mark.parametrize("seed", range(40))
def test_random_points_train_trace_and_score_each_image_alone(seed: int) -> None:
    spec = random_spec(seed)
    assert ShuffleNetV2Spec.from_canonical_json(spec.canonical_json()) == spec
    model = build(spec, num_classes=6, input_size=32, seed=seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # one step makes the running statistics those of the batch
    x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    loss = nn.functional.cross_entropy(model(x), torch.arange(8) % 6)
    loss.backward()
    assert loss.isfinite()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.dim() == 1 or parameter.grad.abs().max() > 0, name

    model.eval()
    with torch.no_grad():
        scores = model(x)
        assert scores.std(dim=0).max() > 1e-3  # the scores depend on the image
        torch.testing.assert_close(model(x[2:3]), scores[2:3], rtol=1e-4, atol=1e-5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit.trace is deprecated, and is what the counter uses
            traced = torch.jit.trace(model, x[:1], check_trace=False)
        torch.testing.assert_close(traced(x), scores, rtol=1e-4, atol=1e-5)


def test_random_points_reach_every_kind_of_choice() -> None:
    seen: dict[str, set[object]] = {}
    for seed in range(40):
        for name, value in random_spec(seed).choices().items():
            seen.setdefault(name.split(".")[-1], set()).add(value)
    assert seen["attention"] == set(ATTENTION.names())
    assert seen["type"] == {"conv", "dcn", "ldc", "gap", "gap_hidden", "flatten"}
    assert seen["kernel"] == {3, 4, 5, 6, 7}
    assert seen["unit_form"] == {"torchvision", "authors"}
