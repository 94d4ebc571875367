"""Draws a ComparisonInfo with plotly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.plots import style
from archsearch.plots.comparison import BOTH, NEITHER, ONE, ComparedNetwork, ComparisonInfo, ComparisonPanel
from archsearch.plots.forest import LEAST_WIDTH_PX
from archsearch.plots.labels import place_labels
from archsearch.plots.ranges import log_axis, percent_range, positive_range
from archsearch.plots.thinning import thinned, thinned_line
from archsearch.text import significant

MOST_DRAWN = 3000
_MOST_MOVERS = 6  # labelled in each panel
_SPACING = 0.11
_MARGIN = {"l": 78, "r": 24, "b": 104}
_LOOKS: tuple[tuple[str, dict[str, Any]], ...] = (
    (BOTH, {"symbol": "diamond", "color": style.BLUE, "size": 10}),
    (ONE, {"symbol": "square", "color": style.ORANGE, "size": 9}),
    (NEITHER, {"symbol": "circle", "color": style.DOTS, "size": 7}),
)


def comparison_figure(info: ComparisonInfo, *, width: int = 1100, height: int = 620) -> go.Figure:
    """The figure: a panel for each pair and objective, the diagonal where both are equal, the movers labelled."""
    drawn = {id(panel): _thinned(panel) for panel in info.panels}
    rest = next(
        (
            line
            for panel in info.panels
            if (line := thinned_line(len(drawn[id(panel)]), len(panel.networks), "networks"))
        ),
        "",
    )
    lines = tuple(line for line in (*info.subtitle, rest) if line)
    title, top = style.heading(info.title, lines, info.warnings, width=width, height=height)
    count = max(1, len(info.panels))
    grow = style.growth(width)
    room = (width - _MARGIN["l"] - _MARGIN["r"]) * (1 - _SPACING * (count - 1)) / count
    figure = make_subplots(rows=1, cols=count, horizontal_spacing=_SPACING)
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={**_MARGIN, "t": top},
        legend={"orientation": "h", "x": 0.01, "xref": "container", "y": 0, "yref": "container", "yanchor": "bottom"},
        meta={"least_width": LEAST_WIDTH_PX},
    )
    if info.empty is not None:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    area = (room, float(height - top - _MARGIN["b"]))
    named: set[str] = set()
    for column, panel in enumerate(info.panels, start=1):
        _draw_panel(figure, panel, drawn[id(panel)], column, area=area, width=width, grow=grow, named=named)
    return figure


def _thinned(panel: ComparisonPanel) -> list[ComparedNetwork]:
    moving = {each.arch_id for each in panel.movers}
    return thinned(panel.networks, MOST_DRAWN, lambda each: each.kind != NEITHER or each.arch_id in moving)


def _draw_panel(
    figure: go.Figure,
    panel: ComparisonPanel,
    networks: Sequence[ComparedNetwork],
    column: int,
    *,
    area: tuple[float, float],
    width: int,
    grow: float,
    named: set[str],
) -> None:
    latency = panel.quantity == "latency_ms"
    xs, ys = [each.first for each in networks], [each.second for each in networks]
    ranges = [positive_range(values, log=panel.log) if latency else percent_range(values) for values in (xs, ys)]
    word = "Latency (ms)" if latency else "Top-1 (%)"
    kinds = [log_axis(*limits) if panel.log else {"range": list(limits)} for limits in ranges]
    sides = [style.shorten(name, 36) for name in (panel.first, panel.second)]
    figure.update_xaxes(style.axis(f"{word}: {sides[0]}", width=width, **kinds[0]), col=column)
    figure.update_yaxes(style.axis(f"{word}: {sides[1]}", width=width, **kinds[1]), col=column)
    low, high = max(ranges[0][0], ranges[1][0]), min(ranges[0][1], ranges[1][1])
    if low < high:
        figure.add_scatter(
            x=[low, high],
            y=[low, high],
            mode="lines",
            line={"color": style.QUIET_INK, "width": 1.2, "dash": "dot"},
            name="equal in both",
            legendgroup="equal",
            showlegend="equal" not in named,
            hoverinfo="skip",
            row=1,
            col=column,
        )
        named.add("equal")
    for kind, look in reversed(_LOOKS):
        points = [each for each in networks if each.kind == kind]
        if not points:
            continue
        figure.add_scatter(
            x=[each.first for each in points],
            y=[each.second for each in points],
            mode="markers",
            marker={**look, "size": look["size"] * grow, "line": {"width": 0.6, "color": "white"}},
            name=kind,
            legendgroup=kind,
            showlegend=kind not in named,
            hovertext=[_hover(each, panel) for each in points],
            hovertemplate="%{hovertext}<extra></extra>",
            row=1,
            col=column,
        )
        named.add(kind)
    figure.add_annotation(
        text="<br>".join(style.wrap(panel.agreement, 0.8 * area[0])),
        x=0.02,
        xref="x domain",
        xanchor="left",
        y=0.99,
        yref="y domain",
        yanchor="top",
        align="left",
        showarrow=False,
        bgcolor="rgba(255,255,255,0.8)",
        font={"size": round(style.SMALL_PX * grow)},
        row=1,
        col=column,
    )
    _label_movers(figure, panel, networks, ranges, column, area=area, grow=grow)


def _label_movers(
    figure: go.Figure,
    panel: ComparisonPanel,
    networks: Sequence[ComparedNetwork],
    ranges: Sequence[tuple[float, float]],
    column: int,
    *,
    area: tuple[float, float],
    grow: float,
) -> None:
    def share(value: float, limits: tuple[float, float]) -> float:
        low, high = limits
        return math.log(value / low) / math.log(high / low) if panel.log else (value - low) / (high - low)

    places = {each.arch_id: each for each in networks}
    movers = [each for each in panel.movers if each.arch_id in places][:_MOST_MOVERS]
    points = [places[each.arch_id] for each in movers]

    def pixel(each: ComparedNetwork) -> tuple[float, float]:
        return (share(each.first, ranges[0]) * area[0], (1 - share(each.second, ranges[1])) * area[1])

    texts = [f"{style.shorten(each.label, 18)}: {each.from_rank:g} → {each.to_rank:g}" for each in movers]
    font = round(11 * grow)
    found = place_labels(
        [pixel(each) for each in points],
        texts,
        markers=[pixel(each) for each in points],
        dots=[pixel(each) for each in networks[:2000]],
        segments=(),
        width_px=area[0],
        height_px=area[1],
        font_px=font,
        grow=grow,
    )
    for each, text, place in zip(points, texts, found, strict=True):
        figure.add_annotation(
            x=math.log10(each.first) if panel.log else each.first,
            y=math.log10(each.second) if panel.log else each.second,
            text=style.plain(text),
            ax=place.right_px,
            ay=place.down_px,
            showarrow=True,
            arrowhead=0,
            arrowwidth=0.8,
            arrowcolor=style.VERMILLION,
            standoff=5,
            borderpad=0,
            bgcolor="rgba(255,255,255,0.8)",
            font={"size": font, "color": style.INK},
            row=1,
            col=column,
        )


def _hover(each: ComparedNetwork, panel: ComparisonPanel) -> str:
    unit = "ms" if panel.quantity == "latency_ms" else "%"
    return "<br>".join(
        [
            f"<b>{style.plain(each.label)}</b>, {each.kind}",
            style.plain(f"{panel.first}: {significant(each.first, 4)} {unit}"),
            style.plain(f"{panel.second}: {significant(each.second, 4)} {unit}"),
            f"arch_id {style.plain(each.arch_id)}",
        ]
    )
