"""A front looked at again: means with intervals in both directions, how probably each is on the front, and what the
search itself had found (hollow)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from archsearch.analysis.objectives import significant
from archsearch.plots import style
from archsearch.plots.forest import LEAST_WIDTH_PX, finite
from archsearch.plots.labels import place_labels
from archsearch.plots.ranges import log_axis, percent_range, positive_range, wants_log

if TYPE_CHECKING:
    from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint

_MOST_LABELS = 60
_MARGIN = {"l": 78, "r": 24, "b": 104}
_ON_FRONT = {"symbol": "diamond", "color": style.BLUE}
_OFF_FRONT = {"symbol": "circle", "color": style.ORANGE}


@dataclass(frozen=True, kw_only=True)
class ConfirmedMark:
    """One network: the means over its seeds with their intervals, and the search's own values.

    Attributes:
        trial: of the searched study; None if the network is not one of its trials.
        n: seeds that completed.
        probability_on_front: share of the draws in which it is on the front; None where it cannot be told.
        on_front: whether the means are on the front of the confirmed points.
        was_on_front: whether it was on the searched study's front; None if that is not known.
        original_top1_percent, original_latency_ms: what the search had found; None if it had no such record.
    """

    name: str
    trial: int | None
    arch_id: str
    n: int
    top1_percent: float
    top1_low_percent: float | None
    top1_high_percent: float | None
    latency_ms: float
    latency_low_ms: float | None
    latency_high_ms: float | None
    probability_on_front: float | None
    on_front: bool
    was_on_front: bool | None
    original_top1_percent: float | None
    original_latency_ms: float | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class ConfirmedInfo:
    """What the figure shows; text is plain. `missing`: points without a complete trial; `empty`: why there is nothing
    to draw, or None."""

    title: str
    subtitle: tuple[str, ...]
    warnings: tuple[str, ...]
    marks: tuple[ConfirmedMark, ...]
    missing: tuple[str, ...]
    confidence_percent: float
    x_log: bool
    x_range_ms: tuple[float, float]
    y_range_percent: tuple[float, float]
    empty: str | None


def confirmed_info(found: Confirmed | None, *, study: str) -> ConfirmedInfo:
    """What is drawn of a confirmation; without one, an empty figure that says what to run."""
    marks: tuple[ConfirmedMark, ...] = ()
    missing: tuple[str, ...] = ()
    if found is not None:
        known = [each for each in found.points if math.isfinite(each.error_percent) and math.isfinite(each.latency_ms)]
        marks = tuple(_mark(each, found.objectives) for each in known)
        missing = tuple(_name(each) for each in found.points if each not in known)
    x_ends = [end for mark in marks for end in _ends(mark.latency_low_ms, mark.latency_ms, mark.latency_high_ms)]
    x_ends += [mark.original_latency_ms for mark in marks if mark.original_latency_ms is not None]
    y_ends = [end for mark in marks for end in _ends(mark.top1_low_percent, mark.top1_percent, mark.top1_high_percent)]
    y_ends += [mark.original_top1_percent for mark in marks if mark.original_top1_percent is not None]
    x_log = wants_log(x_ends)
    percent = 95.0 if found is None else 100.0 * found.confidence
    none = "No confirmation of this study's front: `archsearch confirm` runs one"
    return ConfirmedInfo(
        title=f"The front, evaluated again: study {study}",
        subtitle=() if found is None or not marks else _subtitle(found, marks, missing, percent),
        warnings=() if found is None else found.warnings,
        marks=marks,
        missing=missing,
        confidence_percent=percent,
        x_log=x_log,
        x_range_ms=positive_range(x_ends, log=x_log),
        y_range_percent=percent_range(y_ends),
        empty=None if marks else none if found is None else "No trial of the confirmation is complete yet",
    )


def _ends(low: float | None, middle: float, high: float | None) -> list[float]:
    return [middle if low is None else low, middle, middle if high is None else high]


def _name(found: ConfirmedPoint) -> str:
    return found.point.variant or found.point.name


def _mark(found: ConfirmedPoint, objectives: Sequence[str]) -> ConfirmedMark:
    original = dict(zip(objectives, found.original_values or (), strict=False))
    error, low, high = finite(original.get("error_percent")), finite(found.error_low), finite(found.error_high)
    return ConfirmedMark(
        name=_name(found),
        trial=found.point.trial,
        arch_id=found.point.arch_id,
        n=found.n,
        top1_percent=100.0 - found.error_percent,
        top1_low_percent=None if high is None else 100.0 - high,
        top1_high_percent=None if low is None else 100.0 - low,
        latency_ms=found.latency_ms,
        latency_low_ms=finite(found.latency_low),
        latency_high_ms=finite(found.latency_high),
        probability_on_front=finite(found.probability_on_front),
        on_front=found.on_front,
        was_on_front=found.was_on_front,
        original_top1_percent=None if error is None else 100.0 - error,
        original_latency_ms=finite(original.get("latency_ms")),
        sentence=found.sentence,
    )


def _subtitle(
    found: Confirmed, marks: Sequence[ConfirmedMark], missing: Sequence[str], percent: float
) -> tuple[str, ...]:
    seeds = len(found.design.seeds)
    counts = f"{len(marks)} network{'' if len(marks) == 1 else 's'}, {seeds} seed{'' if seeds == 1 else 's'} each"
    counts += f", latency measured anew with each; {percent:g} % intervals of each mean"
    if missing:
        counts += f"; {len(missing)} without a complete trial"
    front = [each for each in found.points if each.was_on_front]
    share = ""
    if front:
        share = f"{len(found.kept)} of {len(front)} of the search's front are more probably on it than not; "
    return (counts, f"{share}beside each point: how probably it is on the front, over {found.draws:,} draws")


def confirmed_figure(info: ConfirmedInfo, *, width: int = 1100, height: int = 660) -> go.Figure:
    """The figure: filled what was found again, hollow what the search found, a thin line between the two."""
    title, top = style.heading(info.title, info.subtitle, info.warnings, width=width, height=height)
    grow = style.growth(width)
    figure = go.Figure()
    low, high = info.x_range_ms
    x_axis = log_axis(low, high) if info.x_log else {"range": [low, high]}
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={**_MARGIN, "t": top},
        xaxis=style.axis("Latency, drift-corrected p10 (ms)", width=width, **x_axis),
        yaxis=style.axis("Validation top-1 (%)", width=width, range=list(info.y_range_percent)),
        legend={"orientation": "h", "x": 0.01, "xref": "container", "y": 0, "yref": "container", "yanchor": "bottom"},
        meta={"least_width": LEAST_WIDTH_PX},
    )
    if info.empty is not None:
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    _draw_originals(figure, info.marks, grow)
    for on_front, look, name in (
        (True, _ON_FRONT, "means on the front"),
        (False, _OFF_FRONT, "means dominated"),
    ):
        marks = [mark for mark in info.marks if mark.on_front is on_front]
        if marks:
            _draw_means(figure, marks, look, f"{name} ({len(marks)})", grow)
    if len(info.marks) <= _MOST_LABELS:
        area = (width - _MARGIN["l"] - _MARGIN["r"], float(height - top - _MARGIN["b"]))
        _label(figure, info, area, grow)
    return figure


def _draw_originals(figure: go.Figure, marks: Sequence[ConfirmedMark], grow: float) -> None:
    pairs = [
        (mark, mark.original_latency_ms, mark.original_top1_percent)
        for mark in marks
        if mark.original_latency_ms is not None and mark.original_top1_percent is not None
    ]
    if not pairs:
        return
    figure.add_scatter(
        x=[x for mark, latency, _ in pairs for x in (latency, mark.latency_ms, None)],
        y=[y for mark, _, top1 in pairs for y in (top1, mark.top1_percent, None)],
        mode="lines",
        line={"color": style.DOTS, "width": 1, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=[latency for _, latency, _ in pairs],
        y=[top1 for _, _, top1 in pairs],
        mode="markers",
        marker={"symbol": "circle-open", "size": 9 * grow, "color": style.QUIET_INK, "line": {"width": 1.6}},
        name=f"as the search found them ({len(pairs)})",
        hovertext=[
            f"<b>{style.plain(mark.name)}</b> in the search: {top1:.2f} %, {significant(latency)} ms"
            for mark, latency, top1 in pairs
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=_trials([mark for mark, _, _ in pairs]),
    )


def _draw_means(
    figure: go.Figure, marks: Sequence[ConfirmedMark], look: dict[str, Any], name: str, grow: float
) -> None:
    x_ends = [(mark.latency_low_ms, mark.latency_ms, mark.latency_high_ms) for mark in marks]
    y_ends = [(mark.top1_low_percent, mark.top1_percent, mark.top1_high_percent) for mark in marks]
    figure.add_scatter(
        x=[mark.latency_ms for mark in marks],
        y=[mark.top1_percent for mark in marks],
        error_x=_bars(x_ends, look["color"]),
        error_y=_bars(y_ends, look["color"]),
        mode="markers",
        marker={**look, "size": 11 * grow, "line": {"width": 1, "color": style.BLACK}},
        name=name,
        hovertext=["<br>".join(style.wrap(mark.sentence or mark.name, 430)) for mark in marks],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=_trials(marks),
    )


def _bars(ends: Sequence[tuple[float | None, float, float | None]], color: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [0.0 if high is None else max(0.0, high - middle) for _, middle, high in ends],
        "arrayminus": [0.0 if low is None else max(0.0, middle - low) for low, middle, _ in ends],
        "color": color,
        "thickness": 1.5,
        "width": 3,
    }


def _trials(marks: Sequence[ConfirmedMark]) -> list[list[int]]:
    return [[] if mark.trial is None else [mark.trial] for mark in marks]


def _label(figure: go.Figure, info: ConfirmedInfo, area: tuple[float, float], grow: float) -> None:
    low, high = info.x_range_ms
    bottom, ceiling = info.y_range_percent

    def pixel(x: float, y: float) -> tuple[float, float]:
        across = math.log(x / low) / math.log(high / low) if info.x_log else (x - low) / (high - low)
        return (across * area[0], (ceiling - y) / (ceiling - bottom) * area[1])

    anchors = [pixel(mark.latency_ms, mark.top1_percent) for mark in info.marks]
    hollow = [
        pixel(mark.original_latency_ms, mark.original_top1_percent)
        for mark in info.marks
        if mark.original_latency_ms is not None and mark.original_top1_percent is not None
    ]
    bars = []
    for mark in info.marks:
        x, y = pixel(mark.latency_ms, mark.top1_percent)
        if mark.latency_low_ms is not None and mark.latency_high_ms is not None:
            bars.append((pixel(mark.latency_low_ms, ceiling)[0], y, pixel(mark.latency_high_ms, ceiling)[0], y))
        if mark.top1_low_percent is not None and mark.top1_high_percent is not None:
            bars.append((x, pixel(high, mark.top1_high_percent)[1], x, pixel(high, mark.top1_low_percent)[1]))
    texts = [_label_text(mark) for mark in info.marks]
    font = round(11 * grow)
    places = place_labels(
        anchors,
        texts,
        markers=[*anchors, *hollow],
        dots=(),
        segments=bars,
        width_px=area[0],
        height_px=area[1],
        font_px=font,
        grow=grow,
    )
    for mark, text, place in zip(info.marks, texts, places, strict=True):
        figure.add_annotation(
            x=math.log10(mark.latency_ms) if info.x_log else mark.latency_ms,
            y=mark.top1_percent,
            text=style.plain(text),
            ax=place.right_px,
            ay=place.down_px,
            showarrow=True,
            arrowhead=0,
            arrowwidth=0.8,
            arrowcolor=style.QUIET_INK,
            standoff=6,
            borderpad=0,
            bgcolor="rgba(255,255,255,0.75)",
            font={"size": font, "color": style.INK},
        )


def _label_text(mark: ConfirmedMark) -> str:
    name = style.shorten(mark.name.removeprefix("trial "), 20)
    if mark.probability_on_front is None:
        return name
    return f"{name}: {probability_text(mark.probability_on_front)}"


def probability_text(probability: float) -> str:
    """A probability in percent; 0 and 1 are of finitely many draws, so they are never quite certain."""
    if 0.0 < probability < 0.01:
        return "<1 %"
    return ">99 %" if 0.99 < probability < 1.0 else f"{100.0 * probability:.0f} %"
