"""Run a study, or say what a run would do."""

from __future__ import annotations

import json
import logging
import shlex
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsearch.api.designed import DesignPlan, plan_config, run_of
from archsearch.api.paths import open_database, study_folder
from archsearch.api.study import Study, open_study, study_if_stored
from archsearch.data.catalog import parse_dataset
from archsearch.errors import ConfigError, OverrideError, first_line
from archsearch.overrides import Overrides, read_overrides
from archsearch.resources import list_yaml
from archsearch.search.config import StudyConfig, load_study
from archsearch.search.devices import worker_devices
from archsearch.search.estimate import OWN_TRIALS, Estimate, own_trials_estimate
from archsearch.search.evaluate import FAILURES
from archsearch.search.plan import RunPlan
from archsearch.search.run import planned_precision, run_study
from archsearch.search.runtime import CallbackList, Callbacks, Runtime
from archsearch.search.timing import timed_estimate
from archsearch.search.variants import study_variants
from archsearch.store.claims import HOLDS_SLOT
from archsearch.training.precision import usual_precision
from archsearch.validation import whole

logger = logging.getLogger(__name__)


def plan(
    study: str | Path,
    *,
    trials: int | None = None,
    overrides: Overrides = (),
    seed: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    storage: str | None = None,
    command: str | None = None,
) -> RunPlan:
    """Check a study's YAML against its space, its data and this machine, without storing anything.

    Args:
        study: a shipped study's name, or the path of a YAML file.
        trials: total of trials, in place of the study's own.
        overrides: other values for keys of the study, `{"proxy.epochs": 3}`, or texts, `["proxy.epochs=3"]`.
        seed: in place of the study's own.
        workers, device, data_dir, command: see `Runtime`.
        storage: where a study of this name may be stored, which must be the same: how its images are read is kept.

    Raises ConfigError, DataError or BuildError, and StudyChangedError if it is stored with another protocol.
    """
    runtime = Runtime(workers=workers, device=device, data_dir=data_dir, storage=storage, command=command)
    return plan_study(study, runtime, trials=trials, overrides=overrides, seed=seed)


def run(
    study: str | Path | RunPlan | DesignPlan,
    *,
    trials: int | None = None,
    overrides: Overrides = (),
    seed: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    storage: str | None = None,
    time_budget_seconds: float | None = None,
    plateau_trials: int | None = None,
    optuna_proxy: str | None = None,
    callbacks: Callbacks = (),
) -> Study:
    """Run a study until it has `trials` trials in all; called again it continues, and does nothing when all are done.

    Called at the same time on other machines with a server's `storage`, all work on the one study.

    Args:
        study: as `plan` takes it, or what was planned: by `plan`, `plan_ablation`, `plan_confirm` or `plan_trust`.
        trials, overrides, seed, workers, device: as `plan`; of no effect on what is planned already.
        callbacks: who is told, one or several: `archsearch.TensorBoard("logs")`.
        others: see `Runtime`; time_budget_seconds: from this call on; data_dir and storage: also of what is planned
            already, for which they are to be what they were for its plan.

    Raises what `plan` raises, StudyChangedError if the study is stored with another protocol, StoreError for a
    database that cannot be used, and KeyboardInterrupt after the workers have ended cleanly.
    """
    runtime = Runtime(
        storage=storage,
        data_dir=data_dir,
        device=device,
        workers=workers,
        time_budget_seconds=time_budget_seconds,
        plateau_trials=plateau_trials,
        optuna_proxy=optuna_proxy,
        callbacks=CallbackList(callbacks),
    )
    if not isinstance(study, RunPlan | DesignPlan):
        study = plan_study(study, runtime, trials=trials, overrides=overrides, seed=seed)
    return run_plan(study, runtime)


def plan_study(
    study: str | Path, runtime: Runtime, *, trials: int | None, overrides: Overrides, seed: int | None
) -> RunPlan:
    """As `plan`, for a runtime."""
    if isinstance(study, Study):
        raise ConfigError(
            f"study '{study.name}' is given opened, and what is run is read from a YAML file",
            hint=f"name it, or its file: archsearch.run('{study.name}')",
        )
    changes, seed = read_overrides(overrides), whole(seed, "seed")
    for key, value in (("trials", trials), ("seed", seed), ("workers", runtime.workers)):
        if value is not None and key in changes:
            raise OverrideError(key, "it is given as an argument, too", hint="leave one out")
    if seed is not None:
        changes["seed"] = seed
    if runtime.command is None:
        runtime = replace(runtime, command=_as_typed(study, changes, runtime))
    return plan_config(load_study(study, changes), runtime, trials=trials)


def _as_typed(study: str | Path, changes: Mapping[str, Any], runtime: Runtime) -> str:
    """What one would have typed to begin a study: it is told to those who ask for more of its trials."""
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={json.dumps(value, default=str)}")]
    words += [] if runtime.data_dir is None else ["--data-dir", str(runtime.data_dir)]
    return shlex.join(["archsearch", "run", "--study", str(study), *words])


def estimate(planned: RunPlan | DesignPlan, *, storage: str | None = None) -> Estimate | None:
    """How long the trials will take that a planned study or design does not have yet.

    As its own trials took, where it has some, or those of the study that a design was made from; else some of its
    networks are timed here, which takes some seconds. None, with a warning, if they cannot be run: a run will say so.
    Raises StoreError for the database.
    """
    base = planned.base.study if isinstance(planned, DesignPlan) else None
    plan = run_of(planned)
    config, workers = plan.config, len(plan.devices)
    stored = study_if_stored(config.name, storage=storage)
    own = () if stored is None else stored.records
    left = max(plan.total - sum(record.status in HOLDS_SLOT for record in own), 0)
    if left == 0:
        return Estimate(basis=OWN_TRIALS)
    for records in (own, () if base is None else base.records):
        found = own_trials_estimate(
            records,
            epochs=config.proxy.epochs,
            train_images=plan.train_images,
            trials=left,
            workers=workers,
            stopping=config.stopping.policy != "none",
        )
        if found is not None:
            return replace(found, at_most=plan.shares_gpus)  # they took this beside others, which is not told
    found = _timed(
        config,
        plan.space,
        plan.variants,
        trials=plan.total,
        devices=plan.devices,
        precision=planned_precision(plan),
        num_classes=plan.num_classes,
        input_size=plan.input_size,
        train_images=plan.train_images,
        validation_images=plan.validation_images,
        decode_seconds=plan.needs.decode_seconds,
    )
    return None if found is None else found.last(left)


def _timed(*study: Any, **sizes: Any) -> Estimate | None:
    try:
        return timed_estimate(*study, **sizes)
    except FAILURES as error:
        logger.warning("how long it will take is not known: %s", first_line(error))
        return None


def estimate_without_images(config: StudyConfig, runtime: Runtime, *, trials: int | None = None) -> Estimate | None:
    """As `estimate`, of a study whose images are not there; None also where nothing is known of them."""
    known = parse_dataset(config.dataset)[0].known
    if known is None:
        return None
    space, input_size = config.search_space(), config.proxy.input_size_for(known.image_size)
    devices = worker_devices(runtime.device, runtime.workers or config.workers, config.workers_per_gpu)
    validation = min(config.proxy.validation_images, known.train_images)
    return _timed(
        config,
        space,
        study_variants(config, space, input_size=input_size),
        trials=trials or config.trials,
        devices=devices,
        precision=usual_precision(devices[0]) if config.proxy.precision == "auto" else config.proxy.precision,
        num_classes=known.num_classes,
        input_size=input_size,
        train_images=min(config.proxy.train_images or known.train_images, known.train_images - validation),
        validation_images=validation,
    )


_LONG_SECONDS = 4 * 3600.0  # on a CPU: cifar10_cpu takes an hour
_SHORT_SECONDS = 3600.0


def shorter(config: StudyConfig, expected: Estimate, *, device: str, total: int) -> str | None:
    """What to do instead, in one sentence, where a study on a CPU would take more than some hours; else None.

    Of CIFAR a shipped study of the same search space that is made for a CPU, or fewer trials; of a design fewer seeds.
    `expected`: of the trials that it does not have yet; `total`: of all.
    """
    if device != "cpu" or expected.seconds < _LONG_SECONDS:
        return None
    if config.design is not None:
        return "for less of this one: fewer --seeds or --time-budget 1h"
    as_many_images = parse_dataset(config.dataset)[0].known is not None
    wanted = as_many_images and not config.name.endswith("_cpu")
    made = [name for name in list_yaml("studies") if name.endswith("_cpu")] if wanted else []
    fitting = [each for each in map(load_study, made) if each.space == config.space]
    best = max(
        fitting, key=lambda each: (each.name == f"{config.name}_cpu", each.dataset == config.dataset), default=None
    )
    done, few = total - expected.pieces, expected.within(_SHORT_SECONDS)
    fewer = "--time-budget 1h" if done else "--set proxy.train_images=N"  # which one that was begun does not take
    less = f"for less of this one: {f'--trials {done + few} or --time-budget 1h' if few else fewer}"
    if best is None:
        return less
    images = "" if best.dataset == config.dataset else f" --set {shlex.quote(f'dataset={config.dataset}')}"
    return f"made for a CPU: archsearch run --study {best.name}{images}; {less}"


def run_plan(planned: RunPlan | DesignPlan, runtime: Runtime) -> Study:
    """Run a plan, or go on with it; a design that has more seeds than it had gets the trainings that it lacks.

    Raises as `run`.
    """
    plan = run_of(planned)
    with closing(open_database(runtime.storage, create=True, entering=plan.config.name)) as database:
        folder = study_folder(plan.config.name) / "workers"
        if database.sqlite_file is None:  # machines that share a folder would write into each other's logs
            folder /= socket.gethostname()
        run_study(plan, database, runtime, folder=folder)
    return open_study(plan.config.name, storage=runtime.storage)
