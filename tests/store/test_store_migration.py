"""A database of version 1 is brought to this version when it is opened, by however many at once; nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import inspect, make_url, select, text, update

from archsearch.errors import StoreError
from archsearch.records import TrialStatus
from archsearch.store.claims import Claim, claim_trial
from archsearch.store.curves import load_curves
from archsearch.store.database import Database
from archsearch.store.partial_trainings import load_decisions, load_partial_training, note_epoch
from archsearch.store.schema import SCHEMA_VERSION, Base, PartialTrainingRow, RepeatRow, SchemaRow, StateRow, TrialRow
from archsearch.store.studies import find_study
from archsearch.store.trials import finish_trial, load_records, note_architecture, note_suggestion

NEW_TABLES = {PartialTrainingRow.__tablename__, StateRow.__tablename__, RepeatRow.__tablename__}
NEW_INDEXES = {"archsearch_trials_by_variant", "archsearch_trials_by_told"}


@pytest.fixture
def version_1(storage_url: str, enter: Any, facts: Any) -> str:
    """The URL of a database as version 1 made it, with one complete trial."""
    database = Database(storage_url)
    study = enter(database, "one")
    claim = claim_trial(database, study_id=study.id, total=9, worker_id="w", variants=[])
    assert isinstance(claim, Claim)
    note_suggestion(database, claim.row_id, number=0, suggested={"kernel": 3})
    note_architecture(database, claim.row_id, family="f", arch_id="a" * 12, choices={"kernel": 3})
    finish_trial(
        database,
        claim.row_id,
        status=TrialStatus.COMPLETE,
        cost=facts.cost,
        latency=facts.latency,
        score=facts.score,
    )
    with database.writing() as session:
        for name in NEW_INDEXES:
            session.execute(text(f"DROP INDEX {name}"))
        for name in sorted(NEW_TABLES, reverse=True):  # the states refer to the partials
            session.execute(text(f"DROP TABLE {name}"))
        session.execute(update(SchemaRow).values(version=1))
    assert tables(database) == {table for table in Base.metadata.tables if table not in NEW_TABLES}
    database.close()
    return storage_url


def tables(database: Database) -> set[str]:
    return {name for name in inspect(database.engine).get_table_names() if name.startswith("archsearch_")}


def assert_this_version(database: Database) -> None:
    with database.reading() as session:
        assert session.scalar(select(SchemaRow.version)) == SCHEMA_VERSION
    assert tables(database) == set(Base.metadata.tables)
    indexes = {index["name"] for index in inspect(database.engine).get_indexes(TrialRow.__tablename__)}
    assert indexes >= {index.name for index in Base.metadata.tables[TrialRow.__tablename__].indexes} >= NEW_INDEXES


@pytest.mark.parametrize("create", [True, False])
def test_what_version_1_stored_is_read_and_gone_on_with(version_1: str, facts: Any, create: bool) -> None:
    database = Database(version_1, create=create)
    assert_this_version(database)
    study = find_study(database, "one")
    (record,) = load_records(database, study.id, with_curves=True)
    assert (record.cost, record.latency, record.score) == (facts.cost, facts.latency, facts.score)
    assert record.early_stop is None
    assert [curve.trial for curve in load_curves(database, study.id)] == [0]
    claim = claim_trial(database, study_id=study.id, total=9, worker_id="w", variants=[])
    assert isinstance(claim, Claim) and claim.sequence == 2
    stored = {"study_id": study.id, "row_id": claim.row_id, "arch_id": "b" * 12, "seed": 0}
    assert note_epoch(database, curve=facts.score.curve, state=b"state", **stored)
    assert load_partial_training(database, study.id, "b" * 12, 0) is not None
    database.close()


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_what_version_1_stored_is_read_where_nothing_can_be_written(
    version_1: str, facts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.store.database._cannot_change", lambda _file: True)
    database = Database(version_1, create=False)
    assert NEW_TABLES.isdisjoint(tables(database))
    study = find_study(database, "one")
    (record,) = load_records(database, study.id, with_curves=True)
    assert record.score == facts.score and study.repeats == ()
    assert load_decisions(database, study.id) == {}
    database.close()


def test_a_database_that_is_open_already_goes_on_while_another_brings_it_up(version_1: str, enter: Any) -> None:
    other = Database(version_1)
    with other.writing() as session:
        session.execute(update(SchemaRow).values(version=1))
    Database(version_1).close()
    enter(other, "two")
    assert find_study(other, "two").name == "two"
    other.close()


def test_many_threads_may_bring_it_up_at_once(
    version_1: str, opened_at_once: Callable[[str], list[StoreError]]
) -> None:
    assert opened_at_once(version_1) == []
    database = Database(version_1)
    assert_this_version(database)
    database.close()


def test_many_processes_may_bring_it_up_at_once(version_1: str) -> None:
    program = """
import sys
from archsearch.store.database import Database
sys.stdin.readline()
Database(sys.argv[1]).close()
"""
    processes = [subprocess.Popen([sys.executable, "-c", program, version_1], stdin=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.wait() for process in processes] == [0, 0, 0]
    database = Database(version_1)
    assert_this_version(database)
    database.close()


@pytest.mark.parametrize("storage_url", ["postgresql"], indirect=True)
def test_who_may_only_read_reads_version_1_as_it_is(version_1: str) -> None:
    owner = Database(version_1)
    with owner.writing() as session:  # back again: opening has brought it up
        for name in sorted(NEW_TABLES, reverse=True):
            session.execute(text(f"DROP TABLE {name}"))
        session.execute(update(SchemaRow).values(version=1))
        session.execute(text("DROP ROLE IF EXISTS archsearch_reader"))
        session.execute(text("CREATE ROLE archsearch_reader LOGIN"))
        session.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO archsearch_reader"))
    url = make_url(version_1).set(username="archsearch_reader").render_as_string(hide_password=False)
    reader = Database(url, create=False)
    (record,) = load_records(reader, find_study(reader, "one").id)
    assert record.trial == 0
    reader.close()
    with pytest.raises(StoreError, match="permission denied"):
        Database(url)
    with owner.writing() as session:
        session.execute(text("DROP OWNED BY archsearch_reader"))
        session.execute(text("DROP ROLE archsearch_reader"))
    owner.close()


def test_a_half_done_change_is_no_change(version_1: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sqlalchemy.Index.create", fail)  # after the tables were made
    with pytest.raises(KeyboardInterrupt):
        Database(version_1)
    monkeypatch.undo()
    database = Database(version_1)
    assert_this_version(database)
    database.close()
