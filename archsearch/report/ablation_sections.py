"""The sections on ablations: what each choice does, with intervals, one part for each stored ablation."""

from __future__ import annotations

import math
from dataclasses import replace

from archsearch.analysis.ablation import Ablation, Effect
from archsearch.report.data import ReportData, StoredAblation
from archsearch.report.drawings import drawing_of
from archsearch.report.sections import Part, Section
from archsearch.table import Cell, Column, Table


def ablation_section(data: ReportData) -> Section:
    """Every stored ablation that was made from the study, newest first."""
    if not data.ablations:
        return Section(
            key="ablation",
            title="Which choices pay",
            sentences=(
                "No ablation is stored. It changes one choice of a network at a time and trains both with the same "
                "seeds and data order, so that each difference has an interval; nothing below can replace it.",
            ),
            command=data.typed("ablate", "--from", "best"),
        )
    return Section(
        key="ablation",
        title="Which choices pay",
        parts=tuple(_part(data, stored, number) for number, stored in enumerate(data.ablations)),
    )


def _part(data: ReportData, stored: StoredAblation, number: int) -> Part:
    found = stored.ablation
    seeds = "1 seed" if len(stored.design.seeds) == 1 else f"{len(stored.design.seeds)} seeds"
    mode = f", {stored.design.mode}" if stored.design.mode else ""
    name = base_name(found)
    drawing, why = drawing_of(
        "ablation",
        replace(data.plots, ablation=found),
        key=f"ablation-{number}",
        height_px=max(360, 150 + 44 * len(found.rows)),
    )
    base = f"The base reaches {found.base_top1_percent:.2f} % top-1 at {found.base_latency_ms:.3f} ms"
    sentences = [
        f"From {name}{mode}, {seeds}: study {stored.study}.",
        f"{base} (mean of {found.base_n}).".replace("mean of 1)", "1 seed)")
        if math.isfinite(found.base_top1_percent)
        else "The base has no complete trial, so no effect is known.",
        found.method,
    ]
    if why:
        sentences.append(f"{why}.")
    tables: tuple[Table, ...] = (ablation_table(found, title=f"Effects on {name}"),)
    if found.interactions:
        tables += (interactions_table(found),)
    return Part(
        title=f"Ablation of {name}",
        sentences=tuple(sentences),
        points=found.answers,
        warnings=found.warnings,
        more=(*(row.sentence for row in found.rows), *(each.sentence for each in found.interactions)),
        drawings=() if drawing is None else (drawing,),
        tables=tables,
    )


def base_name(found: Ablation) -> str:
    """What the base is called: its variant, its trial, or its id."""
    base = found.base
    if base.variant is not None:
        return base.variant
    return f"trial {base.trial}" if base.trial is not None else f"network {base.arch_id}"


def ablation_table(found: Ablation, *, title: str) -> Table:
    """One row for each level: its effects with intervals, and the answer."""
    columns = [Column(title="Change", whole=True), Column(title="Answer", whole=True)]
    for name, unit, decimals in (("Top-1", "points", 2), ("Latency", "%", 1)):
        columns += [
            Column(title=f"{name} ({unit})", decimals=decimals),
            Column(title=f"{name} low", decimals=decimals),
            Column(title=f"{name} high", decimals=decimals),
        ]
    columns += [
        Column(title="Latency (ms)", decimals=4),
        Column(title="Params", decimals=0),
        Column(title="Macs", decimals=0),
        Column(title="Pairs", decimals=0),
    ]
    rows: list[tuple[Cell, ...]] = [
        (
            row.label,
            row.answer,
            *_effect(row.top1),
            *_effect(row.latency),
            _finite(row.latency_ms.estimate),
            _finite(row.params.estimate),
            _finite(row.macs.estimate),
            row.top1.n,
        )
        for row in found.rows
    ]
    percent = f"{100.0 * found.confidence:g} %"
    return Table(
        title=title,
        columns=tuple(columns),
        rows=tuple(rows),
        note=f"Each change minus the base, paired by seed. Low and high: {percent} intervals that hold for all "
        f"{found.comparisons} comparisons of a column together ({found.correction}).",
    )


def interactions_table(found: Ablation) -> Table:
    """One row for each pair of changes: how far its effect is from the sum of the two."""
    rows: list[tuple[Cell, ...]] = [
        (row.label, *_effect(row.top1), *_effect(row.latency), row.top1.n) for row in found.interactions
    ]
    return Table(
        title="Interactions",
        columns=(
            Column(title="Changes", whole=True),
            Column(title="Top-1 beyond the sum (points)", decimals=2),
            Column(title="Top-1 low", decimals=2),
            Column(title="Top-1 high", decimals=2),
            Column(title="Latency beyond the product (%)", decimals=1),
            Column(title="Latency low", decimals=1),
            Column(title="Latency high", decimals=1),
            Column(title="Pairs", decimals=0),
        ),
        rows=tuple(rows),
    )


def _effect(effect: Effect) -> tuple[Cell, Cell, Cell]:
    return (_finite(effect.estimate), effect.low, effect.high)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
