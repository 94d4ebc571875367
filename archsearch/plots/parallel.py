"""Parallel coordinates: each network a line through its choices and its objectives; the front stands out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archsearch.analysis.front import Front
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.plots.front_text import statuses_text
from archsearch.plots.ranges import nice_ticks
from archsearch.plots.thinning import thinned, thinned_line
from archsearch.text import count_text, level_text, significant

MOST_LINES = 400
MOST_CHOICES = 18
_MOST_LEVELS = 16
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
class ParallelInfo:
    """What the figure shows; text is plain. `empty`: why there is nothing to draw, or None.

    Attributes:
        axes: the choices, then the objectives; better objectives are higher up.
        lines: dominated ones first.
    """

    title: str
    subtitle: tuple[str, ...]
    axes: tuple[Axis, ...]
    lines: tuple[ParallelLine, ...]
    empty: str | None


def parallel_info(front: Front, *, study: str) -> ParallelInfo:
    """The choices and objectives of the complete records.

    Choices with one value in all of them are left out, and of more than `MOST_CHOICES` those that go along least with
    the error. A choice that is the same in all three stages of every network is one axis.
    """
    title = f"Choices and objectives: study {study}"
    if not front.rows:
        why = f"No complete trial to show ({statuses_text(front) or 'no trials yet'})"
        return ParallelInfo(title=title, subtitle=(), axes=(), lines=(), empty=why)
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
    return ParallelInfo(
        title=title,
        subtitle=("; ".join(part for part in _counts(front, lines, shown, names, varying, kept) if part),),
        axes=tuple(axis for axis, _, _ in drawn),
        lines=tuple(sorted(shown, key=lambda line: (line.on_front, line.variant, line.trial))),
        empty=None,
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
        axis, places = _number_axis(name, "Validation top-1 (%)", top1, text=lambda value: f"{value:g}")
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
