"""A fixed, stratified division of the training images into those trained on and those that score a candidate."""

from __future__ import annotations

import heapq

import torch

from archsearch.data.images import Images
from archsearch.errors import ConfigError


def stratified_split(
    images: Images, *, validation_images: int, train_images: int | None = None, seed: int, fresh: bool = False
) -> tuple[Images, Images]:
    """Split off a validation set, and take a training subset from the rest.

    Both have every class within one image of its proportional share: the validation set of its share of `images`, the
    training subset of its share of what the validation set leaves. The validation set does not depend on
    `train_images`; a smaller training subset is the beginning of a larger one.

    Args:
        images: the images to split.
        validation_images: how many to validate on.
        train_images: how many to train on; None takes all that the validation set leaves.
        seed: which images are chosen; the same seed always gives the same split.
        fresh: other validation images: none of those that the same call without it gives, which are trained on instead.

    Returns: (train, validation), which have no image in common.

    Raises ConfigError if a count is below one, or the two ask for more images than there are, fresh ones beside the
    others.
    """
    total = len(images)
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
    if fresh and 2 * validation_images > total:
        raise ConfigError(
            f"{validation_images} other validation images: there are only {total} images, {validation_images} of them "
            "validated on already",
            hint="leave out --fresh-images",
        )
    labels = images.labels.cpu()
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(total, generator=generator).tolist()
    # which class comes first where two are equally due; drawn, so that a tiny set does not always favour class 0
    priority = torch.randperm(int(labels.max()) + 1, generator=generator).tolist()
    by_image = labels.tolist()
    order = _proportional_order(shuffled, by_image, priority)
    first = validation_images if fresh else 0
    validation = order[first : first + validation_images]
    chosen = set(validation)
    rest = [index for index in shuffled if index not in chosen]
    train = _proportional_order(rest, by_image, priority)[:train_images]
    return images.subset(train), images.subset(validation)


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
