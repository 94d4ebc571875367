from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archsearch.data.images import Images
from archsearch.errors import DivergedError, TrainingError
from archsearch.records import Epoch, Score
from archsearch.training.proxy import train_proxy
from archsearch.training.settings import ProxySettings

QUICK = ProxySettings(epochs=4, batch_size=16, learning_rate=0.1, crop_padding=2)


def train(model: nn.Module, train_images: Images, validation: Images, settings: ProxySettings, **options: Any) -> Score:
    size = options.pop("input_size", 16)
    return train_proxy(
        model,
        train_images,
        validation,
        settings,
        num_classes=3,
        input_size=size,
        flip=True,
        device="cpu",
        **{"seed": 0, **options},
    )


def test_a_proxy_learns_an_easy_problem(small_net: Callable[..., nn.Module], coloured: Callable[..., Images]) -> None:
    # 100 / 3 = 33% by chance; the brighter channel is visible in every image's mean.
    score = train(small_net(), coloured(300, 1), coloured(90, 2), QUICK)
    assert score.top1_percent > 90
    assert (score.split, score.protocol, score.epochs, score.seed) == ("validation", "proxy", 4, 0)
    assert (score.train_images, score.eval_images, score.device) == (300, 90, "cpu")
    assert [point.epoch for point in score.curve] == [1, 2, 3, 4]
    assert score.curve[-1].top1_percent == score.top1_percent
    assert score.curve[-1].train_loss < score.curve[0].train_loss
    assert score.train_seconds == pytest.approx(sum(point.train_seconds for point in score.curve))
    # 300 images are 18 steps of 16 and 12 left out: 288 trained on in each of 4 epochs.
    assert score.images_per_second * score.train_seconds == pytest.approx(4 * 288)


def test_the_proxy_schedule_reaches_zero(small_net: Callable[..., nn.Module], coloured: Callable[..., Images]) -> None:
    settings = QUICK.model_copy(update={"epochs": 5})
    curve = train(small_net(), coloured(80, 1), coloured(30, 2), settings).curve
    # 80 / 16 = 5 steps, 25 in all, 20% = 5 rising. The last steps of the epochs: 5 of 5 rising, then 20 - 4, -9, -14,
    # -19 twentieths of the peak 0.1.
    assert [point.learning_rate for point in curve] == pytest.approx([0.1, 0.08, 0.055, 0.03, 0.005])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    small_net: Callable[..., nn.Module],
    coloured: Callable[..., Images],
    weights: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    def trained(seed: int) -> dict[str, Tensor]:
        model = small_net()  # the same initial weights for all
        train(model, coloured(64, 1), coloured(30, 2), QUICK.model_copy(update={"epochs": 1}), seed=seed)
        return weights(model)

    first, again, other = trained(0), trained(0), trained(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_training_leaves_the_callers_random_numbers_alone(
    small_net: Callable[..., nn.Module], coloured: Callable[..., Images]
) -> None:
    before = torch.random.get_rng_state()
    train(small_net(), coloured(32, 1), coloured(15, 2), QUICK)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_proxy_passes_its_chunks_and_epochs_on(
    small_net: Callable[..., nn.Module], coloured: Callable[..., Images]
) -> None:
    entered, epochs = 0, []

    @contextmanager
    def chunk() -> Iterator[None]:
        nonlocal entered
        entered += 1
        yield

    def on_epoch(point: Epoch, state: Callable[[], bytes]) -> bool:
        epochs.append(point.epoch)
        return True

    settings = QUICK.model_copy(update={"chunk_steps": 2})
    train(small_net(), coloured(80, 1), coloured(15, 2), settings, chunk=chunk, on_epoch=on_epoch)
    # the preparation; then in each of 4 epochs its start, 3 chunks for 5 steps of at most 2, one batch of 15 images,
    # and what was counted in it added up
    assert entered == 1 + 4 * (1 + 3 + 2)
    assert epochs == [1, 2, 3, 4]


def test_images_are_resized_to_the_input_size(
    coloured: Callable[..., Images], small_net: Callable[..., nn.Module]
) -> None:
    seen = set()

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small_net()

        def forward(self, inputs: Tensor) -> Tensor:
            seen.add((tuple(inputs.shape[1:]), inputs.is_contiguous(memory_format=torch.channels_last)))
            logits: Tensor = self.net(inputs)
            return logits

    train(Watching(), coloured(32, 1), coloured(15, 2), QUICK, input_size=24)
    assert seen == {((3, 24, 24), True)}


def test_one_image_left_over_does_not_reach_batch_normalisation(coloured: Callable[..., Images]) -> None:
    # 33 = 2 x 16 + 1: a last batch of one image with 1x1 maps would make batch normalisation raise.
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 3))
    assert train(model, coloured(33, 1), coloured(15, 2), QUICK).train_images == 33


def test_a_single_training_image_is_refused(
    small_net: Callable[..., nn.Module], coloured: Callable[..., Images]
) -> None:
    with pytest.raises(TrainingError, match="at least 2 images"):
        train(small_net(), coloured(1, 1), coloured(15, 2), QUICK)


def test_labels_beyond_the_networks_outputs_are_refused(
    small_net: Callable[..., nn.Module], coloured: Callable[..., Images]
) -> None:
    images = coloured(30, 1)
    wrong = Images(images.pixels, images.labels + 1)
    with pytest.raises(TrainingError, match="labels run from 1 to 3, but the network has 3 outputs"):
        train(small_net(), wrong, images, QUICK)


def test_a_proxy_that_diverges_says_so(coloured: Callable[..., Images]) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 196, 3))
    with pytest.raises(DivergedError, match="epoch 1"):
        train(model, coloured(160, 1), coloured(15, 2), QUICK.model_copy(update={"learning_rate": 1e15}))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_proxy_learns_on_cuda_in_mixed_precision(
    small_net: Callable[..., nn.Module], coloured: Callable[..., Images]
) -> None:
    dtypes = set()
    model = small_net()
    model[3].register_forward_hook(lambda module, args, output: dtypes.add((module.training, output.dtype)))  # type: ignore[index]
    score = train_proxy(
        model, coloured(300, 1), coloured(90, 2), QUICK, seed=0, num_classes=3, input_size=16, flip=True, device="cuda"
    )
    assert score.top1_percent > 90
    assert dtypes == {(True, torch.bfloat16), (False, torch.float32)}  # scoring is in full precision
