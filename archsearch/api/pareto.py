"""The front of a study as tables and plain data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.analysis.canary import Canary
from archsearch.analysis.recommendation import Recommendation
from archsearch.analysis.tables import front_table, verdict_table
from archsearch.files import write_atomically
from archsearch.noise import NoiseFloor
from archsearch.table import csv_text

if TYPE_CHECKING:
    from archsearch.api.study import Study


def write_table(study: Study, path: Path) -> Path:
    """Write every complete trial as CSV, the front marked; returns its path."""
    write_atomically(path, csv_text(front_table(study.front)).encode())
    return path


def front_json(study: Study) -> dict[str, Any]:
    """The front, the verdicts and the hypervolume as plain data."""
    front = study.front
    return {
        "study": study.name,
        "objectives": list(front.objectives),
        "counts": dict(study.counts),
        "reference_point": None if front.reference_point is None else list(front.reference_point),
        "hypervolume": front.hypervolume,
        "hypervolume_share": front.hypervolume_share,
        "noise_floor": front.noise_floor.relative,
        "noise_floor_basis": floor_json(front.noise_floor),
        "latency_batch": None
        if front.latency_batch is None
        else {**asdict(front.latency_batch), "on_launch_floor": front.latency_batch.on_launch_floor},
        "canary": canary_json(study.canary),
        "recommendation": recommendation_json(study.recommendation),
        "knee_trial": None if front.knee is None else front.knee.record.trial,
        "front": front_table(front, only_front=True),
        "variants": [{**row, "reading": study.readings.get(row["variant"])} for row in verdict_table(study.verdicts)],
        "warnings": list(front.warnings),
    }


def recommendation_json(found: Recommendation) -> dict[str, Any]:
    """The recommendation as plain data; networks stand by their trials."""
    published = found.published
    return {
        "trial": found.trial,
        "network": None if found.record is None else found.record.label,
        "arch_id": None if found.record is None else found.record.arch_id,
        "sentence": found.sentence,
        "reason": found.reason,
        "published": None
        if published is None
        else {
            "trial": published.record.trial,
            "network": published.record.variant or published.record.label,
            "beaten": published.beaten,
            "accuracy_points": published.accuracy.points,
            "accuracy_low": published.accuracy.low,
            "accuracy_high": published.accuracy.high,
            "accuracy_told_apart": published.accuracy.told_apart,
            "lower_percent": {each.objective: each.percent for each in published.costs},
            "told_apart": {each.objective: each.told_apart for each in published.costs},
            "sentence": published.sentence,
        },
        "runners_up": [each.record.trial for each in found.runners_up],
        "roles": [{"trial": role.candidate.record.trial, "roles": list(role.names)} for role in found.roles],
        "notes": list(found.notes),
        "warnings": list(found.warnings),
    }


def floor_json(floor: NoiseFloor) -> dict[str, Any]:
    """What a noise floor rests on, as plain data, and how it grows with the latency (null: it does not)."""
    growth = (
        None
        if floor.growth == 0.0
        else {"power": floor.growth, "at_ms": floor.at_ms, "from_ms": floor.from_ms, "to_ms": floor.to_ms}
    )
    return {
        "source": floor.source.value,
        "repeats": floor.repeats,
        "flagged": floor.flagged,
        "coverage": floor.coverage,
        "growth": growth,
    }


def canary_json(canary: Canary) -> dict[str, Any]:
    """The canary as plain data; drifts and shares are fractions (0.1 is 10 %), trials stand by their numbers."""
    return {
        "reference": list(canary.reference),
        "networks": canary.networks,
        "drift_min": canary.drift_min,
        "drift_median": canary.drift_median,
        "drift_max": canary.drift_max,
        "drift_tolerance": canary.drift_tolerance,
        "drifted_trials": [record.trial for record in canary.drifted],
        "unconverged_trials": [record.trial for record in canary.unconverged],
        "crowded_trials": [record.trial for record in canary.crowded],
        "measured_again": canary.measured_again,
        "repeats": [{**asdict(repeat), "moved": repeat.moved} for repeat in canary.repeats],
        "latency_seconds": canary.latency_seconds,
        "trial_seconds": canary.trial_seconds,
        "latency_share": canary.latency_share,
    }
