"""A front evaluated again: each network's accuracy and latency with intervals, and how probably it is on the front.

The front may be one of many, given a few seeds of each network. Each error is taken as point + seed + noise (the seeds
are shared), each logarithm of a latency as point + noise (it is measured afresh in every trial), with one noise for all
points: a handful of seeds tells little of each point's own. A draw is of the points' true means given what was seen of
all of them (`drawn_means`): errors shrunk towards a line over the log latency, latencies not at all, because
networks differ in latency by far more than it is uncertain. Its front is made as a study's is, ties within the noise
floor included. How well the probabilities hold: `benchmarks/confirm_calibration.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from archsearch.analysis.conditions import conditions_of, listed, measured_alike
from archsearch.analysis.front import MEASURED_OBJECTIVE, Front, FrontRow, distinct, noisy_latency
from archsearch.analysis.intervals import (
    CONFIDENCE,
    Additive,
    Floats,
    PooledVariance,
    additive_fit,
    mean_interval,
    share_error_points,
)
from archsearch.analysis.means import Cells, cell_warnings, cells_of, seed_warnings
from archsearch.analysis.objectives import OBJECTIVES, floor_text, resolve_objectives
from archsearch.analysis.pareto import knee, non_dominated
from archsearch.designs import FRESH_IMAGES, Design, DesignPoint
from archsearch.noise import NoiseFloor
from archsearch.records import Record
from archsearch.table import ARCH_ID, LATENCY, NETWORK, TOP1, WIDE_TRIAL, Column, InNotebooks, Interval, Table, table_of
from archsearch.text import accurate_text, amount_text, duration, interval_text, plural, probability_text, span_text

# Scores that scatter about a line over the log latency, and what of it is noise: true means, and the winner's curse.
#
# The means that were seen scatter more than the true ones, by the noise that they were seen with. Draws around the
# seen means (a flat prior) add that noise a second time, and so tell networks apart that are alike. Networks of a
# front lie near a line: the error falls with the logarithm of the latency. So draws are shrunk towards one.
#
# A search tries many networks, scores each once, and shows the best. Part of what makes them the best is the noise of
# that score, which another seed does not repeat (the winner's curse). Where scores scatter about the line by the
# variance v, of which e is noise, the network that lies r better than the middle is expected to be r e / v worse than
# it looks (regression to the mean; Efron 2011, "Tweedie's formula and selection bias", equation 2.8). Bad networks
# make v large and say nothing of the good ones: v is taken from the better half alone.

LEAST_FOR_A_LINE = 4  # means: of three, nothing is left to say how far they lie from a line
_LEAST_NETWORKS = 10
_STEPS = np.geomspace(0.03, 6.0, 24)  # the deviations from the line that are weighed, in units of what is seen


def drawn_means(fit: Additive, draws: int, generator: np.random.Generator, *, along: Floats | None = None) -> Floats:
    """(draws, points): the points' true effects as they may be, given what was seen of all.

    The noise's variance, one for all points, is from its scaled inverse chi-squared distribution (Gelman et al.,
    "Bayesian Data Analysis", 3rd edition, section 3.2); the seeds' effects, where the points had not the same seeds,
    are drawn from their fit. Without `along` the prior of the points is flat.

    With it the points are normal about a line over `along` (their log latencies, say), with a flat prior for its level
    and slope, and for the standard deviation from it a half-Cauchy one whose scale is the noise of a mean (the same,
    section 5.7). The deviation is drawn from its marginal posterior on a grid, then level and slope, then the points
    (section 5.4, with the regression of section 15.3). Fewer than four different
    places have no such line, and the prior is flat.

    Raises ValueError where the fit has no degree of freedom.
    """
    if fit.spread.freedom < 1:
        raise ValueError("a fit without a degree of freedom has no spread to draw from")
    count = len(fit.points)
    if fit.spread.variance == 0.0:
        return np.broadcast_to(fit.effects, (draws, count))
    scale = math.sqrt(fit.spread.variance * fit.spread.freedom)
    deviations = scale / np.sqrt(generator.chisquare(fit.spread.freedom, size=(draws, 1)))
    seen = np.broadcast_to(fit.effects, (draws, count))
    if fit.shares.shape[1] and np.any(fit.shares):  # a balanced design compares points without the seeds' effects
        values, vectors = np.linalg.eigh(fit.seed_covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        seen = seen - deviations * (generator.standard_normal((draws, len(values))) @ root.T @ fit.shares.T)
    noise = deviations**2 / fit.counts
    if along is None or len(np.unique(along)) < LEAST_FOR_A_LINE:
        return seen + np.sqrt(noise) * generator.standard_normal((draws, count))
    places = along - along.mean()
    around = float(np.std(fit.effects - np.polyval(np.polyfit(places, fit.effects, 1), places)))
    of_a_mean = fit.spread.variance / float(fit.counts.mean())
    steps = _STEPS * math.hypot(around, math.sqrt(of_a_mean))
    priors = np.log(steps) - np.log1p(steps**2 / of_a_mean)  # the grid is even in the logarithm
    weights = np.column_stack([_Line(seen, noise + step**2, places).evidence for step in steps]) + priors
    weights = np.exp(weights - weights.max(axis=1, keepdims=True)).cumsum(axis=1)
    chosen = (weights < generator.random((draws, 1)) * weights[:, -1:]).sum(axis=1)
    variance = steps[chosen, None] ** 2
    expected = _Line(seen, noise + variance, places).drawn(generator)
    precision = 1.0 / noise + 1.0 / variance
    middle = (seen / noise + expected / variance) / precision
    drawn: Floats = middle + generator.standard_normal((draws, count)) / np.sqrt(precision)
    return drawn


class _Line:
    """The weighted least-squares line through each draw's values (draws, points), over places (points,)."""

    def __init__(self, values: Floats, variances: Floats, places: Floats) -> None:
        weights = 1.0 / variances
        self.weight = weights.sum(axis=1, keepdims=True)
        self.centred = places - (weights * places).sum(axis=1, keepdims=True) / self.weight
        self.level = (weights * values).sum(axis=1, keepdims=True) / self.weight
        self.spread = (weights * self.centred**2).sum(axis=1, keepdims=True)
        self.slope = (weights * self.centred * values).sum(axis=1, keepdims=True) / self.spread
        residuals = values - self.level - self.slope * self.centred
        self.evidence: Floats = -0.5 * (  # the logarithm of the marginal likelihood, but for a constant
            np.log(variances).sum(axis=1)
            + (weights * residuals**2).sum(axis=1)
            + np.log(self.weight * self.spread)[:, 0]
        )

    def drawn(self, generator: np.random.Generator) -> Floats:
        """(draws, points): where the line may be at each place."""
        level = self.level + generator.standard_normal(self.level.shape) / np.sqrt(self.weight)
        slope = self.slope + generator.standard_normal(self.slope.shape) / np.sqrt(self.spread)
        line: Floats = level + slope * self.centred
        return line


@dataclass(frozen=True, kw_only=True)
class WinnersCurse:
    """By how much a front flatters its networks.

    Attributes:
        front_points: top-1 that the networks of the front are expected to lose in the mean, trained again (points).
        best_points: that the most accurate of them is expected to lose.
        noise_points: standard deviation of one score.
        networks: that the search tried.
        counted: the noise is that of counting the validation images alone, because no network was trained with several
            seeds; what other seeds change comes on top.
    """

    front_points: float
    best_points: float
    noise_points: float
    networks: int
    counted: bool

    @property
    def sentence(self) -> str:
        """All of it."""
        mean, best, noise = (
            amount_text(value, decimals=1) for value in (self.front_points, self.best_points, self.noise_points)
        )
        basis = (
            f"from a noise of {noise} points, that of counting images; seeds add to it (`archsearch confirm`)"
            if self.counted
            else f"from a noise of {noise} points over the seeds"
        )
        about = "" if mean.startswith("less") else f"{'at least ' if self.counted else ''}about "
        return (
            f"The front is the luckiest of {plural(self.networks, 'network')}: trained again its networks lose "
            f"{about}{mean} points of top-1 in the mean, its most accurate one "
            f"{best} ({basis})."
        )


def winners_curse_of(front: Front, noise_points: float | None = None) -> WinnersCurse | None:
    """The winner's curse of a searched front; None for fewer than 10 networks, for those of a design, or without noise.

    Args:
        front: of a search with one training for each network.
        noise_points: standard deviation of one score over the seeds, if networks were trained with several; None: the
            binomial error of the validation images, which is less.
    """
    rows = [row for row in distinct(front.rows) if row.latency.corrected_ms > 0.0 and row.record.point is None]
    if len(rows) < _LEAST_NETWORKS:
        return None
    errors = np.array([row.record.error_percent for row in rows])
    logs = np.log([row.latency.corrected_ms for row in rows])
    counted = noise_points is None
    if noise_points is None:
        shares = [share_error_points(row.score.top1_percent, row.score.eval_images) for row in rows]
        known = [share for share in shares if share is not None]
        noise_points = math.sqrt(float(np.mean(np.square(known)))) if known else 0.0
    line = np.polyval(np.polyfit(logs, errors, 1 if np.ptp(logs) > 0.0 else 0), logs)
    better = np.median(errors - line) - (errors - line)
    variance = float(np.mean(better[better > 0.0] ** 2)) if (better > 0.0).any() else 0.0
    if not noise_points > 0.0 or not variance > 0.0:
        return None
    lost = min(1.0, noise_points**2 / variance) * np.maximum(better, 0.0)
    members = np.array([row.on_front for row in rows])
    best = int(np.argmin(np.where(members, errors, math.inf)))
    return WinnersCurse(
        front_points=float(lost[members].mean()),
        best_points=float(lost[best]),
        noise_points=noise_points,
        networks=len(rows),
        counted=counted,
    )


DRAWS = 4000
BALANCED = "balanced_error_percent"
_LEAST_DRAWS = 200
_MOST_POINTS_DRAWN = 4_000_000  # draws times points: beyond, fewer draws


@dataclass(frozen=True, kw_only=True)
class ConfirmedPoint:
    """One network, evaluated again with several seeds.

    Attributes:
        label: the network's name in the design: a variant's, or "trial N".
        trial, variant: of the searched study; None if the network is not one of its trials, or not published.
        n: seeds that completed.
        seeds: those.
        top1_percent, top1_low_percent, top1_high_percent: mean on the validation split and its interval, cut off at 0
            and 100; NaN without a trial, ends None with fewer than two.
        latency_ms, latency_low_ms, latency_high_ms: geometric mean of the drift-corrected p10 and its interval.
        params, macs: exact; None without a trial.
        values: of the fitted means, in the order of the objectives (where a trial failed, as if the point had had the
            average seed); empty without a trial.
        on_front: whether the means stand on the front of the confirmed points.
        probability_on_front: share of the draws in which it does; None where the spread is unknown (one seed).
        searched_top1_percent, searched_latency_ms: what the search had found; None if it had no such record, and of
            the latency where it was measured on another device or with another batch.
        was_on_front: whether it stood on the searched study's front; None if that is not known.
        sentence: all of it in one sentence, without the label.
    """

    label: str
    trial: int | None
    variant: str | None
    arch_id: str
    n: int
    seeds: tuple[int, ...]
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
        design_study: the name of the study that holds the trials; "" if it has none.
        objectives: names, in the order of every `values`.
        points: in the design's order.
        knee: label of the knee of the means; None where they have none (see `pareto.knee`).
        confidence: of each interval alone: 0.95.
        noise_floor: latencies that differ by less are ties in every draw, as on the front of a study on that device.
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

    @cached_property
    def _seed_effects(self) -> Additive:
        """How surely the trials' places tell the effects of the seeds: a fit's shares and covariance need no values."""
        return additive_fit({(each.label, seed): 0.0 for each in self.evaluated for seed in each.seeds})

    def difference_variance(self, one: ConfirmedPoint, other: ConfirmedPoint) -> float:
        """Variance of the difference of two points' fitted errors, for a noise variance of 1.

        1/n1 + 1/n2, and for points that had not the same seeds that of the seeds' fitted effects, which then are part
        of the difference: d' C d with the difference d of the points' shares in each seed.
        """
        fit = self._seed_effects
        shares = fit.shares[fit.points.index(one.label)] - fit.shares[fit.points.index(other.label)]
        return 1.0 / one.n + 1.0 / other.n + float(shares @ fit.seed_covariance @ shares)

    @property
    def kept(self) -> tuple[ConfirmedPoint, ...]:
        """The points of the searched front that are more probably on the front than not."""
        return tuple(each for each in self.points if each.was_on_front and (each.probability_on_front or 0.0) >= 0.5)

    @property
    def evaluated(self) -> tuple[ConfirmedPoint, ...]:
        """The points with a complete trial."""
        return tuple(each for each in self.points if each.n)

    @property
    def elsewhere(self) -> bool:
        """Whether its latencies are of another device than the search's."""
        return any(
            each.searched_latency_ms is None and each.searched_top1_percent is not None for each in self.evaluated
        )

    @property
    def title(self) -> str:
        """What was done, of which study."""
        return f"The front, evaluated again: study {self.design.of}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """How many networks and seeds."""
        without = len(self.points) - len(self.evaluated)
        seeds = span_text([each.n for each in self.evaluated] or [len(self.design.seeds)])
        return (
            f"{plural(len(self.evaluated), 'network')}, {plural(seeds, 'seed')} each, latency "
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
        was = [each for each in self.evaluated if each.was_on_front]
        if was and self.draws:
            kept = ", ".join(each.label for each in self.kept)
            found.append(
                f"{len(self.kept)} of {plural(len(was), 'network')} of the searched front "
                f"{'is' if len(self.kept) == 1 else 'are'} more probably on it than not{f': {kept}' if kept else ''}."
            )
        again = [
            each.searched_top1_percent - each.top1_percent for each in was if each.searched_top1_percent is not None
        ]
        if again:
            words, than = accurate_text(-math.fsum(again) / len(again))
            found.append(
                f"Trained again{', and validated on other images,' if self.design.mode == FRESH_IMAGES else ''} the "
                f"networks of the searched front are {words} in the mean {than} the search found."
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
    here = conditions_of([record for group in work.groups.values() for record in group.values()])
    comparable = original is None or measured_alike(here, original.conditions)
    elsewhere = (
        f"another device or batch ({listed(here.device)}, batch {listed(here.batch)}, "
        f"fingerprint {listed(here.fingerprint)})"
    )
    best = [name for name in work.names if on_front[name]]
    bend = knee([values[name] for name in best]) if best else None
    points = tuple(
        _point(work, point, values, on_front, shares.get(point.name), rows.get(point.arch_id), comparable=comparable)
        for point in design.points
    )
    unseen = [each.label for each in points if each.n > 1 and None in (each.top1_low_percent, each.latency_low_ms)]
    return Confirmed(
        design=design,
        design_study=next((record.study for record in records), ""),
        objectives=tuple(objectives),
        points=points,
        knee=None if bend is None else best[bend],
        confidence=CONFIDENCE,
        noise_floor=floor,
        draws=drawn if shares else 0,
        method=_method(work, drawn if shares else 0, fresh=design.mode == FRESH_IMAGES),
        warnings=(
            *cell_warnings(cells, design),
            *(() if comparable else (f"latencies cannot be compared with the search's: they are of {elsewhere}",)),
            *(unknown if work.names else ()),
            *([f"no interval, because no spread is seen: {', '.join(unseen)}"] if unseen else []),
            *seed_warnings(cells, design),
        ),
        error_spread=work.error.spread if work.error.spread.seen else None,
    )


def _point(
    work: _FrontDraws,
    point: DesignPoint,
    values: Mapping[str, Sequence[float]],
    on_front: Mapping[str, bool],
    probability: float | None,
    original: FrontRow | None,
    *,
    comparable: bool,
) -> ConfirmedPoint:
    """`values`, `on_front`: by the point's name."""
    by_seed = work.groups.get(point.name, {})
    group = list(by_seed.values())
    errors = mean_interval([record.error_percent for record in group])
    logs = [math.log(OBJECTIVES["latency_ms"].extract(record)) for record in group]
    times = mean_interval(logs).through(math.exp)
    cost = group[0].cost if group else None
    top1 = (100.0 - errors.mean, _percent(errors.high), _percent(errors.low))
    latency = (times.mean, times.low, times.high)
    sentence = "no trial has completed."
    if group:
        intervals = "" if top1[1] is latency[1] is None else f", {CONFIDENCE * 100:g} % intervals"
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
        seeds=tuple(by_seed),
        top1_percent=top1[0],
        top1_low_percent=top1[1],
        top1_high_percent=top1[2],
        latency_ms=latency[0],
        latency_low_ms=latency[1],
        latency_high_ms=latency[2],
        params=None if cost is None else cost.params,
        macs=None if cost is None else cost.macs,
        values=tuple(values.get(point.name, ())),
        on_front=on_front.get(point.name, False),
        probability_on_front=probability,
        searched_top1_percent=None if original is None else 100.0 - original.record.error_percent,
        searched_latency_ms=OBJECTIVES["latency_ms"].extract(original.record) if original and comparable else None,
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
    probability = (
        f"Probability: share of {draws:,} drawn fronts of these points{floor}; a draw is of all true means given what "
        "was seen of all, with one spread for all points (errors: the residual of point + seed"
        f"{shrunk}; latency: on logarithms). Points that were not confirmed are in no draw. "
    )
    return (
        f"{CONFIDENCE * 100:g} % intervals: Student's t on each point's own seeds, each for itself. "
        f"{probability if draws else ''}The validation images {images}."
    )


class _FrontDraws:
    """The completed trials of a design, by point and seed, and the fits to them."""

    def __init__(self, cells: Cells, design: Design, objectives: tuple[str, ...], noise_floor: NoiseFloor) -> None:
        self.objectives, self.noise_floor = objectives, noise_floor
        self.groups: dict[str, dict[int, Record]] = {}
        for point in design.points:
            for seed in design.seeds:
                record = cells.complete.get((point.name, seed))
                if record is not None and OBJECTIVES["latency_ms"].extract(record) > 0.0:
                    self.groups.setdefault(point.name, {})[seed] = record
        self.names = tuple(self.groups)
        self.error = self._fit(OBJECTIVES["error_percent"].extract, seeds=True)
        self.log_latency = self._fit(lambda record: math.log(OBJECTIVES["latency_ms"].extract(record)), seeds=False)
        self.beside_error = self._beside_error() if BALANCED in objectives else None

    def _fit(self, of: Callable[[Record], float], *, seeds: bool) -> Additive:
        values = {(name, seed): of(each) for name, group in self.groups.items() for seed, each in group.items()}
        return additive_fit(values, seeds=seeds)

    def _beside_error(self) -> tuple[float, Additive]:
        """The error over the classes as so many times the error, and the rest, whose noise is none of the error's.

        Both are counted on the same images: drawn each for itself, they would tell networks apart that are alike.
        """
        extract = OBJECTIVES[BALANCED].extract
        share, noise = 0.0, self.error.residuals
        if self.error.spread.variance > 0.0:
            own = self._fit(extract, seeds=True).residuals
            share = sum(own[cell] * noise[cell] for cell in noise) / sum(each**2 for each in noise.values())
        return share, self._fit(lambda record: extract(record) - share * record.error_percent, seeds=True)

    def _measured(self, of: Callable[[Additive], Floats]) -> dict[str, Floats]:
        """The measured objectives, of what is taken of each fit."""
        errors = of(self.error)
        found = {"error_percent": errors, MEASURED_OBJECTIVE: np.exp(of(self.log_latency))}
        if self.beside_error is None:
            return found
        share, rest = self.beside_error
        return {**found, BALANCED: share * errors + of(rest)}

    def values_of_means(self) -> NDArray[np.float64]:
        """(points, objectives) at the fitted means."""
        return self._columns(self._measured(lambda fit: fit.effects))

    def _columns(self, measured: Mapping[str, Floats]) -> NDArray[np.float64]:
        columns = [
            measured[name]
            if name in measured
            else np.array([OBJECTIVES[name].extract(next(iter(group.values()))) for group in self.groups.values()])
            for name in self.objectives
        ]
        return np.column_stack(columns) if self.names else np.zeros((0, len(self.objectives)))

    def front(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points stand on the front, as `front_of` decides."""
        return non_dominated(values, noisy_latency(self.objectives, self.noise_floor))

    def probabilities(self, draws: int, generator: np.random.Generator) -> tuple[dict[str, float], tuple[str, ...]]:
        """Share of the draws in which each point is on the front, and warnings; nothing if a spread is unknown."""
        fits = {"error_percent": self.error, MEASURED_OBJECTIVE: self.log_latency}
        if any(fit.spread.freedom < 1 for fit in fits.values()) or not self.names:
            return {}, ("one seed shows no spread: no probability of being on the front; give more seeds",)
        warnings = tuple(
            f"{OBJECTIVES[name].title} shows no spread at all over the seeds, so the probabilities take it as exact"
            for name, fit in fits.items()
            if fit.spread.variance == 0.0
        )
        count = np.zeros(len(self.names))
        line = self.log_latency.effects
        measured = self._measured(
            lambda fit: drawn_means(fit, draws, generator, along=None if fit is self.log_latency else line)
        )
        for draw in range(draws):
            # An error is at least 0 and a latency positive: neither changes who dominates whom.
            count += self.front(self._columns({name: values[draw] for name, values in measured.items()}))
        return dict(zip(self.names, (count / draws).tolist(), strict=True)), warnings


# Networks run without a pause for minutes: how much slower they become by heat, and whether they still rank alike.
#
# What one minute says of a board without a fan is not what ten say: four systems on a chip ranked otherwise after
# half an hour than after one minute, and one of them took twice as long (MegaDetector, issue 34). The reference runs
# in the same turns, so ratios tell whether heat slows all alike.

SHARE = 0.1  # of the time: its beginning and its end are compared
_SLOWER = 0.05  # from which on a network is said to become slower


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One visit: when it ended, and each network's p10 in it, the reference's last (milliseconds)."""

    ended_seconds: float
    p10_ms: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class SustainedNetwork:
    """One network at the beginning and at the end: medians of its p10s over the turns there (milliseconds)."""

    label: str
    first_ms: float
    last_ms: float

    @property
    def slower(self) -> float:
        """0.1: it took 10 % longer at the end."""
        return self.last_ms / self.first_ms - 1.0


@dataclass(frozen=True, kw_only=True)
class Sustained(InNotebooks):
    """What became of networks under a sustained load: an `archsearch.table.Result`.

    Attributes:
        study, device: of which networks, and where they ran.
        turns: how often each ran.
        networks: the fastest at the beginning first; the reference is not among them.
        reference: the network that ran in turn with them.
        contended: whether others may have used the device.
        state: what the device said of itself: clocks, heat, throttling.
    """

    study: str
    device: str
    seconds: float
    turns: int
    networks: tuple[SustainedNetwork, ...]
    reference: SustainedNetwork
    contended: bool
    state: tuple[tuple[str, str], ...] = ()
    empty: str | None = None
    method: ClassVar[str] = (
        "All networks and the reference run in turns, one after the other. First and last: median over the "
        f"turns of the first and the last {100.0 * SHARE:g} % of the time, of each turn's p10."
    )

    @property
    def moved(self) -> tuple[SustainedNetwork, ...]:
        """Networks with another place at the end than at the beginning."""
        by_end = sorted(self.networks, key=lambda each: each.last_ms)
        return tuple(one for one, other in zip(self.networks, by_end, strict=True) if one is not other)

    @property
    def title(self) -> str:
        """What was done."""
        return f"{duration(self.seconds)} without a pause: the front of study {self.study}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """Where, and how often."""
        said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.state)
        return (f"{self.device} · {plural(self.turns, 'turn')}" + (f" · {said}" if said else ""),)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Whether they become slower, and whether they rank alike."""
        slower = [each for each in (*self.networks, self.reference) if each.slower > _SLOWER]
        worst = max((*self.networks, self.reference), key=lambda each: each.slower)
        heat = (
            f"{len(slower)} of {len(self.networks) + 1} networks become slower by more than {100.0 * _SLOWER:g} %, "
            f"{worst.label} the most: {worst.first_ms:.3f} ms at first, {worst.last_ms:.3f} ms in the end."
            if slower
            else f"No network becomes slower by more than {100.0 * _SLOWER:g} %."
        )
        order = (
            f"The order changes: {', '.join(each.label for each in self.moved)} have another place in the end."
            if self.moved
            else "The order of the networks is the same in the end."
        )
        return heat, order

    @property
    def warnings(self) -> tuple[str, ...]:
        """What else may have made them slower."""
        return ("other work used the device meanwhile, or it slowed itself down",) if self.contended else ()

    def tables(self) -> tuple[Table, ...]:
        """One line a network."""
        became = 1.0 + self.reference.slower
        return (
            table_of(
                "First and last",
                (*self.networks, self.reference),
                NETWORK,
                Column(title="First", key="first_ms", unit="ms", decimals=3),
                Column(title="Last", key="last_ms", unit="ms", decimals=3),
                (Column(title="Slower", key="slower_percent", unit="%", decimals=1), lambda each: 100.0 * each.slower),
                (
                    Column(title="Slower than the reference became", key="ratio_percent", unit="%", decimals=1),
                    lambda each: 100.0 * ((1.0 + each.slower) / became - 1.0),
                ),
            ),
        )


def ends_of(turns: Sequence[Turn], labels: Sequence[str]) -> tuple[SustainedNetwork, ...]:
    """Each network in the first and in the last `SHARE` of the time; at least one turn of each. Of at least two turns.

    Raises ValueError for fewer.
    """
    if len(turns) < 2:
        raise ValueError(f"a beginning and an end are two turns, got {len(turns)}")
    last = turns[-1].ended_seconds
    first = [turn.p10_ms for turn in turns if turn.ended_seconds <= SHARE * last] or [turns[0].p10_ms]
    end = [turn.p10_ms for turn in turns if turn.ended_seconds > (1.0 - SHARE) * last]
    begun, ended = np.median(np.array(first), axis=0), np.median(np.array(end), axis=0)
    return tuple(
        SustainedNetwork(label=label, first_ms=float(one), last_ms=float(other))
        for label, one, other in zip(labels, begun, ended, strict=True)
    )
