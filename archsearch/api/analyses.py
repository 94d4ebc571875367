"""What can be asked of a stored study by name: each analysis with the function that finds its result.

A command, a figure, a section of the report and a property of `Study` all take an analysis from here, so they show one
result. None stands for what was never run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from archsearch.analysis.ablation import Ablation, ablation_of
from archsearch.analysis.guidelines import GuidelinesReport
from archsearch.analysis.history import History, hypervolume_history
from archsearch.analysis.importance import Importances
from archsearch.analysis.marginal import Marginal, marginal_effects
from archsearch.api.guidelines import stored_guidelines
from archsearch.api.study import Study, newest_design
from archsearch.api.trust import trust_result
from archsearch.designs import Design
from archsearch.errors import ConfigError
from archsearch.models.families import FAMILIES
from archsearch.space.search_space import SearchSpace

logger = logging.getLogger(__name__)


def _base_levels(study: Study, design: Design) -> Mapping[str, Any] | None:
    """The base of an ablation as the search space names it; None if it is no point of the space."""
    base = design.points[0]
    if base.family not in FAMILIES:
        return None
    try:
        space = SearchSpace.from_dict(study.info.space)
        return space.suggestion_of(FAMILIES[base.family].base.with_choices(base.choices))
    except ConfigError:  # a space or a network of another version: the points' own choices tell
        return None


def ablation_result(made: Study, *, confidence: float = 0.95, spread: str = "own") -> Ablation:
    """What an ablation's study found so far.

    Args:
        confidence: of the intervals.
        spread: own: each effect's interval from its own differences; pooled: from one spread of all networks.

    Raises ConfigError if the study is no ablation, or for another spread.
    """
    design = made.design
    if design is None or design.purpose != "ablation" or not design.points:
        raise ConfigError(f"study '{made.name}' is no ablation", hint=f"archsearch ablate --study {made.name}")
    if spread not in ("own", "pooled"):
        raise ConfigError(f"--spread {spread}: unknown", hint="own or pooled")
    return ablation_of(
        made.records,
        design,
        confidence=confidence,
        base_levels=_base_levels(made, design),
        spread="pooled" if spread == "pooled" else "own",
    )


def _ablation(study: Study) -> Ablation | None:
    found = newest_design(study, "ablation")
    return found and ablation_result(found[0])


def _importances(study: Study) -> Importances:
    from archsearch.search.importance import importances

    return importances(study.records, study.objectives)


def _marginal(study: Study) -> Marginal:
    return marginal_effects(study.records, study.objectives)


def _history(study: Study) -> History:
    point = study.info.reference_point
    corner = None if point is None else [point[name] for name in study.objectives]
    return hypervolume_history(study.records, study.objectives, corner, noise_floor=study.info.noise_floor)


def _guidelines(study: Study) -> GuidelinesReport | None:
    try:
        return stored_guidelines(str(study.info.facts.get("device_fingerprint", "")))
    except ConfigError as error:
        logger.warning("the guideline experiments are left out: %s", error)
        return None


# Each raises StoreError if the database cannot be read.
ANALYSES: Mapping[str, Callable[[Study], Any]] = {
    "ablation": _ablation,
    "confirmed": lambda study: study.confirmed,
    "trust": trust_result,
    "importances": _importances,
    "marginal": _marginal,
    "history": _history,
    "guidelines": _guidelines,
}
