from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from archsearch.cost.zero_cost import correlation_score, jacob_cov, synflow
from archsearch.models.families import FAMILIES, build
from archsearch.models.spec import Spec
from archsearch.models.variants import VARIANTS


class _Linear(nn.Module):
    """Flattened pixels through linear layers."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.flatten(1))  # type: ignore[no-any-return]


def _linear(weights: list[list[float]], *, bias: list[float] | None = None) -> nn.Linear:
    layer = nn.Linear(len(weights[0]), len(weights), bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))
    return layer


def test_synflow_of_two_linear_layers_is_twice_the_flow() -> None:
    # one pixel: x = (1, 1, 1). |W1| 1 = (6, 9), |W2| (6, 9) = 2*6 + 1*9 = 21 = R.
    # theta dR/dtheta summed over one layer is R again (R is linear in each layer), so over two layers 42.
    net = _Linear(_linear([[1.0, -2.0, 3.0], [-2.0, 3.0, 4.0]]), _linear([[-2.0, 1.0]]))
    assert synflow(net, input_size=1) == pytest.approx(math.log(42.0), rel=1e-12)


def test_synflow_counts_what_flows_through_biases() -> None:
    # |W1| 1 + |b1| = 3 + 2 = 5; R = 4 * 5 + 1 = 21. W1: 4 * 3 = 12, b1: 4 * 2 = 8, W2: 20, b2: 1; together 41.
    net = _Linear(_linear([[1.0, -1.0, 1.0]], bias=[-2.0]), _linear([[-4.0]], bias=[1.0]))
    assert synflow(net, input_size=1) == pytest.approx(math.log(41.0), rel=1e-12)


def test_synflow_passes_through_batch_normalisation_and_dropout() -> None:
    plain = _Linear(_linear([[1.0, -2.0, 3.0], [-2.0, 3.0, 4.0]]), nn.ReLU(), _linear([[-2.0, 1.0]]))
    norm = nn.BatchNorm1d(2)
    with torch.no_grad():
        norm.weight.fill_(7.0)
        norm.running_mean.fill_(3.0)  # type: ignore[union-attr]
    normed = _Linear(plain.layers[0], norm, nn.ReLU(), nn.Dropout(0.9), plain.layers[2])
    assert synflow(normed, input_size=1) == pytest.approx(synflow(plain, input_size=1), rel=1e-12)


def test_synflow_survives_what_single_precision_does_not() -> None:
    # 200 layers of weight 10: R = 3 * 10^200, and each of the 200 layers has that much
    net = _Linear(_linear([[10.0, 10.0, 10.0]]), *[_linear([[10.0]]) for _ in range(199)])
    assert synflow(net, input_size=1) == pytest.approx(math.log(3.0) + 200 * math.log(10.0) + math.log(200.0))


def test_synflow_of_a_network_that_lets_nothing_through_is_minus_infinity_and_of_one_beyond_range_nan() -> None:
    assert synflow(_Linear(_linear([[0.0, 0.0, 0.0]])), input_size=1) == -math.inf
    beyond = _Linear(_linear([[1e30] * 3]), *[_linear([[1e30]]) for _ in range(11)])
    assert math.isnan(synflow(beyond, input_size=1))


def test_synflow_agrees_with_finite_differences_on_a_real_network() -> None:
    """theta dR/dtheta along one parameter, by (R(theta (1 + h)) - R(theta (1 - h))) / 2h for the whole tensor."""
    model = build(VARIANTS["shufflenet_v2_x0_5"].spec, num_classes=3, input_size=16, seed=0).double().eval()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.running_var.fill_(1.0 - norm.eps)  # type: ignore[union-attr]
        skipped = {id(parameter) for norm in norms for parameter in norm.parameters()}
        counted = [parameter for parameter in model.parameters() if id(parameter) not in skipped]
        for parameter in counted:
            parameter.abs_()
        ones = torch.ones(1, 3, 16, 16, dtype=torch.float64)
        total, step = 0.0, 1e-6
        for parameter in counted:
            kept = parameter.clone()
            ends = []
            for sign in (1.0, -1.0):
                parameter.copy_(kept * (1.0 + sign * step))
                ends.append(float(model(ones).sum()))
            parameter.copy_(kept)
            total += (ends[0] - ends[1]) / (2 * step)
    given = build(VARIANTS["shufflenet_v2_x0_5"].spec, num_classes=3, input_size=16, seed=0)
    assert synflow(given, input_size=16) == pytest.approx(math.log(total), rel=1e-6)


def test_the_correlation_score_of_uncorrelated_rows() -> None:
    # two rows with correlation 0: eigenvalues 1 and 1; log(1 + k) + 1 / (1 + k) each, k = 1e-5
    expected = -2 * (math.log(1 + 1e-5) + 1 / (1 + 1e-5))
    assert correlation_score([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]]) == pytest.approx(expected, rel=1e-12)


def test_the_correlation_score_of_rows_with_a_known_correlation() -> None:
    # (1, 2, 3) and (1, 3, 2) have correlation 0.5: eigenvalues 1.5 and 0.5
    expected = -sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in (1.5, 0.5))
    assert correlation_score([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]]) == pytest.approx(expected, rel=1e-9)


def test_equal_answers_score_far_below_different_ones() -> None:
    # correlation 1: eigenvalues 2 and 0; the second alone gives -(log k + 1 / k), about -99988
    assert correlation_score([[1.0, 2.0, 4.0], [2.0, 4.0, 8.0]]) == pytest.approx(
        -(math.log(2 + 1e-5) + 1 / (2 + 1e-5) + math.log(1e-5) + 1e5), rel=1e-3
    )


def test_a_row_without_spread_has_no_score() -> None:
    assert math.isnan(correlation_score([[1.0, 1.0], [1.0, 2.0]]))
    assert math.isnan(correlation_score([[1.0, math.nan], [1.0, 2.0]]))
    with pytest.raises(ValueError, match="2 or more"):
        correlation_score([[1.0, 2.0]])


def test_jacob_cov_agrees_with_gradients_taken_image_by_image() -> None:
    """Without batch normalisation the images do not touch: each one's gradient alone, and numpy's eig as published."""
    generator = torch.Generator().manual_seed(5)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    images = torch.randn(6, 3, 8, 8, generator=generator)
    rows = []
    for image in images:
        alone = image[None].clone().requires_grad_(True)
        net(alone).sum().backward()
        assert alone.grad is not None
        rows.append(alone.grad.flatten().double().numpy())
    values = np.linalg.eig(np.corrcoef(np.stack(rows)))[0].real
    expected = -np.sum(np.log(values + 1e-5) + 1.0 / (values + 1e-5))
    assert jacob_cov(net, images) == pytest.approx(expected, rel=1e-4)


def _bases() -> list[tuple[str, Spec]]:
    found = [(name, FAMILIES[name].base) for name in FAMILIES.names()]
    return [*found, *((name, VARIANTS[name].spec) for name in ("shufflenet_v2_x1_0_dc0", "shufflenet_v2_x1_0_ldc0"))]


@pytest.mark.parametrize(("name", "spec"), _bases(), ids=[name for name, _ in _bases()])
def test_every_family_and_deformable_stem_has_finite_scores_and_keeps_its_weights(name: str, spec: Spec) -> None:
    model = build(spec.normalised(32), num_classes=10, input_size=32, seed=0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert math.isfinite(synflow(model, input_size=32))
    # where no two images' gradients are correlated it would be about -8; correlation only lowers it
    assert -1e7 < jacob_cov(model, images) <= -8 + 1e-3
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
