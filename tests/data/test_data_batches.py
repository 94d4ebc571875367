from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from archsearch.data.batches import DeviceBatches
from archsearch.data.images import Images
from archsearch.errors import ConfigError

_PLAIN = (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)  # (p / 255 - 0) / (1 / 255) = p: batches show the bytes


def _batches(images: Images, **changes: Any) -> DeviceBatches:
    options: dict[str, Any] = {
        "device": "cpu",
        "input_size": images.image_size,
        "batch_size": 4,
        "mean": _PLAIN[0],
        "std": _PLAIN[1],
        "flip": False,
        "crop_padding": 0,
        "seed": 0,
    }
    return DeviceBatches(images, **(options | changes))


def _bytes(inputs: torch.Tensor) -> torch.Tensor:
    rounded = inputs.round()
    assert torch.allclose(inputs, rounded, atol=1e-3)
    return rounded.to(torch.int64)


@pytest.fixture
def one_image() -> Images:
    """One image of 2 x 2 pixels: red as below, green 10 more, blue 20 more."""
    red = torch.tensor([[1, 2], [3, 4]])
    return Images(torch.stack([red, red + 10, red + 20])[None].to(torch.uint8), torch.tensor([0]))


# Every crop of the red plane with one pixel of padding, by the place (top, left) of its first pixel:
#     0 0 0 0
#     0 1 2 0
#     0 3 4 0
#     0 0 0 0
_CROPS: dict[tuple[tuple[int, ...], ...], tuple[int, int]] = {
    ((0, 0), (0, 1)): (0, 0),
    ((0, 0), (1, 2)): (0, 1),
    ((0, 0), (2, 0)): (0, 2),
    ((0, 1), (0, 3)): (1, 0),
    ((1, 2), (3, 4)): (1, 1),
    ((2, 0), (4, 0)): (1, 2),
    ((0, 3), (0, 0)): (2, 0),
    ((3, 4), (0, 0)): (2, 1),
    ((4, 0), (0, 0)): (2, 2),
}


def _seen(batches: DeviceBatches, channel: int = 0) -> set[tuple[tuple[int, ...], ...]]:
    seen = set()
    for epoch in range(400):
        for inputs, _ in batches.epoch(epoch):
            seen.add(tuple(tuple(row) for row in _bytes(inputs)[0, channel].tolist()))
    return seen


def test_crops_are_exactly_the_nine_places_by_hand(one_image: Images) -> None:
    assert _seen(_batches(one_image, crop_padding=1)) == set(_CROPS)


def test_mirror_images_of_the_crops_come_with_flip(one_image: Images) -> None:
    mirrored = {tuple(row[::-1] for row in crop) for crop in _CROPS}
    assert _seen(_batches(one_image, crop_padding=1, flip=True)) == set(_CROPS) | mirrored


def test_all_channels_are_cropped_and_mirrored_together(one_image: Images) -> None:
    for epoch in range(50):
        for inputs, _ in _batches(one_image, crop_padding=1, flip=True).epoch(epoch):
            red, green, blue = _bytes(inputs)[0]
            inside = red > 0
            assert torch.equal(green, torch.where(inside, red + 10, 0))
            assert torch.equal(blue, torch.where(inside, red + 20, 0))


def test_places_and_mirroring_are_about_equally_likely() -> None:
    # 4,000 copies: a place has 4000 / 9 = 444 of them, standard deviation (4000 * 1/9 * 8/9)^0.5 = 20
    red = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8)
    images = Images(red.expand(4000, 3, 2, 2).contiguous(), torch.zeros(4000, dtype=torch.int64))
    inputs, _ = next(_batches(images, crop_padding=1, batch_size=4000).epoch(0))
    counts = dict.fromkeys(_CROPS.values(), 0)
    for crop in _bytes(inputs)[:, 0].tolist():
        counts[_CROPS[tuple(tuple(row) for row in crop)]] += 1
    assert all(abs(count - 444) < 5 * 20 for count in counts.values())
    # half of 4,000 mirrored: standard deviation (4000 / 4)^0.5 = 32
    inputs, _ = next(_batches(images, flip=True, batch_size=4000).epoch(0))
    assert abs((_bytes(inputs)[:, 0, 0, 0] == 2).sum().item() - 2000) < 5 * 32


def test_values_are_normalised_by_hand(one_image: Images) -> None:
    batches = _batches(one_image, mean=(0.5, 0.0, 0.1), std=(0.25, 0.5, 0.2))
    inputs, _ = next(batches.evaluation())
    # red 4: (4/255 - 0.5) / 0.25; green 14: (14/255) / 0.5; blue 24: (24/255 - 0.1) / 0.2
    expected = [(4 / 255 - 0.5) / 0.25, 14 / 255 / 0.5, (24 / 255 - 0.1) / 0.2]
    assert inputs[0, :, 1, 1].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_border_is_zero_after_normalisation_to_half_a_grey_level(one_image: Images) -> None:
    batches = _batches(one_image, mean=(0.49, 0.482, 0.4465), std=(0.247, 0.2435, 0.2616), crop_padding=2)
    corners = [inputs[0, :, 0, 0] for epoch in range(60) for inputs, _ in batches.epoch(epoch)]
    smallest = torch.stack(corners).abs().min(dim=0).values
    for value, std in zip(smallest.tolist(), (0.247, 0.2435, 0.2616), strict=True):
        assert value <= 0.5 / 255 / std + 1e-6


def test_inputs_are_float32_in_channels_last_memory(make_images: Callable[..., Images]) -> None:
    batches = _batches(make_images([5, 5]), flip=True, crop_padding=1)
    for inputs, labels in [*batches.epoch(0), *batches.evaluation()]:
        assert inputs.dtype == torch.float32 and labels.dtype == torch.int64
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        assert inputs.shape[1:] == (3, 4, 4)


def test_an_epoch_is_the_same_whatever_came_before_it(make_images: Callable[..., Images]) -> None:
    images = make_images([20, 13])
    options = {"flip": True, "crop_padding": 2}
    fresh = list(_batches(images, **options).epoch(3))
    used = _batches(images, **options)
    for epoch in (0, 1, 7):
        list(used.epoch(epoch))
    for (inputs, labels), (again, labels_again) in zip(fresh, used.epoch(3), strict=True):
        assert torch.equal(inputs, again) and torch.equal(labels, labels_again)


def test_epochs_and_seeds_differ(make_images: Callable[..., Images]) -> None:
    images = make_images([40, 40])

    def order(seed: int, epoch: int) -> torch.Tensor:
        return torch.cat([inputs for inputs, _ in _batches(images, seed=seed).epoch(epoch)])

    assert not torch.equal(order(0, 0), order(0, 1))
    assert not torch.equal(order(0, 1), order(1, 0))
    assert not torch.equal(order(0, 0), order(1, 0))


def test_an_epoch_leaves_the_global_random_state_alone(make_images: Callable[..., Images]) -> None:
    before = torch.get_rng_state()
    list(_batches(make_images([5, 5]), flip=True, crop_padding=1).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_batch_size_does_not_change_order_or_augmentation(make_images: Callable[..., Images]) -> None:
    images = make_images([8, 8])
    small, large = (_batches(images, batch_size=size, flip=True, crop_padding=1) for size in (2, 8))
    assert torch.equal(torch.cat([x for x, _ in small.epoch(2)]), torch.cat([x for x, _ in large.epoch(2)]))


def test_a_last_incomplete_batch_is_left_out(make_images: Callable[..., Images]) -> None:
    batches = _batches(make_images([5, 6]), batch_size=4)
    assert [len(labels) for _, labels in batches.epoch(0)] == [4, 4]
    assert batches.steps_per_epoch == 2


def test_a_set_smaller_than_a_batch_is_one_smaller_batch(make_images: Callable[..., Images]) -> None:
    batches = _batches(make_images([1, 2]), batch_size=128)
    assert [len(labels) for _, labels in batches.epoch(0)] == [3]
    assert batches.steps_per_epoch == 1


def test_an_epoch_has_no_image_twice_and_the_label_of_each() -> None:
    pixels = torch.arange(12, dtype=torch.uint8)[:, None, None, None].expand(12, 3, 2, 2).contiguous()
    batches = _batches(Images(pixels, torch.arange(12) * 10), batch_size=4)
    seen: list[int] = []
    for inputs, labels in batches.epoch(0):
        numbers = _bytes(inputs)[:, 0, 0, 0]
        assert torch.equal(numbers * 10, labels)
        seen += numbers.tolist()
    assert sorted(seen) == list(range(12))
    assert seen != list(range(12))


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_evaluation_has_every_image_in_order_and_untouched(make_images: Callable[..., Images], batch_size: int) -> None:
    images = make_images([5, 6])
    batches = list(_batches(images, flip=True, crop_padding=2).evaluation(batch_size))
    assert torch.equal(_bytes(torch.cat([inputs for inputs, _ in batches])), images.pixels.to(torch.int64))
    assert torch.equal(torch.cat([labels for _, labels in batches]), images.labels)


def test_another_input_size_is_reached_by_resizing_once(make_images: Callable[..., Images]) -> None:
    images = make_images([3, 3], image_size=8)
    batches = _batches(images, input_size=6, crop_padding=1)
    inputs = torch.cat([inputs for inputs, _ in batches.evaluation()])
    assert torch.equal(_bytes(inputs), images.resized(6).pixels.to(torch.int64))
    assert next(batches.epoch(0))[0].shape == (4, 3, 6, 6)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"input_size": 0}, "input_size must be at least 1, got 0"),
        ({"crop_padding": -1}, "crop_padding must be 0 or more, got -1"),
        ({"least_crop_area": 0.0}, "least_crop_area must be above 0 and at most 1, got 0.0"),
        ({"least_crop_area": 0.5, "crop_padding": 2}, "needs no border, got crop_padding 2"),
        ({"colour_jitter": 1.0}, "colour_jitter must be 0 or more and below 1, got 1.0"),
        ({"std": (1.0, 0.0, 1.0)}, "std must be three numbers above 0"),
        ({"mean": (120.0, 120.0, 120.0)}, "mean must be three numbers from 0 to 1"),
    ],
)
def test_options_out_of_range_are_refused(make_images: Callable[..., Images], changes: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        _batches(make_images([2, 2]), **changes)


def test_an_evaluation_batch_below_one_is_refused(make_images: Callable[..., Images]) -> None:
    with pytest.raises(ConfigError, match="batch_size must be at least 1, got 0"):
        next(_batches(make_images([2, 2])).evaluation(0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("augmented", [{"crop_padding": 2}, {"least_crop_area": 0.25, "colour_jitter": 0.4}])
def test_a_gpu_gets_the_same_batches(make_images: Callable[..., Images], augmented: dict[str, float]) -> None:
    images = make_images([20, 13], image_size=8)
    options = {"flip": True, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "input_size": 6, **augmented}
    on_cpu = _batches(images, **options).epoch(1)
    on_gpu = _batches(images, **(options | {"device": "cuda"})).epoch(1)
    for (inputs, labels), (gpu_inputs, gpu_labels) in zip(on_cpu, on_gpu, strict=True):
        assert gpu_inputs.is_contiguous(memory_format=torch.channels_last)
        assert torch.allclose(inputs, gpu_inputs.cpu(), atol=1e-5) and torch.equal(labels, gpu_labels.cpu())


_PHOTOS = {"crop_padding": 0, "least_crop_area": 0.25, "colour_jitter": 0.4}


@pytest.mark.parametrize("augmented", [{}, {"cutout": 3}, _PHOTOS])
@pytest.mark.parametrize("input_size", [8, 6])
def test_batches_of_a_set_that_does_not_fit_are_those_of_one_that_does(
    make_images: Callable[..., Images], monkeypatch: pytest.MonkeyPatch, augmented: dict[str, float], input_size: int
) -> None:
    images = make_images([7, 8, 8], image_size=8)
    options = {"input_size": input_size, "flip": True, "crop_padding": 2, "batch_size": 5, **augmented}
    resident = _batches(images, **options)
    monkeypatch.setattr("archsearch.data.batches._RESIDENT_BYTES", 0)
    streamed = _batches(images, **options)
    assert resident.resident and not streamed.resident
    for epoch, first in ((0, 0), (1, 2)):
        pairs = list(zip(resident.epoch(epoch, first_step=first), streamed.epoch(epoch, first_step=first), strict=True))
        assert len(pairs) == 4 - first
        assert all(torch.equal(one, other) for pair in pairs for one, other in zip(*pair, strict=True))
    for (inputs, labels), (others, their) in zip(resident.evaluation(10), streamed.evaluation(10), strict=True):
        assert torch.equal(inputs, others) and torch.equal(labels, their)
    with pytest.raises(ValueError, match="cannot be planned"):
        streamed.rendered(next(resident.plans(0))[0])


def test_an_epoch_that_is_left_early_leaves_no_thread(
    make_images: Callable[..., Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.data.batches._RESIDENT_BYTES", 0)
    stream = _batches(make_images([9, 9])).epoch(0)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
