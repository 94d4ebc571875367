"""The marginal effect of every level of every choice, from a model that is fitted to the networks of a search.

Least squares on the levels of all choices at once: y = mean + one effect for each level, the effects of a choice
weighted by how often its levels occur adding up to 0. A slight ridge (Hastie, Tibshirani and Friedman 2009, section
3.4.1) gives an answer where two levels always occur together; one that predicts best would shrink the effects so far
that their intervals miss them. Errors are taken as is, all other objectives as logarithms: costs act by factors. The
intervals are percentiles of a bootstrap over networks (Efron and Tibshirani 1993, chapter 13), each for itself: of 100
intervals of levels without effect about 5 miss 0. How many effects there are is therefore said with all of a model
corrected: Student's t of the effect over its standard error in that bootstrap, by Holm's method (1979, "A simple
sequentially rejective multiple test procedure"), which names one in 5 % of studies if no choice acts.

Observational: a search does not draw its networks at random, and interactions are not in the model. What one choice
does in one network, `archsearch ablate` measures.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.analysis.front import DEFAULT_OBJECTIVES
from archsearch.analysis.intervals import CONFIDENCE, Floats
from archsearch.analysis.levels import OBSERVATIONAL, Networks, counts_text, networks_of
from archsearch.analysis.objectives import ERRORS, OBJECTIVES, resolve_objectives
from archsearch.records import Record
from archsearch.table import Column, InNotebooks, Interval, Table
from archsearch.text import capitalised, level_text, number_text, plural

MIN_NETWORKS = 20
NETWORKS_PER_LEVEL = 1.5  # for each level that is free (all but one of each choice)
MIN_LEVEL = 5  # networks of a level below which its effect gets no interval
BOOTSTRAPS = 200
_FOLDS = 5
_RIDGE = 0.3


@dataclass(frozen=True, kw_only=True)
class LevelEffect:
    """One level of one choice, against the average network of the search.

    Attributes:
        choice, level: as the search space names them; the level as YAML writes it.
        effect: in the model's unit; lower is better, as of every objective.
        low, high: its interval; None where fewer than MIN_LEVEL networks have the level.
        told_among_all: whether it is told from 0 with all effects of the model corrected together; None without an
            interval. The two levels of a choice are one effect.
    """

    choice: str
    level: str
    value: Any
    networks: int
    effect: float
    low: float | None
    high: float | None
    told_among_all: bool | None = None

    @property
    def told_from_zero(self) -> bool | None:
        """Whether its own interval leaves 0 out; None without one."""
        return None if self.low is None or self.high is None else not self.low <= 0.0 <= self.high


@dataclass(frozen=True, kw_only=True)
class MarginalModel:
    """The model of one objective.

    Attributes:
        unit: of the effects: "points" of error, or "%" of what it is otherwise (latency, parameters, ...).
        r2: share of the variance of left-out networks that the model predicts, by 5-fold cross-validation; 0 is what
            the mean of the others predicts. None if all values are equal.
        effects: by choice (the one whose levels differ most first), then by level.
        reason: why there are no effects, or what to hold against them; "" if nothing.
    """

    objective: str
    unit: str
    networks: int
    r2: float | None
    effects: tuple[LevelEffect, ...]
    reason: str = ""

    @property
    def choices(self) -> tuple[str, ...]:
        """The choices, the one whose levels differ most first."""
        return tuple(dict.fromkeys(effect.choice for effect in self.effects))

    @property
    def tested(self) -> tuple[LevelEffect, ...]:
        """The effects that could be told from 0, of a choice with two levels one."""
        known = [each for each in self.effects if each.told_among_all is not None]
        levels = Counter(each.choice for each in self.effects)
        first = {each.choice: each for each in reversed(known)}
        return tuple(each for each in known if levels[each.choice] > 2 or first[each.choice] is each)

    @property
    def sentence(self) -> str:
        """The choice whose levels differ most, and how many effects can be told from none."""
        choice = self.choices[0]
        levels = sorted((each for each in self.effects if each.choice == choice), key=lambda each: each.effect)
        ends = " to ".join(
            f"{number_text(each.effect, decimals=2, signed=True)} {self.unit} ({each.level})"
            for each in (levels[0], levels[-1])
        )
        tested = self.tested
        told = sum(bool(each.told_among_all) for each in tested)
        counted = f"; {told} of {plural(len(tested), 'effect')} can be told from 0" if tested else ""
        return f"{OBJECTIVES[self.objective].short}: the levels of {choice} differ most, from {ends}{counted}."


@dataclass(frozen=True, kw_only=True)
class Marginal(InNotebooks):
    """The models of one study: a `archsearch.table.Result`.

    Attributes:
        study: its name; "" if it has no trial.
        networks, left_out, constant: as `archsearch.analysis.levels` counts them.
        reason: why there are no models; "" if there are.
        note: what may not be concluded.
    """

    study: str
    models: tuple[MarginalModel, ...]
    networks: int
    left_out: int
    constant: tuple[str, ...]
    confidence: float
    reason: str = ""
    note: str = OBSERVATIONAL

    @property
    def told(self) -> tuple[MarginalModel, ...]:
        """The models that have effects."""
        return tuple(model for model in self.models if model.effects)

    @property
    def rows(self) -> tuple[tuple[LevelEffect | None, ...], ...]:
        """Of every level its effect in each of `told`, the choices in order of the best place that one has in any."""
        places: dict[str, tuple[int, int]] = {}
        found: dict[tuple[str, str], dict[str, LevelEffect]] = {}
        for number, model in enumerate(self.told):
            for place, choice in enumerate(model.choices):
                places[choice] = min(places.get(choice, (place, number)), (place, number))
            for effect in model.effects:
                found.setdefault((effect.choice, effect.level), {})[model.objective] = effect
        ordered = sorted(found, key=lambda row: (places[row[0]], row[0]))  # stable: levels stay in their order
        return tuple(tuple(found[row].get(model.objective) for model in self.told) for row in ordered)

    @property
    def title(self) -> str:
        """What was asked, of which study."""
        return f"Marginal effects (observational): study {self.study}"

    @property
    def empty(self) -> str | None:
        """Why there is nothing to show."""
        if self.told:
            return None
        why = self.reason or next((model.reason for model in self.models if model.reason), "no choice varied")
        return f"No marginal effect to show: {why}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """What may not be concluded, from how many networks, and how well the models predict."""
        known = [(model, model.r2) for model in self.told if model.r2 is not None]
        predicted = ", ".join(f"{OBJECTIVES[model.objective].short.lower()} {r2:.2f}" for model, r2 in known)
        variance = f"Variance of left-out networks that the additive model predicts (R²): {predicted}"
        return (
            f"{capitalised(self.note)}; `archsearch ablate` measures what one choice does",
            f"{counts_text(self.networks, self.left_out, self.constant)}{f'. {variance}' if known else ''}",
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """Of each model the choice that goes along with most."""
        return tuple(model.sentence for model in self.told)

    @property
    def method(self) -> str:
        """How the effects and intervals are made."""
        return (
            "Least squares on the levels of all choices at once, with a slight ridge; an effect is against the average "
            f"network, lower is better. {100.0 * self.confidence:g} % intervals of each level for itself: percentiles "
            "of a bootstrap over networks. How many can be told from 0 is corrected for all effects on the objective "
            "(Holm), the two levels of a choice being one."
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be held against the models."""
        return tuple(dict.fromkeys(model.reason for model in self.models if model.reason))

    def tables(self) -> tuple[Table, ...]:
        """A row for each level of each choice, with its effect on every objective."""
        levels = [next(effect for effect in row if effect is not None) for row in self.rows]
        effects = (
            Column(
                title=OBJECTIVES[model.objective].short,
                key=f"{model.objective}_effect_{'points' if model.unit == 'points' else 'percent'}",
                unit=model.unit,
                decimals=2,
                signed=True,
            )
            for model in self.told
        )
        return (
            Table(
                title="Effects of the levels against the average network",
                columns=(
                    Column(title="Choice", whole=True),
                    Column(title="Level", whole=True),
                    Column(title="Networks", decimals=0),
                    *effects,
                ),
                rows=tuple(
                    (
                        level.choice,
                        level.level,
                        level.networks,
                        *(None if each is None else Interval(each.effect, each.low, each.high) for each in row),
                    )
                    for level, row in zip(levels, self.rows, strict=True)
                ),
            ),
        )


def marginal_effects(
    records: Sequence[Record],
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    *,
    bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> Marginal:
    """The marginal effects among these records.

    Args:
        records: of one study, of any status; complete ones with a point of the search space are used.
        bootstraps: resamples; 0 gives no intervals.

    Raises UnknownNameError for an unknown objective, ConfigError for one given twice.
    """
    resolve_objectives(objectives)
    found = networks_of(records, objectives)
    free = sum(len(found.levels[name]) - 1 for name in found.varying)
    needed = max(MIN_NETWORKS, math.ceil(NETWORKS_PER_LEVEL * free))
    reason = found.lacking("marginal effects", needed)
    models: list[MarginalModel] = []
    if not reason:
        design = _Design(found)
        models = [
            _model(objective, values, design, bootstraps, seed)
            for objective, values in zip(objectives, found.values.T, strict=True)
        ]
    return Marginal(
        study=records[0].study if records else "",
        models=tuple(models),
        networks=len(found.arch_ids),
        left_out=found.left_out,
        constant=found.constant,
        confidence=CONFIDENCE,
        reason=reason,
    )


class _Design:
    """The levels of the networks as columns, one for each level of each choice that varies."""

    def __init__(self, found: Networks) -> None:
        self.levels: list[tuple[str, Any]] = []
        self.of_choice: dict[str, list[int]] = {}
        columns: list[NDArray[np.bool_]] = []
        for name in found.varying:
            values = [point[name] for point in found.points]
            texts = np.array([level_text(value) for value in values])
            for value in found.levels[name]:
                self.of_choice.setdefault(name, []).append(len(columns))
                self.levels.append((name, value))
                columns.append(texts == level_text(value))
        self.matrix: Floats = np.array(columns, dtype=np.float64).T
        self.counts = self.matrix.sum(axis=0)

    def centred(self, effects: Floats, weights: Floats) -> Floats:
        """Effects (levels, ...) with the weighted mean of each choice's levels taken off."""
        centred = effects.copy()
        for columns in self.of_choice.values():
            part = weights[columns]
            centred[columns] -= np.average(effects[columns], axis=0, weights=part) if part.sum() else 0.0
        return centred


def _fit(matrix: Floats, target: Floats, weights: Floats) -> tuple[Floats, float]:
    """Coefficients and intercept of weighted ridge regression, the intercept unpenalised."""
    total = weights.sum()
    middle, mean = (weights @ matrix) / total, float(weights @ target) / total
    shifted = matrix - middle
    weighted = shifted * weights[:, None]
    gram = shifted.T @ weighted
    gram[np.diag_indices_from(gram)] += _RIDGE
    coefficients = np.linalg.solve(gram, weighted.T @ (target - mean))
    return coefficients, mean - float(middle @ coefficients)


def _predicted_r2(matrix: Floats, target: Floats, generator: np.random.Generator) -> float:
    folds = generator.permutation(len(target)) % _FOLDS
    lost = spread = 0.0
    for fold in range(_FOLDS):
        held, kept = folds == fold, folds != fold
        coefficients, intercept = _fit(matrix[kept], target[kept], np.ones(int(kept.sum())))
        lost += float(((target[held] - matrix[held] @ coefficients - intercept) ** 2).sum())
        spread += float(((target[held] - target[kept].mean()) ** 2).sum())
    return 1.0 - lost / spread if spread > 0.0 else 0.0


def _told(effects: Floats, errors: Floats, design: _Design, freedom: int) -> dict[int, bool]:
    """Whether each effect with an interval, by its column, is told from 0 among all: Holm's method.

    Args:
        effects, errors: of every level, and their standard errors.
        freedom: degrees of freedom of the residuals.
    """
    from scipy.special import stdtr  # slow to import, and those who only read a study may not need it

    groups: list[list[int]] = []
    for columns in design.of_choice.values():
        known = [column for column in columns if design.counts[column] >= MIN_LEVEL]
        # the effects of two levels are one number, each times the other's share of the networks
        groups += [known] if len(columns) == 2 and known else [[column] for column in known]
    # an effect without any error is told if it is one
    chances = [
        2.0 * float(stdtr(freedom, -abs(effects[column]) / errors[column]))
        if errors[column] > 0.0
        else float(effects[column] == 0.0)
        for column, *_ in groups
    ]
    found: dict[int, bool] = {}
    still = True
    for place, index in enumerate(np.argsort(chances, kind="stable").tolist()):
        still = still and chances[index] <= (1.0 - CONFIDENCE) / (len(groups) - place)
        found.update(dict.fromkeys(groups[index], still))
    return found


def _model(objective: str, raw: Floats, design: _Design, bootstraps: int, seed: int) -> MarginalModel:
    linear = objective in ERRORS
    unit = "points" if linear else "%"
    count = len(raw)
    title = OBJECTIVES[objective].short.lower()

    def nothing(reason: str) -> MarginalModel:
        return MarginalModel(objective=objective, unit=unit, networks=count, r2=None, effects=(), reason=reason)

    if not linear and (raw <= 0.0).any():
        return nothing(f"a {title} of 0 has no logarithm")
    target = raw if linear else np.log(raw)
    if np.ptp(target) <= 1e-12 * max(1.0, float(np.abs(target).max())):
        return nothing(f"all networks have the same {title}")
    generator = np.random.default_rng(seed)
    matrix = design.matrix
    r2 = _predicted_r2(matrix, target, generator)
    effects = design.centred(_fit(matrix, target, np.ones(count))[0], design.counts)
    ends = np.empty((0, len(effects)))
    told: dict[int, bool] = {}
    if bootstraps > 0:
        drawn = np.empty((bootstraps, len(effects)))
        for row in drawn:
            weights = np.bincount(generator.integers(count, size=count), minlength=count).astype(np.float64)
            row[:] = design.centred(_fit(matrix, target, weights)[0], design.counts)
        tail = (1.0 - CONFIDENCE) / 2.0
        ends = np.quantile(drawn, (tail, 1.0 - tail), axis=0)
        freedom = count - 1 - sum(len(columns) - 1 for columns in design.of_choice.values())
        told = _told(effects, drawn.std(axis=0), design, freedom)

    def shown(value: float) -> float:
        return float(value) if linear else 100.0 * math.expm1(value)

    rows: dict[str, list[LevelEffect]] = {}
    for column, (name, level) in enumerate(design.levels):
        networks = int(design.counts[column])
        low, high = map(shown, ends[:, column]) if len(ends) and networks >= MIN_LEVEL else (None, None)
        rows.setdefault(name, []).append(
            LevelEffect(
                choice=name,
                level=level_text(level),
                value=level,
                networks=networks,
                effect=shown(effects[column]),
                low=low,
                high=high,
                told_among_all=told.get(column),
            )
        )
    spread = {name: float(np.ptp(effects[columns])) for name, columns in design.of_choice.items()}
    order = sorted(rows, key=lambda name: (-spread[name], name))
    reason = ""
    if r2 <= 0.0:
        reason = f"the model predicts the {title} of left-out networks no better than their mean: its effects are noise"
    return MarginalModel(
        objective=objective,
        unit=unit,
        networks=count,
        r2=r2,
        effects=tuple(effect for name in order for effect in rows[name]),
        reason=reason,
    )
