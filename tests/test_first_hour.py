"""What writes docs/first_hour.txt: a terminal as it is seen, the lines typed in it, and README.md's commands."""

from __future__ import annotations

import io
import runpy
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.live import Live
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
hour = SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "first_hour.py"), run_name="first_hour"))


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("one\r\ntwo", "one\ntwo"),
        ("10 %\r90 %", "90 %"),
        ("one\ntwo\x1b[1A\r\x1b[2Kthree", "three\n   two"),  # a line feed alone keeps the column
        ("\x1b[1;32mgreen\x1b[0m \x1b]8;;file://x\x1b\\link\x1b]8;;\x1b\\", "green link"),
        ("abcdefghijkl", "abcdefghij\nkl"),  # ten columns
        ("abcde\x1b[3DX", "abXde"),
    ],
)
def test_a_screen_shows_what_a_terminal_shows(written: str, seen: str) -> None:
    for step in (1, len(written)):  # however the text arrives
        screen = hour.Screen(10)
        for start in range(0, len(written), step):
            screen.feed(written[start : start + step])
        assert screen.text() == seen


def test_a_live_view_is_seen_as_it_was_last_drawn() -> None:
    written, plain = io.StringIO(), Console(width=40, record=True, file=io.StringIO())
    console = Console(file=written, force_terminal=True, width=40, height=20, legacy_windows=False)
    with Live(console=console, auto_refresh=False) as live:
        for count in (3, 1, 2):
            table = Table("trial", "ms")
            for row in range(count):
                table.add_row(str(row), "0.1")
            live.update(table, refresh=True)
    screen = hour.Screen(40)
    screen.feed(written.getvalue().replace("\n", "\r\n"))
    plain.print(table)
    assert screen.text() == "\n".join(line.rstrip() for line in plain.export_text().splitlines())


def test_a_typed_line_has_a_terminal_of_80_columns_and_is_ended_by_control_c(tmp_path: Path) -> None:
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "TERM": "xterm"}
    seen = hour.typed("stty size; test -t 1 && echo a terminal", folder=tmp_path, environment=environment)
    assert (seen.end.text(), seen.status, seen.interrupted) == ("24 80\na terminal", 0, False)
    seen = hour.typed("echo begun; exec sleep 60", folder=tmp_path, environment=environment, look="begun", limit=0.5)
    assert (seen.middle.text(), seen.status, seen.interrupted) == ("begun", -signal.SIGINT, True)


def test_the_commands_of_the_readme_are_found_without_what_is_said_behind_them() -> None:
    text = "Do:\n\n    pip install -e . && archsearch run\n\n    pytest\n    archsearch pareto --plot   # a page\n"
    assert hour.readme_commands(text) == ["archsearch run", "archsearch pareto --plot"]
    assert len(hour.readme_commands((ROOT / "README.md").read_text(encoding="utf-8"))) >= 3
