"""A search whose board fails again and again: is every network measured once, and no number made up?

The board is the real agent behind a pipe, spoilt by tests/targets/flaky_board.py: the agent is killed, the line is cut
within an upload and within an answer, the board starts anew, its disk is full, it is away, another host measures, the
worker that asked is killed. Beside these the whole command is killed and typed again. Minutes away are seconds here.

    python benchmarks/target_faults.py                             # 60 networks, 30 faults
    python benchmarks/target_faults.py --networks 10 --faults 6
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import archsearch
from archsearch.errors import ArchsearchError

FLAKY = Path(__file__).parents[1] / "tests" / "targets" / "flaky_board.py"
KINDS = ("dies", "upload", "half", "reboot", "full", "away", "second", "host")
SPACE = """
name: few
family: plain_cnn
fixed: {stage1.units: 1, stage2.units: 1, stage3.units: 1, stage4.units: 1, stage3.channels: 8, stage4.channels: 8}
choices:
  stage1.channels: {values: [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], source: this script}
  stage2.channels: {values: [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], source: this script}
"""
STUDY = """
name: faults
space: space.yaml
dataset: digits
sampler: random
variants: none
reference: shufflenet_v2_x0_5
constraints: {guidelines: off}
proxy: {epochs: 1, train_images: 128, validation_images: 64}
latency: {bursts: 6, visits: 3, runs_per_burst: 2, spread_seconds: 0.2, budget_seconds: 5, tolerance: 0.9,
          warmup_runs: 2, warmup_windows: 2, repeat_every: 0, remeasure: 0}
"""


def main() -> int:
    """Run, print what was found, and give 1 unless every network was measured once."""
    arguments = parsed()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), arguments)
    print(json.dumps(found, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found) + "\n")
    return 0 if found["whole"] else 1


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--kills", type=int, default=2, help="of the whole command, beside the faults")
    parser.add_argument("--away", type=float, default=15.0, help="seconds that the board is away each time")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser.parse_args()


def plan_of(networks: int, faults: int, away: float, seed: int) -> dict[str, Any]:
    """Which visit goes wrong how: each kind in its turn, evenly over the visits that there are at least.

    A network at which workers are killed three times is taken for the cause, so kills have to lie apart.
    """
    generator, apart = random.Random(seed), 3 * networks / (faults + 1)
    visits = [round(apart * (number + generator.uniform(0.7, 1.3))) for number in range(faults)]
    return {**dict(zip(map(str, visits), cycle(KINDS), strict=False)), "away_seconds": away}


def run(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Type the command until it ends well, and look at what is stored."""
    plan = plan_of(arguments.networks, arguments.faults, arguments.away, arguments.seed)
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "space.yaml").write_text(SPACE)
    (folder / "study.yaml").write_text(STUDY)
    board = shlex.join([sys.executable, str(FLAKY), str(folder / "plan.json"), str(folder / "count")])
    command = [
        sys.executable, "-m", "archsearch.cli.main", "run", "--study", "study.yaml",
        "--trials", str(arguments.networks), "--workers", str(arguments.workers), "--target", f"command:{board}",
    ]  # fmt: skip
    began, kills, starts = time.monotonic(), 0, 0
    storage = f"sqlite:///{folder / 'runs' / 'archsearch.db'}"
    while True:
        starts += 1
        with (
            (folder / "log").open("ab") as log,
            subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True) as process,
        ):
            while process.poll() is None:
                time.sleep(1.0)
                if kills < arguments.kills and complete(storage) >= (kills + 1) * arguments.networks // 3:
                    kills += 1
                    kill(process.pid)
        if process.returncode == 0 or starts > 3 * arguments.faults:
            break
    return judged(folder, storage, plan, arguments) | {
        "seconds": round(time.monotonic() - began), "starts_of_the_command": starts, "killed_commands": kills,
    }  # fmt: skip


def kill(command: int) -> None:
    """The command, its workers and their agents at once, as when the machine loses its power."""
    children = Path(f"/proc/{command}/task/{command}/children").read_text().split()
    for process in [command, *map(int, children)]:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def complete(storage: str) -> int:
    """How many networks are."""
    try:
        return archsearch.open_study("faults", storage=storage).counts.get("complete", 0)
    except ArchsearchError:  # nothing is stored yet
        return 0


def judged(folder: Path, storage: str, plan: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """What is stored, as numbers; `whole` is whether all is as it should be."""
    study = archsearch.open_study("faults", storage=storage)
    whole = [record for record in study.records if record.status == "complete"]
    latencies = [record.latency for record in whole if record.latency is not None]
    made_up = [
        latency
        for latency in latencies
        if latency.n != 2 * latency.bursts
        or not all(1e-4 < value < 1e3 for value in (latency.p10_ms, latency.ratio_to_reference))
    ]
    visits = int((folder / "count").read_text())
    happened = Counter(kind for visit, kind in plan.items() if visit.isdigit() and int(visit) < visits)
    log = "".join(path.read_text() for path in folder.glob("runs/faults/workers/*.log"))
    found = {
        "networks": arguments.networks,
        "complete": len(whole),
        "measured": len(latencies),
        "different": len({record.arch_id for record in whole}),
        "measured_more_than_once": sum(latency.attempts > 1 for latency in latencies),
        "numbers_that_were_not_timed": len(made_up),
        "statuses": dict(study.counts),
        "visits": visits,
        "faults": dict(happened),
        "latencies_that_waited": log.count("its latency waits for a board that is away"),
        "tracebacks": log.count("Traceback"),
    }
    return found | {
        "whole": len(whole) == len(latencies) == found["different"] == arguments.networks
        and not made_up
        and not found["measured_more_than_once"]
        and sum(happened.values()) == arguments.faults
    }


if __name__ == "__main__":
    sys.exit(main())
