"""Frozen records from and to rows, read as columns (the ORM's objects cost most of the time); rows held for writing."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from archsearch.designs import Design, DesignPoint
from archsearch.errors import StoreError
from archsearch.models.spec import ChoiceValue
from archsearch.records import (
    Cost,
    EarlyStop,
    Epoch,
    Latency,
    Phases,
    Record,
    Score,
    TrialStatus,
    known_fields,
    precision_before,
)  # fmt: skip
from archsearch.store.database import Database
from archsearch.store.reading import raw_columns, read_as_stored, values_of
from archsearch.store.retry import retried
from archsearch.store.schema import LatencyRow, StudyRow, TrainingRow, TrialRow, utc_now

# Designs in the database: in the configuration of their study, and as keys that stand in place of a variant's name.

DESIGN = "design"  # the key of StudyInfo.config
_KEY = re.compile(r"@(\d+)#(\d+)")


def trial_key(index: int, seed: int) -> str:
    """What names the trial of a design's point (by its place) with a seed; no network is called so."""
    return f"@{index}#{seed}"


def parse_key(key: str | None) -> tuple[int, int] | None:
    """Place and seed of a key that `trial_key` made; None for everything else."""
    found = None if key is None else _KEY.fullmatch(key)
    return None if found is None else (int(found[1]), int(found[2]))


def trial_keys(design: Design) -> tuple[str, ...]:
    """The keys of every trial of a design, in order of evaluation: all points with the first seed first."""
    return tuple(trial_key(index, seed) for seed in design.seeds for index in range(len(design.points)))


def point_of(key: str | None, design: Design) -> DesignPoint | None:
    """The point that a key names; None if it names none of this design."""
    parsed = parse_key(key)
    return None if parsed is None or parsed[0] >= len(design.points) else design.points[parsed[0]]


def design_of(config: Mapping[str, Any]) -> Design | None:
    """The design in a study's stored configuration; None if it has none. Keys of other versions are left out."""
    facts = config.get(DESIGN)
    if facts is None:
        return None
    points = tuple(DesignPoint(**known_fields(DesignPoint, point)) for point in facts["points"])
    return Design(**known_fields(Design, facts) | {"points": points, "seeds": tuple(facts["seeds"])})


@retried
def widen_design(database: Database, study_id: int, seeds: Sequence[int]) -> tuple[int, ...]:
    """Store further seeds of a study's design behind those that it has; returns all of them."""
    with database.writing() as session:
        row = session.scalars(select(StudyRow).where(StudyRow.id == study_id).with_for_update(key_share=True)).one()
        facts = row.config[DESIGN]
        union = tuple(dict.fromkeys([*facts["seeds"], *seeds]))
        if union != tuple(facts["seeds"]):
            row.config = {**row.config, DESIGN: {**facts, "seeds": list(union)}}
        return union


EARLY_STOP, PHASES = "early_stop", "phases"  # keys of TrainingRow.details
_LATENCY_COLUMNS = ("fingerprint", "p10_ms", "median_ms", "p90_ms")
_TRAINING_COLUMNS = ("protocol", "split", "epochs", "seed", "top1_percent")


def latency_to_row(latency: Latency, arch_id: str) -> LatencyRow:
    """A latency as a row; fields without a column of their own go into `details`."""
    facts = asdict(latency)
    columns = {name: facts.pop(name) for name in _LATENCY_COLUMNS}
    return LatencyRow(arch_id=arch_id, details=facts, measured_at=utc_now(), **columns)


def change_latency(row: LatencyRow, latency: Latency) -> None:
    """Make a row the latency that was measured later, of the same network."""
    facts = asdict(latency)
    for name in _LATENCY_COLUMNS:
        setattr(row, name, facts.pop(name))
    row.details, row.measured_at = facts, utc_now()


def score_to_row(score: Score, study_id: int, arch_id: str) -> TrainingRow:
    """A score as a row, its curve apart from the rest so that it is read only when wanted."""
    facts = asdict(score)
    curve = list(facts.pop("curve"))
    columns = {name: facts.pop(name) for name in _TRAINING_COLUMNS}
    return TrainingRow(study_id=study_id, arch_id=arch_id, details=facts, curve=curve, **columns)


def score_query(*, with_curve: bool, checked: bool) -> list[Any]:
    """The columns that `score_of` takes."""
    return raw_columns(TrainingRow, _training_names(with_curve), checked=checked)


def score_of(found: Sequence[Any], where: str, *, with_curve: bool) -> Score:
    """The frozen score of a row of `score_query`; its curve is empty unless asked for.

    Raises StoreError, beginning with `where`, for what is no score.
    """
    return _score(values_of(TrainingRow, _training_names(with_curve), found, where), where)


def curve_of(points: Sequence[Any]) -> tuple[Epoch, ...]:
    """A stored learning curve. Raises pydantic.ValidationError if it is none."""
    return _CURVE.validate_python(points)


_CURVE = TypeAdapter(tuple[Epoch, ...])
_LATENCY, _SCORE = TypeAdapter(Latency), TypeAdapter(Score)
_EARLY_STOP, _PHASES = TypeAdapter(EarlyStop), TypeAdapter(Phases)

_TRIAL_NAMES = (
    "number", "study_id", "latency_id", "training_id", "arch_id", "family", "choices", "suggested", "status", "variant",
    "reason", "cost", "seconds",
)  # fmt: skip
_LATENCY_NAMES = (*_LATENCY_COLUMNS, "details", "arch_id")


def _training_names(with_curve: bool) -> tuple[str, ...]:
    return (*_TRAINING_COLUMNS, "details", "arch_id", "study_id", *(("curve",) if with_curve else ()))


def record_query(study_id: int, *, with_curves: bool, checked: bool) -> Select[Any]:
    """The columns that `record_of` takes, of every trial of a study that has a number, in order of number."""
    columns = (
        *raw_columns(TrialRow, _TRIAL_NAMES, checked=checked),
        LatencyRow.id,
        *raw_columns(LatencyRow, _LATENCY_NAMES, checked=checked),
        TrainingRow.id,
        *raw_columns(TrainingRow, _training_names(with_curves), checked=checked),
    )
    return (
        select(*columns)
        .outerjoin(LatencyRow, LatencyRow.id == TrialRow.latency_id)
        .outerjoin(TrainingRow, TrainingRow.id == TrialRow.training_id)
        .where(TrialRow.study_id == study_id, TrialRow.number.is_not(None))
        .order_by(TrialRow.number)
    )


_LATENCY_AT = len(_TRIAL_NAMES) + 1
_TRAINING_AT = _LATENCY_AT + len(_LATENCY_NAMES) + 2


def record_of(row: Row[Any], study: str, design: Design | None = None) -> Record:
    """The record of one row of `record_query`; `design` is the study's, if it has one.

    Raises StoreError that names the study, the trial and the column for what was changed, or is no record.
    """
    trial, latency, training = row[:_LATENCY_AT], row[_LATENCY_AT:_TRAINING_AT], row[_TRAINING_AT:]
    where = f"study '{study}', trial {trial[0]}"
    facts = values_of(TrialRow, _TRIAL_NAMES, trial, where)
    for name, found in (("latency_id", latency[0]), ("training_id", training[0])):
        if facts[name] != found:
            raise StoreError(f"{where}: the row that column '{name}' of archsearch_trials means is gone")
    score = early_stop = phases = None
    if training[0] is not None:
        names = _training_names(len(training) - 2 > len(_training_names(with_curve=False)))
        trained = values_of(TrainingRow, names, training[1:], where)
        score = _score(trained, where)
        with read_as_stored(f"{where}: column 'details' of archsearch_trainings"):
            stop, spent = trained["details"].get(EARLY_STOP), trained["details"].get(PHASES)
            early_stop = None if stop is None else _EARLY_STOP.validate_python(stop)
            phases = None if spent is None else _PHASES.validate_python(spent)
    measured = None
    if latency[0] is not None:
        measured = _latency(values_of(LatencyRow, _LATENCY_NAMES, latency[1:], where), where)
    read = {}
    for name, kind in _TRIAL_KINDS.items():
        with read_as_stored(f"{where}: column '{name}' of archsearch_trials"):
            read[name] = kind.validate_python(facts[name])
    point = None if design is None else point_of(read["variant"], design)
    if design is not None:
        read["variant"] = None if point is None else point.variant
    return Record(
        study=study,
        trial=read["number"],
        arch_id=read["arch_id"] or "",
        family=read["family"] or "",
        choices=read["choices"] or {},
        suggested=read["suggested"] or {},
        status=read["status"],
        variant=read["variant"],
        reason=read["reason"],
        cost=read["cost"],
        latency=measured,
        score=score,
        early_stop=early_stop,
        seconds=read["seconds"],
        point=None if point is None else point.name,
        phases=phases,
    )


_TRIAL_KINDS: Mapping[str, TypeAdapter[Any]] = {
    "number": TypeAdapter(int),
    "arch_id": TypeAdapter(str | None),
    "family": TypeAdapter(str | None),
    "choices": TypeAdapter(dict[str, ChoiceValue] | None),
    "suggested": TypeAdapter(dict[str, ChoiceValue] | None),
    "status": TypeAdapter(TrialStatus),
    "variant": TypeAdapter(str | None),
    "reason": TypeAdapter(str | None),
    "cost": TypeAdapter(Cost | None),
    "seconds": TypeAdapter(float | None),
}


def _latency(values: Mapping[str, Any], where: str) -> Latency:
    with read_as_stored(f"{where}: the latency (archsearch_latencies)"):
        facts = {**values["details"], **{name: values[name] for name in _LATENCY_COLUMNS}}
        facts.setdefault("precision", precision_before(str(facts.get("device", "cpu"))))
        for other in facts.get("also", ()):
            other.setdefault("precision", precision_before(str(other.get("device", "cpu"))))
        found = _LATENCY.validate_python(facts)
        for one in (found, *found.also):
            for name in ("p10_ms", "median_ms", "p90_ms", "ratio_to_reference", "reference_p10_ms"):
                if not 0.0 < getattr(one, name) < inf:
                    raise ValueError(f"{name} is {getattr(one, name)!r}")
        return found


def _score(values: Mapping[str, Any], where: str) -> Score:
    with read_as_stored(f"{where}: the training (archsearch_trainings)"):
        facts = {**values["details"], **{name: values[name] for name in _TRAINING_COLUMNS}}
        found = _SCORE.validate_python({**facts, "curve": values.get("curve", ())})
        if not 0.0 <= found.top1_percent <= 100.0:
            raise ValueError(f"top1_percent is {found.top1_percent!r}")
        return found


# Holding a study and its trials for writing: a trial ends once, whoever comes late.
#
# Locks are taken in one order, the study before its trials: two orders would be a deadlock. They leave the keys free
# (PostgreSQL's FOR NO KEY UPDATE; SQLite has one writer at a time anyway), so that a row which only refers to the
# study does not wait.

logger = logging.getLogger(__name__)


def lock_study(session: Session, study_id: int) -> None:
    """Hold a study to the end of the transaction: whoever changes which trials it has comes one after the other.

    Raises StoreError if there is no such study.
    """
    session.scalars(select(StudyRow.id).where(StudyRow.id == study_id).with_for_update(key_share=True)).one()


def lock_trial(session: Session, row_id: int) -> TrialRow:
    """A trial's row, held with its study to the end of the transaction.

    Raises StoreError if there is no such trial.
    """
    lock_study(session, session.scalars(select(TrialRow.study_id).where(TrialRow.id == row_id)).one())
    return session.get_one(TrialRow, row_id, with_for_update={"key_share": True})


def lock_if_running(session: Session, row_id: int) -> bool:
    """Whether a trial is running; if so, it stays so to the end of the transaction (its study is not held)."""
    held = select(TrialRow.status).where(TrialRow.id == row_id).with_for_update(key_share=True)
    return session.scalars(held).one() == TrialStatus.RUNNING


def earlier_end(row: TrialRow, *, status: TrialStatus, reason: str | None, seconds: float | None) -> bool | None:
    """None while a trial runs, so that its end may be written; else whether it has ended in just this way.

    The very same end again means that a commit went through but its answer was lost. Another one, which is warned of,
    comes to a worker whose heartbeat was silent for so long (a laptop's sleep, a lost network) that another one gave
    its slot back.
    """
    if row.status == TrialStatus.RUNNING:
        return None
    if (row.status, row.reason, row.seconds) == (status, reason, seconds):
        return True
    name = f"row {row.id}" if row.number is None else str(row.number)
    logger.warning(
        "trial %s was ended by another worker meanwhile (%s): this worker's result of it is dropped", name, row.status
    )
    return False
