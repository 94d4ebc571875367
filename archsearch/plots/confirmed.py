"""A front looked at again: means with intervals in both directions, how probably each is on the front, and what the
search itself had found (hollow). `confirmed_figure` draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsearch.plots.forest import finite
from archsearch.plots.ranges import percent_range, positive_range, wants_log

if TYPE_CHECKING:
    from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint


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
