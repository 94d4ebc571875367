"""What a run would do, found out before anything is stored: the space, the data, the variants, three networks tried."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from archsearch import __version__
from archsearch.data.catalog import load_dataset
from archsearch.data.dataset import Dataset
from archsearch.data.split import stratified_split
from archsearch.errors import BuildError, ConfigError, StudyChangedError
from archsearch.latency.fingerprint import Fingerprint, device_fingerprint, volatile_facts
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.search.config import StudyConfig
from archsearch.search.devices import worker_devices
from archsearch.search.evaluate import SPLIT_SEED
from archsearch.search.samplers import SAMPLERS
from archsearch.search.variants import StudyVariant, scaled, study_variants
from archsearch.space.search_space import SearchSpace
from archsearch.store.studies import StudyInfo

PREFLIGHT_NETWORKS = 3


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A checked study, ready to run.

    Attributes:
        config, space, variants: the study, its search space, and the published networks evaluated first.
        total: trials in all.
        devices: one for each worker.
        input_size, num_classes, train_images, validation_images: what the proxies see.
        facts: stored with a new study: versions, machine, data, command.
    """

    config: StudyConfig
    space: SearchSpace
    variants: tuple[StudyVariant, ...]
    total: int
    devices: tuple[str, ...]
    input_size: int
    num_classes: int
    train_images: int
    validation_images: int
    facts: Mapping[str, Any]


def plan_run(
    config: StudyConfig,
    *,
    trials: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    data_dir: Path | None = None,
    command: str | None = None,
) -> RunPlan:
    """Check a study against its space, its data and this machine, and try three random networks on one batch each.

    Raises ConfigError, DataError or BuildError for whatever would make every trial fail.
    """
    space = config.search_space()
    devices = worker_devices(device, workers or config.workers)
    dataset = load_dataset(config.dataset, data_dir=data_dir)
    input_size = config.proxy.input_size or dataset.image_size
    variants = study_variants(config, space, input_size=input_size)
    SAMPLERS[config.sampler]
    reference = scaled(config.reference, config, key="reference").normalised(input_size)
    train, validation = stratified_split(
        dataset.train,
        validation_images=config.proxy.validation_images,
        train_images=config.proxy.train_images,
        seed=SPLIT_SEED,
    )
    _preflight(space, num_classes=dataset.num_classes, input_size=input_size)
    _try_reference(config.reference, reference, num_classes=dataset.num_classes, input_size=input_size)
    return RunPlan(
        config=config,
        space=space,
        variants=variants,
        total=trials or config.trials,
        devices=devices,
        input_size=input_size,
        num_classes=dataset.num_classes,
        train_images=len(train),
        validation_images=len(validation),
        facts=_facts(config, dataset, devices, input_size, command),
    )


def check_unchanged(plan: RunPlan, stored: StudyInfo) -> None:
    """Refuse to add trials of another space, protocol or dataset to a stored study.

    Raises StudyChangedError that says what differs, and what to do.
    """
    new = plan.config.protocol()
    old = {key: stored.config.get(key) for key in new}
    found = [f"{key}: was {before!r}, now {after!r}" for key, before, after in _changes(old, new)]
    if plan.space.fingerprint != stored.space_fingerprint:
        found += plan.space.differences(stored.space)
    old_data, new_data = stored.facts.get("data_fingerprint"), plan.facts["data_fingerprint"]
    if old_data != new_data:
        found.append(f"the images of '{plan.config.dataset}': were {old_data}, now {new_data}")
    found += _device_changes(stored.facts, plan.facts)
    if found:
        raise StudyChangedError(
            f"study '{stored.name}' exists with another protocol: {'; '.join(found)}",
            hint="its trials could not be compared: give the study another name (--set name=NEW), or undo the change",
        )


def _device_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What makes latencies of another device, backend or version incomparable with those stored."""
    before, after = Fingerprint.of(old.get("device", {})), Fingerprint.of(new["device"])
    return [f"the device's {name}: was {was}, now {now}" for name, (was, now) in before.differences(after).items()]


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += _changes(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append((f"{prefix}{key}", before, after))
    return found


def _preflight(space: SearchSpace, *, num_classes: int, input_size: int) -> None:
    try:
        batch = torch.zeros((2, 3, input_size, input_size))
    except (RuntimeError, MemoryError) as error:
        raise BuildError(f"images of {input_size}x{input_size} do not fit in memory: {error}") from error
    for seed in range(PREFLIGHT_NETWORKS):
        spec = space.spec(space.sample(seed)).normalised(input_size)
        try:
            model = build(spec, num_classes=num_classes, input_size=input_size, seed=0).eval()
            with torch.inference_mode():
                shape = tuple(model(batch).shape)
        except (RuntimeError, MemoryError) as error:
            raise BuildError(f"network {spec.arch_id} cannot be run at {input_size}x{input_size}: {error}") from error
        if shape != (2, num_classes):
            raise BuildError(f"network {spec.arch_id} gives {shape} for two images, expected {(2, num_classes)}")


def _try_reference(name: str, spec: Spec, *, num_classes: int, input_size: int) -> None:
    """A reference network from outside the family may not take images of this size."""
    try:
        build(spec, num_classes=num_classes, input_size=input_size, seed=0)
    except BuildError as error:
        raise BuildError(f"the reference network {name}: {error.message}", hint=error.hint) from error


def _fingerprint(config: StudyConfig, devices: tuple[str, ...]) -> Fingerprint:
    """The one fingerprint of all workers' devices. Raises ConfigError if they differ: their latencies would too."""
    found = {name: device_fingerprint(name, config.latency.backend, config.latency.threads) for name in devices}
    first = found[devices[0]]
    for name, other in found.items():
        if other.id != first.id:
            differing = ", ".join(first.differences(other))
            raise ConfigError(
                f"the devices {devices[0]} and {name} differ ({differing}), so their latencies cannot be compared",
                hint=f"use one of them: --device {devices[0]}",
            )
    return first


def _facts(
    config: StudyConfig, dataset: Dataset, devices: tuple[str, ...], input_size: int, command: str | None
) -> dict[str, Any]:
    fingerprint = _fingerprint(config, devices)
    return {
        "command": command,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "archsearch": __version__,
        "versions": {name: version(name) for name in ("torch", "torchvision", "optuna")},
        "data_fingerprint": dataset.fingerprint,
        "num_classes": dataset.num_classes,
        "input_size": input_size,
        "device_fingerprint": fingerprint.id,
        "device": dict(fingerprint.facts),
        "device_state": volatile_facts(devices[0]),
    }
