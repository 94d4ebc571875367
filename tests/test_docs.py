"""What the documents say is true of the code: keys, defaults, links, files, commands. Nothing here imports torch."""

from __future__ import annotations

import ast
import html
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from packaging.version import Version
from pydantic import BaseModel
from scipy import stats

import archsearch
from archsearch.analysis.intervals import mean_interval
from archsearch.cli.main import app
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import FAMILIES
from archsearch.resources import list_yaml
from archsearch.search.config import Constraints, StudyConfig, load_study
from archsearch.search.stopping.base import StoppingSettings
from archsearch.space.search_space import ChoiceFile, SpaceFile, read_space
from archsearch.training.protocols import protocol_for
from archsearch.training.settings import ProxySettings

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
STUDIES = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
SPACES = (ROOT / "docs" / "spaces.md").read_text(encoding="utf-8")
COMMANDS = ROOT / "docs" / "commands.md"
# A heading of docs/studies.md and the model whose keys its table lists.
TABLES: dict[str, type[BaseModel]] = {
    "A study's keys": StudyConfig,
    "proxy": ProxySettings,
    "latency": LatencySettings,
    "constraints": Constraints,
    "stopping": StoppingSettings,
}
TRAINING_SPEED = "training_throughput: a proxy's training, images a second at one thread"
GROUP: Any = typer.main.get_command(app)
USAGE_ERROR: Any = typer.BadParameter.__base__
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading '{heading}'"
    return found[1]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each row of the tables in a text, heads left out."""
    head = True
    for line in text.splitlines():
        if not line.startswith("|"):
            head = True
        elif head:
            head = not set(line) <= set("|-: ")
        else:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def code_of(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def documented_defaults(heading: str) -> dict[str, str]:
    """Each key of a table of docs/studies.md with the text of its default."""
    return {key: cells[-1] for cells in rows(section(STUDIES, heading)) for key in code_of(cells[0])}


def block_lines(text: str, *, fences: bool = True) -> Iterator[str]:
    """The lines of indented and fenced blocks, continued lines joined, and what follows two spaces cut off."""
    fenced = False
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif (fenced and fences) or (line.startswith("    ") and not fenced):
            yield re.split(r"\s{2,}", line.strip())[0]


def typed_commands(path: Path) -> list[str]:
    """Every `archsearch COMMAND ...` that a document shows in a block, as a person would type it."""
    lines = [part for line in block_lines(path.read_text(encoding="utf-8")) for part in line.split(" && ")]
    found = [re.search(r"(?:^|\s)archsearch [a-z-].*", line) for line in lines if "[OPTIONS]" not in line]
    return [match[0].strip() for match in found if match]


def mentioned_commands(path: Path) -> list[tuple[str, list[str]]]:
    """Every `archsearch COMMAND ...` within a sentence or a row of a table: the command, and the options beside it."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        for code in re.findall(r"`archsearch ([^`]+)`", line):
            beside = line if line.startswith("| `archsearch ") else code
            found.append((code.split()[0], OPTION.findall(beside)))
    return found


def typed_by_tests() -> dict[str, set[str]]:
    """The commands that tests type, each with the options that stand beside it: in a call, a tuple, or a function.

    A function counts as a whole, with its decorators, because options come from parameters, too.
    """
    found: dict[str, set[str]] = {}

    def words(nodes: Sequence[ast.AST], constants: dict[str, list[str]]) -> list[str]:
        said: list[str] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                said += words([node.value], constants)
            elif isinstance(node, ast.Tuple | ast.List):
                said += words(node.elts, constants)
            elif isinstance(node, ast.Name):
                said += constants.get(node.id, [])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.append(node.value)
        return said

    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path == Path(__file__) or not any(f'"{name}"' in text for name in GROUP.commands):
            continue
        constants: dict[str, list[str]] = {}
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                constants[node.targets[0].id] = words([node.value], constants)
            if isinstance(node, ast.FunctionDef):
                said = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
                said = [each for each in said if isinstance(each, str)]
                said += words([each for each in ast.walk(node) if isinstance(each, ast.Name)], constants)
            elif isinstance(node, ast.Call):
                said = words(node.args, constants)
            elif isinstance(node, ast.Tuple | ast.List):
                said = words([node], constants)
            else:
                continue
            for name in GROUP.commands.keys() & set(said):
                found.setdefault(name, set()).update(word for word in said if word.startswith("-"))
    return found


def overrides_of(line: str) -> list[str]:
    """What follows each `--set` of a line."""
    words = shlex.split(line, comments=True)
    return [after for before, after in pairwise(words) if before == "--set"]


# Options that a document shows with a command and no test types with it, and why.
NOT_TYPED = {
    ("confirm", "--time-budget"): "it ends workers as that of run does, which a test types",
    ("confirm", "--sustained"): "it takes minutes; tests/analysis/test_analysis_sustained.py has what is made of them",
    ("confirm", "--target"): "as of run",
    ("guidelines", "--target"): "as of measure, whose option a test types",
    ("replay", "--workers"): "the same replays, in several processes",
    ("run", "--target"): "a study on a board costs minutes; tests/search/test_search_targets.py has its measurements",
    ("serve-storage", "--host"): "it would open a port to the network",
    ("target", "--json"): "the same table as JSON; TargetCheck has tests of its own",
}
# Other programs in blocks: the test or check that runs them so, or why none does.
PROGRAMS = {
    "pip": ".ci/run",
    "pytest": ".ci/run",
    "ruff": ".ci/run",
    "mypy": ".ci/run",
    "sbatch": "tests/e2e/test_e2e_slurm.py",
    "exec": "a line of a script: that of SLURM is run by tests/e2e/test_e2e_slurm.py",
    "cd": "a line of a script: that of SLURM is run by tests/e2e/test_e2e_slurm.py",
    "initdb": "tests/conftest.py",
    "pg_ctl": "tests/conftest.py",
    "torchrun": "tests/e2e/test_e2e_retrain_distributed.py",
    "optuna-dashboard": "tests/e2e/test_e2e_dashboard.py",
    ".ci/run": "it is what runs the tests",
    "python3": "makes a virtual environment, as .ci/run does; or runs pip on a board",
    "uv": "makes another environment: the tests run in one",
    "sudo": "sets up a server for the whole machine; the tests have one of their own, without root's settings",
    "createdb": "SQL makes the tests' databases",
    "echo": "writes a line into a server's or a user's own settings",
    "chmod": "of a user's own settings",
    "from": "Python that plans an ablation of images that are not at hand; tests plan others",
    "for": "starts programs on other machines",
    "ssh": "ends a program on another machine",
    "mkdir": "by itself",
    "tar": "copies the files of a list",
    "sqlite3": "changes a database by hand, which a test does in Python",
}
# Python in documents: the test that executes it.
PYTHON = {
    "docs/add_attention.md": "tests/test_examples.py",
    "docs/agents.md": "tests/api/test_api_calls.py",
    "docs/deploy.md": "tests/e2e/test_e2e_export.py",
    "docs/python.md": "tests/test_examples.py",
    "docs/tutorial.md": "tests/e2e/test_e2e_tutorial.py",
}

TYPED = [(where(path), line) for path in DOCUMENTS for line in typed_commands(path)]
MENTIONED = [(where(path), *mention) for path in DOCUMENTS for mention in mentioned_commands(path)]
LINKS = [
    (path, target)
    for path in DOCUMENTS
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    if "://" not in target
]
OVERRIDES = sorted(
    {
        override
        for path in DOCUMENTS
        for line in block_lines(path.read_text(encoding="utf-8"))
        if line.startswith(("--set ", "archsearch run "))
        for override in overrides_of(line)
    }
)


@pytest.mark.parametrize("heading", TABLES)
def test_the_table_of_keys_lists_exactly_the_keys_that_a_study_may_have(heading: str) -> None:
    assert set(documented_defaults(heading)) == set(TABLES[heading].model_fields)


@pytest.mark.parametrize("heading", TABLES)
def test_the_documented_defaults_are_those_of_the_code(heading: str) -> None:
    compared = 0
    for key, text in documented_defaults(heading).items():
        default = TABLES[heading].model_fields[key].get_default()
        if isinstance(default, bool):
            assert text == f"`{str(default).lower()}`", key
        elif isinstance(default, int | float):
            assert float(text) == default, key
        elif isinstance(default, str) and default:
            assert text == f"`{default}`", key
        elif default is None and heading != "A study's keys":  # there words say what is taken instead
            assert text.rpartition(" ")[2] == "`null`", key
        else:
            continue
        compared += 1
    assert compared >= 3


def test_the_table_of_a_search_space_lists_exactly_its_keys() -> None:
    keys = {key for cells in rows(section(STUDIES, "A search space's keys")) for key in code_of(cells[0])}
    assert keys == {*SpaceFile.model_fields, *(f"choices.NAME.{name}" for name in ChoiceFile.model_fields)}


@pytest.mark.parametrize("override", OVERRIDES)
def test_every_override_shown_is_accepted_and_changes_the_study(override: str) -> None:
    changed = [load_study(study, [override]) for study in ("cifar10_cpu", "cifar10")]
    assert all(study.search_space().size > 0 for study in changed)
    assert changed != [load_study("cifar10_cpu"), load_study("cifar10")]


def test_the_page_of_attentions_widens_a_study_and_keeps_what_it_restricts() -> None:
    (line,) = [line for path, line in TYPED if path == "docs/add_attention.md" and line.startswith("archsearch run ")]
    restricted = load_study("cifar10_cpu", overrides_of(line)).restrict
    assert restricted == {**load_study("cifar10_cpu").restrict, "attention": ["none", "eca"]}


@pytest.mark.parametrize(("path", "target"), LINKS, ids=[f"{where(path)}: {target}" for path, target in LINKS])
def test_every_relative_link_leads_somewhere(path: Path, target: str) -> None:
    file, _, anchor = target.partition("#")
    linked = path.parent / file if file else path
    assert linked.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("path", DOCUMENTS, ids=where)
def test_every_source_file_that_a_document_names_exists(path: Path) -> None:
    """Paths are from the root or from the package; capitals stand for a name to be filled in."""
    text = path.read_text(encoding="utf-8")
    named = {name for name in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|yaml|md))`", text) if name == name.lower()}
    missing = [name for name in named if not any((base / name).is_file() for base in (ROOT, ROOT / "archsearch"))]
    assert missing == []


@pytest.mark.parametrize(("document", "line"), TYPED)
def test_every_command_line_shown_is_accepted_as_it_stands(document: str, line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)[1:]
    assert name in GROUP.commands, f"{document}: {line}"
    GROUP.commands[name].make_context(name, arguments)  # raises a usage error for a wrong option, value or argument


@pytest.mark.parametrize(("document", "line"), TYPED)
def test_no_command_line_shown_is_cut_in_two_by_a_shell(document: str, line: str) -> None:
    """A level that follows `|` without quotes would be a program of its own, and the command would end before it."""
    words = shlex.shlex(line, posix=True, punctuation_chars="|<>")
    assert [word for word in words if word and set(word) <= set("|<>")] == [], document


def test_every_command_shown_is_typed_by_a_test_with_each_of_its_options_or_marked() -> None:
    typed = typed_by_tests()
    assert set(typed) == set(GROUP.commands)
    shown = [(document, *shlex.split(line, comments=True)[1:]) for document, line in TYPED]
    missing = {
        (document, name, option)
        for document, name, *rest in shown
        for option in rest
        if OPTION.fullmatch(option) and option not in typed[name] and (name, option) not in NOT_TYPED
    }
    assert missing == set(), "type it in a test, or say in NOT_TYPED why not"


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.name != "CONTRIBUTING.md"], ids=where)
def test_every_other_program_in_a_block_is_run_by_a_check_or_marked(path: Path) -> None:
    """A line of an indented block is a command of ours or of another program, a comment, or no command at all."""
    for line in block_lines(path.read_text(encoding="utf-8"), fences=False):
        for part in line.split(" && "):
            program = re.sub(r"^(?:[A-Z_]+=\S+ )*", "", part).partition(" ")[0]
            if not re.fullmatch(r"\.?[a-z][\w/-]*[\w]", program) or " = " in part or part == program != ".ci/run":
                continue
            if program == "python":
                script = next((word for word in part.split() if word.endswith(".py")), "tests/fuzz/__main__.py")
                assert (ROOT / script).is_file(), part
            else:
                assert program == "archsearch" or program in PROGRAMS, f"{where(path)}: {part}"


def test_what_a_document_calls_of_archsearch_is_there_once_that_is_imported() -> None:
    called = {
        (where(path), name)
        for path in DOCUMENTS
        for name in re.findall(r"\barchsearch\.(\w+)(?:\.\w+)*\(", path.read_text(encoding="utf-8"))
    }
    assert called and {each for each in called if each[1] not in archsearch.__all__} == set()


@pytest.mark.parametrize(("program", "runner"), [each for each in PROGRAMS.items() if (ROOT / each[1]).is_file()])
def test_the_check_that_is_said_to_run_a_program_names_it(program: str, runner: str) -> None:
    assert program in (ROOT / runner).read_text(encoding="utf-8")


def test_every_python_block_is_executed_by_a_test_that_names_its_document() -> None:
    having = {where(path) for path in DOCUMENTS if "```python" in path.read_text(encoding="utf-8")}
    assert having == set(PYTHON)
    for document, test in PYTHON.items():
        assert document in (ROOT / test).read_text(encoding="utf-8"), document


@pytest.mark.parametrize(("document", "name", "options"), MENTIONED)
def test_every_command_mentioned_has_the_options_beside_it(document: str, name: str, options: list[str]) -> None:
    command = GROUP if name.startswith("-") else GROUP.commands.get(name)
    assert command is not None, f"{document}: there is no command '{name}'"
    known = {"-h", "--help"}.union(*(parameter.opts + parameter.secondary_opts for parameter in command.params))
    assert set(options) <= known, document


@pytest.mark.parametrize("line", ["--study quickstart --trails 3", "--study quickstart --trials x", "quickstart"])
def test_a_wrong_command_line_would_be_found(line: str) -> None:
    with pytest.raises(USAGE_ERROR):
        GROUP.commands["run"].make_context("run", shlex.split(line))


def commands_page() -> str:
    """docs/commands.md: what typer writes of the commands, with their examples as blocks and whole first sentences."""
    typer_docs = [sys.executable, "-m", "typer", "archsearch.cli.main", "utils", "docs", "--name", "archsearch"]
    written = subprocess.run(
        [*typer_docs, "--title", "The commands"], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    page = html.unescape(written)
    for name, command in GROUP.commands.items():
        summary, link = command.get_short_help_str(limit=500), f"[`{name}`](#archsearch-{name})"
        page = re.sub(rf"^\* `{name}`: .*$", f"* {link}: {summary}", page, flags=re.MULTILINE)

    def block(examples: re.Match[str]) -> str:
        return "Examples:\n\n" + "".join(f"    {line}\n" for line in examples[1].splitlines())

    page = re.sub(
        r"^Examples:  (.+)$", lambda found: "Examples:\n" + found[1].replace("   |   ", "\n"), page, flags=re.M
    )
    return re.sub(r"^Examples:\n((?:.+\n)+)", block, page, flags=re.MULTILINE)


@pytest.mark.skipif(
    Version(typer.__version__) < Version("0.29"), reason="older versions of typer lay the page out otherwise"
)
def test_the_page_of_commands_is_that_of_the_program(request: pytest.FixtureRequest) -> None:
    """After a change of a command: `pytest tests/test_docs.py -k page_of_commands --update-golden`."""
    if request.config.getoption("--update-golden"):
        COMMANDS.write_text(commands_page(), encoding="utf-8")
    assert COMMANDS.read_text(encoding="utf-8") == commands_page(), "docs/commands.md is old: --update-golden"


@pytest.mark.parametrize(
    "command", ["pip install -e . && archsearch run --study quickstart", "pip install -e '.[test]' && pytest"]
)
def test_the_readme_has_each_set_up_command_on_a_line_of_its_own(command: str) -> None:
    assert f"    {command}" in README.splitlines()


def test_the_page_of_spaces_names_every_choice_of_the_search_space_and_no_other() -> None:
    choices = read_space(list_yaml("search_spaces")["shufflenet_v2"]).choices
    named = {name for cells in rows(section(SPACES, "What is searched")) for name in code_of(cells[0])}
    unnamed = [name for name in choices if not {name, re.sub(r"\d", "N", name), f"stageN.{name}"} & named]
    assert unnamed == []
    spec = type(FAMILIES["shufflenet_v2"].base)
    assert {name.replace("stageN", "stage3") for name in named} <= {*spec.rules(), *spec.macros()}


def test_every_shipped_study_is_in_the_changelog_and_the_newest_version_is_this_one() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert [name for name in list_yaml("studies") if not re.search(rf"\b{name}\b", changelog)] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sections = re.findall(r"^## \[([^\]]+)\]", changelog, re.MULTILINE)
    assert next(name for name in sections if name != "Unreleased") == project["version"]


def test_the_steps_of_a_front_from_command_to_page_are_functions_that_earlier_steps_name() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("From command to page")[2]
    steps = [(code_of(row[1])[0], code_of(row[2])[0]) for row in rows(text) if row[0].isdigit()]
    assert 8 <= len(steps) <= 12
    files = [*(file for file, _ in steps), "archsearch/plots/catalog.py"]
    sources = {file: (ROOT / file).read_text(encoding="utf-8") for file in files}
    for place, (file, function) in enumerate(steps):
        assert f"def {function}(" in sources[file], (file, function)
        earlier = {"archsearch/plots/catalog.py", *(each for each, _ in steps[:place])}
        named = any(re.search(rf"\b{function}\b", sources[each]) for each in earlier - {file})
        assert named or place == 0, f"no step before it names {function}"


def stored_interval(values: Sequence[float]) -> str:
    """`19 ± 5`: the mean and half of its 95 % interval by Student's t."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{np.mean(values):.0f} ± {half:.0f}"


def test_the_stored_runs_are_compared_as_they_were_in_the_readme_and_among_the_results() -> None:
    results = ROOT / "docs" / "results"
    table = section((results / "README.md").read_text(encoding="utf-8"), "Measured, not claimed")
    claims = section(README, "Measured, not claimed")
    peers = json.loads((results / "search_peers_noise.json").read_text())["runs"]
    for search in ("ehvi", "local", "tpe", "nsga2", "random"):
        counts = [run["networks"] for key, run in peers.items() if key.startswith(f"{search}/")]
        assert len(counts) == 8 and stored_interval(counts) in table, search
        assert stored_interval(counts) in claims or search not in ("ehvi", "tpe")
    guided = json.loads((results / "stopping_guided.json").read_text())["runs"]
    saved = [100 * (1 - guided[f"predicted/{seed}"]["epochs"] / guided[f"none/{seed}"]["epochs"]) for seed in range(3)]
    assert f"{stored_interval(saved)}%" in table
    assert f"{stored_interval(saved)}%" in claims
    repeated = json.loads((results / "latency_repeatability.json").read_text())
    ours = [each for condition in repeated for each in condition["results"] if each["procedure"] == "ours"]
    usual = [each for condition in repeated for each in condition["results"] if each["procedure"] == "mean of 10"]
    alike, theirs = ([f"{each['within_5_percent']:.0%}" for each in found] for found in (ours, usual))
    assert f"| {' and '.join(alike)}; mean of 10 runs: {' and '.join(theirs)}" in table
    assert f"{' and '.join(alike)} of the numbers agree within 5%" in " ".join(claims.split())
    taus = [f"{each['kendall_tau']:.3f}" for each in ours]
    assert f"tau {taus[0]} alone, {taus[1]} beside training" in " ".join(claims.split())
    final = json.loads((results / "cifar100_final.json").read_text())
    networks = {each["label"]: each for each in final["networks"]}
    (won,) = [each for each in final["against"] if each["label"] == "trial 134"]
    assert won["rival"] == "shufflenet_v2_x0_5" and won["beats"]
    gain = "+{points:.1f} points ({points_low:.1f} to {points_high:.1f})".format(**won)
    faster = f"{100 * (1 - won['latency_ms'] / won['rival_latency_ms']):.0f}"
    top1s = [f"{networks[name]['top1_percent']:.1f}%" for name in ("trial 134", "shufflenet_v2_x0_5")]
    assert f"{faster}% faster | {' and '.join(top1s)}: {gain}" in table
    assert all(said in claims for said in (*top1s, gain, f"{faster}% faster"))
    large, small = networks["shufflenet_v2_x1_0"], networks["trial 117"]
    times = f"{large['latency_ms'] / small['latency_ms']:.1f}"
    said = f"{small['top1_percent']:.1f}% where x1.0 has {large['top1_percent']:.1f}% at {times} times its latency"
    assert said in claims
    assert {networks[name]["seeds"] for name in ("trial 134", "shufflenet_v2_x0_5")} == {2}
    alone = json.loads((results / "cifar100_alone.json").read_text())["networks"]
    ratios = {each["name"].partition(":")[2]: each["latency"]["ratio_to_reference"] for each in alone}
    page = (results / "README.md").read_text()
    assert f"({100 * (1 - ratios['134'] / ratios['0']):.0f} % by the latencies alone)" in page
    assert all(f"| {each['latency']['p10_ms']:.3f} ms |" in page for each in alone if "153" not in each["name"])
    picture = f"one is {won['points']:.1f} points more accurate and {faster} % faster than ShuffleNetV2 x0.5"
    assert picture in README.partition("## Start")[0]
    speeds = json.loads((results / "training_throughput.json").read_text())["rows"]
    times = sorted(f"{row['ratio_to_tutorial']:.1f}" for row in speeds)
    assert f"{times[0]} to {times[-1]} times the images a second" in claims


def test_the_readme_says_how_long_full_trainings_take_by_the_stored_speeds() -> None:
    """100 epochs of 50,000 images, at the images a second of the fastest and the slowest network that was timed."""
    table = section((ROOT / "docs" / "results" / "README.md").read_text(encoding="utf-8"), TRAINING_SPEED)
    speeds = [float(cells[1].replace(",", "")) for cells in rows(table)]
    shortest, longest = (100 * 50_000 / speed for speed in (max(speeds), min(speeds)))
    assert (round(shortest / 60, -1), round(longest / 3600)) == (30, 5)
    assert "half an hour (x0.5, stride 2) to 5 hours (x1.0, stride 1)" in README


def test_the_readme_says_how_large_the_search_space_is() -> None:
    size = load_study("cifar100").search_space().size
    assert f"{size / 1e9:.0f} billion combinations of choices" in README


def test_the_default_protocol_is_the_one_that_the_stored_trainings_choose() -> None:
    lines = [json.loads(line) for line in (ROOT / "docs" / "results" / "protocols.jsonl").read_text().splitlines()]
    top1 = {(line["protocol"], line["arch_id"], line["seed"]): line["top1_percent"] for line in lines}
    networks = sorted({network for _, network, _ in top1}, key=lambda network: network != "e3c8657c07a8")  # x0.5 first
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    best = protocol_for("npz:cifar100").name
    for name in ("one-cycle", "modern", "shufflenetv2-s"):
        each = " | ".join(", ".join(f"{top1[name, network, seed]:.2f}" for seed in (0, 1)) for network in networks)
        gains = [top1[best, network, seed] - top1[name, network, seed] for network in networks for seed in (0, 1)]
        gain = mean_interval(gains)
        lead = f"{gain.mean:.2f} ({gain.alone_low:.2f} to {gain.alone_high:.2f})" if name != best else ""
        assert f"| `{name}` | {each} | {lead} |".replace("  ", " ") in page
        assert name == best or gain.alone_low > 0.0
    assert protocol_for("folder:photos").name == "photos"
