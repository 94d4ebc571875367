from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import unpack_golden

import archsearch
from archsearch.errors import StoreError
from archsearch.search import servers
from archsearch.store.database import Database


def test_two_forms_at_once_are_refused(cli: Callable[..., Any]) -> None:
    ended = cli("report", "--markdown", "--latex")
    assert ended.code == 2
    assert "--markdown and --latex are two reports" in ended.err


@pytest.mark.parametrize(
    ("typed", "ends"),
    [
        (("--out", "f/r.pdf"), "end it with .html, .md or .tex"),
        (("--out", "r"), "end it with .html, .md or .tex"),
        (("--markdown", "--out", "x.html"), "end it with .md"),
        (("--latex", "--out", "x.md"), "end it with .tex"),
    ],
)
def test_a_report_is_not_written_into_a_file_of_another_kind(
    typed: tuple[str, ...], ends: str, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    unpack_golden(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    ended = cli("report", "--study", "cifar10_random", *typed)
    assert ended.code == 2 and f"out {typed[-1]}: no file of this kind can be written" in ended.err
    assert ended.err.rstrip().endswith(ends)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("typed", "begins"),
    [
        (("--out", "r.md"), "# "),
        (("--markdown", "--out", "r.MD"), "# "),
        (("--out", "r.tex"), "% \\usepackage{booktabs}"),
        (("--out", "r.html"), "<!DOCTYPE html>"),
    ],
)
def test_the_end_of_a_report_s_path_says_as_what_it_is_written(
    typed: tuple[str, ...], begins: str, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    unpack_golden(tmp_path)
    ended = cli("report", "--study", "cifar10_random.confirm-427cae", *typed)
    assert (ended.code, Path(typed[-1]).read_text(encoding="utf-8").startswith(begins)) == (0, True)
    archsearch.report("cifar10_random.confirm-427cae", out=f"again{Path(typed[-1]).suffix}")
    assert Path(f"again{Path(typed[-1]).suffix}").read_text(encoding="utf-8").startswith(begins)


@pytest.mark.parametrize("command", ["report", "dashboard"])
def test_without_a_database_the_commands_say_what_to_do(command: str, cli: Callable[..., Any], tmp_path: Path) -> None:
    ended = cli(command, "--storage", f"sqlite:///{tmp_path / 'none.db'}")
    assert ended.code == 1
    assert "none.db" in ended.err
    assert "Traceback" not in ended.err


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'one.db'}", create=True)


def test_without_the_extra_the_dashboard_says_what_to_install(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "find_spec", lambda _name: None)
    with pytest.raises(StoreError, match="not installed") as caught:
        servers.serve_dashboard(database, "any")
    assert caught.value.hint == "pip install 'archsearch[dashboard]'"


def test_a_study_that_optuna_does_not_know_is_named_with_what_brings_it_back(database: Database) -> None:
    pytest.importorskip("optuna_dashboard")
    with pytest.raises(StoreError, match="Optuna knows no study 'absent'") as caught:
        servers.serve_dashboard(database, "absent", port=0)
    # a run of one that has trials is refused: tests/search/test_search_recovery.py
    assert str(caught.value.hint).startswith("put a copy of the database back if it has trials")


def test_a_port_in_use_is_named(database: Database) -> None:
    pytest.importorskip("optuna_dashboard")
    from archsearch.search.storage import close_storage, optuna_storage

    storage = optuna_storage(database)
    storage.create_new_study([], "one")
    close_storage(storage)
    with socket.socket() as other:
        other.bind((servers.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StoreError, match=f"cannot listen on 127.0.0.1:{port}") as caught:
            servers.serve_dashboard(database, "one", port=port)
    assert "another port" in (caught.value.hint or "")
