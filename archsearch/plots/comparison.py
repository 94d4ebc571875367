"""The same networks in two studies or on two devices, a panel for each pair: what each measured, and who moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.comparison import COMPARED, Comparison, Mover, SharedNetwork
from archsearch.plots import style
from archsearch.plots.ranges import PlotArea, log_axis, percent_range, positive_range, wants_log
from archsearch.plots.thinning import thinned, thinned_line
from archsearch.text import capitalised, interval_text, shorten, significant

MOST_DRAWN = 3000
MOST_PANELS = 3
_MOST_MOVERS = 6  # labelled in each panel
_SPACING = 0.11
_MARGIN = {"l": 78, "r": 24, "b": 104}
BOTH, ONE, NEITHER = "on both fronts", "on one of the two fronts", "on neither front"
_LOOKS: tuple[tuple[str, dict[str, Any]], ...] = (
    (BOTH, {"symbol": "diamond", "color": style.BLUE, "size": 10}),
    (ONE, {"symbol": "square", "color": style.ORANGE, "size": 9}),
    (NEITHER, {"symbol": "circle", "color": style.DOTS, "size": 7}),
)
_Point = tuple[float, float]


def comparison_figure(found: Comparison, *, width: int = 1100, height: int = 620) -> go.Figure:
    """The figure: of two sides their latencies and accuracies, of more the latencies of each against the first side's.

    In each panel stand the diagonal, where both sides are equal, and the movers with their ranks in both.
    """
    pairs = [("latency_ms", other) for other in range(1, len(found.sides))][:MOST_PANELS]
    undrawn = len(found.sides) - 1 - len(pairs)
    if len(found.sides) == 2:
        pairs.append(("error_percent", 1))
    drawn = [_thinned(found, objective, other) for objective, other in pairs]
    lines = [
        *found.subtitle,
        f"{len(pairs)} of {len(pairs) + undrawn} are drawn" if undrawn else "",
        thinned_line(min(map(len, drawn)), len(found.shared), "networks"),
    ]
    title, top = style.heading(
        found.title, tuple(line for line in lines if line), found.warnings, width=width, height=height
    )
    grow = style.growth(width)
    room = (width - _MARGIN["l"] - _MARGIN["r"]) * (1 - _SPACING * (len(pairs) - 1)) / len(pairs)
    figure = make_subplots(rows=1, cols=len(pairs), horizontal_spacing=_SPACING)
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={**_MARGIN, "t": top},
        legend=style.LEGEND_BELOW,
    )
    if found.empty is not None:
        style.draw_nothing(figure, found.empty)
        return figure
    area = (room, float(height - top - _MARGIN["b"]))
    for column, ((objective, other), networks) in enumerate(zip(pairs, drawn, strict=True), start=1):
        _draw_panel(figure, found, objective, other, networks, column, area=area, width=width, grow=grow)
    return figure


def _point(network: SharedNetwork, objective: str, other: int) -> _Point:
    """What the first side and another one measured: latency (ms) or top-1 (%)."""
    values = network.values(objective)
    pair = values[0], values[other]
    return (100.0 - pair[0], 100.0 - pair[1]) if objective == "error_percent" else pair


def _kind(network: SharedNetwork, other: int) -> str:
    fronts = (network.on_front[0], network.on_front[other])
    return BOTH if all(fronts) else ONE if any(fronts) else NEITHER


def _movers(found: Comparison, objective: str, other: int) -> list[Mover]:
    place = (objective, found.sides[0], found.sides[other])
    return [each for each in found.movers if (each.objective, each.first, each.second) == place]


def _thinned(found: Comparison, objective: str, other: int) -> list[SharedNetwork]:
    """The networks of a panel: those on a front and those that move, and of the rest evenly many."""
    moving = {each.arch_id for each in _movers(found, objective, other)}
    return thinned(found.shared, MOST_DRAWN, lambda each: _kind(each, other) != NEITHER or each.arch_id in moving)


def _draw_panel(
    figure: go.Figure,
    found: Comparison,
    objective: str,
    other: int,
    networks: Sequence[SharedNetwork],
    column: int,
    *,
    area: tuple[float, float],
    width: int,
    grow: float,
) -> None:
    names = (found.sides[0], found.sides[other])
    points = {each.arch_id: _point(each, objective, other) for each in networks}
    latency = objective == "latency_ms"
    log = latency and wants_log([value for pair in points.values() for value in pair])
    sides = list(zip(*points.values(), strict=True))
    ranges = [positive_range(values, log=log) if latency else percent_range(values) for values in sides]
    word = "Latency (ms)" if latency else "Top-1 (%)"
    kinds = [log_axis(*limits) if log else {"range": list(limits)} for limits in ranges]
    shown = [shorten(name, 36) for name in names]
    figure.update_xaxes(style.axis(f"{word}: {shown[0]}", width=width, **kinds[0]), col=column)
    figure.update_yaxes(style.axis(f"{word}: {shown[1]}", width=width, **kinds[1]), col=column)
    named = {trace.name for trace in figure.data}
    if line := style.diagonal(*ranges):
        figure.add_scatter(
            **line,
            name="equal in both",
            legendgroup="equal",
            showlegend="equal in both" not in named,
            row=1,
            col=column,
        )
    for kind, look in reversed(_LOOKS):
        drawn = [each for each in networks if _kind(each, other) == kind]
        if not drawn:
            continue
        figure.add_scatter(
            x=[points[each.arch_id][0] for each in drawn],
            y=[points[each.arch_id][1] for each in drawn],
            mode="markers",
            marker={**look, "size": look["size"] * grow, "line": {"width": 0.6, "color": "white"}},
            name=kind,
            legendgroup=kind,
            showlegend=kind not in named,
            hovertext=[_hover(each, points[each.arch_id], names, "ms" if latency else "%", kind) for each in drawn],
            hovertemplate="%{hovertext}<extra></extra>",
            row=1,
            col=column,
        )
    figure.add_annotation(
        text="<br>".join(style.wrap(_agreement(found, objective, names), 0.8 * area[0])),
        x=0.02,
        xref="x domain",
        xanchor="left",
        y=0.99,
        yref="y domain",
        yanchor="top",
        align="left",
        showarrow=False,
        bgcolor=style.VEIL,
        font={"size": round(style.SMALL_PX * grow)},
        row=1,
        col=column,
    )
    labelled = [
        (points[each.arch_id], f"{shorten(each.label, 18)}: {each.from_rank:g} → {each.to_rank:g}")
        for each in _movers(found, objective, other)
        if each.arch_id in points
    ]
    movers = labelled[:_MOST_MOVERS]
    PlotArea(x_range=ranges[0], y_range=ranges[1], width_px=area[0], height_px=area[1], x_log=log, y_log=log).label(
        figure,
        [point for point, _ in movers],
        [text for _, text in movers],
        dots=list(points.values())[:2000],
        grow=grow,
        leader={"color": style.VERMILLION},
        bgcolor=style.VEIL,
        row=1,
        col=column,
    )


def _agreement(found: Comparison, objective: str, names: tuple[str, str]) -> str:
    """`Latency: Kendall tau 0.80 (0.75 to 0.84), n = 94`."""
    (each,) = (one for one in found.correlations if (one.objective, one.first, one.second) == (objective, *names))
    what = capitalised(COMPARED[objective])
    if each.kendall is None:
        return f"{what}: {each.reason}"
    return (
        f"{what}: Kendall tau {interval_text(each.kendall, each.kendall_low, each.kendall_high, decimals=2)}, "
        f"n = {each.n:,}"
    )


def _hover(network: SharedNetwork, point: _Point, names: tuple[str, str], unit: str, kind: str) -> str:
    return "<br>".join(
        [
            f"<b>{style.plain(network.label)}</b>, {kind}",
            *(style.plain(f"{name}: {significant(value, 4)} {unit}") for name, value in zip(names, point, strict=True)),
            f"arch_id {style.plain(network.arch_id)}",
        ]
    )
