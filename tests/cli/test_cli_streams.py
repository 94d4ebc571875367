"""Standard output and standard error that are closed, full, narrow, or of another encoding."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from archsearch.cli.console import _console, _forget_what_is_no_size, doing, log_to_console, typed_command
from archsearch.cli.main import main
from archsearch.errors import ArchsearchError


def end_of_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr("sys.argv", ["archsearch", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_a_full_standard_output_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert end_of_main(monkeypatch, "--version") == 1
    assert "error: No space left on device" in capsys.readouterr().err


def test_a_closed_standard_output_is_told_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout", None)
    assert end_of_main(monkeypatch, "--version") == 1
    assert "error: standard output is closed" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("plot",), ("schema",)], ids=["table", "json"])
def test_a_pipe_that_nobody_reads_any_more_is_told(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as pipe:  # noqa: PTH123 (a descriptor)
        monkeypatch.setattr("sys.stdout", pipe)
        assert end_of_main(monkeypatch, *command) == 1
    told = "error: Broken pipe\nwhat reads the output has ended before all of it was written\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("where", ["closed", "full"])
def test_a_lost_standard_error_stops_nothing(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115 (closing it would fail)
    monkeypatch.setattr("sys.stderr", None if where == "closed" else full)
    assert end_of_main(monkeypatch, "plot", "absent") == 2
    assert end_of_main(monkeypatch, "--version") == 0
    monkeypatch.undo()
    assert "archsearch" in capsys.readouterr().out


def test_bytes_that_are_no_text_are_refused(cli: Callable[..., object]) -> None:
    for arguments in (("run", "--study", "\udcff"), ("pareto", "--study", "a\udc80")):
        ended = cli(*arguments)
        assert (ended.code, ended.err.splitlines()[0][-16:]) == (2, ": not UTF-8 text")


def test_characters_that_the_encoding_lacks_are_written_as_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr("archsearch.cli.main.app", lambda *_words, **_mode: print("\u00b1 1"))
    with pytest.raises(SystemExit, match="0"):
        main()
    assert raw.getvalue() == b"\\xb1 1\n"


@pytest.mark.parametrize(
    ("columns", "width"), [(None, 1000), ("0", 1000), ("x", 1000), ("\u00b2", 1000), ("80", 80), ("3", 20)]
)
def test_a_pipe_cuts_nothing_and_no_width_prints_nothing(
    columns: str | None, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    _forget_what_is_no_size()
    assert _console(io.StringIO()).width == width


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"])
def test_a_pipe_is_no_terminal_where_continuous_integration_asks_for_colours(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    shown = _console(io.StringIO())
    assert not shown.is_terminal and not shown.is_interactive  # no page is opened, no line drawn over another
    assert shown.color_system is None


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("postgresql://me:SECRET@db/x", "'postgresql://me:***@db/x'"),
        ("postgresql://:SECRET@db/x", "'postgresql://:***@db/x'"),
        ("postgresql://me@db/x?password=SECRET", "'postgresql://me@db/x?password=***'"),
        (
            "postgresql://me@db/x?sslmode=require&sslpassword=SECRET",
            "'postgresql://me@db/x?sslmode=require&sslpassword=***'",
        ),
        ("postgresql://me@db/x?pass%77ord=SECRET", "'postgresql://me@db/x?pass%77ord=***'"),
        ("--storage=postgresql+psycopg://me:SE@C/RET@db/x", "'--storage=postgresql+psycopg://me:***@db/x'"),
        ("--storage=postgresql://db/x?password=SECRET&host=q", "'--storage=postgresql://db/x?password=***&host=q'"),
        ("sqlite:///a.db?mode=ro", "'sqlite:///a.db?mode=ro'"),
        ("proxy.epochs=3", "proxy.epochs=3"),
    ],
)
def test_no_password_is_kept_with_the_command(typed: str, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["archsearch", "run", typed])
    assert typed_command() == f"archsearch run {kept}"


def test_a_warning_in_a_pipe_is_its_words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    shown = _console(pipe)
    shown.file = pipe
    monkeypatch.setattr("archsearch.cli.console.error_console", shown)
    log_to_console(verbose=False)
    logging.getLogger("archsearch.data").warning("left out:\n[b]1[/b].jpg")
    told = {
        "name": "choreographer.channels.pipe",
        "msg": "JSONError decoding message. Ignoring",
        "levelno": logging.ERROR,
    }
    logging.getLogger().handle(logging.makeLogRecord(told))  # a drawn picture's
    assert pipe.getvalue() == "WARNING  left out:\n         [b]1[/b].jpg\n"


class Timing:
    """In place of what times networks: notes which threads draw meanwhile, and ends it."""

    def __init__(self) -> None:
        self.drawing: list[list[threading.Thread]] = []

    def __call__(self, *_: Any, **__: Any) -> None:
        threads = [each for each in threading.enumerate() if type(each).__module__.startswith("rich.")]
        # one that was told to end wakes once more, and draws nothing
        self.drawing.append([each for each in threads if not each.done.is_set()])  # type: ignore[attr-defined]
        raise ArchsearchError("timed")


@pytest.mark.parametrize(
    ("command", "does"),
    [
        (("guidelines",), "archsearch.api.guidelines.guidelines"),
        (("confirm", "--sustained", "1m"), "archsearch.api.sustained.measure_sustained"),
        (("export", "--trial", "model"), "archsearch.api.export.export"),
    ],
    ids=["guidelines", "confirm", "export"],
)
def test_no_thread_draws_in_a_terminal_while_this_process_times_networks(
    command: tuple[str, ...], does: str, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "spec.json").write_text("{}")
    text = io.StringIO()
    monkeypatch.setattr("archsearch.cli.console.error_console", Console(file=text, force_terminal=True, width=80))
    monkeypatch.setattr(does, timing := Timing())
    assert cli(*command).code == 1
    assert timing.drawing == [[]]


def test_no_thread_draws_in_a_terminal_while_networks_are_timed_for_the_estimate_of_a_run(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr("archsearch.cli.run.error_console", shown)
    monkeypatch.setattr("archsearch.search.plan._preflight", lambda *_, **__: None)
    monkeypatch.setattr("archsearch.api.run.timed_estimate", timing := Timing())
    assert cli("run", "--study", "quickstart", "--dry-run", "--device", "cpu", "--workers", "1").code == 0
    assert timing.drawing == [[]]


def test_how_far_it_is_is_drawn_where_nothing_else_draws() -> None:
    text = io.StringIO()
    with doing("counting [all]", Console(file=text, force_terminal=True, width=80), still=True) as say:
        assert "counting [all]" in text.getvalue()
        say("3 of 4 [b]")
        assert "3 of 4 [b]" in text.getvalue()


def test_what_takes_its_time_is_a_line_in_a_pipe_and_how_far_it_is_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("archsearch.cli.console.time.monotonic", lambda: now)
    text = io.StringIO()
    with doing("counting [all]", Console(file=text, width=80)) as say:
        assert text.getvalue() == "counting [all]\n"  # at once
        for number in range(4):
            say(f"{number} of 4")
            now += 6.0
    assert text.getvalue().splitlines()[1:] == ["2 of 4"]  # the first one after ten seconds
