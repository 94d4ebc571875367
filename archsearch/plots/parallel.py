"""Parallel coordinates: each network a line through its choices and its objectives; the front stands out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from archsearch.analysis.front import Front
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.plots import style
from archsearch.plots.ranges import nice_ticks
from archsearch.plots.thinning import thinned, thinned_line
from archsearch.table import Column, InNotebooks, Table
from archsearch.text import count_text, level_text, shorten, significant

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
        name: the choice or the objective.
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
        explained = [axis for axis in self.axes if axis.explained is not None]
        return (
            Table(
                title="Choices",
                columns=(
                    Column(title="Choice", key="choice", whole=True),
                    Column(title="Explains of the error's variance", key="explained", decimals=3),
                    Column(title="Levels", key="levels"),
                ),
                rows=tuple(
                    (axis.title, axis.explained, ", ".join(text for _, text in axis.ticks)) for axis in explained
                ),
                note="Correlation ratio: the share of the variance that goes along with the choice's levels.",
            ),
            Table(
                title="Networks",
                columns=(
                    Column(title="Trial", key="trial", decimals=0, trial=True),
                    Column(title="Network", key="label", whole=True),
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
    drawn += [_objective_axis(name, [row.values[place] for row in front.rows]) for place, name in _ordered(front)]
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
    return Parallel(
        title=title,
        subtitle=("; ".join(part for part in _counts(front, lines, shown, names, varying, kept) if part),),
        axes=tuple(axis for axis, _, _ in drawn),
        lines=tuple(sorted(shown, key=lambda line: (line.on_front, line.variant, line.trial))),
    )


def _counts(
    front: Front,
    lines: Sequence[ParallelLine],
    shown: Sequence[ParallelLine],
    names: Sequence[str],
    varying: Mapping[str, Any],
    kept: set[str],
) -> list[str]:
    return [
        f"{len(lines):,} networks, {len(front.members):,} on the front",
        thinned_line(len(shown), len(lines), "networks"),
        f"{len(names) - len(varying)} choices are the same in all" if len(varying) < len(names) else "",
        thinned_line(len(kept), len(varying), "choices that vary") + (", those that go along most with the error")
        if len(kept) < len(varying)
        else "",
    ]


class _Absent:
    """A choice that a network of another family does not have."""


_ABSENT = _Absent()


def _key(value: Any) -> str:
    return "not a choice" if value is _ABSENT else level_text(value)


def merged_stages(networks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The choices with one entry, as `stages 2-4 kernel`, for each that all three stages share in every network."""
    kinds = dict.fromkeys(name.partition(".")[2] for each in networks for name in each if name.startswith(_STAGES))
    shared = {kind for kind in kinds if all(_same_in_stages(each, kind) for each in networks)}
    found = []
    for each in networks:
        merged: dict[str, Any] = {}
        for name, value in each.items():
            kind = name.partition(".")[2]
            merged[f"stages 2-4 {kind}" if name.startswith(_STAGES) and kind in shared else name] = value
        found.append(merged)
    return found


def _same_in_stages(choices: Mapping[str, Any], kind: str) -> bool:
    values = {level_text(choices.get(stage + kind, _ABSENT)) for stage in _STAGES}
    return len(values) == 1


def _ordered(front: Front) -> list[tuple[int, str]]:
    """The objectives with their columns, the error last: it is what is looked for."""
    pairs = list(enumerate(front.objectives))
    return sorted(pairs, key=lambda pair: pair[1] == "error_percent")


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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _choice_axis(name: str, values: Sequence[Any], explained: float) -> Drawn:
    texts = [_key(value) for value in values]
    numbers = all(_is_number(value) for value in values)
    distinct = sorted(set(values)) if numbers else sorted(set(texts))
    if numbers and len(distinct) > _MOST_LEVELS:
        axis, places = _number_axis(name, name, [float(value) for value in values], text=lambda value: f"{value:g}")
        return Axis(name=name, title=name, ticks=axis.ticks, levels=False, explained=explained), places, texts
    shown = [level_text(value) for value in distinct]
    step = 1.0 / max(len(shown) - 1, 1)
    place_of = {text: index * step for index, text in enumerate(shown)}
    ticks = tuple((place, text) for text, place in place_of.items())
    if len(ticks) > _MOST_LEVELS:
        ticks = tuple(thinned(ticks, _MOST_LEVELS))
    return (
        Axis(name=name, title=name, ticks=ticks, levels=True, explained=explained),
        [place_of[text] for text in texts],
        texts,
    )


def _objective_axis(name: str, values: Sequence[float]) -> Drawn:
    """An objective, better ones higher up; the error as accuracy."""
    objective = OBJECTIVES[name]
    if name == "error_percent":
        top1 = [100.0 - value for value in values]
        axis, places = _number_axis(name, "Top-1 (%)", top1, text=lambda value: f"{value:g}")
        return axis, places, [f"{value:.2f} %" for value in top1]
    text = count_text if name in ("params", "macs") else lambda value: f"{value:g}"
    title = "Latency (ms)" if name == "latency_ms" else objective.title
    axis, places = _number_axis(name, title, list(values), text=text)
    flipped = tuple((1.0 - place, label) for place, label in axis.ticks)
    shown = [objective.show(value) if name != "latency_ms" else f"{significant(value)} ms" for value in values]
    return Axis(name=name, title=axis.title, ticks=flipped, levels=False), [1.0 - place for place in places], shown


def _number_axis(name: str, title: str, values: Sequence[float], *, text: Any) -> tuple[Axis, list[float]]:
    low, high = min(values), max(values)
    span = high - low
    ticks = tuple(((tick - low) / span if span else 0.5, text(tick)) for tick in nice_ticks(low, high))
    return (
        Axis(name=name, title=title, ticks=ticks, levels=False),
        [(value - low) / span if span else 0.5 for value in values],
    )


def parallel_figure(found: Parallel, *, width: int = 1100, height: int = 640) -> go.Figure:
    """The figure: the objectives, then the choices that explain most of the error's variance.

    Within a level, lines of more accurate networks lie higher.
    """
    places = _drawn_axes(found)
    axes = [found.axes[place] for place in places]
    left = len(found.axes) - len(axes)
    rest = f"; {left} choices that explain less of the error are in the table only" if left else ""
    lines = (*found.subtitle, f"within a level, more accurate networks lie higher{rest}") if found.empty is None else ()
    title, top = style.heading(found.title, lines, (), width=width, height=height)
    grow = style.growth(width)
    figure = go.Figure()
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={"l": 84, "r": 76, "t": top + 24, "b": 140},
        showlegend=True,
        meta={"least_width": max(480, 112 + _AXIS_PX * len(axes))},
        legend={"orientation": "h", "x": 0, "y": 1.0, "xanchor": "left", "yanchor": "bottom"},
        xaxis={"visible": False},
        yaxis={"visible": False, "range": [-0.06, 1.06]},
    )
    if found.empty is not None:
        figure.add_annotation(style.nothing_to_draw(found.empty))
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
    # One by one they would take seconds.
    figure.update_layout(annotations=[tick for index, axis in enumerate(axes) for tick in _ticks(index, axis, grow)])
    return figure


def _drawn_axes(found: Parallel) -> list[int]:
    """Places of the axes that are drawn: accuracy, the other objectives, the choices that explain most of the error."""
    objectives = [place for place, axis in enumerate(found.axes) if axis.explained is None]
    explained = {place: axis.explained for place, axis in enumerate(found.axes) if axis.explained is not None}
    return [*reversed(objectives), *sorted(explained, key=lambda place: -explained[place])[:MOST_DRAWN_CHOICES]]


def _ticks(index: int, axis: Axis, grow: float) -> list[dict[str, Any]]:
    return [
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
        for place, text in axis.ticks
    ]


def _spread(axis: Axis) -> float:
    if not axis.levels:
        return 0.0
    places = sorted(place for place, _ in axis.ticks)
    gaps = [b - a for a, b in itertools.pairwise(places)]
    return min([_MOST_SPREAD, *(_SPREAD * gap for gap in gaps)])


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
    if not lines:
        return
    widths = [_spread(found.axes[axis]) for axis in axes]
    ranks = _ranks(found)
    count = max(len(ranks) - 1, 1)
    x: list[int | None] = []
    y: list[float | None] = []
    trials: list[int] = []
    texts: list[str] = []
    for line in lines:
        aside = ranks[line.trial] / count - 0.5
        x += [*range(len(axes)), None]
        y += [round(line.places[axis] + aside * wide, 4) for axis, wide in zip(axes, widths, strict=True)] + [None]
        trials += [line.trial] * (len(axes) + 1)
        if full:
            label = style.plain(shorten(line.label, 48))
            texts += [
                f"<b>{label}</b>: {style.plain(found.axes[axis].title)} {style.plain(line.values[axis])}"
                for axis in axes
            ] + [label]
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+markers" if full else "lines",
        line=look,
        marker={"size": 5, "color": look["color"]} if full else None,
        opacity=opacity,
        name=name,
        hovertext=texts or None,
        hovertemplate="%{hovertext}<extra></extra>" if full else "trial %{customdata[0]}<extra></extra>",
        customdata=style.trial_data(trials),
    )


def _ranks(found: Parallel) -> dict[int, int]:
    """The trials' places in the order of accuracy, 0 for the least accurate."""
    place = next(index for index, axis in enumerate(found.axes) if axis.name == "error_percent")
    ordered = sorted(found.lines, key=lambda line: (line.places[place], line.trial))
    return {line.trial: rank for rank, line in enumerate(ordered)}
