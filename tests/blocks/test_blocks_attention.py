import pytest
import torch
from torch import nn

from archsearch.blocks.attention import ATTENTION
from archsearch.blocks.attention.eca import eca_kernel
from archsearch.blocks.attention.simam import LAMBDA, SimAM
from archsearch.errors import UnknownNameError

every = pytest.mark.parametrize("name", ATTENTION.names())


def module_of(name: str, channels: int = 24) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ATTENTION[name](channels)


def maps(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@every
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 3)])
def test_attention_keeps_the_shape_of_its_map(name: str, size: tuple[int, int]) -> None:
    x = maps(2, 24, *size)
    out = module_of(name)(x)
    assert out.shape == x.shape
    assert out.isfinite().all()


@every
def test_every_parameter_of_attention_gets_a_gradient(name: str) -> None:
    module = module_of(name)
    (module(maps(4, 24, 5, 5).requires_grad_()) * maps(4, 24, 5, 5)).sum().backward()
    for parameter_name, parameter in module.named_parameters():
        assert parameter.grad is not None, parameter_name
        # a bias before batch normalisation has a gradient of zero, up to rounding
        assert parameter.dim() == 1 or parameter.grad.abs().max() > 0, parameter_name


@every
def test_in_evaluation_an_image_does_not_depend_on_its_batch(name: str) -> None:
    module = module_of(name).eval()
    x = maps(3, 24, 4, 4)
    torch.testing.assert_close(module(x)[:1], module(x[:1]), rtol=1e-5, atol=1e-6)


@every
def test_attention_can_be_traced_at_one_batch_and_run_at_another(name: str) -> None:
    module = module_of(name).eval()
    traced = torch.jit.trace(module, maps(1, 24, 4, 4))
    torch.testing.assert_close(traced(maps(3, 24, 4, 4)), module(maps(3, 24, 4, 4)))


@every
def test_attention_keeps_channels_last(name: str) -> None:
    x = maps(2, 24, 4, 4).to(memory_format=torch.channels_last)
    module = module_of(name).to(memory_format=torch.channels_last)
    assert module(x).is_contiguous(memory_format=torch.channels_last)


# Parameters by hand at C = 256:
# SE: 1x1 256 -> 16 and back, with biases: 2*256*16 + 16 + 256. ECA: k = |log2(256)/2 + 1/2| = 4.5 -> 4 -> 5.
# SE at the full width: 256 -> 128 and back, with biases. The LDC paper's: bias-free 256 -> 64 and back, BN after each.
# CBAM: bias-free 256 -> 16 -> 256, and 7x7 on 2 maps. Coordinate: 256 -> 8 with bias, BN, and 8 -> 256 with bias twice.
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("none", 0),
        ("se", 2 * 256 * 16 + 16 + 256),
        ("se_full", 2 * 256 * 128 + 128 + 256),
        ("se_hard", 2 * 256 * 64 + 2 * 64 + 2 * 256),
        ("eca", 5),
        ("cbam", 2 * 256 * 16 + 2 * 49),
        ("coordinate", 256 * 8 + 8 + 2 * 8 + 2 * (8 * 256 + 256)),
        ("simam", 0),
    ],
)
def test_parameters_of_attention_follow_from_the_papers(name: str, params: int) -> None:
    assert sum(each.numel() for each in module_of(name, 256).parameters()) == params


@pytest.mark.parametrize(("channels", "kernel"), [(16, 3), (64, 3), (128, 5), (256, 5), (512, 5)])
def test_eca_kernels_are_those_of_the_papers_formula(channels: int, kernel: int) -> None:
    # t = int(|(log2(C) + 1)/2|), then the next odd number: 16 -> 2.5 -> 2 -> 3, 64 -> 3.5 -> 3, 128 -> 4 -> 5,
    # 256 -> 4.5 -> 4 -> 5, 512 -> 5
    assert eca_kernel(channels) == kernel


def test_simam_of_two_neurons_is_as_by_hand() -> None:
    # mean 1, both squared distances 1, variance (1 + 1)/(2 - 1) = 2, inverse energy 1/(4 (2 + lambda)) + 1/2
    x = torch.tensor([0.0, 2.0]).view(1, 1, 1, 2)
    expected = 2.0 * torch.sigmoid(torch.tensor(1 / (4 * (2 + LAMBDA)) + 0.5))
    torch.testing.assert_close(SimAM(1)(x).flatten(), torch.tensor([0.0, expected]))


def test_unknown_attention_suggests_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'simam'"):
        ATTENTION["simma"]
