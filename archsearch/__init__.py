"""archsearch: which design choices of a lightweight CNN are worth their cost on your device.

    import archsearch
    study = archsearch.run("quickstart")
    print(study.recommendation)
    model = archsearch.load(archsearch.retrain("quickstart", trial="best", epochs=3).folder)

Everything is imported when it is first used, so that `import archsearch` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archsearch.analysis.comparison import Comparison
    from archsearch.api.compare import compare
    from archsearch.api.describe import Description, describe
    from archsearch.api.measure import MeasuredNetwork, measure
    from archsearch.api.networks import create_model
    from archsearch.api.retrain import Retrained, retrain
    from archsearch.api.run import plan, run
    from archsearch.api.study import Study, all_studies, open_study
    from archsearch.errors import ArchsearchError
    from archsearch.models.families import build
    from archsearch.records import Cost, Epoch, Latency, Record, Score, TrialStatus
    from archsearch.search.runtime import RunCallbacks, Runtime
    from archsearch.training.model_folder import evaluate_folder, load

__version__ = "0.1.0"

# ONNX Runtime would write an identifier into the home folder and send what it runs to its maker, while it is measured.
# Who wants that sets it to 0. It is read when onnxruntime is imported, in the workers too.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "Comparison": "archsearch.analysis.comparison",
    "compare": "archsearch.api.compare",
    "Description": "archsearch.api.describe",
    "describe": "archsearch.api.describe",
    "MeasuredNetwork": "archsearch.api.measure",
    "measure": "archsearch.api.measure",
    "create_model": "archsearch.api.networks",
    "Retrained": "archsearch.api.retrain",
    "retrain": "archsearch.api.retrain",
    "plan": "archsearch.api.run",
    "run": "archsearch.api.run",
    "Study": "archsearch.api.study",
    "all_studies": "archsearch.api.study",
    "open_study": "archsearch.api.study",
    "ArchsearchError": "archsearch.errors",
    "build": "archsearch.models.families",
    "Cost": "archsearch.records",
    "Epoch": "archsearch.records",
    "Latency": "archsearch.records",
    "Record": "archsearch.records",
    "Score": "archsearch.records",
    "TrialStatus": "archsearch.records",
    "RunCallbacks": "archsearch.search.runtime",
    "Runtime": "archsearch.search.runtime",
    "evaluate_folder": "archsearch.training.model_folder",
    "load": "archsearch.training.model_folder",
}

__all__ = [
    "ArchsearchError",
    "Comparison",
    "Cost",
    "Description",
    "Epoch",
    "Latency",
    "MeasuredNetwork",
    "Record",
    "Retrained",
    "RunCallbacks",
    "Runtime",
    "Score",
    "Study",
    "TrialStatus",
    "all_studies",
    "build",
    "compare",
    "create_model",
    "describe",
    "evaluate_folder",
    "load",
    "measure",
    "open_study",
    "plan",
    "retrain",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'archsearch' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
