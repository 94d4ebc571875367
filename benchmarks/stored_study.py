"""A study with many finished trials, written in bulk into archsearch's tables and Optuna's.

The networks are random points of the study's space; their errors, latencies and costs are made up from their names, so
that a network has the same ones wherever it is asked for. The rows are those that a real study leaves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.samplers import NSGAIIISampler, NSGAIISampler
from optuna.storages._rdb import models as tables
from optuna.trial import TrialState
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from archsearch.models.spec import Spec
from archsearch.records import Cost, Epoch, Latency, Score, TrialStatus
from archsearch.search.config import StudyConfig
from archsearch.search.optuna_study import OptunaStudy, distribution
from archsearch.store.database import Database
from archsearch.store.schema import LatencyRow, StudyRow, TrainingRow, TrialRow
from archsearch.store.studies import StudyInfo, enter_study, fix_reference_latency, fix_reference_point
from archsearch.store.trials import latency_to_row, score_to_row

POPULATION = 16  # of NSGA-II and NSGA-III as archsearch sets them
INPUT_SIZE, CLASSES = 32, 10
REFERENCE_POINT = {"error_percent": 90.0, "latency_ms": 12.0}
_CONVENTIONS = ("conv_linear", "torchvision", "fvcore", "thop", "paper")


@dataclass(frozen=True, kw_only=True)
class Network:
    """One made-up network: what was suggested, and its specification at the study's scale."""

    suggested: dict[str, Any]
    spec: Spec


def networks(config: StudyConfig, *, first_seed: int) -> Iterator[Network]:
    """Random points of the space, each once."""
    space, seen = config.search_space(), set[str]()
    for seed in range(first_seed, first_seed + 10_000_000):
        suggested = space.sample(seed)
        spec = space.spec(suggested).normalised(INPUT_SIZE)
        if spec.arch_id not in seen:
            seen.add(spec.arch_id)
            yield Network(suggested=suggested, spec=spec)


def facts_of(arch_id: str, epochs: int) -> tuple[Cost, Latency, Score]:
    """Made-up facts of a network, as large as real ones: slower ones are a little more accurate."""
    size, luck = int(arch_id[:6], 16) / 16**6, int(arch_id[6:], 16) / 16**6
    params, p10 = int(3e5 + 4e6 * size), 1.0 + 8.0 * size
    cost = Cost(
        params=params, macs=20 * params, input_size=INPUT_SIZE, num_classes=CLASSES,
        macs_by_convention=dict.fromkeys(_CONVENTIONS, 20 * params),
        memory_read_bytes=40 * params, memory_written_bytes=10 * params,
        guidelines={"g1": luck, "g2": size, "g3": luck, "g4": size},
    )  # fmt: skip
    latency = Latency(
        p10_ms=p10, median_ms=1.03 * p10, p90_ms=1.2 * p10, ratio_to_reference=p10 / 3.0,
        reference="shufflenet_v2_x1_0", reference_p10_ms=3.0, n=300, bursts=30, half_split_difference=0.004,
        converged=True, contended=False, device="cpu", backend="torch", batch=1, threads=1, input_size=INPUT_SIZE,
        fingerprint="0123456789ab",
        measure_seconds=8.0, study_reference_ms=3.0, ratio_low=p10 / 3.03, ratio_high=p10 / 2.97,
        state={"load": "0.9", "cpu_mhz": "2600"},
    )  # fmt: skip
    error = 60.0 - 30.0 * size**0.5 + 12.0 * luck
    curve = tuple(
        Epoch(epoch=k, train_loss=2.3 / k, top1_percent=(100.0 - error) * k / epochs, learning_rate=0.1 / k,
              train_seconds=9.0)
        for k in range(1, epochs + 1)
    )  # fmt: skip
    score = Score(
        top1_percent=100.0 - error, epochs=epochs, seed=0, split="validation", train_images=45000, eval_images=5000,
        protocol="proxy", train_seconds=9.0 * epochs, images_per_second=5000.0, device="cpu", curve=curve,
    )  # fmt: skip
    return cost, latency, score


def begin_study(database: Database, config: StudyConfig) -> StudyInfo:
    """Enter the study, with everything that its first measurements would have fixed."""
    space = config.search_space()
    study = enter_study(
        database, name=config.name, config=config.model_dump(mode="json"), space=space.to_dict(),
        space_fingerprint=space.fingerprint,
        facts={"input_size": INPUT_SIZE, "num_classes": CLASSES, "device": {"cpu": "made up"},
               "noise_floor": {"relative": 0.015, "measure_seconds": 30.0}},
    )  # fmt: skip
    fix_reference_latency(database, study.id, 3.0)
    fix_reference_point(database, study.id, REFERENCE_POINT)
    OptunaStudy(database, config, space).close()  # Optuna's tables
    with database.reading() as session:
        reference_point = session.get_one(StudyRow, study.id).reference_point
    return replace(study, reference_point=reference_point)


def fill(database: Database, config: StudyConfig, found: list[Network], *, first_number: int) -> None:
    """Store these networks as complete trials, numbered from `first_number` on."""
    with database.writing() as session:
        study_id = session.scalars(select(StudyRow.id).where(StudyRow.name == config.name)).one()
        _fill_archsearch(session, study_id, config, found, first_number)
        _fill_optuna(session, config, found, first_number)


def _fill_archsearch(
    session: Session, study_id: int, config: StudyConfig, found: list[Network], first_number: int
) -> None:
    facts = [facts_of(network.spec.arch_id, config.proxy.epochs) for network in found]
    names = [network.spec.arch_id for network in found]
    latencies = [latency_to_row(latency, name) for name, (_, latency, _) in zip(names, facts, strict=True)]
    trainings = [score_to_row(score, study_id, name) for name, (_, _, score) in zip(names, facts, strict=True)]
    session.execute(insert(LatencyRow), [_values(row) for row in latencies])
    session.execute(insert(TrainingRow), [_values(row) for row in trainings])
    latency_ids = dict(session.execute(select(LatencyRow.arch_id, LatencyRow.id)).tuples().all())
    training_ids = dict(session.execute(select(TrainingRow.arch_id, TrainingRow.id)).tuples().all())
    session.execute(
        insert(TrialRow),
        [
            {
                "study_id": study_id, "number": number, "status": TrialStatus.COMPLETE, "reason": None, "variant": None,
                "suggested": network.suggested, "family": network.spec.family, "arch_id": network.spec.arch_id,
                "choices": network.spec.choices(), "cost": asdict(cost), "told": True, "worker_id": "gone",
                "latency_id": latency_ids[network.spec.arch_id], "training_id": training_ids[network.spec.arch_id],
                "seconds": 120.0,
            }
            for number, (network, (cost, _, _)) in enumerate(zip(found, facts, strict=True), start=first_number)
        ],
    )  # fmt: skip


def _values(row: LatencyRow | TrainingRow) -> dict[str, Any]:
    return {key: value for key, value in vars(row).items() if not key.startswith("_")}


def _fill_optuna(session: Session, config: StudyConfig, found: list[Network], first_number: int) -> None:
    study_id = session.scalars(
        select(tables.StudyModel.study_id).where(tables.StudyModel.study_name == config.name)
    ).one()
    now = datetime.now(UTC).replace(tzinfo=None)
    last = first_number + len(found)
    session.execute(
        tables.TrialModel.__table__.insert(),
        [
            {"number": number, "study_id": study_id, "state": TrialState.COMPLETE, "datetime_start": now,
             "datetime_complete": now}
            for number in range(first_number, last)
        ],
    )  # fmt: skip
    query = select(tables.TrialModel.number, tables.TrialModel.trial_id).where(tables.TrialModel.study_id == study_id)
    ids = dict(session.execute(query).tuples().all())
    forms = {domain.name: distribution(domain) for domain in config.search_space().domains}
    texts = {name: distribution_to_json(form) for name, form in forms.items()}
    params, values, notes, generations = [], [], [], []
    for number, network in enumerate(found, start=first_number):
        trial_id = ids[number]
        _, latency, score = facts_of(network.spec.arch_id, config.proxy.epochs)
        params += [
            {"trial_id": trial_id, "param_name": name, "param_value": forms[name].to_internal_repr(value),
             "distribution_json": texts[name]}
            for name, value in network.suggested.items()
        ]  # fmt: skip
        values += [
            {"trial_id": trial_id, "objective": index, "value": value,
             "value_type": tables.TrialValueModel.TrialValueType.FINITE}
            for index, value in enumerate((100.0 - score.top1_percent, latency.corrected_ms))
        ]  # fmt: skip
        note = {"arch_id": network.spec.arch_id, "variant": None}
        notes.append({"trial_id": trial_id, "key": "archsearch", "value_json": json.dumps(note)})
        generations += [
            {"trial_id": trial_id, "key": sampler._get_generation_key(), "value_json": str(number // POPULATION)}
            for sampler in (NSGAIISampler, NSGAIIISampler)
        ]
    session.execute(tables.TrialParamModel.__table__.insert(), params)
    session.execute(tables.TrialValueModel.__table__.insert(), values)
    session.execute(tables.TrialUserAttributeModel.__table__.insert(), notes)
    session.execute(tables.TrialSystemAttributeModel.__table__.insert(), generations)
    # Each generation's parents are stored when its first child is made.
    parents = [
        {"study_id": study_id, "key": f"{sampler._get_parent_cache_key_prefix()}{generation}",
         "value_json": json.dumps([ids[(generation - 1) * POPULATION + k] for k in range(POPULATION)])}
        for sampler in (NSGAIISampler, NSGAIIISampler)
        for generation in range(1, last // POPULATION + 1)
        if generation > first_number // POPULATION
    ]  # fmt: skip
    if parents:
        session.execute(tables.StudySystemAttributeModel.__table__.insert(), parents)
