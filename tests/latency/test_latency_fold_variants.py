"""Folding on the networks that are measured: it must be the network that is trained, and leave nothing to fold."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from archsearch.latency.backends import BACKENDS
from archsearch.latency.backends.fold import folded
from archsearch.models.families import FAMILIES, build
from archsearch.models.variants import find_variant
from archsearch.space.search_space import load_space

# A few of each family: every block that a family has is in one of them.
SOME = (
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0_authors",
    "shufflenet_v2_x1_0_se_residual",
    "shufflenet_v2_star_x1_0",
    "shufflenet_v2_s_counted",
    "shufflenet_v2_s_described",
    "shufflenet_v2_x1_0_dc0",
    "shufflenet_v2_x1_0_ldc3",
    "mobilenet_v3_small_mb0",
    "mobilenet_v3_small_ldc3",
    "resnet20",
    "mobilenet_v2_x0_5",
    "plain_cnn",
    "torchvision/resnet18",
    "torchvision/mobilenet_v2",
    "torchvision/mobilenet_v3_small",
    "torchvision/efficientnet_b0",
    "torchvision/googlenet",
    "torchvision/densenet121",
    "torchvision/shufflenet_v2_x0_5",
)
# Norms that follow no convolution: DenseNet's stand before theirs, and a deformable stem is no Conv2d.
# densenet121: of each of its 58 layers norm1 alone, the norms of 3 transitions, the last one.
UNFOLDED = {
    "torchvision/densenet121": 58 + 3 + 1,
    "shufflenet_v2_x1_0_dc0": 1,
    "shufflenet_v2_x1_0_ldc3": 1,
    "mobilenet_v3_small_ldc3": 1,
}


def _with_random_statistics(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            count = module.num_features
            module.running_mean = torch.randn(count, generator=generator) * 0.1
            module.running_var = torch.rand(count, generator=generator) + 0.5
            module.weight.data = torch.rand(count, generator=generator) + 0.5
            module.bias.data = torch.randn(count, generator=generator) * 0.1
    return model.eval()


def _network(name: str) -> nn.Module:
    spec = find_variant(name).spec.normalised(32)
    return _with_random_statistics(build(spec, num_classes=10, input_size=32, seed=0))


def _images() -> Tensor:
    return torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(2))


def _difference(model: nn.Module, fast: nn.Module) -> float:
    with torch.inference_mode():
        expected, found = model(_images()), fast(_images())
    return float((expected - found).abs().max() / expected.abs().max())


def _norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("name", SOME)
def test_a_folded_network_gives_the_same_outputs_and_has_no_norm_after_a_convolution(name: str) -> None:
    model = _network(name)
    fast = folded(model)
    assert _difference(model, fast) < 1e-4
    assert _norms(fast) == UNFOLDED.get(name, 0)
    assert _norms(model) > _norms(fast)


@pytest.mark.parametrize("name", FAMILIES.names())
def test_the_base_of_every_family_is_folded_completely(name: str) -> None:
    spec = FAMILIES[name].base.normalised(32)
    model = _with_random_statistics(build(spec, num_classes=10, input_size=32, seed=0))
    fast = folded(model)
    assert _difference(model, fast) < 1e-4
    assert _norms(fast) == 0


@pytest.mark.parametrize("seed", range(12))
def test_a_folded_random_point_gives_the_same_outputs(seed: int) -> None:
    space = load_space("shufflenet_v2").restricted({"width": [0.5, 1.0]})
    spec = space.spec(space.sample(seed)).normalised(32)
    model = _with_random_statistics(build(spec, num_classes=10, input_size=32, seed=0))
    fast = folded(model)
    assert _difference(model, fast) < 1e-4
    assert _norms(fast) == (0 if spec.choices()["stem.type"] == "conv" else 1)


def test_folding_leaves_no_batch_norm_in_a_plain_network() -> None:
    model = _network("shufflenet_v2_x0_5")
    assert _norms(folded(model)) == 0
    # the stem, 3 in the main branch of each of 16 units, 2 more on the left of each of 3 down units, the last 1x1
    assert _norms(model) == 1 + 16 * 3 + 3 * 2 + 1


def test_a_folded_network_runs_one_operator_for_each_pair() -> None:
    runner = BACKENDS["torch"].prepare(_network("torchvision/resnet18"), _images(), threads=1)
    with runner.ready(), torch.profiler.profile() as profile:
        runner()
    calls = Counter(event.name for event in profile.events())
    assert calls["aten::conv2d"] == 20  # 17 in the trunk, 3 on shortcuts
    assert calls["aten::batch_norm"] == 0


class _Attributes(nn.Module):
    """Convolution and norm as attributes, with a `forward` of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)


class _ReadTwice(_Attributes):
    """What the convolution gives is read by two: only one of them may be folded away, so neither is."""

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv(x)
        return self.norm(made) + made


class _OwnWeight(_Attributes):
    """The convolution's weight is read as well."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) * self.conv.weight.mean()


class _OtherOrder(_Attributes):
    """The norm stands behind the convolution, but its input comes from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.norm(self.other(x).relu())


class _Branching(nn.Module):
    """It looks at its input, so it has no symbolic trace."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.conv, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        made = self.parts(x)
        return self.norm(self.conv(made)) if made.sum() > 0 else made


@pytest.mark.parametrize("make", [_ReadTwice, _OwnWeight, _OtherOrder])
def test_a_pair_that_anything_else_reads_is_left_alone(make: type[nn.Module]) -> None:
    model = _with_random_statistics(make())
    fast = folded(model)
    assert _norms(fast) == 1
    assert _difference(model, fast) < 1e-6


def test_a_network_without_a_symbolic_trace_is_folded_in_its_sequentials() -> None:
    model = _with_random_statistics(_Branching())
    fast = folded(model)
    assert _difference(model, fast) < 1e-4
    assert [name for name, module in fast.named_modules() if isinstance(module, nn.BatchNorm2d)] == ["norm"]


def test_a_linear_layer_before_a_norm_is_folded() -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
    model = _with_random_statistics(head)
    fast = folded(model)
    assert _difference(model, fast) < 1e-4
    assert _norms(fast) == 0
