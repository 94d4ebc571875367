"""A study such as a real search leaves behind, made by arithmetic and a seeded generator."""

from __future__ import annotations

import math
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch.analysis.study_front import StudyFront
from archsearch.records import Record, TrialStatus

_FACTORY = runpy.run_path(str(Path(__file__).parents[1] / "analysis" / "conftest.py"))
make_record: Callable[..., Record] = _FACTORY["make_record"]
make_front: Callable[..., StudyFront] = _FACTORY["make_front"]

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


@pytest.fixture(name="make_record")
def make_record_fixture() -> Callable[..., Record]:
    return make_record


@pytest.fixture(name="make_front")
def make_front_fixture() -> Callable[..., StudyFront]:
    return make_front


@pytest.fixture
def study_records() -> list[Record]:
    return make_study()
