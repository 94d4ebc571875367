"""The networks trained in full: test accuracy with intervals against latency, and against parameters."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.final_front import FinalFront, FinalNetwork
from archsearch.plots import style
from archsearch.plots.ranges import AxisScale, PlotArea, percent_range, positive_range
from archsearch.plots.traces import add_line, add_points, bars, hover
from archsearch.text import count_text, interval_text, plural, shorten, significant

_GAP, _LEFT = 0.05, 0.56  # shares of the width: between the panels, and of the left one
_MOST_LABELS = 40
_LOOKS = (("searched", "circle", style.VERMILLION), ("published and carried over", "diamond", style.BLUE))


def final_figure(found: FinalFront, *, width: int = 1100, height: int = 620) -> go.Figure:
    """The figure: full markers are on the final front, which the line joins; a rank is proxy→final."""
    lines = () if found.empty else (*found.subtitle, *found.sentences[:1])
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, column_widths=[_LEFT, 1 - _LEFT - _GAP], horizontal_spacing=_GAP
    )
    legend = style.SMALL_LEGEND_BELOW
    _, (inner, down) = style.begin(found, lines, figure, size=(width, height), margin=style.MARGIN, legend=legend)
    if found.empty is not None:
        return figure
    y = AxisScale(*percent_range([end for each in found.networks for end in _reach(each)]))
    params = "Params; beside each, its rank by the proxy → finally"
    panels: tuple[tuple[str, Callable[[FinalNetwork], float], Callable[[float], str], float], ...] = (
        ("Latency, drift-corrected p10 (ms)", lambda each: each.latency_ms, "{:g}".format, inner * _LEFT),
        (params, lambda each: float(each.row.cost.params), count_text, inner * (1 - _LEFT - _GAP)),
    )
    members = [(each.latency_ms, each.top1_percent) for each in found.members]
    line = {"color": style.INK, "width": 1.2, "shape": "hv"}
    add_line(figure, members, line, name="the final front", row=1, col=1)
    grow = style.growth(width)
    for column, (name, value, text, room) in enumerate(panels, start=1):
        x = AxisScale(*positive_range([value(each) for each in found.networks], log=True), log=True)
        figure.update_xaxes(style.axis(name, width=width, **x.layout(text=text)), col=column)
        for kind, symbol, color in _LOOKS:
            points = [each for each in found.networks if (each.record.variant is None) is (kind == "searched")]
            reaches = [(each.top1_percent, _reach(each)) for each in points]
            add_points(
                figure,
                [(value(each), each.top1_percent) for each in points],
                [_hover(each) for each in points],
                {
                    "symbol": [symbol if each.row.on_front else f"{symbol}-open" for each in points],
                    "size": 9 * grow,
                    "color": color,
                    "line": {"width": 1.4, "color": color},
                },
                trials=[each.record.trial for each in points],
                error_y=bars(reaches, color=color, thickness=1.2, width=3),
                name=f"{kind} ({len(points)}; open: not on the final front)",
                legendgroup=kind,
                showlegend=column == 1,
                row=1,
                col=column,
            )
        if len(found.networks) <= _MOST_LABELS:
            PlotArea(x=x, y=y, room=(room, down)).label(
                figure,
                [(value(each), each.top1_percent) for each in found.networks],
                [_label(each, with_name=column == 1) for each in found.networks],
                segments=[(value(each), min(_reach(each)), value(each), max(_reach(each))) for each in found.networks],
                grow=grow,
                leader=style.THIN_LEADER,
                row=1,
                col=column,
            )
    figure.update_yaxes(y.layout())
    figure.update_yaxes(style.axis("Test top-1 (%)", width=width), col=1)
    return figure


def _reach(network: FinalNetwork) -> list[float]:
    """The mean, and the ends of its interval as far as there are any (percent)."""
    top1 = network.top1
    return [network.top1_percent, *(end for end in (top1.low, top1.high) if end is not None)]


def _label(network: FinalNetwork, *, with_name: bool) -> str:
    if not with_name:
        return "" if network.proxy_rank is None else f"{network.proxy_rank}→{network.final_rank}"
    variant = network.record.variant
    return str(network.record.trial) if variant is None else shorten(variant.removeprefix("shufflenet_"), 18)


def _hover(network: FinalNetwork) -> str:
    top1 = network.top1
    ranks = "" if network.proxy_rank is None else f"rank {network.proxy_rank} by the proxy, {network.final_rank} now"
    return hover(
        network.record.label,
        f"test top-1 {interval_text(top1.value, top1.low, top1.high, decimals=2, unit='%')}, "
        f"{plural(network.seeds, 'seed')}",
        f"{significant(network.latency_ms)} ms, {network.row.cost.params:,} params",
        ranks,
        f"arch_id {style.plain(network.record.arch_id)}",
    )
