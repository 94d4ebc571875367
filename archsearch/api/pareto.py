"""The front of a study as a page, a picture and tables."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from archsearch.analysis.canary import Canary
from archsearch.analysis.tables import csv_text, front_table, verdict_table
from archsearch.api.study import Study
from archsearch.files import write_atomically
from archsearch.noise import NoiseFloor
from archsearch.plots.catalog import PLOTS
from archsearch.plots.front import FrontInfo
from archsearch.plots.front_figure import front_figure
from archsearch.plots.front_page import write_front_page
from archsearch.plots.image import write_png

PNG_SIZE = (1400, 860)


def write_page(study: Study, path: Path, *, command: str | None = None) -> Path:
    """Write the front as one self-contained HTML page; returns its path."""
    write_front_page(
        _info(study), study.front, study.verdicts, path, study=study.name, canary=study.canary, command=command
    )
    return path


def write_picture(study: Study, path: Path) -> Path:
    """Write the front as a PNG; returns its path. Raises ArchsearchError without the extra `png` or a browser."""
    width, height = PNG_SIZE
    write_png(front_figure(_info(study), width=width, height=height), path, width=width, height=height, scale=1.5)
    return path


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
        "canary": canary_json(study.canary),
        "knee_trial": None if front.knee is None else front.knee.record.trial,
        "front": front_table(front, only_front=True),
        "variants": [{**row, "reading": study.readings.get(row["variant"])} for row in verdict_table(study.verdicts)],
        "warnings": list(front.warnings),
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


def device_name(study: Study) -> str:
    """The device that the study's first run measured on, for people."""
    device = study.info.facts.get("device", {})
    return str(device.get("gpu") or device.get("cpu") or "unknown device")


def _info(study: Study) -> FrontInfo:
    from archsearch.api.plot_data import plot_data  # it takes the device's name from here

    info: FrontInfo = PLOTS["front"].info(plot_data(study, everything=False))
    return info
