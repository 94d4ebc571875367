"""Latencies, scores, records and studies made by hand: one maker of each, for tests of whatever shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from archsearch.analysis.baseline import baselines_of
from archsearch.analysis.canary import canary_of
from archsearch.analysis.front import DEFAULT_OBJECTIVES, front_of
from archsearch.analysis.recommendation import recommendation_of
from archsearch.analysis.study_front import StudyFront
from archsearch.analysis.verdicts import verdicts_of
from archsearch.records import Cost, Epoch, Latency, Record, Score, StudyBatch, TrialStatus


def make_latency(p10_ms: float = 5.0, **facts: Any) -> Latency:
    """Measured beside a reference of 4 ms; `facts` replaces whatever else is said of it."""
    told: dict[str, Any] = {
        "median_ms": 1.04 * p10_ms,
        "p90_ms": 1.15 * p10_ms,
        "ratio_to_reference": p10_ms / facts.get("reference_p10_ms", 4.0),
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
    return Latency(p10_ms=p10_ms, **(told | facts))


def make_score(top1_percent: float = 50.0, **facts: Any) -> Score:
    """Of a proxy on images held out of training; `facts` replaces whatever else is said of it."""
    told: dict[str, Any] = {
        "epochs": 8,
        "seed": 0,
        "split": "validation",
        "train_images": 10_000,
        "eval_images": 2_000,
        "protocol": "one-cycle",
        "train_seconds": 30.0,
        "images_per_second": 2_600.0,
        "device": "cpu",
    }
    return Score(top1_percent=top1_percent, **(told | facts))


_OF_A_LATENCY = {field.name for field in fields(Latency)}
_OF_A_SCORE = {field.name for field in fields(Score)} - {"device"}  # `device` is the one that was measured


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
    """A record; `top1` or `p10` of None leaves score or latency out. `conditions` replaces facts of both."""
    unknown = conditions.keys() - _OF_A_LATENCY - _OF_A_SCORE
    assert not unknown, f"neither a latency nor a score has {sorted(unknown)}"
    of_latency = {name: value for name, value in conditions.items() if name in _OF_A_LATENCY}
    of_score = {name: value for name, value in conditions.items() if name in _OF_A_SCORE}
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
        latency=None if p10 is None else make_latency(p10, **of_latency),
        score=None if top1 is None else make_score(top1, curve=curve, **of_score),
        seconds=40.0,
    )


# name, latency (ms), top-1 (%), params: close together in groups, as published variants of one width are
VARIANTS = (
    ("shufflenet_v2_x0_5", 2.31, 50.3, 352_042),
    ("shufflenet_v2_x0_5_authors", 2.38, 50.9, 351_000),
    ("shufflenet_v2_x1_0", 3.42, 54.6, 1_263_854),
    ("shufflenet_v2_x1_0_authors", 3.50, 54.9, 1_263_000),
    ("shufflenet_v2_x1_0_se_authors", 4.61, 55.8, 1_300_000),
    ("shufflenet_v2_x1_0_residual_authors", 3.71, 55.2, 1_290_000),
    ("shufflenet_v2_x1_0_se_residual_authors", 4.74, 56.1, 1_310_000),
    ("shufflenet_v2_star_x1_0", 4.35, 56.4, 1_320_000),
    ("shufflenet_v2_x1_5", 5.20, 56.2, 2_488_874),
    ("shufflenet_v2_x2_0", 8.10, 57.4, 5_365_526),
    ("shufflenet_v2_s_counted", 2.62, 49.4, 760_000),
    ("shufflenet_v2_s_described", 2.70, 49.9, 770_000),
    ("shufflenet_v2_x1_0_dc0", 6.90, 55.9, 1_270_000),
    ("shufflenet_v2_x1_0_ldc0", 5.11, 55.4, 1_266_000),
    ("shufflenet_v2_x1_0_ldc3", 4.30, 53.6, 1_100_000),
)


def make_study(count: int = 120, *, seed: int = 0) -> list[Record]:
    """The variants first, then seeded trials along a saturating cost-accuracy curve, a few of them not complete."""
    generator = np.random.default_rng(seed)
    base: dict[str, Any] = {f"stage{stage}.kernel": 3 for stage in (2, 3, 4)}
    base |= {f"stage{stage}.attention": "none" for stage in (2, 3, 4)} | {"stem.type": "conv", "stem.pool": True}
    records = [
        make_record(trial, top1=top1, p10=p10, params=params, variant=name, choices=base)
        for trial, (name, p10, top1, params) in enumerate(VARIANTS[:count])
    ]
    for trial in range(len(records), count):
        p10 = 2.0 * math.exp(generator.gamma(2.2, 0.35))
        top1 = 61.5 - 24.0 * math.exp(-p10 / 2.6) - generator.gamma(1.6, 2.2)
        choices = dict(base)
        for name in generator.choice(sorted(base), size=int(generator.integers(1, 5)), replace=False):
            kind = str(name).split(".")[1]
            options: dict[str, list[Any]] = {
                "kernel": [4, 5, 6, 7],
                "attention": ["se", "eca", "cbam", "simam"],
                "type": ["dcn", "ldc"],
                "pool": [False],
            }
            choices[str(name)] = options[kind][int(generator.integers(len(options[kind])))]
        failed = bool(generator.random() < 0.04)
        records.append(
            make_record(
                trial,
                top1=None if failed else round(top1, 2),
                p10=round(p10, 4),
                params=int(3e5 * p10),
                macs=int(1e7 * p10),
                choices=choices,
                status=TrialStatus.FAILED if failed else TrialStatus.COMPLETE,
                reason="DivergedError: the loss became NaN in epoch 2" if failed else None,
            )
        )
    return records


def make_noise(*, seed: int, count: int = 60) -> list[Record]:
    """A search whose ten choices (of 2 to 5 levels) are drawn at random and change nothing: the accuracy is noise."""
    levels = {f"choice{number}": 2 + number % 4 for number in range(10)}
    generator = np.random.default_rng(seed)
    return [
        replace(
            make_record(trial, top1=float(generator.normal(50.0, 3.0))),
            suggested={name: int(generator.integers(most)) for name, most in levels.items()},
        )
        for trial in range(count)
    ]


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
