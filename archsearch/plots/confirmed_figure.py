"""Draws a ConfirmedInfo with plotly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.confirmed import ConfirmedInfo, ConfirmedMark
from archsearch.plots.forest import LEAST_WIDTH_PX
from archsearch.plots.labels import place_labels
from archsearch.plots.ranges import log_axis
from archsearch.text import probability_text, significant

_MOST_LABELS = 60
_MARGIN = {"l": 78, "r": 24, "b": 104}
_ON_FRONT = {"symbol": "diamond", "color": style.BLUE}
_OFF_FRONT = {"symbol": "circle", "color": style.ORANGE}


def confirmed_figure(info: ConfirmedInfo, *, width: int = 1100, height: int = 660) -> go.Figure:
    """The figure: filled what was found again, hollow what the search found, a thin line between the two."""
    title, top = style.heading(info.title, info.subtitle, info.warnings, width=width, height=height)
    grow = style.growth(width)
    figure = go.Figure()
    low, high = info.x_range_ms
    x_axis = log_axis(low, high) if info.x_log else {"range": [low, high]}
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={**_MARGIN, "t": top},
        xaxis=style.axis("Latency, drift-corrected p10 (ms)", width=width, **x_axis),
        yaxis=style.axis("Validation top-1 (%)", width=width, range=list(info.y_range_percent)),
        legend={"orientation": "h", "x": 0.01, "xref": "container", "y": 0, "yref": "container", "yanchor": "bottom"},
        meta={"least_width": LEAST_WIDTH_PX},
    )
    if info.empty is not None:
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    _draw_originals(figure, info.marks, grow)
    for on_front, look, name in (
        (True, _ON_FRONT, "means on the front"),
        (False, _OFF_FRONT, "means dominated"),
    ):
        marks = [mark for mark in info.marks if mark.on_front is on_front]
        if marks:
            _draw_means(figure, marks, look, f"{name} ({len(marks)})", grow)
    if len(info.marks) <= _MOST_LABELS:
        area = (width - _MARGIN["l"] - _MARGIN["r"], float(height - top - _MARGIN["b"]))
        _label(figure, info, area, grow)
    return figure


def _draw_originals(figure: go.Figure, marks: Sequence[ConfirmedMark], grow: float) -> None:
    pairs = [
        (mark, mark.original_latency_ms, mark.original_top1_percent)
        for mark in marks
        if mark.original_latency_ms is not None and mark.original_top1_percent is not None
    ]
    if not pairs:
        return
    figure.add_scatter(
        x=[x for mark, latency, _ in pairs for x in (latency, mark.latency_ms, None)],
        y=[y for mark, _, top1 in pairs for y in (top1, mark.top1_percent, None)],
        mode="lines",
        line={"color": style.DOTS, "width": 1, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=[latency for _, latency, _ in pairs],
        y=[top1 for _, _, top1 in pairs],
        mode="markers",
        marker={"symbol": "circle-open", "size": 9 * grow, "color": style.QUIET_INK, "line": {"width": 1.6}},
        name=f"as the search found them ({len(pairs)})",
        hovertext=[
            f"<b>{style.plain(mark.name)}</b> in the search: {top1:.2f} %, {significant(latency)} ms"
            for mark, latency, top1 in pairs
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=_trials([mark for mark, _, _ in pairs]),
    )


def _draw_means(
    figure: go.Figure, marks: Sequence[ConfirmedMark], look: dict[str, Any], name: str, grow: float
) -> None:
    x_ends = [(mark.latency_low_ms, mark.latency_ms, mark.latency_high_ms) for mark in marks]
    y_ends = [(mark.top1_low_percent, mark.top1_percent, mark.top1_high_percent) for mark in marks]
    figure.add_scatter(
        x=[mark.latency_ms for mark in marks],
        y=[mark.top1_percent for mark in marks],
        error_x=_bars(x_ends, look["color"]),
        error_y=_bars(y_ends, look["color"]),
        mode="markers",
        marker={**look, "size": 11 * grow, "line": {"width": 1, "color": style.BLACK}},
        name=name,
        hovertext=["<br>".join(style.wrap(mark.sentence or mark.name, 430)) for mark in marks],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=_trials(marks),
    )


def _bars(ends: Sequence[tuple[float | None, float, float | None]], color: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [0.0 if high is None else max(0.0, high - middle) for _, middle, high in ends],
        "arrayminus": [0.0 if low is None else max(0.0, middle - low) for low, middle, _ in ends],
        "color": color,
        "thickness": 1.5,
        "width": 3,
    }


def _trials(marks: Sequence[ConfirmedMark]) -> list[list[int]]:
    return [[] if mark.trial is None else [mark.trial] for mark in marks]


def _label(figure: go.Figure, info: ConfirmedInfo, area: tuple[float, float], grow: float) -> None:
    low, high = info.x_range_ms
    bottom, ceiling = info.y_range_percent

    def pixel(x: float, y: float) -> tuple[float, float]:
        across = math.log(x / low) / math.log(high / low) if info.x_log else (x - low) / (high - low)
        return (across * area[0], (ceiling - y) / (ceiling - bottom) * area[1])

    anchors = [pixel(mark.latency_ms, mark.top1_percent) for mark in info.marks]
    hollow = [
        pixel(mark.original_latency_ms, mark.original_top1_percent)
        for mark in info.marks
        if mark.original_latency_ms is not None and mark.original_top1_percent is not None
    ]
    bars = []
    for mark in info.marks:
        x, y = pixel(mark.latency_ms, mark.top1_percent)
        if mark.latency_low_ms is not None and mark.latency_high_ms is not None:
            bars.append((pixel(mark.latency_low_ms, ceiling)[0], y, pixel(mark.latency_high_ms, ceiling)[0], y))
        if mark.top1_low_percent is not None and mark.top1_high_percent is not None:
            bars.append((x, pixel(high, mark.top1_high_percent)[1], x, pixel(high, mark.top1_low_percent)[1]))
    texts = [_label_text(mark) for mark in info.marks]
    font = round(11 * grow)
    places = place_labels(
        anchors,
        texts,
        markers=[*anchors, *hollow],
        dots=(),
        segments=bars,
        width_px=area[0],
        height_px=area[1],
        font_px=font,
        grow=grow,
    )
    for mark, text, place in zip(info.marks, texts, places, strict=True):
        figure.add_annotation(
            x=math.log10(mark.latency_ms) if info.x_log else mark.latency_ms,
            y=mark.top1_percent,
            text=style.plain(text),
            ax=place.right_px,
            ay=place.down_px,
            showarrow=True,
            arrowhead=0,
            arrowwidth=0.8,
            arrowcolor=style.QUIET_INK,
            standoff=6,
            borderpad=0,
            bgcolor="rgba(255,255,255,0.75)",
            font={"size": font, "color": style.INK},
        )


def _label_text(mark: ConfirmedMark) -> str:
    name = style.shorten(mark.name.removeprefix("trial "), 20)
    if mark.probability_on_front is None:
        return name
    return f"{name}: {probability_text(mark.probability_on_front)}"
