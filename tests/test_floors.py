"""The house has floors: a file imports from floors below its own, or from its own folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "archsearch"
FLOORS = {
    -1: ("text",),  # imports nothing of the package: errors are worded with it, too
    0: (
        "errors",
        "registry",
        "records",
        "designs",
        "resources",
        "overrides",
        "image_rules",
        "files",
        "host",
        "validation",
        "limits",
        "noise",
        "table",
        "version",
        "blocks",
    ),
    1: ("models", "data"),
    2: ("space", "cost", "training", "latency", "store", "analysis", "papers", "export"),
    3: ("targets",),
    4: ("search", "plots"),
    5: ("report",),
    6: ("api",),
    7: ("cli",),
}
# Files on the ground floor, beside the package's folders: one folder, and everyone may import them.
GROUND = tuple(part for part in FLOORS[0] if part != "blocks")
FLOOR_OF = {part: floor for floor, parts in FLOORS.items() for part in parts}
# A library that belongs to one part only, so that it can be replaced there.
OWNERS = {"optuna": "search", "plotly": "plots", "kaleido": "plots"}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.stem.startswith("__"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            if node.module == "archsearch":
                yield from (f"archsearch.{alias.name}" for alias in node.names)
            elif node.module:
                yield node.module


def wrong_imports(part: str, source: str) -> list[str]:
    wrong = []
    for module in imported_modules(ast.parse(source)):
        top, _, rest = module.partition(".")
        if top in OWNERS and OWNERS[top] != part:
            wrong.append(f"{module} belongs to {OWNERS[top]}")
        elif top == "archsearch":
            target = rest.partition(".")[0]
            if target in GROUND and part not in ("text", "errors", "records", "designs"):
                continue
            if target != part and FLOOR_OF[target] >= FLOOR_OF[part]:
                wrong.append(f"{module} is on floor {FLOOR_OF[target]}, {part} on {FLOOR_OF[part]}")
    return wrong


def printed_or_exited(source: str) -> list[int]:
    """Lines that print or exit; `raise SystemExit` is allowed below `if __name__ == ...` alone."""
    tree = ast.parse(source)
    entry = {
        id(inner)
        for node in tree.body
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("print", "exit", "quit", "sys.exit", "os._exit", "sys.stdout.write", "sys.stderr.write"):
                lines.append(node.lineno)
        raised = ast.unparse(node.exc) if isinstance(node, ast.Raise) and node.exc is not None else ""
        if raised.startswith("SystemExit") and id(node) not in entry:
            lines.append(node.lineno)
    return lines


def test_every_part_of_the_package_stands_on_a_floor() -> None:
    assert {part_of(path) for path in FILES} <= set(FLOOR_OF)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_floors_below_or_its_own_folder(path: Path) -> None:
    assert wrong_imports(part_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if part_of(path) != "cli"],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_only_the_command_line_prints_or_exits(path: Path) -> None:
    assert printed_or_exited(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("models", "from archsearch.space.search_space import SearchSpace"),
        ("training", "def f():\n    from archsearch.latency.lease import DeviceLease"),
        ("analysis", "if TYPE_CHECKING:\n    from archsearch.store.database import Database"),
        ("store", "import optuna"),
        ("api", "import plotly.graph_objects as go"),
        ("search", "from archsearch.plots import page"),
        ("records", "from archsearch import models"),
        ("errors", "import archsearch.registry"),
        ("text", "from archsearch.errors import ArchsearchError"),
    ],
)
def test_the_walk_finds_a_wrong_import(part: str, source: str) -> None:
    assert len(wrong_imports(part, source)) == 1


def test_the_walk_finds_prints_and_exits() -> None:
    source = "import sys\nprint(1)\ndef f():\n    sys.exit(1)\nraise SystemExit(2)\n"
    assert sorted(printed_or_exited(source)) == [2, 4, 5]
    assert printed_or_exited('if __name__ == "__main__":\n    raise SystemExit(main())\n') == []
