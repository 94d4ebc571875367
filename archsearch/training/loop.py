"""The one training loop, of proxies and of full schedules alike, and the one way to score."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archsearch.errors import DivergedError, TrainingError
from archsearch.records import Epoch
from archsearch.training.schedules import Schedule
from archsearch.training.seeding import epoch_seed, seeded

log = logging.getLogger(__name__)

Chunk = Callable[[], AbstractContextManager[object]]
"""Entered around every stretch of work on the device, so that a latency measurement can take it in between."""

EVALUATION_BATCH = 500
"""Images scored at once. One number everywhere, so that a reloaded network repeats its accuracy exactly."""


class TrainingBatches(Protocol):
    """What the loop needs of `archsearch.data.batches.DeviceBatches`."""

    @property
    def steps_per_epoch(self) -> int:
        """Training steps in one epoch."""
        ...

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs (N, 3, H, W) and labels (N,) of one epoch, which counts from 0."""
        ...


def fit(
    model: nn.Module,
    batches: TrainingBatches,
    *,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    label_smoothing: float,
    device: str,
    amp: bool,
    evaluate: Callable[[], float],
    seed: int,
    on_epoch: Callable[[Epoch], None] | None = None,
    start_epoch: int = 0,
    chunk: Chunk = nullcontext,
    chunk_steps: int = 10,
) -> tuple[Epoch, ...]:
    """Train from `start_epoch` (epochs already done) to `epochs`, and score after each epoch.

    Everything drawn in an epoch depends on (seed, epoch) alone, so a training continued from its state after an
    epoch goes on exactly as if it had never stopped.

    Args:
        schedule: learning rate of a step, counted over the whole training.
        amp: bfloat16 autocast in the training steps; scoring is in float32 (TF32 on GPUs where torch
            allows it).
        evaluate: top-1 (percent) of `model` on the split to score on; enters `chunk` itself (`top1_percent`).
        on_epoch: called after each epoch, outside any chunk; whatever it raises ends the training and passes through.
        chunk: entered around every `chunk_steps` training steps.

    Returns:
        One point for each epoch trained here; its `learning_rate` is that of the epoch's last step, and its
        `train_seconds` holds neither evaluation nor waiting in `chunk`.

    Raises:
        DivergedError: a loss, or an output in the evaluation, is NaN or infinite.
        TrainingError: the device ran out of memory.
    """
    curve = []
    for epoch in range(start_epoch, epochs):
        try:
            with seeded(epoch_seed(seed, epoch), device):
                loss, rate, seconds = _train_epoch(
                    model,
                    batches,
                    epoch,
                    optimizer=optimizer,
                    schedule=schedule,
                    label_smoothing=label_smoothing,
                    autocast=torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=amp),
                    chunk=chunk,
                    chunk_steps=chunk_steps,
                )
            top1 = evaluate()
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"the device {device} ran out of memory in epoch {epoch + 1}", hint="lower the batch size"
            ) from error
        point = Epoch(epoch=epoch + 1, train_loss=loss, top1_percent=top1, learning_rate=rate, train_seconds=seconds)
        log.debug("epoch %d of %d: loss %.4f, top-1 %.2f%%", epoch + 1, epochs, loss, top1)
        curve.append(point)
        if on_epoch is not None:
            on_epoch(point)
    return tuple(curve)


def _train_epoch(
    model: nn.Module,
    batches: TrainingBatches,
    epoch: int,
    *,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    label_smoothing: float,
    autocast: torch.autocast,
    chunk: Chunk,
    chunk_steps: int,
) -> tuple[float, float, float]:
    """Mean loss, last learning rate, and seconds inside the chunks."""
    model.train()
    steps = batches.steps_per_epoch
    first = epoch * steps
    stream = batches.epoch(epoch)
    losses: list[float] = []
    seconds = 0.0
    for done in range(0, steps, chunk_steps):
        with chunk():
            start = time.perf_counter()
            pending = []
            for step, (inputs, labels) in enumerate(islice(stream, chunk_steps), start=first + done):
                for group in optimizer.param_groups:
                    group["lr"] = schedule(step)
                with autocast:
                    logits = model(inputs)
                loss = F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                pending.append(loss.detach())
            # Reading the losses waits for the device: once a chunk, so that it is idle when the chunk is left.
            values: list[float] = torch.stack(pending).tolist()
            seconds += time.perf_counter() - start
        for step, value in enumerate(values, start=done):
            if not math.isfinite(value):
                raise DivergedError(
                    f"the training loss became {value} in epoch {epoch + 1}, step {step + 1} of {steps}, "
                    f"at learning rate {schedule(first + step):.4g}",
                    hint="lower the learning rate",
                )
        losses += values
    return math.fsum(losses) / len(losses), schedule(first + steps - 1), seconds


@torch.inference_mode()
def top1_percent(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, chunk: Chunk = nullcontext) -> float:
    """Share of images whose highest output is their label (percent), in eval mode, without autocast.

    `chunk` is entered around every batch.

    Raises DivergedError if an output is NaN or infinite, TrainingError if there is no image.
    """
    training = model.training
    model.eval()
    try:
        counts = []
        for inputs, labels in batches:
            with chunk():
                logits = model(inputs)
                correct = (logits.argmax(1) == labels).sum()
                finite = logits.isfinite().all(1).sum()
                counts.append(torch.stack((correct, finite, torch.full_like(correct, len(labels)))))
    finally:
        model.train(training)
    if not counts:
        raise TrainingError("there is no image to score on")
    correct_images, finite_images, images = torch.stack(counts).sum(0).tolist()
    if finite_images < images:
        raise DivergedError(
            f"the network's outputs are NaN or infinite for {images - finite_images} of {images} scored images",
            hint="lower the learning rate",
        )
    return float(100.0 * correct_images / images)
