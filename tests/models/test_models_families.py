import subprocess
import sys

import pytest
import torch
from torch import nn

from archsearch.errors import BuildError, UnknownNameError
from archsearch.models.families import FAMILIES, build, spec_from_json
from archsearch.models.specs.shufflenet_v2 import ShuffleNetV2Spec
from archsearch.models.variants import VARIANTS

SMALL = ShuffleNetV2Spec().with_choices({"channels": "16,32,64", "head.channels": 64, "units": 2})


@pytest.mark.parametrize("name", FAMILIES.names())
def test_every_family_builds_its_base_and_says_where_it_is_from(name: str) -> None:
    family = FAMILIES[name]
    assert family.name == name
    assert family.source
    assert family.summary
    model = build(family.base, num_classes=7, input_size=32, seed=0)
    assert model.training
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


def test_the_families_are_these() -> None:
    published = {"shufflenet_v2", "shufflenet_v2_large", "shufflenet_v1", "mobilenet_v3_ldc"}
    references = {"resnet_cifar", "mobilenet_v2", "plain_cnn", "torchvision"}
    assert published | references <= set(FAMILIES)
    # what has no variant of its own is named by torchvision/NAME
    assert {VARIANTS[name].spec.family for name in VARIANTS} == set(FAMILIES) - {"torchvision"}


@pytest.mark.parametrize("name", FAMILIES.names())
@pytest.mark.parametrize("input_size", [8, 32, 224])
def test_a_families_base_is_the_same_network_however_often_it_is_normalised_or_written(
    name: str, input_size: int
) -> None:
    once = FAMILIES[name].base.normalised(input_size)
    assert once.family == name
    assert once.normalised(input_size) == once
    assert once.with_choices(once.choices()) == once
    assert spec_from_json(once.canonical_json()) == once


@pytest.mark.parametrize("name", FAMILIES.names())
def test_normalising_changes_no_network(name: str) -> None:
    base = FAMILIES[name].base
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    given, same = (build(spec, num_classes=5, input_size=32, seed=1).eval() for spec in (base, base.normalised(32)))
    with torch.no_grad():
        assert torch.equal(given(x), same(x))


@pytest.mark.parametrize("name", FAMILIES.names())
def test_every_family_runs_at_the_smallest_and_at_odd_input_sizes(name: str) -> None:
    for input_size in (8, 33):
        model = build(FAMILIES[name].base, num_classes=3, input_size=input_size, seed=0).eval()
        with torch.no_grad():
            assert model(torch.zeros(2, 3, input_size, input_size)).shape == (2, 3)


@pytest.mark.parametrize("name", FAMILIES.names())
def test_the_same_seed_gives_the_same_weights_and_leaves_the_generator_alone(name: str) -> None:
    spec = SMALL if name == SMALL.family else FAMILIES[name].base
    before = torch.random.get_rng_state()
    first, again, other = (build(spec, num_classes=5, input_size=32, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    for key, parameter in first.state_dict().items():
        assert torch.equal(parameter, again.state_dict()[key]), key
    weights = next(first.parameters()), next(other.parameters())
    assert not torch.equal(*weights)


def test_a_seed_leaves_the_generators_of_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    build(SMALL, num_classes=5, input_size=32, seed=3)
    assert seeded == []


@pytest.mark.parametrize(("num_classes", "input_size"), [(10, 7), (10, 0), (10, -32), (0, 32)])
def test_impossible_sizes_are_refused_with_what_is_possible(num_classes: int, input_size: int) -> None:
    with pytest.raises(BuildError, match=r"smallest input_size is 8|at least 1"):
        build(SMALL, num_classes=num_classes, input_size=input_size)


def test_the_smallest_input_size_runs() -> None:
    model: nn.Module = build(SMALL, num_classes=3, input_size=8)
    assert model(torch.randn(4, 3, 8, 8)).shape == (4, 3)


def test_unknown_families_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'shufflenet_v2'"):
        FAMILIES["shufflenetv2"]


def test_specifications_families_and_variants_need_no_torch() -> None:
    code = (
        "import sys; import archsearch.models.families, archsearch.models.variants; "
        "sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
