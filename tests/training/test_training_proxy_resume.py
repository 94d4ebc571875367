"""A proxy training that ends early, and one that goes on from the state of another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archsearch.data.images import Images
from archsearch.models.families import FAMILIES, build
from archsearch.records import Epoch, Score
from archsearch.training.checkpoint import Checkpoint, read_checkpoint
from archsearch.training.proxy import train_proxy
from archsearch.training.settings import ProxySettings

SETTINGS = ProxySettings(epochs=4, batch_size=16, learning_rate=0.1, crop_padding=2)
SPEC = FAMILIES["shufflenet_v2"].base.with_choices({"width": 0.5, "units": 1, "stem.pool": False, "attention": "se"})

Net = Callable[[], nn.Module]


def shufflenet() -> nn.Module:
    return build(SPEC, num_classes=3, input_size=32, seed=0)


def with_dropout() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.01)
    return model


@pytest.fixture
def train(coloured: Callable[..., Images]) -> Callable[..., Score]:
    images, validation = coloured(70, 1, 32), coloured(30, 2, 32)

    def trained(model: nn.Module, settings: ProxySettings = SETTINGS, **options: Any) -> Score:
        given: dict[str, Any] = {"seed": 5, **options}
        return train_proxy(
            model, images, validation, settings, num_classes=3, input_size=32, flip=True, device="cpu", **given
        )

    return trained


class Stop:
    """Ends a training after so many epochs and keeps its state."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.state = b""

    def __call__(self, point: Epoch, state: Callable[[], bytes]) -> bool:
        if point.epoch < self.epoch:
            return True
        self.state = state()
        return False


def without_time(curve: tuple[Epoch, ...]) -> list[Epoch]:
    return [replace(point, train_seconds=0.0) for point in curve]


def assert_same_state(one: bytes, other: bytes) -> None:
    first, second = (read_checkpoint(content) for content in (one, other))
    assert first is not None
    assert second is not None
    assert (first.epoch, first.identity) == (second.epoch, second.identity)
    assert first.model.keys() == second.model.keys()
    assert all(torch.equal(first.model[name], second.model[name]) for name in first.model)
    assert momenta(first).keys() == momenta(second).keys()
    assert all(torch.equal(value, momenta(second)[key]) for key, value in momenta(first).items())


def momenta(checkpoint: Checkpoint) -> dict[int, Tensor]:
    return {key: entry["momentum_buffer"] for key, entry in checkpoint.optimizer["state"].items()}


@pytest.mark.parametrize("net", [shufflenet, with_dropout])
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_training_that_goes_on_elsewhere_is_bit_for_bit_the_uninterrupted_one(
    train: Callable[..., Score], net: Net, epoch: int
) -> None:
    end = Stop(4)
    whole = train(net(), on_epoch=end)
    first = Stop(epoch)
    begun = train(net(), on_epoch=first)
    second, other = Stop(4), net()
    torch.nn.init.ones_(next(other.parameters()))  # whatever the network holds, the state replaces it
    resumed = train(other, on_epoch=second, start=first.state, curve=begun.curve)
    assert without_time(resumed.curve) == without_time(whole.curve)
    assert resumed.curve[:epoch] == begun.curve  # with the seconds that they took
    assert (resumed.top1_percent, resumed.epochs) == (whole.top1_percent, 4)
    assert_same_state(end.state, second.state)


def test_a_training_is_stopped_by_its_callback_and_scored_as_far_as_it_came(
    train: Callable[..., Score], small_net: Callable[..., nn.Module]
) -> None:
    whole, stopped = train(small_net()), train(small_net(), on_epoch=Stop(2))
    assert without_time(stopped.curve) == without_time(whole.curve[:2])  # the schedule is that of four epochs
    assert (stopped.epochs, stopped.top1_percent) == (2, whole.curve[1].top1_percent)
    assert stopped.train_seconds == pytest.approx(sum(point.train_seconds for point in stopped.curve))
    # 70 images are 4 steps of 16 and 6 left out, in each of 2 epochs.
    assert stopped.images_per_second * stopped.train_seconds == pytest.approx(2 * 64)


def test_epochs_after_the_state_are_trained_again(
    train: Callable[..., Score], small_net: Callable[..., nn.Module]
) -> None:
    early, epochs = Stop(2), []
    train(small_net(), on_epoch=early)
    whole = train(small_net())

    def on_epoch(point: Epoch, state: Callable[[], bytes]) -> bool:
        epochs.append(point.epoch)
        return True

    # Killed in its fourth epoch: three points are known, the state is that of the second.
    resumed = train(small_net(), start=early.state, curve=whole.curve[:3], on_epoch=on_epoch)
    assert epochs == [3, 4]
    assert without_time(resumed.curve) == without_time(whole.curve)


def test_a_training_that_was_whole_already_is_only_scored(
    train: Callable[..., Score], small_net: Callable[..., nn.Module]
) -> None:
    end = Stop(4)
    whole = train(small_net(), on_epoch=end)

    def never(point: Epoch, state: Callable[[], bytes]) -> bool:
        raise AssertionError("trained again")

    assert train(small_net(), start=end.state, curve=whole.curve, on_epoch=never) == whole


def test_a_damaged_state_is_not_used_and_the_training_begins_anew(
    train: Callable[..., Score],
    small_net: Callable[..., nn.Module],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
) -> None:
    early = Stop(2)
    begun = train(small_net(), on_epoch=early)
    with caplog.at_level(logging.WARNING):
        again = train(small_net(), start=damage(early.state), curve=begun.curve)
    assert "damaged: it begins anew" in caplog.text
    assert without_time(again.curve) == without_time(train(small_net()).curve)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"settings": SETTINGS.model_copy(update={"epochs": 5})}, "epochs: 4 there, 5 asked for"),
        ({"settings": SETTINGS.model_copy(update={"weight_decay": 0.0})}, "weight_decay: 0.0005 there, 0.0 asked for"),
        ({"seed": 6}, "seed: 5 there, 6 asked for"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(3072, 3))}, "network: "),
    ],
)
def test_the_state_of_another_training_is_not_used(
    train: Callable[..., Score],
    small_net: Callable[..., nn.Module],
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    difference: str,
) -> None:
    early = Stop(2)
    begun = train(small_net(), on_epoch=early)
    with caplog.at_level(logging.WARNING):
        score = train(**{"model": small_net(), "start": early.state, "curve": begun.curve, **changes})
    assert f"belongs to another training ({difference}" in caplog.text
    assert score.curve[0].train_seconds != begun.curve[0].train_seconds
    assert [point.epoch for point in score.curve] == list(range(1, score.epochs + 1))


def test_a_state_of_more_epochs_than_the_curve_has_is_not_used(
    train: Callable[..., Score], small_net: Callable[..., nn.Module], caplog: pytest.LogCaptureFixture
) -> None:
    early = Stop(2)
    begun = train(small_net(), on_epoch=early)
    with caplog.at_level(logging.WARNING):
        score = train(small_net(), start=early.state, curve=begun.curve[:1])
    assert "the stored state has 2 epochs, its curve 1: the training begins anew" in caplog.text
    assert [point.epoch for point in score.curve] == [1, 2, 3, 4]


def test_a_state_is_made_only_when_asked_for_and_inside_a_chunk(
    train: Callable[..., Score], small_net: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, inside = [], False
    real = train_proxy.__globals__["checkpoint_bytes"]

    def watched(checkpoint: Checkpoint) -> bytes:
        assert inside
        made.append(checkpoint.epoch)
        content: bytes = real(checkpoint)
        return content

    monkeypatch.setattr("archsearch.training.proxy.checkpoint_bytes", watched)

    @contextmanager
    def chunk() -> Iterator[None]:
        nonlocal inside
        inside = True
        yield
        inside = False

    def on_epoch(point: Epoch, state: Callable[[], bytes]) -> bool:
        assert not inside
        return point.epoch != 3 or bool(state())

    train(small_net(), on_epoch=on_epoch, chunk=chunk)
    assert made == [3]
