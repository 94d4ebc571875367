"""Accuracy against latency: a study's front with all its networks, in the plane and with a third number as depth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

from archsearch.analysis.conditions import RecordConditions, seeds_text
from archsearch.analysis.front import FrontRow
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.analysis.study_front import PrintedTop1, StudyFront
from archsearch.analysis.verdicts import Standing
from archsearch.plots import style
from archsearch.plots.confirmed import error_bars
from archsearch.plots.confirmed import hover_text as confirmed_text
from archsearch.plots.ranges import AxisScale, Line, PlotArea, percent_range, place_labels, positive_range, wants_log
from archsearch.plots.traces import Place, add_line, add_lines, add_points, hover, said, thinned, thinned_line
from archsearch.text import count_text, plural, shorten, significant

MOST_IN_DEPTH = 3000
_PLANE = ("error_percent", "latency_ms")
# Printed accuracies are hidden at first where they would squeeze the measured ones into less than this of the axis,
# and a bound beyond the slowest network is shown if it is no further than this share of the axis.
_LEAST_OF_AXIS = 0.6
_BOUND_NEAR = 0.3
_LEGEND_CHARACTERS = 40
_LABEL_PX = 12
_LEGEND_PX = 12
_MARGIN = {"l": 78, "r": 24, "b": 66}
_MANY = 2000  # more points than this are drawn by the graphics card
_DOTS_MINDED = 500  # dominated points that labels are kept away from
_FULL_HOVER = 600  # more points than this say less when they are pointed at: their texts would be most of a page
_FULL_HOVER_IN_DEPTH = 300
_MOST_AT_A_GLANCE = 400
# What a phone and the two columns of a laptop give it: labels that are apart there are apart in a wider window.
_GLANCE_NARROW_PX, _GLANCE_PX = 370, 500
_GLANCE_CHARACTERS, _NARROW_CHARACTERS = 30, 16
_LINE_CHARACTERS = 68
_LOG_COLORS_FROM_RATIO = 3.0
# The space of three numbers: its sides, and from where to where one looks at first.
_ASPECT = (1.25, 1.1, 0.85)
_EYE, _CENTER = (1.05, -1.65, 0.6), (0.05, 0.0, -0.12)
_SHADE = "rgba(82, 96, 109, 0.13)"
# Cividis (Nuñez, Anderton and Renslow 2018) without its last fifth, which is faint on white: one order with every
# common colour vision, and in grey.
_COLORS = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866")

_DOT: dict[str, Any] = {"size": 7, "color": style.DOTS, "opacity": 0.55, "line": {"width": 0}}
_OVER = {**_DOT, "symbol": "circle-open", "line": {"width": 1.4}}
_FRONT = {"size": 9, "color": style.BLUE, "line": {"width": 1, "color": "white"}}
_RIM = {"width": 1.2, "color": style.BLACK}
_VARIANT_ON_FRONT = {"symbol": "diamond", "size": 14, "color": style.VERMILLION, "line": _RIM}
_VARIANT_DOMINATED = {"symbol": "square", "size": 10, "color": style.ORANGE, "line": _RIM}
_RECOMMENDED: dict[str, Any] = {"symbol": "circle-open", "size": 24, "color": style.GREEN, "line": {"width": 3}}
_RANK = {"front, searched": 1, "recommended": 2, "other trials": 3, "over a bound": 4}


def _at(row: FrontRow) -> Place:
    """Latency (ms) and top-1 (percent)."""
    return row.latency.corrected_ms, row.score.top1_percent


def _trials(rows: Iterable[FrontRow]) -> list[int]:
    return [row.record.trial for row in rows]


def _printed(found: StudyFront) -> list[tuple[int, PrintedTop1, FrontRow]]:
    """What sources print for the variants that were measured, each with the variant's number and its network here."""
    return [
        (number, each, row)
        for number, (verdict, row) in enumerate(found.marked, start=1)
        for each in found.printed
        if each.variant == verdict.variant
    ]


def _axes(found: StudyFront) -> tuple[AxisScale, AxisScale, bool]:
    """Milliseconds and percent, and whether what is printed is on the axis at once, or only when the reader asks."""
    again = found.again
    latencies = [_at(row)[0] for row in found.rows]
    x_log = wants_log(latencies)
    values = [*latencies, *(value for each in again for value in each.latencies_ms)]
    low, high = positive_range([value for value in values if value > 0 or not x_log], log=x_log)
    for bound in found.bounds:
        if bound.name == "latency_ms" and values and high <= bound.value <= high + _BOUND_NEAR * (high - low):
            high = bound.value + 0.1 * (bound.value - low)
    top1s = [*(_at(row)[1] for row in found.rows), *(value for each in again for value in each.top1s_percent)]
    bottom, top = percent_range(top1s)
    wide = percent_range([*top1s, *(each.top1_percent for _, each, _ in _printed(found))])
    shown = top - bottom >= _LEAST_OF_AXIS * (wide[1] - wide[0])
    return AxisScale(low, high, x_log), AxisScale(*(wide if shown else (bottom, top))), shown


def _steps(found: StudyFront, right_ms: float, points: Iterable[Place]) -> list[Place]:
    """The front as a staircase, drawn on to the right edge: what a slower budget buys if nothing better is known.

    Empty unless the objectives are error and latency alone: else the front is no staircase in this plane.
    """
    if set(found.objectives) != set(_PLANE):
        return []
    # by latency, so accuracy only grows; equal points are one corner
    corners = sorted(set(points))
    return [*corners, (right_ms, corners[-1][1])] if corners else []


def _third(found: StudyFront) -> str:
    """The third number: an objective, or for reading only."""
    return next((name for name in found.objectives if name not in _PLANE), "params")


def _third_values(found: StudyFront, rows: Sequence[FrontRow]) -> list[float]:
    return [OBJECTIVES[_third(found)].extract(row.record) for row in rows]


def _latency_title(conditions: RecordConditions, *, log: bool) -> str:
    batch = f" of a batch of {conditions.batch[0]}" if len(conditions.batch) == 1 else ""
    return f"Latency{batch}, drift-corrected p10 (ms{', log scale' if log else ''})"


def front_figure(found: StudyFront, *, width: int = 1100, height: int = 700) -> go.Figure:
    """The figure; `width` and `height` (pixels) are those it will be seen at, for line breaks and label places."""
    grow = style.growth(width)
    x, y, printed_shown = _axes(found)
    y_range = y.layout()
    if not printed_shown:  # it grows when the reader asks for what is printed
        y_range |= {"autorange": True, "autorangeoptions": {"include": y_range["range"]}}
    figure, room = style.begin(
        found,
        margin=_MARGIN,
        size=(width, height),
        xaxis=style.axis(_latency_title(found.conditions, log=x.log), width=width, **x.layout()),
        yaxis=style.axis(style.top1_title(found.conditions.split), width=width, **y_range),
        legend={
            "x": 1.01,
            "y": 1,
            "xanchor": "left",
            "yanchor": "top",
            "font": {"size": round(_LEGEND_PX * grow)},
            "itemsizing": "trace",
            "tracegroupgap": 10,
            "grouptitlefont": {"size": round(_LEGEND_PX * grow), "color": style.QUIET_INK},
        },
    )
    if found.empty is not None:
        return figure
    if _third(found) in found.objectives:
        figure.update_layout(coloraxis=_third_bar(found, grow))
    _add_bounds(figure, found, x, grow)
    named = {row.record.trial for _, row in found.marked}
    unnamed = [row for row in found.rows if row.record.trial not in named]
    crowd = [row for row in unnamed if not row.on_front]
    _add_rows(figure, found, [row for row in crowd if not found.over(row)], "other trials", _DOT, grow)
    _add_rows(figure, found, [row for row in crowd if found.over(row)], "over a bound", _OVER, grow)
    steps = _steps(found, x.high, map(_at, found.members))
    _add_steps(figure, steps)
    _add_rows(figure, found, [row for row in unnamed if row.on_front], "front, searched", _FRONT, grow)
    _add_again(figure, found, grow)
    _add_variants(figure, found, grow)
    _add_printed(figure, found, grow, shown=printed_shown)
    _add_recommended(figure, found, grow)
    _add_labels(figure, found, x, y, steps, room, grow)
    return figure


def glance_figure(found: StudyFront, *, width: int = _GLANCE_PX, height: int = 400) -> go.Figure:
    """The front in small: the networks to take and the published ones nearest to them, each with its name.

    The other published networks are drawn where they fit, without names; what lies beyond is left out. Accuracies are
    those that the recommendation rests on.
    """
    figure = go.Figure()
    figure.update_layout(
        **style.base_layout(width), margin={"l": 62, "r": 16, "t": 24, "b": 52}, showlegend=False, height=height
    )
    if found.empty is not None:
        style.draw_nothing(figure, found.empty)
        return figure
    choice = found.recommendation
    rows = {row.record.trial: row for row in found.rows}
    # where the recommendation rests on further seeds, so does its front
    again = {each.arch_id: each for each in found.again} if choice.network is not None and choice.network.seeds else {}

    def at(row: FrontRow) -> Place:
        point = again.get(row.record.arch_id)
        return _at(row) if point is None else (point.latency_ms, point.top1_percent)

    on_front = {each.arch_id for each in again.values() if each.on_front} or {
        row.record.arch_id for row in found.members
    }
    front = [row for row in found.rows if row.record.arch_id in on_front]
    taken = [rows[role.candidate.record.trial] for role in choice.roles]
    nearest = {each.record.trial: each.record.label for role in choice.roles if (each := role.published) is not None}
    named = [*taken, *(rows[trial] for trial in nearest)]
    seen = [at(row) for row in (*named, *front)]
    x, y = AxisScale.of([ms for ms, _ in seen]), AxisScale(*percent_range([top1 for _, top1 in seen]))
    figure.update_xaxes(style.axis("Latency (ms)", width=width, **x.layout()))
    figure.update_yaxes(style.axis("Top-1 (%)", width=width, **y.layout()))
    drawn = {row.record.trial for row in (*named, *front)}
    rest = [row for row in found.rows if row.record.trial not in drawn]
    published = [row for row in rest if row.record.variant is not None]
    others = thinned([row for row in rest if row.record.variant is None], _MOST_AT_A_GLANCE)
    steps = _steps(found, x.high, map(at, front))

    def add(rows: Sequence[FrontRow], marker: dict[str, Any]) -> None:
        points = [at(row) for row in rows]
        texts = [
            _in_a_line(row, *point, on_front=row.record.arch_id in on_front)
            for row, point in zip(rows, points, strict=True)
        ]
        add_points(figure, points, texts, marker, trials=_trials(rows), always=True)

    add(others, _DOT)
    _add_steps(figure, steps)
    add([row for row in front if row not in taken], _FRONT)
    add([*published, *named[len(taken) :]], _VARIANT_DOMINATED)
    add(taken, {**_FRONT, "size": 12})
    add(taken[:1], {**_RECOMMENDED, "size": 20})
    for across in (_GLANCE_NARROW_PX, width):  # the labels of a phone's page stand elsewhere
        figure.layout.annotations = ()
        most = _NARROW_CHARACTERS if across == _GLANCE_NARROW_PX else _GLANCE_CHARACTERS
        PlotArea(x=x, y=y, room=(across - 78.0, height - 76.0)).label(
            figure,
            [at(row) for row in named],
            [
                *(f"{shorten(role.candidate.record.label, most)}: {role.names[0]}" for role in choice.roles),
                *(shorten(name, most) for name in nearest.values()),
            ],
            markers=[at(row) for row in front],
            dots=[at(row) for row in (*published, *others)],
            segments=_staircase(steps),
            grow=1.1,
            bgcolor=style.VEIL,
        )
        if across == _GLANCE_NARROW_PX:
            figure.update_layout(meta={"narrow": [each.to_plotly_json() for each in figure.layout.annotations]})
    return figure


def _in_a_line(row: FrontRow, ms: float, top1: float, *, on_front: bool) -> str:
    """Which network it is and what it does."""
    return f"{_first_line(row, row.record.label, on_front=on_front)}: {top1:.2f} %, {significant(ms)} ms"


def _add_steps(figure: go.Figure, steps: Sequence[Place]) -> None:
    add_line(figure, steps, {"shape": "hv", "color": style.BLUE, "width": 2})


def _staircase(corners: Sequence[Place]) -> list[Line]:
    """The level and upright lines between corners."""
    level = [(a[0], a[1], b[0], a[1]) for a, b in pairwise(corners)]
    return level + [(b[0], a[1], b[0], b[1]) for a, b in pairwise(corners)]


def _grown(marker: dict[str, Any], grow: float) -> dict[str, Any]:
    return {**marker, "size": marker["size"] * grow}


def shared_prefix(names: Sequence[str]) -> str:
    """What all names begin with, up to an underscore, so that a legend need not repeat it; empty for one name."""
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    prefix = first[:same]
    return prefix[: prefix.rfind("_") + 1]


def _add_rows(
    figure: go.Figure, found: StudyFront, rows: Sequence[FrontRow], name: str, marker: dict[str, Any], grow: float
) -> None:
    add_points(
        figure,
        map(_at, rows),
        _hover_texts(found, rows, most=_FULL_HOVER),
        _grown(marker, grow) | _color_of_third(found, rows),
        trials=_trials(rows),
        gl=len(rows) > _MANY,
        legendrank=_RANK[name],
        name=f"{name} ({len(rows):,})",
    )


def _add_variants(figure: go.Figure, found: StudyFront, grow: float) -> None:
    prefix = shared_prefix([verdict.variant for verdict, _ in found.marked])
    named = f" {style.plain(shorten(prefix, 24))}…" if prefix else ""
    for number, (verdict, row) in enumerate(found.marked, start=1):
        name = verdict.variant
        look = _VARIANT_DOMINATED if verdict.standing is Standing.DOMINATED else _VARIANT_ON_FRONT
        said = f"{verdict.sentence} {found.readings.get(name, '')}".strip()
        add_points(
            figure,
            [_at(row)],
            [hover_text(found, row, name=name, verdict=said)],
            _grown(look, grow),
            trials=[row.record.trial],
            name=f"{number}  {style.plain(shorten(name[len(prefix) :], _LEGEND_CHARACTERS))}",
            legendgroup="variants",
            legendgrouptitle={"text": f"Variants{named}<br>◆ on the front   ■ dominated"},
        )


def _recommended(found: StudyFront) -> list[FrontRow]:
    return [row for row in found.rows if row.record.trial == found.recommendation.trial]


def _add_recommended(figure: go.Figure, found: StudyFront, grow: float) -> None:
    for row in _recommended(found):
        add_points(
            figure,
            [_at(row)],
            None,
            _grown(_RECOMMENDED, grow),
            name=f"recommended: {style.plain(shorten(row.record.label, _LEGEND_CHARACTERS - 13))}",
            legendrank=_RANK["recommended"],
        )


def _add_labels(
    figure: go.Figure, found: StudyFront, x: AxisScale, y: AxisScale, steps: Sequence[Place], room: Place, grow: float
) -> None:
    """The variants' numbers, each beside its marker with a thin leader; `room`: what the margins leave (pixels)."""
    variants = [verdict.variant for verdict, _ in found.marked]
    cut = len(shared_prefix(variants))
    names = [min(len(name) - cut + 4, _LEGEND_CHARACTERS) for name in variants]
    legend_px = 50.0 + 0.5 * _LEGEND_PX * grow * max([34, *names])
    PlotArea(x=x, y=y, room=(room[0] - legend_px, room[1])).label(
        figure,
        [_at(row) for _, row in found.marked],
        [str(number) for number in range(1, len(variants) + 1)],
        markers=[_at(row) for row in found.members],
        dots=thinned([_at(row) for row in found.rows if not row.on_front], _DOTS_MINDED),
        segments=_staircase(steps),
        rings=[(_at(row), 0.5 * _RECOMMENDED["size"] * grow) for row in _recommended(found)],
        grow=grow,
        font_px=_LABEL_PX,
        bold=True,
        leader={"width": 1},
        bgcolor=style.VEIL,
    )


def _add_bounds(figure: go.Figure, found: StudyFront, x: AxisScale, grow: float) -> None:
    """The latencies over a hard bound shaded, a line for a soft one; bounds off the axis are named in the heading."""
    across = {"layer": "below", "yref": "paper", "y0": 0, "y1": 1}
    for bound in found.bounds:
        if bound.name != "latency_ms" or not x.low < bound.value < x.high:
            continue
        if not bound.soft:
            figure.add_shape(type="rect", x0=bound.value, x1=x.high, fillcolor=_SHADE, line={"width": 0}, **across)
        look = {"color": style.QUIET_INK, "width": 1.5, "dash": "dash" if bound.soft else "solid"}
        figure.add_shape(type="line", x0=bound.value, x1=bound.value, line=look, **across)
        figure.add_annotation(
            x=x.at(bound.value),
            yref="paper",
            y=0,
            text=style.plain(bound.text),
            textangle=-90,
            xanchor="right",
            xshift=-2,
            yanchor="bottom",
            yshift=4,
            showarrow=False,
            font={"size": round(style.SMALL_PX * grow), "color": style.QUIET_INK},
        )


def _add_again(figure: go.Figure, found: StudyFront, grow: float) -> None:
    """The networks that were evaluated again: their means with intervals, a thin line to what the search found."""
    again = found.again
    if found.confirmed is None or not again:
        return
    searched = {row.record.trial: row for row in found.rows}
    pairs = [(each, searched[each.trial]) for each in again if each.trial is not None]
    add_lines(
        figure,
        [(_at(row), (each.latency_ms, each.top1_percent)) for each, row in pairs],
        {"color": style.QUIET_INK, "width": 1, "dash": "dot"},
        legendgroup="intervals",
    )
    add_points(
        figure,
        [(each.latency_ms, each.top1_percent) for each in again],
        [confirmed_text(each) for each in again],
        {"symbol": "cross", "size": 8 * grow, "color": style.GREEN},
        trials=_trials(row for _, row in pairs),
        **error_bars(again, color=style.GREEN, thickness=1.6, width=4 * grow),
        name=f"evaluated again, {100.0 * found.confirmed.confidence:g} % interval ({len(pairs):,})",
        legendgroup="intervals",
    )


def _add_printed(figure: go.Figure, found: StudyFront, grow: float, *, shown: bool) -> None:
    """What sources print, hollow, with the variant's number; hidden at first where it would squeeze the rest."""
    printed = _printed(found)
    add_points(
        figure,
        [(_at(row)[0], each.top1_percent) for _, each, row in printed],
        [
            hover(
                each.variant,
                *style.wrap(each.source),
                *style.wrap(each.conditions),
                f"drawn at our latency, {significant(_at(row)[0])} ms",
                more=f": <b>{each.top1_percent:g} %</b> as printed, not measured here",
            )
            for _, each, row in printed
        ],
        {"symbol": "diamond-open", "size": 12 * grow, "color": style.VERMILLION, "line": {"width": 2}},
        trials=_trials(row for _, _, row in printed),
        mode="markers+text",
        text=[f"{number}" for number, _, _ in printed],
        textposition="middle right",
        textfont={"size": round(style.SMALL_PX * grow), "color": style.INK},
        name=f"as printed, other training ({len(printed):,})",
        visible=True if shown else "legendonly",
    )


def _color_of_third(found: StudyFront, rows: Sequence[FrontRow]) -> dict[str, Any]:
    """A marker's colour by the third objective; nothing where there is none."""
    if not rows or _third(found) not in found.objectives:
        return {}
    values = [*map(_third_scale(found).at, _third_values(found, rows))]
    rim = {"width": 2, "color": style.BLACK} if rows[0].on_front else {"width": 0.8, "color": style.QUIET_INK}
    return {"color": values, "coloraxis": "coloraxis", "line": rim, "opacity": 1.0}


def _third_scale(found: StudyFront) -> AxisScale:
    """The third number of all networks, by its order of magnitude where that varies."""
    values = _third_values(found, found.rows)
    return AxisScale(min(values), max(values), wants_log(values, _LOG_COLORS_FROM_RATIO))


def _third_bar(found: StudyFront, grow: float) -> dict[str, Any]:
    """The colour axis of the third objective, its bar above the figure on the right."""
    scale = _third_scale(found)
    low, high = scale.low, scale.high
    shown = [low, (low * high) ** 0.5 if scale.log else (low + high) / 2.0, high]
    return {
        "colorscale": [[place / (len(_COLORS) - 1), color] for place, color in enumerate(_COLORS)],
        "cmin": scale.at(low),
        "cmax": scale.at(high),
        "colorbar": {
            "x": 1.01,
            "xanchor": "left",
            "y": 0,
            "yanchor": "bottom",
            "len": 0.34,
            "thickness": round(12 * grow),
            "outlinewidth": 0,
            "title": {
                "text": f"{style.plain(OBJECTIVES[_third(found)].title)}<br> ",
                "side": "top",
                "font": {"size": round(12 * grow)},
            },
            "tickvals": [*map(scale.at, shown)],
            "ticktext": [OBJECTIVES[_third(found)].show(value) for value in shown],
            "tickfont": {"size": round(11 * grow)},
        },
    }


def _hover_texts(found: StudyFront, rows: Sequence[FrontRow], *, most: int) -> list[str]:
    """What each network says when it is pointed at: everything, or of more than `most` one line."""
    if len(rows) <= most:
        return [hover_text(found, row) for row in rows]
    return [
        f"{_in_a_line(row, *_at(row), on_front=row.on_front)}, {count_text(row.cost.params)} params" for row in rows
    ]


def hover_text(found: StudyFront, row: FrontRow, *, name: str | None = None, verdict: str | None = None) -> str:
    """Everything about one network, in escaped lines: all choices that differ from the base among them."""
    score, latency, cost = row.score, row.latency, row.cost
    lines = [
        _first_line(row, name or row.record.label, on_front=row.on_front),
        f"top-1 <b>{score.top1_percent:.2f} %</b> ({style.plain(score.split)}, {plural(score.epochs, 'epoch')}, "
        f"{seeds_text([row.record])})",
        f"latency <b>{significant(latency.corrected_ms)} ms</b> (drift-corrected); "
        f"p10 {significant(latency.p10_ms)}, median {significant(latency.median_ms)}, "
        f"p90 {significant(latency.p90_ms)} (n = {latency.n:,}{'' if latency.converged else ', not converged'})",
        f"{count_text(cost.params)} params, {count_text(cost.macs)}{'*' if cost.unsupported_ops else ''} MACs",
        f"arch_id {style.plain(row.record.arch_id)}",
    ]
    if over := found.over(row):
        lines.append(f"over the study's bound on {style.plain(', '.join(over))}")
    if verdict is not None:
        lines += [f"<i>{line}</i>" for line in style.wrap(verdict)]
    changes = [f"{choice}: {value} (not {base})" for choice, value, base in found.changes(row.record)]
    return "<br>".join([*lines, *_packed(changes)])


def _first_line(row: FrontRow, label: str, *, on_front: bool) -> str:
    first = f"<b>{style.plain(label)}</b>"
    if label != f"trial {row.record.trial}":
        first += f" (trial {row.record.trial})"
    return first + (" · on the front" if on_front else "")


def _packed(parts: Sequence[str]) -> Iterator[str]:
    """Parts side by side, in lines that are not broken within one; escaped."""
    line = ""
    for part in parts:
        if line and len(line) + len(part) > _LINE_CHARACTERS:
            yield style.plain(line)
            line = ""
        line += f"{' · ' if line else ''}{part}"
    if line:
        yield style.plain(line)


def front_3d_figure(found: StudyFront, *, width: int = 1100, height: int = 760) -> go.Figure:
    """The front with a third number as depth; it can be turned, and what is on the front is larger and darker."""
    grow = style.growth(width)
    third = OBJECTIVES[_third(found)].title
    word = third if third == "MACs" else third.lower()
    named = {row.record.trial for _, row in found.marked}
    drawn = thinned(found.rows, MOST_IN_DEPTH, keep=lambda row: row.on_front or row.record.trial in named)
    role = f"depth: {word}, "
    role += "the third objective" if _third(found) in found.objectives else "for reading only: not an objective"
    note = "; ".join(part for part in (role, thinned_line(len(drawn), len(found.rows), "networks")) if part)
    figure, room = style.begin(
        found,
        title=f"{found.title} and {word}",
        margin={"l": 10, "r": 10, "b": 10},
        size=(width, height),
        legend={
            "x": 1.0,
            "y": 1,
            "xanchor": "right",
            "yanchor": "top",
            "itemsizing": "constant",
            "title": {"text": style.plain(note), "font": {"size": style.SMALL_PX, "color": style.QUIET_INK}},
        },
    )
    if found.empty is not None:
        return figure
    x, z = zip(*map(_at, drawn), strict=True)
    scales = (AxisScale.of(x), AxisScale.of(_third_values(found, drawn)), AxisScale(*percent_range(z)))
    titles = ("Latency (ms)", third, style.top1_title(found.conditions.split))
    figure.update_layout(
        scene={
            **{
                f"{name}axis": _space_axis(title, scale, grow)
                for name, title, scale in zip("xyz", titles, scales, strict=True)
            },
            "camera": {
                name: dict(zip("xyz", place, strict=True)) for name, place in (("eye", _EYE), ("center", _CENTER))
            },
            "aspectmode": "manual",
            "aspectratio": dict(zip("xyz", _ASPECT, strict=True)),
        }
    )
    unnamed = [row for row in drawn if row.record.trial not in named]
    others, front = ([row for row in unnamed if row.on_front is on_front] for on_front in (False, True))
    _add_in_space(figure, found, others, f"other trials ({len(others):,})", {"size": 3 * grow, "color": style.DOTS})
    _add_in_space(figure, found, front, f"front ({len(front):,})", {"size": 6 * grow, "color": style.BLUE})
    prefix = shared_prefix([verdict.variant for verdict, _ in found.marked])
    for number, (verdict, row) in enumerate(found.marked, start=1):
        look = _VARIANT_DOMINATED if verdict.standing is Standing.DOMINATED else _VARIANT_ON_FRONT
        look = {**look, "size": 6 * grow, "line": {"width": 1, "color": style.BLACK}}
        name = f"{number}  {style.plain(shorten(verdict.variant[len(prefix) :], _LEGEND_CHARACTERS))}"
        _add_in_space(figure, found, [row], name, look)
    _number_in_space(figure, found, scales, width=width, height=round(room[1]) + 10)
    _add_planes(figure, found, drawn)
    return figure


def _in_space(found: StudyFront, row: FrontRow) -> tuple[float, float, float]:
    """Latency (ms), the third number, top-1 (percent)."""
    ms, top1 = _at(row)
    return ms, _third_values(found, [row])[0], top1


def _number_in_space(
    figure: go.Figure, found: StudyFront, scales: Sequence[AxisScale], *, width: int, height: int
) -> None:
    """The variants' numbers, each with a leader to where it covers least in the view that the figure opens with."""
    values = [_in_space(found, row) for _, row in found.marked]
    points = [
        [side * (scale.share(value) - 0.5) for value, scale, side in zip(each, scales, _ASPECT, strict=True)]
        for each in values
    ]
    anchors = _seen(points, width, height)
    places = place_labels(
        anchors,
        [str(number) for number in range(1, len(anchors) + 1)],
        markers=anchors, dots=(), segments=(), room=(width, height), font_px=_LABEL_PX, grow=1.6,
    )  # fmt: skip
    figure.layout.scene.annotations = [
        {
            **{axis: scale.at(value) for axis, value, scale in zip("xyz", each, scales, strict=True)},
            "text": f"<b>{number}</b>",
            "bgcolor": style.VEIL,
            **style.leader(place, font_px=_LABEL_PX),
        }
        for number, (each, place) in enumerate(zip(values, places, strict=True), start=1)
    ]


def _seen(points: Sequence[Sequence[float]], width: int, height: int) -> list[tuple[float, float]]:
    """Where points of the space around its middle are seen: pixels, by the camera that plotly has (45 degrees)."""
    forward = np.subtract(_CENTER, _EYE)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    axes = np.array([each / np.linalg.norm(each) for each in (right, np.cross(right, forward), forward)])
    scale = 0.5 * height / math.tan(math.radians(22.5))
    away = np.reshape(points, (-1, 3)) - _EYE
    return [
        (0.5 * width + scale * across / depth, 0.5 * height - scale * above / depth)
        for across, above, depth in (away @ axes.T).tolist()
    ]


def _space_axis(title: str, scale: AxisScale, grow: float) -> dict[str, Any]:
    return {
        "title": {"text": style.plain(title), "font": {"size": round(13 * grow)}},
        "tickfont": {"size": round(10 * grow)},
        "showbackground": True,
        "color": style.INK,
        "backgroundcolor": style.SIDE,
        "gridcolor": style.SIDE_GRID,
        "zeroline": False,
        "nticks": 6,
        **scale.layout(text=lambda tick: count_text(tick) if tick >= 1000 else f"{tick:g}", most=6),
    }


def _add_in_space(
    figure: go.Figure, found: StudyFront, rows: Sequence[FrontRow], name: str, marker: dict[str, Any]
) -> None:
    if not rows:
        return
    x, y, z = zip(*(_in_space(found, row) for row in rows), strict=True)
    texts = _hover_texts(found, rows, most=_FULL_HOVER_IN_DEPTH)
    figure.add_scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, name=name, **said(texts, _trials(rows)))


def _add_planes(figure: go.Figure, found: StudyFront, rows: Sequence[FrontRow]) -> None:
    """The study's bounds on two of the three numbers, as walls, where they stand among the points."""
    x, y, _ = zip(*(_in_space(found, row) for row in rows), strict=True)
    _, z, _ = _axes(found)
    for bound in found.bounds:
        if bound.name == "latency_ms" and min(x) < bound.value <= 1.3 * max(x):
            corners = ([bound.value] * 4, [min(y), max(y), max(y), min(y)])
        elif bound.name == _third(found) and min(y) < bound.value <= 1.3 * max(y):
            corners = ([min(x), max(x), max(x), min(x)], [bound.value] * 4)
        else:
            continue
        figure.add_mesh3d(
            x=corners[0],
            y=corners[1],
            z=[z.low, z.low, z.high, z.high],
            i=[0, 0],
            j=[1, 2],
            k=[2, 3],
            color=style.QUIET_INK,
            opacity=0.25,
            lighting={"ambient": 1.0, "diffuse": 0.0, "specular": 0.0},
            name=style.plain(bound.text),
            showlegend=True,
            hoverinfo="name",
        )
