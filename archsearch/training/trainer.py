"""One network, its data and a protocol, made ready to train: what proxies and full trainings share."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.data.batches import DeviceBatches
from archsearch.data.images import Images
from archsearch.errors import TrainingError
from archsearch.host import keep_freed_memory
from archsearch.records import Epoch, Score
from archsearch.training.checkpoint import Checkpoint, Identity
from archsearch.training.distributed import ALONE, DistributedStep, World
from archsearch.training.graph import GraphStep
from archsearch.training.loop import EVALUATION_BATCH, Chunk, EpochProgress, Scored, TrainingBatches, fit, scored
from archsearch.training.precision import usual_precision, warn_of_emulation
from archsearch.training.protocols import Protocol
from archsearch.training.schedules import schedule_of
from archsearch.training.settings import Precision
from archsearch.training.step import Averaged, EagerStep, StepMaker, eagerly

Statistics = tuple[float, float, float]
"""One number for each colour channel, of pixels in [0, 1]."""


class Trainer:
    """A network on its device with optimizer and data, trained under one protocol.

    The network is trained in place, channels_last. What is scored and kept is `result`: the network itself, or the
    average of its weights where the protocol has one.

    Args:
        model: the network with its initial weights; takes (N, 3, input_size, input_size).
        train, evaluation: the images to train on, and those to score on after each epoch.
        epochs, batch_size: of this training; the protocol's own are not looked at.
        mean, std: of the training images, per channel.
        flip: the dataset's own answer; used where the protocol has none.
        seed: of data order, augmentation and whatever the network draws.
        make_step: how the training's steps are taken, by a process that trains alone.
        world: the processes that train together; each takes its part of every step's images.
        class_weights: of the images in the loss (`balanced_weights`); None: every image counts the same.
        precision: of the steps; None: bfloat16 autocast on a GPU that has it natively, float32 elsewhere.

    `step` takes a training step, and `fed` are the batches that it takes; `run` calls the one with the others.

    Raises TrainingError if a step would have fewer than two images.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Images,
        evaluation: Images,
        protocol: Protocol,
        *,
        epochs: int,
        batch_size: int,
        input_size: int,
        mean: Statistics,
        std: Statistics,
        flip: bool,
        seed: int,
        device: str,
        make_step: StepMaker = eagerly,
        precision: Precision | None = None,
        world: World = ALONE,
        class_weights: Tensor | None = None,
    ) -> None:
        self.precision = precision or usual_precision(device)
        if precision is not None:
            warn_of_emulation(precision, device)
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if torch.device(device).type == "cpu":
            keep_freed_memory()
        self.protocol, self.epochs = protocol, epochs
        self.seed, self.device = seed, device
        self.train_images, self.eval_images = len(train), len(evaluation)
        self.optimizer = torch.optim.SGD(
            parameter_groups(self.model, protocol),
            lr=0.0,  # set at every step by the schedule
            momentum=protocol.momentum,
            nesterov=protocol.nesterov,
            fused=True,
        )
        self._batches = device_batches(
            train,
            device=device,
            input_size=input_size,
            mean=mean,
            std=std,
            batch_size=batch_size,
            flip=flip if protocol.flip is None else protocol.flip,
            crop_padding=protocol.crop_padding,
            alternate_flip=protocol.alternate_flip,
            cutout=protocol.cutout_pixels(input_size),
            least_crop_area=protocol.least_crop_area,
            colour_jitter=protocol.colour_jitter,
            seed=seed,
        )
        if self._batches.batch_size < 2:
            raise TrainingError(
                f"a training step needs at least 2 images, got batch size {batch_size} and {len(train)} images",
                hint="batch normalisation takes its statistics over a step",
            )
        self._evaluation = device_batches(evaluation, device=device, input_size=input_size, mean=mean, std=std)
        self._averaged = _averaged(self.model, protocol, steps=epochs * self._batches.steps_per_epoch)
        self._progress: EpochProgress | None = None
        self._scored: Scored | None = None  # after the last epoch
        self._world = world
        eager = EagerStep(
            self.model,
            self.optimizer,
            label_smoothing=protocol.label_smoothing,
            device=device,
            amp=self._amp,
            class_weights=class_weights,
        )
        self.step = make_step(eager) if world.size == 1 else DistributedStep(eager, world=world)
        step = self.step
        self.fed: TrainingBatches = self._batches
        if isinstance(step, GraphStep | DistributedStep):
            self.fed = step.feed(self._batches)

    @property
    def result(self) -> nn.Module:
        """The network that the training makes: what is scored after each epoch, and kept at the end."""
        return self.model if self._averaged is None else self._averaged.model

    @property
    def steps_per_epoch(self) -> int:
        """Training steps in one epoch."""
        return self._batches.steps_per_epoch

    @property
    def _amp(self) -> bool:
        return self.precision == "bf16"

    def run(
        self,
        *,
        start_epoch: int = 0,
        on_epoch: Callable[[Epoch], bool] | None = None,
        chunk: Chunk = nullcontext,
        chunk_steps: int | None = None,
        on_progress: Callable[[int, EpochProgress], None] | None = None,
        progress_seconds: float = math.inf,
        on_steps: Callable[[int, int, float], None] | None = None,
    ) -> tuple[Epoch, ...]:
        """Train the epochs that are left, or until `on_epoch` says that it is enough. Raises as `fit` does.

        Args:
            start_epoch: epochs done; of a training that was restored, those of its checkpoint.
            on_epoch: called after each epoch; whether to go on.
            chunk: entered around every `chunk_steps` steps and around each batch of an evaluation.
            chunk_steps: None is one step on a CPU, where a step takes a tenth of a second and a measurement elsewhere
                waits for it, and ten on a GPU, where leaving a chunk has to wait for the device.
            on_progress, progress_seconds, on_steps: see `fit`; `checkpoint` makes a state of a progress.
        """
        if chunk_steps is None:
            chunk_steps = 1 if torch.device(self.device).type == "cpu" else 10
        steps = self._batches.steps_per_epoch
        progress, self._progress = self._progress, None
        return fit(
            self.model,
            self.fed,
            epochs=self.epochs,
            optimizer=self.optimizer,
            schedule=schedule_of(self.protocol.schedule, epochs=self.epochs, steps_per_epoch=steps),
            label_smoothing=self.protocol.label_smoothing,
            device=self.device,
            amp=self._amp,
            evaluate=lambda: self._world.told(lambda: self._evaluate(chunk).top1_percent),
            seed=self.seed,
            on_epoch=on_epoch,
            start_epoch=start_epoch,
            chunk=chunk,
            chunk_steps=chunk_steps,
            step=self.step,
            averaged=self._averaged,
            progress=progress,
            on_progress=on_progress,
            progress_seconds=progress_seconds,
            on_steps=on_steps,
        )

    def _evaluate(self, chunk: Chunk = nullcontext) -> Scored:
        self._scored = scored(self.result, self._evaluation.evaluation(EVALUATION_BATCH), chunk=chunk)
        return self._scored

    def checkpoint(
        self, identity: Identity, curve: tuple[Epoch, ...], *, epoch: int, progress: EpochProgress | None = None
    ) -> Checkpoint:
        """The training as it stands after `epoch` epochs, and as far in the next as `progress` says.

        Its tensors are the trainer's own: write it down at once.
        """
        return Checkpoint(
            identity=identity,
            epoch=epoch,
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            curve=curve,
            averaged=None if self._averaged is None else self._averaged.state_dict(),
            progress=progress,
            parts=self.step.parts,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Stand as the training stood when the checkpoint was made; the next epoch is `checkpoint.epoch`, from 0."""
        self.model.load_state_dict(checkpoint.model)
        self.optimizer.load_state_dict(dict(checkpoint.optimizer))
        if self._averaged is not None and checkpoint.averaged is not None:
            self._averaged.load_state_dict(checkpoint.averaged)
        self._progress = checkpoint.progress
        self.step.parts = checkpoint.parts

    def score(
        self, curve: tuple[Epoch, ...], *, split: str, chunk: Chunk = nullcontext, confusion: bool = False
    ) -> Score:
        """The score of the last epoch, never of the best: choosing an epoch would be fitting to the split.

        `curve` holds every epoch since the first; a training that was stopped early has fewer than its schedule.
        `confusion`: whether it holds the confusion matrix, of at most 2,000 classes. Of processes that train together
        the first one knows more than the accuracy. `chunk` is entered as in `run`, where nothing was scored here since
        the last checkpoint.
        """
        last = self._scored or (self._evaluate(chunk) if self._world.first else None)
        seconds = sum(point.train_seconds for point in curve)
        trained = len(curve) * self._batches.steps_per_epoch * self._batches.batch_size
        return Score(
            top1_percent=curve[-1].top1_percent,
            epochs=len(curve),
            seed=self.seed,
            split=split,
            train_images=self.train_images,
            eval_images=self.eval_images,
            protocol=self.protocol.name,
            train_seconds=seconds,
            images_per_second=trained / seconds,
            device=self.device,
            curve=curve,
            **({} if last is None else _details(last, confusion=confusion)),
        )


_MOST_CONFUSED = 2000  # classes up to which a score holds the matrix, which grows with their square


def _details(last: Scored, *, confusion: bool) -> dict[str, Any]:
    """What a Score says beside the top-1."""
    return {
        "balanced_top1_percent": last.balanced_top1_percent,
        "top5_percent": last.top5_percent,
        "majority_percent": last.majority_percent,
        "confusion": last.confusion if confusion and last.classes <= _MOST_CONFUSED else None,
    }


def balanced_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weights with which every class counts the same in the loss: N / (C n) for a class with n of N images, C classes.

    float32 (classes,), with mean 1 over the images (scikit-learn's class_weight="balanced"; King and Zeng 2001).
    """
    counts = torch.bincount(labels, minlength=num_classes).clamp_min(1)
    return (len(labels) / (num_classes * counts)).float()


def usual_step(device: str) -> StepMaker:
    """How steps are taken unless something else is asked for: a CUDA graph on a GPU, operator by operator elsewhere."""
    return GraphStep if torch.device(device).type == "cuda" else eagerly


def parameter_groups(model: nn.Module, protocol: Protocol) -> list[dict[str, Any]]:
    """All parameters with the protocol's weight decay; without it vectors and scalars, where the protocol says so.

    Those are the scales and shifts of normalisations and the biases.
    """
    parameters = list(model.parameters())
    if protocol.decay_vectors:
        return [{"params": parameters, "weight_decay": protocol.weight_decay}]
    matrices = [each for each in parameters if each.ndim > 1]
    vectors = [each for each in parameters if each.ndim <= 1]
    return [
        {"params": params, "weight_decay": decay}
        for params, decay in ((matrices, protocol.weight_decay), (vectors, 0.0))
        if params
    ]


def _averaged(model: nn.Module, protocol: Protocol, *, steps: int) -> Averaged | None:
    share = protocol.average_fraction
    return None if share is None else Averaged(model, steps=round(share * steps))


def device_batches(
    images: Images,
    *,
    device: str,
    input_size: int,
    mean: Statistics,
    std: Statistics,
    batch_size: int = EVALUATION_BATCH,
    flip: bool = False,
    crop_padding: int = 0,
    alternate_flip: bool = False,
    cutout: int = 0,
    least_crop_area: float | None = None,
    colour_jitter: float = 0.0,
    seed: int = 0,
) -> DeviceBatches:
    """Batches on the device; as they come by default, they are for scoring only."""
    return DeviceBatches(
        images,
        device=device,
        input_size=input_size,
        batch_size=batch_size,
        mean=mean,
        std=std,
        flip=flip,
        crop_padding=crop_padding,
        alternate_flip=alternate_flip,
        cutout=cutout,
        least_crop_area=least_crop_area,
        colour_jitter=colour_jitter,
        seed=seed,
    )
