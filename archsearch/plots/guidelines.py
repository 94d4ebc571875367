"""The four guideline experiments: a panel a table, this device's times filled, the paper's hollow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.guideline_report import PRINTED_DEVICES, GuidelinesReport, TableReport
from archsearch.analysis.guideline_text import DEVICE_NAMES, conditions_line
from archsearch.plots import style

_TICKS = (0.25, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 4, 6, 8, 12, 16)
_PRINTED_MARKS = {"gpu": ("square-open", style.VERMILLION), "arm": ("triangle-up-open", style.GREEN)}
_OURS = ("circle", style.BLUE)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One row of one column: time for a multiply-add over the best row's.

    `low` and `high` are the 95 % interval; None for a printed number. `detail` is for the hover box.
    """

    row: str
    column: str
    cost: float
    low: float | None = None
    high: float | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One guideline: our marks, and the printed ones by device."""

    title: str
    measured: tuple[Mark, ...]
    printed: tuple[tuple[str, tuple[Mark, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class GuidelinesInfo:
    """What the figure shows; text is plain. `empty`: why there is nothing to draw, or None."""

    title: str
    subtitle: tuple[str, ...]
    warnings: tuple[str, ...]
    panels: tuple[Panel, ...]
    empty: str | None


def guidelines_info(report: GuidelinesReport | None, *, study: str | None = None) -> GuidelinesInfo:
    """What is drawn of a report; without one, an empty figure that says so.

    Args:
        study: the study that the figure was asked of, if it was one.
    """
    title = "The guidelines of ShuffleNet V2 on this device"
    if report is None or not report.tables:
        beside = f" beside study {study}" if study else ""
        return GuidelinesInfo(
            title=title,
            subtitle=(),
            warnings=(),
            panels=(),
            empty=f"No guideline experiment{beside}: `archsearch guidelines` runs them",
        )
    return GuidelinesInfo(
        title=title,
        subtitle=(conditions_line(report),),
        warnings=report.warnings,
        panels=tuple(_panel(table) for table in report.tables),
        empty=None,
    )


def _panel(table: TableReport) -> Panel:
    measured, printed = [], {device: list[Mark]() for device in PRINTED_DEVICES}
    for label in (row.label for row in table.columns[0].verdict.rows):
        for column in table.columns:
            row = next(each for each in column.rows if each.row.label == label)
            scale = column.column.scale_text.removeprefix("c=")  # upright, it fits below its mark
            if row.compared is not None:
                found = row.compared
                measured.append(
                    Mark(
                        row=label,
                        column=scale,
                        cost=found.cost,
                        low=found.cost_low,
                        high=found.cost_high,
                        detail=f"{row.row.network.channels_text} channels, {row.latency.p10_ms:.3f} ms: {found.speed}",
                    )
                )
            for device, cost in row.printed_costs.items():
                speed = row.row.printed[device]
                printed[device].append(
                    Mark(
                        row=label,
                        column=scale,
                        cost=cost,
                        detail=f"{speed.network.channels_text} channels, {speed.speed:g} {speed.unit}",
                    )
                )
    return Panel(
        title=f"{table.experiment.guideline}: {table.verdict.verdict}. {table.experiment.claim}",
        measured=tuple(measured),
        printed=tuple((device, tuple(marks)) for device, marks in printed.items()),
    )


def guidelines_figure(info: GuidelinesInfo, *, width: int = 1100, height: int = 820) -> go.Figure:
    """The figure: up to four panels, two a row; one row of the table a group, its columns from narrow to wide."""
    title, top = style.heading(info.title, info.subtitle, info.warnings, width=width, height=height)
    across = 1 if len(info.panels) == 1 else 2
    down = max(1, (len(info.panels) + 1) // 2)
    room = 0.44 * width if across == 2 else 0.9 * width
    grow = style.growth(width)
    titles = ["<br>".join(style.wrap(panel.title, room, font_px=round(style.TEXT_PX * grow))) for panel in info.panels]
    figure = make_subplots(
        rows=down, cols=across, subplot_titles=titles, horizontal_spacing=0.1, vertical_spacing=0.2 if down > 1 else 0
    )
    figure.update_annotations(font_size=round(style.TEXT_PX * grow))
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={"l": 84, "r": 24, "t": top + 44, "b": 70},
        showlegend=bool(info.panels),
        legend={"orientation": "h", "x": 0, "y": -0.09, "yanchor": "top"},
    )
    figure.update_xaxes(style.axis("", width=width, showgrid=False, tickangle=0))
    figure.update_yaxes(
        style.axis(
            "Time for a multiply-add / best row's",
            width=width,
            type="log",
            tickmode="array",
            tickvals=list(_TICKS),
            ticktext=[f"{tick:g}" for tick in _TICKS],
        )
    )
    if info.empty is not None:
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    for number, panel in enumerate(info.panels):
        where = {"row": number // across + 1, "col": number % across + 1}
        for device, marks in panel.printed:
            symbol, color = _PRINTED_MARKS[device]
            name = f"paper, {DEVICE_NAMES[device]} ({PRINTED_DEVICES[device]})"
            figure.add_trace(_marks(marks, name, symbol, color, first=number == 0, size=9 * grow), **where)
        symbol, color = _OURS
        figure.add_trace(
            _marks(panel.measured, "this device, 95 % interval", symbol, color, first=number == 0, size=9 * grow),
            **where,
        )
        figure.add_hline(y=1, line={"color": style.QUIET_INK, "dash": "dot", "width": 1.5}, **where)
    return figure


def _marks(marks: Sequence[Mark], name: str, symbol: str, color: str, *, first: bool, size: float) -> go.Scatter:
    bars = None
    if marks and marks[0].low is not None:
        bars = {
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, (mark.high or mark.cost) - mark.cost) for mark in marks],
            "arrayminus": [max(0.0, mark.cost - (mark.low or mark.cost)) for mark in marks],
            "color": color,
            "thickness": 1.6,
        }
    return go.Scatter(
        x=[[style.plain(mark.row) for mark in marks], [style.plain(mark.column) for mark in marks]],
        y=[mark.cost for mark in marks],
        error_y=bars,
        mode="markers",
        marker={"symbol": symbol, "color": color, "size": size, "line": {"width": 1.6, "color": color}},
        name=name,
        legendgroup=name,
        showlegend=first,
        hovertext=[style.plain(mark.detail) for mark in marks],
        hovertemplate="%{x}: %{y:.3f}<br>%{hovertext}",
    )
