"""How long does one network take in a process that has done much before, with its memory in huge pages and without?

    python benchmarks/huge_pages.py [--networks 8]

Two processes take turns, about a minute in all on a quiet machine. Each opens the same network several times, then
again and again between others that it builds, exports and opens. Printed: p10 (milliseconds) of each opening.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from archsearch.latency import prepare
from archsearch.latency.prepare import ExportedNetwork, conditions_of
from archsearch.latency.protocol import Conditions
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.models.variants import find_variant
from archsearch.space.search_space import load_space

NAME, INPUT_SIZE, CLASSES = "shufflenet_v2_x1_0", 32, 10
UNTIMED, TIMED = 30, 300


def main() -> int:
    """Print the two sides as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=8, help="that are opened in between")
    parser.add_argument("--side", choices=("plain", "huge"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side is not None:
        answer(given.side)
        return 0
    command = [sys.executable, str(Path(__file__).resolve()), "--side"]
    sides = {
        side: subprocess.Popen([*command, side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for side in ("plain", "huge")
    }
    print(f"{NAME}, {INPUT_SIZE}x{INPUT_SIZE}, ONNX Runtime, one thread: p10 of an opening (ms)\n")
    print("| networks opened before | as it comes | in huge pages |\n|---:|---:|---:|")
    found: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(given.networks + 1):
        for side, process in sides.items():
            assert process.stdin is not None and process.stdout is not None
            print(number, file=process.stdin, flush=True)
            found[side].append(json.loads(process.stdout.readline()))
        print(f"| {number} | {found['plain'][-1]:.4f} | {found['huge'][-1]:.4f} |", flush=True)
    for process in sides.values():
        process.communicate()
    for side, times in found.items():
        print(f"\n{side}: the slowest {max(times) / min(times):.3f} times the fastest", end="")
    print()
    return 0


def answer(side: str) -> None:
    """One line for each line: p10 of the network, after one other network was opened (none for 0)."""
    if side == "plain":
        prepare.use_huge_pages = lambda: 0
    space = load_space("shufflenet_v2")
    conditions = conditions_of(NAME, LatencySettings(backend="onnxruntime", batch=1), "cpu", INPUT_SIZE)
    own = exported(find_variant(NAME).spec, conditions)
    for line in sys.stdin:
        number = int(line)
        if number:
            p10_ms(exported(space.spec(space.sample(number)), conditions))
        print(json.dumps(p10_ms(own)), flush=True)


def exported(spec: Spec, conditions: Conditions) -> ExportedNetwork:
    """A network as a measurement opens it."""
    model = build(spec.normalised(INPUT_SIZE), num_classes=CLASSES, input_size=INPUT_SIZE, seed=0)
    return ExportedNetwork(model, conditions, what="a network", lease=None)


def p10_ms(network: ExportedNetwork) -> float:
    """Of one opening (milliseconds)."""
    runner = network.open()
    times = []
    for _ in range(UNTIMED + TIMED):
        began = time.perf_counter_ns()
        runner()
        times.append((time.perf_counter_ns() - began) / 1e6)
    return sorted(times[UNTIMED:])[TIMED // 10]


if __name__ == "__main__":
    sys.exit(main())
