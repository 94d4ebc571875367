"""Studies in the database: entered once, found by name; what their first measurements fix stays."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cached_property
from math import inf
from typing import Annotated, Any

from pydantic import BaseModel, Field, FiniteFloat, TypeAdapter
from sqlalchemy import Text, cast, func, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from archsearch.errors import NothingStoredError, StoreError, StudyChangedError, UnknownNameError, shown
from archsearch.files import is_name
from archsearch.noise import NO_FLOOR, FloorSource, NoiseFloor, Repeat, noise_floor_of
from archsearch.records import LARGEST_INPUT, MOST_CLASSES, Latency, StudyBatch
from archsearch.resources import list_yaml
from archsearch.store.database import Database, storage_options
from archsearch.store.reading import Stored, check_all_read, raw_columns, read_as_stored, values_of
from archsearch.store.retry import retried
from archsearch.store.rows import design_of
from archsearch.store.schema import RepeatRow, StudyRow, TrialRow, utc_now
from archsearch.text import command_without_passwords

# Keys of StudyInfo.facts; the last one of a check of the proxy: its predictors.
NOISE_FLOOR, LATENCY_BATCH = "noise_floor", "latency_batch"
BOARDS_FACT, POOL_FACT, TRUST_FACTS = "boards", "pool", "trust"


@dataclass(frozen=True, kw_only=True)
class StudyInfo:
    """One study as stored.

    Attributes:
        reference_point: each objective with its bound, or None until it is fixed.
        facts: versions, machine and data of its first run; as `latency_batch`, what was found at its start; as
            `noise_floor`, what an older version found there.
        repeats: its networks that were measured twice, in that order.
    """

    id: int
    name: str
    config: Mapping[str, Any]
    space: Mapping[str, Any]
    space_fingerprint: str
    reference_point: Mapping[str, float] | None
    facts: Mapping[str, Any]
    created_at: datetime
    repeats: tuple[Repeat, ...] = ()

    @cached_property
    def noise_floor(self) -> NoiseFloor:
        """From which difference on two latencies differ: as the repeats say, once there are enough.

        A study of this version then takes its protocol's `tolerance`, which the halves of one measurement may differ
        by. One of an older version has what it measured at its start, or no floor at all.
        """
        return noise_floor_of(self.repeats, before=self._before_repeats())

    def _before_repeats(self) -> NoiseFloor:
        found, latency = self.facts.get(NOISE_FLOOR), self.config.get("latency", {})
        if found is not None:
            return NoiseFloor(relative=float(found["relative"]), source=FloorSource.START)
        if latency.get("repeat_every"):
            return NoiseFloor(relative=float(latency["tolerance"]), source=FloorSource.ASSUMED)
        return NO_FLOOR

    def check_images(self, fingerprint: str) -> None:
        """Raise StudyChangedError if the images of this fingerprint are not those that the study was begun with."""
        before = self.facts.get("data_fingerprint")
        if before is not None and fingerprint != before:
            raise StudyChangedError(
                f"the images of '{self.config['dataset']}' are not those that study '{self.name}' was run on "
                f"(were {before}, now {fingerprint})",
                hint="put the old images back, or run the study under another name",
            )

    @property
    def boards(self) -> Mapping[str, Mapping[str, str]]:
        """By target of its latencies, what the board says of itself; none of this machine."""
        found: Mapping[str, Mapping[str, str]] = self.facts.get(BOARDS_FACT) or {}
        return found

    @property
    def board(self) -> Mapping[str, str] | None:
        """The board whose latency is the objective; None for this machine."""
        return self.boards.get(str(self.config.get("latency", {}).get("target", "")))

    @property
    def latency_batch(self) -> StudyBatch | None:
        """The batch of its latencies, and whether widths differ in it; None where nobody asked."""
        found = self.facts.get(LATENCY_BATCH)
        return None if found is None else StudyBatch.from_dict(found)

    @property
    def noise_floor_seconds(self) -> float:
        """What measuring the noise floor took (seconds): the repeats, and what an older version did first."""
        start = float((self.facts.get(NOISE_FLOOR) or {}).get("measure_seconds", 0.0))
        return start + sum(repeat.measure_seconds for repeat in self.repeats)


@retried
def enter_study(
    database: Database,
    *,
    name: str,
    config: Mapping[str, Any],
    space: Mapping[str, Any],
    space_fingerprint: str,
    facts: Mapping[str, Any],
) -> StudyInfo:
    """The stored study of this name, entered with these facts if there was none.

    What is stored is never changed here: the caller compares and refuses.
    """
    try:
        with database.writing() as session:
            row = session.scalar(select(StudyRow).where(StudyRow.name == name))
            if row is None:
                row = StudyRow(
                    name=name,
                    config=dict(config),
                    space=dict(space),
                    space_fingerprint=space_fingerprint,
                    facts=dict(facts),
                    created_at=utc_now(),
                )
                session.add(row)
                session.flush()
            return _info(database, session, row.id)
    except IntegrityError:  # another process entered it at the same moment
        return find_study(database, name)


@retried
def find_study(database: Database, name: str) -> StudyInfo:
    """The study of this name. Raises UnknownNameError with the names that exist."""
    with database.reading() as session:
        found = session.scalar(select(StudyRow.id).where(StudyRow.name == name))
        if found is None:
            shipped = f"`archsearch run --study {name}` runs the shipped one" if name in list_yaml("studies") else ""
            known = session.scalars(select(StudyRow.name)).all()
            listed_by = shlex.join(["archsearch", "studies", *storage_options(database.url)])
            raise UnknownNameError("study", name, known, listed_by=listed_by, also=shipped)
        return _info(database, session, found)


@retried
def check_same(database: Database, study: StudyInfo) -> None:
    """Raise StoreError unless the database holds this very study, and not another one of its name or at its place."""
    begun = select(StudyRow.created_at).where(StudyRow.id == study.id, StudyRow.name == study.name)
    with database.reading() as session:
        found = session.scalar(begun)
    if found != study.created_at:
        raise StoreError(
            f"the database {database.safe_url} no longer holds the study '{study.name}' that was opened",
            hint="open it again, in the folder that it was opened in",
        )


@retried
def list_studies(database: Database, *, naming: str | None = None) -> tuple[StudyInfo, ...]:
    """Every study, or those whose configuration says this name somewhere, the newest last."""
    query = select(StudyRow.id).order_by(StudyRow.id)
    if naming is not None:
        query = query.where(cast(StudyRow.config, Text).contains(f'"{naming}"', autoescape=True))
    with database.reading() as session:
        found = session.scalars(query).all()
        return tuple(_info(database, session, study_id) for study_id in found)


@retried
def latest_study(database: Database) -> StudyInfo:
    """The study whose newest trial is the newest of all; one with a design stands for the one that it was made from.

    Raises StoreError if there is no study.
    """
    newest = select(func.max(TrialRow.id)).where(TrialRow.study_id == StudyRow.id).scalar_subquery()
    with database.reading() as session:
        found = session.scalar(select(StudyRow.id).order_by(newest.desc().nulls_last(), StudyRow.id.desc()).limit(1))
        if found is None:
            raise NothingStoredError(
                f"the database {database.safe_url} holds no study yet", hint="archsearch run --study quickstart"
            )
        study = _info(database, session, found)
        with read_as_stored(f"study '{study.name}': its design"):
            design = design_of(study.config)
        made_from = None if design is None else session.scalar(select(StudyRow.id).where(StudyRow.name == design.of))
        return study if made_from is None else _info(database, session, made_from)


@retried
def fix_reference_point(database: Database, study_id: int, point: Mapping[str, float]) -> Mapping[str, float]:
    """Store the reference point of a study unless it has one; returns the one that holds.

    A hypervolume with a reference point that moves means nothing, so the first one stays.
    """
    with database.writing() as session:
        row = session.get_one(StudyRow, study_id, with_for_update=True)
        if row.reference_point is None:
            row.reference_point = dict(point)
        return dict(row.reference_point)


@retried
def fix_reference_latency(database: Database, study_id: int, p10_ms: float) -> float:
    """Store the reference network's p10 of a study unless it has one; returns the one that holds (milliseconds).

    Every latency of the study is scaled to it, so that a device that slows down for an hour reorders nothing.
    """
    with database.writing() as session:
        row = session.get_one(StudyRow, study_id, with_for_update=True)
        if row.reference_p10_ms is None:
            row.reference_p10_ms = p10_ms
        return row.reference_p10_ms


@retried
def add_repeat(database: Database, study_id: int, repeat: Repeat, latency: Latency) -> bool:
    """Store that a network of a study was measured a second time, with all that was found.

    Returns whether it is stored: of one network the first repeat stays.
    """
    try:
        with database.writing() as session:
            known = select(RepeatRow.id).where(RepeatRow.study_id == study_id, RepeatRow.arch_id == repeat.arch_id)
            if session.scalar(known) is not None:
                return False
            session.add(RepeatRow(study_id=study_id, details=asdict(latency), **asdict(repeat)))
            return True
    except IntegrityError:  # another process stored it at the same moment
        return False


_STUDY_NAMES = (
    "name", "config", "space", "space_fingerprint", "reference_point", "reference_p10_ms", "facts", "created_at",
)  # fmt: skip
_REPEAT_NAMES = tuple(field.name for field in fields(Repeat))


class _Config(BaseModel):
    """What every version's configuration is made of; each key may be missing."""

    objectives: list[str] = []
    dataset: str = ""
    seed: int = 0
    sampler: str = ""
    reference: str = ""
    scale: dict[str, Any] = {}
    proxy: dict[str, Any] = {}
    latency: dict[str, Any] = {}
    constraints: dict[str, Any] = {}
    stopping: dict[str, Any] = {}
    design: dict[str, Any] | None = None


class _StartFloor(BaseModel):
    relative: FiniteFloat
    measure_seconds: FiniteFloat = 0.0


class _Trust(BaseModel):
    predictors: dict[str, dict[str, float]] = {}


class _PoolBoard(BaseModel):
    target: str


class _Pool(BaseModel):
    boards: list[_PoolBoard]


class _Facts(BaseModel):
    """What every version's facts are made of; each may be missing."""

    input_size: Annotated[int, Field(ge=1, le=LARGEST_INPUT)] = 1
    num_classes: Annotated[int, Field(ge=1, le=MOST_CLASSES)] = 1
    data_fingerprint: str | None = None
    device: dict[str, Any] = {}
    versions: dict[str, Any] = {}
    command: str | None = None
    classes: list[str] = []
    noise_floor: _StartFloor | None = None
    latency_batch: StudyBatch | None = None
    boards: dict[str, dict[str, Any]] | None = None
    pool: _Pool | None = None
    trust: _Trust | None = None


_POINT = TypeAdapter(dict[str, FiniteFloat] | None)


def _info(database: Database, session: Session, study_id: int) -> StudyInfo:
    """A study as it is stored. Raises StoreError that names the column for what was changed, or is no study."""
    columns = raw_columns(StudyRow, _STUDY_NAMES, checked=database.checked)
    name = session.scalars(select(StudyRow.name).where(StudyRow.id == study_id)).one()
    where = f"study {shown(name)}"
    if not (isinstance(name, str) and is_name(name)):
        raise StoreError(f"{where}: no study can be called so: its files would not lie below runs/", hint=_NOT_OURS)
    values = values_of(
        StudyRow, _STUDY_NAMES, session.execute(select(*columns).where(StudyRow.id == study_id)).one(), where
    )
    with read_as_stored(f"{where}: column 'config'"):
        _Config.model_validate(values["config"])
    with read_as_stored(f"{where}: column 'facts'"):
        facts = values["facts"]
        command = _Facts.model_validate(facts).command
        if command is not None:  # of a version that kept some passwords
            facts["command"] = command_without_passwords(command)
    with read_as_stored(f"{where}: column 'space'"):
        space = dict(values["space"])
    with read_as_stored(f"{where}: column 'reference_point'"):
        point = _POINT.validate_python(values["reference_point"])
    return StudyInfo(
        id=study_id,
        name=name,
        config=Stored(values["config"], f"{where}: column 'config'"),
        space=space,
        space_fingerprint=values["space_fingerprint"],
        reference_point=None if point is None else Stored(point, f"{where}: column 'reference_point'"),
        facts=Stored(facts, f"{where}: column 'facts'"),
        created_at=values["created_at"],
        repeats=_repeats(database, session, study_id, where),
    )


_NOT_OURS = "archsearch did not enter it: put a copy of the database back"


def _repeats(database: Database, session: Session, study_id: int, where: str) -> tuple[Repeat, ...]:
    if not inspect(session.connection()).has_table(RepeatRow.__tablename__):
        return ()  # an older database that this process may only read
    columns = raw_columns(RepeatRow, _REPEAT_NAMES, checked=database.checked)
    rows = session.execute(select(*columns).where(RepeatRow.study_id == study_id).order_by(RepeatRow.id)).all()
    check_all_read(session, RepeatRow, study_id, where, read=len(rows))
    found = []
    for row in rows:
        of = f"{where}, the repeat of {shown(row[0])}"
        with read_as_stored(of):
            repeat = _REPEAT.validate_python(values_of(RepeatRow, _REPEAT_NAMES, row, of))
            if not (0.0 < repeat.first_ms < inf and 0.0 < repeat.second_ms < inf):
                raise ValueError(f"{repeat.first_ms} and {repeat.second_ms} ms")
            found.append(repeat)
    return tuple(found)


_REPEAT = TypeAdapter(Repeat)
