"""CPU time of `archsearch --help`, beside two yardsticks in the same run.

    python benchmarks/help_time.py [--runs 20]

Each round starts every program once, so that all see the same machine. CPU time is user plus system time of the child
process (`os.wait4`), so other load on the machine counts little. The ratios are medians over rounds, within a round.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path


def cpu_seconds(command: list[str]) -> float:
    """User plus system time of one run of a program (seconds). Raises RuntimeError if the program fails."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = process.stderr.read() if process.stderr is not None else b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}: {error.decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime


def archsearch_program() -> str:
    """The `archsearch` that belongs to this Python. Raises FileNotFoundError if it is not installed."""
    beside = Path(sys.executable).with_name("archsearch")
    found = str(beside) if beside.is_file() else shutil.which("archsearch")
    if found is None:
        raise FileNotFoundError("archsearch is not installed in this environment: pip install -e .")
    return found


def main() -> None:
    """Measure and print one line a program."""
    parser = argparse.ArgumentParser(description="CPU time of `archsearch --help`.")
    parser.add_argument("--runs", type=int, default=20, help="rounds (default 20)")
    runs: int = parser.parse_args().runs
    if runs < 1:
        parser.error(f"--runs {runs}: at least one")
    programs = {
        "archsearch --help": [archsearch_program(), "--help"],
        "import typer, rich": [sys.executable, "-c", "import typer, rich"],
        "pass": [sys.executable, "-c", "pass"],
    }
    for command in programs.values():
        cpu_seconds(command)  # bytecode and the file cache
    rounds = [{name: cpu_seconds(command) for name, command in programs.items()} for _ in range(runs)]
    print(f"CPU seconds (user + system), {runs} rounds, Python {sys.version.split()[0]}")
    print(f"{'program':<22}{'median':>9}{'min':>9}{'max':>9}   archsearch --help / this")
    for name in programs:
        times = [each[name] for each in rounds]
        ratio = statistics.median(each["archsearch --help"] / each[name] for each in rounds)
        print(f"{name:<22}{statistics.median(times):9.3f}{min(times):9.3f}{max(times):9.3f}   {ratio:.2f}")


if __name__ == "__main__":
    main()
