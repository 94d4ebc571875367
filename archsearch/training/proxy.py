"""The short training that ranks one architecture during a search."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from contextlib import nullcontext

from torch import nn

from archsearch.data.images import Images, channel_statistics
from archsearch.errors import TrainingError
from archsearch.records import Epoch, Score
from archsearch.training.checkpoint import Identity, checkpoint_bytes, differences, read_checkpoint
from archsearch.training.loop import Chunk
from archsearch.training.protocols import proxy_protocol
from archsearch.training.settings import ProxySettings, former_precision
from archsearch.training.trainer import Trainer, balanced_weights, usual_step

log = logging.getLogger(__name__)

OnEpoch = Callable[[Epoch, Callable[[], bytes]], bool]
"""Called with a point of the learning curve and `state`; whether the training goes on.

`state()` gives the training as it stands after this epoch, as bytes with a digest, to be handed to `train_proxy` as
`start`. It enters a chunk of its own, and is to be called before `on_epoch` returns. `point.epoch` says which epoch it
was: a training that began anew, since its `start` could not be used, comes with epoch 1 again.
"""


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
    on_epoch: OnEpoch | None = None,
    start: bytes | None = None,
    curve: tuple[Epoch, ...] = (),
) -> Score:
    """Train `model` in place on a short complete schedule and score it on the validation images.

    The training may end after any epoch, and go on from there another time, elsewhere: on a CPU it then is bit for bit
    the training that was never interrupted.

    Args:
        model: the network with its initial weights, drawn by the caller.
        train, validation: both parts of the training split; the test split is never seen here.
        settings: the recipe; `train_images`, `validation_images` and `input_size` are the caller's to apply. The
            precision `auto` is `usual_precision`: who wants the faster one calibrates before.
        seed: of the data order and the augmentation.
        num_classes: outputs of the network; every label must be below it.
        input_size: height and width that the network sees (pixels).
        flip: the dataset's own answer; used where `settings.flip` is None.
        chunk: entered around the preparation, at the start of each epoch, around every `settings.chunk_steps` steps
            and around each batch of an evaluation (the device lease).
        on_epoch: called after each epoch, see `OnEpoch`; whatever it raises ends the training and passes through.
        start: the state that an earlier call gave to its `on_epoch`. One that is damaged, or of another training, or
            of more epochs than `curve` has, is not used, with a warning: the training then begins at its first epoch.
        curve: the epochs done before, the first one first; those after `start` was made are trained again.

    Returns:
        The score after the last epoch trained, with split "validation" and protocol "proxy". Its curve holds the
        epochs before `start`, too; it is shorter than `settings.epochs` if `on_epoch` ended the training.
        `images_per_second` counts the images trained on, per second of training alone.

    Raises:
        DivergedError: the loss, or an output in an evaluation, became NaN or infinite.
        TrainingError: a label is not below `num_classes`, or the device ran out of memory even with the smallest parts
            of a step (see `fit`).
    """
    check_labels(train, num_classes)
    check_labels(validation, num_classes)
    with chunk():  # copying the images to the device disturbs a measurement as training does
        mean, std = channel_statistics(train)
        trainer = Trainer(
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
            make_step=usual_step(device),
            precision=None if settings.precision == "auto" else settings.precision,
            class_weights=balanced_weights(train.labels, num_classes) if settings.class_weights == "balanced" else None,
        )
        identity = _identity(trainer, settings, num_classes=num_classes, input_size=input_size, flip=flip)
        done = curve[: _resume(trainer, identity, start, epochs_known=len(curve))]

    def after_epoch(point: Epoch) -> bool:
        def state() -> bytes:
            with chunk():
                return checkpoint_bytes(trainer.checkpoint(identity, (), epoch=point.epoch))

        return on_epoch is None or on_epoch(point, state)

    trained = trainer.run(start_epoch=len(done), on_epoch=after_epoch, chunk=chunk, chunk_steps=settings.chunk_steps)
    return trainer.score(done + trained, split="validation", chunk=chunk)


def _identity(
    trainer: Trainer, settings: ProxySettings, *, num_classes: int, input_size: int, flip: bool
) -> dict[str, str | int | float | bool | None]:
    """What decides the result of this training, as far as it is known here; the images count, not what they show."""
    shapes = {name: list(value.shape) for name, value in trainer.model.state_dict().items()}
    # said only where it is not what trainings of before had, so that theirs go on
    precision = {} if trainer.precision == former_precision(str(trainer.device)) else {"precision": trainer.precision}
    weighted = {} if settings.class_weights == "none" else {"class_weights": settings.class_weights}
    return {
        **proxy_protocol(settings).identity(),
        **weighted,
        **precision,
        "network": hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:12],
        "seed": trainer.seed,
        "num_classes": num_classes,
        "input_size": input_size,
        "dataset_flip": flip,
        "train_images": trainer.train_images,
        "eval_images": trainer.eval_images,
    }


def _resume(trainer: Trainer, identity: Identity, start: bytes | None, *, epochs_known: int) -> int:
    """Take over the state if it can be used; gives how many epochs are done then."""
    if start is None:
        return 0
    checkpoint = read_checkpoint(start, device=trainer.device)
    if checkpoint is None:
        log.warning("the stored state of a training is damaged: it begins anew")
        return 0
    if unlike := differences(checkpoint.identity, identity):
        log.warning("the stored state belongs to another training (%s): this one begins anew", unlike)
        return 0
    if checkpoint.epoch > epochs_known:
        log.warning(
            "the stored state has %d epochs, its curve %d: the training begins anew", checkpoint.epoch, epochs_known
        )
        return 0
    trainer.restore(checkpoint)
    log.info("a training goes on after epoch %d of %d", checkpoint.epoch, trainer.epochs)
    return checkpoint.epoch


def check_labels(images: Images, num_classes: int) -> None:
    """Raise TrainingError unless every label is one of the network's outputs."""
    lowest, highest = int(images.labels.min()), int(images.labels.max())
    if lowest < 0 or highest >= num_classes:
        raise TrainingError(f"labels run from {lowest} to {highest}, but the network has {num_classes} outputs")
