"""Run a study, or say what a run would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from archsearch.api.places import open_database, study_folder
from archsearch.api.study import Study, open_study
from archsearch.errors import NothingStoredError, UnknownNameError
from archsearch.search.config import load_study
from archsearch.search.plan import RunPlan, check_unchanged, plan_run
from archsearch.search.run import Progress, run_study


def plan(
    study: str,
    *,
    trials: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    data_dir: Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    command: str | None = None,
) -> RunPlan:
    """Check a study's YAML against its space, its data and this machine, without storing anything.

    Args:
        study: a shipped study's name, or the path of a YAML file.
        trials: total of trials, in place of the study's own.
        workers: worker processes, in place of the study's own.
        device: auto, cpu, cuda or cuda:N.
        data_dir: where datasets are kept.
        overrides: `key=value` in dotted form, as after `--set`.
        seed: in place of the study's own.
        command: what was typed, stored with a new study.

    Raises ConfigError, DataError or BuildError.
    """
    if seed is not None:
        overrides = [*overrides, f"seed={seed}"]
    config = load_study(study, overrides)
    return plan_run(config, trials=trials, workers=workers, device=device, data_dir=data_dir, command=command)


def check(planned: RunPlan, *, storage: str | None = None) -> None:
    """Check a plan against the stored study of its name, if there is one, as `run` would.

    Raises StudyChangedError that says what differs, ConfigError or StoreError for the database.
    """
    try:
        stored = open_study(planned.config.name, storage=storage).info
    except (UnknownNameError, NothingStoredError):
        return
    check_unchanged(planned, stored)


def run(
    study: str | RunPlan,
    *,
    trials: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    data_dir: Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    storage: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Study:
    """Run a study until it has `trials` trials in all; called again it continues, and does nothing when all are done.

    Args: as `plan`, and
        storage: a database URL as SQLAlchemy takes it; None: SQLite at runs/archsearch.db.
        on_progress: called about twice a second.

    Raises what `plan` raises, StudyChangedError if the study is stored with another protocol, StoreError for a
    database that cannot be used, and KeyboardInterrupt after the workers have ended cleanly.
    """
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
        )
    )
    database = open_database(storage, create=True)
    try:
        run_study(
            planned,
            database,
            folder=study_folder(planned.config.name) / "workers",
            data_dir=data_dir,
            on_progress=on_progress,
        )
    finally:
        database.close()
    return open_study(planned.config.name, storage=storage)
