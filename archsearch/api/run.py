"""Run a study, or say what a run would do."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from archsearch.api.places import open_database, study_folder
from archsearch.api.study import Study, open_study
from archsearch.data.images import OnDecoded
from archsearch.data.rules import RULES_FACT
from archsearch.errors import NothingStoredError, UnknownNameError
from archsearch.overrides import Overrides, read_overrides
from archsearch.search.config import load_study
from archsearch.search.plan import RunPlan, check_unchanged, plan_run
from archsearch.search.run import Limits, Progress, run_study
from archsearch.store.studies import StudyInfo


def plan(
    study: str | Path,
    *,
    trials: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    data_dir: Path | None = None,
    overrides: Overrides = (),
    seed: int | None = None,
    storage: str | None = None,
    command: str | None = None,
) -> RunPlan:
    """Check a study's YAML against its space, its data and this machine, without storing anything.

    Args:
        study: a shipped study's name, or the path of a YAML file.
        trials: total of trials, in place of the study's own.
        workers: worker processes, in place of the study's own.
        device: auto, cpu, cuda or cuda:N.
        data_dir: where datasets are kept.
        overrides: other values for keys of the study, `{"proxy.epochs": 3}`, or texts, `["proxy.epochs=3"]`.
        seed: in place of the study's own.
        storage: where a study of this name may be stored: how its images are read is kept.
        command: what was typed, stored with a new study.

    Raises ConfigError, DataError or BuildError.
    """
    if seed is not None:
        overrides = {**read_overrides(overrides), "seed": seed}
    config = load_study(study, overrides)
    stored = _stored(config.name, storage)
    return plan_run(
        config,
        trials=trials,
        workers=workers,
        device=device,
        data_dir=data_dir,
        command=command,
        former=stored is not None and RULES_FACT not in stored.facts,
    )


def _stored(name: str, storage: str | None) -> StudyInfo | None:
    try:
        return open_study(name, storage=storage).info
    except (UnknownNameError, NothingStoredError):
        return None


def check(planned: RunPlan, *, storage: str | None = None) -> None:
    """Check a plan against the stored study of its name, if there is one, as `run` would.

    Raises StudyChangedError that says what differs, ConfigError or StoreError for the database.
    """
    stored = _stored(planned.config.name, storage)
    if stored is not None:
        check_unchanged(planned, stored)


def run(
    study: str | Path | RunPlan,
    *,
    trials: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    data_dir: Path | None = None,
    overrides: Overrides = (),
    seed: int | None = None,
    storage: str | None = None,
    time_budget_seconds: float | None = None,
    plateau_trials: int | None = None,
    optuna_proxy: str | None = None,
    on_begun: Callable[[StudyInfo], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_decoded: OnDecoded | None = None,
) -> Study:
    """Run a study until it has `trials` trials in all; called again it continues, and does nothing when all are done.

    Called at the same time on other machines with a server's `storage`, all work on the one study.

    Args: as `plan`, and
        storage: a database URL as SQLAlchemy takes it; None: SQLite at runs/archsearch.db.
        time_budget_seconds: from this call on; afterwards no new trial starts, and running ones are finished.
        plateau_trials: no new trial starts once the hypervolume is flat over so many ended trials.
        optuna_proxy: HOST:PORT of an `archsearch proxy` of the same database, for hundreds of workers.
        on_begun: called once, with the study as it is stored, before its workers start.
        on_progress: called about twice a second.
        on_decoded: called with how many pictures are decoded, and of how many, before the workers start.

    Raises what `plan` raises, StudyChangedError if the study is stored with another protocol, StoreError for a
    database that cannot be used, and KeyboardInterrupt after the workers have ended cleanly.
    """
    began = time.monotonic()
    planned = (
        study
        if isinstance(study, RunPlan)
        else plan(
            study,
            trials=trials,
            workers=workers,
            device=device,
            data_dir=data_dir,
            overrides=overrides,
            seed=seed,
            storage=storage,
        )
    )
    if time_budget_seconds is not None:
        time_budget_seconds -= time.monotonic() - began
    database = open_database(storage, create=True)
    folder = study_folder(planned.config.name) / "workers"
    if database.sqlite_file is None:  # machines that share a folder would write into each other's logs
        folder /= socket.gethostname()
    try:
        run_study(
            planned,
            database,
            folder=folder,
            data_dir=data_dir,
            limits=Limits(time_budget_seconds=time_budget_seconds, plateau_trials=plateau_trials),
            optuna_proxy=optuna_proxy,
            on_begun=on_begun,
            on_progress=on_progress,
            on_decoded=on_decoded,
        )
    finally:
        database.close()
    return open_study(planned.config.name, storage=storage)
