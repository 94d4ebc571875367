"""A front with a third number as depth: accuracy, latency, and parameters or multiply-adds. Drawn from a FrontInfo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.front import FrontInfo, FrontPoint
from archsearch.plots.front_text import bound_text
from archsearch.plots.hover import hover_text, short_hover_text
from archsearch.plots.ranges import nice_log_ticks, wants_log
from archsearch.plots.thinning import thinned, thinned_line
from archsearch.text import count_text

MOST_POINTS = 3000
_FULL_HOVER = 300
_SIDE = "#F5F7FA"


def front_3d_info(info: FrontInfo) -> FrontInfo:
    """The same, with a title of its own, and of very many dominated networks fewer."""
    role = f"depth: {info.third_title.lower()}, "
    role += "the third objective" if info.third_counts else "for reading only: the front is one of accuracy and latency"
    points = thinned(info.points, MOST_POINTS, keep=lambda point: _kept(info, point))
    thin = thinned_line(len(points), len(info.points), "networks")
    return replace(
        info,
        title=f"{info.title} and {info.third_title.lower()}",
        subtitle=(*info.subtitle, "; ".join(part for part in (role, thin) if part)),
        points=tuple(points),
    )


def _kept(info: FrontInfo, point: FrontPoint) -> bool:
    return point.on_front or any(mark.point.trial == point.trial for mark in info.marks)


def front_3d_figure(info: FrontInfo, *, width: int = 1100, height: int = 760) -> go.Figure:
    """The figure: it can be turned; what is on the front is larger and darker."""
    grow = style.growth(width)
    title, top = style.heading(info.title, info.subtitle, info.warnings, width=width, height=height)
    figure = go.Figure()
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={"l": 10, "r": 10, "b": 10, "t": top},
        legend={"x": 1.0, "y": 1, "xanchor": "right", "yanchor": "top", "itemsizing": "constant"},
    )
    if info.empty is not None:
        figure.update_layout(xaxis={"visible": False}, yaxis={"visible": False})
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    figure.update_layout(
        scene={
            "xaxis": _axis("Latency (ms)", [point.latency_ms for point in info.points], grow),
            "yaxis": _axis(info.third_title, [float(getattr(point, info.third)) for point in info.points], grow),
            "zaxis": _axis(info.y_title, None, grow),
            "camera": {"eye": {"x": 1.05, "y": -1.65, "z": 0.6}, "center": {"x": 0.05, "y": 0, "z": -0.12}},
            "aspectmode": "manual",
            "aspectratio": {"x": 1.25, "y": 1.1, "z": 0.85},
        }
    )
    named = {mark.point.trial for mark in info.marks}
    others = [point for point in info.points if not point.on_front and point.trial not in named]
    front = [point for point in info.points if point.on_front and point.trial not in named]
    _add(figure, info, others, f"other trials ({len(others):,})", {"size": 3 * grow, "color": style.DOTS})
    _add(figure, info, front, f"front ({len(front):,})", {"size": 6 * grow, "color": style.BLUE})
    for on_front, symbol, color, name in (
        (True, "diamond", style.VERMILLION, "variants on the front"),
        (False, "square", style.ORANGE, "variants, dominated"),
    ):
        marks = [mark for mark in info.marks if mark.on_front == on_front]
        look = {"size": 6 * grow, "symbol": symbol, "color": color, "line": {"width": 1, "color": style.BLACK}}
        texts = [style.plain(style.shorten(mark.name, 28)) for mark in marks]
        _add(figure, info, [mark.point for mark in marks], f"{name} ({len(marks):,})", look, texts)
    _add_planes(figure, info)
    return figure


def _axis(title: str, positive: Sequence[float] | None, grow: float) -> dict[str, Any]:
    """An axis in space; of positive values it is logarithmic where they span much."""
    scale = {}
    if positive is not None and wants_log(positive):
        ticks = nice_log_ticks(min(positive), max(positive))[-6:]
        scale = {
            "type": "log",
            "tickvals": ticks,
            "ticktext": [count_text(t) if t >= 1000 else f"{t:g}" for t in ticks],
        }
    return {
        "title": {"text": style.plain(title), "font": {"size": round(13 * grow)}},
        "tickfont": {"size": round(10 * grow)},
        "showbackground": True,
        "backgroundcolor": _SIDE,
        "gridcolor": "#CBD2D9",
        "zeroline": False,
        "nticks": 6,
        **scale,
    }


def _add(
    figure: go.Figure,
    info: FrontInfo,
    points: Sequence[FrontPoint],
    name: str,
    marker: dict[str, Any],
    texts: Sequence[str] = (),
) -> None:
    if not points:
        return
    text = short_hover_text if len(points) > _FULL_HOVER else hover_text
    figure.add_scatter3d(
        x=[point.latency_ms for point in points],
        y=[float(getattr(point, info.third)) for point in points],
        z=[point.top1_percent for point in points],
        mode="markers+text" if texts else "markers",
        marker=marker,
        text=list(texts) or None,
        textfont={"size": 11, "color": style.INK},
        name=name,
        hovertext=[text(point) for point in points],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=style.trial_data([point.trial for point in points]),
    )


def _add_planes(figure: go.Figure, info: FrontInfo) -> None:
    """The study's bounds on two of the three numbers, as walls, where they stand among the points."""
    x = [point.latency_ms for point in info.points]
    y = [float(getattr(point, info.third)) for point in info.points]
    z = info.y_range_percent
    for bound in info.bounds:
        if bound.name == "latency_ms" and min(x) < bound.value <= 1.3 * max(x):
            corners = ([bound.value] * 4, [min(y), max(y), max(y), min(y)])
        elif bound.name == info.third and min(y) < bound.value <= 1.3 * max(y):
            corners = ([min(x), max(x), max(x), min(x)], [bound.value] * 4)
        else:
            continue
        figure.add_mesh3d(
            x=corners[0],
            y=corners[1],
            z=[z[0], z[0], z[1], z[1]],
            i=[0, 0],
            j=[1, 2],
            k=[2, 3],
            color=style.QUIET_INK,
            opacity=0.25,
            lighting={"ambient": 1.0, "diffuse": 0.0, "specular": 0.0},
            name=style.plain(bound_text(bound)),
            showlegend=True,
            hoverinfo="name",
        )
