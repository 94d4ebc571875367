from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from archsearch.data.dataset import Dataset
from archsearch.data.images import Images

CLASSES = ("red", "green", "blue")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads on nets this small only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _coloured(count: int, seed: int, size: int = 16) -> Images:
    """Noise with one brighter channel, which is the class: learnable in a few steps."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    pixels = torch.randint(0, 160, (count, 3, size, size), generator=generator)
    pixels[torch.arange(count), labels] += 60
    return Images(pixels.to(torch.uint8), labels.to(torch.int64))


def _small_net(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 3),
        )


@pytest.fixture
def coloured() -> Callable[..., Images]:
    return _coloured


@pytest.fixture
def small_net() -> Callable[..., nn.Module]:
    return _small_net


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return Dataset(
        name="coloured",
        classes=CLASSES,
        train=_coloured(96, 1, 32),
        load_test=lambda: _coloured(45, 2, 32),
        flip=True,
        fingerprint="0123456789ab",
    )


@pytest.fixture
def weights() -> Callable[[nn.Module], dict[str, Tensor]]:
    return lambda model: {name: value.detach().clone() for name, value in model.state_dict().items()}


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _nothing(content: bytes) -> bytes:
    return b""


@pytest.fixture(params=[_cut, _flipped, _nothing], ids=["cut", "flipped", "nothing"])
def damage(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    """What a disk may do to a file."""
    return request.param
