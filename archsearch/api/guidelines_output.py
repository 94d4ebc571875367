"""The guideline experiments as a page, a picture and plain data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from archsearch.analysis.guideline_report import (
    GuidelinesReport,
    RowReport,
    SampleReport,
    TableReport,
)
from archsearch.analysis.guideline_text import speed_unit
from archsearch.analysis.guidelines import GuidelineVerdict

PNG_SIZE = (1400, 1040)


def write_page(report: GuidelinesReport, path: Path, *, command: str | None = None) -> Path:
    """Write the self-contained HTML page; returns its path."""
    from archsearch.plots.guidelines_page import write_guidelines_page

    write_guidelines_page(report, path, command=command)
    return path


def write_picture(report: GuidelinesReport, path: Path) -> Path:
    """Write the panels as a PNG; returns its path. Raises ArchsearchError without the extra `png` or a browser."""
    from archsearch.plots.guidelines import guidelines_figure, guidelines_info
    from archsearch.plots.image import write_png

    width, height = PNG_SIZE
    figure = guidelines_figure(guidelines_info(report), width=width, height=height)
    write_png(figure, path, width=width, height=height, scale=1.5)
    return path


def to_dict(report: GuidelinesReport) -> dict[str, Any]:
    """Plain data for JSON."""
    return {
        "device": report.device,
        "device_name": report.device_name,
        "backend": report.backend,
        "batch": report.batch,
        "threads": report.threads,
        "precision": report.precision,
        "fingerprint": report.fingerprint,
        "facts": dict(report.facts),
        "channels_of": report.printed_column,
        "quick": report.quick,
        "measured_on": list(report.measured),
        "speed_unit": speed_unit(report),
        "verdicts": {table.experiment.guideline: str(table.verdict.verdict) for table in report.tables},
        "warnings": list(report.warnings),
        "tables": [_table(table) for table in report.tables],
        "sample": None if report.sample is None else _sample(report.sample),
    }


def _table(table: TableReport) -> dict[str, Any]:
    return {
        "table": table.experiment.table,
        "guideline": table.experiment.guideline,
        "claim": table.experiment.claim,
        "verdict": str(table.verdict.verdict),
        "printed_verdicts": {device: _verdicts(verdict) for device, verdict in table.printed_verdicts.items()},
        "growth": None if table.growth is None else asdict(table.growth),
        "columns": [
            {
                "column": column.column.scale_text,
                "verdict": str(column.verdict.verdict),
                "noise_floor": column.verdict.floor,
                "trends": {name: str(trend) for name, trend in column.verdict.trends.items()},
                "rows": [_row(row) for row in column.rows],
            }
            for column in table.columns
        ],
    }


def _verdicts(found: GuidelineVerdict) -> dict[str, Any]:
    return {"verdict": str(found.verdict), "columns": [str(column.verdict) for column in found.columns]}


def _row(row: RowReport) -> dict[str, Any]:
    found, latency = row.compared, row.latency
    return {
        "row": row.row.label,
        "channels": row.row.network.channels_text,
        "macs": row.row.network.macs,
        "p10_ms": latency.p10_ms,
        "median_ms": latency.median_ms,
        "p90_ms": latency.p90_ms,
        "runs_per_second": row.runs_per_second,
        "n": latency.n,
        "bursts": latency.bursts,
        "converged": latency.converged,
        "contended": latency.contended,
        "attempts": latency.attempts,
        "ratio_to_best": latency.ratio_to_reference,
        "ratio_low": latency.ratio_low,
        "ratio_high": latency.ratio_high,
        "time_per_mac_to_best": None
        if found is None
        else {"value": found.cost, "low": found.cost_low, "high": found.cost_high, "reading": str(found.speed)},
        "printed": {
            device: {
                "channels": printed.network.channels_text,
                "speed": printed.speed,
                "unit": printed.unit,
                "time_per_mac_to_best": row.printed_costs[device],
            }
            for device, printed in row.row.printed.items()
        },
    }


def _sample(sample: SampleReport) -> dict[str, Any]:
    found = sample.regression
    return {
        "space": sample.space,
        "input_size": sample.input_size,
        "seed": sample.seed,
        "overhead": sample.overhead,
        "alone": [asdict(each) for each in found.alone],
        "together": asdict(found.together),
        "constant": list(found.constant),
        "networks": [asdict(network) for network in sample.networks],
    }
