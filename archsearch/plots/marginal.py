"""Marginal effects of the levels of a search's choices, from a fitted model: observational, and marked as such."""

from __future__ import annotations

import plotly.graph_objects as go

from archsearch.analysis.marginal import LevelEffect, Marginal
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.plots.forest import BETTER, UNTOLD, WORSE, ForestCell, Line, finite, forest_figure
from archsearch.text import plural

MOST_ROWS = 60


def marginal_figure(found: Marginal, *, width: int = 1100, height: int | None = None) -> go.Figure:
    """The figure: a panel for each objective, a row for each level; without a height as tall as its rows need."""
    lines = _whole_choices([_line(found, row) for row in found.rows])
    return forest_figure(
        lines,
        [f"{OBJECTIVES[model.objective].short} against the average network ({model.unit})" for model in found.told],
        found,
        words={BETTER: "lower: better", WORSE: "higher: worse", UNTOLD: "inconclusive: may be 0"},
        thick=f"{100.0 * found.confidence:g} % of each level for itself (bootstrap)",
        thin="",
        hidden=len(found.rows) - len(lines),
        width=width,
        height=height,
    )


def _whole_choices(lines: list[Line]) -> list[Line]:
    """As many choices as fit, none of them cut in two; at least one."""
    if len(lines) <= MOST_ROWS:
        return lines
    cut = MOST_ROWS
    while cut and lines[cut].group == lines[cut - 1].group:
        cut -= 1
    return lines[: cut or MOST_ROWS]


def _line(found: Marginal, row: tuple[LevelEffect | None, ...]) -> Line:
    level = next(effect for effect in row if effect is not None)
    said = [
        f"{OBJECTIVES[model.objective].short.lower()} {effect.effect:+.3g} {model.unit}"
        for model, effect in zip(found.told, row, strict=True)
        if effect is not None
    ]
    name = f"{level.choice} {level.level}"
    return Line(
        group=level.choice,
        label=name,
        note=f"n {level.networks:,}",
        cells=tuple(None if effect is None else _cell(effect) for effect in row),
        hover=f"{name}, {plural(level.networks, 'network')}: {', '.join(said)} (observational)",
    )


def _cell(effect: LevelEffect) -> ForestCell:
    return ForestCell(
        estimate=finite(effect.effect),
        alone_low=finite(effect.low),
        alone_high=finite(effect.high),
        finding=UNTOLD if not effect.told_from_zero else BETTER if effect.effect < 0 else WORSE,
    )
