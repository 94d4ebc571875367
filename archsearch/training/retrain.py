"""Full training of one seed: checkpointed after each epoch, continued when typed again, never done twice."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
from torch import nn

from archsearch.data.dataset import Dataset
from archsearch.data.images import channel_statistics
from archsearch.files import write_atomically
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.records import Epoch, Score
from archsearch.training.checkpoint import (
    Identity,
    check_identity,
    checkpoint_files,
    latest_checkpoint,
    save_checkpoint,
)
from archsearch.training.course import Course, Statistics
from archsearch.training.loop import Chunk
from archsearch.training.protocols import Protocol
from archsearch.training.proxy import check_labels

log = logging.getLogger(__name__)

_WEIGHTS = "weights.safetensors"
_SCORE = "score.json"


@dataclass(frozen=True, kw_only=True)
class RetrainedSeed:
    """One seed of a full training.

    Attributes:
        score: on the test split, after the last epoch; `score.curve` holds every epoch.
        weights: the safetensors file of the state after the last epoch.
        batch_size: images a step.
        mean, std: of the training images per channel, in [0, 1]; inputs are normalised with them.
    """

    score: Score
    weights: Path
    batch_size: int
    mean: Statistics
    std: Statistics


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
    chunk: Chunk = nullcontext,
) -> RetrainedSeed:
    """Train one network on the whole training split and score it on the test split.

    Everything is kept in `folder/seed-N`: a checkpoint after each epoch (the last two stay until the end), then
    `weights.safetensors` and `score.json`. Called again, a finished seed is read, not trained; an unfinished one goes
    on after its last whole checkpoint. On a CPU the result is then bit for bit that of an uninterrupted training.

    The test split is scored after each epoch, for the learning curve; nothing is chosen by it. The score is always
    that of the last epoch, never of the best.

    Args:
        batch_size: images a step; None takes the protocol's. The learning rate is not scaled with it.
        seed: of the initial weights, the data order and the augmentation.
        resume: False removes what the folder holds of this seed and begins anew.
        on_epoch: called after each epoch, once its checkpoint is written; what it raises passes through.
        chunk: entered around the preparation, every few steps and each batch of an evaluation.

    Raises:
        DivergedError: the loss, or an output in an evaluation, became NaN or infinite.
        TrainingError: the folder holds another training (the message says what differs), or the device ran out of
            memory, or a label is not one of the dataset's classes.
    """
    batch = protocol.batch_size if batch_size is None else batch_size
    place = folder / f"seed-{seed}"
    identity: Identity = {
        **protocol.identity(),
        "arch_id": spec.arch_id,
        "epochs": epochs,
        "batch_size": batch,
        "seed": seed,
        "input_size": input_size,
        "num_classes": dataset.num_classes,
        "dataset_fingerprint": dataset.fingerprint,
    }
    mean, std = channel_statistics(dataset.train)
    if not resume:
        _clear(place)
    score = _finished_score(place, identity)
    if score is None:
        test = dataset.load_test()
        check_labels(test, dataset.num_classes)
        with chunk():
            course = Course(
                build(_as_trained(spec, protocol), num_classes=dataset.num_classes, input_size=input_size, seed=seed),
                dataset.train,
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
            )
        score = course.score(_train(course, place, identity, on_epoch, chunk), split="test")
        _finish(place, identity, course.model, score)
    return RetrainedSeed(score=score, weights=place / _WEIGHTS, batch_size=batch, mean=mean, std=std)


def _as_trained(spec: Spec, protocol: Protocol) -> Spec:
    """The network with the protocol's dropout, which changes no weight and no inference."""
    if protocol.dropout is None or "head.dropout" not in spec.choices():
        return spec
    return spec.with_choices({"head.dropout": protocol.dropout})


def _train(
    course: Course, place: Path, identity: Identity, on_epoch: Callable[[Epoch], None] | None, chunk: Chunk
) -> tuple[Epoch, ...]:
    """Train what is left after the last whole checkpoint, and give the curve from the first epoch on."""
    curve: list[Epoch] = []
    state = latest_checkpoint(place, identity, device=course.device)
    if state is not None:
        log.info("%s goes on after epoch %d of %d", place, state.epoch, course.epochs)
        course.restore(state)
        curve += state.curve

    def after_epoch(point: Epoch) -> bool:
        curve.append(point)
        save_checkpoint(place, course.checkpoint(identity, tuple(curve), epoch=point.epoch))
        if on_epoch is not None:
            on_epoch(point)
        return True

    course.run(start_epoch=len(curve), on_epoch=after_epoch, chunk=chunk)
    return tuple(curve)


def _finish(place: Path, identity: Identity, model: nn.Module, score: Score) -> None:
    """Keep the result. The score is written last: while it is absent, the seed is not finished."""
    # safetensors takes row-major tensors only; weights on the CPU load anywhere.
    content = safetensors.torch.save({name: value.cpu().contiguous() for name, value in model.state_dict().items()})
    write_atomically(place / _WEIGHTS, content)
    facts = {"identity": identity, "weights_sha256": hashlib.sha256(content).hexdigest(), "score": asdict(score)}
    write_atomically(place / _SCORE, json.dumps(facts, indent=2).encode())
    for path in checkpoint_files(place):
        path.unlink(missing_ok=True)


def _finished_score(place: Path, identity: Identity) -> Score | None:
    """The score of an earlier call that finished, or None. What is damaged is trained again, with a warning."""
    path, weights = place / _SCORE, place / _WEIGHTS
    if not path.exists():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        found, digest = dict(facts["identity"]), facts["weights_sha256"]
        curve = tuple(Epoch(**point) for point in facts["score"]["curve"])
        score = Score(**{**facts["score"], "curve": curve})
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s is damaged (%s): this seed is trained again", path, error)
        return None
    check_identity(path, found, identity)
    if not weights.exists() or hashlib.sha256(weights.read_bytes()).hexdigest() != digest:
        log.warning("%s is missing or damaged: this seed is trained again", weights)
        return None
    return score


def _clear(place: Path) -> None:
    """Remove what a training of this seed left, and nothing else."""
    for path in (place / _SCORE, place / _WEIGHTS, *checkpoint_files(place)):
        path.unlink(missing_ok=True)
