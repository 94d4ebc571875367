"""Draws a FrontInfo with plotly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.front import FrontInfo, FrontPoint, VariantMark
from archsearch.plots.front_layers import (
    add_bounds,
    add_intervals,
    add_printed,
    color_of_third,
    third_bar,
    visible_if_asked,
)
from archsearch.plots.hover import hover_text, short_hover_text
from archsearch.plots.labels import place_labels
from archsearch.plots.ranges import log_axis
from archsearch.plots.style import trial_data
from archsearch.plots.thinning import thinned

_LEGEND_CHARACTERS = 40
_LABEL_PX = 12
_LEGEND_PX = 12
_MARGIN = {"l": 78, "r": 24, "b": 66}
_MANY = 2000  # more points than this are drawn by the graphics card
_DOTS_MINDED = 500  # dominated points that labels are kept away from
_FULL_HOVER = 600  # more points than this say less when they are pointed at: their texts would be most of a page


def front_figure(info: FrontInfo, *, width: int = 1100, height: int = 700) -> go.Figure:
    """The figure; `width` and `height` (pixels) are those it will be seen at, for line breaks and label places."""
    grow = style.growth(width)
    title, top = style.heading(info.title, info.subtitle, info.warnings, width=width, height=height)
    figure = go.Figure()
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={**_MARGIN, "t": top},
        xaxis=_x_axis(info, width),
        yaxis=style.axis(info.y_title, width=width, **_y_range(info)),
        legend={
            "x": 1.01,
            "y": 1,
            "xanchor": "left",
            "yanchor": "top",
            "font": {"size": round(_LEGEND_PX * grow)},
            "itemsizing": "trace",
            "tracegroupgap": 10,
            "grouptitlefont": {"size": round(_LEGEND_PX * grow), "color": style.QUIET_INK},
        },
    )
    if info.empty is not None:
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    if info.third_counts:
        figure.update_layout(coloraxis=third_bar(info, grow))
    add_bounds(figure, info, grow)
    named = {mark.point.trial for mark in info.marks}
    crowd = [point for point in info.points if not point.on_front and point.trial not in named]
    _add_points(figure, info, [point for point in crowd if not point.over], "other trials", _DOT, grow)
    _add_points(figure, info, [point for point in crowd if point.over], "over a bound", _OVER, grow)
    if info.steps:
        figure.add_scatter(
            x=[x for x, _ in info.steps],
            y=[y for _, y in info.steps],
            mode="lines",
            line={"shape": "hv", "color": style.BLUE, "width": 2},
            hoverinfo="skip",
            showlegend=False,
        )
    front = [point for point in info.points if point.on_front]
    _add_points(figure, info, [point for point in front if point.trial not in named], "front", _FRONT, grow)
    add_intervals(figure, info, grow)
    prefix = shared_prefix([mark.name for mark in info.marks])
    for mark in info.marks:
        _add_mark(figure, mark, prefix, grow)
    add_printed(figure, info, grow)
    _add_recommended(figure, info, grow)
    _add_labels(figure, info, width=width, height=height, top=top)
    return figure


_DOT: dict[str, Any] = {"size": 7, "color": style.DOTS, "opacity": 0.55, "line": {"width": 0}}
_OVER = {**_DOT, "symbol": "circle-open", "line": {"width": 1.4}}
_FRONT = {"size": 9, "color": style.BLUE, "line": {"width": 1, "color": "white"}}
_VARIANT_ON_FRONT = {
    "symbol": "diamond",
    "size": 14,
    "color": style.VERMILLION,
    "line": {"width": 1.2, "color": style.BLACK},
}
_VARIANT_DOMINATED = {
    "symbol": "square",
    "size": 10,
    "color": style.ORANGE,
    "line": {"width": 1.2, "color": style.BLACK},
}
_RECOMMENDED: dict[str, Any] = {"symbol": "circle-open", "size": 24, "color": style.GREEN, "line": {"width": 3}}


_RANK = {"front": 1, "recommended": 2, "other trials": 3, "over a bound": 4}


def _grown(marker: dict[str, Any], grow: float) -> dict[str, Any]:
    return {**marker, "size": marker["size"] * grow}


def shared_prefix(names: Sequence[str]) -> str:
    """What all names begin with, up to an underscore, so that a legend need not repeat it; empty for one name."""
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    prefix = first[:same]
    return prefix[: prefix.rfind("_") + 1]


def _legend_title(prefix: str) -> str:
    named = f" {style.plain(style.shorten(prefix, 24))}…" if prefix else ""
    return f"Variants{named}<br>◆ on the front   ■ dominated"


def _x_axis(info: FrontInfo, width: int) -> dict[str, Any]:
    low, high = info.x_range_ms
    scale = log_axis(low, high) if info.x_log else {"range": [low, high]}
    return style.axis(info.x_title, width=width, **scale)


def _y_range(info: FrontInfo) -> dict[str, Any]:
    """The fixed range, or one that grows when the reader asks for what is printed."""
    if info.printed and not info.printed_shown:
        return visible_if_asked(info.y_range_percent)
    return {"range": list(info.y_range_percent)}


def _add_points(
    figure: go.Figure,
    info: FrontInfo,
    points: Sequence[FrontPoint],
    name: str,
    marker: dict[str, Any],
    grow: float,
) -> None:
    if not points:
        return
    scatter = figure.add_scattergl if len(points) > _MANY else figure.add_scatter
    text = short_hover_text if len(points) > _FULL_HOVER else hover_text
    scatter(
        x=[point.latency_ms for point in points],
        y=[point.top1_percent for point in points],
        mode="markers",
        marker=_grown(marker, grow) | color_of_third(info, points),
        legendrank=_RANK[name],
        name=f"{name} ({len(points):,})",
        hovertext=[text(point) for point in points],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=trial_data([point.trial for point in points]),
    )


def _add_mark(figure: go.Figure, mark: VariantMark, prefix: str, grow: float) -> None:
    figure.add_scatter(
        x=[mark.point.latency_ms],
        y=[mark.point.top1_percent],
        mode="markers",
        marker=_grown(_VARIANT_ON_FRONT if mark.on_front else _VARIANT_DOMINATED, grow),
        name=f"{mark.number}  {style.plain(style.shorten(mark.name[len(prefix) :], _LEGEND_CHARACTERS))}",
        legendgroup="variants",
        legendgrouptitle={"text": _legend_title(prefix)},
        hovertext=[hover_text(mark.point, name=mark.name, verdict=f"{mark.sentence} {mark.reading}".strip())],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=trial_data([mark.point.trial]),
    )


def _add_recommended(figure: go.Figure, info: FrontInfo, grow: float) -> None:
    for point in info.points:
        if point.trial == info.recommended:
            figure.add_scatter(
                x=[point.latency_ms],
                y=[point.top1_percent],
                mode="markers",
                marker=_grown(_RECOMMENDED, grow),
                name=f"recommended: {style.plain(style.shorten(point.label, _LEGEND_CHARACTERS - 13))}",
                hoverinfo="skip",
                legendrank=_RANK["recommended"],
            )


def _add_labels(figure: go.Figure, info: FrontInfo, *, width: int, height: int, top: int) -> None:
    """The variants' numbers, each beside its marker with a thin leader."""
    grow = style.growth(width)
    cut = len(shared_prefix([mark.name for mark in info.marks]))
    names = [min(len(mark.name) - cut + 4, _LEGEND_CHARACTERS) for mark in info.marks]
    legend_px = 50.0 + 0.5 * _LEGEND_PX * grow * max([34, *names])
    area = (width - _MARGIN["l"] - _MARGIN["r"] - legend_px, float(height - top - _MARGIN["b"]))

    def pixel(x: float, y: float) -> tuple[float, float]:
        low, high = info.x_range_ms
        bottom, ceiling = info.y_range_percent
        across = math.log(x / low) / math.log(high / low) if info.x_log else (x - low) / (high - low)
        return (across * area[0], (ceiling - y) / (ceiling - bottom) * area[1])

    anchors = [pixel(mark.point.latency_ms, mark.point.top1_percent) for mark in info.marks]
    corners = [pixel(x, y) for x, y in info.steps]
    segments = [(a[0], a[1], b[0], a[1]) for a, b in pairwise(corners)]
    segments += [(b[0], a[1], b[0], b[1]) for a, b in pairwise(corners)]
    for point, (x, y) in zip(info.points, [pixel(p.latency_ms, p.top1_percent) for p in info.points], strict=True):
        if point.trial == info.recommended:  # the ring around the recommended network, as a square
            r = 0.5 * _RECOMMENDED["size"] * grow
            segments += [(x - r, y - r, x + r, y - r), (x - r, y + r, x + r, y + r)]
            segments += [(x - r, y - r, x - r, y + r), (x + r, y - r, x + r, y + r)]
    others = [pixel(point.latency_ms, point.top1_percent) for point in info.points if not point.on_front]
    front = [pixel(point.latency_ms, point.top1_percent) for point in info.points if point.on_front]
    texts = [str(mark.number) for mark in info.marks]
    places = place_labels(
        anchors,
        texts,
        markers=[*anchors, *front],
        dots=thinned(others, _DOTS_MINDED),
        segments=segments,
        width_px=area[0],
        height_px=area[1],
        font_px=round(_LABEL_PX * grow),
        grow=grow,
    )
    for mark, text, place in zip(info.marks, texts, places, strict=True):
        figure.add_annotation(
            x=math.log10(mark.point.latency_ms) if info.x_log else mark.point.latency_ms,
            y=mark.point.top1_percent,
            text=f"<b>{text}</b>",
            bgcolor="rgba(255,255,255,0.75)",
            **style.leader(place, font_px=round(_LABEL_PX * grow), width=1),
        )
