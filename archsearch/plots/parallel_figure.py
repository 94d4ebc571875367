"""Draws a ParallelInfo with plotly."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.parallel import Axis, ParallelInfo, ParallelLine

_SPREAD = 0.5  # of the distance between two levels: how far lines of one level lie apart
_MOST_SPREAD = 0.07
_TITLE_CHARACTERS = 30
_TICK_CHARACTERS = 14


def parallel_figure(info: ParallelInfo, *, width: int = 1100, height: int = 640) -> go.Figure:
    """The figure; within a level, lines of more accurate networks lie higher."""
    lines = (*info.subtitle, "within a level, more accurate networks lie higher") if info.empty is None else ()
    title, top = style.heading(info.title, lines, (), width=width, height=height)
    grow = style.growth(width)
    figure = go.Figure()
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={"l": 72, "r": 40, "t": top + 24, "b": 140},
        showlegend=True,
        meta={"least_width": max(480, 62 * len(info.axes))},
        legend={"orientation": "h", "x": 0, "y": 1.0, "xanchor": "left", "yanchor": "bottom"},
        xaxis={"visible": False},
        yaxis={"visible": False, "range": [-0.06, 1.06]},
    )
    if info.empty is not None:
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    figure.update_layout(
        xaxis={
            "visible": True,
            "range": [-0.35, len(info.axes) - 0.3],
            "tickvals": list(range(len(info.axes))),
            "ticktext": [style.plain(style.shorten(axis.title, _TITLE_CHARACTERS)) for axis in info.axes],
            "tickangle": -35,
            "ticklabeloverflow": "allow",
            "tickfont": {"size": round(style.SMALL_PX * grow)},
            "showgrid": True,
            "gridcolor": style.QUIET_INK,
            "gridwidth": 1,
            "zeroline": False,
        }
    )
    others = [line for line in info.lines if not line.on_front and not line.variant]
    variants = [line for line in info.lines if line.variant and not line.on_front]
    front = [line for line in info.lines if line.on_front]
    thin = {"color": style.DOTS, "width": 0.8 * grow}
    _add(figure, info, others, f"other trials ({len(others):,})", thin, opacity=0.4)
    dashed = {"color": style.VERMILLION, "width": 1.8 * grow, "dash": "dash"}
    _add(figure, info, variants, f"variants, dominated ({len(variants):,})", dashed, full=True)
    strong = {"color": style.BLUE, "width": 2.6 * grow}
    _add(figure, info, front, f"front ({len(front):,})", strong, full=True)
    # One by one they would take seconds.
    figure.update_layout(
        annotations=[tick for index, axis in enumerate(info.axes) for tick in _ticks(index, axis, grow)]
    )
    return figure


def _ticks(index: int, axis: Axis, grow: float) -> list[dict[str, Any]]:
    return [
        {
            "x": index,
            "y": place,
            "text": style.plain(style.shorten(text, _TICK_CHARACTERS)),
            "showarrow": False,
            "xanchor": "left",
            "xshift": 3,
            "font": {"size": round(10 * grow), "color": style.INK},
            "bgcolor": "rgba(255,255,255,0.78)",
            "borderpad": 0,
        }
        for place, text in axis.ticks
    ]


def _spread(axis: Axis) -> float:
    if not axis.levels:
        return 0.0
    places = sorted(place for place, _ in axis.ticks)
    gaps = [b - a for a, b in itertools.pairwise(places)]
    return min([_MOST_SPREAD, *(_SPREAD * gap for gap in gaps)])


def _add(
    figure: go.Figure,
    info: ParallelInfo,
    lines: Sequence[ParallelLine],
    name: str,
    look: dict[str, Any],
    *,
    full: bool = False,
    opacity: float = 1.0,
) -> None:
    """Lines as one object with gaps; `full`: what stands at each axis is said when it is pointed at."""
    if not lines:
        return
    widths = [_spread(axis) for axis in info.axes]
    ranks = _ranks(info)
    count = max(len(ranks) - 1, 1)
    x: list[int | None] = []
    y: list[float | None] = []
    trials: list[int] = []
    texts: list[str] = []
    for line in lines:
        aside = ranks[line.trial] / count - 0.5
        x += [*range(len(info.axes)), None]
        y += [round(place + aside * wide, 4) for place, wide in zip(line.places, widths, strict=True)] + [None]
        trials += [line.trial] * (len(info.axes) + 1)
        if full:
            label = style.plain(style.shorten(line.label, 48))
            texts += [
                f"<b>{label}</b>: {style.plain(axis.title)} {style.plain(value)}"
                for axis, value in zip(info.axes, line.values, strict=True)
            ] + [label]
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+markers" if full else "lines",
        line=look,
        marker={"size": 5, "color": look["color"]} if full else None,
        opacity=opacity,
        name=name,
        hovertext=texts or None,
        hovertemplate="%{hovertext}<extra></extra>" if full else "trial %{customdata[0]}<extra></extra>",
        customdata=style.trial_data(trials),
    )


def _ranks(info: ParallelInfo) -> dict[int, int]:
    """The trials' places in the order of accuracy, 0 for the least accurate."""
    place = next(index for index, axis in enumerate(info.axes) if axis.name == "error_percent")
    ordered = sorted(info.lines, key=lambda line: (line.places[place], line.trial))
    return {line.trial: rank for rank, line in enumerate(ordered)}
