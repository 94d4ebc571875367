"""What every level of an ablation changes against the base, with intervals, from differences paired by seed.

A point and the base that were trained with one seed share the data order and initial weights, as far as they have the
same parameters, so their difference holds less noise than either. Every effect is *point minus base*: what changing the
base so does. In leave-one-out the base is the whole network and a point takes one choice back, so a choice that pays
shows as an effect that is worse.

Intervals are Student's t on the paired differences, Bonferroni-corrected: all intervals of top-1 and latency together
cover their true effects with the stated confidence, whatever their dependence (they share the base), because one
sentence joins both. A finding is that interval's: `better` or `worse` where it lies on one side of 0, else
`inconclusive`.

With few seeds each difference's own spread is hardly known (t with 4 degrees of freedom for 5 seeds), and the intervals
are wide. `spread="pooled"` takes one spread for all points instead, the residual of point + seed (a randomised block
design, e.g. Box, Hunter and Hunter 2005, section 4.2): much narrower, and right if all networks scatter alike. Whether
they do is tested from three seeds on (`Paired.spread_of`); a quantity that fails keeps its own spreads, with a warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from archsearch.analysis.intervals import CONFIDENCE, MeanInterval, PooledVariance, additive_fit, mean_interval
from archsearch.analysis.means import Cells, MissingTrial, cell_warnings, cells_of, seed_warnings
from archsearch.analysis.objectives import OBJECTIVES, cost_of
from archsearch.designs import Design, DesignPoint
from archsearch.records import Record
from archsearch.table import ARCH_ID, LATENCY, TOP1, Cell, Column, InNotebooks, Interval, Table, table_of
from archsearch.text import count_text, level_text, number_text, plural, sided_text, significant


class Finding(StrEnum):
    """Of one effect: what the change does for whoever uses the network."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "no difference"  # of an exact number only: a measured effect is never known to be 0
    UNTOLD = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one change does to one quantity: point minus base.

    Attributes:
        quantity: `top1` (points), `latency` (% of the base's), `latency_ms` (ms), `params`, `macs`.
        unit: of the estimate and the intervals: "points", "%", "ms", or "" for counts.
        estimate: the mean of the paired differences; of `latency` from the mean difference of the logarithms. NaN
            without a pair.
        low, high: simultaneous interval over all comparisons; None where none can be given (see `note`).
        alone_low, alone_high: the interval of this comparison alone, uncorrected.
        n: pairs of one seed each; 0 for an exact number.
        exact: a count that no measurement enters: the estimate is the effect.
        finding: better is more top-1, less of all else.
        seeds, differences: the pairs, in the order of the design's seeds: top-1 points, % of latency, or ms.
        note: why there is no interval ("" if there is one).
    """

    quantity: str
    unit: str
    estimate: float
    low: float | None = None
    high: float | None = None
    alone_low: float | None = None
    alone_high: float | None = None
    n: int = 0
    exact: bool = False
    finding: Finding = Finding.UNTOLD
    seeds: tuple[int, ...] = ()
    differences: tuple[float, ...] = ()
    note: str = ""


def exact_effect(quantity: str, point: int | None, base: int | None) -> Effect:
    """The difference of two counts of which less is better; NaN, and nothing told, where one is not known."""
    if point is None or base is None:
        return Effect(quantity=quantity, unit="", estimate=math.nan, exact=True, note="not counted")
    finding = Finding.SAME if point == base else Finding.BETTER if point < base else Finding.WORSE
    return Effect(quantity=quantity, unit="", estimate=float(point - base), exact=True, finding=finding)


def _finding(interval: MeanInterval, *, more_is_better: bool) -> Finding:
    if interval.low is None or interval.high is None or interval.low <= 0.0 <= interval.high:
        return Finding.UNTOLD
    return Finding.BETTER if (interval.low > 0.0) == more_is_better else Finding.WORSE


def _percent(logarithm: float) -> float:
    return math.inf if logarithm > 700.0 else 100.0 * math.expm1(logarithm)


PooledOrOwn = Literal["own", "pooled"]
QUANTITIES = 2  # top-1 and latency: one sentence joins them, so they are corrected together
_UNEQUAL = 0.2  # p below which spreads are not taken for equal: to miss a difference costs more than to see one
_LEAST_TO_TEST = 3  # values of a point: two are equally far from their median, whatever the spread


def top1_of(record: Record) -> float:
    """Top-1 on the validation split (percent)."""
    return 100.0 - record.error_percent


def log_latency_of(record: Record) -> float:
    """The natural logarithm of the drift-corrected p10; NaN where there is none."""
    latency_ms = OBJECTIVES["latency_ms"].extract(record)
    return math.log(latency_ms) if latency_ms > 0.0 else math.nan


# quantity: its unit, what of a record is compared (of "%" that is a logarithm), and what that is called
_MEASURED: Mapping[str, tuple[str, Callable[[Record], float], str]] = {
    "top1": ("points", top1_of, "top-1"),
    "latency": ("%", log_latency_of, "latency"),
    "latency_ms": ("ms", OBJECTIVES["latency_ms"].extract, "latency in milliseconds"),
}


class Paired:
    """The cells of a design with the spreads that are asked for more than once.

    Attributes:
        refusals: for which quantities spreads were not pooled although that was asked for, and why; of the effects so
            far.
        untested: of which quantities spreads were pooled without a test, for want of seeds; likewise.
    """

    def __init__(self, cells: Cells, design: Design, spread: str) -> None:
        self.cells, self.design, self.spread = cells, design, spread
        self._spreads: dict[str, PooledVariance | None] = {}
        self.refusals: list[str] = []
        self.untested: list[str] = []

    @property
    def comparisons(self) -> int:
        """Effects of all points against the base, of both quantities."""
        return QUANTITIES * (len(self.design.points) - 1)

    @property
    def pooled(self) -> tuple[str, ...]:
        """Of which of top-1 and latency one spread was taken for all points; of the effects so far."""
        return tuple(_MEASURED[name][2] for name in ("top1", "latency") if self._spreads.get(name) is not None)

    def values(self, of: Callable[[Record], float], point: DesignPoint) -> dict[int, float]:
        """A point's finite values by seed, in the design's order."""
        found = ((seed, self.cells.complete.get((point.name, seed))) for seed in self.design.seeds)
        values = {seed: of(record) for seed, record in found if record is not None}
        return {seed: value for seed, value in values.items() if math.isfinite(value)}

    def mean(self, of: Callable[[Record], float], point: DesignPoint) -> float:
        """Of a point's values; NaN without one."""
        values = self.values(of, point)
        return math.fsum(values.values()) / len(values) if values else math.nan

    def effect(self, quantity: str, terms: Sequence[tuple[int, DesignPoint]], comparisons: int) -> Effect:
        """Of the sum of each term's weight (1 or -1) times its point's value, over the seeds that all points have.

        Of logarithms, the mean and the ends of the interval become 100 (exp(x) - 1): those of the ratio of geometric
        means.
        """
        unit, of, _ = _MEASURED[quantity]
        values = [(weight, self.values(of, point)) for weight, point in terms]
        seeds = [seed for seed in self.design.seeds if all(seed in found for _, found in values)]
        pooled = None
        if self.spread == "pooled" and (noise := self.spread_of(quantity)) is not None:
            pooled = PooledVariance(variance=len(terms) * noise.variance, freedom=noise.freedom)
        differences = {seed: sum(weight * found[seed] for weight, found in values) for seed in seeds}
        interval = mean_interval(tuple(differences.values()), comparisons=comparisons, spread=pooled)
        shown = _percent if unit == "%" else float
        scaled = interval.through(shown)
        return Effect(
            quantity=quantity,
            unit=unit,
            estimate=scaled.mean,
            low=scaled.low,
            high=scaled.high,
            alone_low=scaled.alone_low,
            alone_high=scaled.alone_high,
            n=len(differences),
            finding=_finding(interval, more_is_better=quantity == "top1"),
            seeds=tuple(differences),
            differences=tuple(map(shown, differences.values())),
            note=interval.note,
        )

    def spread_of(self, quantity: str) -> PooledVariance | None:
        """The spread of one value about point + seed, over all points; None where the points' spreads differ.

        That is tested twice, by the residuals' distances from their median (Brown and Forsythe 1974, "Robust tests for
        the equality of variances"): the base against all others, because it is in every difference, and all points
        against each other. Spreads differ where the lower p, doubled, is below 0.2. Points with two seeds say nothing
        of it: their residuals are equally far from the median, and the test would take that for certainty.
        """
        if quantity not in self._spreads:
            _, of, what = _MEASURED[quantity]
            values = {
                (point.name, seed): value
                for point in self.design.points
                for seed, value in self.values(of, point).items()
            }
            fit = additive_fit(values)
            chance = _equal_spreads(fit.residuals, base=self.design.points[0].name)
            self._spreads[quantity] = fit.spread
            if chance is None:
                self.untested += [what] if quantity != "latency_ms" else []  # as many values as of latency in %
            elif chance < _UNEQUAL:
                self._spreads[quantity] = None
                shown = "p < 0.001" if chance < 0.001 else f"p = {chance:.2g}"
                self.refusals.append(
                    f"the networks' spreads of {what} differ (Brown-Forsythe, {shown}), so each effect on it has its "
                    "own spread, not one of all networks"
                )
        return self._spreads[quantity]

    def count(self, point: DesignPoint, name: str) -> int | None:
        """A cost of a point's network; equal for all its seeds."""
        found = (self.cells.complete.get((point.name, seed)) for seed in self.design.seeds)
        return next((int(getattr(cost_of(record), name)) for record in found if record is not None), None)


def _equal_spreads(residuals: Mapping[tuple[str, int], float], *, base: str) -> float | None:
    """How probably residuals whose spreads differ at least as much come from points of one spread.

    Of the points with three values or more; None where they are too few to be tested.
    """
    from scipy import stats  # slow to import, and those who only read a study may not need it

    groups: dict[str, list[float]] = {}
    for (point, _), residual in residuals.items():
        groups.setdefault(point, []).append(residual)
    groups = {point: group for point, group in groups.items() if len(group) >= _LEAST_TO_TEST}
    if len(groups) < 2:
        return None
    tested = [list(groups.values())]
    if base in groups:
        others = [residual for point, group in groups.items() if point != base for residual in group]
        tested.append([groups[base], others])
    found = [float(stats.levene(*samples, center="median").pvalue) for samples in tested]
    return min(1.0, 2.0 * min((chance for chance in found if math.isfinite(chance)), default=1.0))


# What a change does to top-1, and to latency.
_DOES = {
    Finding.BETTER: ("pays in accuracy", "saves latency"),
    Finding.WORSE: ("costs accuracy", "costs latency"),
    Finding.UNTOLD: ("accuracy inconclusive", "latency inconclusive"),
}
# Of both findings: whether the change is worth it. All sentences of `Ablation.worth`, in their order.
_WORTH = {
    (Finding.BETTER, Finding.BETTER): "Worth it",
    (Finding.BETTER, Finding.UNTOLD): "Worth it",
    (Finding.UNTOLD, Finding.BETTER): "Saves latency, and no loss of accuracy can be told",
    (Finding.BETTER, Finding.WORSE): "Buys accuracy with latency",
    (Finding.WORSE, Finding.BETTER): "Buys latency with accuracy",
    (Finding.UNTOLD, Finding.WORSE): "Not worth it: costs latency, and no gain of accuracy can be told",
    (Finding.WORSE, Finding.UNTOLD): "Not worth it: costs accuracy",
    (Finding.WORSE, Finding.WORSE): "Not worth it: costs accuracy",
    (Finding.UNTOLD, Finding.UNTOLD): "Inconclusive at this scale",
}
_NAMED = 4  # changes that such a sentence names
_OPPOSITE = {Finding.BETTER: Finding.WORSE, Finding.WORSE: Finding.BETTER}
_SCALE_WORDS = "inconclusive at this scale"


def base_level(name: str, point: DesignPoint, base: DesignPoint, known: Mapping[str, Any]) -> Any | None:
    """The base's level of a choice: the known one, else what its primitive choices that the point changes share.

    None if that is not one value, as for a macro such as `width`.
    """
    if name in known:
        return known[name]
    changed = {
        level_text(value): value
        for key, value in base.choices.items()
        if (key == name or key.endswith(f".{name}")) and point.choices.get(key, value) != value
    }
    return next(iter(changed.values())) if len(changed) == 1 else None


def change_text(point: DesignPoint, base: DesignPoint, known: Mapping[str, Any], *, held: bool = False) -> str:
    """`kernel 5 instead of 3`, `with residual`, both joined by "and"; the point's name if it changes nothing.

    `held`: what the base has that the point takes back: `kernel 5`, `residual`; the choice where it is not known.
    """
    parts = []
    for name, level in point.changes.items():
        before = base_level(name, point, base, known)
        if isinstance(level, bool):
            parts.append(f"{'no ' if level else ''}{name}" if held else f"{'with' if level else 'without'} {name}")
        elif held:
            parts.append(f"the base's {name}" if before is None else f"{name} {level_text(before)}")
        else:
            instead = "" if before is None else f" instead of {level_text(before)}"
            parts.append(f"{name} {level_text(level)}{instead}")
    return " and ".join(parts) or point.name


def answer_text(top1: Effect, latency: Effect, *, taken_back: bool = False) -> str:
    """`pays in accuracy, costs latency`: of the change, or of what it takes back."""
    accuracy, time = (
        _OPPOSITE.get(effect.finding, effect.finding) if taken_back else effect.finding for effect in (top1, latency)
    )
    if accuracy is time is Finding.UNTOLD:
        return _SCALE_WORDS
    return f"{_DOES[accuracy][0]}, {_DOES[time][1]}"


def amount(effect: Effect) -> str:
    """`+1.30 points top-1`, `+12.1 % latency`, `+12.3 k params`."""
    if math.isnan(effect.estimate):
        return f"{_noun(effect).removeprefix('points ')} not known"
    if effect.exact:
        return f"{_sign(effect.estimate)}{count_text(abs(effect.estimate))} {_noun(effect)}"
    return f"{_number(effect.estimate, effect)} {_noun(effect)}"


def between(effect: Effect, *, word: str = "to") -> str:
    """`+0.40 to +2.20`, the simultaneous interval; "" if there is none."""
    if effect.low is None or effect.high is None:
        return ""
    low = _number(effect.low, effect, unit=False, write=sided_text)
    return f"{low} {word} {_number(effect.high, effect, write=sided_text)}"


def _inside(effect: Effect) -> str:
    """The interval; why there is none, where there is none."""
    return between(effect) or f"no interval: {effect.note}"


def _corrected(comparisons: int) -> str:
    return f", corrected for {comparisons} comparisons"


def _noun(effect: Effect) -> str:
    return {"top1": "points top-1", "latency": "latency", "latency_ms": "latency", "macs": "MACs"}.get(
        effect.quantity, effect.quantity
    )


def _sign(value: float) -> str:
    return "-" if value < 0 else "+"


def _number(value: float, effect: Effect, *, unit: bool = True, write: Callable[..., str] = number_text) -> str:
    if effect.unit == "%":
        return f"{write(value, decimals=1 if abs(value) < 100 else 0, signed=True)}{' %' if unit else ''}"
    if effect.unit == "ms":
        return f"{_sign(value)}{significant(abs(value))}{' ms' if unit else ''}"
    return write(value, decimals=2, signed=True)


CORRECTION = "Bonferroni"
_TOP1 = Column(title="Top-1", key="top1_points", unit="points", decimals=2, signed=True)
_LATENCY_PERCENT = Column(title="Latency", key="latency_percent", unit="%", decimals=1, signed=True)
LEAVE_ONE_OUT, PAIRS = "leave-one-out", "pairs"


@dataclass(frozen=True, kw_only=True)
class AblationRow:
    """One point of the design against the base.

    Attributes:
        choice: the names of what is changed, joined by " + " ("kernel", "kernel + stem.type").
        label: the change in words: "kernel 5 instead of 3".
        top1: in points of validation top-1.
        latency: in % of the base's, from the ratios to the reference.
        latency_ms: the same in milliseconds (drift-corrected p10).
        params, macs: exact; an estimate of NaN if the point has no record.
        mean_top1_percent, mean_latency_ms: of the point itself over all its seeds (the latency's mean is geometric);
            NaN without any.
        answer: "pays in accuracy, costs latency".
        sentence: all of it with n and intervals.
    """

    point: DesignPoint
    choice: str
    label: str
    top1: Effect
    latency: Effect
    latency_ms: Effect
    params: Effect
    macs: Effect
    mean_top1_percent: float
    mean_latency_ms: float
    answer: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """Of a point with two changes: its effect minus the sum of the two single effects, paired by seed.

    Of top-1 in points; of latency in %, beyond the product of the two ratios. 0: the two changes simply add up.
    Better: together they do more for the user than each alone promises.
    """

    point: DesignPoint
    first: DesignPoint
    second: DesignPoint
    label: str
    top1: Effect
    latency: Effect
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Ablation(InNotebooks):
    """All effects of one ablation: a `archsearch.table.Result`.

    Attributes:
        design: points, seeds and mode; the first point is the base.
        design_study: the name of the study that holds the trials; "" if it has none.
        rows: one for each other point, in the design's order.
        interactions: of the points with two changes whose single changes are points too.
        confidence: of the simultaneous intervals: 0.95.
        comparisons: how many effects the intervals are corrected for: top-1 and latency of all other points of the
            design.
        base_top1_percent, base_latency_ms, base_n: the base's means and its completed seeds (latency geometric).
        missing: trials that did not complete, of those that have ended or run.
        pending: trials of the design that have no record yet.
        sentences: one for each choice, over its levels.
        spread: of the differences, as asked for: each effect's own, or one pooled over all points.
    """

    design: Design
    design_study: str
    rows: tuple[AblationRow, ...]
    interactions: tuple[Interaction, ...]
    confidence: float
    comparisons: int
    correction: str
    base_top1_percent: float
    base_latency_ms: float
    base_n: int
    missing: tuple[MissingTrial, ...]
    pending: int
    sentences: tuple[str, ...]
    method: str
    warnings: tuple[str, ...]
    spread: PooledOrOwn = "own"

    @property
    def base(self) -> DesignPoint:
        """What every other point is compared with."""
        return self.design.points[0]

    @property
    def base_name(self) -> str:
        """What the base is called: its variant, its trial, or its id."""
        base = self.base
        return base.variant or (f"trial {base.trial}" if base.trial is not None else f"network {base.arch_id}")

    @property
    def title(self) -> str:
        """What is changed, of which study."""
        return f"Ablation of {self.base_name}: study {self.design.of}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """How many levels and seeds, and what the base reaches."""
        mode = f"{self.design.mode}, " if self.design.mode else ""
        base = "without a complete trial"
        if math.isfinite(self.base_top1_percent) and math.isfinite(self.base_latency_ms):
            top1, latency = number_text(self.base_top1_percent, decimals=2), significant(self.base_latency_ms)
            base = f"top-1 {top1} %, {latency} ms (n = {self.base_n})"
        single = [row.choice for row in self.rows if self.design.mode != PAIRS or len(row.point.changes) == 1]
        both = len(self.rows) - len(single)
        pairs = f"{plural(both, 'pair')} of levels, " if both else ""
        return (
            f"Each row minus the base: {mode}{plural(len(single), 'level')} of {plural(len(set(single)), 'choice')}, "
            f"{pairs}{plural(len(self.design.seeds), 'paired seed')}",
            f"Base: {self.base_name}, {base}",
        )

    @property
    def empty(self) -> str | None:
        """Why there is nothing to show."""
        if not self.rows:
            return "No level to compare with the base in this ablation"
        known = any(math.isfinite(effect.estimate) for row in self.rows for effect in (row.top1, row.latency))
        return None if known else "No pair of trials is complete yet"

    @property
    def worth(self) -> tuple[str, ...]:
        """Which changes of the base are worth their cost, which are a trade, which are not: a sentence each."""
        found = []
        for words in dict.fromkeys(_WORTH.values()):
            choices: dict[str, list[AblationRow]] = {}
            for row in self.rows:
                if _WORTH[row.top1.finding, row.latency.finding] == words:
                    choices.setdefault(row.choice, []).append(row)
            shown = [_change_with_amounts(choice, group) for choice, group in choices.items()]
            more = [f"{len(shown) - _NAMED} more"] if len(shown) > _NAMED else []
            found += [f"{words}: {'; '.join([*shown[:_NAMED], *more])}."] if shown else []
        return tuple(found)

    def tables(self) -> tuple[Table, ...]:
        """The effects with their answers, what each change costs, where two do not add up, and each by itself."""

        def together(comparisons: int) -> str:
            return (
                f"{100 * self.confidence:g} % intervals that hold for all {plural(comparisons, 'comparison')} of both "
                f"columns together ({self.correction})."
            )

        effects = table_of(
            f"Effects on {self.base_name}",
            self.rows,
            (Column(title="Change", whole=True), lambda row: row.point.name),
            (Column(title="n", decimals=0), lambda row: row.top1.n),
            (_TOP1, lambda row: _interval(row.top1)),
            (_LATENCY_PERCENT, lambda row: _interval(row.latency)),
            Column(title="Answer", wide=True),
            note=f"Each change minus the base, paired by seed; n: seeds that both have. {together(self.comparisons)}",
        )
        costs = table_of(
            "What each change costs",
            self.rows,
            (Column(title="Change", whole=True), lambda row: row.point.name),
            (replace(TOP1, wide=True), lambda row: row.mean_top1_percent),
            (replace(LATENCY, wide=True), lambda row: row.mean_latency_ms),
            (
                Column(title="Added latency", key="added_latency_ms", unit="ms", decimals=4, signed=True),
                lambda row: _interval(row.latency_ms),
            ),
            (Column(title="Added params", decimals=0, signed=True), lambda row: row.params.estimate),
            (Column(title="Added MACs", decimals=0, signed=True), lambda row: row.macs.estimate),
            (ARCH_ID, lambda row: row.point.arch_id),
            note="Top-1 and latency: means over all seeds of the network. Added: to the base's; params and MACs are "
            f"exact. {100 * self.confidence:g} % intervals, corrected for {plural(self.comparisons, 'comparison')} "
            f"({self.correction}).",
        )
        both: tuple[AblationRow | Interaction, ...] = (*self.rows, *self.interactions)
        alone = table_of(
            "Each comparison by itself",
            both,
            (Column(title="Change", whole=True), lambda row: row.point.name),
            (_TOP1, lambda row: Interval(row.top1.estimate, row.top1.alone_low, row.top1.alone_high)),
            (
                _LATENCY_PERCENT,
                lambda row: Interval(row.latency.estimate, row.latency.alone_low, row.latency.alone_high),
            ),
            note=f"{100 * self.confidence:g} % intervals of one comparison alone, not corrected for the others.",
            wide=True,
        )
        beyond = table_of(
            "Two together, beyond their sum",
            self.interactions,
            (Column(title="Changes", whole=True), lambda each: each.point.name),
            (Column(title="n", decimals=0), lambda each: each.top1.n),
            (_TOP1, lambda each: _interval(each.top1)),
            (_LATENCY_PERCENT, lambda each: _interval(each.latency)),
            note="Top-1 beyond the sum of the two effects, latency beyond the product of the two ratios. "
            + together(QUANTITIES * len(self.interactions)),
        )
        return effects, costs, *((beyond,) if self.interactions else ()), alone


def _change_with_amounts(choice: str, rows: Sequence[AblationRow]) -> str:
    """`kernel 5 instead of 3 (+1.30 points top-1, +12.1 % latency)`; of several levels from the least to the most."""
    if len(rows) == 1:
        return f"{rows[0].label} ({amount(rows[0].top1)}, {amount(rows[0].latency)})"
    levels = ", ".join(" and ".join(map(level_text, row.point.changes.values())) for row in rows)
    amounts = []
    for effects in ([row.top1 for row in rows], [row.latency for row in rows]):
        known = [each for each in effects if math.isfinite(each.estimate)] or effects[:1]
        low, high = (end(known, key=lambda each: each.estimate) for end in (min, max))
        amounts.append(amount(high) if low is high else f"{_number(low.estimate, low, unit=False)} to {amount(high)}")
    return f"{choice} {levels} ({', '.join(amounts)})"


def _interval(effect: Effect) -> Cell:
    return Interval(effect.estimate, effect.low, effect.high)


def ablation_of(
    records: Sequence[Record],
    design: Design,
    *,
    base_levels: Mapping[str, Any] | None = None,
    spread: PooledOrOwn = "own",
    weights_by_name: bool = False,
) -> Ablation:
    """The effects of an ablation.

    Args:
        records: of the design's study, of any status.
        design: its first point is the base.
        base_levels: the base's level of each choice, as the search space names it; where one is missing it is read
            from the points' choices, if they tell.
        spread: each effect's own, from its differences alone; or pooled over all points.
        weights_by_name: whether each parameter's initial values were drawn from the seed and its name.

    Raises ValueError for a design without points.
    """
    if not design.points:
        raise ValueError("an ablation needs a base")
    cells = cells_of(records, design)
    known = dict(base_levels or {})
    work = Paired(cells, design, spread)
    rows = tuple(_row(work, point, known) for point in design.points[1:])
    interactions = _interactions(work, known)
    base = design.points[0]
    return Ablation(
        design=design,
        design_study=next((record.study for record in records), ""),
        rows=rows,
        interactions=interactions,
        confidence=CONFIDENCE,
        comparisons=work.comparisons,
        correction=CORRECTION,
        base_top1_percent=work.mean(top1_of, base),
        base_latency_ms=math.exp(work.mean(log_latency_of, base)),
        base_n=len(work.values(top1_of, base)),
        missing=cells.missing,
        pending=cells.pending,
        sentences=_answers(rows, comparisons=work.comparisons),
        method=_method(work, len(interactions), weights_by_name=weights_by_name),
        warnings=_warnings(work, rows),
        spread=spread,
    )


def _row(work: Paired, point: DesignPoint, known: Mapping[str, Any]) -> AblationRow:
    base, comparisons = work.design.points[0], work.comparisons
    terms = ((1, point), (-1, base))
    top1, latency, latency_ms = (work.effect(name, terms, comparisons) for name in _MEASURED)
    params, macs = (exact_effect(name, work.count(point, name), work.count(base, name)) for name in ("params", "macs"))
    label = change_text(point, base, known)
    answer = answer_text(top1, latency)
    if point.arch_id == base.arch_id:
        answer = "the same network as the base"
        sentence = f"{label}: {answer}, so no effect is to be seen but noise."
    else:
        if work.design.mode == LEAVE_ONE_OUT:
            answer = f"{change_text(point, base, known, held=True)} {answer_text(top1, latency, taken_back=True)}"
        seeds, interval = f"n = {plural(top1.n, 'seed')}", f"{CONFIDENCE * 100:g} % interval"
        corrected = _corrected(comparisons)
        if top1.low is None:
            accuracy = f"{amount(top1)} ({seeds}, no interval: {top1.note})"
        elif top1.finding is Finding.UNTOLD:
            accuracy = (
                f"top-1 {_SCALE_WORDS}: between {between(top1, word='and')} points ({interval}, {seeds}{corrected})"
            )
        else:
            accuracy = f"{amount(top1)} ({interval} {between(top1)}, {seeds}{corrected})"
        counts = [amount(effect) for effect in (params, macs) if effect.finding is not Finding.SAME]
        parts = [accuracy, f"{amount(latency)} ({_inside(latency)})", *counts]
        sentence = f"{label}: {', '.join(parts)}: {answer}."
    return AblationRow(
        point=point,
        choice=" + ".join(point.changes) or point.name,
        label=label,
        top1=top1,
        latency=latency,
        latency_ms=latency_ms,
        params=params,
        macs=macs,
        mean_top1_percent=work.mean(top1_of, point),
        mean_latency_ms=math.exp(work.mean(log_latency_of, point)),
        answer=answer,
        sentence=sentence,
    )


def _interactions(work: Paired, known: Mapping[str, Any]) -> tuple[Interaction, ...]:
    base, *points = work.design.points
    single = {_changes(point)[0]: point for point in points if len(point.changes) == 1}
    pairs = [
        (point, *(single[change] for change in _changes(point)))
        for point in points
        if len(point.changes) == 2 and all(change in single for change in _changes(point))
    ]
    found, comparisons = [], QUANTITIES * len(pairs)
    for point, first, second in pairs:
        terms = ((1, point), (-1, first), (-1, second), (1, base))
        top1, latency = (work.effect(name, terms, comparisons) for name in ("top1", "latency"))
        label = change_text(point, base, known)
        said = "; ".join(f"in {what} {_beyond(effect)}" for what, effect in (("accuracy", top1), ("latency", latency)))
        sentence = f"{label}: {said} ({CONFIDENCE * 100:g} % intervals, n = {top1.n} seeds{_corrected(comparisons)})."
        found.append(
            Interaction(
                point=point, first=first, second=second, label=label, top1=top1, latency=latency, sentence=sentence
            )
        )
    return tuple(found)


def _beyond(effect: Effect) -> str:
    """Whether two changes add up."""
    if effect.low is None:
        return f"{amount(effect)} beyond the sum, no interval: {effect.note}"
    said = {
        Finding.BETTER: "together they do better than their sum",
        Finding.WORSE: "together they do worse than their sum",
    }.get(effect.finding, "no interaction can be told")
    return f"{said} ({_number(effect.estimate, effect)}, {between(effect)})"


def _changes(point: DesignPoint) -> tuple[tuple[str, str], ...]:
    return tuple((name, level_text(level)) for name, level in point.changes.items())


def _answers(rows: Sequence[AblationRow], *, comparisons: int) -> tuple[str, ...]:
    """For each choice, what its levels do, those with one answer together; with n and intervals."""
    choices: dict[str, dict[str, list[AblationRow]]] = {}
    for row in rows:
        choices.setdefault(row.choice, {}).setdefault(row.answer, []).append(row)
    texts = []
    for choice, answers in choices.items():
        parts = []
        for answer, group in answers.items():
            levels = (
                f"{' and '.join(map(level_text, row.point.changes.values())) or row.point.name} "
                f"({'; '.join(f'{amount(each)}, {_inside(each)}' for each in (row.top1, row.latency))})"
                for row in group
            )
            parts.append(f"{', '.join(levels)}: {answer}")
        least, most = (end(row.top1.n for group in answers.values() for row in group) for end in (min, max))
        seeds = plural(most, "seed") if least == most else f"{least} to {plural(most, 'seed')}"
        intervals = f"{CONFIDENCE * 100:g} % intervals{_corrected(comparisons)}"
        texts.append(f"{choice} (n = {seeds}, {intervals}): {'; '.join(parts)}")
    return tuple(texts)


def _method(work: Paired, interactions: int, *, weights_by_name: bool) -> str:
    how, pooled = "Student's t on these differences", "with one spread for all points, the residual of point + seed"
    if work.pooled:
        how = f"Student's t {pooled}" if len(work.pooled) == QUANTITIES else f"{how}, of {work.pooled[0]} {pooled}"
    if work.untested:
        how += (
            f", which is assumed for {' and '.join(work.untested)}: whether spreads differ, fewer than "
            f"{_LEAST_TO_TEST} seeds cannot tell"
        )
    direction = "point minus base"
    if work.design.mode == LEAVE_ONE_OUT:
        direction += ": a point takes one choice of the base back, so a choice that pays shows as a loss"
    together = f" ({QUANTITIES * interactions} for the interactions)" if interactions else ""
    weights = (
        "the same initial weights of every parameter that both have by name and shape"
        if weights_by_name
        else "the same initial weights up to the first layer that differs"
    )
    return (
        f"Effects are {direction}, from differences paired by seed (same data order, {weights}). "
        f"Latency: ratios to the reference measured afresh in every trial, on logarithms. {CONFIDENCE * 100:g} % "
        f"intervals: {how}, {CORRECTION}-corrected for {work.comparisons} comparisons, of top-1 and latency "
        f"together{together}. "
        "Params and MACs are exact."
    )


def _warnings(work: Paired, rows: Sequence[AblationRow]) -> tuple[str, ...]:
    texts = [*cell_warnings(work.cells, work.design), *work.refusals]
    if len(work.design.seeds) == 1 and rows:
        texts.insert(0, "one seed: no effect has an interval, so nothing can be told; give more seeds")
    equal = [row.label for row in rows for effect in (row.top1, row.latency) if effect.n > 1 and effect.low is None]
    if equal:
        texts.append(f"no interval, because no spread is seen: {', '.join(dict.fromkeys(equal))}")
    return (*texts, *seed_warnings(work.cells, work.design))
