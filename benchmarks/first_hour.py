"""Types a stranger's first hour in a terminal of 80 columns and keeps all that was seen: docs/first_hour.txt.

    python benchmarks/first_hour.py --keep FOLDER [--only REGEX] [--out FILE]

It clones this repository as it was last committed, makes a virtual environment, installs the package as README.md
says, and types the commands below, README.md's own among them, in a pseudo-terminal: right ones and wrong ones, Ctrl-C
in the middle of a search and of a training, pipes to `head`, and `--json` to a parser. What a command draws over is
shown as it ends; where it says `on the screen after N s`, also as it was then. A folder named by --keep is left, and
the clone and the environment in it are used again. Nothing here asserts: the transcript is for reading, line by line.

It takes a quarter of an hour on two quiet cores, and an hour on busy ones. POSIX only.
"""

from __future__ import annotations

import argparse
import codecs
import copy
import fcntl
import os
import platform
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS, ROWS = 80, 24
LIMIT_SECONDS = 90.0  # then Ctrl-C is typed
README_SECONDS = 45.0  # its searches and trainings take hours
PATIENCE_SECONDS = 60.0  # how long Ctrl-C may take


@dataclass(frozen=True)
class Step:
    """One line that is typed.

    Attributes:
        typed: the line.
        look: seconds after which the screen is kept as it then is; None: only at the end.
        limit: seconds after which Ctrl-C is typed.
    """

    typed: str
    look: float | None = None
    limit: float = LIMIT_SECONDS


# Each part of the hour: a heading and its steps; None stands for what README.md shows in its blocks.
HOUR: dict[str, tuple[Step, ...] | None] = {
    "What is this?": (
        Step("archsearch"),
        Step("archsearch --version"),
        Step("archsearch run"),
        Step("archsearch run --help"),
        Step("archsearch studies"),
        Step("archsearch pareto"),
        Step("archsearch retrain"),
    ),
    "A first search, broken off and continued": (
        Step("archsearch run --study quickstart --dry-run", limit=300),
        Step("archsearch run --study quickstart", look=70, limit=75),
        Step("archsearch pareto"),
        Step("archsearch run --study quickstart --set proxy.epochs=3", limit=300),
        Step("archsearch run --study quickstart", look=150, limit=1800),
        Step("archsearch run --study quickstart", limit=300),
        Step("archsearch run --study quickstart --trials 24 2>&1 | cat", limit=600),
    ),
    "Slips": (
        Step("archsearch rum --study quickstart"),
        Step("archsearch run --study quickstrat"),
        Step("archsearch run --stdy quickstart"),
        Step("archsearch run --study quickstart --trials many"),
        Step("archsearch run --study quickstart --set proxy.epoch=3"),
        Step("archsearch run --study quickstart --set proxy.epochs=0 --set name=other"),
        Step("archsearch run --study quickstart --set proxy.epochs"),
        Step("archsearch run --study quickstart --set sampler=tpee --set name=other"),
        Step("archsearch run --study quickstart --set name=other --set 'restrict={kernal: [3, 5]}'"),
        Step("archsearch run --study quickstart --set name=other --set 'variants=[shuflenet_v2_x0_5]'"),
        Step("archsearch run --study quickstart --device cuda"),
        Step("archsearch run --study quickstart --time-budget 2x"),
        Step("archsearch run --study mine.yaml"),
        Step("archsearch run --study cifar10_cpu --set dataset=folder:photos --set name=photos"),
        Step("archsearch data folder:photos"),
        Step("archsearch pareto --study typo"),
        Step("archsearch retrain --trial bset"),
        Step("archsearch retrain --trial 99"),
        Step("archsearch retrain --select 'lat<4'"),
        Step("archsearch retrain --protocol modren"),
        Step("archsearch plot frnt"),
        Step("archsearch plot front --out front.pgn"),
        Step("archsearch describe shufflenet_v2_x1"),
        Step("archsearch describe quickstart:99"),
        Step("archsearch measure shufflenet_v2_x0_5 --backend onnx"),
        Step("archsearch export --trial best --format onx"),
        Step("archsearch ablate --choices kernal --dry-run"),
        Step("archsearch compare quickstart"),
        Step("archsearch guidelines --table 9"),
        Step("archsearch variants --family shufflenet"),
        Step("archsearch pareto --storage postgres://nobody@localhost/none"),
    ),
    "README.md's commands, as they stand there": None,
    "The best network": (
        Step("archsearch retrain --trial best", look=40, limit=45),
        Step("archsearch retrain --trial best --epochs 3", limit=300),
        Step("archsearch retrain --trial best --epochs 3"),
        Step("archsearch export --trial best", limit=120),
        Step("archsearch ablate --dry-run"),
        Step("archsearch confirm --dry-run"),
        Step("archsearch trust --dry-run"),
        Step("archsearch guidelines --quick", limit=45),
    ),
    "From Python": (
        Step("python -c 'import archsearch; print(archsearch.open_study(\"quickstart\").front)' | head -30"),
        Step("python -c 'import archsearch; archsearch.open_study(\"quickstrat\")'"),
        Step("python examples/quickstart.py 24 1", limit=300),
    ),
    "Looking": (
        Step("archsearch pareto"),
        Step("archsearch pareto --json | python -m json.tool | head -20"),
        Step("archsearch pareto | head -5"),
        Step("archsearch studies"),
        Step("archsearch studies --json | python -c 'import json, sys; print(*json.load(sys.stdin))'"),
        Step("archsearch report"),
        Step("archsearch plot"),
        Step("archsearch plot marginal"),
        Step("archsearch plot ablation"),
        Step("archsearch replay"),
        Step("archsearch describe quickstart:20"),
        Step("archsearch describe shufflenet_v2_x1_0 --json | python -m json.tool | head -5"),
        Step("archsearch variants --family shufflenet_v2 | head -20"),
        Step("archsearch variants | grep _se | head -3"),
        Step("archsearch measure shufflenet_v2_x0_5 shufflenet_v2_x1_0 --input-size 32"),
        Step("archsearch audit shufflenet_v2_x1_0"),
        Step("archsearch papers --paper ldc | tail -15"),
        Step("archsearch data digits"),
        Step("archsearch dashboard", limit=15),
    ),
}


class Screen:
    """What a terminal shows, of the few control sequences that rich, tqdm and bash write."""

    _SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>()][AB0]?")

    def __init__(self, columns: int = COLUMNS) -> None:
        self.lines: list[list[tuple[str, str]]] = [[]]
        self._columns = columns
        self._row = self._column = 0
        self._style = self._rest = ""

    def feed(self, text: str) -> None:
        """More of what was written; a sequence may be cut in two."""
        text, self._rest = self._rest + text, ""
        place = 0
        while place < len(text):
            if text[place] == "\x1b":
                found = self._SEQUENCE.match(text, place)
                if found is None:
                    if len(text) - place < 32:
                        self._rest = text[place:]
                        return
                    place += 1
                    continue
                self._control(found[1] or "", found[2] or "")
                place = found.end()
                continue
            self._write(text[place])
            place += 1

    def text(self, rows: int | None = None) -> str:
        """All of it, or the last rows; without colours."""
        lines = ["".join(letter for letter, _ in line).rstrip() for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return "\n".join(lines if rows is None else lines[-rows:])

    def ansi(self, rows: int | None = None) -> str:
        """The same with the sequences of its colours."""
        count = len(self.text().splitlines())
        lines = self.lines[max(0, count - rows) if rows is not None else 0 : count]
        return "\n".join("".join(f"\x1b[0m{style}{letter}" for letter, style in line) for line in lines)

    def _write(self, letter: str) -> None:
        if letter == "\r":
            self._column = 0
        elif letter == "\n":
            self._down()
        elif letter == "\b":
            self._column = max(self._column - 1, 0)
        elif letter.isprintable():
            if self._column >= self._columns:
                self._down()
                self._column = 0
            line = self.lines[self._row]
            line.extend([(" ", "")] * (self._column + 1 - len(line)))
            line[self._column] = (letter, self._style)
            self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self.lines):
            self.lines.append([])

    def _control(self, numbers: str, kind: str) -> None:
        count = int(numbers) if numbers.isdigit() else 1
        line = self.lines[self._row]
        if kind == "m":
            self._style = "" if numbers in ("", "0") else f"{self._style}\x1b[{numbers}m"
        elif kind == "A":
            self._row = max(self._row - count, 0)
        elif kind == "B":
            for _ in range(count):
                self._down()
        elif kind == "C":
            self._column += count
        elif kind == "D":
            self._column = max(self._column - count, 0)
        elif kind == "G":
            self._column = count - 1
        elif kind == "K":
            if numbers == "2":
                line.clear()
            else:
                del line[self._column :]
        elif kind == "J":
            del line[self._column :]
            del self.lines[self._row + 1 :]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What became of a step: the screen in the middle if it was looked at, the one at its end, and how it ended."""

    middle: Screen | None
    end: Screen
    status: int
    seconds: float
    interrupted: bool


def typed(
    line: str,
    *,
    folder: Path,
    environment: dict[str, str],
    look: float | str | None = None,
    limit: float = LIMIT_SECONDS,
    columns: int = COLUMNS,
    rows: int = ROWS,
) -> Seen:
    """Run one line by bash in a terminal of its own, and watch it. `look`: seconds, or what the screen then shows."""
    child, master = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs, and their children, ignore it
        os.chdir(folder)
        os.execve("/bin/bash", ["bash", "-c", line], environment)
    screen, began, interrupts = Screen(columns), time.monotonic(), 0
    middle: Screen | None = None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        ready, _, _ = select.select([master], [], [], 0.2)
        elapsed = time.monotonic() - began
        if ready:
            try:
                data = os.read(master, 65536)
            except OSError:  # Linux: the child closed it
                break
            if not data:
                break
            screen.feed(decoder.decode(data))
        if look is not None and middle is None:
            shown = re.search(look, screen.text(rows)) if isinstance(look, str) else elapsed >= look
            middle = copy.deepcopy(screen) if shown else None
        if elapsed >= limit + interrupts * PATIENCE_SECONDS:
            interrupts += 1
            if interrupts > 2:
                os.killpg(child, signal.SIGKILL)
            else:
                os.write(master, b"\x03")
    _, status = os.waitpid(child, 0)
    os.close(master)
    return Seen(
        middle=middle,
        end=screen,
        status=os.waitstatus_to_exitcode(status),
        seconds=time.monotonic() - began,
        interrupted=interrupts > 0,
    )


def readme_commands(text: str) -> list[str]:
    """Every command of README.md's blocks, without what is said behind it; the package is installed already."""
    found: list[str] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        typed_line = re.split(r"\s+#\s", line.strip())[0].removeprefix("pip install -e . && ")
        if line.startswith("    ") and typed_line.startswith("archsearch "):
            found.append(typed_line.strip())
    return found


def hour(readme: str, *, part: str = "", only: str = "") -> Iterator[tuple[str, list[Step]]]:
    """The parts of the hour, with the steps that match."""
    for heading, steps in HOUR.items():
        if not re.search(part, heading):
            continue
        own = [Step(line, limit=README_SECONDS) for line in readme_commands(readme)] if steps is None else list(steps)
        if kept := [each for each in own if re.search(only, each.typed)]:
            yield heading, kept


def prepare(folder: Path, environment: dict[str, str]) -> list[str]:
    """Clone, virtual environment and installation, if the folder has none: what was typed, and how long it took."""
    said = []
    for line, made in (
        (f"git clone --quiet {ROOT} archsearch", folder / "archsearch"),
        (f"{sys.executable} -m venv env", folder / "env"),
        ("cd archsearch && ../env/bin/pip install --quiet -e .", folder / "installed"),
    ):
        began = time.monotonic()
        if not made.exists():
            subprocess.run(["bash", "-c", line], cwd=folder, env=os.environ | environment, check=True)
            if made.name == "installed":
                made.touch()
            shown = line.replace(str(ROOT), "URL").replace(sys.executable, "python3")
            said.append(f"$ {shown}    [{time.monotonic() - began:.0f} s]")
    return said


def head(folder: Path) -> str:
    """On what, and of which version, this was seen."""
    python = folder / "env" / "bin" / "python"
    asked = (
        "from importlib.metadata import version\n"
        "for name in ('torch', 'onnxruntime', 'optuna', 'rich'): print(name, version(name))"
    )
    versions = ", ".join(said_by(python, "-c", asked).splitlines())
    return (
        f"A first hour with archsearch, as seen in a terminal of {COLUMNS} columns and {ROWS} rows.\n"
        "Written by benchmarks/first_hour.py; [what stands in brackets] is said by it, not by a command.\n"
        f"{platform.system()}, {os.cpu_count()} cores with a load average of {os.getloadavg()[0]:.0f}; "
        f"Python {platform.python_version()}, {versions}.\n"
    )


def said_by(*command: str | Path) -> str:
    """What a command printed."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Type everything, write the transcript after each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("first_hour.txt"))
    parser.add_argument("--keep", type=Path, help="a folder for clone, environment and home; default: a temporary one")
    parser.add_argument(
        "--part", default="", help="regular expression: only the parts that it is found in the heading of"
    )
    parser.add_argument("--only", default="", help="regular expression: only the steps that it is found in")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="first_hour.")) if arguments.keep is None else arguments.keep.absolute()
    try:
        write(folder, arguments.out, part=arguments.part, only=arguments.only)
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder)


def write(folder: Path, out: Path, *, part: str, only: str) -> None:
    """The transcript."""
    home, clone = folder / "home", folder / "archsearch"
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        "HOME": str(home), "PATH": f"{folder / 'env' / 'bin'}:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8",
        "TERM": "xterm-256color", "SHELL": "/bin/bash", "BROWSER": "true",
    }  # fmt: skip
    prepared = prepare(folder, {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    lines = [head(folder), *prepared]
    readme = (clone / "README.md").read_text(encoding="utf-8")
    commit = said_by("git", "-C", clone, "log", "-1", "--format=%h of %as")
    for heading, steps in hour(readme, part=part, only=only):
        lines += ["", f"==== {heading}    [commit {commit}]", ""]
        for each in steps:
            seen = typed(each.typed, folder=clone, environment=environment, look=each.look, limit=each.limit)
            print(f"{seen.seconds:6.1f} s  {seen.status:4}  {each.typed}", flush=True)
            lines.append(f"$ {each.typed}")
            if seen.middle is not None:
                lines += [f"[on the screen after {each.look:.0f} s]", seen.middle.text(ROWS), "[and at the end]"]
            lines.append(seen.end.text())
            ended = [f"{seen.seconds:.1f} s"]
            ended += [f"Ctrl-C after {each.limit:.0f} s"] if seen.interrupted else []
            ended += [f"exit code {seen.status}"] if seen.status else []
            lines += [f"[{', '.join(ended)}]", ""]
            text = "\n".join(lines).replace(str(folder), "/home/you")
            out.write_text(text.replace(socket.gethostname(), "laptop") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
