"""Colours, fonts and text that every figure shares. Text from people goes through `plain` before plotly sees it."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from archsearch.table import Result
from archsearch.text import capitalised

# Okabe & Ito 2008, "Color Universal Design": distinguishable with every common colour vision, and in grey.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # a second sign beside the colour

INK = "#1F2933"
QUIET_INK = "#52606D"
GRID = "#E4E7EB"
DOTS = "#8A9BA8"
VEIL = "rgba(255,255,255,0.78)"  # behind a label that may lie over points
SIDE, SIDE_GRID = "#F5F7FA", "#CBD2D9"  # of a space
FILLS = {
    "conv": "#DCEBF5",
    "depthwise": "#CFE8DF",
    "attention": "#F3E0EC",
    "pool": "#ECEFF1",
    "linear": "#DCEBF5",
    "mix": "white",
    "other": "white",
    "changed": "#FBE3C4",
}
# What the pages draw in the dark instead of what is as light as paper or as dark as ink; the other colours are seen on
# both. Scales of colours stay.
_IN_THE_DARK = {
    "white": "#14191e",
    VEIL: "rgba(20,25,30,0.78)",
    INK: "#e4e8ec",
    BLACK: "#f4f6f8",
    QUIET_INK: "#a7b3bd",
    GRID: "#2b343c",
    DOTS: "#74838f",
    BLUE: "#4da6dc",
    SIDE: "#1e252b",
    SIDE_GRID: "#46525d",
    FILLS["conv"]: "#1d3a4d",
    FILLS["depthwise"]: "#17392f",
    FILLS["attention"]: "#41293a",
    FILLS["pool"]: "#2a3238",
    FILLS["changed"]: "#4a3516",
}
DARK = {light.lower(): dark for light, dark in _IN_THE_DARK.items()}

MARGIN = {"l": 78, "r": 24, "b": 104}  # with a legend below
LEGEND_BELOW: dict[str, Any] = {
    "orientation": "h",
    "x": 0.01,
    "xref": "container",
    "y": 0,
    "yref": "container",
    "yanchor": "bottom",
}
SMALL_LEGEND_BELOW = {**LEGEND_BELOW, "font": {"size": 12}}
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
TEXT_PX = 13
SMALL_PX = 12
_PX_OF_CHARACTER = 0.53  # mean advance of these fonts, in font sizes

_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


def plain(text: str) -> str:
    """Text as plotly shall show it, letter for letter: plotly reads a few HTML tags and entities in every label.

    Quotes stay, because plotly knows no entity for them; control characters and line breaks become spaces.
    """
    return html.escape(_CONTROL.sub(" ", text), quote=False)


def wrap(text: str, pixels: float = 430, *, font_px: int = SMALL_PX) -> list[str]:
    """Lines that fit into so many pixels (by default those of a hover text), escaped; the length of one is estimated
    from the font's mean character."""
    columns = max(20, int(pixels / (font_px * _PX_OF_CHARACTER)))
    return [plain(line) for line in textwrap.wrap(_CONTROL.sub(" ", text), columns, break_on_hyphens=False)]


def growth(width: int) -> float:
    """How much larger text and markers are drawn in a figure of this width: large pictures are seen shrunk."""
    return min(max(width / 1100, 0.92), 1.35)


def heading(
    title: str, lines: Sequence[str], warnings: Sequence[str], *, width: int, height: int
) -> tuple[dict[str, Any], int]:
    """A left-aligned plotly title with smaller lines under it, and the top margin (pixels) that it needs.

    Args:
        title, lines, warnings: plain text, wrapped and escaped here. Three warnings are printed, and the number of
            the rest: the page lists them all.
        width, height: of the figure (pixels).
    """
    grow = growth(width)
    large_px, small_px = round(19 * grow), round(SMALL_PX * grow)
    room = width - 60
    first = wrap(title, room, font_px=large_px)
    small = [line for part in lines for line in wrap(part, room, font_px=small_px)]
    alarm = [line for part in warnings[:3] for line in wrap(f"Caution: {part}", room, font_px=small_px)]
    if len(warnings) > 3:
        alarm.append(f"Caution: {len(warnings) - 3} more warnings are not shown here")
    body_px = small_px + 2  # plotly spaces all lines of a title by its one font size
    text = [f'<span style="font-size:{large_px}px"><b>{line}</b></span>' for line in first]
    for color, printed in ((QUIET_INK, small), (VERMILLION, alarm)):
        text += [f'<span style="font-size:{small_px}px;color:{color}">{line}</span>' for line in printed]
    layout = {
        "text": "<br>".join(text),
        "x": 0,
        "xref": "container",
        "xanchor": "left",
        "y": 1 - (20 + 1.2 * (large_px - body_px)) / height,  # the first line is taller than plotly reckons
        "yref": "container",
        "yanchor": "top",
        "pad": {"l": 24},
        "font": {"size": body_px, "color": INK},
    }
    return layout, round(12 + large_px + 1.3 * body_px * (len(text) - 1) + 26)


def base_layout(width: int) -> dict[str, Any]:
    """The layout that all figures start from: white, thin grid, no ornament."""
    grow = growth(width)
    return {
        "template": "none",
        "font": {"family": FONT, "size": round(TEXT_PX * grow), "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hoverlabel": {"bgcolor": "white", "bordercolor": QUIET_INK, "align": "left", "font": {"size": SMALL_PX}},
        "hovermode": "closest",
    }


def levels(names: Sequence[str]) -> dict[str, Any]:
    """What makes an axis one of names (escaped already), at 0, 1, 2, ..."""
    return {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names, "showgrid": False}


def axis(title: str, *, width: int, **changes: Any) -> dict[str, Any]:
    """An axis with a title (plain text), a thin grid and a line, in a figure of this width (pixels)."""
    return {
        "title": {"text": plain(title), "standoff": 12, "font": {"size": round((TEXT_PX + 1) * growth(width))}},
        "gridcolor": GRID,
        "linecolor": QUIET_INK,
        "showline": True,
        "ticks": "outside",
        "ticklen": 5,
        "tickcolor": QUIET_INK,
        "zeroline": False,
        **changes,
    }


def top1_title(splits: Sequence[str]) -> str:
    """Of an axis of accuracies on these splits."""
    return f"{capitalised(' and '.join(splits)) or 'Validation'} top-1 (%)"


def leader(
    place: tuple[float, float],
    *,
    font_px: int,
    color: str = QUIET_INK,
    width: float = 0.8,
    standoff: int = 5,
    ink: str = INK,
) -> dict[str, Any]:
    """What an annotation of a label that `ranges.place_labels` has put somewhere has beside its point and text."""
    return {
        "ax": place[0],
        "ay": place[1],
        "showarrow": True,
        "arrowhead": 0,
        "arrowwidth": width,
        "arrowcolor": color,
        "standoff": standoff,
        "borderpad": 0,
        "font": {"size": font_px, "color": ink},
    }


THIN_LEADER = {"color": DOTS, "width": 0.7, "ink": QUIET_INK}  # of a figure that is mostly labels


def begin(
    found: Result,
    lines: Sequence[str] | None = None,
    figure: go.Figure | None = None,
    *,
    size: tuple[int, int | None],
    margin: Mapping[str, float],
    title: str | None = None,
    natural: int = 0,
    **layout: Any,
) -> tuple[go.Figure, tuple[float, float]]:
    """A figure with its heading and its layout, and if the result is empty what it says then.

    Args:
        lines: below the title, empty ones left out; None: the result's subtitle.
        figure: None: one without panels.
        size: width and height (pixels); no height: as its rows need, and then its layout says so.
        margin: pixels; its `t` is kept free below the heading.
        title: None: the result's.
        natural: pixels that its rows need.

    Returns it with the width and height (pixels) that the margins leave.
    """
    figure = go.Figure() if figure is None else figure
    width, height = size
    shown = [line for line in (found.subtitle if lines is None else lines) if line]
    tall = max(natural, 360) if height is None else height
    head, top = heading(title or found.title, shown, found.warnings, width=width, height=tall)
    margin = {**margin, "t": top + margin.get("t", 0)}
    own = {} if height is not None else {"height": tall}
    figure.update_layout(**base_layout(width), title=head, **own, margin=margin, **layout)
    if found.empty is not None:
        draw_nothing(figure, found.empty)
    return figure, (float(width - margin["l"] - margin["r"]), float(tall - margin["t"] - margin["b"]))


def draw_nothing(figure: go.Figure, message: str) -> None:
    """Make a figure an empty one that says why it is empty."""
    figure.update_layout(xaxis_visible=False, yaxis_visible=False)
    figure.update_xaxes(visible=False)  # of further panels
    figure.update_yaxes(visible=False)
    figure.add_annotation(
        text=plain(message),
        xref="paper",
        yref="paper",
        x=0.5,
        y=0.5,
        showarrow=False,
        font={"size": 16, "color": QUIET_INK},
    )
