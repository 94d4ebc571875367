"""What the house is like: how large its parts are, and how often one thing is told in several files.

    python benchmarks/house.py [--names]

Printed, from the package's code alone (nothing of it is imported):

    lines of the presentation half       analysis, plots, report, api, cli
    lines and files of the package
    import circles                       groups of files of which each reaches every other one; imports inside of
                                         functions count, those under TYPE_CHECKING do not
    class names with two meanings        names of public classes that stand in more than one file
    pieces                               files imported by exactly one file, which lies in the same folder

`--names` lists the circles, the names and the pieces.
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "archsearch"
HALF = ("analysis", "plots", "report", "api", "cli")


def files() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.AST, modules: Mapping[str, Path]) -> Iterator[str]:
    """The package's modules that a file imports, wherever it does so but under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in modules:
                    yield inner
                elif node.module in modules:
                    yield node.module
        yield from imported(node, modules)


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The strongly connected groups of two files and more: each file reaches, and is reached by, every other one."""
    reached = {}
    for start in edges:
        seen, open_ends = {start}, [start]
        while open_ends:
            for following in edges[open_ends.pop()] - seen:
                seen.add(following)
                open_ends.append(following)
        reached[start] = seen
    groups = {frozenset(other for other in reached[one] if one in reached[other]) for one in edges}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", action="store_true", help="list the circles, the names and the pieces")
    wanted = parser.parse_args()
    modules = files()
    texts = {name: path.read_text(encoding="utf-8") for name, path in modules.items()}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    lines = {name: text.count("\n") for name, text in texts.items()}
    edges = {name: {other for other in imported(tree, modules) if other != name} for name, tree in trees.items()}
    users: dict[str, set[str]] = defaultdict(set)
    for name, others in edges.items():
        for other in others:
            users[other].add(name)
    classes: dict[str, list[str]] = defaultdict(list)
    for name, tree in trees.items():
        for node in ast.iter_child_nodes(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes[node.name].append(name)
    found_circles = circles(edges)
    shared = {name: where for name, where in sorted(classes.items()) if len(where) > 1}
    pieces = [
        name
        for name, by in sorted(users.items())
        if len(by) == 1
        and modules[name].parent == modules[next(iter(by))].parent
        and modules[name].name != "__init__.py"
    ]
    half = sum(count for name, count in lines.items() if len(parts := name.split(".")) > 1 and parts[1] in HALF)
    print(f"lines of {', '.join(HALF)}: {half:,}")
    print(f"lines of the package: {sum(lines.values()):,} in {len(modules)} files")
    print(f"import circles: {len(found_circles)} ({sum(map(len, found_circles))} files)")
    print(f"class names with two meanings: {len(shared)}")
    print(f"files imported by exactly one file of their folder: {len(pieces)}")
    if wanted.names:
        for circle in found_circles:
            print("circle:", ", ".join(circle))
        for name, where in shared.items():
            print(f"name: {name} in {', '.join(where)}")
        for piece in pieces:
            print("piece:", piece)


if __name__ == "__main__":
    main()
