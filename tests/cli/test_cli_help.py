from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import archsearch
from archsearch.cli.main import LOOK, SEARCH, app

COMMANDS = tuple(command.name for command in app.registered_commands)
HEAVY = ("torch", "torchvision", "optuna", "plotly", "sqlalchemy", "pandas", "scipy", "sklearn", "fvcore")


def heavy_modules_after(commands: Sequence[Sequence[str]], cwd: Path) -> dict[tuple[str, ...], set[str]]:
    """Which of the heavy modules a fresh process has imported when each of these commands has ended, in turn."""
    code = (
        "import json, sys\n"
        "from archsearch.cli.main import main\n"
        "for arguments in json.loads(sys.argv.pop()):\n"
        "    sys.argv = ['archsearch', *arguments]\n"
        "    try:\n        main()\n"
        "    except SystemExit as ended:\n        code = ended.code\n"
        "    else:\n        code = 0\n"
        "    sys.stdout.flush()\n"
        f"    print('\\nMODULES', code or 0, *[name for name in {HEAVY} if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", code, json.dumps(commands)]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True, timeout=120)
    found = [line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("MODULES")]
    assert {code for code, *_ in found} <= {"0", "1", "2"}, ended.stderr
    return {tuple(each): set(names) for each, (_, *names) in zip(commands, found, strict=True)}


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    found = heavy_modules_after([["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], tmp_path)
    assert {command: names for command, names in found.items() if names} == {}


def test_listing_studies_never_imports_torch_or_optuna(tmp_path: Path) -> None:
    found = heavy_modules_after([["studies"], ["studies", "--json"], ["studies", "--shipped"]], tmp_path)
    assert set().union(*found.values()).isdisjoint({"torch", "torchvision", "optuna", "plotly", "pandas"})


def test_a_wrong_name_in_a_study_is_answered_before_torch_is_imported(tmp_path: Path) -> None:
    wrong = ("sampler=tpee", "restrict={kernal: [3]}", "variants=[shuflenet]", "reference=shuflenet", "proxy.epoch=3")
    found = heavy_modules_after(
        [["run", "--study", "quickstart", "--set", key, "--dry-run"] for key in wrong], tmp_path
    )
    assert set().union(*found.values()).isdisjoint({"torch", "torchvision", "plotly", "pandas"})


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


def test_without_its_script_on_the_path_the_command_is_a_module() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "archsearch", "--version"], capture_output=True, text=True, check=True
    )
    assert ended.stdout == f"archsearch {archsearch.__version__}\n"
