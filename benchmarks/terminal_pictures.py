"""Pictures of a real run in a terminal, for README.md and the documents: docs/pictures/run.svg and pareto.svg.

    python benchmarks/terminal_pictures.py [--folder FOLDER] [--run COMMAND --look REGEX] [--out docs/pictures]

Types `archsearch run --study quickstart` in a pseudo-terminal, keeps the screen as it is half-way through, and then
types `archsearch pareto`; rich draws both as SVG. A study that the folder holds already goes on. Some minutes on two
cores.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from pathlib import Path

from first_hour import Screen, typed
from rich.console import Console
from rich.text import Text

from archsearch.files import write_atomically

COLUMNS, ROWS = 92, 34
RUN = "archsearch run --study quickstart"
HALF_WAY = r"\b1[2-9] of 22\b"  # trials of quickstart


def picture(command: str, screen: Screen, *, rows: int | None = None) -> bytes:
    """The screen below what was typed, as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False, emoji=False)
    console.print(f"$ {command}", style="bold", markup=False)
    console.print(Text.from_ansi(screen.ansi(rows)), soft_wrap=True)
    return console.export_svg(title="archsearch", unique_id=command.split()[1]).encode()


def main() -> None:
    """Run, look, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where runs/ is written; default: a temporary folder")
    parser.add_argument("--run", default=RUN, help=f"the search that is drawn while it runs (default {RUN})")
    parser.add_argument("--look", default=HALF_WAY, help=f"what the screen then shows (default {HALF_WAY})")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="terminal_pictures."))
    folder.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    for unwanted in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(unwanted, None)
    for name, command, look in (
        ("run", arguments.run, arguments.look),
        ("pareto", "archsearch pareto", None),
    ):
        seen = typed(command, folder=folder, environment=environment, look=look, limit=3600, columns=COLUMNS, rows=ROWS)
        if seen.status != 0 or (look is not None and seen.middle is None):
            raise SystemExit(f"{command}: exit code {seen.status}, not half-way seen\n{seen.end.text()}")
        screen = seen.middle or seen.end
        path = arguments.out / f"{name}.svg"
        write_atomically(path, picture(command, screen, rows=None if seen.middle is None else ROWS))
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
