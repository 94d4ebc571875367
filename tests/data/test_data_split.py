from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch

from archsearch.data.images import Images
from archsearch.data.split import held_out_positions, stratified_positions, stratified_split
from archsearch.errors import ConfigError

_CLASS_SIZES = [[10, 10, 10], [50, 3, 1], [1, 1, 1, 1, 1], [97, 31, 31, 7, 7, 7, 2, 1], [13]]


def _numbered(labels: list[int]) -> Images:
    """Images whose first three bytes are their number, so that a copy can be traced."""
    numbers = torch.arange(len(labels))
    pixels = torch.stack([numbers // 256, numbers % 256, numbers % 7], dim=1).to(torch.uint8)
    return Images(pixels.view(-1, 3, 1, 1), torch.tensor(labels))


def _numbers(images: Images) -> list[int]:
    high_low = images.pixels[:, :2, 0, 0].to(torch.int64)
    return (high_low[:, 0] * 256 + high_low[:, 1]).tolist()


def _labels(sizes: list[int]) -> list[int]:
    return [label for label, size in enumerate(sizes) for _ in range(size)]


@pytest.mark.parametrize("sizes", _CLASS_SIZES, ids=str)
def test_every_size_of_validation_set_is_within_one_image_of_proportional(sizes: list[int]) -> None:
    labels = _labels(sizes)
    for count in range(1, len(labels)):
        _, validation = stratified_split(_numbered(labels), validation_images=count, seed=3)
        got = Counter(validation.labels.tolist())
        for label, size in enumerate(sizes):
            assert abs(got[label] - Fraction(count * size, len(labels))) < 1


@pytest.mark.parametrize("sizes", _CLASS_SIZES, ids=str)
def test_every_training_subset_is_within_one_image_of_its_share_of_the_rest(sizes: list[int]) -> None:
    labels = _labels(sizes)
    validation_images = len(labels) // 5 + 1
    rest = len(labels) - validation_images
    everything, validation = stratified_split(_numbered(labels), validation_images=validation_images, seed=3)
    left = Counter(everything.labels.tolist())
    for count in range(1, rest + 1):
        train, again = stratified_split(
            _numbered(labels), validation_images=validation_images, train_images=count, seed=3
        )
        got = Counter(train.labels.tolist())
        for label in range(len(sizes)):
            assert abs(got[label] - Fraction(count * left[label], rest)) < 1
        # a smaller subset begins a larger one, and the validation set stays
        assert _numbers(train) == _numbers(everything)[:count]
        assert _numbers(again) == _numbers(validation)


def test_the_two_parts_share_no_image_and_lose_none() -> None:
    train, validation = stratified_split(_numbered(_labels([30, 20, 50])), validation_images=37, seed=0)
    assert sorted(_numbers(train) + _numbers(validation)) == list(range(100))


def test_labels_stay_with_their_images() -> None:
    labels = _labels([30, 20, 50])
    for part in stratified_split(_numbered(labels), validation_images=37, seed=0):
        assert part.labels.tolist() == [labels[number] for number in _numbers(part)]


def test_the_seed_decides_which_images() -> None:
    images = _numbered(_labels([30, 20, 50]))
    first, again, other = (_numbers(stratified_split(images, validation_images=20, seed=seed)[1]) for seed in (1, 1, 2))
    assert first == again
    assert set(first) != set(other)


def test_the_seed_decides_which_classes_a_tiny_set_has() -> None:
    images = _numbered(_labels([10] * 10))
    first_classes = {stratified_split(images, validation_images=1, seed=seed)[1].labels.item() for seed in range(30)}
    assert len(first_classes) > 3


def test_fresh_validation_images_are_none_of_the_others_and_as_proportional() -> None:
    images = _numbered(_labels([30, 20, 50]))
    usual = stratified_split(images, validation_images=40, train_images=30, seed=0)
    train, fresh = stratified_split(images, validation_images=40, train_images=30, seed=0, fresh=True)
    assert not set(_numbers(fresh)) & set(_numbers(usual[1]))
    assert not set(_numbers(fresh)) & set(_numbers(train))
    assert (len(train), len(fresh)) == (30, 40)
    shares = torch.bincount(fresh.labels, minlength=3) - torch.tensor([0.3, 0.2, 0.5]) * 40
    assert shares.abs().max() < 2
    with pytest.raises(ConfigError, match="51 other validation images: there are only 100"):
        stratified_split(images, validation_images=51, seed=0, fresh=True)


@pytest.mark.parametrize(("sizes", "count"), [([98, 2], 10), ([90, 5, 5], 20), ([10] * 10, 50), ([50, 3, 2], 4)])
def test_fresh_validation_images_are_as_many_and_none_of_the_others_where_every_class_has_some(
    sizes: list[int], count: int
) -> None:
    labels = torch.tensor(_labels(sizes))
    for seed in range(5):
        (_, usual), (train, fresh) = (
            stratified_positions(labels, validation_images=count, seed=seed, every_class=True, fresh=other)
            for other in (False, True)
        )
        assert len(fresh) == len(usual) == count and not set(fresh) & set(usual)
        assert sorted(train + fresh) == list(range(len(labels)))
        for part in (train, fresh):
            assert set(labels[torch.tensor(part)].tolist()) == set(range(len(sizes)))


def test_splitting_leaves_the_global_random_state_alone(make_images: Callable[..., Images]) -> None:
    before = torch.get_rng_state()
    stratified_split(make_images([5, 5]), validation_images=2, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("validation_images", "train_images", "says"),
    [
        (0, None, "validation_images must be at least 1, got 0"),
        (2, 0, "train_images must be at least 1, got 0"),
        (10, None, "validation_images 10 and at least one training image are 11 images, but there are only 10"),
        (5, 6, "validation_images 5 and train_images 6 are 11 images, but there are only 10"),
    ],
)
def test_too_few_images_are_said_in_numbers(
    make_images: Callable[..., Images], validation_images: int, train_images: int | None, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        stratified_split(make_images([5, 5]), validation_images=validation_images, train_images=train_images, seed=0)


def test_the_classes_of_a_skewed_set_all_stay() -> None:
    # 1900 / 95 / 4 / 2: shares of 500 are 475 / 23.7 / 1 / 0.5, of 100 are 95 / 4.7 / 0.2 / 0.1
    labels = torch.repeat_interleave(torch.arange(4), torch.tensor([1900, 95, 4, 2]))
    train, validation = stratified_positions(labels, validation_images=500, train_images=100, seed=0, every_class=True)
    counts = [torch.bincount(labels[torch.tensor(part)], minlength=4).tolist() for part in (train, validation)]
    assert [sum(each) for each in counts] == [100, 500] and all(min(each) >= 1 for each in counts)
    assert max(abs(a - b) for a, b in zip(counts[1], (475, 24, 1, 1), strict=True)) <= 1
    assert not set(train) & set(validation)


@pytest.mark.parametrize("sizes", [[10, 10, 10], [50, 3, 2], [2, 2, 2, 2], [97, 31, 31, 7, 7, 7, 2, 3]])
def test_every_class_is_in_both_parts_whatever_is_asked_for(sizes: list[int]) -> None:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    for validation_images in range(len(sizes), sum(sizes) - len(sizes) + 1):
        train, validation = stratified_positions(
            labels, validation_images=validation_images, seed=validation_images, every_class=True
        )
        assert sorted(train + validation) == list(range(len(labels))) and len(validation) == validation_images
        for part in (train, validation):
            assert len(set(labels[torch.tensor(part)].tolist())) == len(sizes)


def test_a_split_in_which_every_class_has_its_share_anyway_is_the_same_as_ever() -> None:
    labels = torch.arange(60) % 3
    plain = stratified_positions(labels, validation_images=20, train_images=30, seed=4)
    assert stratified_positions(labels, validation_images=20, train_images=30, seed=4, every_class=True) == plain


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.06, 2), (0.95, 28), (0.999, 30)])
def test_a_test_share_that_leaves_a_class_out_is_refused_by_its_name(share: float, count: int) -> None:
    with pytest.raises(
        ConfigError, match=rf"test_share {share} holds out {count} of 30 images; of 3 classes"
    ) as caught:
        held_out_positions(torch.arange(30) % 3, share, classes=("a", "b", "c"), name="any")
    assert caught.value.hint == "a share from 0.1 to 0.5"
    for fits, images in ((0.1, 3), (0.5, 15), (0.9, 27)):
        found = held_out_positions(torch.arange(30) % 3, fits, classes=("a", "b", "c"), name="any")
        assert len(found[1]) == images


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"validation_images": 2}, "validation_images 2 is fewer than the 3 classes"),
        ({"validation_images": 3, "train_images": 2}, "train_images 2 is fewer than the 3 classes"),
        ({"validation_images": 28}, "validation_images 28 leaves 2 images to train on, fewer than the 3 classes"),
    ],
)
def test_fewer_images_than_classes_are_refused(asked: dict[str, int], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        stratified_positions(torch.arange(30) % 3, seed=0, every_class=True, **asked)
