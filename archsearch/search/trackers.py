"""Trials and epochs in the experiment trackers of the field: `RunCallbacks` that keep what they are told.

A tracker is named KIND:WHERE on a command line, and made by its class in Python.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from archsearch.errors import ArchsearchError, ConfigError, first_line
from archsearch.records import Epoch, Record, TrialStatus
from archsearch.registry import Registry
from archsearch.resources import user_path
from archsearch.search.runtime import RunCallbacks
from archsearch.store.studies import StudyInfo
from archsearch.training.event_file import EventFile, writer_type


class _ByLibrary(RunCallbacks):
    """Keeps what it is told by a library: `_called` in messages, with `_errors` of its own."""

    _called = ""
    _errors: tuple[type[Exception], ...] = ()

    def _failed(self, error: Exception) -> ArchsearchError:
        return ArchsearchError(
            f"{self._called} keeps no trials: {first_line(error)}",
            hint="what the study has stays: the same command goes on, also without this tracker",
        )


_T = TypeVar("_T", bound=_ByLibrary)
_P = ParamSpec("_P")


def _in_words(method: Callable[Concatenate[_T, _P], None]) -> Callable[Concatenate[_T, _P], None]:
    """A method of which the library's errors (no server, nobody logged in) are told in a sentence."""

    @wraps(method)
    def tell(self: _T, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except self._errors as error:
            raise self._failed(error) from error

    return tell


class TensorBoard(_ByLibrary):
    """Each trial as a run of TensorBoard, below FOLDER/STUDY: its curve, and its choices and values as HPARAMS.

    Args:
        folder: of all studies; `tensorboard --logdir` takes it.

    Raises ConfigError without the extra `tensorboard`; whatever it is told raises ArchsearchError for a file that
    cannot be written.
    """

    _called = "TensorBoard"
    _errors = (OSError,)

    def __init__(self, folder: str | Path) -> None:
        writer_type()  # whether it is there
        self._root = self._folder = user_path(folder)
        self._files: dict[int, EventFile] = {}

    def begun(self, study: StudyInfo) -> None:
        """Below the study's name from now on."""
        self._folder = self._root / study.name
        self._files.clear()

    @_in_words
    def epoch(self, trial: int, epoch: Epoch) -> None:
        """A point of the trial's curve."""
        self._file(trial).add(epoch)

    @_in_words
    def trial_ended(self, record: Record) -> None:
        """Its row of the table of runs; a trial without a network has none."""
        if not record.arch_id:
            return
        file = self._file(record.trial)
        file.add_table({"status": record.status.value, **_choices(record)}, _reached(record))
        file.close()
        del self._files[record.trial]

    def _file(self, trial: int) -> EventFile:
        if trial not in self._files:
            self._files[trial] = EventFile(self._folder / f"trial-{trial:05d}", split="validation")
        return self._files[trial]


_NOT_DONE = {TrialStatus.FAILED: "FAILED", TrialStatus.INTERRUPTED: "KILLED"}  # in MLflow's words


class MLflow(_ByLibrary):
    """Each study as an experiment of MLflow, and each trial as a run of it: choices as parameters, the curve and what
    the network reached as metrics.

    Args:
        uri: of a tracking server or a local store, such as sqlite:///mlflow.db.

    Raises ConfigError without the extra `mlflow`; it, and whatever it is told, ArchsearchError for what MLflow refuses.
    """

    _called = "MLflow"

    def __init__(self, uri: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would tell its maker what is called
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise ConfigError(f"MLflow cannot be imported: {error}", hint="pip install 'archsearch[mlflow]'") from error
        self._errors = (MlflowException,)
        try:
            self._client = MlflowClient(tracking_uri=uri)
        except self._errors as error:
            raise self._failed(error) from error
        self._experiment = self._begun = ""
        self._runs: dict[int, str] = {}

    @_in_words
    def begun(self, study: StudyInfo) -> None:
        """The study's experiment, as it is or made now."""
        found = self._client.get_experiment_by_name(study.name)
        tags = {"dataset": str(study.config["dataset"])}
        self._experiment = (
            self._client.create_experiment(study.name, tags=tags) if found is None else found.experiment_id
        )
        self._begun = study.created_at.isoformat()
        self._runs.clear()

    @_in_words
    def epoch(self, trial: int, epoch: Epoch) -> None:
        """A point of the trial's curve."""
        self._log(trial, _point(epoch), step=epoch.epoch)

    @_in_words
    def trial_ended(self, record: Record) -> None:
        """What its network is, and what it reached."""
        from mlflow.entities import Param, RunTag

        tags = {"status": record.status.value, "arch_id": record.arch_id, "variant": record.variant or ""}
        run = self._log(
            record.trial,
            _reached(record),
            params=[Param(key, str(value)) for key, value in _choices(record).items()],
            tags=[RunTag(key, value) for key, value in tags.items() if value],
        )
        self._client.set_terminated(run, status=_NOT_DONE.get(record.status, "FINISHED"))
        del self._runs[record.trial]

    def _log(self, trial: int, values: Mapping[str, float], *, step: int = 0, **more: Any) -> str:
        from mlflow.entities import Metric

        run = self._run(trial)
        now = int(time.time() * 1000)
        self._client.log_batch(run, metrics=[Metric(key, value, now, step) for key, value in values.items()], **more)
        return run

    def _run(self, trial: int) -> str:
        """The trial's run, which an earlier process may have begun; not that of an earlier study of the same name."""
        if trial not in self._runs:
            tags = {"archsearch.study_begun": self._begun, "archsearch.trial": str(trial)}
            wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
            begun = self._client.search_runs([self._experiment], filter_string=wanted, max_results=1)
            made = begun or [self._client.create_run(self._experiment, run_name=f"trial {trial}", tags=tags)]
            self._runs[trial] = made[0].info.run_id
        return self._runs[trial]


class WeightsAndBiases(_ByLibrary):
    """Each trial as a run of a Weights & Biases project, the trials of a study as one group: choices as configuration,
    the curve as history, what the network reached as summary.

    `WANDB_MODE=offline` keeps everything in the folder `wandb`, for `wandb sync`.

    Args:
        project: its name.

    Raises ConfigError without the extra `wandb`; whatever it is told raises ArchsearchError for what W&B refuses.
    """

    _called = "Weights & Biases"

    def __init__(self, project: str) -> None:
        try:
            import wandb
        except ImportError as error:
            hint = "pip install 'archsearch[wandb]'"
            raise ConfigError(f"Weights & Biases cannot be imported: {error}", hint=hint) from error
        self._wandb: Any = wandb
        self._errors = (wandb.Error,)
        self._project = project
        self._study = self._begun = ""
        self._runs: dict[int, Any] = {}

    def begun(self, study: StudyInfo) -> None:
        """In the group of the study's name from now on."""
        self._study, self._begun = study.name, f"{study.created_at:%Y%m%d%H%M%S}"
        self._runs.clear()

    @_in_words
    def epoch(self, trial: int, epoch: Epoch) -> None:
        """A point of the trial's curve."""
        self._run(trial).log(_point(epoch), step=epoch.epoch)

    @_in_words
    def trial_ended(self, record: Record) -> None:
        """What its network is, and what it reached."""
        run = self._run(record.trial)
        run.config.update({"status": record.status.value, "arch_id": record.arch_id, **_choices(record)})
        run.summary.update(_reached(record))
        run.finish(exit_code=int(record.status in _NOT_DONE))
        del self._runs[record.trial]

    def _run(self, trial: int) -> Any:
        """The trial's run, which an earlier process may have begun; not that of an earlier study of the same name."""
        if trial not in self._runs:
            self._runs[trial] = self._wandb.init(
                project=self._project,
                group=self._study,
                name=f"trial {trial}",
                id=f"{self._study}-{self._begun}-{trial}",
                resume="allow",
                reinit="create_new",
                settings=self._wandb.Settings(console="off", silent=True),
            )
        return self._runs[trial]


def _point(epoch: Epoch) -> dict[str, float]:
    """One epoch; its accuracy is of the validation split."""
    return {
        "train_loss": epoch.train_loss,
        "epoch_top1_percent": epoch.top1_percent,
        "learning_rate": epoch.learning_rate,
        "train_seconds": epoch.train_seconds,
    }


def _choices(record: Record) -> dict[str, bool | int | float | str]:
    """A network's choices as plain values."""
    named = {"network": record.label, "family": record.family, **record.choices}
    return {key: value if isinstance(value, bool | int | float) else str(value) for key, value in named.items()}


def _reached(record: Record) -> dict[str, float]:
    """What is known of a network, by name and unit."""
    found: dict[str, float | None] = {}
    if record.score is not None:
        found |= {
            "top1_percent": record.score.top1_percent,
            "balanced_top1_percent": record.score.balanced_top1_percent,
        }
    if record.latency is not None:
        found |= {"latency_ms": record.latency.corrected_ms, "latency_median_ms": record.latency.median_ms}
    if record.cost is not None:
        found |= {"params": record.cost.params, "macs": record.cost.macs, "memory_bytes": record.cost.memory_bytes}
    return {name: float(value) for name, value in found.items() if value is not None}


TRACKERS = Registry[Callable[[str], RunCallbacks]](
    "tracker", {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WeightsAndBiases}
)


def parse_tracker(named: str) -> tuple[Callable[[str], RunCallbacks], str]:
    """The kind that KIND:WHERE names, such as `tensorboard:logs`, and where it keeps what it is told.

    Raises ConfigError for what names none, UnknownNameError for another kind.
    """
    kind, colon, where = named.partition(":")
    if not colon or not where:
        hint = "for example tensorboard:logs or mlflow:sqlite:///mlflow.db"
        raise ConfigError(f"log {named}: expected KIND:WHERE", hint=hint)
    return TRACKERS[kind], where


def tracker(named: str) -> RunCallbacks:
    """The tracker that KIND:WHERE names. Raises as `parse_tracker` and the tracker do."""
    made, where = parse_tracker(named)
    return made(where)
