"""The objectives by the levels of two choices, as heat maps: darker is lower, which is better."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.level_grid import GridCell, LevelGrid
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.plots import style
from archsearch.plots.traces import said
from archsearch.text import interval_text, plural, shorten


def grid_figure(found: LevelGrid, *, width: int = 1100, height: int = 560) -> go.Figure:
    """The figure: a panel for each objective, the first choice's levels down, the second's across."""
    lines = () if found.empty else (*found.subtitle, "Darker is lower, which is better")
    figure = make_subplots(rows=1, cols=max(1, len(found.objectives)), shared_yaxes=True, horizontal_spacing=0.03)
    style.begin(found, lines, figure, size=(width, height), margin={"l": 110, "r": 24, "t": 0, "b": 62})
    if found.empty is not None:
        return figure
    down, across = ([style.plain(shorten(level, 16)) for level in levels] for levels in found.levels)
    cells = {cell.levels: cell for cell in found.cells}
    grid = [[cells.get((one, other)) for other in found.levels[1]] for one in found.levels[0]]
    for column, name in enumerate(found.objectives, start=1):
        figure.add_heatmap(
            z=[[None if cell is None else cell.values[name].value for cell in row] for row in grid],
            x=list(range(len(across))),
            y=list(range(len(down))),
            text=[["" if cell is None else _text(cell, name) for cell in row] for row in grid],
            texttemplate="%{text}",
            **said([["" if cell is None else _hover(found, cell, name) for cell in row] for row in grid]),
            hoverongaps=False,
            colorscale="Blues_r",
            showscale=False,
            xgap=2,
            ygap=2,
            row=1,
            col=column,
        )
        title = f"{OBJECTIVES[name].short}, by {found.choices[1]}"
        figure.update_xaxes(style.axis(title, width=width, **style.levels(across)), col=column)
    figure.update_yaxes(style.levels(down), autorange="reversed", zeroline=False)
    figure.update_yaxes(style.axis(found.choices[0], width=width, **style.levels(down)), col=1)
    return figure


def _text(cell: GridCell, objective: str) -> str:
    value = cell.values[objective].value
    return "" if value is None else f"{OBJECTIVES[objective].show(value)}<br>n {cell.networks:,}"


def _hover(found: LevelGrid, cell: GridCell, objective: str) -> str:
    levels = ", ".join(f"{choice} {level}" for choice, level in zip(found.choices, cell.levels, strict=True))
    value = cell.values[objective]
    mean = interval_text(value.value, value.low, value.high, decimals=None)
    return style.plain(f"{levels}: {OBJECTIVES[objective].title} {mean}, {plural(cell.networks, 'network')}")
