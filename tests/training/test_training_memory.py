"""A device that runs out of memory, and memory between one training and the next."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from archsearch.data.images import Images
from archsearch.errors import DivergedError, TrainingError
from archsearch.models.families import FAMILIES, build
from archsearch.records import Epoch
from archsearch.training.loop import fit, top1_percent
from archsearch.training.proxy import train_proxy
from archsearch.training.settings import ProxySettings

Batch = tuple[Tensor, Tensor]


class Batches:
    """The same few batches of 12 images every epoch."""

    steps_per_epoch = 4
    batch_size = 12

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.batches = [
            (torch.randn(12, 3, 8, 8, generator=generator), torch.randint(0, 3, (12,), generator=generator))
            for _ in range(4)
        ]

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[Batch]:
        return iter(self.batches[first_step:])


class Hungry(nn.Module):
    """A network whose device has the memory for `limit` images, after `plenty` forward passes in training mode."""

    def __init__(self, net: nn.Module, limit: int, *, plenty: int = 0, where: str = "forward") -> None:
        super().__init__()
        self.net, self.limit, self.plenty, self.where = net, limit, plenty, where
        self.sizes: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.sizes.append(len(inputs))
        middle: Tensor = self.net[:2](inputs)  # type: ignore[index]
        if len(inputs) > self.limit and len(self.sizes) > self.plenty:
            if self.where == "forward":
                raise torch.OutOfMemoryError("CUDA out of memory")
            middle.register_hook(self._fail)
        outputs: Tensor = self.net[2:](middle)  # type: ignore[index]
        return outputs

    def _fail(self, gradient: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


def plain_net() -> nn.Module:
    """Without batch normalisation, so that parts of a batch do not change the loss."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8, 3)
        )


def run(model: nn.Module, *, epochs: int = 2, start_epoch: int = 0) -> tuple[tuple[Epoch, ...], dict[str, Tensor]]:
    """The curve, and weights, statistics and momentum at the end."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=0.01, fused=True)
    curve = fit(
        model, Batches(), epochs=epochs, start_epoch=start_epoch, optimizer=optimizer, schedule=lambda step: 0.1,
        label_smoothing=0.1, device="cpu", amp=False, evaluate=lambda: 0.0, seed=0,
    )  # fmt: skip
    momentum = {str(key): entry["momentum_buffer"] for key, entry in optimizer.state_dict()["state"].items()}
    net = model.net if isinstance(model, Hungry) else model
    assert isinstance(net, nn.Module)
    return curve, {**net.state_dict(), **momentum}


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize(("limit", "size"), [(6, 6), (5, 3), (3, 3)])
def test_steps_in_parts_are_the_steps_of_whole_batches(
    caplog: pytest.LogCaptureFixture, where: str, limit: int, size: int
) -> None:
    model = Hungry(plain_net(), limit, where=where)
    with caplog.at_level(logging.WARNING):
        curve, found = run(model)
    expected_curve, expected = run(plain_net())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    assert [point.train_loss for point in curve] == pytest.approx([point.train_loss for point in expected_curve])
    # Four steps in each of two epochs, once the parts are small enough; they stay so in the second epoch.
    assert model.sizes[-8 * 12 // size :] == [size] * (8 * 12 // size)
    assert f"each step of 12 images in {12 // size} parts" in caplog.text


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("step", [1, 3])
def test_the_epoch_begins_anew_wherever_in_it_memory_ran_out(
    small_net: Callable[..., nn.Module], where: str, step: int
) -> None:
    """With batch normalisation: neither its statistics nor the momentum may keep anything of the failed attempt."""
    late, at_once = Hungry(small_net(), 6, plenty=4 + step, where=where), Hungry(small_net(), 6, plenty=4)
    (late_curve, late_state), (once_curve, once_state) = run(late, epochs=3), run(at_once, epochs=3)
    assert late.sizes.count(12) == 4 + step + 1  # the first epoch whole, then up to the step that failed
    assert late_state.keys() == once_state.keys()
    assert all(torch.equal(late_state[name], once_state[name]) for name in once_state)
    assert [point.train_loss for point in late_curve] == [point.train_loss for point in once_curve]


def test_a_first_step_that_fails_leaves_no_trace(small_net: Callable[..., nn.Module]) -> None:
    # Halves from the first step on, so the same as batches that always came in halves.
    model = Hungry(small_net(), 6, where="backward")
    run(model, epochs=1)
    assert model.sizes == [12, *[6] * 8]
    assert int(model.net[1].num_batches_tracked) == 8  # type: ignore[index]


def test_parts_of_less_than_two_images_are_refused_with_the_reason(small_net: Callable[..., nn.Module]) -> None:
    # 12 images in 2 parts are 6, in 4 parts 3; in 8 parts some would have only one.
    with pytest.raises(TrainingError, match="device cpu ran out of memory, even with 3 of 12 images at once"):
        run(Hungry(small_net(), 1))


def test_scoring_in_parts_counts_the_same_images(small_net: Callable[..., nn.Module]) -> None:
    batches = [*Batches().batches, (torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]))]  # fewer images than parts
    model = Hungry(small_net(), 3)
    assert top1_percent(model, batches) == top1_percent(small_net(), batches)
    assert model.sizes == [12, 6, *[3] * 16, 1, 1]


def test_scoring_without_memory_for_one_image_is_refused(small_net: Callable[..., nn.Module]) -> None:
    with pytest.raises(TrainingError, match="ran out of memory, even with 2 of 12 images at once"):
        top1_percent(Hungry(small_net(), 0), Batches().batches)


# Between trainings ---------------------------------------------------------------------------------------------------

SETTINGS = ProxySettings(epochs=2, batch_size=16, learning_rate=0.1, crop_padding=2)
BASE = FAMILIES["shufflenet_v2"].base.with_choices({"units": 1, "stem.pool": False})
CHANGES = (
    {"width": 0.5},
    {"width": 1.0, "attention": "se"},
    {"width": 0.5, "kernel": 5, "residual": True},
    {"width": 1.5, "unit_form": "authors"},
    {"width": 0.5, "stem.type": "dcn"},
)


def tensor_bytes() -> int:
    """What the tensors that Python can reach hold, each storage once."""
    gc.collect()
    storages = {
        entry.untyped_storage().data_ptr(): entry.untyped_storage().nbytes()
        for entry in gc.get_objects()
        if type(entry) in (Tensor, nn.Parameter)
    }
    return sum(storages.values())


def train_each(images: Callable[..., Images], device: str, used: Callable[[], int]) -> list[int]:
    """Memory in use before, and after each of some trainings that end well, early, with an error or for want of it."""
    train, validation = images(48, 1, 32), images(15, 2, 32)

    def trained(model: nn.Module, settings: ProxySettings = SETTINGS) -> None:
        train_proxy(
            model, train, validation, settings, seed=0, num_classes=3, input_size=32, flip=True, device=device,
            on_epoch=lambda point, state: point.epoch == 1 and bool(state()),
        )  # fmt: skip

    def net(changes: dict[str, object]) -> nn.Module:
        return build(BASE.with_choices(changes), num_classes=3, input_size=32, seed=0)

    trained(net({"width": 2.0}))  # whatever is kept once for the whole process
    found = [used()]
    for changes in CHANGES:
        trained(net(changes))
        found.append(used())
    with pytest.raises(DivergedError):
        trained(nn.Sequential(nn.Flatten(), nn.Linear(3072, 3)), SETTINGS.model_copy(update={"learning_rate": 1e30}))
    found.append(used())
    with pytest.raises(TrainingError, match="out of memory"):
        trained(Hungry(nn.Sequential(nn.Flatten(), nn.Identity(), nn.Linear(3072, 3)), 1))
    found.append(used())
    return found


def test_tensors_of_a_training_are_gone_after_it(coloured: Callable[..., Images]) -> None:
    found = train_each(coloured, "cpu", tensor_bytes)
    assert found == found[:1] * 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_memory_of_the_gpu_is_back_at_its_baseline_after_each_training(coloured: Callable[..., Images]) -> None:
    def used() -> int:
        gc.collect()
        torch.cuda.empty_cache()
        return torch.cuda.memory_allocated()

    found = train_each(coloured, "cuda", used)
    assert max(found) <= found[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_without_the_memory_for_a_batch_trains_in_parts(
    coloured: Callable[..., Images], caplog: pytest.LogCaptureFixture
) -> None:
    # Each of the six layers keeps 96 x 64 x 64 x 64 values of 2 bytes, 48 MiB: a step needs several times 100 MiB.
    layers = [nn.Conv2d(3, 64, 3, padding=1), *(nn.Conv2d(64, 64, 3, padding=1) for _ in range(5))]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 3))
    settings = SETTINGS.model_copy(update={"batch_size": 96, "learning_rate": 0.01})
    torch.cuda.empty_cache()
    allowed = torch.cuda.memory_reserved() + 200 * 2**20
    torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(0).total_memory)
    try:
        with caplog.at_level(logging.WARNING):
            score = train_proxy(
                model, coloured(96, 1, 64), coloured(15, 2, 64), settings, seed=0, num_classes=3, input_size=64,
                flip=True, device="cuda",
            )  # fmt: skip
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "begins anew, each step of 96 images in" in caplog.text
    assert score.epochs == 2
