from __future__ import annotations

import pytest
import torch

from archsearch.api.describe import describe
from archsearch.api.variants import NamedNetwork, variants
from archsearch.cost.architecture import outline_cost
from archsearch.errors import BuildError, UnknownNameError
from archsearch.models.families import FAMILIES
from archsearch.models.variants import VARIANTS, find_variant


@pytest.fixture(scope="module")
def listed() -> tuple[tuple[NamedNetwork, ...], list[tuple[int, int]]]:
    """Every named network, outlined once for all tests, and what was said of the progress."""
    seen: list[tuple[int, int]] = []
    found = variants(on_progress=lambda done, total: seen.append((done, total)), recount=True)
    return tuple(found), seen


@pytest.fixture(scope="module")
def by_name(listed: tuple[tuple[NamedNetwork, ...], object]) -> dict[str, NamedNetwork]:
    return {network.name: network for network in listed[0]}


def test_every_named_network_is_listed_once_family_by_family(
    listed: tuple[tuple[NamedNetwork, ...], list[tuple[int, int]]],
) -> None:
    found, seen = listed
    assert sorted(network.name for network in found) == sorted(VARIANTS)
    assert seen == [(done, len(VARIANTS)) for done in range(len(VARIANTS) + 1)]
    families = [network.family for network in found]
    assert families == sorted(families, key=FAMILIES.names().index)


def test_the_shipped_counts_are_those_of_the_networks_as_they_are_built(
    listed: tuple[tuple[NamedNetwork, ...], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it is not among them: python benchmarks/paper_counts.py")

    monkeypatch.setattr("archsearch.api.variants.outline_cost", never)
    assert variants() == listed[0]


# From torchvision's documentation of shufflenet_v2_x1_0 (2278604 parameters) and the model's definition
# (144,907,992 multiply-adds in convolutions and its linear layer); table 1 of doi 10.12677/iae.2023.114046.
def test_numbers_are_those_of_the_printed_conditions(by_name: dict[str, NamedNetwork]) -> None:
    plain, counted = by_name["shufflenet_v2_x1_0"], by_name["shufflenet_v2_s_counted"]
    assert (plain.params, plain.macs, plain.input_size, plain.num_classes) == (2278604, 144907992, 224, 1000)
    assert (counted.params, counted.input_size, counted.num_classes) == (2380648, 224, 100)
    assert plain.published
    assert not by_name["shufflenet_v2_x1_0_ldc0"].published


def test_one_family_is_listed_alone() -> None:
    found = variants("resnet_cifar")
    assert {network.name for network in found} == {name for name in VARIANTS if name.startswith("resnet")}
    assert {network.family for network in found} == {"resnet_cifar"}


@pytest.mark.parametrize(
    "name",
    [
        "shufflenet_v2_x1_0_se_residual_authors",
        "shufflenet_v2_x1_0_dc0",
        "shufflenet_v2_x1_0_ldc3",
        "shufflenet_v2_s_described",
        "shufflenet_v1_x0_5_g3_se",
        "mobilenet_v3_small_ldc0",
        "resnet20",
        "torchvision/efficientnet_b0",
        "torchvision/regnet_y_400mf",
    ],
)
def test_the_list_says_of_a_network_what_describe_says_of_it(name: str, by_name: dict[str, NamedNetwork]) -> None:
    variant, told = find_variant(name), describe(name)
    outline = outline_cost(variant.spec, num_classes=variant.num_classes, input_size=variant.input_size)
    assert outline == (told.cost.params, told.cost.macs)
    if not name.startswith("torchvision/"):
        network = by_name[name]
        assert (network.params, network.macs) == outline
        assert network.arch_id == told.spec.arch_id
        assert (network.source, network.note) == (told.source, told.note)


# Parameters and multiply-adds of torchvision's model cards; theirs count nothing but convolutions, linear layers and
# matrix products either: 1.81 GFLOPS for ResNet-18.
def test_torchvisions_networks_are_outlined_without_their_weights() -> None:
    params, macs = outline_cost(find_variant("torchvision/resnet18").spec, num_classes=1000, input_size=224)
    assert params == 11_689_512
    assert round(macs / 1e9, 2) == 1.81


def test_an_outline_leaves_generators_and_the_default_device_alone() -> None:
    before = torch.random.get_rng_state()
    outline_cost(VARIANTS["shufflenet_v2_x0_5"].spec, num_classes=10, input_size=32)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.empty(1).device.type == "cpu"


def test_an_outline_refuses_what_cannot_be_built() -> None:
    with pytest.raises(BuildError, match="smallest input_size is 8"):
        outline_cost(VARIANTS["shufflenet_v2_x0_5"].spec, num_classes=10, input_size=4)


@pytest.mark.slow
def test_torchvisions_family_lists_every_classification_model() -> None:
    from torchvision import models

    found = variants("torchvision")
    assert [network.name for network in found] == [f"torchvision/{name}" for name in models.list_models(module=models)]
    assert all(network.params > 0 and network.macs > 0 for network in found)


def test_an_unknown_family_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'shufflenet_v1'"):
        variants("shufflenetv1")
