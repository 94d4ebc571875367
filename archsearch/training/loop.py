"""The one training loop, of proxies and of full schedules alike, and the one way to score."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from archsearch.errors import DivergedError, TrainingError
from archsearch.records import Epoch
from archsearch.training.schedules import Schedule
from archsearch.training.seeding import RandomState, epoch_seed, random_state, seeded, set_random_state
from archsearch.training.step import LEAST_IMAGES, Averaged, EagerStep, Snapshot, TrainingStep, more_parts

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

    @property
    def batch_size(self) -> int:
        """Images in a step."""
        ...

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs (N, 3, H, W) and labels (N,) of one epoch, which counts from 0; from its step `first_step` on."""
        ...


@dataclass(frozen=True, kw_only=True)
class EpochProgress:
    """How far an epoch is that is not at its end.

    Attributes:
        step: steps of the epoch that are done.
        losses: the loss of each.
        seconds: of training in the epoch so far.
        random: torch's generators between two steps.
    """

    step: int
    losses: tuple[float, ...]
    seconds: float
    random: RandomState


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
    on_epoch: Callable[[Epoch], bool] | None = None,
    start_epoch: int = 0,
    chunk: Chunk = nullcontext,
    chunk_steps: int = 10,
    step: TrainingStep | None = None,
    averaged: Averaged | None = None,
    progress: EpochProgress | None = None,
    on_progress: Callable[[int, EpochProgress], None] | None = None,
    progress_seconds: float = math.inf,
    on_steps: Callable[[int, int, float], None] | None = None,
) -> tuple[Epoch, ...]:
    """Train from `start_epoch` (epochs already done) to `epochs`, and score after each epoch.

    Everything drawn in an epoch depends on (seed, epoch) alone, so a training continued from its state after an
    epoch goes on exactly as if it had never stopped; continued from its state between two steps, too, if `progress`
    says how far it was.

    When the device runs out of memory, the epoch begins anew from the first step that was taken here, with every batch
    in 2 parts, then 4, 8, ..., whose gradients add up to the batch's; that is kept for the rest of this training. The
    steps, their batches and the schedule stay what they were. Batch normalisation sees the parts: its statistics are
    those of fewer images.

    Args:
        schedule: learning rate of a step, counted over the whole training.
        amp: bfloat16 autocast in the training steps; scoring is in float32 (TF32 on GPUs where torch
            allows it).
        evaluate: top-1 (percent) of the network on the split to score on; enters `chunk` itself (`top1_percent`).
        on_epoch: called after each epoch, outside any chunk; the training ends when it returns False. Whatever it
            raises ends the training, too, and passes through.
        chunk: entered around every `chunk_steps` training steps, and at an epoch's start, to keep its state.
        step: how a step is taken; None: an EagerStep of `model` and `optimizer`.
        averaged: takes in the weights after each step.
        progress: how far the epoch after `start_epoch` is already.
        on_progress: called between two chunks of an epoch, after every `progress_seconds` of training in it, with the
            epochs done and the progress in the next.
        on_steps: called after each chunk, with the epochs done, and the steps done and the seconds trained in the next.

    Returns:
        One point for each epoch ended here; its `learning_rate` is that of the epoch's last step, and its
        `train_seconds` holds neither evaluation, nor waiting in `chunk`, nor attempts that ran out of memory.

    Raises:
        DivergedError: a loss, or an output in the evaluation, is NaN or infinite.
        TrainingError: the device ran out of memory with parts so small that halves would have fewer than 2 images.
    """
    taken = step or EagerStep(model, optimizer, label_smoothing=label_smoothing, device=device, amp=amp)
    running = _Running(
        model=model, batches=batches, step=taken, schedule=schedule, device=device, averaged=averaged, chunk=chunk,
        chunk_steps=chunk_steps, on_progress=on_progress, progress_seconds=progress_seconds, on_steps=on_steps,
    )  # fmt: skip
    curve = []
    for epoch in range(start_epoch, epochs):
        with chunk():
            before = Snapshot(model, optimizer, averaged)
        start = progress if epoch == start_epoch else None
        trained = None
        while trained is None:
            try:
                with seeded(epoch_seed(seed, epoch), device):
                    trained = running.epoch(epoch, start)
            except torch.OutOfMemoryError as error:
                log.debug("out of memory: %s", error)
            if trained is None:  # out here, where the error no longer holds the step's activations
                taken.parts = more_parts(taken.parts, images=batches.batch_size, least=LEAST_IMAGES, device=device)
                log.warning(
                    "the device %s ran out of memory: epoch %d begins anew, each step of %d images in %d parts",
                    device, epoch + 1, batches.batch_size, taken.parts,
                )  # fmt: skip
                with chunk():
                    before.restore()
        loss, rate, seconds = trained
        top1 = evaluate()
        point = Epoch(epoch=epoch + 1, train_loss=loss, top1_percent=top1, learning_rate=rate, train_seconds=seconds)
        log.debug("epoch %d of %d: loss %.4f, top-1 %.2f%%", epoch + 1, epochs, loss, top1)
        curve.append(point)
        if on_epoch is not None and not on_epoch(point):
            break
    return tuple(curve)


@dataclass(frozen=True, kw_only=True)
class _Running:
    """What stays the same from epoch to epoch; see `fit`."""

    model: nn.Module
    batches: TrainingBatches
    step: TrainingStep
    schedule: Schedule
    device: str
    averaged: Averaged | None
    chunk: Chunk
    chunk_steps: int
    on_progress: Callable[[int, EpochProgress], None] | None
    progress_seconds: float
    on_steps: Callable[[int, int, float], None] | None

    def epoch(self, epoch: int, start: EpochProgress | None) -> tuple[float, float, float]:
        """Train one epoch, or the rest of it. Gives mean loss, last learning rate, and seconds inside the chunks."""
        self.model.train()
        steps = self.batches.steps_per_epoch
        done, seconds = 0, 0.0
        losses: list[float] = []
        if start is not None:
            done, losses, seconds = start.step, list(start.losses), start.seconds
            set_random_state(start.random, self.device)
        stream = self.batches.epoch(epoch, first_step=done)
        kept = seconds
        while done < steps:
            with self.chunk():
                begin = time.perf_counter()
                pending: list[Tensor] = []
                for inputs, labels in islice(stream, min(self.chunk_steps, steps - done)):
                    pending.append(self.step(inputs, labels, self.schedule(epoch * steps + done + len(pending))))
                    if self.averaged is not None:
                        self.averaged.update()
                # Reading the losses waits for the device: once a chunk, so that it is idle when the chunk is left.
                values: list[float] = torch.stack(pending).tolist()
                seconds += time.perf_counter() - begin
            self._check(values, epoch, done)
            done += len(values)
            losses += values
            if self.on_steps is not None:
                self.on_steps(epoch, done, seconds)
            if self.on_progress is not None and done < steps and seconds - kept >= self.progress_seconds:
                kept = seconds
                state = random_state(self.device)
                self.on_progress(epoch, EpochProgress(step=done, losses=tuple(losses), seconds=seconds, random=state))
        return math.fsum(losses) / len(losses), self.schedule(epoch * steps + steps - 1), seconds

    def _check(self, losses: list[float], epoch: int, first: int) -> None:
        """Raise DivergedError for a loss that is not finite; `first` is the number of the first one's step."""
        steps = self.batches.steps_per_epoch
        for step, value in enumerate(losses, start=first):
            if not math.isfinite(value):
                raise DivergedError(
                    f"the training loss became {value} in epoch {epoch + 1}, step {step + 1} of {steps}, "
                    f"at learning rate {self.schedule(epoch * steps + step):.4g}",
                    hint="lower the learning rate",
                )


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a network's outputs say of a split.

    Attributes:
        top1_percent: share of images whose highest output is their label (percent).
        top5_percent: share of images whose label is among the five highest outputs (percent); None with five classes or
            fewer, where it says nothing.
        classes: that the network tells apart.
        answers: of how many images of the first class the second one was the answer, for the pairs that there are.
    """

    top1_percent: float
    top5_percent: float | None
    classes: int
    answers: Mapping[tuple[int, int], int]

    @property
    def confusion(self) -> tuple[tuple[int, ...], ...]:
        """How many images of each class (rows) were taken for each (columns)."""
        rows = [[0] * self.classes for _ in range(self.classes)]
        for (label, answer), images in self.answers.items():
            rows[label][answer] = images
        return tuple(map(tuple, rows))

    @property
    def balanced_top1_percent(self) -> float:
        """Mean over the classes that have images of the share recognised of each (percent): its mean recall."""
        images = self._images
        return 100.0 * math.fsum(self.answers.get((each, each), 0) / images[each] for each in images) / len(images)

    @property
    def majority_percent(self) -> float:
        """Share of images of the largest class (percent): the top-1 of an answer that is always the same."""
        images = self._images.values()
        return 100.0 * max(images) / sum(images)

    @property
    def _images(self) -> Counter[int]:
        """Of each class that has some."""
        found: Counter[int] = Counter()
        for (label, _), images in self.answers.items():
            found[label] += images
        return found


def top1_percent(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, chunk: Chunk = nullcontext) -> float:
    """The top-1 of `scored`."""
    return scored(model, batches, chunk=chunk).top1_percent


@torch.inference_mode()
def scored(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, chunk: Chunk = nullcontext) -> Scored:
    """Every image's outputs compared with its label, in eval mode, without autocast.

    `chunk` is entered around every batch, which is gathered inside it, and around adding up. When the device runs out
    of memory, this batch and those that follow are scored in 2 parts, then 4, 8, ...: outputs then differ from those
    of whole batches by rounding.

    Raises DivergedError if an output is NaN or infinite, TrainingError if there is no image, or not the memory for one.
    """
    training = model.training
    model.eval()
    try:
        counts: Tensor | None = None
        answers: list[Tensor] = []
        classes = parts = 1
        stream = iter(batches)
        batch: tuple[Tensor, Tensor] | None = None  # that is still to be scored
        while True:
            try:
                with chunk():
                    batch = batch or next(stream, None)
                    if batch is None:
                        if counts is not None:
                            answers = [torch.cat(answers).cpu()]
                        break
                    found, answered, classes = _counted(model, *batch, parts=parts)
                    found = found.cpu()  # waits for the device, so that it is idle when the chunk is left
                    counts = found if counts is None else counts + found
                    answers.append(answered)
                    batch = None
            except torch.OutOfMemoryError as error:
                if batch is None:  # while it was gathered
                    raise
                log.warning("out of memory while scoring %d images in %d parts: %s", len(batch[1]), parts, error)
            if batch is not None:  # out here, where the error no longer holds the activations
                parts = more_parts(parts, images=len(batch[1]), least=1, device=str(batch[0].device))
    finally:
        model.train(training)
    if counts is None:
        raise TrainingError("there is no image to score on")
    correct_images, finite_images, images, among_five = counts.tolist()
    if finite_images < images:
        raise DivergedError(
            f"the network's outputs are NaN or infinite for {images - finite_images} of {images} scored images",
            hint="lower the learning rate",
        )
    pairs = Counter(answers[0].tolist())
    return Scored(
        top1_percent=float(100.0 * correct_images / images),
        top5_percent=float(100.0 * among_five / images) if classes > _TOP else None,
        classes=classes,
        answers={divmod(pair, classes): times for pair, times in pairs.items()},
    )


_TOP = 5


def _counted(model: nn.Module, inputs: Tensor, labels: Tensor, *, parts: int) -> tuple[Tensor, Tensor, int]:
    """What is counted of these images, in int64, and the number of classes.

    Sums (4,): scored right, with finite outputs, all, with their label among the five highest outputs. And of each
    image its class times the classes plus its answer: a matrix of them would grow with the square of the classes.
    """
    sums, answers = [], []
    parts = min(parts, len(labels))
    for some, their in zip(inputs.tensor_split(parts), labels.tensor_split(parts), strict=True):
        logits = model(some)
        guessed = logits.argmax(1)
        correct = (guessed == their).sum()
        finite = logits.isfinite().all(1).sum()
        among = (logits.topk(min(_TOP, logits.shape[1])).indices == their[:, None]).sum()
        sums.append(torch.stack((correct, finite, torch.full_like(correct, len(their)), among)))
        answers.append(their * logits.shape[1] + guessed)
    return torch.stack(sums).sum(0), torch.cat(answers), logits.shape[1]
