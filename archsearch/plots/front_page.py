"""The page of a study's front: the figure, the front's table, the variants' verdicts, the conditions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archsearch.analysis.front import Front
from archsearch.analysis.verdicts import Verdict
from archsearch.plots.front import FrontInfo, FrontPoint
from archsearch.plots.front_figure import front_figure
from archsearch.plots.page import Cell, Column, Table, write_page


def write_front_page(
    info: FrontInfo, front: Front, verdicts: Sequence[Verdict], path: Path, *, study: str, command: str | None = None
) -> None:
    """Write the self-contained page of a front. Raises ArchsearchError if the file cannot be written.

    Args:
        info: `front_info(front, verdicts, ...)`.
        front, verdicts: what `info` was made of.
        path: of the HTML file.
        study: its name, as `archsearch retrain` takes it.
        command: what was typed to make the page.
    """
    facts = [
        (name.replace("_", " ").capitalize(), ", ".join(str(value) for value in values))
        for name, values in vars(front.conditions).items()
        if values
    ]
    facts.append(("Objectives (lower is better)", ", ".join(front.objectives)))
    if front.reference_point is not None and front.hypervolume is not None:
        facts.append(("Reference point", ", ".join(f"{value:g}" for value in front.reference_point)))
        facts.append(("Hypervolume", f"{front.hypervolume:.6g}"))
    write_page(
        front_figure(info, width=1400, height=760),
        path,
        title=info.title,
        subtitle=info.subtitle,
        warnings=info.warnings,
        tables=(front_points_table(info, study=study), verdicts_table(info, verdicts)),
        facts=facts,
        command=command,
    )


def front_points_table(info: FrontInfo, *, study: str) -> Table:
    """The networks on the front, by latency."""
    numbers = {mark.point.trial: mark.number for mark in info.marks}
    columns = (
        Column(title="#", decimals=0),
        Column(title="Network", whole=True),
        Column(title="Trial", decimals=0),
        Column(title="Top-1 (%)", decimals=2),
        Column(title="Latency (ms)", decimals=3),
        Column(title="p10 (ms)", decimals=3),
        Column(title="Median (ms)", decimals=3),
        Column(title="p90 (ms)", decimals=3),
        Column(title="Runs", decimals=0),
        Column(title="Params", decimals=0),
        Column(title="Macs", decimals=0),
        Column(title="Choices that differ from the base"),
        Column(title="arch_id", whole=True),
    )
    rows = tuple(_front_row(point, info.knee, numbers.get(point.trial)) for point in info.points if point.on_front)
    return Table(
        title="The front",
        columns=columns,
        rows=rows,
        note="Latency: p10 corrected for the device's drift since the study began; p10, median and p90: as timed. "
        f"Train one of them in full: archsearch retrain --study {study} --trial TRIAL",
    )


def verdicts_table(info: FrontInfo, verdicts: Sequence[Verdict]) -> Table:
    """The named variants, by latency, each with its verdict; `#` is its number in the figure."""
    numbers = {mark.name: mark.number for mark in info.marks}
    readings = {mark.name: mark.reading for mark in info.marks}
    columns = (
        Column(title="#", decimals=0),
        Column(title="Variant", whole=True),
        Column(title="Verdict", whole=True),
        Column(title="By", whole=True),
        Column(title="Accuracy lost (points)", decimals=2),
        Column(title="Slower by (ms)", decimals=3),
        Column(title="Slower by (%)", decimals=1),
        Column(title="In a sentence"),
        Column(title="Which reading of the paper"),
    )
    rows = tuple(
        (
            numbers.get(verdict.variant),
            verdict.variant,
            verdict.outcome.value,
            verdict.by.label if verdict.by else None,
            verdict.accuracy_points,
            verdict.faster_ms,
            verdict.faster_percent,
            verdict.sentence,
            readings.get(verdict.variant) or None,
        )
        for verdict in verdicts
    )
    return Table(
        title="The variants",
        columns=columns,
        rows=rows,
        note="Of several networks that dominate a variant, the one with the largest gains is named.",
    )


def _front_row(point: FrontPoint, knee: int | None, number: int | None) -> tuple[Cell, ...]:
    return (
        number,
        f"{point.label} (knee)" if point.trial == knee else point.label,
        point.trial,
        point.top1_percent,
        point.latency_ms,
        point.p10_ms,
        point.median_ms,
        point.p90_ms,
        point.n_runs,
        point.params,
        point.macs,
        ", ".join(f"{name}={value}" for name, value, _ in point.changes),
        point.arch_id,
    )
