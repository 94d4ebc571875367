"""A front evaluated again: means with intervals in both directions, how probably each network is on the front, and what
the search itself had found (hollow)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint
from archsearch.plots import style
from archsearch.plots.ranges import AxisScale, PlotArea, percent_range
from archsearch.plots.traces import Place, add_lines, add_points, bars, hover
from archsearch.text import probability_text, shorten, significant

_MOST_LABELS = 60
_ON_FRONT = {"symbol": "diamond", "color": style.BLUE}
_OFF_FRONT = {"symbol": "circle", "color": style.ORANGE}


def confirmed_figure(found: Confirmed, *, width: int = 1100, height: int = 660) -> go.Figure:
    """The figure: filled what was found again, hollow what the search found, a thin line between the two."""
    points = found.evaluated
    beside = f"Beside each point: how probably it is on the front, over {found.draws:,} draws" if found.draws else ""
    lines = () if found.empty else (*found.subtitle, *found.sentences[:1], beside)
    grow = style.growth(width)
    x = AxisScale.of(
        [end for each in points for end in (*each.latencies_ms, each.searched_latency_ms) if end is not None]
    )
    top1s = [end for each in points for end in (*each.top1s_percent, each.searched_top1_percent) if end is not None]
    y = AxisScale(*percent_range(top1s))
    figure, room = style.begin(
        found,
        lines,
        margin=style.MARGIN,
        size=(width, height),
        xaxis=style.axis("Latency, drift-corrected p10 (ms)", width=width, **x.layout()),
        yaxis=style.axis("Validation top-1 (%)", width=width, **y.layout()),
        legend=style.LEGEND_BELOW,
    )
    if found.empty is not None:
        return figure
    searched = [  # with the latency (ms) and the top-1 (%) that the search found
        (each, (each.searched_latency_ms, each.searched_top1_percent))
        for each in points
        if each.searched_latency_ms is not None and each.searched_top1_percent is not None
    ]
    line = {"color": style.DOTS, "width": 1, "dash": "dot"}
    add_lines(figure, [(found_then, _mean(each)) for each, found_then in searched], line)
    add_points(
        figure,
        [found_then for _, found_then in searched],
        [
            hover(each.label, more=f" in the search: {top1:.2f} %, {significant(latency)} ms")
            for each, (latency, top1) in searched
        ],
        {"symbol": "circle-open", "size": 9 * grow, "color": style.QUIET_INK, "line": {"width": 1.6}},
        trials=[each.trial for each, _ in searched],
        name=f"as the search found them ({len(searched)})",
    )
    for on_front, look, name in ((True, _ON_FRONT, "means on the front"), (False, _OFF_FRONT, "means dominated")):
        drawn = [each for each in points if each.on_front is on_front]
        add_points(
            figure,
            map(_mean, drawn),
            [hover_text(each) for each in drawn],
            {**look, "size": 11 * grow, "line": {"width": 1, "color": style.BLACK}},
            trials=[each.trial for each in drawn],
            **error_bars(drawn, color=look["color"], thickness=1.5, width=3),
            name=f"{name} ({len(drawn)})",
        )
    if len(points) <= _MOST_LABELS:
        intervals = [(*_mean(each), each.latencies_ms, each.top1s_percent) for each in points]
        PlotArea(x=x, y=y, room=room).label(
            figure,
            [_mean(each) for each in points],
            [_label_text(each) for each in points],
            markers=[found_then for _, found_then in searched],
            segments=[
                line
                for ms, top1, xs, ys in intervals
                for line in ((min(xs), top1, max(xs), top1), (ms, max(ys), ms, min(ys)))
            ],
            grow=grow,
            leader={"standoff": 6},
            bgcolor=style.VEIL,
        )
    return figure


def _mean(point: ConfirmedPoint) -> Place:
    return point.latency_ms, point.top1_percent


def error_bars(points: Sequence[ConfirmedPoint], **look: Any) -> dict[str, Any]:
    """`error_x` (latency) and `error_y` (top-1) of a trace at the means: the intervals, as far as there are any."""
    return {
        "error_x": bars([(each.latency_ms, each.latencies_ms) for each in points], **look),
        "error_y": bars([(each.top1_percent, each.top1s_percent) for each in points], **look),
    }


def hover_text(point: ConfirmedPoint) -> str:
    """What the further evaluations of a network found."""
    return hover(point.label, *style.wrap(point.sentence), more=", evaluated again")


def _label_text(point: ConfirmedPoint) -> str:
    sure = "" if point.probability_on_front is None else f": {probability_text(point.probability_on_front)}"
    return shorten(point.label.removeprefix("trial "), 20) + sure
