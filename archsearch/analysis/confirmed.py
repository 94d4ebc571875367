"""A front evaluated again: each network's accuracy and latency with intervals, and how probably it is on the front.

The front may be one of many, given a few seeds of each network. Each error is taken as point + seed + noise (the seeds
are shared), each logarithm of a latency as point + noise (it is measured afresh in every trial), with one noise for all
points: a handful of seeds tells little of each point's own. A draw is of the points' true means given what was seen of
all of them (`analysis.shrinkage`): errors shrunk towards a line over the log latency, latencies not at all, because
networks differ in latency by far more than it is uncertain. Its front is made as a study's is, ties within the noise
floor included. How well the probabilities hold: `benchmarks/confirm_calibration.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsearch.analysis.cells import Cells, cell_warnings, cells_of
from archsearch.analysis.front import MEASURED_OBJECTIVE, Front, FrontRow, noisy_latency
from archsearch.analysis.intervals import CONFIDENCE, Additive, PooledVariance, additive_fit, mean_interval
from archsearch.analysis.objectives import OBJECTIVES, floor_text, resolve_objectives
from archsearch.analysis.pareto import knee, non_dominated
from archsearch.analysis.shrinkage import LEAST_FOR_A_LINE, drawn_means
from archsearch.analysis.tables import ARCH_ID, LATENCY, NETWORK, TOP1, WIDE_TRIAL
from archsearch.designs import FRESH_IMAGES, Design, DesignPoint
from archsearch.noise import NoiseFloor
from archsearch.records import Record
from archsearch.table import Column, InNotebooks, Interval, Table, table_of
from archsearch.text import interval_text, number_text, plural, probability_text

DRAWS = 4000
_LEAST_DRAWS = 200
_MOST_POINTS_DRAWN = 4_000_000  # draws times points: beyond, fewer draws


@dataclass(frozen=True, kw_only=True)
class ConfirmedPoint:
    """One network, evaluated again with several seeds.

    Attributes:
        label: the network's name in the design: a variant's, or "trial N".
        trial, variant: of the searched study; None if the network is not one of its trials, or not published.
        n: seeds that completed.
        top1_percent, top1_low_percent, top1_high_percent: mean on the validation split and its interval, cut off at 0
            and 100; NaN without a trial, ends None with fewer than two.
        latency_ms, latency_low_ms, latency_high_ms: geometric mean of the drift-corrected p10 and its interval.
        params, macs: exact; None without a trial.
        values: of the fitted means, in the order of the objectives (where a trial failed, as if the point had had the
            average seed); empty without a trial.
        on_front: whether the means stand on the front of the confirmed points.
        probability_on_front: share of the draws in which it does; None where the spread is unknown (one seed).
        searched_top1_percent, searched_latency_ms: what the search had found; None if it had no such record.
        was_on_front: whether it stood on the searched study's front; None if that is not known.
        sentence: all of it in one sentence, without the label.
    """

    label: str
    trial: int | None
    variant: str | None
    arch_id: str
    n: int
    top1_percent: float
    top1_low_percent: float | None
    top1_high_percent: float | None
    latency_ms: float
    latency_low_ms: float | None
    latency_high_ms: float | None
    params: int | None
    macs: int | None
    values: tuple[float, ...]
    on_front: bool
    probability_on_front: float | None
    searched_top1_percent: float | None
    searched_latency_ms: float | None
    was_on_front: bool | None
    sentence: str

    @property
    def latencies_ms(self) -> tuple[float, ...]:
        """The mean latency and the ends of its interval, as far as there are any."""
        return tuple(v for v in (self.latency_low_ms, self.latency_ms, self.latency_high_ms) if v is not None)

    @property
    def top1s_percent(self) -> tuple[float, ...]:
        """The mean top-1 and the ends of its interval, as far as there are any."""
        return tuple(v for v in (self.top1_low_percent, self.top1_percent, self.top1_high_percent) if v is not None)


@dataclass(frozen=True, kw_only=True)
class Confirmed(InNotebooks):
    """A front with its uncertainty: a `archsearch.table.Result`.

    Attributes:
        design: points and seeds.
        design_study: the name of the study that holds the trials; "" if it has none.
        objectives: names, in the order of every `values`.
        points: in the design's order.
        knee: label of the knee of the means; None where they have none (see `pareto.knee`).
        confidence: of each interval alone: 0.95.
        noise_floor: latencies that differ by less are ties in every draw, as on the study's front.
        draws: how many fronts the probabilities are shares of.
        error_spread: of one seed's error about point + seed, from all points together; None where one seed shows none.
    """

    design: Design
    design_study: str
    objectives: tuple[str, ...]
    points: tuple[ConfirmedPoint, ...]
    knee: str | None
    confidence: float
    noise_floor: NoiseFloor
    draws: int
    method: str
    warnings: tuple[str, ...]
    error_spread: PooledVariance | None = None

    @property
    def kept(self) -> tuple[ConfirmedPoint, ...]:
        """The points of the searched front that are more probably on the front than not."""
        return tuple(each for each in self.points if each.was_on_front and (each.probability_on_front or 0.0) >= 0.5)

    @property
    def evaluated(self) -> tuple[ConfirmedPoint, ...]:
        """The points with a complete trial."""
        return tuple(each for each in self.points if each.n)

    @property
    def title(self) -> str:
        """What was done, of which study."""
        return f"The front, evaluated again: study {self.design.of}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """How many networks and seeds."""
        without = len(self.points) - len(self.evaluated)
        return (
            f"{plural(len(self.evaluated), 'network')}, {plural(len(self.design.seeds), 'seed')} each, latency "
            f"measured anew with each{f'; {without} without a complete trial' if without else ''}",
        )

    @property
    def empty(self) -> str | None:
        """Why there is nothing to show."""
        return None if self.evaluated else "No trial of the confirmation is complete yet"

    @property
    def sentences(self) -> tuple[str, ...]:
        """How much of the searched front is still one, by how much it was flattered, and the knee."""
        found = []
        was = [each for each in self.points if each.was_on_front]
        if was and self.draws:
            kept = ", ".join(each.label for each in self.kept)
            found.append(
                f"{len(self.kept)} of {plural(len(was), 'network')} of the searched front "
                f"{'is' if len(self.kept) == 1 else 'are'} more probably on it than not{f': {kept}' if kept else ''}."
            )
        again = [
            each.searched_top1_percent - each.top1_percent
            for each in was
            if each.n and each.searched_top1_percent is not None
        ]
        if again:
            lost = math.fsum(again) / len(again)
            found.append(
                f"Trained again{', and validated on other images,' if self.design.mode == FRESH_IMAGES else ''} the "
                f"networks of the searched front are {number_text(abs(lost), decimals=2)} points "
                f"{'less' if lost > 0 else 'more'} accurate in the mean than the search found."
            )
        found += [
            f"The knee of the means is {each.label}: {each.sentence}" for each in self.points if each.label == self.knee
        ]
        return tuple(found)

    def tables(self) -> tuple[Table, ...]:
        """The networks with their intervals, and the same beside what the search had found."""
        share = f" Front: on it in that share of {self.draws:,} draws." if self.draws else ""
        return (
            table_of(
                "Networks evaluated again",
                self.points,
                NETWORK,
                WIDE_TRIAL,
                Column(title="n", decimals=0),
                (TOP1, lambda each: Interval(each.top1_percent, each.top1_low_percent, each.top1_high_percent)),
                (LATENCY, lambda each: Interval(each.latency_ms, each.latency_low_ms, each.latency_high_ms)),
                Column(title="Front", key="probability_on_front", probability=True),
                note=f"Top-1 on the validation split; latency: drift-corrected p10; {self.confidence * 100:g} % "
                f"intervals, each for itself; n: seeds.{share}",
                marked=lambda each: each.label == self.knee,
            ),
            table_of(
                "Beside what the search had found",
                self.evaluated,
                NETWORK,
                WIDE_TRIAL,
                Column(title="Searched top-1", key="searched_top1_percent", unit="%", decimals=2),
                TOP1,
                Column(title="Searched latency", key="searched_latency_ms", unit="ms", decimals=3),
                LATENCY,
                Column(title="Was on the front", key="was_on_front"),
                Column(title="Means on it", key="on_front"),
                ARCH_ID,
                note="A search keeps the luckiest of many networks, so what it found is too good on average.",
            ),
        )


def confirmed_of(
    records: Sequence[Record],
    design: Design,
    objectives: Sequence[str],
    *,
    noise_floor: NoiseFloor | float,
    original: Front | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Confirmed:
    """What the seeds of a confirming design say of its points.

    Args:
        records: of the design's study, of any status.
        objectives: 2 or 3 names of OBJECTIVES, as the searched study has them.
        noise_floor: the difference of two latencies from which on they differ; a number is a share.
        original: the searched study's front, for the values that the points had there.
        draws: fronts to draw; fewer for thousands of points, and the result says how many. 0: no probabilities, in
            a fraction of the time.

    Raises UnknownNameError or ConfigError for the objectives.
    """
    resolve_objectives(objectives)
    cells = cells_of(records, design)
    floor = NoiseFloor.given(noise_floor)
    work = _FrontDraws(cells, design, tuple(objectives), floor)
    drawn = draws and max(_LEAST_DRAWS, min(draws, _MOST_POINTS_DRAWN // max(len(work.names), 1)))
    shares, unknown = work.probabilities(drawn, np.random.default_rng(seed)) if drawn else ({}, ())
    means = work.values_of_means()
    values = dict(zip(work.names, means.tolist(), strict=True))
    on_front = dict(zip(work.names, work.front(means).tolist(), strict=True))
    rows = {} if original is None else {row.record.arch_id: row for row in reversed(original.rows)}
    best = [name for name in work.names if on_front[name]]
    bend = knee([values[name] for name in best]) if best else None
    points = tuple(
        _point(
            point,
            work.groups.get(point.name, []),
            values=tuple(values.get(point.name, ())),
            on_front=on_front.get(point.name, False),
            probability=shares.get(point.name),
            original=rows.get(point.arch_id),
        )
        for point in design.points
    )
    return Confirmed(
        design=design,
        design_study=next((record.study for record in records), ""),
        objectives=tuple(objectives),
        points=points,
        knee=None if bend is None else best[bend],
        confidence=CONFIDENCE,
        noise_floor=floor,
        draws=drawn if shares else 0,
        method=_method(work, drawn, fresh=design.mode == FRESH_IMAGES),
        warnings=(*cell_warnings(cells, design), *(unknown if work.names else ())),
        error_spread=work.error.spread if work.error.spread.seen else None,
    )


def _point(
    point: DesignPoint,
    group: Sequence[Record],
    *,
    values: tuple[float, ...],
    on_front: bool,
    probability: float | None,
    original: FrontRow | None,
) -> ConfirmedPoint:
    errors = mean_interval([record.error_percent for record in group])
    logs = [math.log(OBJECTIVES["latency_ms"].extract(record)) for record in group]
    times = mean_interval(logs).through(math.exp)
    cost = group[0].cost if group else None
    top1 = (100.0 - errors.mean, _percent(errors.high), _percent(errors.low))
    latency = (times.mean, times.low, times.high)
    sentence = "no trial has completed."
    if group:
        intervals = "" if top1[1] is None else f", {CONFIDENCE * 100:g} % intervals"
        chance = "its probability of being on the front cannot be told"
        if probability is not None:
            chance = f"on the front with a probability of {probability_text(probability)}"
        before = "" if original is None else f"; it was {'' if original.on_front else 'not '}on the searched front"
        sentence = (
            f"top-1 {interval_text(*top1, decimals=2, unit='%')}, latency "
            f"{interval_text(*latency, decimals=None, unit='ms')} (n = {plural(len(group), 'seed')}{intervals}); "
            f"{chance}{before}."
        )
    return ConfirmedPoint(
        label=point.name,
        trial=point.trial,
        variant=point.variant,
        arch_id=point.arch_id,
        n=len(group),
        top1_percent=top1[0],
        top1_low_percent=top1[1],
        top1_high_percent=top1[2],
        latency_ms=latency[0],
        latency_low_ms=latency[1],
        latency_high_ms=latency[2],
        params=None if cost is None else cost.params,
        macs=None if cost is None else cost.macs,
        values=values,
        on_front=on_front,
        probability_on_front=probability,
        searched_top1_percent=None if original is None else 100.0 - original.record.error_percent,
        searched_latency_ms=None if original is None else OBJECTIVES["latency_ms"].extract(original.record),
        was_on_front=None if original is None else original.on_front,
        sentence=sentence,
    )


def _percent(error: float | None) -> float | None:
    """The top-1 at an end of an error's interval: Student's t knows nothing of 0 and 100."""
    return None if error is None else min(max(100.0 - error, 0.0), 100.0)


def _method(work: _FrontDraws, draws: int, *, fresh: bool) -> str:
    shrunk = ", shrunk towards a line over the log latency" if len(work.names) >= LEAST_FOR_A_LINE else ""
    floor = f", latencies within {floor_text(work.noise_floor)} being ties" if work.noise_floor.ties else ""
    images = "are others than the search's" if fresh else "are the search's, so luck with them stays (--fresh-images)"
    return (
        f"{CONFIDENCE * 100:g} % intervals: Student's t on each point's own seeds, each for itself. Probability: "
        f"share of {draws:,} drawn fronts of these points{floor}; a draw is of all true means given what was seen of "
        f"all, with one spread for all points (errors: the residual of point + seed{shrunk}; latency: on logarithms). "
        f"Points that were not confirmed are in no draw. The validation images {images}."
    )


class _FrontDraws:
    """The completed trials of a design, by point, and the fits to them."""

    def __init__(self, cells: Cells, design: Design, objectives: tuple[str, ...], noise_floor: NoiseFloor) -> None:
        self.objectives, self.noise_floor = objectives, noise_floor
        self.seeds = design.seeds
        self.groups: dict[str, list[Record]] = {}
        self._cells = {
            key: record
            for key, record in cells.complete.items()
            if record.latency is not None and OBJECTIVES["latency_ms"].extract(record) > 0.0
        }
        for point in design.points:
            if found := [self._cells[point.name, s] for s in design.seeds if (point.name, s) in self._cells]:
                self.groups[point.name] = found
        self.names = tuple(self.groups)
        self.error = self._fit("error_percent", float, seeds=True)
        self.log_latency = self._fit("latency_ms", math.log, seeds=False)

    def _fit(self, name: str, scale: Callable[[float], float], *, seeds: bool) -> Additive:
        extract = OBJECTIVES[name].extract
        found = {
            (point, s): scale(extract(self._cells[point, s]))
            for point in self.names
            for s in self.seeds
            if (point, s) in self._cells
        }
        return additive_fit(found, seeds=seeds)

    def values_of_means(self) -> NDArray[np.float64]:
        """(points, objectives) at the fitted means."""
        return self._columns(self.error.effects, np.exp(self.log_latency.effects))

    def _columns(self, errors: NDArray[np.float64], latencies: NDArray[np.float64]) -> NDArray[np.float64]:
        measured = {"error_percent": errors, MEASURED_OBJECTIVE: latencies}
        columns = [
            measured[name]
            if name in measured
            else np.array([OBJECTIVES[name].extract(self.groups[point][0]) for point in self.names])
            for name in self.objectives
        ]
        return np.column_stack(columns) if self.names else np.zeros((0, len(self.objectives)))

    def front(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points stand on the front, as `front_of` decides."""
        return non_dominated(values, noisy_latency(self.objectives, self.noise_floor))

    def probabilities(self, draws: int, generator: np.random.Generator) -> tuple[dict[str, float], tuple[str, ...]]:
        """Share of the draws in which each point is on the front, and warnings; nothing if a spread is unknown."""
        needed = {"error_percent": self.error, MEASURED_OBJECTIVE: self.log_latency}
        fits = {name: fit for name, fit in needed.items() if name in self.objectives}
        if any(fit.spread.freedom < 1 for fit in fits.values()) or not self.names:
            return {}, ("one seed shows no spread: no probability of being on the front; give more seeds",)
        still = [name for name, fit in fits.items() if fit.spread.variance == 0.0]
        warnings = tuple(
            f"{OBJECTIVES[name].title} shows no spread at all over the seeds, so the probabilities take it as exact"
            for name in still
        )
        count = np.zeros(len(self.names))
        errors, logs = (np.broadcast_to(fit.effects, (draws, len(count))) for fit in needed.values())
        if "error_percent" in fits:
            errors = drawn_means(self.error, draws, generator, along=self.log_latency.effects)
        if MEASURED_OBJECTIVE in fits:
            logs = drawn_means(self.log_latency, draws, generator)
        for error, log in zip(errors, logs, strict=True):
            # An error is at least 0 and a latency positive: neither changes who dominates whom.
            count += self.front(self._columns(error, np.exp(log)))
        return dict(zip(self.names, (count / draws).tolist(), strict=True)), warnings
