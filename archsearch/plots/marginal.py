"""Marginal effects of the levels of a search's choices, from a fitted model: observational, and marked as such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from archsearch.plots.forest import BETTER, UNTOLD, WORSE, ForestCell, Line, Panel, finite, forest_figure
from archsearch.plots.importances import objective_text

if TYPE_CHECKING:
    from archsearch.analysis.marginal import LevelEffect, Marginal, MarginalModel

MOST_ROWS = 60


@dataclass(frozen=True, kw_only=True)
class MarginalMark:
    """One level of one choice for one objective, against the average network. Lower is better."""

    objective: str
    unit: str
    choice: str
    level: str
    networks: int
    effect: ForestCell


@dataclass(frozen=True, kw_only=True)
class MarginalInfo:
    """What the figure shows; text is plain.

    Attributes:
        marks: every level of every model.
        panels: (objective, axis title) of each model that has effects.
        rows: (choice, level, networks) of the rows drawn, from the top down.
        hidden: rows that only the table has.
        empty: why there is nothing to draw, or None.
    """

    title: str
    subtitle: tuple[str, ...]
    warnings: tuple[str, ...]
    marks: tuple[MarginalMark, ...]
    panels: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, int], ...]
    confidence_percent: float
    hidden: int
    empty: str | None


def marginal_info(found: Marginal | None, *, study: str) -> MarginalInfo:
    """What is drawn of a study's marginal effects; without any, an empty figure that says why."""
    models = () if found is None else tuple(model for model in found.models if model.effects)
    marks = tuple(_mark(model, effect) for model in models for effect in model.effects)
    rows = list(dict.fromkeys((mark.choice, mark.level, mark.networks) for mark in marks))
    order = _choices(models)
    rows.sort(key=lambda row: order.index(row[0]))  # stable: levels stay in their order
    shown = _whole_choices(rows)
    if marks:
        empty = None
    elif found is None:
        empty = "No marginal effects of this study were worked out"
    else:
        why = found.reason or next((model.reason for model in found.models if model.reason), "no choice varied")
        empty = f"No marginal effect to show: {why}"
    return MarginalInfo(
        title=f"Marginal effects (observational): study {study}",
        subtitle=() if found is None or empty else _subtitle(found, models),
        warnings=() if found is None else tuple(dict.fromkeys(model.reason for model in found.models if model.reason)),
        marks=marks,
        panels=tuple(
            (model.objective, f"{objective_text(model.objective)} against the average network ({model.unit})")
            for model in models
        ),
        rows=tuple(shown),
        confidence_percent=95.0 if found is None else 100.0 * found.confidence,
        hidden=len(rows) - len(shown),
        empty=empty,
    )


def _choices(models: tuple[MarginalModel, ...]) -> list[str]:
    """By the best place that a choice has in any model, in which the one whose levels differ most is first."""
    places: dict[str, tuple[int, int]] = {}
    for number, model in enumerate(models):
        for place, choice in enumerate(model.choices):
            places[choice] = min(places.get(choice, (place, number)), (place, number))
    return sorted(places, key=lambda choice: (places[choice], choice))


def _whole_choices(rows: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """As many choices as fit, none of them cut in two; at least one."""
    if len(rows) <= MOST_ROWS:
        return rows
    cut = MOST_ROWS
    while cut and rows[cut][0] == rows[cut - 1][0]:
        cut -= 1
    return rows[: cut or MOST_ROWS]


def _mark(model: MarginalModel, effect: LevelEffect) -> MarginalMark:
    told = effect.told_from_zero
    finding = UNTOLD if not told else BETTER if effect.effect < 0 else WORSE
    return MarginalMark(
        objective=model.objective,
        unit=model.unit,
        choice=effect.choice,
        level=effect.level,
        networks=effect.networks,
        effect=ForestCell(
            estimate=finite(effect.effect),
            alone_low=finite(effect.low),
            alone_high=finite(effect.high),
            finding=finding,
        ),
    )


def _subtitle(found: Marginal, models: tuple[MarginalModel, ...]) -> tuple[str, ...]:
    counts = f"{found.networks:,} networks of the search space"
    if found.left_out:
        counts += f"; {found.left_out:,} outside of it left out"
    known = [model for model in models if model.r2 is not None]
    predicted = ", ".join(f"{objective_text(model.objective).lower()} {model.r2:.2f}" for model in known)
    return (
        f"{found.note[:1].upper()}{found.note[1:]}; `archsearch ablate` measures what one choice does",
        f"{counts}. Variance of left-out networks that the additive model predicts (R²): {predicted}",
    )


def marginal_figure(info: MarginalInfo, *, width: int = 1100, height: int | None = None) -> go.Figure:
    """The figure: a panel for each objective, a row for each level; without a height as tall as its rows need."""
    effects = {(mark.objective, mark.choice, mark.level): mark.effect for mark in info.marks}
    units = {mark.objective: mark.unit for mark in info.marks}
    lines = []
    for choice, level, networks in info.rows:
        cells = tuple(effects.get((objective, choice, level)) for objective, _ in info.panels)
        said = [
            f"{objective_text(objective).lower()} {cell.estimate:+.3g} {units[objective]}"
            for (objective, _), cell in zip(info.panels, cells, strict=True)
            if cell is not None and cell.estimate is not None
        ]
        lines.append(
            Line(
                group=choice,
                label=f"{choice} {level}",
                note=f"n {networks:,}",
                cells=cells,
                hover=f"{choice} {level}, {networks} networks: {', '.join(said)} (observational)",
            )
        )
    return forest_figure(
        lines,
        tuple(Panel(title=title) for _, title in info.panels),
        title=info.title,
        subtitle=info.subtitle,
        warnings=info.warnings,
        empty=info.empty,
        words={BETTER: "lower: better", WORSE: "higher: worse", UNTOLD: "cannot be told from 0"},
        thick=f"{info.confidence_percent:g} % of each level for itself (bootstrap)",
        thin="",
        hidden=info.hidden,
        width=width,
        height=height,
    )
