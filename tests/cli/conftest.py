from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Ended:
    """How one command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run the entry point as the console script does, in this process."""
    from archsearch.cli.console import console, error_console
    from archsearch.cli.main import main

    monkeypatch.setenv("COLUMNS", "120")  # of consoles that are made from now on; these two may be older
    for made in (console, error_console):
        monkeypatch.setattr(made, "width", 120)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["archsearch", *arguments])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run
