"""Reports of made-up studies: records by arithmetic, the rest of what a stored study says as a real one has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from makers import make_record, make_study

from archsearch.analysis.baseline import baselines_of
from archsearch.analysis.canary import canary_of
from archsearch.analysis.front import front_of
from archsearch.analysis.recommendation import recommendation_of
from archsearch.analysis.verdicts import verdicts_of
from archsearch.plots.catalog import PlotData
from archsearch.records import Record
from archsearch.report.data import ReportData


def make_data(
    records: Sequence[Record], *, study: str = "study", noise_floor: float = 0.0, **changes: Any
) -> ReportData:
    """What a report is made of; `changes` replaces fields of ReportData."""
    point = (90.0, 40.0)
    front = front_of(records, reference_point=point, noise_floor=noise_floor)
    recommendation = recommendation_of(front, records)
    facts: dict[str, Any] = {
        "plots": PlotData(
            records=tuple(records),
            study=study,
            dataset="cifar10",
            reference_point=point,
            device_name="a processor",
            noise_floor=front.noise_floor,
            canary=canary_of(records, drift_tolerance=0.25),
            bases=baselines_of(records),
            recommended=recommendation.trial,
        ),
        "recommendation": recommendation,
        "front": front,
        "verdicts": verdicts_of(records, front),
        "config": {
            "dataset": "cifar10",
            "seed": 0,
            "sampler": "ehvi",
            "space": "shufflenet_v2",
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
