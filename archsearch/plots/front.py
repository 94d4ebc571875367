"""Accuracy against latency: what the front figure says, as plain data. `front_figure` draws it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from archsearch.analysis.baseline import Baseline
from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint
from archsearch.analysis.front import Front, FrontRow
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.analysis.verdicts import Standing, Verdict
from archsearch.plots.bounds import Bound
from archsearch.plots.front_text import (
    bounds_line,
    conditions_line,
    counts_line,
    latency_title,
    statuses_text,
    top1_title,
)
from archsearch.plots.printed import PrintedMark, PrintedTop1
from archsearch.plots.ranges import percent_range, positive_range, wants_log
from archsearch.text import level_text

_PLANE = ("error_percent", "latency_ms")
# Printed accuracies are hidden at first where they would squeeze the measured ones into less than this of the axis,
# and a bound beyond the slowest network is shown if it is no further than this share of the axis.
_LEAST_OF_AXIS = 0.6
_BOUND_NEAR = 0.3


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """One complete record. `changes`: the choices that differ from the base, as (name, value, base value)."""

    trial: int
    label: str
    arch_id: str
    latency_ms: float  # drift-corrected: the axis
    p10_ms: float
    median_ms: float
    p90_ms: float
    n_runs: int
    converged: bool
    top1_percent: float
    epochs: int
    seed: int
    split: str
    params: int
    macs: int
    macs_complete: bool
    on_front: bool
    changes: tuple[tuple[str, str, str], ...]
    also_p10_ms: tuple[tuple[str, float], ...] = ()  # by further backends: (name, milliseconds a batch)
    over: tuple[str, ...] = ()  # names of the study's bounds that it exceeds
    balanced_error_percent: float | None = None


@dataclass(frozen=True, kw_only=True)
class VariantMark:
    """A named variant: its number in the figure, its point, its verdict, and its reading if print allows several.

    Numbers grow with latency.
    """

    number: int
    name: str
    point: FrontPoint
    on_front: bool
    sentence: str
    reading: str


@dataclass(frozen=True, kw_only=True)
class FrontInfo:
    """Everything that the front figure shows; text is plain, and escaped only when drawn.

    Attributes:
        points: every complete record, by latency.
        marks: every measured variant, by number.
        steps: corners (latency_ms, top1_percent) of the best accuracy reached up to each latency; empty unless the
            objectives are error and latency alone, since otherwise the front is not a staircase in this plane.
        recommended: trial number of the network to take, or None.
        bases: names of the networks that the others are described against, by family.
        x_log: whether the latency axis is logarithmic.
        x_range_ms, y_range_percent: what the axes show.
        unmeasured: (variant, why) of the variants without a point.
        empty: why there is nothing to draw, or None.
        third: field of the points that is the third axis or the colour, and its title; it is an
            objective if `third_counts`, and shown for reading only if not.
        bounds: the study's upper bounds.
        intervals: of the points that were evaluated again with more seeds, by latency.
        printed: what sources print for the variants, at our latencies; `printed_shown`: whether they are on the axis
            at once, or only when the reader asks for them.
    """

    title: str
    subtitle: tuple[str, ...]
    warnings: tuple[str, ...]
    points: tuple[FrontPoint, ...]
    marks: tuple[VariantMark, ...]
    steps: tuple[tuple[float, float], ...]
    recommended: int | None
    x_title: str
    y_title: str
    x_log: bool
    x_range_ms: tuple[float, float]
    y_range_percent: tuple[float, float]
    unmeasured: tuple[tuple[str, str], ...]
    empty: str | None
    third: str = "params"
    third_title: str = "Parameters"
    third_counts: bool = False
    bounds: tuple[Bound, ...] = ()
    confirmed: Confirmed | None = None
    printed: tuple[PrintedMark, ...] = ()
    printed_shown: bool = True
    bases: tuple[tuple[str, str], ...] = ()

    @property
    def bases_line(self) -> str:
        """What the choices of networks are compared with, in a sentence; "" where with nothing."""
        named = [name if len(self.bases) == 1 else f"{name} ({family})" for family, name in self.bases]
        return f"Networks are described against {' and '.join(named)}." if named else ""


def front_info(
    front: Front,
    verdicts: Sequence[Verdict],
    *,
    study: str,
    title: str | None = None,
    dataset: str | None = None,
    device_name: str | None = None,
    bases: Mapping[str, Baseline] | None = None,
    recommended: int | None = None,
    readings: Mapping[str, str] | None = None,
    bounds: Sequence[Bound] = (),
    confirmed: Confirmed | None = None,
    printed: Sequence[PrintedTop1] = (),
) -> FrontInfo:
    """What the front figure shows.

    Args:
        front, verdicts: of the same records.
        study: its name; `title` replaces the default heading that names it.
        dataset, device_name: named beside the conditions, if known.
        bases: by family the network that the others are described against.
        recommended: trial of the network to take.
        readings: variant: which of several readings of its source it is.
        bounds: the study's upper bounds.
        confirmed: networks that were evaluated again; those of trials that the front lacks are left out.
        printed: accuracies that sources print for the variants on this dataset.
    """
    bases = bases or {}
    points = {row.record.trial: _point(row, bases.get(row.record.family), bounds) for row in front.rows}
    about = readings or {}
    by_network = {point.arch_id: point for point in points.values()}
    marks: list[VariantMark] = []
    unmeasured: list[tuple[str, str]] = []
    for verdict in verdicts:
        point = points.get(verdict.record.trial) or by_network.get(verdict.record.arch_id)
        if verdict.standing is Standing.NOT_MEASURED or point is None:
            unmeasured.append((verdict.variant, verdict.sentence))
            continue
        marks.append(
            VariantMark(
                number=len(marks) + 1,
                name=verdict.variant,
                point=point,
                on_front=verdict.standing is not Standing.DOMINATED,
                sentence=verdict.sentence,
                reading=about.get(verdict.variant, ""),
            )
        )
    drawn = list(points.values())
    again = () if confirmed is None else tuple(each for each in confirmed.evaluated if each.trial in points)
    hollow = tuple(_hollow(marks, printed))
    latencies = [point.latency_ms for point in drawn]
    x_log = wants_log(latencies)
    x_range = _x_range(latencies, again, bounds, log=x_log)
    y_range, printed_shown = _y_range([point.top1_percent for point in drawn], again, hollow)
    third = next((name for name in front.objectives if name not in _PLANE), None)
    return FrontInfo(
        title=title or f"Accuracy against latency: study {study}",
        subtitle=tuple(
            line
            for line in (
                conditions_line(front, dataset, device_name),
                "; ".join(part for part in (counts_line(front), bounds_line(bounds)) if part),
                _readings_line(marks),
            )
            if line
        ),
        warnings=front.warnings,
        points=tuple(drawn),
        marks=tuple(marks),
        steps=_steps(front, x_range[1]),
        recommended=recommended,
        x_title=latency_title(front.conditions, log=x_log),
        y_title=top1_title(front.conditions),
        x_log=x_log,
        x_range_ms=x_range,
        y_range_percent=y_range,
        unmeasured=tuple(unmeasured),
        empty=None if drawn else f"No complete trial to show ({statuses_text(front) or 'no trials yet'})",
        third=third or "params",
        third_title=OBJECTIVES[third or "params"].title,
        third_counts=third is not None,
        bounds=tuple(bounds),
        confirmed=replace(confirmed, points=again) if confirmed is not None and again else None,
        printed=hollow,
        printed_shown=printed_shown,
        bases=tuple((family, bases[family].name) for family in sorted(bases)),
    )


def _point(row: FrontRow, baseline: Baseline | None, bounds: Sequence[Bound]) -> FrontPoint:
    record = row.record
    base = {} if baseline is None else baseline.choices
    cost, latency, score = record.cost, record.latency, record.score
    if cost is None or latency is None or score is None:
        raise ValueError(f"trial {record.trial} of study '{record.study}' is not complete")
    changes = tuple(
        (name, level_text(value), level_text(base[name]))
        for name, value in sorted(record.choices.items())
        if name in base and value != base[name]
    )
    has = {"params": cost.params, "macs": cost.macs, "latency_ms": latency.corrected_ms}
    if cost.memory_bytes is not None:
        has["memory_bytes"] = cost.memory_bytes
    return FrontPoint(
        trial=record.trial,
        label=record.label,
        arch_id=record.arch_id,
        latency_ms=latency.corrected_ms,
        p10_ms=latency.p10_ms,
        median_ms=latency.median_ms,
        p90_ms=latency.p90_ms,
        n_runs=latency.n,
        converged=latency.converged,
        top1_percent=score.top1_percent,
        epochs=score.epochs,
        seed=score.seed,
        split=score.split,
        params=cost.params,
        macs=cost.macs,
        macs_complete=not cost.unsupported_ops,
        on_front=row.on_front,
        changes=changes,
        also_p10_ms=tuple((other.backend, other.p10_ms) for other in latency.also),
        over=tuple(bound.name for bound in bounds if has.get(bound.name, 0) > bound.value),
        balanced_error_percent=None if score.balanced_top1_percent is None else 100.0 - score.balanced_top1_percent,
    )


def _hollow(marks: Sequence[VariantMark], printed: Sequence[PrintedTop1]) -> Iterator[PrintedMark]:
    """What is printed, at our latency of the same variant."""
    for mark in marks:
        for each in printed:
            if each.variant == mark.name:
                yield PrintedMark(
                    printed=each, number=mark.number, trial=mark.point.trial, latency_ms=mark.point.latency_ms
                )


def _x_range(
    latencies: Sequence[float], again: Sequence[ConfirmedPoint], bounds: Sequence[Bound], *, log: bool
) -> tuple[float, float]:
    values = [*latencies, *(value for each in again for value in each.latencies_ms)]
    low, high = positive_range([value for value in values if value > 0 or not log], log=log)
    for bound in bounds:
        if bound.name == "latency_ms" and values and high <= bound.value <= high + _BOUND_NEAR * (high - low):
            high = bound.value + 0.1 * (bound.value - low)
    return (low, high)


def _y_range(
    top1: Sequence[float], again: Sequence[ConfirmedPoint], printed: Sequence[PrintedMark]
) -> tuple[tuple[float, float], bool]:
    """The range, and whether it holds what is printed."""
    values = [*top1, *(value for each in again for value in each.top1s_percent)]
    low, high = percent_range(values)
    wide = percent_range([*values, *(each.printed.top1_percent for each in printed)])
    if high - low < _LEAST_OF_AXIS * (wide[1] - wide[0]):
        return (low, high), False
    return wide, True


def _readings_line(marks: Sequence[VariantMark]) -> str:
    """What tells the readings of one printed network apart."""
    named: dict[str, list[str]] = {}
    for mark in marks:
        if mark.reading:
            named.setdefault(mark.reading, []).append(mark.name)
    return "; ".join(f"{', '.join(names)}: {reading}" for reading, names in named.items())


def _steps(front: Front, right_ms: float) -> tuple[tuple[float, float], ...]:
    """The front as a staircase, drawn on to the right edge: what a slower budget buys if nothing better is known."""
    if set(front.objectives) != {"error_percent", "latency_ms"}:
        return ()
    corners: list[tuple[float, float]] = []
    for row in front.members:  # by latency, so accuracy only grows; equal points are one corner
        if row.record.latency is not None and row.record.score is not None:
            corner = (row.record.latency.corrected_ms, row.record.score.top1_percent)
            if not corners or corner != corners[-1]:
                corners.append(corner)
    return (*corners, (right_ms, corners[-1][1])) if corners else ()
