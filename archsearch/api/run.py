"""Run a study, or say what a run would do."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from archsearch.api.designed import DesignPlan
from archsearch.api.paths import open_database, study_folder
from archsearch.api.study import Study, open_study
from archsearch.errors import NothingStoredError, UnknownNameError
from archsearch.image_rules import RULES_FACT
from archsearch.overrides import Overrides, read_overrides
from archsearch.search.config import StudyConfig, load_study
from archsearch.search.plan import RunPlan, check_unchanged, plan_run
from archsearch.search.run import run_study
from archsearch.search.runtime import CallbackList, RunCallbacks, Runtime
from archsearch.store.studies import StudyInfo


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
        storage: where a study of this name may be stored: how its images are read is kept.

    Raises ConfigError, DataError or BuildError.
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
    callbacks: RunCallbacks | Sequence[RunCallbacks] = (),
) -> Study:
    """Run a study until it has `trials` trials in all; called again it continues, and does nothing when all are done.

    Called at the same time on other machines with a server's `storage`, all work on the one study.

    Args:
        study: as `plan` takes it, or what was planned: by `plan`, `plan_ablation`, `plan_confirm` or `plan_trust`.
        trials, overrides, seed: as `plan`; of no effect on what is planned already.
        callbacks: who is told, one or several: `archsearch.TensorBoard("logs")`.
        others: see `Runtime`; time_budget_seconds: from this call on.

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
        callbacks=CallbackList([callbacks] if isinstance(callbacks, RunCallbacks) else callbacks),
    )
    if isinstance(study, str | Path):
        study = plan_study(study, runtime, trials=trials, overrides=overrides, seed=seed)
    return run_plan(study, runtime)


def plan_study(
    study: str | Path,
    runtime: Runtime,
    *,
    trials: int | None = None,
    overrides: Overrides = (),
    seed: int | None = None,
) -> RunPlan:
    """As `plan`, for a runtime."""
    if seed is not None:
        overrides = {**read_overrides(overrides), "seed": seed}
    return plan_config(load_study(study, overrides), runtime, trials=trials)


def plan_config(config: StudyConfig, runtime: Runtime, *, trials: int | None = None) -> RunPlan:
    """As `plan`, for a study that is read already. One that is stored keeps the rules by which its images are read."""
    stored = _stored(config.name, runtime.storage)
    former = stored is not None and RULES_FACT not in stored.facts
    return plan_run(config, runtime, trials=trials, former=former)


def _stored(name: str, storage: str | None) -> StudyInfo | None:
    try:
        return open_study(name, storage=storage).info
    except (UnknownNameError, NothingStoredError):
        return None


def check(planned: RunPlan, *, storage: str | None = None) -> None:
    """Check a plan against the stored study of its name, if there is one, as `run_plan` would.

    Raises StudyChangedError that says what differs, ConfigError or StoreError for the database.
    """
    with suppress(NothingStoredError):
        open_database(storage, create=False, entering=planned.config.name).close()
    stored = _stored(planned.config.name, storage)
    if stored is not None:
        check_unchanged(planned, stored)


def run_plan(planned: RunPlan | DesignPlan, runtime: Runtime) -> Study:
    """Run a plan, or go on with it; a design that has more seeds than it had gets the trainings that it lacks.

    Raises as `run`.
    """
    if isinstance(planned, DesignPlan):
        planned = planned.plan
    database = open_database(runtime.storage, create=True, entering=planned.config.name)
    folder = study_folder(planned.config.name) / "workers"
    if database.sqlite_file is None:  # machines that share a folder would write into each other's logs
        folder /= socket.gethostname()
    try:
        run_study(planned, database, runtime, folder=folder)
    finally:
        database.close()
    return open_study(planned.config.name, storage=runtime.storage)
