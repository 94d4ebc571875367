"""How much each choice mattered for each objective among the networks of a search, beside what chance gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.objectives import OBJECTIVES
from archsearch.plots import style
from archsearch.plots.forest import LEAST_WIDTH_PX, finite

if TYPE_CHECKING:
    from archsearch.analysis.importance import Importances, ImportanceTable

MOST_CHOICES = 20
_COLORS = (style.BLUE, style.ORANGE, style.GREEN)
_LABEL_CHARACTERS = 30


@dataclass(frozen=True, kw_only=True)
class ImportanceBar:
    """One choice for one objective by one method.

    Attributes:
        share_percent: of the importance of all choices together.
        chance_percent: what it got with shuffled values (95% quantile); None if nobody shuffled.
        told_from_chance: whether the share is above that; None where it is not known.
        levels: different values among the networks.
    """

    objective: str
    method: str
    choice: str
    share_percent: float
    chance_percent: float | None
    told_from_chance: bool | None
    levels: int


@dataclass(frozen=True, kw_only=True)
class ImportancesInfo:
    """What the figure shows; text is plain.

    Attributes:
        bars: of all choices, objective by objective and method by method.
        choices: those drawn, the most important first.
        hidden: how many choices only the table has.
        empty: why there is nothing to draw, or None.
    """

    title: str
    subtitle: tuple[str, ...]
    warnings: tuple[str, ...]
    bars: tuple[ImportanceBar, ...]
    choices: tuple[str, ...]
    objectives: tuple[str, ...]
    methods: tuple[str, ...]
    hidden: int
    empty: str | None


def importances_info(found: Importances | None, *, study: str) -> ImportancesInfo:
    """What is drawn of a study's importances; without any, an empty figure that says why."""
    tables = () if found is None else tuple(table for table in found.tables if table.rows)
    bars = tuple(bar for table in tables for bar in _bars(table))
    order = _order(bars)
    if bars:
        empty = None
    elif found is None:
        empty = "No importances of this study were worked out"
    else:
        why = found.reason or next((table.reason for table in found.tables if table.reason), "no choice varied")
        empty = f"No importance to show: {why}"
    return ImportancesInfo(
        title=f"Importance of the choices (observational): study {study}",
        subtitle=() if found is None or not bars else _subtitle(found, tables),
        warnings=() if found is None else tuple(_missing(table) for table in found.tables if table.reason),
        bars=bars,
        choices=order[:MOST_CHOICES],
        objectives=tuple(dict.fromkeys(bar.objective for bar in bars)),
        methods=tuple(dict.fromkeys(bar.method for bar in bars)),
        hidden=max(0, len(order) - MOST_CHOICES),
        empty=empty,
    )


def _bars(table: ImportanceTable) -> list[ImportanceBar]:
    return [
        ImportanceBar(
            objective=table.objective,
            method=table.method,
            choice=row.choice,
            share_percent=100.0 * row.share,
            chance_percent=None if row.chance is None else 100.0 * row.chance,
            told_from_chance=row.told_from_chance,
            levels=row.levels,
        )
        for row in table.rows
        if finite(row.share) is not None
    ]


def _order(bars: Sequence[ImportanceBar]) -> tuple[str, ...]:
    """The choices by their largest share for any objective; by name where equal."""
    largest: dict[str, float] = {}
    for bar in bars:
        largest[bar.choice] = max(largest.get(bar.choice, 0.0), bar.share_percent)
    return tuple(sorted(largest, key=lambda choice: (-largest[choice], choice)))


def _subtitle(found: Importances, tables: Sequence[ImportanceTable]) -> tuple[str, ...]:
    counts = f"{found.networks:,} networks of the search space"
    if found.left_out:
        counts += f"; {found.left_out:,} outside of it left out"
    if found.constant:
        counts += f"; never varied: {', '.join(found.constant[:6])}{', ...' if len(found.constant) > 6 else ''}"
    questions = dict.fromkeys(f"{table.method}: share {table.question}" for table in tables)
    return (f"{found.note[:1].upper()}{found.note[1:]}", counts, *questions)


def _missing(table: ImportanceTable) -> str:
    return f"{table.method} for {objective_text(table.objective).lower()}: {table.reason}"


def objective_text(name: str) -> str:
    """An objective's title without unit and conditions: `Latency`."""
    title = OBJECTIVES[name].title if name in OBJECTIVES else name
    return title.split(",")[0].split(" (")[0]


def importances_figure(info: ImportancesInfo, *, width: int = 1100, height: int | None = None) -> go.Figure:
    """The figure: a panel for each objective, a group of bars for each choice; filled bars are above chance."""
    rest = (f"{info.hidden} less important choices are in the table only",) if info.hidden else ()
    lines = (*info.subtitle, *rest)
    rows = len(info.choices)
    natural = round(214 + 18 * len(lines) + rows * (10 + 13 * max(1, len(info.methods))))
    tall = height if height is not None else max(natural, 360)
    title, top = style.heading(info.title, lines, info.warnings, width=width, height=tall)
    grow = style.growth(width)
    figure = make_subplots(rows=1, cols=max(1, len(info.objectives)), shared_yaxes=True, horizontal_spacing=0.03)
    longest = min(max([len(choice) for choice in info.choices], default=10), _LABEL_CHARACTERS)
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        height=None if height is not None else tall,
        margin={"l": round(min(0.35 * width, 20 + 6.6 * grow * longest)), "r": 24, "t": top, "b": 116},
        barmode="overlay",
        legend={"orientation": "h", "x": 0.01, "xref": "container", "y": 0, "yref": "container", "yanchor": "bottom"},
        meta={"least_width": LEAST_WIDTH_PX},
    )
    if info.empty is not None:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    figure.update_yaxes(
        range=[rows - 0.4, -0.6],
        tickmode="array",
        tickvals=list(range(rows)),
        showgrid=False,
        zeroline=False,
    )
    labels = [style.plain(style.shorten(choice, _LABEL_CHARACTERS)) for choice in info.choices]
    figure.update_yaxes(ticktext=labels, col=1)
    for column, objective in enumerate(info.objectives, start=1):
        figure.update_xaxes(
            style.axis(f"{objective_text(objective)}: share (%)", width=width, rangemode="tozero"), col=column
        )
        for number, method in enumerate(info.methods):
            bars = [bar for bar in info.bars if (bar.objective, bar.method) == (objective, method)]
            _draw(figure, info, bars, number, column, grow)
    return figure


def _draw(
    figure: go.Figure, info: ImportancesInfo, bars: Sequence[ImportanceBar], number: int, column: int, grow: float
) -> None:
    thick = 0.8 / len(info.methods)
    color = _COLORS[number % len(_COLORS)]
    place = {choice: row - 0.4 + thick * (number + 0.5) for row, choice in enumerate(info.choices)}
    shown = [bar for bar in bars if bar.choice in place]
    figure.add_bar(
        orientation="h",
        x=[bar.share_percent for bar in shown],
        y=[place[bar.choice] for bar in shown],
        width=0.86 * thick,
        marker={
            "color": ["white" if bar.told_from_chance is False else color for bar in shown],
            "line": {"color": color, "width": 1.5},
        },
        name=style.plain(info.methods[number]),
        showlegend=False,
        hovertext=[style.plain(_sentence(bar)) for bar in shown],
        hovertemplate="%{hovertext}<extra></extra>",
        row=1,
        col=column,
    )
    known = [bar for bar in shown if bar.chance_percent is not None]
    figure.add_scatter(
        x=[bar.chance_percent for bar in known],
        y=[place[bar.choice] for bar in known],
        mode="markers",
        marker={"symbol": "line-ns", "size": 11 * grow, "line": {"width": 2, "color": style.BLACK}},
        hoverinfo="skip",
        showlegend=False,
        row=1,
        col=column,
    )
    if column > 1:
        return
    legend = [(info.methods[number], "square", color, 0.0)]
    if number == len(info.methods) - 1:
        legend.append(("not above chance", "square-open", style.QUIET_INK, 1.6))
        if any(bar.chance_percent is not None for bar in info.bars):
            legend.append(("chance: 95 % of shuffles give less", "line-ns", style.BLACK, 2.0))
    for name, symbol, ink, line in legend:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            marker={"symbol": symbol, "size": 11, "color": ink, "line": {"width": line, "color": ink}},
            name=style.plain(name),
            row=1,
            col=1,
        )


def _sentence(bar: ImportanceBar) -> str:
    chance = "" if bar.chance_percent is None else f" (by chance up to {bar.chance_percent:.1f} %)"
    return f"{bar.choice}: {bar.share_percent:.1f} % by {bar.method}{chance}, {bar.levels} levels"
