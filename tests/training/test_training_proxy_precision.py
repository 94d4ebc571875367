"""A proxy in bfloat16: it goes on bit for bit, and never from a state in other numbers."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import nn

from archsearch.data.images import Images
from archsearch.records import Epoch, Score
from archsearch.training.proxy import train_proxy
from archsearch.training.settings import ProxySettings


def images(count: int, seed: int) -> Images:
    generator = torch.Generator().manual_seed(seed)
    return Images(
        torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8), torch.arange(count) % 4
    )


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.Flatten(),
            nn.Linear(32, 4),
        )  # fmt: skip


def train(
    precision: str,
    *,
    start: bytes | None = None,
    curve: tuple[Epoch, ...] = (),
    on_epoch: Callable[[Epoch, Callable[[], bytes]], bool] | None = None,
) -> tuple[Score, nn.Module]:
    model = network()
    settings = ProxySettings.model_validate(
        {"epochs": 3, "batch_size": 8, "learning_rate": 0.05, "precision": precision}
    )
    score = train_proxy(
        model, images(32, 0), images(16, 1), settings, seed=0, num_classes=4, input_size=8, flip=True, device="cpu",
        start=start, curve=curve, on_epoch=on_epoch,
    )  # fmt: skip
    return score, model


def first_state(precision: str) -> tuple[bytes, tuple[Epoch, ...]]:
    kept: list[tuple[bytes, Epoch]] = []

    def once(point: Epoch, state: Callable[[], bytes]) -> bool:
        kept.append((state(), point))
        return False

    train(precision, on_epoch=once)
    return kept[0][0], (kept[0][1],)


def test_bf16_is_another_training_than_fp32() -> None:
    assert train("fp32")[0].curve[0].train_loss != train("bf16")[0].curve[0].train_loss
    assert train("auto")[0].curve[-1].train_loss == train("fp32")[0].curve[-1].train_loss


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_goes_on_bit_for_bit(precision: str) -> None:
    whole, expected = train(precision)
    start, curve = first_state(precision)
    score, model = train(precision, start=start, curve=curve)
    assert [point.train_loss for point in score.curve] == [point.train_loss for point in whole.curve]
    for name, value in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_a_state_in_other_numbers_is_not_gone_on_from(caplog: pytest.LogCaptureFixture) -> None:
    start, curve = first_state("bf16")
    with caplog.at_level(logging.WARNING):
        score, _ = train("fp32", start=start, curve=curve)
    assert "precision: bf16 there" in caplog.text
    assert [point.train_loss for point in score.curve] == [point.train_loss for point in train("fp32")[0].curve]
