"""The weights that a retraining begins with: the study's proxy training, made again, or ImageNet's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from archsearch.api.study import Chosen, Study
from archsearch.data.dataset import Dataset
from archsearch.data.split import stratified_split
from archsearch.errors import ConfigError, UnknownNameError
from archsearch.models.families import build
from archsearch.records import TrialStatus
from archsearch.search.evaluate import SPLIT_SEED
from archsearch.training.loop import Chunk
from archsearch.training.precision import settled_precision
from archsearch.training.pretrained import pretrained_start
from archsearch.training.proxy import train_proxy
from archsearch.training.settings import ProxySettings
from archsearch.training.start import STARTS, Start, read_start, save_start

logger = logging.getLogger(__name__)


def start_of(
    kind: str,
    study: Study,
    chosen: Chosen,
    dataset: Dataset,
    *,
    device: str,
    folder: Path,
    weights: Path | None = None,
    chunk: Chunk,
    resume: bool = True,
) -> Start | None:
    """What a retraining of a network begins with; None for random weights.

    A study keeps no weights, so its proxy training is made again: the same images, seed and recipe, and on a CPU one
    thread, as workers have. The result is kept in `folder`, and read from there the next time.

    Args:
        kind: one of `training.start.STARTS`.
        weights: a file of torchvision's weights, for "pretrained".
        resume: False makes the proxy training again.

    Raises UnknownNameError for another kind; ConfigError for weights that are not asked for, and where torchvision has
    none; TrainingError if the proxy diverges.
    """
    if kind not in STARTS:
        raise UnknownNameError("start", kind, STARTS)
    if weights is not None and kind != "pretrained":
        raise ConfigError(f"--weights {weights}: only a pretrained start reads a file", hint="add --pretrained")
    if kind == "pretrained":
        return pretrained_start(
            chosen.spec, num_classes=dataset.num_classes, input_size=study.input_size, weights=weights
        )
    if kind == "scratch":
        return None
    seed = _proxy_seed(study, chosen)
    path = folder / f"proxy-seed-{seed}.safetensors"
    start = read_start(path) if resume else None
    if start is None:
        start = _trained(study, chosen, dataset, seed=seed, device=device, chunk=chunk)
        save_start(path, start)
    return start


def _proxy_seed(study: Study, chosen: Chosen) -> int:
    """The seed that the study trained this network with; the study's own for a network that it did not train."""
    scored = chosen.record is not None and chosen.record.score is not None
    return chosen.record.score.seed if scored else int(study.info.config["seed"])  # type: ignore[union-attr]


def _trained(study: Study, chosen: Chosen, dataset: Dataset, *, seed: int, device: str, chunk: Chunk) -> Start:
    settings = ProxySettings(**study.info.config["proxy"]).model_copy(
        update={"precision": settled_precision(study.info.config, study.info.facts, device)}
    )
    train, validation = stratified_split(
        dataset.train,
        validation_images=settings.validation_images,
        train_images=settings.train_images,
        seed=SPLIT_SEED,
        fresh=settings.fresh_images,
    )
    logger.info("the proxy training of %s is made again: %d epochs", chosen.label, settings.epochs)
    with _as_a_worker(device):
        model = build(chosen.spec, num_classes=dataset.num_classes, input_size=study.input_size, seed=seed)
        score = train_proxy(
            model,
            train,
            validation,
            settings,
            seed=seed,
            num_classes=dataset.num_classes,
            input_size=study.input_size,
            flip=dataset.flip,
            device=device,
            chunk=chunk,
        )
    recorded = chosen.record
    known = ""
    if recorded is not None and recorded.status is TrialStatus.COMPLETE and recorded.score is not None:
        known = f", {recorded.score.top1_percent:.2f} % in the study"
    description = (
        f"the proxy training of study '{study.name}', made again: {score.epochs} epochs on {score.train_images:,} "
        f"images, seed {seed}, validation top-1 {score.top1_percent:.2f} %{known}"
    )
    logger.info("starts from %s", description)
    return Start(kind="proxy", description=description, state=model.state_dict())


@contextmanager
def _as_a_worker(device: str) -> Iterator[None]:
    """One thread on a CPU, as a study's workers have it: the sums of several are rounded otherwise."""
    threads = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
