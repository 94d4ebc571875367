from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import archsearch
from archsearch.cli.main import LOOK, SEARCH, app

COMMANDS = tuple(command.name for command in app.registered_commands)
HEAVY = ("torch", "torchvision", "optuna", "plotly", "sqlalchemy", "pandas", "scipy", "sklearn", "fvcore")


def modules_after(arguments: list[str], cwd: Path) -> set[str]:
    """The modules that a fresh process has imported when a command has ended."""
    code = (
        "import sys\n"
        f"sys.argv = ['archsearch', *{arguments!r}]\n"
        "from archsearch.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    code = ended.code\n"
        "else:\n    code = 0\n"
        "sys.stdout.flush()\n"
        "print('\\nMODULES', code or 0, *sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True, timeout=120, env=os.environ
    )
    _, code_, *names = ended.stdout.rsplit("MODULES", 1)[1].split(" ")
    assert code_ in ("0", "1"), ended.stderr
    return {name.strip() for name in names}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    assert modules_after(arguments, tmp_path).isdisjoint(HEAVY)


@pytest.mark.parametrize("arguments", [["studies"], ["studies", "--json"], ["studies", "--shipped"]])
def test_listing_studies_never_imports_torch_or_optuna(arguments: list[str], tmp_path: Path) -> None:
    assert modules_after(arguments, tmp_path).isdisjoint({"torch", "torchvision", "optuna", "plotly", "pandas"})


def test_help_groups_the_commands_and_shows_examples(cli: Callable[..., object]) -> None:
    ended = cli("--help")
    assert ended.code == 0
    search, look = ended.out.split(f"─ {SEARCH} ─")[1].split(f"─ {LOOK} ─")
    for panel, shown in ((SEARCH, search), (LOOK, look)):
        of_panel = [command.name for command in app.registered_commands if command.rich_help_panel == panel]
        assert [name for name in COMMANDS if f"│ {name} " in shown] == of_panel
    assert "Examples:" in ended.out
    assert "--install-completion" in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_commands_help_shows_an_example_of_itself(command: str, cli: Callable[..., object]) -> None:
    ended = cli(command, "--help")
    assert ended.code == 0
    assert f"archsearch {command}" in ended.out.split("Examples:")[1]


def test_version_is_the_packages(cli: Callable[..., object]) -> None:
    ended = cli("--version")
    assert (ended.code, ended.out) == (0, f"archsearch {archsearch.__version__}\n")
