"""A front evaluated again: means with intervals in both directions, how probably each network is on the front, and what
the search itself had found (hollow)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint
from archsearch.plots import style
from archsearch.plots.ranges import PlotArea, log_axis, percent_range, positive_range, wants_log
from archsearch.text import probability_text, shorten, significant

_MOST_LABELS = 60
_MARGIN = {"l": 78, "r": 24, "b": 104}
_ON_FRONT = {"symbol": "diamond", "color": style.BLUE}
_OFF_FRONT = {"symbol": "circle", "color": style.ORANGE}


def confirmed_figure(found: Confirmed, *, width: int = 1100, height: int = 660) -> go.Figure:
    """The figure: filled what was found again, hollow what the search found, a thin line between the two."""
    points = found.evaluated
    lines = () if found.empty else (*found.subtitle, *found.sentences[:1], *_legend_line(found))
    title, top = style.heading(found.title, lines, found.warnings, width=width, height=height)
    grow = style.growth(width)
    latencies = [end for each in points for end in (*each.latencies_ms, each.searched_latency_ms) if end is not None]
    top1s = [end for each in points for end in (*each.top1s_percent, each.searched_top1_percent) if end is not None]
    x_log = wants_log(latencies)
    low, high = positive_range(latencies, log=x_log)
    bottom, ceiling = percent_range(top1s)
    x_axis = log_axis(low, high) if x_log else {"range": [low, high]}
    figure = go.Figure()
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={**_MARGIN, "t": top},
        xaxis=style.axis("Latency, drift-corrected p10 (ms)", width=width, **x_axis),
        yaxis=style.axis("Validation top-1 (%)", width=width, range=[bottom, ceiling]),
        legend=style.LEGEND_BELOW,
    )
    if found.empty is not None:
        figure.add_annotation(style.nothing_to_draw(found.empty))
        return figure
    _draw_searched(figure, points, grow)
    for on_front, look, name in (
        (True, _ON_FRONT, "means on the front"),
        (False, _OFF_FRONT, "means dominated"),
    ):
        drawn = [each for each in points if each.on_front is on_front]
        if drawn:
            _draw_means(figure, drawn, look, f"{name} ({len(drawn)})", grow)
    if len(points) <= _MOST_LABELS:
        means = [(each.latency_ms, each.top1_percent) for each in points]
        intervals = [(each.latencies_ms, each.top1s_percent) for each in points]
        PlotArea(
            x_range=(low, high),
            y_range=(bottom, ceiling),
            x_log=x_log,
            width_px=width - _MARGIN["l"] - _MARGIN["r"],
            height_px=float(height - top - _MARGIN["b"]),
        ).label(
            figure,
            means,
            [_label_text(each) for each in points],
            markers=[(latency, top1) for _, latency, top1 in _searched(points)],
            segments=[
                line
                for (x, y), (xs, ys) in zip(means, intervals, strict=True)
                for line in ((min(xs), y, max(xs), y), (x, max(ys), x, min(ys)))
            ],
            grow=grow,
            leader={"standoff": 6},
            bgcolor=style.VEIL,
        )
    return figure


def error_bars(points: Sequence[ConfirmedPoint], **look: Any) -> dict[str, dict[str, Any]]:
    """`error_x` (latency) and `error_y` (top-1) of a trace at the means: the intervals, as far as there are any."""
    return {
        "error_x": style.bars([(each.latency_ms, each.latencies_ms) for each in points], **look),
        "error_y": style.bars([(each.top1_percent, each.top1s_percent) for each in points], **look),
    }


def _legend_line(found: Confirmed) -> tuple[str, ...]:
    if not found.draws:
        return ()
    return (f"Beside each point: how probably it is on the front, over {found.draws:,} draws",)


def _searched(points: Sequence[ConfirmedPoint]) -> list[tuple[ConfirmedPoint, float, float]]:
    """The points that the search had evaluated, with the latency (ms) and the top-1 (%) that it found."""
    return [
        (each, each.searched_latency_ms, each.searched_top1_percent)
        for each in points
        if each.searched_latency_ms is not None and each.searched_top1_percent is not None
    ]


def _draw_searched(figure: go.Figure, points: Sequence[ConfirmedPoint], grow: float) -> None:
    pairs = _searched(points)
    if not pairs:
        return
    figure.add_scatter(
        x=[x for each, latency, _ in pairs for x in (latency, each.latency_ms, None)],
        y=[y for each, _, top1 in pairs for y in (top1, each.top1_percent, None)],
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
            f"<b>{style.plain(each.label)}</b> in the search: {top1:.2f} %, {significant(latency)} ms"
            for each, latency, top1 in pairs
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=_trials([each for each, _, _ in pairs]),
    )


def _draw_means(
    figure: go.Figure, points: Sequence[ConfirmedPoint], look: dict[str, Any], name: str, grow: float
) -> None:
    figure.add_scatter(
        x=[each.latency_ms for each in points],
        y=[each.top1_percent for each in points],
        **error_bars(points, color=look["color"], thickness=1.5, width=3),
        mode="markers",
        marker={**look, "size": 11 * grow, "line": {"width": 1, "color": style.BLACK}},
        name=name,
        hovertext=[hover_text(each) for each in points],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=_trials(points),
    )


def hover_text(point: ConfirmedPoint) -> str:
    """What the further evaluations of a network found."""
    return "<br>".join([f"<b>{style.plain(point.label)}</b>, evaluated again", *style.wrap(point.sentence, 430)])


def _trials(points: Sequence[ConfirmedPoint]) -> list[list[int]]:
    return [[] if each.trial is None else [each.trial] for each in points]


def _label_text(point: ConfirmedPoint) -> str:
    name = shorten(point.label.removeprefix("trial "), 20)
    if point.probability_on_front is None:
        return name
    return f"{name}: {probability_text(point.probability_on_front)}"
