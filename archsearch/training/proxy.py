"""The short training that ranks one architecture during a search."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from torch import nn

from archsearch.data.images import Images, channel_statistics
from archsearch.errors import TrainingError
from archsearch.records import Epoch, Score
from archsearch.training.course import Course
from archsearch.training.loop import Chunk
from archsearch.training.protocols import proxy_protocol
from archsearch.training.settings import ProxySettings


def train_proxy(
    model: nn.Module,
    train: Images,
    validation: Images,
    settings: ProxySettings,
    *,
    seed: int,
    num_classes: int,
    input_size: int,
    flip: bool,
    device: str,
    chunk: Chunk = nullcontext,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Score:
    """Train `model` in place on a short complete schedule and score it on the validation images.

    Args:
        model: the network with its initial weights, drawn by the caller.
        train, validation: both parts of the training split; the test split is never seen here.
        settings: the recipe; `train_images`, `validation_images` and `input_size` are the caller's to apply.
        seed: of the data order and the augmentation.
        num_classes: outputs of the network; every label must be below it.
        input_size: height and width that the network sees (pixels).
        flip: the dataset's own answer; used where `settings.flip` is None.
        chunk: entered around the preparation, around every `settings.chunk_steps` steps and around each
            batch of an evaluation (the device lease).
        on_epoch: called after each epoch; whatever it raises ends the training and passes through.

    Returns:
        The score after the last epoch, with split "validation" and protocol "proxy". `images_per_second` counts the
        images trained on, per second of training alone.

    Raises:
        DivergedError: the loss, or an output in an evaluation, became NaN or infinite.
        TrainingError: a label is not below `num_classes`, or the device ran out of memory.
    """
    check_labels(train, num_classes)
    check_labels(validation, num_classes)
    with chunk():  # copying the images to the device disturbs a measurement as training does
        mean, std = channel_statistics(train)
        course = Course(
            model,
            train,
            validation,
            proxy_protocol(settings),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            input_size=input_size,
            mean=mean,
            std=std,
            flip=flip,
            seed=seed,
            device=device,
        )
    curve = course.run(on_epoch=on_epoch, chunk=chunk, chunk_steps=settings.chunk_steps)
    return course.score(curve, split="validation")


def check_labels(images: Images, num_classes: int) -> None:
    """Raise TrainingError unless every label is one of the network's outputs."""
    lowest, highest = int(images.labels.min()), int(images.labels.max())
    if lowest < 0 or highest >= num_classes:
        raise TrainingError(f"labels run from {lowest} to {highest}, but the network has {num_classes} outputs")
