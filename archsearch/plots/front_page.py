"""The page of a study's front: the figure, the front's table, the variants' verdicts, the conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archsearch.analysis.canary import Canary
from archsearch.analysis.conditions import batch_sentence
from archsearch.analysis.front import Front
from archsearch.analysis.objectives import floor_text
from archsearch.analysis.verdicts import Verdict
from archsearch.plots.front import FrontInfo, FrontPoint
from archsearch.plots.front_tables import front_tables
from archsearch.records import Record
from archsearch.table import Cell, Column, Table
from archsearch.text import percent_text

Facts = tuple[tuple[str, str], ...]


def front_page(
    info: FrontInfo, front: Front, verdicts: Sequence[Verdict], *, study: str, canary: Canary | None = None
) -> tuple[tuple[Table, ...], Facts]:
    """The tables and the conditions beside a front's figure, where the figure has a page of its own.

    Args:
        info: `front_info(front, verdicts, ...)`.
        front, verdicts: what `info` was made of.
        study: its name, as `archsearch retrain` takes it.
        canary: what the reference tells of the study's latencies, shown as a table.
    """
    facts = [
        (name.replace("_", " ").capitalize(), ", ".join(str(value) for value in values))
        for name, values in vars(front.conditions).items()
        if values
    ]
    facts.append(("Objectives (lower is better)", ", ".join(front.objectives)))
    if front.noise_floor.ties:
        floor = floor_text(front.noise_floor)
        facts.append(("Noise floor of latency", f"{floor}: latencies that differ by less are ties"))
    if front.latency_batch is not None:
        facts.append(("Batch of latency", batch_sentence(front.latency_batch)))
    if front.reference_point is not None and front.hypervolume is not None:
        facts.append(("Reference point", ", ".join(f"{value:g}" for value in front.reference_point)))
        facts.append(("Hypervolume", f"{front.hypervolume:.6g}"))
    tables = (
        front_points_table(info, study=study),
        verdicts_table(info, verdicts),
        *(() if canary is None or not canary.networks else (canary_table(canary),)),
        *front_tables(replace(info, marks=())),  # the variants stand in a table above
    )
    return tables, tuple(facts)


def front_points_table(info: FrontInfo, *, study: str) -> Table:
    """The networks on the front, by latency."""
    numbers = {mark.point.trial: mark.number for mark in info.marks}
    members = [point for point in info.points if point.on_front]
    backends = sorted({backend for point in members for backend, _ in point.also_p10_ms})
    columns = (
        Column(title="#", decimals=0),
        Column(title="Network", whole=True),
        Column(title="Trial", decimals=0),
        Column(title="Top-1 (%)", decimals=2),
        Column(title="Latency (ms)", decimals=3),
        Column(title="p10 (ms)", decimals=3, wide=True),
        Column(title="Median (ms)", decimals=3),
        Column(title="p90 (ms)", decimals=3, wide=True),
        Column(title="Runs", decimals=0, wide=True),
        *(Column(title=f"p10 by {backend} (ms)", decimals=3) for backend in backends),
        Column(title="Params", decimals=0),
        Column(title="Macs", decimals=0),
        Column(title="Choices that differ from the base"),
        Column(title="arch_id", whole=True),
    )
    rows = tuple(_front_row(point, info.recommended, numbers.get(point.trial), backends) for point in members)
    return Table(
        title="The front",
        columns=columns,
        rows=rows,
        note="Latency: p10 corrected for the device's drift since the study began; p10, median and p90: as timed. "
        f"{info.bases_line} Train one of them in full: archsearch retrain --study {study} --trial TRIAL",
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
        Column(title="In a sentence", wide=True),
        Column(title="Which reading of the paper", wide=True),
    )
    rows = tuple(
        (
            numbers.get(verdict.variant),
            verdict.variant,
            verdict.standing.value,
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


def canary_table(canary: Canary) -> Table:
    """What the reference, run beside every network, tells of the study's latencies."""
    drifts = (
        ("Smallest drift of the reference (%)", canary.drift_min),
        ("Median drift of the reference (%)", canary.drift_median),
        ("Largest drift of the reference (%)", canary.drift_max),
    )
    rows: list[tuple[Cell, ...]] = [(name, f"{100.0 * drift:+.1f}", "") for name, drift in drifts if drift is not None]
    if canary.drift_tolerance is not None:
        title = f"Drifted by more than {percent_text(100.0 * canary.drift_tolerance)}"
        rows.append((title, str(len(canary.drifted)), _labels(canary.drifted)))
    rows.append(("Not converged", str(len(canary.unconverged)), _labels(canary.unconverged)))
    rows.append(("Memory crowded", str(len(canary.crowded)), _labels(canary.crowded)))
    rows.append(("Measured again", str(canary.measured_again), ""))
    rows.append(("Networks measured", str(canary.networks), ""))
    rows.append(("Measured twice, in two moments of the study", str(len(canary.repeats)), ""))
    if canary.repeats:
        median, largest = canary.moved_median, canary.moved_max
        rows.append(("Between the two: median, largest (%)", f"{100.0 * median:.1f}, {100.0 * largest:.1f}", ""))
    if canary.latency_share is not None:
        rows.append(("Share of the trials' time (%)", f"{100.0 * canary.latency_share:.0f}", ""))
    return Table(
        title="How far the latencies can be trusted",
        columns=(Column(title="What", whole=True), Column(title="How much", whole=True), Column(title="Which")),
        rows=tuple(rows),
        note=f"The reference {' and '.join(canary.reference)} is measured beside every network. Drift: its p10 against "
        "the one at the study's start; the latencies on the front are corrected for it.",
    )


def _labels(records: Sequence[Record]) -> str:
    return ", ".join(record.label for record in records)


def _front_row(
    point: FrontPoint, recommended: int | None, number: int | None, backends: Sequence[str]
) -> tuple[Cell, ...]:
    also = dict(point.also_p10_ms)
    return (
        number,
        f"{point.label} (recommended)" if point.trial == recommended else point.label,
        point.trial,
        point.top1_percent,
        point.latency_ms,
        point.p10_ms,
        point.median_ms,
        point.p90_ms,
        point.n_runs,
        *(also.get(backend) for backend in backends),
        point.params,
        point.macs,
        ", ".join(f"{name}={value}" for name, value, _ in point.changes),
        point.arch_id,
    )
