"""What a front shows beside its points: bounds, intervals, printed accuracies, and a third number as the colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.confirmed import error_bars, hover_text
from archsearch.plots.front import FrontInfo, FrontPoint
from archsearch.plots.front_text import bound_text
from archsearch.plots.hover import printed_text
from archsearch.text import count_text

_LOG_COLORS_FROM_RATIO = 3.0
_SHADE = "rgba(82, 96, 109, 0.13)"
# Cividis (Nuñez, Anderton and Renslow 2018) without its last fifth, which is faint on white: one order with every
# common colour vision, and in grey.
_COLORS = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866")


def add_bounds(figure: go.Figure, info: FrontInfo, grow: float) -> None:
    """The latencies over a hard bound shaded, a line for a soft one; bounds off the axis are named in the heading."""
    low, high = info.x_range_ms
    for bound in info.bounds:
        if bound.name != "latency_ms" or not low < bound.value < high:
            continue
        if not bound.soft:
            figure.add_shape(
                type="rect",
                layer="below",
                x0=bound.value,
                x1=high,
                yref="paper",
                y0=0,
                y1=1,
                fillcolor=_SHADE,
                line={"width": 0},
            )
        figure.add_shape(
            type="line",
            layer="below",
            x0=bound.value,
            x1=bound.value,
            yref="paper",
            y0=0,
            y1=1,
            line={"color": style.QUIET_INK, "width": 1.5, "dash": "dash" if bound.soft else "solid"},
        )
        figure.add_annotation(
            x=math.log10(bound.value) if info.x_log else bound.value,
            yref="paper",
            y=0,
            text=style.plain(bound_text(bound)),
            textangle=-90,
            xanchor="right",
            xshift=-2,
            yanchor="bottom",
            yshift=4,
            showarrow=False,
            font={"size": round(style.SMALL_PX * grow), "color": style.QUIET_INK},
        )


def add_intervals(figure: go.Figure, info: FrontInfo, grow: float) -> None:
    """The networks that were evaluated again: their means with intervals, a thin line to what the search found."""
    if info.confirmed is None:
        return
    searched = {point.trial: point for point in info.points}
    again = info.confirmed.points
    pairs = [(each, searched[each.trial]) for each in again if each.trial is not None]
    figure.add_scatter(
        x=[x for each, point in pairs for x in (point.latency_ms, each.latency_ms, None)],
        y=[y for each, point in pairs for y in (point.top1_percent, each.top1_percent, None)],
        mode="lines",
        line={"color": style.QUIET_INK, "width": 1, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
        legendgroup="intervals",
    )
    figure.add_scatter(
        x=[each.latency_ms for each in again],
        y=[each.top1_percent for each in again],
        **error_bars(again, color=style.GREEN, thickness=1.6, width=4 * grow),
        mode="markers",
        marker={"symbol": "cross", "size": 8 * grow, "color": style.GREEN},
        name=f"evaluated again, {100.0 * info.confirmed.confidence:g} % interval ({len(pairs):,})",
        legendgroup="intervals",
        hovertext=[hover_text(each) for each in again],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=style.trial_data([point.trial for _, point in pairs]),
    )


def add_printed(figure: go.Figure, info: FrontInfo, grow: float) -> None:
    """What sources print, hollow, with the variant's number; hidden at first where it would squeeze the rest."""
    if not info.printed:
        return
    figure.add_scatter(
        x=[mark.latency_ms for mark in info.printed],
        y=[mark.printed.top1_percent for mark in info.printed],
        mode="markers+text",
        marker={"symbol": "diamond-open", "size": 12 * grow, "color": style.VERMILLION, "line": {"width": 2}},
        text=[f"{mark.number}" for mark in info.printed],
        textposition="middle right",
        textfont={"size": round(style.SMALL_PX * grow), "color": style.INK},
        name=f"as printed, other training ({len(info.printed):,})",
        visible=True if info.printed_shown else "legendonly",
        hovertext=[printed_text(mark) for mark in info.printed],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=style.trial_data([mark.trial for mark in info.printed]),
    )


def visible_if_asked(limits: tuple[float, float]) -> dict[str, Any]:
    """An axis that shows these limits, and more as soon as hidden points beyond them are asked for."""
    return {"autorange": True, "autorangeoptions": {"include": list(limits)}, "range": list(limits)}


def color_of_third(info: FrontInfo, points: Sequence[FrontPoint]) -> dict[str, Any]:
    """A marker's colour by the third objective; nothing where there is none."""
    if not info.third_counts:
        return {}
    values = [float(getattr(point, info.third)) for point in points]
    if third_is_log(info):
        values = [math.log10(value) for value in values]
    rim = {"width": 2, "color": style.BLACK} if points[0].on_front else {"width": 0.8, "color": style.QUIET_INK}
    return {"color": values, "coloraxis": "coloraxis", "line": rim, "opacity": 1.0}


def third_is_log(info: FrontInfo) -> bool:
    """Whether the third number is shown by its order of magnitude."""
    values = [float(getattr(point, info.third)) for point in info.points]
    return bool(values) and min(values) > 0 and max(values) / min(values) >= _LOG_COLORS_FROM_RATIO


def third_bar(info: FrontInfo, grow: float) -> dict[str, Any]:
    """The colour axis of the third objective, its bar above the figure on the right."""
    values = [float(getattr(point, info.third)) for point in info.points]
    low, high = min(values), max(values)
    log = third_is_log(info)
    shown = [low, (low * high) ** 0.5, high] if log else [low, (low + high) / 2.0, high]
    return {
        "colorscale": [[place / (len(_COLORS) - 1), color] for place, color in enumerate(_COLORS)],
        "cmin": math.log10(low) if log else low,
        "cmax": math.log10(high) if log else high,
        "colorbar": {
            "x": 1.01,
            "xanchor": "left",
            "y": 0,
            "yanchor": "bottom",
            "len": 0.34,
            "thickness": round(12 * grow),
            "outlinewidth": 0,
            "title": {
                "text": f"{style.plain(info.third_title)}<br> ",
                "side": "top",
                "font": {"size": round(12 * grow)},
            },
            "tickvals": [math.log10(value) if log else value for value in shown],
            "ticktext": [count_text(value) for value in shown],
            "tickfont": {"size": round(11 * grow)},
        },
    }
