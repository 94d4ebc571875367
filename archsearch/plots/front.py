"""Accuracy against latency: what the front figure says, as plain data. `front_figure` draws it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archsearch.analysis.conditions import Conditions
from archsearch.analysis.front import Front, FrontRow
from archsearch.analysis.objectives import OBJECTIVES, percent_text, significant
from archsearch.analysis.verdicts import Outcome, Verdict

# From this ratio of the slowest to the fastest network on, a linear axis crowds the fast ones.
LOG_FROM_RATIO = 6.0


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
        knee: trial number of the knee, or None.
        x_log: whether the latency axis is logarithmic.
        x_range_ms, y_range_percent: what the axes show.
        unmeasured: (variant, why) of the variants without a point.
        empty: why there is nothing to draw, or None.
    """

    title: str
    subtitle: tuple[str, ...]
    warnings: tuple[str, ...]
    points: tuple[FrontPoint, ...]
    marks: tuple[VariantMark, ...]
    steps: tuple[tuple[float, float], ...]
    knee: int | None
    x_title: str
    y_title: str
    x_log: bool
    x_range_ms: tuple[float, float]
    y_range_percent: tuple[float, float]
    unmeasured: tuple[tuple[str, str], ...]
    empty: str | None


def front_info(
    front: Front,
    verdicts: Sequence[Verdict],
    *,
    study: str,
    title: str | None = None,
    dataset: str | None = None,
    device_name: str | None = None,
    bases: Mapping[str, Mapping[str, Any]] | None = None,
    readings: Mapping[str, str] | None = None,
) -> FrontInfo:
    """What the front figure shows.

    Args:
        front, verdicts: of the same records.
        study: its name; `title` replaces the default heading that names it.
        dataset, device_name: named beside the conditions, if known.
        bases: family: choices that the hover text compares with; by default the commonest value of each choice.
        readings: variant: which of several readings of its source it is.
    """
    common = commonest_choices(front.rows) if bases is None else {}
    points = {
        row.record.trial: _point(row, common if bases is None else bases.get(row.record.family, {}))
        for row in front.rows
    }
    about = readings or {}
    by_network = {point.arch_id: point for point in points.values()}
    marks: list[VariantMark] = []
    unmeasured: list[tuple[str, str]] = []
    for verdict in verdicts:
        point = points.get(verdict.record.trial) or by_network.get(verdict.record.arch_id)
        if verdict.outcome is Outcome.NOT_MEASURED or point is None:
            unmeasured.append((verdict.variant, verdict.sentence))
            continue
        marks.append(
            VariantMark(
                number=len(marks) + 1,
                name=verdict.variant,
                point=point,
                on_front=verdict.outcome is not Outcome.DOMINATED,
                sentence=verdict.sentence,
                reading=about.get(verdict.variant, ""),
            )
        )
    knee = front.knee
    drawn = list(points.values())
    latencies = [point.latency_ms for point in drawn]
    x_log = bool(latencies) and min(latencies) > 0 and max(latencies) / min(latencies) >= LOG_FROM_RATIO
    x_range = _x_range(latencies, x_log=x_log)
    return FrontInfo(
        title=title or f"Accuracy against latency: study {study}",
        subtitle=tuple(
            line
            for line in (_conditions_line(front, dataset, device_name), _counts_line(front), _readings_line(marks))
            if line
        ),
        warnings=front.warnings,
        points=tuple(drawn),
        marks=tuple(marks),
        steps=_steps(front, x_range[1]),
        knee=knee.record.trial if knee is not None else None,
        x_title=_x_title(front.conditions, x_log=x_log),
        y_title=f"{' and '.join(front.conditions.split).capitalize() or 'Validation'} top-1 (%)",
        x_log=x_log,
        x_range_ms=x_range,
        y_range_percent=_y_range([point.top1_percent for point in drawn]),
        unmeasured=tuple(unmeasured),
        empty=None if drawn else f"No complete trial to show ({_statuses(front) or 'no trials yet'})",
    )


def commonest_choices(rows: Sequence[FrontRow]) -> dict[str, Any]:
    """The commonest value of each choice over the rows; the first met wins a draw."""
    counts: dict[str, Counter[Any]] = {}
    for row in rows:
        for name, value in row.record.choices.items():
            counts.setdefault(name, Counter())[value] += 1
    return {name: counter.most_common(1)[0][0] for name, counter in counts.items()}


def choice_text(value: Any) -> str:
    """A choice's value as YAML would have it: `true`, `none`, `0.5`."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _point(row: FrontRow, base: Mapping[str, Any]) -> FrontPoint:
    record = row.record
    cost, latency, score = record.cost, record.latency, record.score
    if cost is None or latency is None or score is None:
        raise ValueError(f"trial {record.trial} of study '{record.study}' is not complete")
    changes = tuple(
        (name, choice_text(value), choice_text(base[name]))
        for name, value in sorted(record.choices.items())
        if name in base and value != base[name]
    )
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
    )


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


def _x_range(latencies: Sequence[float], *, x_log: bool) -> tuple[float, float]:
    if not latencies:
        return (0.0, 1.0)
    low, high = min(latencies), max(latencies)
    if x_log:
        pad = (high / low) ** 0.05
        return (low / pad, high * pad)
    pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return (max(low - pad, 0.0), high + pad)


def _y_range(top1: Sequence[float]) -> tuple[float, float]:
    if not top1:
        return (0.0, 100.0)
    low, high = min(top1), max(top1)
    pad = 0.07 * (high - low) or 2.0
    return (low - pad, high + pad)


def _x_title(conditions: Conditions, *, x_log: bool) -> str:
    batch = f" of a batch of {conditions.batch[0]}" if len(conditions.batch) == 1 else ""
    return f"Latency{batch}, drift-corrected p10 (ms{', log scale' if x_log else ''})"


def _conditions_line(front: Front, dataset: str | None, device_name: str | None) -> str:
    shared = front.conditions
    if not front.rows:
        return dataset or ""
    parts = [dataset or "", _several(shared.train_images, "{:,} training images"), _several(shared.epochs, "{} epochs")]
    parts += [_several(shared.seed, "seed {}"), _several(shared.input_size, "{0} x {0} pixels")]
    named = f" ({device_name})" if device_name else ""
    parts += [" / ".join(shared.device) + named, " / ".join(shared.backend), _several(shared.batch, "batch {}")]
    parts += [_several(shared.threads, "{} threads").replace("1 threads", "1 thread")]
    if front.noise_floor:
        parts.append(f"latencies within {percent_text(100.0 * front.noise_floor)} are ties")
    line = " · ".join(part for part in parts if part)
    return line.replace(" 1 epochs", " 1 epoch")


def _several(values: Sequence[Any], pattern: str) -> str:
    """The pattern with the one value, or with all of them where the records differ."""
    if not values:
        return ""
    return " / ".join(pattern.format(value) for value in values[:4]) + (" / ..." if len(values) > 4 else "")


def _statuses(front: Front) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in sorted(front.statuses.items()))


def _counts_line(front: Front) -> str:
    """How many trials there were, how many stand on the front, and its hypervolume."""
    if not front.rows:
        return _statuses(front)
    line = f"{sum(front.statuses.values()):,} trials ({_statuses(front)}); {len(front.members):,} on the front"
    if set(front.objectives) != {"error_percent", "latency_ms"}:
        line += f" of {', '.join(front.objectives)}"
    if front.hypervolume_share is not None and front.reference_point is not None:
        corner = ", ".join(
            OBJECTIVES[name].show(value) + (" error" if name == "error_percent" else "")
            for name, value in zip(front.objectives, front.reference_point, strict=True)
        )
        share = significant(front.hypervolume_share)
        line += f"; hypervolume {share} of the box up to ({corner})"
    return line


def nice_log_ticks(low: float, high: float) -> list[float]:
    """Round values between two positive bounds for a logarithmic axis: as fine as leaves at most nine."""
    for digits in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [digit * 10.0**decade for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
        if len(ticks) <= 9:
            return ticks
    return ticks
