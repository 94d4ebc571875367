from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from archsearch.data import images as images_module
from archsearch.data.images import Images, channel_statistics, chunks, fingerprint_of
from archsearch.errors import DataError


def test_statistics_are_those_of_numpy(make_images: Callable[..., Images]) -> None:
    images = make_images([7, 5], image_size=5)
    values = images.pixels.numpy().astype(np.float64) / 255
    mean, std = channel_statistics(images)
    assert mean == pytest.approx(values.mean(axis=(0, 2, 3)), rel=1e-12)
    assert std == pytest.approx(values.std(axis=(0, 2, 3)), rel=1e-12)


def test_statistics_by_hand() -> None:
    # red 0 and 255: mean 0.5, deviation 0.5; green 51 and 102: 0.2 and 0.4, mean 0.3, deviation 0.1; blue constant
    pixels = torch.tensor([[0, 51, 9], [255, 102, 9]], dtype=torch.uint8).view(2, 3, 1, 1)
    mean, std = channel_statistics(Images(pixels, torch.tensor([0, 1])))
    assert mean == pytest.approx((0.5, 0.3, 9 / 255))
    assert std == pytest.approx((0.5, 0.1, 1 / 255))  # a constant channel counts as one grey level


def test_statistics_and_sizes_do_not_depend_on_the_chunks(
    make_images: Callable[..., Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_images([6, 5], image_size=4)
    whole, enlarged = channel_statistics(images), images.resized(6)
    monkeypatch.setattr(images_module, "_CHUNK_BYTES", 4 * 3 * 6 * 6)
    assert [part.stop - part.start for part in chunks(images, largest_size=6)] == [4, 4, 3]
    assert channel_statistics(images) == whole
    assert torch.equal(images.resized(6).pixels, enlarged.pixels)


@pytest.mark.parametrize("size", [8, 12, 24, 32])
def test_resizing_is_that_of_pillow(make_images: Callable[..., Images], size: int) -> None:
    images = make_images([2, 1], image_size=16)
    resized = images.resized(size)
    for before, after in zip(images.pixels, resized.pixels, strict=True):
        picture = Image.fromarray(before.permute(1, 2, 0).numpy())
        expected = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(after.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 1  # rounding
    assert torch.equal(resized.labels, images.labels)


def test_a_fingerprint_is_of_the_content_and_not_of_its_layout(make_images: Callable[..., Images]) -> None:
    images = make_images([3, 3])
    other_layout = Images(images.pixels.contiguous(memory_format=torch.channels_last), images.labels.clone())
    assert fingerprint_of(other_layout) == fingerprint_of(images)
    assert fingerprint_of(images.subset([1, 0, 2, 3, 4, 5])) != fingerprint_of(images)


def test_a_subset_is_a_copy_in_the_asked_order(make_images: Callable[..., Images]) -> None:
    images = make_images([3, 3])
    subset = images.subset(torch.tensor([4, 1]))
    assert torch.equal(subset.pixels, torch.stack([images.pixels[4], images.pixels[1]]))
    assert subset.labels.tolist() == [images.labels[4].item(), images.labels[1].item()]


_GOOD = torch.zeros((2, 3, 4, 4), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("pixels", "labels", "says"),
    [
        (_GOOD.float(), torch.zeros(2, dtype=torch.int64), "images must be uint8"),
        (_GOOD[:, :1], torch.zeros(2, dtype=torch.int64), r"got torch.uint8 of shape \(2, 1, 4, 4\)"),
        (_GOOD[..., :3], torch.zeros(2, dtype=torch.int64), r"shape \(2, 3, 4, 3\)"),
        (_GOOD, torch.zeros(2), "labels must be int64"),
        (_GOOD, torch.zeros(3, dtype=torch.int64), "2 images but 3 labels"),
        (_GOOD[:0], torch.zeros(0, dtype=torch.int64), "there are no images"),
    ],
)
def test_images_of_a_wrong_shape_or_type_are_refused(pixels: torch.Tensor, labels: torch.Tensor, says: str) -> None:
    with pytest.raises(DataError, match=says):
        Images(pixels, labels)
