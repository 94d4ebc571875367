"""The four guideline experiments: a panel a table, this device's times filled, the paper's hollow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.guidelines import DEVICE_NAMES, PRINTED_DEVICES, GuidelinesReport, RowReport, TableReport
from archsearch.plots import style
from archsearch.plots.traces import bars

_TICKS = (0.25, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 4, 6, 8, 12, 16)
_ROW_PX = 325
_PRINTED_MARKS = {"gpu": ("square-open", style.VERMILLION), "arm": ("triangle-up-open", style.GREEN)}


def guidelines_figure(found: GuidelinesReport, *, width: int = 1100, height: int = 820) -> go.Figure:
    """The figure: up to four panels, two a row; one row of the table a group, its columns from narrow to wide."""
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
    style.begin(
        found,
        figure=figure,
        margin={"l": 84, "r": 24, "t": 44, "b": 100},
        size=(width, height),
        legend=style.LEGEND_BELOW,
    )
    figure.update_layout(height=_ROW_PX * down, showlegend=True)  # a page draws it so high
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
        rows = list(_rows(table))
        for device, (symbol, color) in _PRINTED_MARKS.items():
            name = f"paper, {DEVICE_NAMES[device]} ({PRINTED_DEVICES[device]})"
            printed = [(places, row.printed[device]) for places, row in rows]
            marks = [
                (places, each.cost, f"{each.channels} channels, {each.speed:g} {each.unit}") for places, each in printed
            ]
            figure.add_trace(_marks(marks, name, symbol, color, grow, first=number == 0), **where)
        measured = [(places, row, row.compared) for places, row in rows if row.compared is not None]
        marks = [
            (places, each.cost, f"{row.channels} channels, {row.latency.p10_ms:.3f} ms: {each.speed}")
            for places, row, each in measured
        ]
        intervals = [(each.cost, (each.cost_low, each.cost_high)) for _, _, each in measured]
        trace = _marks(marks, "this device, 95 % interval", "circle", style.BLUE, grow, first=number == 0)
        figure.add_trace(trace.update(error_y=bars(intervals, color=style.BLUE, thickness=1.6)), **where)
        figure.add_hline(y=1, line={"color": style.QUIET_INK, "dash": "dot", "width": 1.5}, **where)
    return figure


def _rows(table: TableReport) -> Iterator[tuple[tuple[str, str], RowReport]]:
    """All rows but the best ones, each with its label and its column; those of one label together."""
    for label in (row.label for row in table.columns[0].rows if row.compared is not None):
        for column in table.columns:
            scale = column.scale.removeprefix("c=")  # upright, it fits below its mark
            yield from (((label, scale), row) for row in column.rows if row.label == label)


def _marks(
    marks: Sequence[tuple[tuple[str, str], float, str]], name: str, symbol: str, color: str, grow: float, *, first: bool
) -> go.Scatter:
    """Marks of one look: each with its row and column, its cost, and what else it says."""
    return go.Scatter(
        x=[[style.plain(place[axis]) for place, _, _ in marks] for axis in (0, 1)],
        y=[cost for _, cost, _ in marks],
        mode="markers",
        marker={"symbol": symbol, "color": color, "size": 9 * grow, "line": {"width": 1.6, "color": color}},
        name=name,
        legendgroup=name,
        showlegend=first,
        hovertext=[style.plain(detail) for _, _, detail in marks],
        hovertemplate="%{x}: %{y:.3f}<br>%{hovertext}",
    )
