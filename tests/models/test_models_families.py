import subprocess
import sys

import pytest
import torch
from torch import nn

from archsearch.errors import BuildError, UnknownNameError
from archsearch.models.families import FAMILIES, build
from archsearch.models.shufflenet_v2.spec import ShuffleNetV2Spec

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


def test_the_same_seed_gives_the_same_weights_and_leaves_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build(SMALL, num_classes=5, input_size=32, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, parameter in first.state_dict().items():
        assert torch.equal(parameter, again.state_dict()[name]), name
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
