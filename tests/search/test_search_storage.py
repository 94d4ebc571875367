"""Every storage that Optuna's side of a study may live in does the same."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

from archsearch.errors import ConfigError, StoreError, UnknownNameError
from archsearch.search import storage
from archsearch.search.config import StudyConfig
from archsearch.search.optuna_study import OptunaStudy
from archsearch.search.runtime import Runtime, host_and_port
from archsearch.search.servers import serve
from archsearch.search.storage import STORAGES, check_proxy, close_storage, optuna_storage
from archsearch.store.database import Database

MakeConfig = Callable[..., StudyConfig]


def start_proxy(url: str, port: int) -> subprocess.Popen[str]:
    """`archsearch serve-storage`, once it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "archsearch.cli.main", "serve-storage", "--storage", url, "--port", str(port)],
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background of a script ignores Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (as short as can be)
    )
    deadline = time.monotonic() + 120
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process
        assert time.monotonic() < deadline, "the proxy does not answer"
        time.sleep(0.05)
    raise AssertionError(process.communicate()[1])


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A database's URL, and the address of the proxy that serves it."""
    pytest.importorskip("grpc", reason="grpcio is not installed: pip install 'archsearch[grpc]'")
    url = request.getfixturevalue("postgres").new_database()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    process = start_proxy(url, port)
    yield url, f"127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture(params=STORAGES.names())
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Database, str | None]]:
    """A database and a proxy of each kind of storage."""
    proxy = None
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'studies.db'}"
    elif request.param == "postgresql":
        url = str(request.getfixturevalue("postgres").new_database())
    else:
        url, proxy = request.getfixturevalue("served")
    database = Database(url)
    yield database, proxy
    database.close()


@pytest.fixture
def open_study(place: tuple[Database, str | None], make_config: MakeConfig) -> Iterator[Callable[[], OptunaStudy]]:
    """Opens the test's study anew, as another worker would."""
    database, proxy = place
    config = make_config(name=f"study-{time.monotonic_ns()}", sampler="nsga2")
    opened: list[OptunaStudy] = []

    def make() -> OptunaStudy:
        opened.append(OptunaStudy(database, config, config.search_space(), proxy=proxy))
        return opened[-1]

    yield make
    for study in opened:
        study.close()


def frozen(study: OptunaStudy) -> list[optuna.trial.FrozenTrial]:
    return study._study.get_trials(deepcopy=False)


def test_what_one_worker_tells_another_one_reads(open_study: Callable[[], OptunaStudy]) -> None:
    one, other = open_study(), open_study()
    good, bad, failed, running = (one.ask(sequence) for sequence in range(1, 5))
    one.note(good.number, {"arch_id": "0123456789ab"})
    one.tell_values(good.number, [50.0, 2.5], {"params": -0.25})
    one.tell_values(bad.number, [10.0, 1.0], {"params": 0.5})
    one.tell_failed(failed.number)
    assert other.running() == (running.number,)
    trials = frozen(other)
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "FAIL", "RUNNING"]
    assert trials[good.number].values == [50.0, 2.5]
    assert dict(trials[good.number].params) == dict(good.choices)
    assert trials[good.number].user_attrs["archsearch"] == {"arch_id": "0123456789ab"}
    assert dict(trials[bad.number].constraints) == {"params": 0.5}
    assert [trial.number for trial in other._study.best_trials] == [good.number]


def test_an_end_that_is_told_twice_stays_as_it_was(open_study: Callable[[], OptunaStudy]) -> None:
    one, other = open_study(), open_study()
    asked = one.ask(1)
    one.tell_values(asked.number, [50.0, 2.5], {})
    other.tell_values(asked.number, [1.0, 1.0], {})
    other.tell_failed(asked.number)
    assert frozen(open_study())[asked.number].values == [50.0, 2.5]


def test_an_end_that_another_one_tells_at_the_same_moment_stands(
    open_study: Callable[[], OptunaStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = open_study(), open_study()
    for tell in (
        one.tell_failed,
        lambda number: one.tell_values(number, [9.0, 9.0], {"p": 0.0}),
    ):
        asked = one.ask(1)
        storage = one._study._storage
        end = storage.set_trial_state_values

        def late(*arguments: Any, number: int = asked.number, end: Any = end, **more: Any) -> Any:
            other.tell_values(number, [1.0, 1.0], {})
            return end(*arguments, **more)

        with monkeypatch.context() as patched:
            patched.setattr(storage, "set_trial_state_values", late)
            tell(asked.number)
        one.note(asked.number, {"arch_id": "0"})
        assert frozen(open_study())[asked.number].values == [1.0, 1.0]


def test_fixed_choices_are_used_as_they_are(open_study: Callable[[], OptunaStudy]) -> None:
    one = open_study()
    choices = {"stage2.attention": "se", "residual": True}
    assert dict(one.ask(1, fixed=choices).choices) == choices
    assert frozen(open_study())[0].params == choices


def test_workers_that_ask_at_once_get_numbers_of_their_own(open_study: Callable[[], OptunaStudy]) -> None:
    studies = [open_study() for _ in range(3)]

    def ask(number: int) -> list[int]:
        return [studies[number].ask(10 * number + turn).number for turn in range(4)]

    with ThreadPoolExecutor(3) as threads:
        numbers = [number for found in threads.map(ask, range(3)) for number in found]
    assert sorted(numbers) == list(range(12))


def _schema(path: Path) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        query = "select name, tbl_name, coalesce(sql, '') from sqlite_master order by 1"
        rows = connection.execute(query).fetchall()
    return [(name, table, " ".join(sql.split())) for name, table, sql in rows if not table.startswith("archsearch")]


def test_tables_of_optuna_in_a_file_are_what_optuna_makes(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs.db", tmp_path / "ours.db"
    optuna.storages.RDBStorage(f"sqlite:///{theirs}").engine.dispose()
    database = Database(f"sqlite:///{ours}")
    close_storage(optuna_storage(database))
    database.close()
    assert _schema(ours) == _schema(theirs)
    for table in ("version_info", "alembic_version"):
        rows = []
        for path in (ours, theirs):
            with closing(sqlite3.connect(path)) as connection:
                rows.append(connection.execute(f"select * from {table}").fetchall())
        assert rows[0] == rows[1] and rows[0]


def test_tables_of_another_version_of_optuna_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    database = Database(f"sqlite:///{path}")
    close_storage(optuna_storage(database))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("update alembic_version set version_num = 'v3.0.0.d'")  # Optuna's of before 3.2
    with pytest.raises(StoreError, match=r"^Optuna's tables in .*x\.db cannot be used: .* optuna storage upgrade "):
        optuna_storage(database)
    database.close()


@pytest.mark.parametrize("statements", [0, 1, 2, 7, 12, 16])
def test_a_process_killed_while_it_makes_optunas_tables_leaves_none_of_them(statements: int, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    code = (
        "import os, sys\n"
        "from sqlalchemy import event\n"
        "from archsearch.search.storage import optuna_storage\n"
        "from archsearch.store.database import Database\n"
        "database, left = Database(sys.argv[1]), [int(sys.argv[2])]\n"
        "@event.listens_for(database.engine, 'before_cursor_execute')\n"
        "def _(connection, cursor, statement, *_):\n"
        "    if statement.lstrip().upper().startswith(('CREATE', 'INSERT')):\n"
        "        if not left[0]:\n            os.kill(os.getpid(), 9)\n"
        "        left[0] -= 1\n"
        "optuna_storage(database)\n"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{path}", str(statements)]
    assert subprocess.run(command, timeout=120, check=False).returncode == -signal.SIGKILL
    assert _schema(path) == []
    database = Database(f"sqlite:///{path}")
    made = optuna_storage(database)
    study = made.create_new_study([optuna.study.StudyDirection.MINIMIZE], "small")
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        made.create_new_study([optuna.study.StudyDirection.MINIMIZE], "small")
    assert made.get_study_id_from_name("small") == study
    close_storage(made)
    database.close()


def test_processes_that_make_the_tables_at_one_moment_all_succeed(
    storage_url: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(name="first")
    go = tmp_path / "go"
    code = (
        "import json, pathlib, sys, time\n"
        "from archsearch.search.config import parse_study\n"
        "from archsearch.search.optuna_study import OptunaStudy\n"
        "from archsearch.store.database import Database\n"
        "config = parse_study(json.loads(sys.argv[1]), source='a test')\n"
        "print('ready', flush=True)\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.001)\n"
        f"OptunaStudy(Database({storage_url!r}), config, config.search_space()).ask(1)\n"
    )
    command = [sys.executable, "-c", code, json.dumps(config.model_dump(mode="json"))]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    go.touch()
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    database = Database(storage_url)
    study = OptunaStudy(database, config, config.search_space())
    assert sorted(study.running()) == [0, 1, 2, 3]
    study.close()
    database.close()


def test_workers_of_the_proxy_wait_while_it_is_away(
    served: tuple[str, str], make_config: MakeConfig, free_port: int
) -> None:
    url, _ = served
    config = make_config(name="restarted")
    first = start_proxy(url, free_port)
    database = Database(url)
    pauses: list[float] = []

    def start_again(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            processes.append(start_proxy(url, free_port))
        time.sleep(seconds)

    processes = [first]
    try:
        study = OptunaStudy(database, config, config.search_space(), proxy=f"127.0.0.1:{free_port}")
        asked = study.ask(1)
        first.send_signal(signal.SIGKILL)
        first.wait()
        database.wait = start_again
        study.tell_values(asked.number, [50.0, 2.5], {})
        study.close()
        assert pauses  # it was waited for
        direct = OptunaStudy(database, config, config.search_space())
        assert [trial.state.name for trial in frozen(direct)] == ["COMPLETE"]
        direct.close()
    finally:
        for process in processes:
            process.kill()
            process.wait()
        database.close()


def test_a_proxy_of_another_database_is_refused_though_the_study_has_the_same_number_there(
    served: tuple[str, str], make_config: MakeConfig, postgres: Any
) -> None:
    url, proxy = served
    config, number = make_config(name="checked"), 0
    for address, refused in ((url, False), (postgres.new_database(), True)):
        database = Database(address)
        direct = optuna_storage(database)
        try:
            for other in range(number - 1):
                optuna.create_study(storage=direct, study_name=f"other {other}")
            OptunaStudy(database, config, config.search_space()).close()
            if refused:
                assert direct.get_study_id_from_name(config.name) == number
                with pytest.raises(ConfigError, match="serves another database"):
                    check_proxy(database, proxy, config.name)
            else:
                number = direct.get_study_id_from_name(config.name)
                for _ in range(2):
                    check_proxy(database, proxy, config.name)
        finally:
            close_storage(direct)
            database.close()


def test_a_proxy_of_the_database_that_this_one_is_a_copy_of_is_refused(
    database: Database, make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, served = make_config(name="restored"), database
    monkeypatch.setattr(
        storage, "optuna_storage", lambda of, proxy=None: optuna_storage(of if proxy is None else served)
    )
    OptunaStudy(database, config, config.search_space()).close()
    check_proxy(database, "db1:13000", config.name)
    with closing(sqlite3.connect(str(database.sqlite_file))) as original:
        original.execute(f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    copy = Database(f"sqlite:///{tmp_path / 'copy.db'}")
    with pytest.raises(ConfigError, match="db1:13000 serves another database than"):
        check_proxy(copy, "db1:13000", config.name)
    copy.close()


def test_a_proxy_is_not_refused_while_other_machines_that_begin_are_checking_it(
    database: Database, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(name="together")
    OptunaStudy(database, config, config.search_space()).close()
    served = optuna_storage(database)
    others, read = list("cb"), served.get_study_system_attrs

    def between_others(study_id: int) -> dict[str, Any]:
        drawn = [others.pop()] if others else []
        for each in drawn:  # before the proxy reads
            served.set_study_system_attr(study_id, storage._DATABASE, each)
        found = read(study_id)
        for each in drawn:  # and after it
            served.set_study_system_attr(study_id, storage._DATABASE, f"after {each}")
        return found

    monkeypatch.setattr(served, "get_study_system_attrs", between_others)
    monkeypatch.setattr(
        storage, "optuna_storage", lambda of, proxy=None: optuna_storage(of) if proxy is None else served
    )
    check_proxy(database, "db1:13000", config.name)


def test_a_proxy_that_does_not_answer_is_named(
    database: Database, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    pytest.importorskip("grpc")
    monkeypatch.setattr(storage, "READY_SECONDS", 0.2)
    with pytest.raises(StoreError, match=f"no proxy answers at localhost:{free_port}") as caught:
        optuna_storage(database, f"localhost:{free_port}")
    assert "archsearch serve-storage" in str(caught.value.hint)


def test_a_worker_that_is_started_while_the_proxy_is_away_waits_for_it(
    database: Database, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    pytest.importorskip("grpc")
    monkeypatch.setattr(storage, "READY_SECONDS", 0.2)
    config = make_config(name="restarted")

    def waited_for(_seconds: float) -> None:
        raise InterruptedError

    database.wait = waited_for
    with pytest.raises(InterruptedError):
        OptunaStudy(database, config, config.search_space(), proxy=f"localhost:{free_port}")


def test_the_proxy_ends_with_a_signal_and_a_taken_port_is_named(served: tuple[str, str], free_port: int) -> None:
    url, proxy = served
    taken = int(proxy.rpartition(":")[2])
    database = Database(url)
    with pytest.raises(StoreError, match=f"cannot listen on 127.0.0.1:{taken}"):
        serve(database, port=taken)
    database.close()
    process = start_proxy(url, free_port)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, "Traceback" in err) == (0, False)


@pytest.mark.parametrize("address", ["", "node1", "node1:", ":13000", "node1:port", "node1:0", "node1:65536"])
def test_a_wrong_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        host_and_port(address)
    with pytest.raises(ConfigError, match="HOST:PORT"):
        Runtime(optuna_proxy=address, storage="postgresql://me@db/studies")


def test_a_proxy_of_a_sqlite_file_is_refused_before_anything_is_stored() -> None:
    for url in (None, "sqlite:///other.db"):
        with pytest.raises(ConfigError, match="optuna_proxy node1:13000: it serves a PostgreSQL database"):
            Runtime(optuna_proxy="node1:13000", storage=url)


def test_a_proxy_whose_address_is_wrong_leaves_no_connection_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[object] = []
    monkeypatch.setattr(storage, "close_storage", lambda one: (closed.append(one), close_storage(one)))
    with closing(Database(f"sqlite:///{tmp_path}/a.db")) as database, pytest.raises(ConfigError, match="HOST:PORT"):
        check_proxy(database, "nowhere", "any")
    assert len(closed) == 1


def test_an_address_is_a_host_and_a_port() -> None:
    assert host_and_port("node1:13000") == ("node1", 13000)
    assert host_and_port("[::1]:80") == ("[::1]", 80)


def test_without_its_packages_the_error_says_what_to_install(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "find_spec", lambda name: None if name == "grpc" else find_spec(name))
    with pytest.raises(StoreError, match="grpcio") as caught:
        optuna_storage(database, "localhost:13000")
    assert "archsearch[grpc]" in str(caught.value.hint)


@pytest.mark.parametrize(("host", "said"), [("::1", "[::1]"), ("0.0.0.0", "0.0.0.0")])
def test_grpc_is_told_an_address_of_ipv6_in_brackets(host: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    for name, stand_in in {
        "need_grpc": lambda: None,
        "_check_free": lambda *_: None,
        "optuna_storage": lambda _: optuna.storages.InMemoryStorage(),
        "run_grpc_proxy_server": lambda *_, **options: told.append(options["host"]),
    }.items():
        monkeypatch.setattr(f"archsearch.search.servers.{name}", stand_in)
    database: Any = SimpleNamespace(sqlite_file=None)
    serve(database, host=host)
    assert told == [said]


def test_another_kind_of_database_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "url", "mysql://user@host/database")
    with pytest.raises(UnknownNameError, match="unknown storage 'mysql'"):
        optuna_storage(database)


def test_a_database_that_cannot_be_written_is_not_opened_for_optuna(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    with closing(Database(url)) as database:
        close_storage(optuna_storage(database))
    monkeypatch.setattr("archsearch.store.database._cannot_change", lambda _file: True)  # a snapshot
    with (
        closing(Database(url, create=False)) as database,
        pytest.raises(StoreError, match="cannot be written: nothing may be written into its folder"),
    ):
        optuna_storage(database)
