"""The front of a study as tables and plain data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from archsearch.analysis.canary import Canary
from archsearch.analysis.tables import front_table, verdict_table
from archsearch.api.study import Study
from archsearch.files import write_atomically
from archsearch.table import csv_text


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
        "noise_floor": front.noise_floor,
        "latency_batch": None
        if front.latency_batch is None
        else {**asdict(front.latency_batch), "on_launch_floor": front.latency_batch.on_launch_floor},
        "canary": canary_json(study.canary),
        "knee_trial": None if front.knee is None else front.knee.record.trial,
        "front": front_table(front, only_front=True),
        "variants": [{**row, "reading": study.readings.get(row["variant"])} for row in verdict_table(study.verdicts)],
        "warnings": list(front.warnings),
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
        "measured_again": canary.measured_again,
        "latency_seconds": canary.latency_seconds,
        "trial_seconds": canary.trial_seconds,
        "latency_share": canary.latency_share,
    }


def device_name(study: Study) -> str:
    """The device that the study's first run measured on, for people."""
    device = study.info.facts.get("device", {})
    return str(device.get("gpu") or device.get("cpu") or "unknown device")
