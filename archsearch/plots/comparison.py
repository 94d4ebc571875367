"""The same networks in two studies or on two devices, a panel for each pair: what each measured, and who moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.comparison import COMPARED, Comparison, Mover, SharedNetwork
from archsearch.plots import style
from archsearch.plots.ranges import AxisScale, PlotArea, percent_range, positive_range, wants_log
from archsearch.plots.traces import Place, add_diagonal, add_points, hover, thinned, thinned_line
from archsearch.text import capitalised, interval_text, shorten, significant

MOST_DRAWN = 3000
MOST_PANELS = 3
_MOST_MOVERS = 6  # labelled in each panel
_SPACING = 0.11
BOTH, ONE, NEITHER = "on both fronts", "on one of the two fronts", "on neither front"
_LOOKS: tuple[tuple[str, dict[str, Any]], ...] = (
    (BOTH, {"symbol": "diamond", "color": style.BLUE, "size": 10}),
    (ONE, {"symbol": "square", "color": style.ORANGE, "size": 9}),
    (NEITHER, {"symbol": "circle", "color": style.DOTS, "size": 7}),
)


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
    figure = make_subplots(rows=1, cols=len(pairs), horizontal_spacing=_SPACING)
    legend = style.LEGEND_BELOW
    _, (across, down) = style.begin(found, lines, figure, size=(width, height), margin=style.MARGIN, legend=legend)
    if found.empty is not None:
        return figure
    area = (across * (1 - _SPACING * (len(pairs) - 1)) / len(pairs), down)
    for column, ((objective, other), networks) in enumerate(zip(pairs, drawn, strict=True), start=1):
        _draw_panel(figure, found, objective, other, networks, column, area=area, width=width)
    return figure


def _point(network: SharedNetwork, objective: str, other: int) -> Place:
    """What the first side and another one measured: latency (ms) or top-1 (%)."""
    if objective == "latency_ms":
        return network.latency_ms[0], network.latency_ms[other]
    return 100.0 - network.error_percent[0], 100.0 - network.error_percent[other]


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
    area: Place,
    width: int,
) -> None:
    grow = style.growth(width)
    names = (found.sides[0], found.sides[other])
    points = {each.arch_id: _point(each, objective, other) for each in networks}
    latency = objective == "latency_ms"
    log = latency and wants_log([value for pair in points.values() for value in pair])
    sides = list(zip(*points.values(), strict=True))
    x, y = (AxisScale(*(positive_range(each, log=log) if latency else percent_range(each)), log) for each in sides)
    word = "Latency (ms)" if latency else "Top-1 (%)"
    shown = [shorten(name, 36) for name in names]
    figure.update_xaxes(style.axis(f"{word}: {shown[0]}", width=width, **x.layout()), col=column)
    figure.update_yaxes(style.axis(f"{word}: {shown[1]}", width=width, **y.layout()), col=column)
    named = {trace.name for trace in figure.data}

    def panel(name: str, group: str) -> dict[str, Any]:
        return {"name": name, "legendgroup": group, "showlegend": name not in named, "row": 1, "col": column}

    add_diagonal(figure, x, y, **panel("equal in both", "equal"))
    for kind, look in reversed(_LOOKS):
        drawn = [each for each in networks if _kind(each, other) == kind]
        add_points(
            figure,
            [points[each.arch_id] for each in drawn],
            [_hover(each, points[each.arch_id], names, "ms" if latency else "%", kind) for each in drawn],
            {**look, "size": look["size"] * grow, "line": {"width": 0.6, "color": "white"}},
            **panel(kind, kind),
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
    PlotArea(x=x, y=y, room=area).label(
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


def _hover(network: SharedNetwork, point: Place, names: tuple[str, str], unit: str, kind: str) -> str:
    values = (f"{name}: {significant(value, 4)} {unit}" for name, value in zip(names, point, strict=True))
    arch_id = style.plain(network.arch_id)
    return hover(network.label, *map(style.plain, values), f"arch_id {arch_id}", more=f", {kind}")
