"""What can be asked of a stored study by name: each analysis with the function that finds its result.

A command, a figure, a section of the report and a property of `Study` all take an analysis from here, so they show one
result. None stands for what was never run.
"""

from __future__ import annotations

import inspect
import logging
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from archsearch.analysis.ablation import Ablation, ablation_of
from archsearch.analysis.baseline import baselines_of
from archsearch.analysis.confusion import Confusion, study_confusion
from archsearch.analysis.final_front import FinalFront, final_front_of
from archsearch.analysis.guidelines import GuidelinesReport
from archsearch.analysis.history import History, LearningCurves, hypervolume_history, learning_curves
from archsearch.analysis.importance import Importances
from archsearch.analysis.level_grid import LevelGrid, level_grid
from archsearch.analysis.marginal import marginal_effects
from archsearch.analysis.means import cut_off_last
from archsearch.analysis.study_front import Bound, PrintedTop1, StudyFront
from archsearch.analysis.trust import Trust, trust_of
from archsearch.api.guidelines import stored_guidelines
from archsearch.api.stored import StoredStudy, is_published
from archsearch.designs import Design
from archsearch.errors import ConfigError, StoreError, UnknownNameError, shown
from archsearch.models.families import FAMILIES
from archsearch.papers.printed import load_papers
from archsearch.records import Record
from archsearch.space.search_space import SearchSpace
from archsearch.store.studies import TRUST_FACTS
from archsearch.training.protocols import PROTOCOLS
from archsearch.training.settings import weights_by_name

logger = logging.getLogger(__name__)

_BOUNDS = ("params", "macs", "memory_bytes", "latency_ms")
# Datasets that sources print accuracies for, with their classes; the column of the source has the same name.
_PRINTED_DATASETS = {"cifar10": 10, "cifar100": 100}


def study_front(study: StoredStudy) -> StudyFront:
    """The front of a stored study with all that is known of its networks: what every command shows of it."""
    return StudyFront(
        **vars(study.front),
        study=study.name,
        named=study.named,
        dataset=str(study.info.config["dataset"]),
        device_name=study.device_name,
        num_classes=study.info.facts.get("num_classes"),
        verdicts=study.verdicts,
        recommendation=study.recommendation,
        canary=study.canary,
        counts=study.counts,
        design=study.design,
        confirmed=study.confirmed,
        bases=baselines_of(study.records),
        readings=study.readings,
        bounds=_bounds(study),
        printed=_printed_top1(study),
        retrainings=study.retrainings,
    )


def _bounds(study: StoredStudy) -> tuple[Bound, ...]:
    """The upper bounds that a study was run with; guidelines are none of them."""
    written = study.info.config.get("constraints", {})
    soft = written.get("soft") or ()
    return tuple(
        Bound(name=name, value=float(written[name]), soft=name in soft) for name in _BOUNDS if written.get(name)
    )


def _printed_top1(study: StoredStudy) -> tuple[PrintedTop1, ...]:
    """What sources print for the study's variants on its dataset; nothing where the dataset is another.

    A folder of one's own counts as the dataset that it is named after, if it has as many classes.
    """
    uri = str(study.info.config["dataset"])
    dataset = uri.rstrip("/").replace(":", "/").rsplit("/", 1)[-1]
    if dataset not in _PRINTED_DATASETS or study.info.facts.get("num_classes") != _PRINTED_DATASETS[dataset]:
        return ()
    variants = {record.variant for record in study.records if record.variant is not None}
    return tuple(
        PrintedTop1(
            variant=row.variant,
            top1_percent=float(number.printed),
            source=paper.source,
            conditions=value.conditions,
        )
        for paper in load_papers()
        for table in paper.tables
        for row in table.rows
        if row.variant in variants
        for value in row.values
        if value.column == dataset
        for number in value.numbers
        if number.kind == "accuracy" and isinstance(number.printed, int | float)
    )


def _base_levels(study: StoredStudy, design: Design) -> Mapping[str, Any] | None:
    """The base of an ablation as the search space names it; None if it is no point of the space."""
    base = design.points[0]
    try:
        space = SearchSpace.from_dict(study.info.space)
        return space.suggestion_of(FAMILIES[base.family].base.with_choices(base.choices))
    except (ConfigError, StoreError):  # a space, family or network of another version: the points' own choices tell
        return None


def check_spread(spread: str) -> None:
    """Raise UnknownNameError for a spread of an ablation's intervals that is neither own nor pooled."""
    if spread not in ("own", "pooled"):
        raise UnknownNameError("spread", spread, ("own", "pooled"))


def ablation_result(made: StoredStudy, *, spread: str = "own") -> Ablation:
    """What an ablation's study found so far.

    `spread`: own: each effect's interval from its own differences; pooled: from one spread of all networks.

    Raises ConfigError if the study is no ablation, or for another spread.
    """
    design = made.design
    if design is None or design.purpose != "ablation" or not design.points:
        raise ConfigError(f"study '{made.name}' is no ablation", hint=shlex.join(["archsearch", "ablate", *made.named]))
    check_spread(spread)
    return ablation_of(
        made.records,
        design,
        base_levels=_base_levels(made, design),
        spread="pooled" if spread == "pooled" else "own",
        weights_by_name=weights_by_name(made.info.config.get("proxy", {})),
    )


def _ablation(study: StoredStudy) -> Ablation | None:
    found = study.newest_design("ablation")
    return found and ablation_result(found[0])


def trust_result(study: StoredStudy) -> Trust | None:
    """What the newest longer training of a searched study's networks says so far; None if there is none.

    Nothing here needs torch: the zero-cost scores were stored when the training was planned.
    Raises StoreError if the database cannot be read.
    """
    made = study.newest_design("trust")
    return made and trust_between(study, made[0])


def trust_between(study: StoredStudy, long: StoredStudy) -> Trust:
    """The same from a searched study and the study of a trust design that was made from it."""
    predictors = stored_predictors(study.records)
    facts = long.info.facts.get(TRUST_FACTS) or {}
    for name, values in facts.get("predictors", {}).items():
        # what the searched study stored itself comes first
        predictors[name] = {**{arch_id: float(value) for arch_id, value in values.items()}, **predictors.get(name, {})}
    again = study.newest_design("confirm")
    spread = None if again is None else study.confirmed_by(*again, draws=0).error_spread
    return trust_of(
        study.records,
        long.records,
        predictors,
        proxy_noise_points=None if spread is None else math.sqrt(spread.variance),
    )


def stored_predictors(records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """params, macs, memory_bytes and latency_ms (drift-corrected p10) of every network of a study that has them.

    Of a network whose trial was cut off they are those of the one that went on with it.
    """
    found: dict[str, dict[str, float]] = {"params": {}, "macs": {}, "memory_bytes": {}, "latency_ms": {}}
    for record in cut_off_last(records):
        if record.cost is not None:
            found["params"].setdefault(record.arch_id, float(record.cost.params))
            found["macs"].setdefault(record.arch_id, float(record.cost.macs))
            if record.cost.memory_bytes is not None:
                found["memory_bytes"].setdefault(record.arch_id, float(record.cost.memory_bytes))
        if record.latency is not None:
            found["latency_ms"].setdefault(record.arch_id, record.latency.corrected_ms)
    return found


def _importances(study: StoredStudy) -> Importances:
    from archsearch.search.importance import importances

    return importances(study.records, study.objectives)


def _grid(study: StoredStudy, choices: str = "") -> LevelGrid:
    named = [name.strip() for name in choices.split(",") if name.strip()]
    return level_grid(study.records, study.objectives, choices=named)


def _history(study: StoredStudy) -> History:
    corner, floor = study.reference_corner, study.info.noise_floor
    return hypervolume_history(study.records, study.objectives, corner, noise_floor=floor)


def _curves(study: StoredStudy) -> LearningCurves:
    members = [row.record.trial for row in study.front.members]
    return learning_curves(study.records_with_curves, members, study=study.name)


def _confusion(study: StoredStudy) -> Confusion | None:
    classes = study.info.facts.get("classes", ())
    return study_confusion(study.labels, study.trainings, classes, study=study.name)


def protocols_of(study: StoredStudy) -> tuple[str, ...]:
    """The protocols that networks of a study were trained in full by."""
    return tuple(sorted({score.protocol for _, score in study.trainings}))


def final_front(study: StoredStudy, protocol: str = "") -> FinalFront | None:
    """What the full trainings of a study's networks say of its front; None if none was trained (by this protocol).

    Raises UnknownNameError for a protocol that neither this version nor the study has.
    """
    if protocol:
        known = [*PROTOCOLS, *protocols_of(study)]
        if protocol not in known:
            raise UnknownNameError("training protocol", protocol, known)
    return final_front_of(
        study.networks,
        study.trainings,
        study.front,
        labels=study.labels,
        published={record.arch_id for record in study.records if is_published(record)},
        study=study.name,
        dataset=str(study.info.config["dataset"]),
        protocol=protocol,
        named=study.named,
    )


def _guidelines(study: StoredStudy) -> GuidelinesReport | None:
    fingerprint = str(study.info.facts.get("device_fingerprint", ""))
    if study.info.board is not None:  # a board's is in its latencies
        fingerprint = next((one.latency.fingerprint for one in study.records if one.latency is not None), "")
    try:
        return stored_guidelines(fingerprint)
    except ConfigError as error:
        logger.warning("the guideline experiments are left out: %s", error)
        return None


def analysis_of(study: StoredStudy, name: str, options: Mapping[str, str] | None = None) -> Any:
    """One analysis of a study; None if it was never made.

    `options`: text for the parameters that its function takes beside the study.

    Raises UnknownNameError for another analysis, ConfigError for an option that it has not or that is no text,
    StoreError if the database cannot be read.
    """
    if name not in ANALYSES:
        raise UnknownNameError("analysis", name, list(ANALYSES))
    known = [each for each, kind in inspect.get_annotations(ANALYSES[name]).items() if kind in ("str", str)]
    for option, value in (options or {}).items():
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise ConfigError(f"{name}: there is no option '{option}'", hint=has)
        if not isinstance(value, str):
            raise ConfigError(
                f"{name}: {option} is a text, got {shown(value)}", hint="several stand with commas: 'A,B'"
            )
    return ANALYSES[name](study, **options or {})


# Each raises StoreError if the database cannot be read.
ANALYSES: Mapping[str, Callable[..., Any]] = {
    "front": study_front,
    "ablation": _ablation,
    "confirmed": lambda study: study.confirmed,
    "trust": trust_result,
    "final": final_front,
    "confusion": _confusion,
    "importances": _importances,
    "marginal": lambda study: marginal_effects(study.records, study.objectives),
    "grid": _grid,
    "history": _history,
    "curves": _curves,
    "guidelines": _guidelines,
}
