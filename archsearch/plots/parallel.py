"""Parallel coordinates: each network a line through its choices and its objectives; the front stands out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

from archsearch.analysis.front import Front, distinct
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.plots import style
from archsearch.plots.ranges import nice_ticks
from archsearch.plots.traces import Place, add_lines, said, thinned, thinned_line
from archsearch.table import NETWORK, TRIAL, Column, InNotebooks, Table, table_of
from archsearch.text import count_text, level_text, plural, shorten, significant

MOST_LINES = 400
MOST_CHOICES = 18
MOST_DRAWN_CHOICES = 9  # more axes than with these do not fit into a page beside each other
_AXIS_PX = 74
_MOST_LEVELS = 16
_SPREAD = 0.5  # of the distance between two levels: how far lines of one level lie apart
_MOST_SPREAD = 0.07
_TITLE_CHARACTERS = 30
_TICK_CHARACTERS = 11
_STAGES = ("stage2.", "stage3.", "stage4.")


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: its places go from 0 (bottom) to 1.

    Attributes:
        title: for people, with the unit.
        ticks: (place, text) of the levels, or of round values.
        levels: whether it has levels, so that lines are spread a little around each.
        explained: share of the variance of the error that goes along with the choice's levels (correlation ratio);
            None for an objective.
    """

    name: str
    title: str
    ticks: tuple[tuple[float, str], ...]
    levels: bool
    explained: float | None = None


@dataclass(frozen=True, kw_only=True)
class ParallelLine:
    """One network: its place on each axis, and what stands there as text."""

    trial: int
    label: str
    on_front: bool
    variant: bool
    places: tuple[float, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Parallel(InNotebooks):
    """Networks as lines through their choices and objectives: an `archsearch.table.Result`.

    Attributes:
        axes: the choices, then the objectives; better objectives are higher up.
        lines: dominated ones first.
    """

    title: str
    subtitle: tuple[str, ...] = ()
    axes: tuple[Axis, ...] = ()
    lines: tuple[ParallelLine, ...] = ()
    sentences: tuple[str, ...] = ()
    method: str = ""
    warnings: tuple[str, ...] = ()
    empty: str | None = None

    def tables(self) -> tuple[Table, ...]:
        """What goes along with the error, and what each network has."""
        return (
            table_of(
                "Choices",
                (axis for axis in self.axes if axis.explained is not None),
                (Column(title="Choice", key="choice", whole=True), lambda axis: axis.title),
                Column(title="Explains of the error's variance", key="explained", decimals=3),
                (Column(title="Levels", key="levels"), lambda axis: ", ".join(text for _, text in axis.ticks)),
                note="Correlation ratio: the share of the variance that goes along with the choice's levels.",
            ),
            Table(
                title="Networks",
                columns=(
                    TRIAL,
                    NETWORK,
                    Column(title="On the front", key="on_front"),
                    *(Column(title=axis.title, key=axis.name) for axis in self.axes),
                ),
                rows=tuple((line.trial, line.label, line.on_front, *line.values) for line in self.lines),
                wide=True,
            ),
        )


def parallel_of(front: Front, *, study: str) -> Parallel:
    """The choices and objectives of the complete records.

    Choices with one value in all of them are left out, and of more than `MOST_CHOICES` those that go along least with
    the error. A choice that is the same in all three stages of every network is one axis.
    """
    title = f"Choices and objectives: study {study}"
    if not front.rows:
        why = f"No complete trial to show ({front.statuses_text or 'no trials yet'})"
        return Parallel(title=title, empty=why)
    choices = merged_stages([row.record.choices for row in front.rows])
    errors = np.array([row.record.error_percent for row in front.rows])
    names = list(dict.fromkeys(name for each in choices for name in each))
    columns = {name: [each.get(name, _ABSENT) for each in choices] for name in names}
    varying = {name: values for name, values in columns.items() if len({_key(value) for value in values}) > 1}
    explained = {name: _explained([_key(value) for value in values], errors) for name, values in varying.items()}
    kept = set(sorted(varying, key=lambda name: (-explained[name], name))[:MOST_CHOICES])
    drawn = [_choice_axis(name, varying[name], explained[name]) for name in varying if name in kept]
    # the error last: it is what is looked for
    ordered = sorted(enumerate(front.objectives), key=lambda each: each[1] == "error_percent")
    drawn += [_objective_axis(name, [row.values[place] for row in front.rows]) for place, name in ordered]
    lines = [
        ParallelLine(
            trial=row.record.trial,
            label=row.record.label,
            on_front=row.on_front,
            variant=row.record.variant is not None,
            places=tuple(places[index] for _, places, _ in drawn),
            values=tuple(texts[index] for _, _, texts in drawn),
        )
        for index, row in enumerate(front.rows)
    ]
    shown = thinned(lines, MOST_LINES, keep=lambda line: line.on_front or line.variant)
    same, left = len(names) - len(varying), len(varying) - len(kept)
    counts = [
        f"{plural(len(distinct(front.rows)), 'network')}, {len(distinct(front.members)):,} on the front",
        thinned_line(len(shown), len(lines), "networks"),
        f"{plural(same, 'choice')} {'is' if same == 1 else 'are'} the same in all" if same else "",
        thinned_line(len(kept), len(varying), "choices that vary") + (", those that go along most with the error")
        if left
        else "",
    ]
    return Parallel(
        title=title,
        subtitle=("; ".join(filter(None, counts)),),
        axes=tuple(axis for axis, _, _ in drawn),
        lines=tuple(sorted(shown, key=lambda line: (line.on_front, line.variant, line.trial))),
    )


_ABSENT = object()  # of a choice that a network of another family does not have


def _key(value: Any) -> str:
    return "not a choice" if value is _ABSENT else level_text(value)


def merged_stages(networks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The choices with one entry, as `stages 2-4 kernel`, for each that all three stages share in every network."""

    def same(choices: Mapping[str, Any], kind: str) -> bool:
        return len({_key(choices.get(stage + kind, _ABSENT)) for stage in _STAGES}) == 1

    kinds = dict.fromkeys(name.partition(".")[2] for each in networks for name in each if name.startswith(_STAGES))
    shared = {kind for kind in kinds if all(same(each, kind) for each in networks)}

    def merged(name: str) -> str:
        kind = name.partition(".")[2]
        return f"stages 2-4 {kind}" if name.startswith(_STAGES) and kind in shared else name

    return [{merged(name): value for name, value in each.items()} for each in networks]


def _explained(keys: Sequence[str], errors: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """The correlation ratio: variance of the levels' means over the whole variance; 0 where there is none."""
    whole = float(((errors - errors.mean()) ** 2).sum())
    if whole <= 0.0:
        return 0.0
    levels, index = np.unique(np.array(keys), return_inverse=True)
    counts = np.bincount(index, minlength=len(levels))
    means = np.bincount(index, weights=errors, minlength=len(levels)) / counts
    return float((counts * (means - errors.mean()) ** 2).sum() / whole)


Drawn = tuple[Axis, list[float], list[str]]


def _choice_axis(name: str, values: Sequence[Any], explained: float) -> Drawn:
    texts = [_key(value) for value in values]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    distinct = sorted(set(values)) if numbers else sorted(set(texts))
    levels = not numbers or len(distinct) <= _MOST_LEVELS
    if levels:
        step = 1.0 / max(len(distinct) - 1, 1)
        place_of = {level_text(value): index * step for index, value in enumerate(distinct)}
        ticks = tuple(thinned([(place, text) for text, place in place_of.items()], _MOST_LEVELS))
        places = [place_of[text] for text in texts]
    else:
        ticks, places = _numbers([float(value) for value in values])
    return Axis(name=name, title=name, ticks=ticks, levels=levels, explained=explained), places, texts


def _objective_axis(name: str, values: Sequence[float]) -> Drawn:
    """An objective, better ones higher up; the error as accuracy."""
    if name == "error_percent":
        top1s = [100.0 - value for value in values]
        ticks, places = _numbers(top1s)
        axis = Axis(name=name, title="Top-1 (%)", ticks=ticks, levels=False)
        return axis, places, [f"{top1:.2f} %" for top1 in top1s]
    ticks, places = _numbers(values, text=count_text if name in ("params", "macs") else "{:g}".format)
    is_latency = name == "latency_ms"
    axis = Axis(
        name=name,
        title="Latency (ms)" if is_latency else OBJECTIVES[name].title,
        ticks=tuple((1.0 - place, label) for place, label in ticks),
        levels=False,
    )
    shown = [f"{significant(value)} ms" if is_latency else OBJECTIVES[name].show(value) for value in values]
    return axis, [1.0 - place for place in places], shown


def _numbers(
    values: Sequence[float], *, text: Callable[[float], str] = "{:g}".format
) -> tuple[tuple[tuple[float, str], ...], list[float]]:
    """The ticks of an axis of numbers, and the values' places on it."""
    low, span = min(values), max(values) - min(values)

    def place(value: float) -> float:
        return (value - low) / span if span else 0.5

    return tuple((place(tick), text(tick)) for tick in nice_ticks(low, max(values))), [place(each) for each in values]


def parallel_figure(found: Parallel, *, width: int = 1100, height: int = 640) -> go.Figure:
    """The figure: the objectives, then the choices that explain most of the error's variance.

    Within a level, lines of more accurate networks lie higher.
    """
    places = _drawn_axes(found)
    axes = [found.axes[place] for place in places]
    left = len(found.axes) - len(axes)
    rest = f"; {left} choices that explain less of the error are in the table only" if left else ""
    lines = (*found.subtitle, f"within a level, more accurate networks lie higher{rest}") if found.empty is None else ()
    grow = style.growth(width)
    figure, _ = style.begin(
        found,
        lines,
        margin={"l": 84, "r": 76, "t": 24, "b": 140},
        size=(width, height),
        showlegend=True,
        meta={"least_width": max(480, 112 + _AXIS_PX * len(axes))},
        legend={"orientation": "h", "x": 0, "y": 1.0, "xanchor": "left", "yanchor": "bottom"},
        xaxis={"visible": False},
        yaxis={"visible": False, "range": [-0.06, 1.06]},
    )
    if found.empty is not None:
        return figure
    figure.update_layout(
        xaxis={
            "visible": True,
            "range": [-0.35, len(axes) - 0.7],
            "tickvals": list(range(len(axes))),
            "ticktext": [style.plain(shorten(axis.title, _TITLE_CHARACTERS)) for axis in axes],
            "tickangle": -35,
            "ticklabeloverflow": "allow",
            "tickfont": {"size": round(style.SMALL_PX * grow)},
            "showgrid": True,
            "gridcolor": style.QUIET_INK,
            "gridwidth": 1,
            "zeroline": False,
        }
    )
    others = [line for line in found.lines if not line.on_front and not line.variant]
    variants = [line for line in found.lines if line.variant and not line.on_front]
    front = [line for line in found.lines if line.on_front]
    thin = {"color": style.DOTS, "width": 0.8 * grow}
    _add(figure, found, places, others, f"other trials ({len(others):,})", thin, opacity=0.4)
    dashed = {"color": style.VERMILLION, "width": 1.8 * grow, "dash": "dash"}
    _add(figure, found, places, variants, f"variants, dominated ({len(variants):,})", dashed, full=True)
    strong = {"color": style.BLUE, "width": 2.6 * grow}
    _add(figure, found, places, front, f"front ({len(front):,})", strong, full=True)
    ticks = [
        {
            "x": index,
            "y": place,
            "text": style.plain(shorten(text, _TICK_CHARACTERS)),
            "showarrow": False,
            "xanchor": "left",
            "xshift": 3,
            "font": {"size": round(10 * grow), "color": style.INK},
            "bgcolor": style.VEIL,
            "borderpad": 0,
        }
        for index, axis in enumerate(axes)
        for place, text in axis.ticks
    ]
    figure.update_layout(annotations=ticks)  # one by one they would take seconds
    return figure


def _drawn_axes(found: Parallel) -> list[int]:
    """Places of the axes that are drawn: accuracy, the other objectives, the choices that explain most of the error."""
    objectives = [place for place, axis in enumerate(found.axes) if axis.explained is None]
    explained = {place: axis.explained for place, axis in enumerate(found.axes) if axis.explained is not None}
    return [*reversed(objectives), *sorted(explained, key=lambda place: -explained[place])[:MOST_DRAWN_CHOICES]]


def _spread(axis: Axis) -> float:
    places = sorted(place for place, _ in axis.ticks)
    return min([_MOST_SPREAD, *(_SPREAD * (b - a) for a, b in pairwise(places))]) if axis.levels else 0.0


def _add(
    figure: go.Figure,
    found: Parallel,
    axes: Sequence[int],
    lines: Sequence[ParallelLine],
    name: str,
    look: dict[str, Any],
    *,
    full: bool = False,
    opacity: float = 1.0,
) -> None:
    """Lines as one object with gaps; `full`: what stands at each axis is said when it is pointed at."""
    widths = [_spread(found.axes[axis]) for axis in axes]
    ranks = _ranks(found)

    def places(line: ParallelLine) -> list[Place]:
        aside = ranks[line.trial] / max(len(ranks) - 1, 1) - 0.5
        return [(x, round(line.places[axis] + aside * widths[x], 4)) for x, axis in enumerate(axes)]

    def texts(line: ParallelLine) -> list[str]:
        label = style.plain(shorten(line.label, 48))
        return [
            *(
                f"<b>{label}</b>: {style.plain(found.axes[axis].title)} {style.plain(line.values[axis])}"
                for axis in axes
            ),
            label,  # of the gap
        ]

    trials = [line.trial for line in lines for _ in range(len(axes) + 1)]
    if full:
        more = said([text for line in lines for text in texts(line)], trials)
        more |= {"mode": "lines+markers", "marker": {"size": 5, "color": look["color"]}}
    else:
        more = said(None, trials) | {"hovertemplate": "trial %{customdata[0]}<extra></extra>"}
    add_lines(figure, map(places, lines), look, opacity=opacity, name=name, **more)


def _ranks(found: Parallel) -> dict[int, int]:
    """The trials' places in the order of accuracy, 0 for the least accurate."""
    place = next(index for index, axis in enumerate(found.axes) if axis.name == "error_percent")
    ordered = sorted(found.lines, key=lambda line: (line.places[place], line.trial))
    return {line.trial: rank for rank, line in enumerate(ordered)}
