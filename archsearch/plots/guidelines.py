"""The four guideline experiments: a panel a table, this device's times filled, the paper's hollow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.guidelines import DEVICE_NAMES, PRINTED_DEVICES, GuidelinesReport, RowReport, TableReport
from archsearch.plots import style

_TICKS = (0.25, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 4, 6, 8, 12, 16)
_ROW_PX = 325
_PRINTED_MARKS = {"gpu": ("square-open", style.VERMILLION), "arm": ("triangle-up-open", style.GREEN)}


def guidelines_figure(found: GuidelinesReport, *, width: int = 1100, height: int = 820) -> go.Figure:
    """The figure: up to four panels, two a row; one row of the table a group, its columns from narrow to wide."""
    title, top = style.heading(found.title, found.subtitle, found.warnings, width=width, height=height)
    count = len(found.experiments)
    across = 1 if count == 1 else 2
    down = (count + 1) // 2
    room = 0.44 * width if across == 2 else 0.9 * width
    grow = style.growth(width)
    names = [f"{table.guideline}: {table.verdict}. {table.claim}" for table in found.experiments]
    figure = make_subplots(
        rows=down,
        cols=across,
        subplot_titles=["<br>".join(style.wrap(name, room, font_px=round(style.TEXT_PX * grow))) for name in names],
        horizontal_spacing=0.1,
        vertical_spacing=0.22 if down > 1 else 0,
    )
    figure.update_annotations(font_size=round(style.TEXT_PX * grow))
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        height=_ROW_PX * down,  # a page draws it so high
        margin={"l": 84, "r": 24, "t": top + 44, "b": 100},
        showlegend=True,
        legend=style.LEGEND_BELOW,
    )
    figure.update_xaxes(style.axis("", width=width, showgrid=False, tickangle=0))
    figure.update_yaxes(
        style.axis(
            "Time per MAC (best row: 1)",
            width=width,
            type="log",
            tickmode="array",
            tickvals=list(_TICKS),
            ticktext=[f"{tick:g}" for tick in _TICKS],
        )
    )
    for number, table in enumerate(found.experiments):
        where = {"row": number // across + 1, "col": number % across + 1}
        for device, (symbol, color) in _PRINTED_MARKS.items():
            name = f"paper, {DEVICE_NAMES[device]} ({PRINTED_DEVICES[device]})"
            look = {"symbol": symbol, "color": color, "size": 9 * grow}
            figure.add_trace(_printed(table, device, name, look, first=number == 0), **where)
        look = {"symbol": "circle", "color": style.BLUE, "size": 9 * grow}
        figure.add_trace(_measured(table, look, first=number == 0), **where)
        figure.add_hline(y=1, line={"color": style.QUIET_INK, "dash": "dot", "width": 1.5}, **where)
    return figure


def _rows(table: TableReport) -> Iterator[tuple[str, RowReport]]:
    """All rows but the best ones, each with its column, those of one label together."""
    for label in (row.label for row in table.columns[0].rows if row.compared is not None):
        for column in table.columns:
            scale = column.scale.removeprefix("c=")  # upright, it fits below its mark
            yield from ((scale, row) for row in column.rows if row.label == label)


def _printed(table: TableReport, device: str, name: str, look: dict[str, Any], *, first: bool) -> go.Scatter:
    rows = [(scale, row, row.printed[device]) for scale, row in _rows(table)]
    return _marks(
        [(row.label, scale) for scale, row, _ in rows],
        [printed.cost for _, _, printed in rows],
        [f"{printed.channels} channels, {printed.speed:g} {printed.unit}" for _, _, printed in rows],
        name,
        look,
        first=first,
    )


def _measured(table: TableReport, look: dict[str, Any], *, first: bool) -> go.Scatter:
    rows = [(scale, row, row.compared) for scale, row in _rows(table) if row.compared is not None]
    intervals = [(found.cost, (found.cost_low, found.cost_high)) for _, _, found in rows]
    return _marks(
        [(row.label, scale) for scale, row, _ in rows],
        [found.cost for _, _, found in rows],
        [f"{row.channels} channels, {row.latency.p10_ms:.3f} ms: {found.speed}" for _, row, found in rows],
        "this device, 95 % interval",
        look,
        first=first,
    ).update(error_y=style.bars(intervals, color=look["color"], thickness=1.6))


def _marks(
    places: Sequence[tuple[str, str]],
    costs: Sequence[float],
    details: Sequence[str],
    name: str,
    look: dict[str, Any],
    *,
    first: bool,
) -> go.Scatter:
    return go.Scatter(
        x=[[style.plain(row) for row, _ in places], [style.plain(column) for _, column in places]],
        y=costs,
        mode="markers",
        marker={**look, "line": {"width": 1.6, "color": look["color"]}},
        name=name,
        legendgroup=name,
        showlegend=first,
        hovertext=[style.plain(detail) for detail in details],
        hovertemplate="%{x}: %{y:.3f}<br>%{hovertext}",
    )
