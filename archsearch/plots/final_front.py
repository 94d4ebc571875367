"""The networks trained in full: test accuracy with intervals against latency, and against parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.final_front import FinalFront, FinalNetwork
from archsearch.plots import style
from archsearch.plots.ranges import PlotArea, log_axis, percent_range, positive_range
from archsearch.text import count_text, interval_text, plural, shorten, significant

_MARGIN = {"l": 78, "r": 24, "b": 104}
_GAP, _LEFT = 0.05, 0.56  # shares of the width: between the panels, and of the left one
_MOST_LABELS = 40
_LOOKS = (("searched", "circle", style.VERMILLION), ("published and carried over", "diamond", style.BLUE))


def final_figure(found: FinalFront, *, width: int = 1100, height: int = 620) -> go.Figure:
    """The figure: full markers are on the final front, which the line joins; a rank is proxy→final."""
    lines = () if found.empty else (*found.subtitle, *found.sentences[:1])
    title, top = style.heading(found.title, lines, found.warnings, width=width, height=height)
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, column_widths=[_LEFT, 1 - _LEFT - _GAP], horizontal_spacing=_GAP
    )
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={**_MARGIN, "t": top},
        legend={**style.LEGEND_BELOW, "font": {"size": style.SMALL_PX}},
    )
    if found.empty is not None:
        style.draw_nothing(figure, found.empty)
        return figure
    y_range = percent_range([end for each in found.networks for end in _reach(each)])
    inner = width - _MARGIN["l"] - _MARGIN["r"]
    panels: tuple[tuple[str, Callable[[FinalNetwork], float], float], ...] = (
        ("Latency, drift-corrected p10 (ms)", lambda each: each.latency_ms, inner * _LEFT),
        (
            "Params; beside each, its rank by the proxy → finally",
            lambda each: float(each.row.cost.params),
            inner * (1 - _LEFT - _GAP),
        ),
    )
    figure.add_scatter(
        x=[each.latency_ms for each in found.members],
        y=[each.top1_percent for each in found.members],
        mode="lines",
        line={"color": style.INK, "width": 1.2, "shape": "hv"},
        hoverinfo="skip",
        name="the final front",
        row=1,
        col=1,
    )
    for column, (name, value, room) in enumerate(panels, start=1):
        low, high = positive_range([value(each) for each in found.networks], log=True)
        axis = log_axis(low, high)
        if column == 2:
            axis["ticktext"] = [count_text(tick) for tick in axis["tickvals"]]  # type: ignore[attr-defined]
        figure.update_xaxes(style.axis(name, width=width, **axis), col=column)
        _draw(figure, found.networks, value, column=column, grow=style.growth(width))
        if len(found.networks) <= _MOST_LABELS:
            PlotArea(
                x_range=(low, high), y_range=y_range, x_log=True, width_px=room, height_px=height - top - _MARGIN["b"]
            ).label(
                figure,
                [(value(each), each.top1_percent) for each in found.networks],
                [_label(each, with_name=column == 1) for each in found.networks],
                segments=[(value(each), min(_reach(each)), value(each), max(_reach(each))) for each in found.networks],
                grow=style.growth(width),
                leader={"color": style.DOTS, "width": 0.7, "ink": style.QUIET_INK},
                row=1,
                col=column,
            )
    figure.update_yaxes(range=list(y_range))
    figure.update_yaxes(style.axis("Test top-1 (%)", width=width), col=1)
    return figure


def _draw(
    figure: go.Figure,
    networks: Sequence[FinalNetwork],
    value: Callable[[FinalNetwork], float],
    *,
    column: int,
    grow: float,
) -> None:
    for name, symbol, color in _LOOKS:
        points = [each for each in networks if (each.record.variant is None) is (name == "searched")]
        if not points:
            continue
        figure.add_scatter(
            x=[value(each) for each in points],
            y=[each.top1_percent for each in points],
            error_y=style.bars(
                [(each.top1_percent, _reach(each)) for each in points], color=color, thickness=1.2, width=3
            ),
            mode="markers",
            marker={
                "symbol": [symbol if each.row.on_front else f"{symbol}-open" for each in points],
                "size": 9 * grow,
                "color": color,
                "line": {"width": 1.4, "color": color},
            },
            name=f"{name} ({len(points)}; open: not on the final front)",
            legendgroup=name,
            showlegend=column == 1,
            hovertext=[_hover(each) for each in points],
            hovertemplate="%{hovertext}<extra></extra>",
            customdata=style.trial_data([each.record.trial for each in points]),
            row=1,
            col=column,
        )


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
    lines = (
        f"<b>{style.plain(network.record.label)}</b>",
        f"test top-1 {interval_text(top1.value, top1.low, top1.high, decimals=2, unit='%')}, "
        f"{plural(network.seeds, 'seed')}",
        f"{significant(network.latency_ms)} ms, {network.row.cost.params:,} params",
        ranks,
        f"arch_id {style.plain(network.record.arch_id)}",
    )
    return "<br>".join(line for line in lines if line)
