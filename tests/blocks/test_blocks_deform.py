import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from archsearch.blocks import stems
from archsearch.blocks.stems import (
    DeformableConv2d,
    LightDeformableConv2d,
    counting_form,
    deformable_by_grid,
    deformable_by_operator,
    deformable_conv2d,
)


def inputs(kernel: int, stride: int, *, spread: float = 2.0) -> list[Tensor]:
    """x, offset, mask, weight: offsets of several pixels, some reaching outside the map."""
    generator = torch.Generator().manual_seed(kernel * 10 + stride)
    out = -(-9 // stride), -(-11 // stride)
    points = kernel * kernel
    return [
        torch.randn(2, 3, 9, 11, generator=generator).requires_grad_(),
        (spread * torch.randn(2, 2 * points, *out, generator=generator)).requires_grad_(),
        torch.rand(2, points, *out, generator=generator).requires_grad_(),
        torch.randn(5, 3, kernel, kernel, generator=generator).requires_grad_(),
    ]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 4, 5, 6])
def test_both_forms_give_the_same_map_and_gradients(kernel: int, stride: int) -> None:
    results = []
    for form in (deformable_by_operator, deformable_by_grid):
        leaves = inputs(kernel, stride)
        out = form(*leaves, kernel=kernel, stride=stride)
        weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(7))
        results.append((out, *torch.autograd.grad((out * weights).sum(), leaves)))
    for by_operator, by_grid in zip(*results, strict=True):
        scale = by_operator.abs().max()
        torch.testing.assert_close(by_grid / scale, by_operator / scale, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kernel", [3, 4])
def test_without_offsets_it_is_a_plain_convolution(kernel: int) -> None:
    x, offset, mask, weight = inputs(kernel, 2)
    before, after = (kernel - 1) // 2, kernel // 2
    expected = F.conv2d(F.pad(x, (before, after, before, after)), weight, stride=2)
    out = deformable_conv2d(x, torch.zeros_like(offset), torch.ones_like(mask), weight, kernel=kernel, stride=2)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


def test_counting_form_is_one_operator_and_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("deformable_by_operator", "deformable_by_grid"):
        monkeypatch.setattr(stems, name, lambda *_, name=name, **__: calls.append(name))
    arguments = inputs(3, 1)
    deformable_conv2d(*arguments, kernel=3, stride=1)
    with counting_form():
        deformable_conv2d(*arguments, kernel=3, stride=1)
    deformable_conv2d(*arguments, kernel=3, stride=1)
    assert calls == ["deformable_by_grid", "deformable_by_operator", "deformable_by_grid"]


def test_a_trace_in_counting_form_shows_the_operator() -> None:
    module = DeformableConv2d(3, 4, 3, 2)
    with counting_form():
        counted = torch.jit.trace(module, torch.randn(1, 3, 8, 8))
    assert "torchvision::deform_conv2d" in str(counted.inlined_graph)
    assert "torchvision::deform_conv2d" not in str(torch.jit.trace(module, torch.randn(1, 3, 8, 8)).inlined_graph)


def test_dcn_starts_as_half_of_a_plain_convolution() -> None:
    module = DeformableConv2d(3, 4, 3, 2)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    # Offsets are 0 and the mask is sigmoid(0) = 1/2
    expected = 0.5 * F.conv2d(x, module.weight, stride=2, padding=1)
    torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_parameters_are_those_of_the_two_papers(kernel: int) -> None:
    points = kernel * kernel
    plain = 24 * 3 * points

    def count(module: torch.nn.Module) -> int:
        return sum(each.numel() for each in module.parameters())

    # offsets: k x k, 3 -> 2k^2, with bias; mask: k x k, 3 -> k^2, with bias
    assert count(DeformableConv2d(3, 24, kernel, 2)) == plain + (3 * points + 1) * 3 * points
    # two depthwise k x k on 3 channels with bias; 1x1 3 -> 2k^2 and 3 -> k^2 with bias
    assert count(LightDeformableConv2d(3, 24, kernel, 2)) == plain + 2 * (3 * points + 3) + 4 * 3 * points


@pytest.mark.parametrize("module", [DeformableConv2d(3, 4, 4, 2), LightDeformableConv2d(3, 4, 4, 2)])
def test_every_parameter_learns_from_the_first_step(module: torch.nn.Module) -> None:
    x = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(5))
    out = module(x)
    assert out.shape == (2, 4, 5, 5)
    out.square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
