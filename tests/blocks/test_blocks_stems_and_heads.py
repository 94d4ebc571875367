import pytest
import torch
from torch import nn

from archsearch.blocks.conv import make_classifier, make_gather
from archsearch.blocks.stems import STEM_CONVOLUTIONS, make_stem
from archsearch.models.specs.shufflenet_v2 import HEAD_TYPES, STEM_TYPES


def test_the_names_that_can_be_chosen_are_the_stems_that_exist() -> None:
    assert tuple(STEM_CONVOLUTIONS) == STEM_TYPES


@pytest.mark.parametrize("kernel", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("kind", STEM_TYPES)
def test_every_stem_has_the_size_of_the_stock_one(kind: str, kernel: int) -> None:
    for stride, size in ((1, 9), (2, 5)):
        out = make_stem(kind, 8, kernel, stride)(torch.randn(2, 3, 9, 9))
        assert out.shape == (2, 8, size, size)
        assert out.min() >= 0


@pytest.mark.parametrize("kind", HEAD_TYPES)
def test_every_head_ends_in_class_scores(kind: str) -> None:
    head = nn.Sequential(make_gather(kind), make_classifier(kind, 12, 10, map_size=3, hidden=20, activation="relu"))
    assert head(torch.randn(2, 12, 3, 3)).shape == (2, 10)


def test_parameters_of_heads_follow_from_their_layers() -> None:
    def count(kind: str) -> int:
        made = make_classifier(kind, 12, 10, map_size=3, hidden=20, activation="relu")
        return sum(each.numel() for each in made.parameters())

    assert count("gap") == 12 * 10 + 10
    assert count("gap_hidden") == 12 * 20 + 20 + 20 * 10 + 10
    assert count("flatten") == 12 * 9 * 10 + 10


def test_without_activation_the_hidden_head_is_linear() -> None:
    head = make_classifier("gap_hidden", 4, 3, map_size=1, hidden=5, activation="none")
    curved = make_classifier("gap_hidden", 4, 3, map_size=1, hidden=5, activation="relu")
    a, b, zero = torch.randn(64, 4), torch.randn(64, 4), torch.zeros(64, 4)

    def bend(module: nn.Module) -> float:
        return float((module(a + b) - module(a) - module(b) + module(zero)).detach().abs().max())

    assert bend(head) < 1e-5
    assert bend(curved) > 1e-3


def test_flattening_orders_features_alike_in_every_memory_format() -> None:
    x = torch.randn(2, 4, 3, 3)
    gather = make_gather("flatten")
    assert torch.equal(gather(x), gather(x.to(memory_format=torch.channels_last)))
