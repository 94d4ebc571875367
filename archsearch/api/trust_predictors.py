"""What is said to rank networks without training them: sizes, latency, and two zero-cost scores."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from archsearch.designs import Design
from archsearch.records import Record

logger = logging.getLogger(__name__)

Values = Mapping[str, float]  # by arch_id


def stored_predictors(records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """params, macs, memory_bytes and latency_ms (drift-corrected p10) of every network of a study that has them."""
    found: dict[str, dict[str, float]] = {"params": {}, "macs": {}, "memory_bytes": {}, "latency_ms": {}}
    for record in records:
        if record.cost is not None:
            found["params"].setdefault(record.arch_id, float(record.cost.params))
            found["macs"].setdefault(record.arch_id, float(record.cost.macs))
            if record.cost.memory_bytes is not None:
                found["memory_bytes"].setdefault(record.arch_id, float(record.cost.memory_bytes))
        if record.latency is not None:
            found["latency_ms"].setdefault(record.arch_id, record.latency.corrected_ms)
    return found


def computed_predictors(
    design: Design,
    *,
    dataset: str,
    input_size: int,
    validation_images: int,
    train_images: int | None,
    seed: int,
    data_dir: Path | None = None,
    on_network: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, float]]:
    """synflow, jacob_cov and memory_bytes of every network of a design, on the CPU, from fresh weights.

    jacob_cov sees the first images of the study's training subset, which is in an order that keeps the classes' shares.
    A value that is not finite is left out.

    Args:
        seed: of the initial weights.
        on_network: called with how many networks are done, and how many there are.

    Raises what loading the data or building a network raises.
    """
    from archsearch.cost.memory import memory_access
    from archsearch.cost.zero_cost import JACOB_COV_IMAGES, jacob_cov, synflow
    from archsearch.data.batches import DeviceBatches
    from archsearch.data.catalog import load_dataset
    from archsearch.data.images import channel_statistics
    from archsearch.data.split import stratified_split
    from archsearch.models.families import build
    from archsearch.search.design_points import design_specs
    from archsearch.search.evaluate import SPLIT_SEED

    loaded = load_dataset(dataset, data_dir=data_dir)
    train, _ = stratified_split(
        loaded.train, validation_images=validation_images, train_images=train_images, seed=SPLIT_SEED
    )
    mean, std = channel_statistics(train)
    batches = DeviceBatches(
        train.subset(range(min(JACOB_COV_IMAGES, len(train)))),
        device="cpu",
        input_size=input_size,
        batch_size=JACOB_COV_IMAGES,
        mean=mean,
        std=std,
        flip=False,
        crop_padding=0,
        seed=seed,
    )
    images, _ = next(batches.evaluation())
    found: dict[str, dict[str, float]] = {"synflow": {}, "jacob_cov": {}, "memory_bytes": {}}
    for index, spec in enumerate(design_specs(design, input_size=input_size)):
        model = build(spec, num_classes=loaded.num_classes, input_size=input_size, seed=seed)
        values = {
            "synflow": synflow(model, input_size=input_size),
            "jacob_cov": jacob_cov(model, images) if len(images) > 1 else math.nan,
            "memory_bytes": float(memory_access(model, input_size).total_bytes),
        }
        for name, value in values.items():
            if math.isfinite(value):
                found[name][spec.arch_id] = value
            else:
                logger.warning("%s of %s is %s: left out", name, design.points[index].name, value)
        if on_network is not None:
            on_network(index + 1, len(design.points))
    return found
