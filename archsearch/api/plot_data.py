"""What the plots of a stored study draw from: its records with curves, and what is known of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from archsearch.analysis.ablation import Ablation, ablation_of
from archsearch.analysis.confirmed import Confirmed, confirmed_of
from archsearch.analysis.guideline_report import GuidelinesReport
from archsearch.analysis.history import History, hypervolume_history
from archsearch.analysis.importance import Importances
from archsearch.analysis.marginal import Marginal, marginal_effects
from archsearch.analysis.trust import Trust
from archsearch.api.guidelines_stored import stored_guidelines
from archsearch.api.pareto import device_name
from archsearch.api.places import open_database
from archsearch.api.stored_designs import stored_designs
from archsearch.api.study import Study
from archsearch.api.trust import trust_result
from archsearch.designs import Design, Purpose
from archsearch.errors import ConfigError
from archsearch.models.families import FAMILIES
from archsearch.papers.printed import Paper, Row, load_papers
from archsearch.plots.bounds import Bound
from archsearch.plots.catalog import PlotData
from archsearch.plots.printed import PrintedTop1
from archsearch.records import Record
from archsearch.space.search_space import SearchSpace
from archsearch.store.trials import load_records

logger = logging.getLogger(__name__)

_BOUNDS = ("params", "macs", "memory_bytes", "latency_ms")
# Datasets that sources print accuracies for, with their classes; the column of the source has the same name.
_PRINTED_DATASETS = {"cifar10": 10, "cifar100": 100}


def plot_data(
    study: Study, *, storage: str | None = None, everything: bool = True, parts: Collection[str] = ()
) -> PlotData:
    """All that the plots of a stored study may ask for.

    Args:
        study: as `open_study` gives it.
        storage: the database that it was opened from.
        everything: whether all of `PARTS` are worked out.
        parts: those of `PARTS` that are, if not all.

    Raises StoreError if the database cannot be read.
    """
    point = study.info.reference_point
    data = PlotData(
        records=study.records,
        study=study.name,
        dataset=str(study.info.config["dataset"]),
        objectives=study.objectives,
        reference_point=None if point is None else tuple(float(point[name]) for name in study.objectives),
        device_name=device_name(study),
        noise_floor=study.info.noise_floor,
        latency_batch=study.info.latency_batch,
        constraints=bounds_of(study),
        canary=study.canary,
        bases={
            family: FAMILIES[family].base.choices()
            for family in sorted({record.family for record in study.records})
            if family in FAMILIES
        },
        readings=study.readings,
        printed=printed_top1(study),
    )
    found = {name: fill(study, storage) for name, fill in PARTS.items() if everything or name in parts}
    return replace(data, **found)


def records_with_curves(study: Study, *, storage: str | None = None) -> tuple[Record, ...]:
    """The records of a study with their learning curves. Raises StoreError if the database cannot be read."""
    database = open_database(storage, create=False)
    try:
        return load_records(database, study.info.id, with_curves=True)
    finally:
        database.close()


def bounds_of(study: Study) -> tuple[Bound, ...]:
    """The upper bounds that a study was run with; guidelines are none of them."""
    written = study.info.config.get("constraints", {})
    soft = written.get("soft") or ()
    return tuple(
        Bound(name=name, value=float(written[name]), soft=name in soft) for name in _BOUNDS if written.get(name)
    )


def printed_top1(study: Study) -> tuple[PrintedTop1, ...]:
    """What sources print for the study's variants on its dataset; nothing where the dataset is another.

    A folder of one's own counts as the dataset that it is named after, if it has as many classes.
    """
    uri = str(study.info.config["dataset"])
    dataset = uri.rstrip("/").replace(":", "/").rsplit("/", 1)[-1]
    if dataset not in _PRINTED_DATASETS or study.info.facts.get("num_classes") != _PRINTED_DATASETS[dataset]:
        return ()
    variants = {record.variant for record in study.records if record.variant is not None}
    return tuple(
        found
        for paper in load_papers()
        for table in paper.tables
        for row in table.rows
        if row.variant in variants
        for found in _printed(paper, row, dataset)
    )


def _printed(paper: Paper, row: Row, dataset: str) -> Iterator[PrintedTop1]:
    for value in row.values:
        if value.column != dataset:
            continue
        for number in value.numbers:
            if number.kind == "accuracy" and isinstance(number.printed, int | float):
                yield PrintedTop1(
                    variant=row.variant or "",
                    top1_percent=float(number.printed),
                    source=paper.source,
                    conditions=value.conditions,
                )


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


def _newest(study: Study, purpose: Purpose, storage: str | None) -> tuple[Study, Design] | None:
    """The newest design with points that was made from a study for this purpose."""
    for made in stored_designs(study, purpose, storage=storage):
        if made.design is not None and made.design.points:
            return made, made.design
    return None


def _ablation(study: Study, storage: str | None) -> Ablation | None:
    found = _newest(study, "ablation", storage)
    return found and ablation_of(found[0].records, found[1], base_levels=base_levels(study, found[1]))


def _confirmed(study: Study, storage: str | None) -> Confirmed | None:
    found = _newest(study, "confirm", storage)
    return found and confirmed_of(
        found[0].records, found[1], study.objectives, noise_floor=study.info.noise_floor, original=study.front
    )


def _trust(study: Study, storage: str | None) -> Trust | None:
    return trust_result(study, storage=storage)


def _importances(study: Study, _storage: str | None) -> Importances:
    from archsearch.search.importance import importances

    return importances(study.records, study.objectives)


def _marginal(study: Study, _storage: str | None) -> Marginal:
    return marginal_effects(study.records, study.objectives)


def _history(study: Study, _storage: str | None) -> History:
    point = study.info.reference_point
    corner = None if point is None else [point[name] for name in study.objectives]
    return hypervolume_history(study.records, study.objectives, corner, noise_floor=study.info.noise_floor)


def _guidelines(study: Study, _storage: str | None) -> GuidelinesReport | None:
    try:
        return stored_guidelines(str(study.info.facts.get("device_fingerprint", "")))
    except ConfigError as error:
        logger.warning("the guideline experiments are left out: %s", error)
        return None


# Fields of PlotData that take time, and how each is worked out.
PARTS: Mapping[str, Callable[[Study, str | None], Any]] = {
    "records": lambda study, storage: records_with_curves(study, storage=storage),
    "ablation": _ablation,
    "confirmed": _confirmed,
    "trust": _trust,
    "importances": _importances,
    "marginal": _marginal,
    "history": _history,
    "guidelines": _guidelines,
}
