"""Forest figures: rows of estimates with intervals, one panel a quantity, a line at no effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.plots import style
from archsearch.text import shorten

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


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One quantity: the axis' title with its unit."""

    title: str


def finite(value: float | None) -> float | None:
    """None for what is not a number."""
    return value if value is not None and math.isfinite(value) else None


def forest_height(info_lines: int, rows: int, groups: int) -> int:
    """Pixels that so many rows in so many groups take under so many lines of heading."""
    return round(174 + 18 * info_lines + _ROW_PX * (rows + 0.6 * groups))


def forest_figure(
    lines: Sequence[Line],
    panels: Sequence[Panel],
    *,
    title: str,
    subtitle: Sequence[str],
    warnings: Sequence[str],
    empty: str | None,
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
        words: what the legend says for each finding.
        thick, thin: what the legend says for the two intervals; empty for one that nothing has.
        hidden: rows that were left out already.
        height: pixels; None: as the rows need, and then the figure says so in its layout. Rows that are not legible
            in it are left out, and the heading says how many.
    """
    groups = list(dict.fromkeys(line.group for line in lines))
    natural = forest_height(len(subtitle) + len(warnings), len(lines), len(groups))
    tall = height if height is not None else max(natural, 360)
    if height is not None:
        fitting = min(len(lines), _fitting(lines, height - 206 - 17 * (len(subtitle) + min(4, len(warnings)))))
        hidden, lines = hidden + len(lines) - fitting, lines[:fitting]
    rest = (f"{hidden:,} more row{'' if hidden == 1 else 's'} in the table only",) if hidden else ()
    heading, top = style.heading(title, (*subtitle, *rest), warnings, width=width, height=tall)
    grow = style.growth(width)
    figure = make_subplots(rows=1, cols=max(1, len(panels)), shared_yaxes=True, horizontal_spacing=0.03)
    labels = [_label(line) for line in lines]
    longest = max([len(line.label) + len(line.note) + 3 for line in lines if line.cells], default=10)
    longest = min(longest, _LABEL_CHARACTERS + 8)
    font_px = _font_px(tall - top - _BOTTOM_PX, len(lines), grow)
    figure.update_layout(
        **style.base_layout(width),
        title=heading,
        height=None if height is not None else tall,
        margin={"l": round(min(0.4 * width, 14 + 0.53 * font_px * longest)), "r": 24, "t": top, "b": _BOTTOM_PX},
        legend={**style.LEGEND_BELOW, "font": {"size": style.SMALL_PX}},
    )
    if empty is not None:
        style.draw_nothing(figure, empty)
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
    figure.update_yaxes(ticktext=labels, col=1)
    for column, panel in enumerate(panels, start=1):
        figure.update_xaxes(style.axis(panel.title, width=width), col=column)
        _draw_panel(figure, lines, places, column, words, thick, thin, grow=grow, legend=column == 1)
    for (upper, line), (lower, after) in pairwise(zip(places, lines, strict=True)):
        if line.group != after.group:
            figure.add_hline(y=(upper + lower) / 2, line={"color": style.GRID, "width": 1.5}, layer="below")
    return figure


def _fitting(lines: Sequence[Line], room: float) -> int:
    """How many rows are still legible in so many pixels; at least three."""
    places = _places(lines)
    return max(3, sum(place * _LEAST_ROW_PX <= room for place in places)) if places else 0


def _font_px(room: float, rows: int, grow: float) -> int:
    """As large as the rows leave room for."""
    return max(8, min(round(12 * grow), int(0.86 * room / max(rows, 1))))


def _label(line: Line) -> str:
    note = f' <span style="color:{style.QUIET_INK}">{style.plain(line.note)}</span>' if line.note else ""
    return style.plain(shorten(line.label, _LABEL_CHARACTERS)) + note


def _places(lines: Sequence[Line]) -> list[float]:
    """Rows one apart, groups a little more."""
    places: list[float] = []
    at = 0.0
    for index, line in enumerate(lines):
        if index:
            at += 1.0 if line.group == lines[index - 1].group else 1.6
        places.append(at)
    return places


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
    thick: str,
    thin: str,
    *,
    grow: float,
    legend: bool,
) -> None:
    found = [
        (place, line, cell)
        for place, line in zip(places, lines, strict=True)
        for cell in (line.cells[column - 1],)
        if cell is not None and cell.estimate is not None
    ]
    low, high = axis_range([cell for _, _, cell in found])
    figure.update_xaxes(range=[low, high], zeroline=False, col=column)
    figure.add_vline(x=0, line={"color": style.INK, "width": 1}, row=1, col=column, exclude_empty_subplots=False)
    bars = [(thin, 1.4, [(place, cell.low, cell.high, cell) for place, _, cell in found])]
    bars.append((thick, 4.5, [(place, cell.alone_low, cell.alone_high, cell) for place, _, cell in found]))
    for name, pixels, ends in bars:
        if not name:
            continue
        for finding, look in _LOOKS.items():
            of_finding = [(y, a, b) for y, a, b, cell in ends if cell.finding == finding and a is not None]
            xs: list[float | None] = []
            ys: list[float | None] = []
            for y, a, b in of_finding:
                xs += [max(a or 0.0, low), min(high if b is None else b, high), None]
                ys += [y, y, None]
            if xs:
                figure.add_scatter(
                    x=xs,
                    y=ys,
                    mode="lines",
                    line={"width": pixels * grow, "color": look["color"]},
                    opacity=0.55 if pixels > 2 else 1.0,
                    hoverinfo="skip",
                    showlegend=False,
                    row=1,
                    col=column,
                )
        if legend:
            figure.add_scatter(
                x=[None],
                y=[None],
                mode="lines",
                line={"width": pixels * grow, "color": style.QUIET_INK},
                name=name,
                row=1,
                col=column,
            )
    _draw_cut(figure, found, low, high, column, grow)
    for finding, look in {**_LOOKS, "base": _BASE_LOOK}.items():
        points = [(place, line, cell) for place, line, cell in found if cell.finding == finding]
        named = legend and finding != "base" and any(_has(line, finding) for line in lines)
        if not points and not named:
            continue
        figure.add_scatter(
            x=[cell.estimate for _, _, cell in points],
            y=[place for place, _, _ in points],
            mode="markers",
            marker={**look, "size": 9 * grow, "line": {"width": 1.6, "color": look["color"]}},
            name=words.get(finding, finding),
            legendgroup=finding,
            showlegend=named,
            hovertext=["<br>".join(style.wrap(line.hover or line.label, 430)) for _, line, _ in points],
            hovertemplate="%{hovertext}<extra></extra>",
            row=1,
            col=column,
        )


def _has(line: Line, finding: str) -> bool:
    return any(cell is not None and cell.estimate is not None and cell.finding == finding for cell in line.cells)


def _draw_cut(
    figure: go.Figure,
    found: Sequence[tuple[float, Line, ForestCell]],
    low: float,
    high: float,
    column: int,
    grow: float,
) -> None:
    """An arrow head where an interval runs out of the axis."""
    for edge, symbol, out in (
        (low, "triangle-left", [place for place, _, cell in found if cell.low is not None and cell.low < low]),
        (high, "triangle-right", [place for place, _, cell in found if cell.high is not None and cell.high > high]),
    ):
        if out:
            figure.add_scatter(
                x=[edge] * len(out),
                y=out,
                mode="markers",
                marker={"symbol": symbol, "size": 8 * grow, "color": style.QUIET_INK},
                cliponaxis=False,
                hovertemplate="the interval goes on beyond the axis<extra></extra>",
                showlegend=False,
                row=1,
                col=column,
            )
