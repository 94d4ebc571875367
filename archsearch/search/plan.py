"""What a run would do, found out before anything is stored: the space, the data, the variants, three networks tried."""

from __future__ import annotations

import logging
import platform
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from archsearch.data.catalog import load_dataset
from archsearch.data.dataset import Dataset
from archsearch.designs import Design, Purpose
from archsearch.errors import BuildError, ConfigError, StudyChangedError
from archsearch.image_rules import CURRENT_RULES, RULES_FACT, ImageRules
from archsearch.latency.backends import BACKENDS
from archsearch.latency.fingerprint import Fingerprint, device_fingerprint, of_new_process, volatile_facts
from archsearch.latency.settings import AUTO, LOCAL, LatencySettings
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.search.config import StudyConfig
from archsearch.search.devices import shares_gpus, training_threads, worker_devices
from archsearch.search.estimate import Estimate
from archsearch.search.needs import Needs, needs_of
from archsearch.search.precision import WITHOUT_KEY, completed, device_of, protocol_as_settled, settled
from archsearch.search.runtime import Runtime
from archsearch.search.samplers import check_sampler
from archsearch.search.variants import StudyVariant, design_specs, scaled, study_variants
from archsearch.space.search_space import SearchSpace
from archsearch.store.database import storage_options
from archsearch.store.studies import BOARDS_FACT, POOL_FACT, StudyInfo
from archsearch.targets.board import Board, check_cores, lasting_facts
from archsearch.targets.pool import check_one_model
from archsearch.targets.transports import parse_target
from archsearch.version import __version__

logger = logging.getLogger(__name__)

PREFLIGHT_NETWORKS = 3
_NO_CHANGE = ("repeat_every",)  # a key of a study's latency that changes no trial's numbers
_OF_THE_BACKEND = ("backend", "backend_version")  # facts of a fingerprint


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A checked study, ready to run.

    Attributes:
        config, space, variants: the study, with what a stored one has settled (`settled`), its search space, and the
            published networks evaluated first (of a study with a design: none, since the design lists every network).
        total: trials in all.
        devices: one for each worker.
        input_size, num_classes, train_images, validation_images: what the proxies see.
        majority_percent: share of the largest class among the validation images (percent).
        needs: space, time and memory.
        facts: stored with a new study: versions, machine, data, command.
        tried: the networks that were tried; those of a new study's calibration.
        shares_gpus: whether as many workers share each of the devices as is measured when the run begins.
        expected: how long its missing trials will take; None: nobody asked.
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
    majority_percent: float
    needs: Needs
    facts: Mapping[str, Any]
    tried: tuple[Spec, ...] = ()
    shares_gpus: bool = False
    expected: Estimate | None = None

    @property
    def image_rules(self) -> ImageRules:
        """How its images are read."""
        return self.config.image_rules(former=RULES_FACT not in self.facts)


def plan_run(
    config: StudyConfig,
    runtime: Runtime,
    *,
    trials: int | None = None,
    space: SearchSpace | None = None,
    former: bool = False,
    stored: StudyInfo | None = None,
    trained: bool = False,
    begun: bool = False,
) -> RunPlan:
    """Check a study against its space, its data and this machine, and try three random networks on one batch each.

    Of a design the first three points are tried, and its size is the total.

    Args:
        trials: in all, in place of the study's own number.
        space: the study's, if it was read elsewhere than from the study's own file.
        former: of a stored study whose images are read by the rules of an older version (`ImageRules.former`).
        stored: the stored study of this name, which must be the same.
        trained: whether that has trained networks, so that none needs to be tried.
        begun: whether it, or the study that it is a design of, measures by these threads and cores already.

    Raises ConfigError, DataError or BuildError for whatever would make every trial fail, and StudyChangedError.
    """
    if trials is not None and trials < 1:
        raise ConfigError(f"trials {trials}: at least 1 is needed")
    for target in config.latency.every_target:
        parse_target(target)  # a name that is none is told before anything takes time
    space = config.search_space() if space is None else space
    asked = runtime.workers or config.workers
    devices = worker_devices(runtime.device, asked, config.workers_per_gpu)
    dataset = load_dataset(config.dataset, data_dir=runtime.data_dir, rules=config.image_rules(former=former))
    if not former:
        dataset.check_test()
    for note in dataset.notes():
        logger.warning(note)
    input_size = config.proxy.input_size_for(dataset.image_size)
    variants: tuple[StudyVariant, ...] = ()
    if config.design is None:
        variants = study_variants(config, space, input_size=input_size)
        check_sampler(config.sampler, size=space.size)
        tried = [space.spec(space.sample(seed)).normalised(input_size) for seed in range(PREFLIGHT_NETWORKS)]
        total = trials or config.trials
    else:
        tried = list(design_specs(config.design, input_size=input_size)[:PREFLIGHT_NETWORKS])
        total = config.design.size
    reference = scaled(config.reference, config, key="reference").normalised(input_size)
    positions = dataset.split_positions(**config.proxy.split)
    network = _try_reference(config.reference, reference, num_classes=dataset.num_classes, input_size=input_size)
    validation = (dataset.validation or dataset.train).labels[torch.tensor(positions[1])]
    plan = RunPlan(
        config=config,
        space=space,
        variants=variants,
        total=total,
        devices=devices,
        input_size=input_size,
        num_classes=dataset.num_classes,
        train_images=len(positions[0]),
        validation_images=len(positions[1]),
        majority_percent=float(100.0 * validation.bincount().max() / len(validation)),
        needs=needs_of(dataset, positions, config.proxy, network, input_size=input_size),
        facts=_facts(config, dataset, devices, input_size, runtime.command, begun=begun or stored is not None),
        tried=tuple(tried),
        shares_gpus=shares_gpus(devices, asked, config.workers_per_gpu),
    )
    if stored is not None:
        check_unchanged(plan, stored, storage=runtime.storage)
        plan = replace(plan, config=settled(config, stored))
    if not trained:
        _preflight(tried, num_classes=dataset.num_classes, input_size=input_size)
    return plan


def check_unchanged(plan: RunPlan, stored: StudyInfo, *, storage: str | None = None) -> None:
    """Refuse to add trials of another space, protocol or dataset to a stored study.

    A study that was stored before some key existed is taken to have what versions without that key did.

    `storage`: where it is stored; None: the default.

    Raises StudyChangedError that says what differs, and what to do.
    """
    given = {**WITHOUT_KEY, **plan.config.protocol()}
    new = _resolved(protocol_as_settled(given, stored), plan.devices[0])
    before = completed(stored)
    old = protocol_as_settled({key: before[key] for key in given}, stored)
    old = _resolved(old, device_of(stored))
    changes = {key: (was, now) for key, was, now in _changes(old, new)}
    if "stopping.policy" in changes:  # another policy has other keys: they say nothing more
        changes = {key: value for key, value in changes.items() if key == "stopping.policy" or "stopping" not in key}
    found = [f"{key}: was {was!r}, now {now!r}" for key, (was, now) in changes.items()]
    if plan.space.fingerprint != stored.space_fingerprint:
        found += plan.space.differences(stored.space)
    old_data, new_data = stored.facts.get("data_fingerprint"), plan.facts["data_fingerprint"]
    if old_data != new_data:
        found.append(f"the images of '{plan.config.dataset}': were {old_data}, now {new_data}")
    other_backend = changes.get("latency.backend")
    if LOCAL in plan.config.latency.targets:  # else what trains may be another machine
        found += _device_changes(stored.facts, plan.facts, told=() if other_backend is None else _OF_THE_BACKEND)
    found += _board_changes(stored.facts, plan.facts) + _pool_changes(stored.facts, plan.config.latency)
    if found:
        undo = "or undo the change"
        if other_backend is not None:
            undo = f"or go on with it as it was begun (in a terminal: --set latency.backend={other_backend[0]})"
            if plan.config.latency.backend == AUTO:
                found[0:0] = [f"the backend 'auto' is '{other_backend[1]}' on this device"]
        hint = f"its trials could not be compared: give the study another name (in a terminal: --set name=NEW), {undo}"
        if plan.config.design is not None:
            hint = _of_design(plan.config.design, stored.name, storage)
        raise StudyChangedError(f"study '{stored.name}' exists with another protocol: {'; '.join(found)}", hint=hint)


# purpose of a design: the plot of its result, and what options make another design
_DESIGNS: Mapping[Purpose, tuple[str, str]] = {
    "ablation": ("ablation", "other --choices or --set proxy.epochs=N"),
    "confirm": ("confirmed", "another --top or --fresh-images"),
    "trust": ("trust", "another --n or other --epochs"),
}


def _of_design(design: Design, name: str, storage: str | None) -> str:
    """What to do where a stored design cannot be gone on with: its name follows from what was asked for."""
    plot, options = _DESIGNS[design.purpose]
    looks = ("plot", plot, "--study", design.of), ("report", "--study", name)
    typed = ", ".join(shlex.join(["archsearch", *look, *storage_options(storage)]) for look in looks)
    return (
        f"new trainings could not be compared with its own, which can still be looked at: {typed}; "
        f"{options} (in a terminal) make another design; or undo the change"
    )


def _resolved(protocol: Mapping[str, Any], device: str) -> dict[str, Any]:
    """A protocol with the backends, batch and precision that it means on a device, and a design without its seeds."""
    latency = dict(protocol["latency"])
    settings = LatencySettings.model_construct(**latency | {"also": tuple(latency["also"])})
    latency = {key: value for key, value in latency.items() if key not in _NO_CHANGE}
    latency |= {"backend": settings.backend_on(device), "also": sorted(settings.also_on(device))}
    latency |= {"batch": settings.batch_on(device), "precision": settings.precision_on(device)}
    latency |= {"target": settings.target, "also_targets": sorted(settings.also_targets), "cores": settings.cores}
    latency.pop("pool", None)  # its boards agree, so one may be left out: `_pool_changes`
    design = protocol["design"]
    return {
        **protocol,
        "latency": latency,
        "design": None if design is None else {key: value for key, value in design.items() if key != "seeds"},
    }


def _device_changes(old: Mapping[str, Any], new: Mapping[str, Any], *, told: tuple[str, ...]) -> list[str]:
    """What makes latencies of another device, backend or version incomparable with those stored.

    A fact that the stored side does not know is none: its version did not ask for it. `told`: facts to leave out.
    """
    before, after = Fingerprint.of(old.get("device", {})), Fingerprint.of(new["device"])
    return [
        f"the device's {name}: was {was}, now {now}"
        for name, (was, now) in before.differences(after).items()
        if name not in told and (was is not None or not before.facts)
    ]


def _board_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What makes latencies on a board incomparable with those stored, of the targets that both sides have."""
    found = []
    for target, facts in new.get(BOARDS_FACT, {}).items():
        before = old.get(BOARDS_FACT, {}).get(target)
        if before is not None:
            pairs = Fingerprint.of(lasting_facts(before)).differences(Fingerprint.of(lasting_facts(facts)))
            found += [f"{target}: {name} was {was}, now {now}" for name, (was, now) in pairs.items()]
    return found


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += _changes(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append((f"{prefix}{key}", before, after))
    return found


def _preflight(specs: Sequence[Spec], *, num_classes: int, input_size: int) -> None:
    try:
        batch = torch.zeros((2, 3, input_size, input_size))
    except (RuntimeError, MemoryError) as error:
        raise BuildError(f"images of {input_size}x{input_size} do not fit in memory: {error}") from error
    for spec in specs:
        try:
            model = build(spec, num_classes=num_classes, input_size=input_size, seed=0).eval()
            with torch.inference_mode():
                shape = tuple(model(batch).shape)
        except (RuntimeError, MemoryError) as error:
            raise BuildError(f"network {spec.arch_id} cannot be run at {input_size}x{input_size}: {error}") from error
        if shape != (2, num_classes):
            raise BuildError(f"network {spec.arch_id} gives {shape} for two images, expected {(2, num_classes)}")


def _try_reference(name: str, spec: Spec, *, num_classes: int, input_size: int) -> nn.Module:
    """A reference network from outside the family may not take images of this size."""
    try:
        return build(spec, num_classes=num_classes, input_size=input_size, seed=0)
    except BuildError as error:
        raise BuildError(f"the reference network {name}: {error.message}", hint=error.hint) from error


def _fingerprint(config: StudyConfig, devices: tuple[str, ...]) -> Fingerprint:
    """The one fingerprint of all workers' devices, with the backend that is the objective.

    Raises ConfigError if they differ, since their latencies would too, and for a backend that does not run there.
    """
    latency = config.latency.at(LOCAL)
    for name in devices:
        kind = name.partition(":")[0]
        for chosen in (latency.backend_on(name), *latency.also_on(name)):
            fitting = ", ".join(other for other in BACKENDS if kind in BACKENDS[other].devices)
            hint = f"backends for it: {fitting} (latency.backend, latency.also)"
            BACKENDS[chosen].check(name, latency.precision_on(name), hint=hint)
    found = {
        name: of_new_process(
            device_fingerprint(name, latency.backend_on(name), latency.threads, latency.precision_on(name))
        )
        for name in devices
    }
    first = found[devices[0]]
    if LOCAL not in config.latency.targets:
        return first
    for name, other in found.items():
        if other.id != first.id:
            differing = ", ".join(first.differences(other))
            raise ConfigError(
                f"the devices {devices[0]} and {name} differ ({differing}), so their latencies cannot be compared",
                hint=f"use one of them, such as {devices[0]}",
            )
    return first


def _facts(
    config: StudyConfig,
    dataset: Dataset,
    devices: tuple[str, ...],
    input_size: int,
    command: str | None,
    *,
    begun: bool,
) -> dict[str, Any]:
    fingerprint = _fingerprint(config, devices)
    if LOCAL in config.latency.every_target and devices[0] == "cpu" and not begun:
        training_threads(config.latency.threads, processes=1)  # no more than there are cores, as `measured_where`
    boards = _boards(config.latency, begun=begun)
    return {
        "command": command,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "archsearch": __version__,
        "versions": {name: version(name) for name in ("torch", "torchvision", "optuna")},
        "data_fingerprint": dataset.fingerprint,
        **({} if dataset.former else {RULES_FACT: CURRENT_RULES}),
        "num_classes": dataset.num_classes,
        "classes": list(dataset.classes),
        "input_size": input_size,
        "device_fingerprint": fingerprint.id,
        "device": dict(fingerprint.facts),
        "device_state": volatile_facts(devices[0]),
        **({BOARDS_FACT: boards} if boards else {}),
    }


def _pool_changes(old: Mapping[str, Any], settings: LatencySettings) -> list[str]:
    """Boards of a pool that were not held against the others when the study began."""
    known = [board["target"] for board in (old.get(POOL_FACT) or {}).get("boards", ())]
    return [
        f"{name} was not in latency.pool when the study began, when its boards were held against each other"
        for name in settings.pool
        if name not in known
    ]


def _boards(settings: LatencySettings, *, begun: bool = False) -> dict[str, dict[str, str]]:
    """What each board of the study's targets says of itself.

    `begun`: the study, or the one that it is a design of, is measured so already, and goes on.

    Raises ConfigError, or MeasurementError if one is away.
    """
    found = {}
    for name in settings.every_target:
        target = parse_target(name)
        if target is not None:
            with closing(Board(target)) as board:
                if not begun:
                    check_cores(board, settings.cores, threads=settings.threads)
                found[name] = dict(board.facts)
    if settings.pool:
        check_one_model({name: found[name] for name in (settings.target, *settings.pool)})
    return found
