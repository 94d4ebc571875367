"""Traces that figures share: points that say what they are, lines with gaps, error bars, the diagonal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.ranges import AxisScale

Place = tuple[float, float]  # values on both axes


def said(texts: Sequence[Any] | None, trials: Iterable[int | None] | None = None) -> dict[str, Any]:
    """What makes the parts of a trace say these texts (escaped already) when they are pointed at.

    `trials`: of parts that are trials: a page that reacts to a click finds the number in its first item.
    """
    found: dict[str, Any] = {"hovertext": texts, "hovertemplate": "%{hovertext}<extra></extra>"}
    if trials is not None:
        found["customdata"] = [[] if trial is None else [trial] for trial in trials]
    return found


def hover(name: str, *lines: str, more: str = "") -> str:
    """What a part of a trace says: its name (plain), what follows it, and lines below; empty ones are left out."""
    return "<br>".join([f"<b>{style.plain(name)}</b>{more}", *(line for line in lines if line)])


def add_points(
    figure: go.Figure,
    points: Iterable[Place],
    texts: Sequence[str] | None,
    marker: dict[str, Any],
    *,
    trials: Iterable[int | None] | None = None,
    gl: bool = False,
    always: bool = False,
    **look: Any,
) -> None:
    """A marker for each point, with what it says (`said`); nothing for no points.

    Args:
        texts: None: they say what the `hovertemplate` of `look` says, or nothing.
        gl: whether the graphics card draws them.
        always: whether no points are a trace, too.
    """
    places = list(points)
    if places or always:
        trace: dict[str, Any] = {"mode": "markers", "marker": marker, **said(texts, trials), **look}
        if texts is None and "hovertemplate" not in look:
            trace |= {"hovertemplate": None, "hoverinfo": "skip"}
        (figure.add_scattergl if gl else figure.add_scatter)(
            x=[x for x, _ in places], y=[y for _, y in places], **trace
        )


def add_line(
    figure: go.Figure, points: Iterable[Place], line: dict[str, Any], *, always: bool = False, **look: Any
) -> None:
    """A line through points; nothing for no points, but `always`.

    It says nothing but what `look` says, and has a legend entry if that has a name.
    """
    places = list(points)
    if places or always:
        silent = {} if "hovertemplate" in look else {"hoverinfo": "skip"}
        legend = {} if "name" in look else {"showlegend": False}
        trace = {"mode": "lines", "line": line, **silent, **legend, **look}
        figure.add_scatter(x=[x for x, _ in places], y=[y for _, y in places], **trace)


def add_lines(figure: go.Figure, lines: Iterable[Iterable[Place]], line: dict[str, Any], **look: Any) -> None:
    """Lines as one trace with gaps, so that hundreds of them stay one object; see `add_line`."""
    gap: Any = (None, None)
    add_line(figure, (place for each in lines for place in (*each, gap)), line, **look)


def bars(values: Sequence[tuple[float, Sequence[float]]], **look: Any) -> dict[str, Any]:
    """Error bars of a trace: of each point its value, and what its bar reaches to, itself included."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(ends) - value for value, ends in values],
        "arrayminus": [value - min(ends) for value, ends in values],
        **look,
    }


def add_diagonal(figure: go.Figure, x: AxisScale, y: AxisScale, **look: Any) -> None:
    """The line on which both axes agree, as far as both show it."""
    low, high = max(x.low, y.low), min(x.high, y.high)
    if low < high:
        add_line(figure, [(low, low), (high, high)], {"color": style.QUIET_INK, "width": 1.2, "dash": "dot"}, **look)


# Fewer points where a figure would have too many: always the same ones, and the figure says so.

Item = TypeVar("Item")


def thinned(items: Sequence[Item], most: int, keep: Callable[[Item], bool] = lambda _: False) -> list[Item]:
    """Of those that `keep` wants and of the rest evenly many in their order, at most `most` each."""
    chosen: set[int] = set()
    for wanted in (True, False):
        group = [index for index, item in enumerate(items) if keep(item) == wanted]
        count = min(most, len(group))
        chosen |= {group[position * len(group) // count] for position in range(count)}
    return [item for index, item in enumerate(items) if index in chosen]


def thinned_line(drawn: int, of: int, what: str) -> str:
    """What a figure says of it; empty where everything is drawn."""
    return "" if drawn >= of else f"{drawn:,} of {of:,} {what} are drawn"
