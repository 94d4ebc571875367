"""Records made by hand, for analysis and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from archsearch.analysis.baseline import baselines_of
from archsearch.analysis.canary import canary_of
from archsearch.analysis.front import DEFAULT_OBJECTIVES, front_of
from archsearch.analysis.recommendation import recommendation_of
from archsearch.analysis.study_front import StudyFront
from archsearch.analysis.verdicts import verdicts_of
from archsearch.records import Cost, Epoch, Latency, Record, Score, StudyBatch, TrialStatus


def make_record(
    trial: int,
    *,
    top1: float | None = 50.0,
    p10: float | None = 5.0,
    params: int = 1_000_000,
    macs: int = 40_000_000,
    variant: str | None = None,
    status: TrialStatus = TrialStatus.COMPLETE,
    study: str = "study",
    reason: str | None = None,
    choices: dict[str, Any] | None = None,
    arch_id: str | None = None,
    curve: tuple[Epoch, ...] = (),
    **conditions: Any,
) -> Record:
    """A record; `top1` or `p10` of None leaves score or latency out. `conditions` overrides fields of both."""
    latency_facts: dict[str, Any] = {
        "ratio_to_reference": (p10 or 0.0) / 4.0,
        "reference": "shufflenet_v2_x0_5",
        "reference_p10_ms": 4.0,
        "n": 200,
        "bursts": 20,
        "half_split_difference": 0.004,
        "converged": True,
        "contended": False,
        "device": "cpu",
        "backend": "torch",
        "batch": 1,
        "threads": 1,
        "input_size": 32,
        "fingerprint": "f00dfeedbeef",
        "measure_seconds": 1.5,
    }
    score_facts: dict[str, Any] = {
        "epochs": 8,
        "seed": 0,
        "split": "validation",
        "train_images": 10_000,
        "eval_images": 2_000,
        "protocol": "one-cycle",
        "train_seconds": 30.0,
        "images_per_second": 2_600.0,
    }
    latency_facts.update({key: value for key, value in conditions.items() if key in latency_facts})
    score_facts.update({key: value for key, value in conditions.items() if key in score_facts})
    return Record(
        study=study,
        trial=trial,
        arch_id=arch_id or f"{trial:012x}",
        family="shufflenet_v2",
        choices=choices if choices is not None else {"stage2.kernel": 3, "stage3.attention": "none"},
        suggested={},
        status=status,
        variant=variant,
        reason=reason,
        cost=Cost(params=params, macs=macs, input_size=32, num_classes=10),
        latency=None if p10 is None else Latency(p10_ms=p10, median_ms=1.04 * p10, p90_ms=1.15 * p10, **latency_facts),
        score=None if top1 is None else Score(top1_percent=top1, device="cpu", curve=curve, **score_facts),
        seconds=40.0,
    )


def make_front(
    records: Sequence[Record],
    *,
    study: str = "s",
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    reference_point: Sequence[float] | None = (90.0, 30.0),
    noise_floor: float = 0.0,
    latency_batch: StudyBatch | None = None,
    **known: Any,
) -> StudyFront:
    """The front of a study of these records; `known` are fields of StudyFront."""
    front = front_of(records, objectives, reference_point, noise_floor=noise_floor, latency_batch=latency_batch)
    found: dict[str, Any] = {
        "verdicts": verdicts_of(records, front),
        "recommendation": recommendation_of(front, records),
        "canary": canary_of(records, drift_tolerance=0.25),
        "bases": baselines_of(records),
    }
    return StudyFront(**{**vars(front), **found, **known}, study=study)


@pytest.fixture(name="make_record")
def make_record_fixture() -> Callable[..., Record]:
    return make_record
