"""An ablation as a forest: what every level of every choice changes against the base, in accuracy and in latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from archsearch.plots.forest import BETTER, UNTOLD, WORSE, Interval, Line, Panel, finite, forest_figure
from archsearch.text import significant

if TYPE_CHECKING:
    from archsearch.analysis.ablation import Ablation, AblationRow, Interaction
    from archsearch.analysis.effects import Effect

MOST_ROWS = 80
_INTERACTIONS = "interactions"


@dataclass(frozen=True, kw_only=True)
class AblationMark:
    """One row: a level against the base, or how much two changes together differ from their sum.

    Attributes:
        choice: what is changed; "interactions" of an interaction.
        label: the change in words.
        n: pairs of seeds behind the top-1 difference.
        top1: in points of validation top-1.
        latency: in % of the base's.
        params, macs: differences; None where not known, and of interactions.
        sentence: all of it in words.
    """

    choice: str
    label: str
    n: int
    top1: Interval
    latency: Interval
    params: int | None
    macs: int | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class AblationInfo:
    """What the forest shows; text is plain. `hidden`: rows that only the table has; `empty`: why there is nothing to
    draw, or None."""

    title: str
    subtitle: tuple[str, ...]
    warnings: tuple[str, ...]
    base: str
    marks: tuple[AblationMark, ...]
    confidence_percent: float
    comparisons: int
    correction: str
    hidden: int
    empty: str | None


def ablation_info(ablation: Ablation | None, *, study: str) -> AblationInfo:
    """What is drawn of an ablation; without one, an empty figure that says what to run."""
    title = f"Ablation: study {study}"
    if ablation is None or not ablation.rows:
        empty = "No ablation of this study: `archsearch ablate` runs one"
        if ablation is not None:
            empty = "No level to compare with the base in this ablation"
        return AblationInfo(
            title=title,
            subtitle=(),
            warnings=() if ablation is None else ablation.warnings,
            base="",
            marks=(),
            confidence_percent=95.0,
            comparisons=0,
            correction="",
            hidden=0,
            empty=empty,
        )
    order = list(dict.fromkeys(row.choice for row in ablation.rows))
    rows = sorted(ablation.rows, key=lambda row: order.index(row.choice))
    marks = [*map(_row_mark, rows), *map(_interaction_mark, ablation.interactions)]
    known = any(mark.top1.estimate is not None or mark.latency.estimate is not None for mark in marks)
    seeds = len(ablation.design.seeds)
    mode = f"{ablation.design.mode}, " if ablation.design.mode else ""
    percent = 100.0 * ablation.confidence
    return AblationInfo(
        title=title,
        subtitle=(
            f"Each row minus the base: {mode}{len(rows)} level{'' if len(rows) == 1 else 's'} of {len(order)} "
            f"choice{'' if len(order) == 1 else 's'}, {seeds} paired seed{'' if seeds == 1 else 's'}",
            f"Base: {_base_text(ablation)}",
        ),
        warnings=ablation.warnings,
        base=ablation.base.variant or ablation.base.name,
        marks=tuple(marks),
        confidence_percent=percent,
        comparisons=ablation.comparisons,
        correction=ablation.correction,
        hidden=max(0, len(marks) - MOST_ROWS),
        empty=None if known else "No pair of trials is complete yet",
    )


def _base_text(ablation: Ablation) -> str:
    name = ablation.base.variant or ablation.base.name
    top1, latency = finite(ablation.base_top1_percent), finite(ablation.base_latency_ms)
    if top1 is None or latency is None:
        return f"{name}, without a complete trial"
    return f"{name}, top-1 {top1:.2f} %, {significant(latency)} ms (n = {ablation.base_n})"


def _row_mark(row: AblationRow) -> AblationMark:
    return AblationMark(
        choice=row.choice,
        label=row.label,
        n=row.top1.n,
        top1=interval_of(row.top1),
        latency=interval_of(row.latency),
        params=_count(row.params),
        macs=_count(row.macs),
        sentence=row.sentence,
    )


def _interaction_mark(found: Interaction) -> AblationMark:
    return AblationMark(
        choice=_INTERACTIONS,
        label=found.label,
        n=found.top1.n,
        top1=interval_of(found.top1),
        latency=interval_of(found.latency),
        params=None,
        macs=None,
        sentence=found.sentence,
    )


def interval_of(effect: Effect) -> Interval:
    """An effect as it is drawn."""
    return Interval(
        estimate=finite(effect.estimate),
        low=finite(effect.low),
        high=finite(effect.high),
        alone_low=finite(effect.alone_low),
        alone_high=finite(effect.alone_high),
        finding=effect.finding.value if effect.finding.value in (BETTER, WORSE) else UNTOLD,
    )


def _count(effect: Effect) -> int | None:
    value = finite(effect.estimate)
    return None if value is None else round(value)


def ablation_figure(info: AblationInfo, *, width: int = 1100, height: int | None = None) -> go.Figure:
    """The figure, top-1 on the left and latency on the right; without a height as tall as its rows need."""
    base = Interval(estimate=0.0, finding="base")
    shown = info.marks[:MOST_ROWS]
    lines = [
        Line(
            group="",
            label="base" if info.base == "base" else f"base: {info.base}",
            note="",
            cells=(base, base),
            hover=" ".join(info.subtitle),
        )
    ]
    lines += [
        Line(
            group=mark.choice,
            label=f"interaction: {mark.label}" if mark.choice == _INTERACTIONS else mark.label,
            note=f"n {mark.n}",
            cells=(mark.top1, mark.latency),
            hover=mark.sentence,
        )
        for mark in shown
    ]
    percent = f"{info.confidence_percent:g} %"
    together = f"{percent} of all {info.comparisons} together ({info.correction})"
    return forest_figure(
        lines,
        (Panel(title="Top-1 minus the base's (points)"), Panel(title="Latency against the base's (%)")),
        title=info.title,
        subtitle=info.subtitle,
        warnings=info.warnings,
        empty=info.empty,
        words={BETTER: "better", WORSE: "worse", UNTOLD: "cannot be told", "base": "base"},
        thick=f"{percent} of this comparison alone",
        thin=together,
        hidden=info.hidden,
        width=width,
        height=height,
    )
