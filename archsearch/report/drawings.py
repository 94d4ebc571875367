"""Figures of the report, out of the table of plots, each with the data that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from archsearch.plots.catalog import PLOTS, PlotData
from archsearch.report.sections import Drawing
from archsearch.table import Table

# A folded table of the records themselves is shortened here; the whole is in the database and in `pareto --csv`.
MOST_ROWS = 20_000


def drawing_of(
    name: str, data: PlotData, *, key: str | None = None, height_px: int | None = None
) -> tuple[Drawing | None, str]:
    """A plot of the data, and ""; or None, and why there is nothing to draw.

    Args:
        name: in PLOTS; a plot that this version has not is nothing to draw.
        key: the element's id, where one plot is drawn twice.
    """
    if name not in PLOTS:
        return None, ""
    plot = PLOTS[name]
    info = plot.info(data)
    if info is None or info.empty is not None:
        return None, "" if info is None else str(info.empty)
    drawing = Drawing(
        name=f"plot-{key or name}",
        caption=f"{plot.summary[:1].upper()}{plot.summary[1:]}.",
        info=info,
        draw=plot.figure,
        tables=tuple(_bounded(table) for table in plot.tables(info)),
        height_px=height_px,
    )
    return drawing, ""


def drawn(names: Sequence[str], data: PlotData) -> tuple[tuple[Drawing, ...], tuple[str, ...]]:
    """The plots of these names that have something to draw, and why the others have not."""
    found, missing = [], []
    for name in names:
        drawing, why = drawing_of(name, data)
        if drawing is not None:
            found.append(drawing)
        elif why:
            missing.append(f"{why}.")
    return tuple(found), tuple(missing)


def subtitle_of(info: Any) -> tuple[str, ...]:
    """The lines under a plot's title, which the page shows as text."""
    return tuple(str(line) for line in info.subtitle)


def _bounded(table: Table) -> Table:
    if len(table.rows) <= MOST_ROWS:
        return table
    note = f"{table.note} The first {MOST_ROWS:,} of {len(table.rows):,} rows.".strip()
    return replace(table, rows=table.rows[:MOST_ROWS], note=note)
