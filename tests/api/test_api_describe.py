from __future__ import annotations

import pytest
from kinds import cases, one_of_each_kind

import archsearch
from archsearch.errors import ConfigError, StoreError, UnknownNameError
from archsearch.models.variants import VARIANTS


@pytest.mark.parametrize("name", cases(VARIANTS, {*one_of_each_kind(), "shufflenet_v2_50"}))
def test_every_published_network_is_described_and_its_layers_add_up(name: str) -> None:
    found = archsearch.describe(name, input_size=32)
    assert sum(layer.params for layer in found.layers) == found.cost.params
    assert sum(layer.macs for layer in found.layers) == found.cost.macs
    assert found.source
    assert found.cost.num_classes == VARIANTS[name].num_classes
    assert found.arch_id == found.spec.arch_id


def test_the_parameters_are_those_of_the_network_that_is_built() -> None:
    found = archsearch.describe("shufflenet_v2_x0_5", changes={"kernel": 5}, input_size=32, num_classes=10)
    model = archsearch.build(found.spec, num_classes=10, input_size=32, seed=0)
    assert found.cost.params == sum(parameter.numel() for parameter in model.parameters())


def test_a_familys_name_is_its_base_network() -> None:
    # torchvision's shufflenet_v2_x1_0
    assert archsearch.describe("shufflenet_v2").cost.params == 2278604


def test_choices_without_effect_at_an_input_size_make_no_other_network() -> None:
    plain = archsearch.describe("shufflenet_v2_x1_0", input_size=32).spec.arch_id
    hidden = archsearch.describe("shufflenet_v2_x1_0", changes={"head.hidden": 512}, input_size=32)
    assert hidden.spec.choices()["head.type"] == "gap"  # which has no hidden layer
    assert hidden.spec.arch_id == plain


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("shufflenet_v2_x9", {}, UnknownNameError),
        ("shufflenet_v2_x1_0", {"changes": {"nothing": 1}}, UnknownNameError),
        ("shufflenet_v2_x1_0", {"changes": {"stage3.kernel": 8}}, ConfigError),
        ("quickstart:best", {"storage": "sqlite:////absent/folder/none.db"}, StoreError),
        ("shufflenet_v2_x1_0", {"input_size": 0}, ConfigError),
        ("shufflenet_v2_x1_0", {"num_classes": 0}, ConfigError),
    ],
)
def test_what_cannot_be_described_is_an_error_of_ours(
    name: str, arguments: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        archsearch.describe(name, **arguments)


def test_one_description_counts_in_every_convention() -> None:
    found = archsearch.describe("shufflenet_v2_x1_0_dc0", input_size=32)
    counted = {row["convention"]: row["macs"] for row in found.tables()[0].dicts()}
    assert counted == dict(found.cost.macs_by_convention)
    layers = next(table for table in found.tables() if table.title == "Layers")
    assert sum(row["macs"] for row in layers.dicts()[:-1]) == layers.dicts()[-1]["macs"] == found.cost.macs
    # DC0's predictors have biases: 27 channels at 16x16, counted by thop 0.0.31 only; batch norms twice by 0.1.1
    macs = found.cost.macs_by_convention
    assert macs["thop_0_0_31"] - macs["fvcore"] == 27 * 16 * 16
