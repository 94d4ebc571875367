"""Importances of a search's choices for each objective.

PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255) asks what the best tenth of the networks have in common
that all of them have not; fANOVA (Hutter, Hoos and Leyton-Brown 2014) what share of the variance over the whole space
each choice explains by itself, by a random forest. Either can only speak of networks that the search tried.

How large a share PED-ANOVA gives by chance alone is found by doing the same to shuffled values, hundreds of times: so
its numbers are computed here, for all shuffles at once, as Optuna's evaluator computes them one by one. A forest, which
is Optuna's, takes too long for that.

A choice is above chance if its number is larger than the largest of any choice is in 95 % of the shuffles (Westfall and
Young 1993, "Resampling-based multiple testing", chapter 2): where no choice acts, one is named in 5 % of studies.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import create_trial

from archsearch.analysis.front import DEFAULT_OBJECTIVES
from archsearch.analysis.importance import Importance, Importances, Ranking
from archsearch.analysis.levels import Networks, networks_of
from archsearch.analysis.objectives import ERRORS, OBJECTIVES, resolve_objectives
from archsearch.noise import ordered_bound
from archsearch.records import Record
from archsearch.text import level_text

optuna.logging.set_verbosity(optuna.logging.WARNING)

Floats = NDArray[np.float64]

MIN_NETWORKS = 20
_TOP = 0.1  # PED-ANOVA: the best tenth
_SHUFFLES = 199  # (n + 1) x 0.95 is a whole number
_MOST = 1_000  # networks that fANOVA's forest is fitted to: beyond, a random part of them


@dataclass(frozen=True)
class _Tried:
    """Networks of a search: each one's point, and of every choice that varies its levels."""

    points: Sequence[Mapping[str, Any]]
    levels: Mapping[str, Sequence[Any]]


def _best(values: Floats) -> Floats:
    """1.0 for each network of the best tenth, those equal to its last included, else 0.0."""
    last = math.ceil(_TOP * len(values)) - 1
    return np.asarray(values <= np.partition(values, last)[last], dtype=np.float64)


def _ped_anova(tried: _Tried, *best: Floats) -> list[dict[str, float]]:
    """Of each set of best networks a number for each choice: the Pearson divergence of the densities of its levels.

    The paper's measure, from the densities of the best networks and of all. A density is that of Optuna's Parzen
    estimator of a categorical choice: each of the k levels that occur has a kernel that gives 1 + 1/(k + 1) to itself
    and 1/(k + 1) to each other level, and one more, for the prior, is uniform. A factor that all choices share is left
    out.
    """
    sets = np.array(best)
    numbers = {}
    for name, levels in tried.levels.items():
        places = {level_text(level): place for place, level in enumerate(levels)}
        which = np.array([places[level_text(point[name])] for point in tried.points])
        has = np.eye(len(levels))[which]
        chosen, everything = _density(sets @ has), _density(has.sum(axis=0)[None])
        numbers[name] = (everything * (chosen / everything - 1.0) ** 2).sum(axis=1)
    return [{name: float(found[row]) for name, found in numbers.items()} for row in range(len(sets))]


def _density(counts: Floats) -> Floats:
    """(sets, levels): the density of the levels, given how often each occurs."""
    levels, count = counts.shape[1], counts.sum(axis=1, keepdims=True)
    other = 1.0 / ((counts > 0.0).sum(axis=1, keepdims=True) + 1.0)
    kernels = (counts + other * count) / (1.0 + levels * other)
    density: Floats = (kernels + 1.0 / levels) / (count + 1.0)
    return density


def _fanova(tried: _Tried, values: Floats, seed: int) -> dict[str, float]:
    """By Optuna, from a study in memory; the trial's number is its network's place. Levels are names: 1 and True are
    two."""
    distributions = {
        name: CategoricalDistribution([level_text(level) for level in levels]) for name, levels in tried.levels.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        study.add_trials(
            create_trial(
                params={name: level_text(point[name]) for name in distributions},
                distributions=dict(distributions),
                value=float(value),
            )
            for point, value in zip(tried.points, values, strict=True)
        )
        found = FanovaImportanceEvaluator(n_trees=32, max_depth=6, seed=seed).evaluate(
            study, params=list(distributions)
        )
    return {name: max(float(found[name]), 0.0) if math.isfinite(found[name]) else 0.0 for name in distributions}


@dataclass(frozen=True)
class _Method:
    """`numbers`: of the networks, their values (lower is better) and a seed, 0 or more for each choice."""

    name: str
    question: str
    numbers: Callable[[_Tried, Floats, int], dict[str, float]]
    most: int | None
    shuffled: bool


METHODS = (
    _Method(
        "PED-ANOVA",
        "of what tells the best tenth of the networks from all of them",
        lambda tried, values, seed: _ped_anova(tried, _best(values))[0],
        None,
        True,
    ),
    _Method(
        "fANOVA",
        "of the variance that the choices explain one by one in a random forest",
        _fanova,
        _MOST,
        False,
    ),
)


def importances(
    records: Sequence[Record],
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    *,
    methods: Sequence[str] = ("PED-ANOVA", "fANOVA"),
    chance: bool = True,
    seed: int = 0,
) -> Importances:
    """The importances among these records.

    Args:
        records: of one study, of any status; complete ones with a point of the search space are used.
        objectives: names of OBJECTIVES. fANOVA takes logarithms of all but errors: costs act by factors.
        methods: names of METHODS.
        chance: whether to find out what shuffled values give PED-ANOVA.
        seed: of the forest, of the shuffles, and of the part that is taken of very many networks.

    Raises UnknownNameError for an unknown objective, ConfigError for one given twice, ValueError for an unknown method.
    """
    resolve_objectives(objectives)
    unknown = set(methods) - {method.name for method in METHODS}
    if unknown:
        raise ValueError(f"unknown methods: {sorted(unknown)}")
    found = networks_of(records, objectives)
    reason = found.lacking("importances", MIN_NETWORKS)
    rankings = (
        ()
        if reason
        else tuple(
            _ranking(found, column, objective, method, chance=chance, seed=seed)
            for column, objective in enumerate(objectives)
            for method in METHODS
            if method.name in methods
        )
    )
    return Importances(
        study=records[0].study if records else "",
        rankings=rankings,
        networks=len(found.arch_ids),
        left_out=found.left_out,
        constant=found.constant,
        reason=reason,
    )


def _ranking(found: Networks, column: int, objective: str, method: _Method, *, chance: bool, seed: int) -> Ranking:
    values = found.values[:, column]
    if objective not in ERRORS and (values > 0.0).all():
        values = np.log(values)
    generator = np.random.default_rng(seed)
    chosen = np.arange(len(values))
    if method.most is not None and len(values) > method.most:
        chosen = np.sort(generator.choice(len(values), method.most, replace=False))
    tried = _Tried(
        points=[found.points[index] for index in chosen],
        levels={name: found.levels[name] for name in found.varying},
    )
    part = values[chosen]

    def ranking(rows: tuple[Importance, ...], reason: str = "") -> Ranking:
        return Ranking(
            objective=objective,
            method=method.name,
            question=method.question,
            networks=len(chosen),
            rows=rows,
            reason=reason,
        )

    if np.ptp(part) <= 1e-12 * max(1.0, float(np.abs(part).max())):
        return ranking((), f"all networks have the same {OBJECTIVES[objective].short.lower()}")
    raw = method.numbers(tried, part, seed)
    total = sum(raw.values())
    if not total > 0.0:
        return ranking((), "no choice tells the networks apart")
    bound: float | None = None
    if chance and method.shuffled:
        best = np.array([generator.permutation(_best(part)) for _ in range(_SHUFFLES)])
        largest = [max(each.values()) for each in _ped_anova(tried, *best)]
        bound = min(ordered_bound(np.array(largest)) / total, 1.0)
    rows = [
        Importance(choice=name, share=value / total, chance=bound, levels=len(found.levels[name]))
        for name, value in raw.items()
    ]
    return ranking(tuple(sorted(rows, key=lambda row: (-row.share, row.choice))))
