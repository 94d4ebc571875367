"""What a stored ablation found: effects, as data and as a page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from archsearch.analysis.ablation import Ablation, Effect, Interaction, ablation_of
from archsearch.api.places import study_folder
from archsearch.api.study import Study
from archsearch.designs import DesignPoint
from archsearch.errors import ConfigError

PAGE_SIZE = (1400, 760)


def ablation_result(study: Study, *, confidence: float = 0.95, spread: str = "own") -> Ablation:
    """What an ablation's study found so far.

    Args:
        confidence: of the intervals.
        spread: own: each effect's interval from its own differences; pooled: from one spread of all networks.

    Raises ConfigError if the study is no ablation, or for another spread.
    """
    from archsearch.api.analyses import base_levels

    if study.design is None or study.design.purpose != "ablation" or not study.design.points:
        raise ConfigError(f"study '{study.name}' is no ablation", hint=f"archsearch ablate --study {study.name}")
    if spread not in ("own", "pooled"):
        raise ConfigError(f"--spread {spread}: unknown", hint="own or pooled")
    return ablation_of(
        study.records,
        study.design,
        confidence=confidence,
        base_levels=base_levels(study, study.design),
        spread="pooled" if spread == "pooled" else "own",
    )


def write_forest(study: Study, found: Ablation, *, command: str | None = None) -> Path:
    """Write the effects of an ablation's study as one self-contained page in its folder; returns its path."""
    from archsearch.plots.ablation import ablation_info
    from archsearch.plots.catalog import PLOTS
    from archsearch.plots.page import write_page

    plot = PLOTS["ablation"]
    info = ablation_info(found, study=found.design.of)
    width, height = PAGE_SIZE
    path = study_folder(study.name) / "ablation.html"
    write_page(
        plot.figure(info, width=width, height=height),
        path,
        title=info.title,
        subtitle=info.subtitle,
        warnings=[*info.warnings, *([info.empty] if info.empty is not None else [])],
        tables=plot.tables(info),
        command=command,
    )
    return path


def ablation_json(study: Study, found: Ablation) -> dict[str, Any]:
    """The effects as plain data; what cannot be told is null."""
    return {
        "study": found.design.of,
        "design_study": study.name,
        "mode": found.design.mode,
        "seeds": list(found.design.seeds),
        "confidence": found.confidence,
        "comparisons": found.comparisons,
        "correction": found.correction,
        "method": found.method,
        "spread": found.spread,
        "base": {
            **_point(found.base),
            "top1_percent": _finite(found.base_top1_percent),
            "latency_ms": _finite(found.base_latency_ms),
            "n": found.base_n,
        },
        "effects": [
            {
                **_point(row.point),
                "choice": row.choice,
                "label": row.label,
                "top1": _effect(row.top1),
                "latency": _effect(row.latency),
                "latency_ms": _effect(row.latency_ms),
                "params": _effect(row.params),
                "macs": _effect(row.macs),
                "top1_percent": _finite(row.mean_top1_percent),
                "mean_latency_ms": _finite(row.mean_latency_ms),
                "answer": row.answer,
                "sentence": row.sentence,
            }
            for row in found.rows
        ],
        "interactions": [_interaction(each) for each in found.interactions],
        "answers": list(found.answers),
        "missing": [{"point": each.point, "seed": each.seed, "why": each.why} for each in found.missing],
        "pending": found.pending,
        "warnings": list(found.warnings),
    }


def _point(point: DesignPoint) -> dict[str, Any]:
    return {
        "point": point.name,
        "arch_id": point.arch_id,
        "changes": dict(point.changes),
        "variant": point.variant,
        "trial": point.trial,
    }


def _interaction(each: Interaction) -> dict[str, Any]:
    return {
        "point": each.point.name,
        "first": each.first.name,
        "second": each.second.name,
        "top1": _effect(each.top1),
        "latency": _effect(each.latency),
        "sentence": each.sentence,
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "unit": effect.unit,
        "estimate": _finite(effect.estimate),
        "low": _finite(effect.low),
        "high": _finite(effect.high),
        "alone_low": _finite(effect.alone_low),
        "alone_high": _finite(effect.alone_high),
        "n": effect.n,
        "exact": effect.exact,
        "finding": str(effect.finding),
        "differences": [_finite(value) for value in effect.differences],
        "note": effect.note,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
