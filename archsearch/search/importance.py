"""Importances of a search's choices for each objective, by Optuna's evaluators.

PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255) asks what the best tenth of the networks have in common
that all of them have not; fANOVA (Hutter, Hoos and Leyton-Brown 2014) what share of the variance over the whole space
each choice explains by itself, by a random forest. Either can only speak of networks that the search tried.

How large a share PED-ANOVA gives by chance alone is found by doing the same to shuffled values; a forest takes too long
for that.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.trial import create_trial

from archsearch.analysis.front import DEFAULT_OBJECTIVES
from archsearch.analysis.importance import Importance, Importances, Ranking
from archsearch.analysis.levels import Networks, networks_of
from archsearch.analysis.objectives import OBJECTIVES, resolve_objectives
from archsearch.records import Record
from archsearch.text import level_text

optuna.logging.set_verbosity(optuna.logging.WARNING)

Floats = NDArray[np.float64]

MIN_NETWORKS = 20
_TOP = 0.1  # PED-ANOVA: the best tenth
_MOST = 1_000  # networks that fANOVA's forest is fitted to: beyond, a random part of them


@dataclass(frozen=True)
class _Method:
    name: str
    question: str
    evaluator: Callable[[int], Any]
    most: int | None
    shuffles: int


METHODS = (
    _Method(
        "PED-ANOVA",
        "of what tells the best tenth of the networks from all of them",
        lambda seed: PedAnovaImportanceEvaluator(target_quantile=_TOP),
        None,
        20,
    ),
    _Method(
        "fANOVA",
        "of the variance that the choices explain one by one in a random forest",
        lambda seed: FanovaImportanceEvaluator(n_trees=32, max_depth=6, seed=seed),
        _MOST,
        0,
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
        objectives: names of OBJECTIVES. fANOVA takes logarithms of all but the error: costs act by factors.
        methods: names of METHODS.
        chance: whether to find out what shuffled values give PED-ANOVA, which takes as long as fANOVA.
        seed: of the forest, of the shuffles, and of the part that is taken of very many networks.

    Raises UnknownNameError for an unknown objective, ConfigError for one given twice, ValueError for an unknown method.
    """
    resolve_objectives(objectives)
    unknown = set(methods) - {method.name for method in METHODS}
    if unknown:
        raise ValueError(f"unknown methods: {sorted(unknown)}")
    found = networks_of(records, objectives)
    count = len(found.arch_ids)
    reason = ""
    if count < MIN_NETWORKS:
        reason = f"{count} complete networks of the search space; importances need at least {MIN_NETWORKS}"
    elif not found.varying:
        reason = "every choice had one value in all networks"
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
        networks=count,
        left_out=found.left_out,
        constant=found.constant,
        reason=reason,
    )


def _ranking(found: Networks, column: int, objective: str, method: _Method, *, chance: bool, seed: int) -> Ranking:
    values = found.values[:, column]
    if objective != "error_percent" and (values > 0.0).all():
        values = np.log(values)
    generator = np.random.default_rng(seed)
    chosen = np.arange(len(values))
    if method.most is not None and len(values) > method.most:
        chosen = np.sort(generator.choice(len(values), method.most, replace=False))
    points = [found.points[index] for index in chosen]
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
    study = _study(found, points)
    raw = _raw(study, part, found.varying, method, seed)
    total = sum(raw.values())
    if not total > 0.0:
        return ranking((), "no choice tells the networks apart")
    bounds: dict[str, float] = {}
    if chance and method.shuffles:
        shuffled = [
            _raw(study, generator.permutation(part), found.varying, method, seed + 1 + again)
            for again in range(method.shuffles)
        ]
        bounds = {
            name: min(float(np.quantile([each[name] for each in shuffled], 0.95)) / total, 1.0)
            for name in found.varying
        }
    rows = [
        Importance(choice=name, share=value / total, chance=bounds.get(name), levels=len(found.levels[name]))
        for name, value in raw.items()
    ]
    return ranking(tuple(sorted(rows, key=lambda row: (-row.share, row.choice))))


def _study(found: Networks, points: Sequence[Any]) -> optuna.Study:
    """An Optuna study in memory; the trial's number is its network's place. Levels are names: 1 and True are two."""
    distributions = {
        name: CategoricalDistribution([level_text(value) for value in found.levels[name]]) for name in found.varying
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        study.add_trials(
            create_trial(
                params={name: level_text(point[name]) for name in found.varying},
                distributions=dict(distributions),
                value=0.0,
            )
            for point in points
        )
    return study


def _raw(study: optuna.Study, values: Floats, names: Sequence[str], method: _Method, seed: int) -> dict[str, float]:
    """The evaluator's number for each choice, 0 or more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = method.evaluator(seed).evaluate(
            study, params=list(names), target=lambda trial: float(values[trial.number])
        )
    return {name: max(float(found[name]), 0.0) if math.isfinite(found[name]) else 0.0 for name in names}
