"""Reports of made-up studies: records by arithmetic, the rest of what a stored study says as a real one has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from makers import make_front, make_record, make_study

from archsearch.analysis.history import hypervolume_history, learning_curves
from archsearch.analysis.means import means_of
from archsearch.records import Record
from archsearch.report.study_sections import ReportData


def make_data(
    records: Sequence[Record], *, study: str = "study", noise_floor: float = 0.0, **changes: Any
) -> ReportData:
    """What a report is made of; `changes` replaces fields of ReportData, or of its front."""
    known = {name: changes.pop(name) for name in ("design", "named", "retrainings", "latency_batch") if name in changes}
    front = make_front(
        means_of(records) if "design" in known else records, study=study, reference_point=(90.0, 40.0),
        noise_floor=noise_floor, dataset="cifar10", device_name="a processor", **known,
    )  # fmt: skip
    facts: dict[str, Any] = {
        "results": {
            "front": front,
            "curves": learning_curves(records, [row.record.trial for row in front.members], study=study),
            "history": hypervolume_history(records, reference_point=(90.0, 40.0)),
        },
        "records": tuple(records),
        "front": front,
        "config": {
            "dataset": "cifar10",
            "seed": 0,
            "sampler": "ehvi",
            "proxy": {"epochs": 8, "validation_images": 2000},
            "latency": {"bursts": 20},
            "constraints": {"params": None},
        },
        "facts": {
            "archsearch": "0.1.0",
            "device": {"cpu": "a processor"},
            "command": "archsearch run",
            "num_classes": 10,
        },
        "reference_point": {"error_percent": 90.0, "latency_ms": 40.0},
        "space": {"name": "shufflenet_v2", "fixed": {}},
        "space_fingerprint": "0123456789ab",
        "command": "archsearch report",
    }
    return ReportData(**{**facts, **changes})


@pytest.fixture(name="make_record")
def make_record_fixture() -> Callable[..., Record]:
    return make_record


@pytest.fixture(name="make_study")
def make_study_fixture() -> Callable[..., list[Record]]:
    return make_study


@pytest.fixture(name="make_data")
def make_data_fixture() -> Callable[..., ReportData]:
    return make_data
