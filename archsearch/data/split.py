"""A fixed, stratified division of the training images into those trained on and those that score a candidate."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from archsearch.data.images import Images
from archsearch.errors import ConfigError, DataError

TEST_SEED = 0  # of the images that `ImageRules.test_share` holds out: that split is part of the dataset


def stratified_split(
    images: Images, *, validation_images: int, train_images: int | None = None, seed: int, fresh: bool = False
) -> tuple[Images, Images]:
    """The images of `stratified_positions`: (train, validation)."""
    train, validation = stratified_positions(
        images.labels, validation_images=validation_images, train_images=train_images, seed=seed, fresh=fresh
    )
    return images.subset(train), images.subset(validation)


def stratified_positions(
    labels: Tensor,
    *,
    validation_images: int,
    train_images: int | None = None,
    seed: int,
    every_class: bool = False,
    fresh: bool = False,
) -> tuple[list[int], list[int]]:
    """Split off a validation set, and take a training subset from the rest.

    Both have every class within one image of its proportional share: the validation set of its share of the images, the
    training subset of its share of what the validation set leaves. The validation set does not depend on
    `train_images`; a smaller training subset is the beginning of a larger one.

    Args:
        labels: class number of each image.
        validation_images: how many to validate on.
        train_images: how many to train on; None takes all that the validation set leaves.
        seed: which images are chosen; the same seed always gives the same split.
        every_class: whether both keep an image of every class, which then is taken from the largest; a class has a
            share smaller than one image otherwise, and may be missing.
        fresh: other validation images: none of those that the same call without it gives, which are trained on instead.

    Returns: positions of (train, validation), which have no image in common.

    Raises ConfigError if a count is below one, or the two ask for more images than there are, fresh ones beside the
    others, or, with `every_class`, for fewer than there are classes. A class of one image cannot be in both.
    """
    total = len(labels)
    if validation_images < 1:
        raise ConfigError(f"validation_images must be at least 1, got {validation_images}")
    if train_images is not None and train_images < 1:
        raise ConfigError(f"train_images must be at least 1, got {train_images}")
    wanted = validation_images + (train_images or 1)
    if wanted > total:
        asked = f"train_images {train_images}" if train_images is not None else "at least one training image"
        raise ConfigError(
            f"validation_images {validation_images} and {asked} are {wanted} images, but there are only {total}",
            hint="ask for fewer",
        )
    classes = len(set(labels.tolist())) if every_class else 0
    if total - validation_images < classes:
        raise ConfigError(
            f"validation_images {validation_images} leaves {total - validation_images} images to train on, fewer than "
            f"the {classes} classes",
            hint="ask for fewer",
        )
    if fresh and 2 * validation_images > total:
        raise ConfigError(
            f"{validation_images} other validation images: there are only {total} images, {validation_images} of them "
            "validated on already",
            hint="validate on the search's own images",
        )
    by_image, shuffled, priority = _drawn(labels, seed)
    order = _proportional_order(shuffled, by_image, priority)
    chosen: set[int] = set()
    for leave in (True, False) if fresh else (True,):  # fresh ones are a second choice, which leaves the first behind
        order = [index for index in order if index not in chosen]
        validation = order[:validation_images]
        if every_class:
            validation = _of_every_class(order, by_image, validation_images, what="validation_images", leave=leave)
        chosen = set(validation)
    rest = _proportional_order([index for index in shuffled if index not in chosen], by_image, priority)
    train = rest[:train_images]
    if every_class:
        train = _of_every_class(rest, by_image, len(train), what="train_images")
    return train, validation


def check_class_sizes(labels: Tensor, classes: Sequence[str], reason: str, *, name: str) -> None:
    """Raise DataError that names every class of dataset `name` with fewer than two images; `reason` says why two."""
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    small = [f"'{each}' has {count}" for each, count in zip(classes, counts, strict=True) if count < 2]
    if small:
        raise DataError(
            f"dataset '{name}': a class needs 2 images, {reason}: {', '.join(small[:10])}"
            + (f" and {len(small) - 10} more classes" if len(small) > 10 else ""),
            hint="add images of it, or leave the class out",
        )


def held_out_positions(
    labels: Tensor, share: float, *, classes: Sequence[str], name: str
) -> tuple[list[int], list[int]]:
    """Positions of the images that are kept, in order, and of those that are held out for testing.

    Both have an image of every class. Raises DataError for a class of one image, ConfigError if either are to be fewer
    than the classes.
    """
    check_class_sizes(labels, classes, "one to train on and one to test on", name=name)
    total, least = len(labels), len(classes)
    count = max(1, round(share * total))
    if not least <= count <= total - least:
        raise ConfigError(
            f"test_share {share:g} holds out {count:,} of {total:,} images; of {least} classes each needs an image "
            "to test on and one to train on",
            hint=f"a share from {math.ceil(1000 * least / total) / 1000:g} to 0.5",
        )
    kept, held_out = stratified_positions(labels, validation_images=count, seed=TEST_SEED, every_class=True)
    return sorted(kept), sorted(held_out)


def stratified_subset(labels: Tensor, images: int | None, *, seed: int, what: str = "images") -> list[int]:
    """Positions of so many images, every class in its share and with one image at least; None: all, in order.

    `what` names the number in the ConfigError that says that it is below the number of classes.
    """
    if images is None or images >= len(labels):
        return list(range(len(labels)))
    by_image, shuffled, priority = _drawn(labels, seed)
    return _of_every_class(_proportional_order(shuffled, by_image, priority), by_image, images, what=what)


def _drawn(labels: Tensor, seed: int) -> tuple[list[int], list[int], list[int]]:
    """The labels as a list, the images in random order, and a random order of the classes."""
    labels = labels.cpu()
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(labels), generator=generator).tolist()
    # which class comes first where two are equally due; drawn, so that a tiny set does not always favour class 0
    priority = torch.randperm(int(labels.max()) + 1, generator=generator).tolist()
    return labels.tolist(), shuffled, priority


def _of_every_class(order: list[int], labels: list[int], count: int, *, what: str, leave: bool = False) -> list[int]:
    """The first images of a proportional order, with at least one of every class.

    What a class is given beyond its share is taken from those that have the most. `leave`: one image of every class
    that has two stays behind.
    """
    sizes, taken = Counter(labels[index] for index in order), Counter(labels[index] for index in order[:count])
    if count < len(sizes):
        raise ConfigError(
            f"{what} {count} is fewer than the {len(sizes)} classes, of which each needs an image",
            hint=f"ask for {len(sizes)} or more",
        )
    for label in sorted(sizes):
        if not taken[label]:
            taken[max(taken, key=lambda other: (taken[other], -other))] -= 1
            taken[label] = 1
    for label in sorted(sizes):
        if leave and taken[label] == sizes[label] > 1:
            taken[max(sizes, key=lambda other: (sizes[other] - taken[other], -other))] += 1
            taken[label] -= 1
    found = []
    for index in order:
        if taken[labels[index]]:
            found.append(index)
            taken[labels[index]] -= 1
    return found


def _proportional_order(indices: list[int], labels: list[int], priority: list[int]) -> list[int]:
    """Order images so that every beginning of the list has each class within one image of its share.

    Within a class the given order is kept. With N images, n of them of one class, the class's j-th image (from 0) has
    to stand at one of the places floor(j N / n) to ceil((j + 1) N / n) - 1 (from 0) for that. Taking, place by place,
    the class whose next image has the earliest last place among those that may come finds such an order, which always
    exists (Steiner and Yeomans 1993, "Level schedules for mixed-model, just-in-time processes", Management Science 39).
    """
    queues: dict[int, list[int]] = {}
    for index in indices:
        queues.setdefault(labels[index], []).append(index)
    total = len(indices)
    waiting: list[tuple[int, int, int]] = []  # (first place, priority, class): not yet allowed
    due: list[tuple[int, int, int]] = []  # (last place, priority, class): allowed
    for label in queues:
        heapq.heappush(waiting, (0, priority[label], label))
    taken = dict.fromkeys(queues, 0)
    ordered: list[int] = []
    for place in range(total):
        while waiting and waiting[0][0] <= place:
            _, rank, label = heapq.heappop(waiting)
            last_place = -(-(taken[label] + 1) * total // len(queues[label])) - 1
            heapq.heappush(due, (last_place, rank, label))
        _, rank, label = heapq.heappop(due)
        ordered.append(queues[label][taken[label]])
        taken[label] += 1
        if taken[label] < len(queues[label]):
            heapq.heappush(waiting, (taken[label] * total // len(queues[label]), rank, label))
    return ordered
