"""The confusion matrix of a retrained network as a heat map, each row a share of its class."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from archsearch.analysis.confusion import Confusion
from archsearch.plots import style
from archsearch.text import plural

_MOST_NUMBERS = 20  # classes up to which each cell has its count


def confusion_figure(found: Confusion, *, width: int = 1000, height: int = 860) -> go.Figure:
    """The figure: rows are the images' classes, columns the answers; the colour is the share of the row (percent)."""
    counts = found.counts
    names = [style.plain(name) for name in found.classes]
    shares = 100.0 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=list(range(len(names))),
            y=list(range(len(names))),
            zmin=0,
            zmax=100,
            colorscale=[(0, "white"), (1, style.BLUE)],
            colorbar={"title": {"text": "% of the class"}, "thickness": 14},
            text=counts if len(names) <= _MOST_NUMBERS else None,
            texttemplate="%{text}" if len(names) <= _MOST_NUMBERS else None,
            hovertext=[
                [
                    f"{row}, taken for {column}<br>{plural(count, 'image')}"
                    for column, count in zip(names, line, strict=True)
                ]
                for row, line in zip(names, counts.tolist(), strict=True)
            ],
            hovertemplate="%{hovertext}, %{z:.1f} % of the class<extra></extra>",
        )
    )
    lines, margin = (*found.subtitle, *found.sentences), {"l": 150, "r": 40, "b": 130}
    style.begin(found, lines, figure, size=(width, height), margin=margin)
    ticks = style.levels(names)
    figure.update_xaxes(style.axis("Answer", width=width, **ticks, tickangle=-45))
    figure.update_yaxes(style.axis("Class of the image", width=width, **ticks, autorange="reversed"))
    return figure
