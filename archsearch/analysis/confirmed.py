"""A front looked at again: each point's error and latency with intervals, and how probably it is on the front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archsearch.analysis.cells import cell_warnings, cells_of
from archsearch.analysis.front import Front, FrontRow
from archsearch.analysis.front_draws import FrontDraws
from archsearch.analysis.intervals import MeanInterval, Spread, mean_interval
from archsearch.analysis.objectives import OBJECTIVES, floor_text, resolve_objectives
from archsearch.designs import Design, DesignPoint
from archsearch.noise import NoiseFloor
from archsearch.records import Record
from archsearch.text import probability_text

DRAWS = 4000
_LEAST_DRAWS = 200
_MOST_POINTS_DRAWN = 4_000_000  # draws times points: beyond, fewer draws


@dataclass(frozen=True, kw_only=True)
class ConfirmedPoint:
    """One network, evaluated again with several seeds.

    Attributes:
        n: seeds that completed.
        error_percent, error_low, error_high: mean top-1 error on the validation split and its interval, cut off at 0
            and 100; NaN without a trial, ends None with fewer than two.
        latency_ms, latency_low, latency_high: geometric mean of the drift-corrected p10 and its interval.
        params, macs: exact; None without a trial.
        values: of the fitted means, in the order of the objectives (where a trial failed, as if the point had had the
            average seed); empty without a trial.
        on_front: whether the means stand on the front of the confirmed points.
        probability_on_front: share of the draws in which it does; None where the spread is unknown (one seed).
        original_values: the searched study's, in the order of the objectives; None if it had no such record.
        was_on_front: whether it stood on the searched study's front; None if that is not known.
        sentence: all of it in one sentence.
    """

    point: DesignPoint
    n: int
    error_percent: float
    error_low: float | None
    error_high: float | None
    latency_ms: float
    latency_low: float | None
    latency_high: float | None
    params: int | None
    macs: int | None
    values: tuple[float, ...]
    on_front: bool
    probability_on_front: float | None
    original_values: tuple[float, ...] | None
    was_on_front: bool | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """A front with its uncertainty.

    Attributes:
        design: points and seeds.
        objectives: names, in the order of every `values`.
        points: in the design's order.
        confidence: of each interval alone: 0.95.
        noise_floor: latencies that differ by less are ties in every draw, as on the study's front.
        draws: how many fronts the probabilities are shares of.
        method: how all this was found, for people.
        warnings: sentences to show beside it.
        error_spread: of one seed's error about point + seed, from all points together; None where one seed shows none.
    """

    design: Design
    objectives: tuple[str, ...]
    points: tuple[ConfirmedPoint, ...]
    confidence: float
    noise_floor: NoiseFloor
    draws: int
    method: str
    warnings: tuple[str, ...]
    error_spread: Spread | None = None

    def _repr_html_(self) -> str:
        from archsearch.analysis.display import html_of

        return html_of(self)

    @property
    def kept(self) -> tuple[ConfirmedPoint, ...]:
        """The points of the searched front that are more probably on the front than not."""
        return tuple(each for each in self.points if each.was_on_front and (each.probability_on_front or 0.0) >= 0.5)


def confirmed_of(
    records: Sequence[Record],
    design: Design,
    objectives: Sequence[str],
    *,
    noise_floor: NoiseFloor | float,
    original: Front | None = None,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Confirmed:
    """What the seeds of a confirming design say of its points.

    Args:
        records: of the design's study, of any status.
        objectives: 2 or 3 names of OBJECTIVES, as the searched study has them.
        noise_floor: the difference of two latencies from which on they differ; a number is a share.
        original: the searched study's front, for the values that the points had there.
        confidence: of each interval alone.
        draws: fronts to draw; fewer for thousands of points, and the result says how many. 0: no probabilities, in
            a fraction of the time.
        seed: of the drawing.

    Raises UnknownNameError or ConfigError for the objectives.
    """
    resolve_objectives(objectives)
    cells = cells_of(records, design)
    floor = NoiseFloor.given(noise_floor)
    work = FrontDraws(cells, design, tuple(objectives), floor, confidence)
    drawn = draws and max(_LEAST_DRAWS, min(draws, _MOST_POINTS_DRAWN // max(len(work.names), 1)))
    shares, unknown = work.probabilities(drawn, np.random.default_rng(seed)) if drawn else ({}, ())
    means = work.values_of_means()
    values = dict(zip(work.names, means.tolist(), strict=True))
    on_front = dict(zip(work.names, work.front(means).tolist(), strict=True))
    rows = {} if original is None else {row.record.arch_id: row for row in reversed(original.rows)}
    points = tuple(
        _point(
            point,
            work.groups.get(point.name, []),
            confidence=confidence,
            values=tuple(values.get(point.name, ())),
            on_front=on_front.get(point.name, False),
            probability=shares.get(point.name),
            original=rows.get(point.arch_id),
        )
        for point in design.points
    )
    warnings = list(cell_warnings(cells, design))
    if work.names:
        warnings += unknown
    return Confirmed(
        design=design,
        objectives=tuple(objectives),
        points=points,
        confidence=confidence,
        noise_floor=floor,
        draws=drawn if shares else 0,
        method=_method(work, drawn),
        warnings=tuple(warnings),
        error_spread=work.error.spread if work.error.spread.freedom > 0 and work.error.spread.variance > 0.0 else None,
    )


def _point(
    point: DesignPoint,
    group: Sequence[Record],
    *,
    confidence: float,
    values: tuple[float, ...],
    on_front: bool,
    probability: float | None,
    original: FrontRow | None,
) -> ConfirmedPoint:
    errors = mean_interval([record.error_percent for record in group], confidence=confidence)
    logs = [math.log(OBJECTIVES["latency_ms"].extract(record)) for record in group]
    times = mean_interval(logs, confidence=confidence)
    cost = group[0].cost if group else None
    return ConfirmedPoint(
        point=point,
        n=len(group),
        error_percent=errors.mean,
        error_low=_percent(errors.low),
        error_high=_percent(errors.high),
        latency_ms=math.exp(times.mean),
        latency_low=None if times.low is None else math.exp(times.low),
        latency_high=None if times.high is None else math.exp(times.high),
        params=None if cost is None else cost.params,
        macs=None if cost is None else cost.macs,
        values=values,
        on_front=on_front,
        probability_on_front=probability,
        original_values=None if original is None else original.values,
        was_on_front=None if original is None else original.on_front,
        sentence=_sentence(point, group, errors, times, probability, original, confidence),
    )


def _sentence(
    point: DesignPoint,
    group: Sequence[Record],
    errors: MeanInterval,
    times: MeanInterval,
    probability: float | None,
    original: FrontRow | None,
    confidence: float,
) -> str:
    if not group:
        return f"{point.name}: no trial has completed."
    error = f"error {errors.mean:.2f} %"
    latency = OBJECTIVES["latency_ms"].show(math.exp(times.mean))
    if errors.low is not None and errors.high is not None:
        error += f" ({_percent(errors.low):.2f} to {_percent(errors.high):.2f})"
    if times.low is not None and times.high is not None:
        show = OBJECTIVES["latency_ms"].show
        latency += f" ({show(math.exp(times.low))} to {show(math.exp(times.high))})"
    seeds = f"n = {len(group)} seed{'' if len(group) == 1 else 's'}"
    intervals = f", {confidence * 100:g} % intervals" if errors.low is not None else ""
    chance = "its probability of being on the front cannot be told"
    if probability is not None:
        chance = f"on the front with a probability of {probability_text(probability)}"
    before = ""
    if original is not None:
        before = "; it was on the searched front" if original.on_front else "; it was not on the searched front"
    return f"{point.name}: {error}, latency {latency} ({seeds}{intervals}); {chance}{before}."


def _method(work: FrontDraws, draws: int) -> str:
    floor = f", latencies within {floor_text(work.noise_floor)} being ties" if work.noise_floor.ties else ""
    return (
        f"{work.confidence * 100:g} % intervals: Student's t on each point's own seeds, each for itself. Probability: "
        f"share of {draws} drawn fronts of these points{floor}; a draw is of all true means given what was seen, with "
        "one spread for all points (errors: the residual of point + seed; latency: on logarithms). Points that were "
        "not confirmed are in no draw."
    )


def _percent(bound: float | None) -> float | None:
    """A bound of an error: Student's t knows nothing of 0 and 100."""
    return None if bound is None else min(max(bound, 0.0), 100.0)
