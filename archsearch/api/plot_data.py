"""What the plots of a stored study draw from: its records with curves, and what is known of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from archsearch.analysis.baseline import baselines_of
from archsearch.api.analyses import ANALYSES
from archsearch.api.paths import open_database
from archsearch.papers.printed import Paper, Row, load_papers
from archsearch.plots.bounds import Bound
from archsearch.plots.catalog import PlotData
from archsearch.plots.printed import PrintedTop1
from archsearch.records import Record
from archsearch.store.trials import load_records

if TYPE_CHECKING:
    from archsearch.api.study import Study

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
        everything: whether all of `ANALYSES` are worked out, and the learning curves read.
        parts: those of `ANALYSES` that are, if not all; `records` stands for the curves.

    Raises StoreError if the database cannot be read.
    """
    point = study.info.reference_point
    data = PlotData(
        records=study.records,
        study=study.name,
        dataset=str(study.info.config["dataset"]),
        objectives=study.objectives,
        reference_point=None if point is None else tuple(float(point[name]) for name in study.objectives),
        device_name=study.device_name,
        noise_floor=study.info.noise_floor,
        latency_batch=study.info.latency_batch,
        constraints=bounds_of(study),
        canary=study.canary,
        bases=baselines_of(study.records),
        recommended=study.recommendation.trial,
        readings=study.readings,
        printed=printed_top1(study),
    )
    found = {name: find(study) for name, find in ANALYSES.items() if everything or name in parts}
    curves = everything or "records" in parts
    return replace(
        data, results=found, records=records_with_curves(study, storage=storage) if curves else study.records
    )


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
