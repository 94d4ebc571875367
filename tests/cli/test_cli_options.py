"""Options that would do nothing, or something else than was meant, are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import unpack_golden


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a command beside the golden studies."""
    monkeypatch.chdir(tmp_path)
    unpack_golden(tmp_path)
    return cli


@pytest.mark.parametrize(
    "words",
    [
        *(
            (*command.split(), "--study", "")
            for command in (
                "pareto", "report", "plot front", "retrain", "export", "ablate", "confirm", "confirm --sustained 1m",
                "trust", "replay", "dashboard",
            )
        ),
        ("pareto", "--study", " "),
        ("compare", "cifar10_random", ""),
        *((command, ":best") for command in ("describe", "measure", "audit")),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_empty_name_of_a_study_is_not_the_last_study(words: tuple[str, ...], said: Callable[..., Any]) -> None:
    ended = said(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "error: the study's name is empty\narchsearch studies lists the stored ones" in ended.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("pareto",), "give --plot, --png or --csv, too"),
        (("compare", "cifar10_random", "cifar10_other"), "give --plot or --csv, too"),
        (("guidelines",), "give --plot or --png, too"),
    ],
)
def test_a_folder_for_no_file_is_refused(words: tuple[str, ...], hint: str, said: Callable[..., Any]) -> None:
    ended = said(*words, "--out", "folder")
    assert (ended.code, ended.out) == (2, "")
    assert f"error: --out folder needs a file to write\n{hint}" in ended.err and not Path("folder").exists()
