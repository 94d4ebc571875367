"""A database that is not as archsearch left it: changed rows, other programs' studies, names that lead elsewhere."""

from __future__ import annotations

import re
import runpy
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from makers import make_record
from stored import store_study

from archsearch.errors import ConfigError, NothingStoredError, StoreError
from archsearch.records import Record, TrialStatus
from archsearch.store.curves import load_curves
from archsearch.store.database import Database
from archsearch.store.studies import find_study, list_studies
from archsearch.store.trials import load_record, load_records, load_trainings

Change = Callable[..., int]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one study of two complete trials."""
    path = tmp_path_factory.mktemp("whole") / "x.db"
    facts = runpy.run_path(str(Path(__file__).parent / "conftest.py"))["facts"].__wrapped__()
    records = [
        Record(
            study="small", trial=number, arch_id=f"{number}" * 12, family="shufflenet_v2", choices={"kernel": 3},
            suggested={"kernel": 3}, status=TrialStatus.COMPLETE, cost=facts.cost, latency=facts.latency,
            score=facts.score, seconds=2.0,
        )
        for number in range(2)
    ]  # fmt: skip
    store_study(f"sqlite:///{path}", records)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    return path


@pytest.fixture
def change(whole: Path, tmp_path: Path) -> Change:
    """Change the database by SQL, all checksums kept or forgotten, and read all that it holds: how many trials."""

    def changed(sql: str, *, known: bool) -> int:
        read = 0
        path = tmp_path / "x.db"
        shutil.copy(whole, path)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for table in ("studies", "trials", "latencies", "trainings", "repeats"):
                if not known:
                    connection.execute(f"update archsearch_{table} set checksums = null")
            connection.execute(sql)
        database = Database(f"sqlite:///{path}", create=False)
        try:
            for study in list_studies(database):
                assert study.noise_floor_seconds >= 0.0 and study.latency_batch is None and study.board is None
                read += len(load_records(database, study.id, with_curves=True))
                load_trainings(database, study.id, split="validation")
        finally:
            database.close()
        return read

    return changed


def test_what_is_whole_is_read(change: Change) -> None:
    assert change("update archsearch_trials set told = 1, retried = 1", known=True) == 2


# One digit, one letter, one sign: what a disk, a script or an editor may change.
CHANGED = [
    ("trials", "cost", "replace(cost, '350123', '350122')", 1),
    ("trials", "choices", "'{\"kernel\": 5}'", 1),
    ("trials", "status", "'failed'", 0),
    ("trials", "variant", "'shufflenet_v2_x1_0'", 1),
    ("trials", "arch_id", "'000000000001'", 1),
    ("trials", "seconds", "2.0000000000000004", 1),
    ("trials", "number", "7", 7),
    ("latencies", "p10_ms", "1.2499999999999998", 0),
    ("latencies", "details", "replace(details, '4.5', '4.6')", 0),
    ("trainings", "top1_percent", "61.74", 0),
    ("trainings", "curve", "replace(curve, '30.5', '30.6')", 0),
    ("trainings", "seed", "4", 0),
]


@pytest.mark.parametrize(("table", "column", "value", "trial"), CHANGED)
def test_a_changed_value_is_told_by_study_trial_and_column(
    table: str, column: str, value: str, trial: int, change: Change
) -> None:
    where = "number = 1" if table == "trials" and trial else "id = 1"
    with pytest.raises(StoreError) as caught:
        change(f"update archsearch_{table} set {column} = {value} where {where}", known=True)
    assert caught.value.message == (
        f"study 'small', trial {trial}: column '{column}' of archsearch_{table} was changed after it was stored"
    )


@pytest.mark.parametrize("column", ["config", "facts", "reference_point", "space_fingerprint"])
def test_a_changed_study_is_told_by_its_column(column: str, change: Change) -> None:
    with pytest.raises(StoreError, match=f"study 'small': column '{column}' of archsearch_studies was changed"):
        change(f"update archsearch_studies set {column} = replace({column}, '0', '1')", known=True)


def test_the_command_of_the_document_takes_the_row_of_one_study_as_it_is(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
    (sql,) = re.findall(r'sqlite3 runs/archsearch\.db "(.*?)"', text, re.DOTALL)
    path = tmp_path / "x.db"
    for name in ("quickstart", "other"):
        store_study(f"sqlite:///{path}", [make_record(16), make_record(17)], name=name)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql)
        rows = connection.execute(
            "select name, number from archsearch_trials join archsearch_studies s on s.id = study_id "
            "where archsearch_trials.checksums is null"
        )
        assert rows.fetchall() == [("quickstart", 17)]


# Where no checksum is known: of an older version, or taken away.
DAMAGED = [
    ("trials", "choices", "'{'", "trial 0: column 'choices'"),
    ("trials", "choices", "'[1]'", "trial 0: column 'choices'"),
    ("trials", "choices", "'{\"kernel\": [3]}'", "trial 0: column 'choices'"),
    ("trials", "choices", "'" + "[" * 100_000 + "'", "trial 0: column 'choices'"),
    ("trials", "cost", "'{\"a\": 1}'", "trial 0: column 'cost'"),
    ("trials", "cost", "'7'", "trial 0: column 'cost'"),
    ("trials", "status", "'nope'", "trial 0: column 'status'"),
    ("trials", "number", "'x' || id", "trial x1: column 'number'"),
    ("trials", "seconds", "'long'", "trial 0: column 'seconds'"),
    ("latencies", "p10_ms", "'abc'", "trial 0: the latency"),
    ("latencies", "p10_ms", "0", "trial 0: the latency"),
    ("latencies", "p10_ms", "9e999", "trial 0: the latency"),
    ("latencies", "details", "'[]'", "trial 0: the latency"),
    ("latencies", "details", "'{}'", "trial 0: the latency"),
    ("trainings", "top1_percent", "101", "trial 0: the training"),
    ("trainings", "details", "'null'", "trial 0: the training"),
    ("trainings", "curve", "'[{}]'", "trial 0: the training"),
    ("studies", "config", "'[]'", "column 'config'"),
    ("studies", "config", "'{\"objectives\": 3}'", "column 'config'"),
    ("studies", "facts", '\'{"input_size": "large"}\'', "column 'facts'"),
    ("studies", "facts", "'{\"input_size\": 1000000000}'", "column 'facts'"),
    ("studies", "facts", '\'{"noise_floor": {"relative": "x"}}\'', "column 'facts'"),
    ("studies", "facts", '\'{"latency_batch": {"batch": 8}}\'', "column 'facts'"),
    ("studies", "facts", '\'{"boards": {"ssh:pi5": 5}}\'', "column 'facts'"),
    ("studies", "facts", '\'{"trust": {"predictors": {"synflow": 3}}}\'', "column 'facts'"),
    ("studies", "facts", '\'{"classes": {"cat": 1}}\'', "column 'facts'"),
    ("studies", "reference_point", '\'{"error_percent": "x"}\'', "column 'reference_point'"),
    ("studies", "created_at", "'yesterday'", "cannot be read: 'yesterday'"),
]


def test_facts_that_are_null_are_facts_that_nobody_has(change: Change) -> None:
    nulls = '{"noise_floor": null, "latency_batch": null, "boards": null, "trust": null}'
    assert change(f"update archsearch_studies set facts = '{nulls}'", known=False) == 2


@pytest.mark.parametrize(("table", "column", "value", "said"), DAMAGED)
def test_what_cannot_be_a_record_is_told_by_study_trial_and_column(
    table: str, column: str, value: str, said: str, change: Change
) -> None:
    with pytest.raises(StoreError) as caught:
        change(f"update archsearch_{table} set {column} = {value}", known=False)
    assert said in caught.value.message
    assert caught.value.exit_code == 1
    assert len(str(caught.value)) < 600


def test_a_stored_key_that_every_version_has_is_asked_for_by_its_name(change: Change, tmp_path: Path) -> None:
    change("update archsearch_studies set config = '{}'", known=False)
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(StoreError, match="study 'small': column 'config' is damaged: 'objectives' is missing"):
        find_study(database, "small").config["objectives"]
    database.close()


@pytest.mark.parametrize(
    ("change_made", "said"),
    [("study_id = 77", "study"), ("study_id = 'running'", "study"), ("number = null", "number")],
)
def test_a_trial_that_would_vanish_is_told(change_made: str, said: str, change: Change) -> None:
    for known in (True, False):
        with pytest.raises(StoreError, match=f"row 2 of archsearch_trials has lost its {said}"):
            change(f"update archsearch_trials set {change_made} where id = 2", known=known)


@pytest.mark.parametrize(
    ("change_made", "said"),
    [
        ("split = 'tesu'", "column 'split' of row 2 of archsearch_trainings is damaged"),
        ("study_id = 77", "row 2 of archsearch_trainings has lost its study"),
    ],
)
def test_a_training_that_would_vanish_is_told(change_made: str, said: str, whole: Path, tmp_path: Path) -> None:
    shutil.copy(whole, tmp_path / "x.db")
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        connection.execute(f"update archsearch_trainings set {change_made} where id = 2")
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(StoreError, match=said):
        load_trainings(database, 1, split="test")
    database.close()


def test_an_index_that_lists_fewer_trainings_than_there_are_is_told(whole: Path, tmp_path: Path) -> None:
    shutil.copy(whole, tmp_path / "x.db")
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        name, made = connection.execute(
            "select name, sql from sqlite_master where type = 'index' and sql like '%archsearch_trainings (study_id)'"
        ).fetchone()
        connection.execute(f"drop index {name}")
        connection.execute(f"{made} where id > 1")  # of one row, and said to be of all
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("update sqlite_master set sql = ? where name = ?", (made, name))
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(StoreError, match="the index of archsearch_trainings is damaged"):
        load_trainings(database, 1, split="validation")
    database.close()


def test_a_schema_version_that_is_text_is_another_version(change: Change) -> None:
    with pytest.raises(StoreError, match="schema version 'four', this archsearch knows"):
        change("update archsearch_schema set version = 'four'", known=True)


@pytest.mark.parametrize("name", ["/abs/OUTSIDE", "../up", "a/b", "..", ".hidden", "", "a\nb", "a\n", "x" * 101])
def test_a_study_whose_name_would_be_another_path_is_refused(name: str, change: Change) -> None:
    with pytest.raises(StoreError, match="no study can be called so"):
        change("update archsearch_studies set name = '" + name + "'", known=False)


def test_a_row_of_an_unknown_checksum_is_taken_as_it_is(change: Change, tmp_path: Path) -> None:
    change("update archsearch_trials set cost = replace(cost, '350123', '1'), checksums = null", known=True)
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    record = load_record(database, find_study(database, "small").id, 0)
    assert record is not None and record.cost is not None and record.cost.params == 1
    load_curves(database, 1)
    database.close()


def _foreign(path: Path) -> str:
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    study = optuna.create_study(study_name="kt", storage=storage, directions=["minimize", "minimize"])
    for _ in range(3):
        study.tell(study.ask(), [1.0, 2.0])
    study.ask()
    storage.engine.dispose()
    return f"sqlite:///{path}"


def test_another_programs_study_of_the_same_name_is_not_touched(tmp_path: Path) -> None:
    url = _foreign(tmp_path / "opt.db")
    before = (tmp_path / "opt.db").read_bytes()
    for create in (True, False):
        with pytest.raises(ConfigError, match="another program's study") as caught:
            Database(url, create=create, entering="kt")
        assert caught.value.exit_code == 2
    with pytest.raises(NothingStoredError):
        Database(url, create=False)
    assert (tmp_path / "opt.db").read_bytes() == before
    Database(url, entering="mine").close()  # a name of its own may stand beside it
    assert [trial.state.name for trial in optuna.load_study(study_name="kt", storage=url).trials] == [
        "COMPLETE", "COMPLETE", "COMPLETE", "RUNNING",
    ]  # fmt: skip


def test_a_study_that_another_program_made_in_the_place_of_ours_is_refused(tmp_path: Path, enter: Any) -> None:
    from archsearch.search.config import load_study
    from archsearch.search.optuna_study import OptunaStudy

    config = load_study("quickstart", ["name=kt"])
    url = _foreign(tmp_path / "opt.db")
    database = Database(url)
    enter(database, "kt")
    with pytest.raises(ConfigError, match="another program's study"):
        OptunaStudy(database, config, config.search_space())
    assert optuna.load_study(study_name="kt", storage=url).trials[-1].state.name == "RUNNING"
    database.close()


def test_a_removed_and_a_replaced_file_are_noticed(whole: Path, tmp_path: Path) -> None:
    shutil.copy(whole, tmp_path / "x.db")
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    assert database.is_there()
    (tmp_path / "x.db").rename(tmp_path / "moved.db")
    assert not database.is_there()
    shutil.copy(whole, tmp_path / "x.db")
    assert not database.is_there()
    database.close()
