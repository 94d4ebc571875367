"""How much each choice mattered for each objective among the networks of a search, beside what chance gives."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.importance import Importance, Importances, Ranking
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.plots import style
from archsearch.plots.traces import add_points, said
from archsearch.text import shorten

MOST_CHOICES = 20
_COLORS = (style.BLUE, style.ORANGE, style.GREEN)
_LABEL_CHARACTERS = 30


def importances_figure(found: Importances, *, width: int = 1100, height: int | None = None) -> go.Figure:
    """The figure: a panel for each objective, a group of bars for each choice; filled bars are above chance."""
    choices = found.choices[:MOST_CHOICES]
    hidden = len(found.choices) - len(choices)
    rest = (f"{hidden} less important choices are in the table only",) if hidden else ()
    lines = () if found.empty else (*found.subtitle, *rest)
    objectives = list(dict.fromkeys(each.objective for each in found.told))
    methods = list(dict.fromkeys(each.method for each in found.told))
    rows = len(choices)
    natural = round(214 + 18 * len(lines) + rows * (10 + 13 * max(1, len(methods))))
    figure = make_subplots(rows=1, cols=max(1, len(objectives)), shared_yaxes=True, horizontal_spacing=0.03)
    longest = min(max([len(choice) for choice in choices], default=10), _LABEL_CHARACTERS)
    grow = style.growth(width)
    style.begin(
        found,
        lines,
        figure,
        margin={"l": round(min(0.35 * width, 20 + 6.6 * grow * longest)), "r": 24, "t": 0, "b": 116},
        size=(width, height),
        natural=natural,
        barmode="overlay",
        legend=style.LEGEND_BELOW,
    )
    if found.empty is not None:
        return figure
    ticks = style.levels([style.plain(shorten(choice, _LABEL_CHARACTERS)) for choice in choices])
    labels = ticks.pop("ticktext")
    figure.update_yaxes(range=[rows - 0.4, -0.6], **ticks, zeroline=False)
    figure.update_yaxes(ticktext=labels, col=1)
    for column, objective in enumerate(objectives, start=1):
        axis = style.axis(f"{OBJECTIVES[objective].short}: share (%)", width=width, rangemode="tozero")
        figure.update_xaxes(axis, col=column)
        for number, method in enumerate(methods):
            thick = 0.8 / len(methods)
            places = {choice: row - 0.4 + thick * (number + 0.5) for row, choice in enumerate(choices)}
            color = _COLORS[number % len(_COLORS)]
            ranking = found.ranking(objective, method)
            if ranking is not None:
                _draw(figure, ranking, places, 0.86 * thick, color, column, grow)
            if column == 1:
                _legend(figure, method, "square", color, 0.0)
    _legend(figure, "not above chance", "square-open", style.QUIET_INK, 1.6)
    if any(ranking.shuffled for ranking in found.told):
        _legend(figure, "chance: 95 % of shuffles give every choice less", "line-ns", style.BLACK, 2.0)
    return figure


def _draw(
    figure: go.Figure, ranking: Ranking, places: Mapping[str, float], thick: float, color: str, column: int, grow: float
) -> None:
    """The bars of one ranking at their places, and on each a stroke at what chance gives."""
    shown = [row for row in ranking.rows if row.choice in places]
    figure.add_bar(
        orientation="h",
        x=[100.0 * row.share for row in shown],
        y=[places[row.choice] for row in shown],
        width=thick,
        marker={
            "color": ["white" if row.told_from_chance is False else color for row in shown],
            "line": {"color": color, "width": 1.5},
        },
        name=style.plain(ranking.method),
        showlegend=False,
        **said([style.plain(_hover(ranking, row)) for row in shown]),
        row=1,
        col=column,
    )
    known = [(100.0 * row.chance, places[row.choice]) for row in shown if row.chance is not None]
    marker = {"symbol": "line-ns", "size": 11 * grow, "line": {"width": 2, "color": style.BLACK}}
    add_points(figure, known, None, marker, always=True, showlegend=False, row=1, col=column)


def _legend(figure: go.Figure, name: str, symbol: str, ink: str, line: float) -> None:
    marker = {"symbol": symbol, "size": 11, "color": ink, "line": {"width": line, "color": ink}}
    figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=style.plain(name), row=1, col=1)


def _hover(ranking: Ranking, row: Importance) -> str:
    chance = "" if row.chance is None else f" (by chance up to {100.0 * row.chance:.1f} %)"
    return f"{row.choice}: {100.0 * row.share:.1f} % by {ranking.method}{chance}, {row.levels} levels"
