"""One network, its data and a protocol, made ready to train: what proxies and full trainings share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import nn

from archsearch.data.batches import DeviceBatches
from archsearch.data.images import Images
from archsearch.errors import TrainingError
from archsearch.records import Epoch, Score
from archsearch.training.checkpoint import Checkpoint, Identity
from archsearch.training.loop import EVALUATION_BATCH, Chunk, fit, top1_percent
from archsearch.training.protocols import Protocol
from archsearch.training.schedules import schedule_of

Statistics = tuple[float, float, float]
"""One number for each colour channel, of pixels in [0, 1]."""


class Course:
    """A network on its device with optimizer and data, trained under one protocol.

    The network is trained in place, channels_last, in float32 on a CPU and with bfloat16 autocast on CUDA.

    Args:
        model: the network with its initial weights; takes (N, 3, input_size, input_size).
        train, evaluation: the images to train on, and those to score on after each epoch.
        epochs, batch_size: of this training; the protocol's own are not looked at.
        mean, std: of the training images, per channel.
        flip: the dataset's own answer; used where the protocol has none.
        seed: of data order, augmentation and whatever the network draws.

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
    ) -> None:
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.protocol, self.epochs = protocol, epochs
        self.seed, self.device = seed, device
        self.train_images, self.eval_images = len(train), len(evaluation)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=0.0,  # set at every step by the schedule
            momentum=protocol.momentum,
            nesterov=protocol.nesterov,
            weight_decay=protocol.weight_decay,
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
            seed=seed,
        )
        if self._batches.batch_size < 2:
            raise TrainingError(
                f"a training step needs at least 2 images, got batch size {batch_size} and {len(train)} images",
                hint="batch normalisation takes its statistics over a step",
            )
        self._evaluation = device_batches(evaluation, device=device, input_size=input_size, mean=mean, std=std)

    def run(
        self,
        *,
        start_epoch: int = 0,
        on_epoch: Callable[[Epoch], bool] | None = None,
        chunk: Chunk = nullcontext,
        chunk_steps: int | None = None,
    ) -> tuple[Epoch, ...]:
        """Train the epochs that are left, or until `on_epoch` says that it is enough. Raises as `fit` does.

        Args:
            on_epoch: called after each epoch; whether to go on.
            chunk: entered around every `chunk_steps` steps and around each batch of an evaluation.
            chunk_steps: None is one step on a CPU, where a step takes a tenth of a second and a measurement elsewhere
                waits for it, and ten on a GPU, where leaving a chunk has to wait for the device.
        """
        if chunk_steps is None:
            chunk_steps = 1 if torch.device(self.device).type == "cpu" else 10
        steps = self._batches.steps_per_epoch
        return fit(
            self.model,
            self._batches,
            epochs=self.epochs,
            optimizer=self.optimizer,
            schedule=schedule_of(self.protocol.schedule, epochs=self.epochs, steps_per_epoch=steps),
            label_smoothing=self.protocol.label_smoothing,
            device=self.device,
            amp=torch.device(self.device).type == "cuda",
            evaluate=lambda: top1_percent(self.model, self._evaluation.evaluation(EVALUATION_BATCH), chunk=chunk),
            seed=self.seed,
            on_epoch=on_epoch,
            start_epoch=start_epoch,
            chunk=chunk,
            chunk_steps=chunk_steps,
        )

    def checkpoint(self, identity: Identity, curve: tuple[Epoch, ...], *, epoch: int) -> Checkpoint:
        """The training as it stands after `epoch` epochs. Its tensors are the course's own: write it down at once."""
        return Checkpoint(
            identity=identity,
            epoch=epoch,
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            curve=curve,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Stand as the training stood when the checkpoint was made; the next epoch is `checkpoint.epoch`, from 0."""
        self.model.load_state_dict(checkpoint.model)
        self.optimizer.load_state_dict(dict(checkpoint.optimizer))

    def score(self, curve: tuple[Epoch, ...], *, split: str) -> Score:
        """The score of the last epoch, never of the best: choosing an epoch would be fitting to the split.

        `curve` holds every epoch since the first; a training that was stopped early has fewer than its schedule.
        """
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
        )


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
        seed=seed,
    )
