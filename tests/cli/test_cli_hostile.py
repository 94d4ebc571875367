"""Names, numbers and paths that once ended in a traceback: each stands for its kind."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

LONG = "x" * 300


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ("describe", LONG),
        ("describe", f"{LONG}.yaml"),
        ("describe", f"{LONG}.json"),
        ("describe", "shufflenet_v2_x0_5:" + "9" * 5000),
        ("run", "--study", f"{LONG}.yaml"),
        ("run", "--study", "digits_x", "--set", f"name={LONG}"),
        ("pareto", "--storage", f"sqlite:///{LONG}.db"),
        ("export", "--trial", LONG),
        ("plot", LONG),
    ],
)
def test_a_name_of_300_characters_ends_in_a_sentence(arguments: tuple[str, ...], cli: Callable[..., object]) -> None:
    ended = cli(*arguments)
    assert ended.code in (1, 2)
    assert ended.err.removeprefix("reading the network\n").startswith("error: ")
    assert len(ended.err) < 3000


@pytest.mark.parametrize("number", ["²", "١", "1_0", "+1", " 1", "9" * 5000])
def test_only_plain_digits_are_a_trials_number(number: str) -> None:
    from archsearch.api.stored import trial_number

    assert trial_number(number) is None
    assert trial_number("007") == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\ufeff{}", "family"),
        ("{", "net.json:1:2: not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("9" * 5000, "not valid JSON"),
        ('{"family": "shufflenet_v2", "stem.kernel": 1e999}', "net.json"),
    ],
)
def test_a_networks_json_is_read_or_refused_by_its_name(text: str, said: str, cli: Callable[..., object]) -> None:
    Path("net.json").write_text(text, encoding="utf-8")
    ended = cli("describe", "net.json")
    assert ended.code == 2
    assert said in ended.err


def test_values_in_messages_are_shortened(cli: Callable[..., object]) -> None:
    Path("mine.yaml").write_text(f"name: mine\nspace: {'s' * 100_000}\ndataset: digits\ntrials: [{'1, ' * 20_000}]\n")
    ended = cli("run", "--study", "mine.yaml", "--set", f"sampler={'x' * 50_000}")
    assert ended.code == 2
    assert len(ended.err) < 5000


@pytest.mark.parametrize(("size", "classes"), [("1000000000", "10"), ("32", "1000000000")])
def test_sizes_are_limited_before_memory_is_taken(size: str, classes: str, cli: Callable[..., object]) -> None:
    ended = cli("describe", "shufflenet_v2_x0_5", "--input-size", size, "--classes", classes)
    assert (ended.code, "at most 4096 pixels and 100,000 classes" in ended.err) == (1, True)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me@127.0.0.1:1/x?password=SECRET", "postgresql+psycopg://me@127.0.0.1:1/x?password=***"),
        ("postgresql://:SECRET@127.0.0.1:1/x", "postgresql+psycopg://:***@127.0.0.1:1/x"),
        ("postgresql://me:SECRET@127.0.0.1:x/x", "postgresql://me:***@127.0.0.1:x/x"),
        ("SECRET://me:SECRET@", "://me:***@"),
    ],
)
def test_no_error_shows_a_password(url: str, shown: str, cli: Callable[..., object]) -> None:
    pytest.importorskip("psycopg")
    ended = cli("pareto", "--storage", url)
    assert ended.code in (1, 2)
    assert shown in ended.err
    assert "SECRET@" not in ended.err and "=SECRET" not in ended.err


@pytest.mark.parametrize(
    ("host", "warned"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False), ("localhost", False)]
)
def test_a_server_that_others_reach_warns(
    host: str, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from types import SimpleNamespace

    import archsearch.search.servers as server

    if host == "::" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    for name in ("_check_free", "optuna_storage", "get_storage", "run_grpc_proxy_server", "close_storage", "need_grpc"):
        monkeypatch.setattr(server, name, lambda *_, **__: None)
    with caplog.at_level(logging.WARNING):
        server.serve(SimpleNamespace(sqlite_file=None), host=host, port=13000)  # type: ignore[arg-type]
    assert ("may read, change and delete every study" in caplog.text) is warned
