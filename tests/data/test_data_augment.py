from __future__ import annotations

import pytest
import torch

from archsearch.data.augment import cut_out, draw_cutouts
from archsearch.data.batches import DeviceBatches
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
    for options in ({}, {"cutout": 4}, {"alternate_flip": True}):
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
