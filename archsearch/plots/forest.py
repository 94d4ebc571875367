"""Forest figures: rows of estimates with intervals, one panel a quantity, a line at no effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.plots import style
from archsearch.plots.traces import add_lines, add_points
from archsearch.table import Result
from archsearch.text import plural, shorten

_ROW_PX = 21
_LEAST_ROW_PX = 10.5
_BOTTOM_PX = 116  # tick labels, axis title and two lines of legend
_LABEL_CHARACTERS = 44
_WIDEST = 5.0  # an axis is at most so many times as wide as the estimates with their middling interval

BETTER, WORSE, UNTOLD = "better", "worse", "inconclusive"
_LOOKS: dict[str, dict[str, Any]] = {
    BETTER: {"symbol": "triangle-up", "color": style.BLUE},
    WORSE: {"symbol": "triangle-down", "color": style.VERMILLION},
    UNTOLD: {"symbol": "circle-open", "color": style.QUIET_INK},
}
_BASE_LOOK = {"symbol": "diamond", "color": style.BLACK}


@dataclass(frozen=True, kw_only=True)
class ForestCell:
    """One estimate. What is not known is None, never NaN.

    Attributes:
        low, high: interval over all comparisons together, drawn thin.
        alone_low, alone_high: interval of this one alone, drawn thick.
        finding: better, worse, inconclusive, or "base": the row that all others are compared with.
    """

    estimate: float | None
    low: float | None = None
    high: float | None = None
    alone_low: float | None = None
    alone_high: float | None = None
    finding: str = UNTOLD


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of the figure: its group (a rule separates groups), label, note behind it, an interval for each panel."""

    group: str
    label: str
    note: str
    cells: tuple[ForestCell | None, ...]
    hover: str = ""


def finite(value: float | None) -> float | None:
    """None for what is not a number."""
    return value if value is not None and math.isfinite(value) else None


def forest_figure(
    lines: Sequence[Line],
    panels: Sequence[str],
    found: Result,
    *,
    words: dict[str, str],
    thick: str,
    thin: str,
    hidden: int = 0,
    width: int,
    height: int | None,
) -> go.Figure:
    """The figure.

    Args:
        lines: from the top down; those of one group stand together.
        panels: the axes' titles with their units.
        words: what the legend says for each finding.
        thick, thin: what the legend says for the two intervals; empty for one that nothing has.
        hidden: rows that were left out already.
        height: pixels; None: as the rows need, and then the figure says so in its layout. Rows that are not legible
            in it are left out, and the heading says how many.
    """
    groups = len({line.group for line in lines})
    subtitle = () if found.empty else found.subtitle
    natural = round(174 + 18 * (len(subtitle) + len(found.warnings)) + _ROW_PX * (len(lines) + 0.6 * groups))
    if height is not None:
        left = height - 206 - 17 * (len(subtitle) + min(4, len(found.warnings)))
        fitting = max(3, sum(place * _LEAST_ROW_PX <= left for place in _places(lines)))  # that are still legible
        hidden, lines = hidden + max(0, len(lines) - fitting), lines[:fitting]
    rest = (f"{plural(hidden, 'more row')} in the table only",) if hidden else ()
    figure = make_subplots(rows=1, cols=max(1, len(panels)), shared_yaxes=True, horizontal_spacing=0.03)
    longest = max([len(line.label) + len(line.note) + 3 for line in lines if line.cells], default=10)
    longest = min(longest, _LABEL_CHARACTERS + 8)
    _, (_, room) = style.begin(
        found,
        (*subtitle, *rest),
        figure,
        margin={"l": 0, "r": 24, "t": 0, "b": _BOTTOM_PX},
        size=(width, height),
        natural=natural,
        legend=style.SMALL_LEGEND_BELOW,
    )
    grow = style.growth(width)
    font_px = max(8, min(round(12 * grow), int(0.86 * room / max(len(lines), 1))))  # as the rows leave room for
    figure.update_layout(margin_l=round(min(0.4 * width, 14 + 0.53 * font_px * longest)))
    if found.empty is not None:
        return figure
    places = _places(lines)
    figure.update_yaxes(
        range=[max(places) + 0.8, min(places) - 0.8],
        tickmode="array",
        tickvals=places,
        showgrid=False,
        zeroline=False,
        tickfont={"size": font_px},
    )
    figure.update_yaxes(ticktext=[_label(line) for line in lines], col=1)
    for column, panel in enumerate(panels, start=1):
        figure.update_xaxes(style.axis(panel, width=width), col=column)
        _draw_panel(figure, lines, places, column, words, {thin: 1.4 * grow, thick: 4.5 * grow}, grow)
    for (upper, line), (lower, after) in pairwise(zip(places, lines, strict=True)):
        if line.group != after.group:
            figure.add_hline(y=(upper + lower) / 2, line={"color": style.GRID, "width": 1.5}, layer="below")
    return figure


def _label(line: Line) -> str:
    note = f' <span style="color:{style.QUIET_INK}">{style.plain(line.note)}</span>' if line.note else ""
    return style.plain(shorten(line.label, _LABEL_CHARACTERS)) + note


def _places(lines: Sequence[Line]) -> list[float]:
    """Rows one apart, groups a little more."""
    steps = (1.0 if line.group == before.group else 1.6 for before, line in pairwise(lines))
    return list(accumulate(steps, initial=0.0)) if lines else []


def axis_range(cells: Sequence[ForestCell]) -> tuple[float, float]:
    """From the lowest to the highest end of all intervals and 0, but not so wide that one interval hides the rest."""
    estimates = [cell.estimate for cell in cells if cell.estimate is not None]
    ends = [end for cell in cells for end in (cell.low, cell.high, cell.alone_low, cell.alone_high) if end is not None]
    low, high = min([0.0, *estimates, *ends]), max([0.0, *estimates, *ends])
    halves = sorted(
        cell.alone_high - cell.alone_low for cell in cells if cell.alone_low is not None and cell.alone_high is not None
    )
    core_low, core_high = min([0.0, *estimates]), max([0.0, *estimates])
    reach = _WIDEST * ((core_high - core_low) + (halves[len(halves) // 2] if halves else 0.0)) / 2
    if reach > 0:
        low, high = max(low, core_low - reach), min(high, core_high + reach)
    pad = 0.06 * (high - low) or 1.0
    return (low - pad, high + pad)


def _draw_panel(
    figure: go.Figure,
    lines: Sequence[Line],
    places: Sequence[float],
    column: int,
    words: dict[str, str],
    bars: dict[str, float],
    grow: float,
) -> None:
    """One panel; `bars`: the pixels of the interval of all comparisons, and of that of each alone, by their names."""
    where: dict[str, Any] = {"row": 1, "col": column}
    legend = column == 1
    found = [
        (place, line, cell)
        for place, line in zip(places, lines, strict=True)
        for cell in (line.cells[column - 1],)
        if cell is not None and cell.estimate is not None
    ]
    low, high = axis_range([cell for _, _, cell in found])
    seen = {cell.finding for line in lines for cell in line.cells if cell is not None and cell.estimate is not None}
    figure.update_xaxes(range=[low, high], zeroline=False, col=column)
    figure.add_vline(x=0, line={"color": style.INK, "width": 1}, **where, exclude_empty_subplots=False)
    for alone, (name, pixels) in enumerate(bars.items()):
        if not name:
            continue
        for finding, look in _LOOKS.items():
            ends = [
                (place, *((cell.alone_low, cell.alone_high) if alone else (cell.low, cell.high)))
                for place, _, cell in found
                if cell.finding == finding
            ]
            add_lines(
                figure,
                [
                    ((max(a, low), place), (high if b is None else min(b, high), place))
                    for place, a, b in ends
                    if a is not None
                ],
                {"width": pixels, "color": look["color"]},
                opacity=0.55 if alone else 1.0,
                **where,
            )
        if legend:
            line = {"width": pixels, "color": style.QUIET_INK}
            figure.add_scatter(x=[None], y=[None], mode="lines", line=line, name=name, **where)
    for edge, symbol, out in (  # an arrow head where an interval runs out of the axis
        (low, "triangle-left", [place for place, _, cell in found if cell.low is not None and cell.low < low]),
        (high, "triangle-right", [place for place, _, cell in found if cell.high is not None and cell.high > high]),
    ):
        add_points(
            figure,
            [(edge, place) for place in out],
            None,
            {"symbol": symbol, "size": 8 * grow, "color": style.QUIET_INK},
            cliponaxis=False,
            hovertemplate="the interval goes on beyond the axis<extra></extra>",
            showlegend=False,
            **where,
        )
    for finding, look in {**_LOOKS, "base": _BASE_LOOK}.items():
        points = [(place, line, cell) for place, line, cell in found if cell.finding == finding]
        named = legend and finding in seen and finding != "base"
        add_points(
            figure,
            [(cell.estimate, place) for place, _, cell in points if cell.estimate is not None],
            ["<br>".join(style.wrap(line.hover or line.label)) for _, line, _ in points],
            {**look, "size": 9 * grow, "line": {"width": 1.6, "color": look["color"]}},
            always=named,
            name=words.get(finding, finding),
            legendgroup=finding,
            showlegend=named,
            **where,
        )
