"""Full training of one seed: checkpointed as it goes, continued when typed again, never done twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from archsearch.data.dataset import Dataset
from archsearch.data.images import OnDecoded, channel_statistics
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.records import Epoch, Score
from archsearch.training.checkpoint import Identity
from archsearch.training.distributed import ALONE, World
from archsearch.training.event_file import EventFile
from archsearch.training.loop import Chunk, EpochProgress
from archsearch.training.protocols import Protocol
from archsearch.training.proxy import check_labels
from archsearch.training.schedules import WarmRestarts
from archsearch.training.settings import ClassWeights
from archsearch.training.start import SeedFolder, Start
from archsearch.training.step import CompiledStep
from archsearch.training.trainer import Statistics, Trainer, balanced_weights, usual_step

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 60.0
"""Seconds of training within an epoch from one checkpoint to the next."""


@dataclass(frozen=True, kw_only=True)
class RetrainedSeed:
    """One seed of a full training.

    Attributes:
        score: on the test split, after the last epoch; `score.curve` holds every epoch. Its `protocol` also names a
            start, a batch size that is not the protocol's own, or class weights that are not the study's, so that such
            trainings are told apart.
        weights: the safetensors file of the state after the last epoch.
        batch_size: images a step.
        mean, std: of the training images per channel, in [0, 1]; inputs are normalised with them.
    """

    score: Score
    weights: Path
    batch_size: int
    mean: Statistics
    std: Statistics


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How far a training is, and how fast.

    Attributes:
        epochs: that are done.
        step, steps: done of the epoch in hand, and in all.
        earlier: steps of the epoch in hand that were done before this call.
        epoch_seconds: what an epoch takes, scoring included, by its steps so far; the first ones, which choose kernels
            and take memory, do not count.
    """

    epochs: int
    step: int
    steps: int
    epoch_seconds: float
    earlier: int = 0


_SCORED = 1 / 3  # of what an image takes to train, which is a pass forward and about two back


def retrain_seed(
    spec: Spec,
    dataset: Dataset,
    protocol: Protocol,
    *,
    epochs: int,
    batch_size: int | None,
    seed: int,
    input_size: int,
    device: str,
    folder: Path,
    resume: bool = True,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_pace: Callable[[Pace], None] | None = None,
    on_decoded: OnDecoded | None = None,
    chunk: Chunk = nullcontext,
    start: Start | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    compiled: bool = False,
    events: bool = False,
    class_weights: ClassWeights = "none",
    usual_weights: ClassWeights = "none",
    world: World = ALONE,
) -> RetrainedSeed:
    """Train one network on the whole training split and score it on the test split.

    Everything is kept in `folder/seed-N`: a checkpoint after each epoch and, within one, after every
    `checkpoint_seconds` (the last two stay until the end), then `weights.safetensors` and `score.json`. Called again, a
    finished seed is read, not trained; an unfinished one goes on after its last whole checkpoint. On a CPU the result
    is then bit for bit that of an uninterrupted training.

    The test split is scored after each epoch, for the learning curve; nothing is chosen by it. The score is always
    that of the last epoch, never of the best.

    Args:
        batch_size: images a step; None takes the protocol's. The learning rate is not scaled with it.
        seed: of the initial weights, the data order and the augmentation.
        resume: False removes what the folder holds of this seed and begins anew.
        on_epoch: called after each epoch, once its checkpoint is written; what it raises passes through.
        on_pace: called every few steps.
        on_decoded: called now and then while pictures are decoded.
        chunk: entered around making the network ready, every few steps and each batch of an evaluation; not around
            reading the images.
        start: weights to begin with; None: drawn at random.
        checkpoint_seconds: 0 writes one after every chunk of steps.
        compiled: whether the training steps go through torch.compile; the weights kept are those of the plain network.
        class_weights: none or balanced, see `balanced_weights`.
        usual_weights: those of the study's own trainings.
        events: whether a TensorBoard event file is written to `folder/tensorboard/seed-N`.
        world: the processes that train together, on one file system; the first one writes.

    Raises:
        ConfigError: `events` without the extra `tensorboard`.
        DivergedError: the loss, or an output in an evaluation, became NaN or infinite.
        TrainingError: the folder holds another training (the message says what differs), or the device ran out of
            memory, or a label is not one of the dataset's classes, or `start` is of another network.
    """
    batch = protocol.batch_size if batch_size is None else batch_size
    rule = protocol.schedule
    identity: Identity = {
        **protocol.identity(),
        "arch_id": spec.arch_id,
        "epochs": epochs,
        "batch_size": batch,
        "seed": seed,
        "input_size": input_size,
        "num_classes": dataset.num_classes,
        "dataset_fingerprint": dataset.fingerprint,
        **({} if start is None else start.identity),
        **({"compiled": True} if compiled else {}),
        # earlier versions cut the last period off
        **({"whole_periods": True} if isinstance(rule, WarmRestarts) and epochs % rule.period_epochs else {}),
        **({} if class_weights == "none" else {"class_weights": class_weights}),
    }
    files = SeedFolder(folder / f"seed-{seed}", identity)
    train = dataset.training_images(input_size, on_decoded=on_decoded)
    mean, std = channel_statistics(train)
    if not resume and world.first:
        files.clear()
    event_folder = folder / "tensorboard" / f"seed-{seed}" if events and world.first else None
    world.wait()
    score = files.finished()
    world.wait()  # nobody writes while another one still looks
    if score is None:
        test = dataset.test_images(input_size, on_decoded=on_decoded)
        check_labels(test, dataset.num_classes)
        with chunk():
            model = build(protocol.as_trained(spec), num_classes=dataset.num_classes, input_size=input_size, seed=seed)
            if start is not None:
                start.apply(model)
            trainer = Trainer(
                model,
                train,
                test,
                protocol,
                epochs=epochs,
                batch_size=batch,
                input_size=input_size,
                mean=mean,
                std=std,
                flip=dataset.flip,
                seed=seed,
                device=device,
                make_step=CompiledStep if compiled else usual_step(device),
                world=world,
                class_weights=balanced_weights(train.labels, dataset.num_classes)
                if class_weights == "balanced"
                else None,
            )
        curve = _train(
            trainer,
            files,
            on_epoch,
            on_pace,
            chunk,
            checkpoint_seconds=checkpoint_seconds,
            events=event_folder,
            writes=world.first,
        )
        score = trainer.score(curve, split="test", chunk=chunk, confusion=True)
        if world.first:
            files.finish(trainer.result, score)
        world.wait()
    elif event_folder is not None:
        EventFile(event_folder, score.curve).close()
    name = protocol.name if start is None else start.protocol_name(protocol.name)
    if batch != protocol.batch_size:
        name += f", batch {batch}"
    if class_weights != usual_weights:
        name += ", classes balanced" if class_weights == "balanced" else ", classes as they are"
    score = replace(score, protocol=name)
    return RetrainedSeed(score=score, weights=files.weights, batch_size=batch, mean=mean, std=std)


def _train(
    trainer: Trainer,
    files: SeedFolder,
    on_epoch: Callable[[Epoch], None] | None,
    on_pace: Callable[[Pace], None] | None,
    chunk: Chunk,
    *,
    checkpoint_seconds: float,
    events: Path | None,
    writes: bool,
) -> tuple[Epoch, ...]:
    """Train what is left after the last whole checkpoint, and give the curve from the first epoch on."""
    curve: list[Epoch] = []
    state = files.latest(trainer.device)
    begun = (0, 0)
    if state is not None:
        if state.progress is not None:
            begun = (state.epoch, state.progress.step)
        within = "" if state.progress is None else f" and {state.progress.step} steps"
        log.info("%s goes on after epoch %d%s of %d", files.place, state.epoch, within, trainer.epochs)
        trainer.restore(state)
        curve += state.curve

    def keep(epoch: int, progress: EpochProgress | None = None) -> None:
        if not writes:
            return
        with chunk():
            files.keep(trainer.checkpoint(files.identity, tuple(curve), epoch=epoch, progress=progress))

    def after_epoch(point: Epoch) -> bool:
        curve.append(point)
        keep(point.epoch)
        if event_file is not None:
            event_file.add(point)
        if on_epoch is not None:
            on_epoch(point)
        return True

    with ExitStack() as stack:
        event_file = None if events is None else EventFile(events, tuple(curve))
        if event_file is not None:
            stack.callback(event_file.close)
        trainer.run(
            start_epoch=len(curve),
            on_epoch=after_epoch,
            chunk=chunk,
            on_progress=keep,
            progress_seconds=checkpoint_seconds,
            on_steps=None if on_pace is None else _paced(trainer, on_pace, begun),
        )
    return tuple(curve)


def _paced(
    trainer: Trainer, on_pace: Callable[[Pace], None], begun: tuple[int, int] = (0, 0)
) -> Callable[[int, int, float], None]:
    """`on_steps` of a training that tells its pace; `begun`: epochs, and steps of the next, that were done before."""
    steps = trainer.steps_per_epoch
    scoring = 1.0 + _SCORED * trainer.eval_images / trainer.train_images
    first = (-1, 0, 0.0)  # chunk of the epoch in hand: the epochs before it, and its steps and seconds

    def on_steps(epoch: int, step: int, seconds: float) -> None:
        nonlocal first
        if epoch != first[0] or step <= first[1]:  # the latter: it began anew in smaller parts
            first = (epoch, step, seconds)
            return
        each = (seconds - first[2]) / (step - first[1])
        earlier = begun[1] if epoch == begun[0] else 0
        on_pace(Pace(epochs=epoch, step=step, steps=steps, epoch_seconds=scoring * steps * each, earlier=earlier))

    return on_steps
