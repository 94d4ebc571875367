"""archsearch: which design choices of a lightweight CNN are worth their cost on your device.

    import archsearch
    study = archsearch.run("quickstart")
    print(study.recommendation)
    model = archsearch.load(archsearch.retrain("quickstart", trial="best", epochs=3).folder)

Every command has a function of its name: `archsearch compare` is `archsearch.compare`, `archsearch target check` is
`archsearch.target_check`. Everything is imported when it is first used, so that `import archsearch` costs nothing.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from archsearch.version import __version__ as __version__

if TYPE_CHECKING:
    from archsearch.analysis.ablation import Ablation
    from archsearch.analysis.comparison import Comparison
    from archsearch.analysis.confirmed import Confirmed
    from archsearch.analysis.study_front import StudyFront
    from archsearch.analysis.trust import Trust
    from archsearch.api.compare import compare
    from archsearch.api.data import data
    from archsearch.api.describe import Description, audit, describe
    from archsearch.api.designs import ablate, confirm, trust
    from archsearch.api.export import export
    from archsearch.api.guidelines import guidelines
    from archsearch.api.measure import MeasuredNetwork, measure
    from archsearch.api.networks import create_model
    from archsearch.api.papers import papers
    from archsearch.api.replay import replay
    from archsearch.api.retrain import Retrained, retrain
    from archsearch.api.run import plan, run
    from archsearch.api.schema import schema
    from archsearch.api.servers import dashboard, serve_storage
    from archsearch.api.studies import studies
    from archsearch.api.study import Study, all_studies, open_study, pareto, plot, report
    from archsearch.api.target import target_check, target_pool
    from archsearch.api.variants import variants
    from archsearch.errors import ArchsearchError
    from archsearch.models.families import build
    from archsearch.records import Cost, Epoch, Latency, Record, Score, TrialStatus
    from archsearch.search.runtime import CallbackList, RunCallbacks, Runtime
    from archsearch.search.trackers import MLflow, TensorBoard, WeightsAndBiases
    from archsearch.training.model_folder import evaluate_folder, load

# ONNX Runtime would write an identifier into the home folder and send what it runs to its maker, while it is measured.
# Who wants that sets it to 0. It is read when onnxruntime is imported, in the workers too.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_NAMES = {
    "analysis.ablation": "Ablation",
    "analysis.comparison": "Comparison",
    "analysis.confirmed": "Confirmed",
    "analysis.study_front": "StudyFront",
    "analysis.trust": "Trust",
    "api.compare": "compare",
    "api.data": "data",
    "api.describe": "Description audit describe",
    "api.designs": "ablate confirm trust",
    "api.export": "export",
    "api.guidelines": "guidelines",
    "api.measure": "MeasuredNetwork measure",
    "api.networks": "create_model",
    "api.papers": "papers",
    "api.replay": "replay",
    "api.retrain": "Retrained retrain",
    "api.run": "plan run",
    "api.schema": "schema",
    "api.servers": "dashboard serve_storage",
    "api.studies": "studies",
    "api.study": "Study all_studies open_study pareto plot report",
    "api.target": "target_check target_pool",
    "api.variants": "variants",
    "errors": "ArchsearchError",
    "models.families": "build",
    "records": "Cost Epoch Latency Record Score TrialStatus",
    "search.runtime": "CallbackList RunCallbacks Runtime",
    "search.trackers": "MLflow TensorBoard WeightsAndBiases",
    "training.model_folder": "evaluate_folder load",
}
_HOMES = {name: f"archsearch.{home}" for home, names in _NAMES.items() for name in names.split()}

__all__ = [
    "Ablation",
    "ArchsearchError",
    "CallbackList",
    "Comparison",
    "Confirmed",
    "Cost",
    "Description",
    "Epoch",
    "Latency",
    "MLflow",
    "MeasuredNetwork",
    "Record",
    "Retrained",
    "RunCallbacks",
    "Runtime",
    "Score",
    "Study",
    "StudyFront",
    "TensorBoard",
    "TrialStatus",
    "Trust",
    "WeightsAndBiases",
    "ablate",
    "all_studies",
    "audit",
    "build",
    "compare",
    "confirm",
    "create_model",
    "dashboard",
    "data",
    "describe",
    "evaluate_folder",
    "export",
    "guidelines",
    "load",
    "measure",
    "open_study",
    "papers",
    "pareto",
    "plan",
    "plot",
    "replay",
    "report",
    "retrain",
    "run",
    "schema",
    "serve_storage",
    "studies",
    "target_check",
    "target_pool",
    "trust",
    "variants",
]


_MODULES = ("data", "export", "papers", "report")  # named as a command is


class _Called(ModuleType):
    """A module of ours that, called, is the command's function: both are `archsearch.data`, and each works."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return _function(self.__name__.rpartition(".")[2])(*arguments, **options)

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(_function(self.__name__.rpartition(".")[2]))

    def __reduce__(self) -> tuple[Any, ...]:
        """By name, as functions are: a pool of processes takes it."""
        return import_module, (self.__name__,)


class _Archsearch(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        """Python sets a module here when it is imported for the first time."""
        if name in _MODULES:
            value.__class__ = _Called
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Archsearch


def _function(name: str) -> Any:
    return getattr(import_module(_HOMES[name]), name)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'archsearch' has no attribute '{name}'")
    return import_module(f"archsearch.{name}") if name in _MODULES else _function(name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
