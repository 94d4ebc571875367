from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as reference

from archsearch.data.batches import (
    DeviceBatches,
    cut_out,
    draw_colours,
    draw_crops,
    draw_cutouts,
    jitter_colours,
    resized_crops,
)
from archsearch.data.images import Images


@pytest.mark.parametrize(
    ("side", "row", "column", "rows", "columns"),
    [
        (2, 3, 4, (2, 3), (3, 4)),  # an even square begins side / 2 before its centre
        (3, 3, 4, (2, 3, 4), (3, 4, 5)),
        (4, 0, 7, (0, 1), (5, 6, 7)),  # cut by the border: -2..1 and 5..8
        (1, 0, 0, (0,), (0,)),
        (99, 4, 4, tuple(range(8)), tuple(range(8))),
    ],
)
def test_the_square_covers_what_arithmetic_says(
    side: int, row: int, column: int, rows: tuple[int, ...], columns: tuple[int, ...]
) -> None:
    inputs = torch.ones(2, 3, 8, 8)
    cut_out(inputs, torch.tensor([[row, 4], [column, 4]]), side=side)
    for channel in range(3):
        blank = {tuple(each) for each in (inputs[0, channel] == 0).nonzero().tolist()}
        assert blank == {(r, c) for r in rows for c in columns}


def test_centres_lie_anywhere_in_the_image() -> None:
    centres = draw_cutouts(4000, input_size=8, generator=torch.Generator().manual_seed(0))
    assert centres.shape == (2, 4000)
    # 4000 draws of 8 places: 500 each, standard deviation 21
    assert all(400 < int(count) < 600 for axis in centres for count in axis.bincount(minlength=8))


def batches(**options: object) -> DeviceBatches:
    pixels = torch.randint(0, 256, (20, 3, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    images = Images(pixels, torch.arange(20))
    given = {"flip": True, "crop_padding": 1, "seed": 5, **options}
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    return DeviceBatches(images, device="cpu", input_size=8, batch_size=6, mean=mean, std=std, **given)  # type: ignore[arg-type]


def test_cutout_leaves_order_crops_and_mirror_images_as_they_are() -> None:
    for (plain, labels), (cut, same) in zip(batches().epoch(3), batches(cutout=4).epoch(3), strict=True):
        assert torch.equal(labels, same)
        blank = (cut == 0).all(1, keepdim=True).expand_as(cut)
        assert 0 < int(blank.sum()) < blank.numel()
        assert torch.equal(cut[~blank], plain[~blank])


def test_an_epoch_begun_at_a_later_step_goes_on_with_the_same_batches() -> None:
    photos = {"crop_padding": 0, "least_crop_area": 0.25, "colour_jitter": 0.4}
    for options in ({}, {"cutout": 4}, {"alternate_flip": True}, photos):
        whole = list(batches(**options).epoch(2))
        rest = list(batches(**options).epoch(2, first_step=2))
        assert len(whole) == 3
        assert len(rest) == 1
        assert all(torch.equal(one, other) for one, other in zip(whole[2], rest[0], strict=True))


def test_alternating_mirror_images_show_each_image_once_each_way_in_two_epochs() -> None:
    ((inputs, labels),) = batches(flip=False, crop_padding=0).evaluation(20)
    unmirrored = dict(zip(labels.tolist(), inputs, strict=True))
    alternating = batches(alternate_flip=True, crop_padding=0)

    def mirrored(epoch: int) -> dict[int, bool]:
        found = {}
        for inputs, labels in alternating.epoch(epoch):
            for image, label in zip(inputs, labels, strict=True):
                is_mirrored = torch.equal(image, unmirrored[int(label)].flip(2))
                assert is_mirrored or torch.equal(image, unmirrored[int(label)])
                found[int(label)] = is_mirrored
        return found

    even, odd, next_even = mirrored(0), mirrored(1), mirrored(2)
    assert all(even[label] != odd[label] for label in even.keys() & odd.keys())
    assert all(even[label] == next_even[label] for label in even.keys() & next_even.keys())
    assert 2 < sum(even.values()) < 16  # 18 images, half of them by chance


SIZE = 24


def pictures(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(2)).to(torch.uint8)


def test_resized_crops_are_torchvisions_of_the_same_boxes() -> None:
    images = pictures(40)
    boxes = draw_crops(40, input_size=SIZE, least_area=0.08, generator=torch.Generator().manual_seed(3))
    boxes[:, :2] = torch.tensor([[0, 0, SIZE, SIZE], [SIZE - 1, 5, 1, 1]]).T  # the whole image; one pixel
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3)
    rows = pixels.reshape(-1).unfold(0, 3 * SIZE, 3)
    found = resized_crops(rows, torch.arange(40) * SIZE**2, boxes, size=SIZE)
    for image, crop, box in zip(images, found, boxes.T.tolist(), strict=True):
        expected = reference.resized_crop(image.float(), *box, size=[SIZE, SIZE])
        assert torch.allclose(crop.permute(2, 0, 1), expected, atol=1e-3)
    assert torch.equal(found[0], images[0].permute(1, 2, 0).float())


def test_boxes_are_distributed_as_torchvisions() -> None:
    generator = torch.Generator().manual_seed(4)
    drawn = draw_crops(4000, input_size=64, least_area=0.25, generator=generator).double()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        image = torch.empty(3, 64, 64)
        theirs = [RandomResizedCrop.get_params(image, [0.25, 1.0], [3 / 4, 4 / 3]) for _ in range(1000)]
    for one, other in zip(drawn, torch.tensor(theirs).double().T, strict=True):
        deviation = math.sqrt(one.var() / 4000 + other.var() / 1000)
        assert abs(one.mean() - other.mean()) < 4 * deviation
        assert one.std() == pytest.approx(float(other.std()), rel=0.15)
    top, left, height, width = drawn
    assert (height * width).min() >= 0.25 * 64**2 - 64  # sides are rounded by half a pixel
    assert min(top.min(), left.min()) == 0
    assert (top + height).max() == (left + width).max() == 64


def test_colours_change_as_torchvision_changes_them_by_the_same_factors() -> None:
    images = pictures(20)
    drawn = draw_colours(20, torch.Generator().manual_seed(6))
    drawn[:, 0], drawn[:, 1], drawn[:, 2] = 0, 1000, -1000
    found = jitter_colours(images.permute(0, 2, 3, 1).float(), drawn, strength=0.4)
    for image, changed, (brightness, contrast, saturation) in zip(images, found, 1 + 0.4e-3 * drawn.T, strict=True):
        expected = reference.adjust_brightness(image.float() / 255, float(brightness))
        expected = reference.adjust_contrast(expected, float(contrast))
        expected = reference.adjust_saturation(expected, float(saturation))
        assert torch.allclose(changed.permute(2, 0, 1) / 255, expected, atol=1e-5)
    assert torch.allclose(found[0], images[0].permute(1, 2, 0).float(), atol=1e-3)
