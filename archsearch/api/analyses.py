"""What can be asked of a stored study by name: each analysis with the function that finds its result.

A command, a figure, a section of the report and a property of `Study` all take an analysis from here, so they show one
result. None stands for what was never run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from archsearch.analysis.ablation import Ablation, ablation_of
from archsearch.analysis.confirmed import Confirmed, confirmed_of
from archsearch.analysis.guideline_report import GuidelinesReport
from archsearch.analysis.history import History, hypervolume_history
from archsearch.analysis.importance import Importances
from archsearch.analysis.marginal import Marginal, marginal_effects
from archsearch.api.guidelines_stored import stored_guidelines
from archsearch.api.stored_designs import stored_designs
from archsearch.api.study import Study
from archsearch.api.trust import trust_result
from archsearch.designs import Design, Purpose
from archsearch.errors import ConfigError
from archsearch.models.families import FAMILIES
from archsearch.space.search_space import SearchSpace

logger = logging.getLogger(__name__)


def base_levels(study: Study, design: Design) -> Mapping[str, Any] | None:
    """The base of an ablation as the search space names it; None if it is no point of the space."""
    base = design.points[0]
    if base.family not in FAMILIES:
        return None
    try:
        space = SearchSpace.from_dict(study.info.space)
        return space.suggestion_of(FAMILIES[base.family].base.with_choices(base.choices))
    except ConfigError:  # a space or a network of another version: the points' own choices tell
        return None


def _newest(study: Study, purpose: Purpose) -> tuple[Study, Design] | None:
    """The newest design with points that was made from a study for this purpose."""
    for made in stored_designs(study, purpose, storage=study.storage):
        if made.design is not None and made.design.points:
            return made, made.design
    return None


def _ablation(study: Study) -> Ablation | None:
    found = _newest(study, "ablation")
    return found and ablation_of(found[0].records, found[1], base_levels=base_levels(study, found[1]))


def _confirmed(study: Study) -> Confirmed | None:
    found = _newest(study, "confirm")
    return found and confirmed_of(
        found[0].records, found[1], study.objectives, noise_floor=study.info.noise_floor, original=study.front
    )


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
    "confirmed": _confirmed,
    "trust": trust_result,
    "importances": _importances,
    "marginal": _marginal,
    "history": _history,
    "guidelines": _guidelines,
}
