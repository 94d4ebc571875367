"""A trial's training as its study follows it: when a state is kept that another worker can go on from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from makers import make_record
from sqlalchemy import select
from stored import store_study

from archsearch.records import Epoch, TrialStatus
from archsearch.search.config import load_study
from archsearch.search.stopping.rules import make_rule
from archsearch.search.trial_context import Curves, StoredTrial
from archsearch.store.database import Database
from archsearch.store.partial_trainings import load_partial_training
from archsearch.store.schema import TrialRow
from archsearch.store.studies import find_study

RUNNING = make_record(1, top1=None, status=TrialStatus.RUNNING)
LAST = Epoch(epoch=1, train_loss=1.0, top1_percent=50.0, learning_rate=0.1, train_seconds=1.0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/studies.db"
    store_study(url, [RUNNING])
    found = Database(url)
    yield found
    found.close()


@pytest.mark.parametrize("is_measured", [False, True])
def test_the_last_state_is_kept_while_the_latency_is_only_estimated(database: Database, is_measured: bool) -> None:
    config, study = load_study("quickstart", {"proxy.epochs": 1}), find_study(database, "small")
    rule = make_rule(config.stopping, seed=0, noise_floor=0.0)
    with database.reading() as session:
        row_id = session.scalars(select(TrialRow.id)).one()
    trial = StoredTrial(
        database, study.id, config, rule=lambda: rule, curves=Curves(database, study.id, config), row_id=row_id,
        number=1, arch_id=RUNNING.arch_id, seed=0,
    )  # fmt: skip
    assert RUNNING.cost is not None and RUNNING.latency is not None
    trial.estimated(RUNNING.cost, RUNNING.latency)
    if is_measured:
        trial.measured(RUNNING.cost, RUNNING.latency)
    assert trial.epoch_done(LAST, lambda: b"state")
    trial.save()  # as when it waits for a board that is away
    left = load_partial_training(database, study.id, RUNNING.arch_id, 0)
    assert (left is None) if is_measured else (left is not None and left.state == b"state")


def test_a_rule_is_shown_a_curve_with_every_objective_that_is_known_before_a_training(tmp_path: Path) -> None:
    record = make_record(1, top1=70.0, p10=2.5, curve=(replace(LAST, top1_percent=70.0),))
    assert record.cost is not None
    cost = replace(record.cost, memory_read_bytes=30, memory_written_bytes=12)
    url = f"sqlite:///{tmp_path}/moves.db"
    store_study(url, [replace(record, cost=cost)])
    opened = Database(url)
    objectives = ("error_percent", "latency_ms", "memory_bytes")  # as one that is added has it
    config = load_study("quickstart", {"proxy.epochs": 1}).model_copy(update={"objectives": objectives})
    (curve,) = Curves(opened, find_study(opened, "small").id, config).load()
    opened.close()
    assert (curve.errors, curve.known) == ((30.0,), (2.5, 42.0))  # 30 bytes read and 12 written
