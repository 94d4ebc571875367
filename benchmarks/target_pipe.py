"""Do networks measured through the agent have the ratios that they have here, and what does the line cost?

Each network is measured as a study measures it on this machine and by an agent behind a pipe (`command:python`), a
visit here and a visit there in turn, so that both see the same minutes. Where a process happens to lie in memory moves
its ratios by a percent, so each round takes new processes on both sides, and the geometric means of the rounds' ratios
are compared; a third side, another agent, says how far two equal ones are apart, and the spread of one side's rounds is
printed, too. With `--throttle` the agent is measured twice instead: undisturbed, and stopped and continued again and
again (SIGSTOP, SIGCONT), as a board that is too hot: milliseconds double, and the ratio to the reference should stay. A
run has to be much longer than a stop then, hence the batch; and the agent has a core of its own, since beside the
process that stops it it would be stopped for whole slices of the scheduler (4 ms) now and then.

    python benchmarks/target_pipe.py                 # 20 networks; wants a quiet machine
    python benchmarks/target_pipe.py --throttle
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from torch import nn

from archsearch.latency.lease import DeviceLease
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import build
from archsearch.models.variants import find_variant
from archsearch.records import Latency
from archsearch.search.places import BoardPlace, Place, PlaceSetup, place_here
from archsearch.space.search_space import load_space
from archsearch.targets.board import Board, own_agent
from archsearch.targets.transports import parse_target

INPUT_SIZE, CLASSES, REFERENCE = 32, 10, "shufflenet_v2_x1_0"
STOP_AND_GO = """
import os, signal, sys, time
ended, due = [], time.perf_counter()
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
while not ended:  # never asleep: a sleep is longer than asked, now by a tenth, now by ten times
    for what in (signal.SIGSTOP, signal.SIGCONT):
        os.kill(int(sys.argv[1]), what)
        due = max(due + 0.0003, time.perf_counter() + 0.0002)
        while time.perf_counter() < due:
            pass
"""


def main() -> int:
    """Measure, print, and give 1 unless the ratios are as alike as they should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--rounds", type=int, help="default 8, with --throttle 3")
    parser.add_argument("--bursts", type=int, help="of each round; default 30, with --throttle 6")
    parser.add_argument("--visits", type=int, help="of each round; default 6, with --throttle 3")
    parser.add_argument("--batch", type=int, help="images a run; default 1, with --throttle 64")
    parser.add_argument("--throttle", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file")
    usual = {"rounds": 8, "bursts": 30, "visits": 6, "batch": 1}
    if "--throttle" in sys.argv:
        usual = {"rounds": 3, "bursts": 6, "visits": 3, "batch": 64}
    arguments = parser.parse_args(namespace=argparse.Namespace(**usual))
    long_runs = {"runs_per_burst": 3, "warmup_runs": 3, "warmup_windows": 3} if arguments.throttle else {}
    settings = LatencySettings(
        backend="onnxruntime", batch=arguments.batch, bursts=arguments.bursts, visits=arguments.visits,
        spread_seconds=0.0, budget_seconds=600.0, tolerance=0.99, remeasure=0, **long_runs,
    )  # fmt: skip
    command = shlex.quote(sys.executable)
    if arguments.throttle:
        agents_core, *others = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, others)
        command = f"taskset -c {agents_core} {command}"
    target = parse_target(f"command:{command}")
    assert target is not None
    setup = PlaceSetup(
        device="cpu", input_size=INPUT_SIZE, seed=0, lease=DeviceLease.of_device("cpu"), reference=reference,
        reference_name=REFERENCE,
    )  # fmt: skip
    exported: list[Any] = []
    measured: list[list[tuple[Latency, ...]]] = [[] for _ in range(arguments.networks)]
    for number in range(arguments.rounds):
        with closing(Board(target)) as board, closing(Board(target)) as another, closing(own_agent()):
            there = BoardPlace(board, settings, setup)
            here = place_here(settings, setup)
            places = (there, there) if arguments.throttle else (here, there, BoardPlace(another, settings, setup))
            exported = exported or [here.export(model) for model in networks(arguments.networks)]
            for network, rounds in zip(exported, measured, strict=True):
                rounds.append(in_turn(places, network, board if arguments.throttle else None))
        own_agent.cache_clear()
        print(f"round {number + 1}", file=sys.stderr)
    rows = [row(rounds) for rounds in measured]
    found = judged_throttled(rows) if arguments.throttle else judged(rows)
    found = {**found, "settings": settings.model_dump(mode="json", exclude_defaults=True), "networks": rows}
    print(json.dumps({key: value for key, value in found.items() if key != "networks"}, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found) + "\n")
    return 0 if found["as_it_should_be"] else 1


def reference() -> nn.Module:
    """The network that the others are divided by."""
    spec = find_variant(REFERENCE).spec.normalised(INPUT_SIZE)
    return build(spec, num_classes=CLASSES, input_size=INPUT_SIZE, seed=0)


def networks(count: int) -> Iterator[nn.Module]:
    """Random points of ShuffleNetV2's space."""
    space = load_space("shufflenet_v2")
    for seed in range(count):
        spec = space.spec(space.sample(seed)).normalised(INPUT_SIZE)
        yield build(spec, num_classes=CLASSES, input_size=INPUT_SIZE, seed=0)


def in_turn(places: Sequence[Place], network: Any, throttled: Board | None) -> tuple[Latency, ...]:
    """A visit of each in turn; the second one's agent throttled, if a board is given."""
    measurements = [place.device().open(network) for place in places]
    while not all(measurement.done for measurement in measurements):
        for number, measurement in enumerate(measurements):
            if not measurement.done:
                with stopping(throttled) if throttled is not None and number == 1 else nullcontext():
                    measurement.visit()
    found = []
    for measurement, place in zip(measurements, places, strict=True):
        (latency,) = measurement.latencies(place.conditions)
        found.append(latency)
    return tuple(found)


@contextmanager
def stopping(board: Board) -> Iterator[None]:
    """Stop and continue the agent, half of the time each, by a process that does nothing else, to keep time."""
    process = subprocess.Popen([sys.executable, "-c", STOP_AND_GO, str(board.connection()._process.pid)])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def row(rounds: Sequence[Sequence[Latency]]) -> dict[str, Any]:
    """How far the second side is from the first, and a third, another agent, from the second, over all rounds."""
    ratios = [[side.ratio_to_reference for side in sides] for sides in zip(*rounds, strict=True)]
    means = [statistics.geometric_mean(each) for each in ratios]
    counted = [tuple(map(int, other.state["stopped_visits"].split(" of "))) for _, other, *_ in rounds]
    return {
        "ratios": [round(mean, 5) for mean in means],
        "percent_apart": round(100.0 * abs(means[1] / means[0] - 1.0), 3),
        "agents_percent_apart": round(100.0 * abs(means[2] / means[1] - 1.0), 3) if len(means) > 2 else None,
        "rounds_std_percent": [
            round(100.0 * statistics.stdev(map(math.log, each)), 2) for each in ratios if len(each) > 1
        ],
        "times_as_long": round(statistics.geometric_mean(other.p10_ms / one.p10_ms for one, other, *_ in rounds), 3),
        "wire_share": statistics.fmean(float(other.state["wire_share"]) for _, other, *_ in rounds),
        "marked_visits": sum(stopped for stopped, _ in counted),
        "visits": sum(visits for _, visits in counted),
        "contended": any(other.contended for _, other, *_ in rounds),
    }


def judged(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios here and through the pipe; two agents are as far apart as two processes are by themselves."""
    apart = [each["percent_apart"] for each in rows]
    agents = [each["agents_percent_apart"] for each in rows]
    wire = statistics.median(each["wire_share"] for each in rows)
    return {
        "largest_percent_apart": max(apart),
        "median_percent_apart": statistics.median(apart),
        "within_1_percent": sum(each <= 1.0 for each in apart),
        "agents_largest_percent_apart": max(agents),
        "agents_median_percent_apart": statistics.median(agents),
        "agents_within_1_percent": sum(each <= 1.0 for each in agents),
        "wire_share_median": wire,
        "wire_share_largest": max(each["wire_share"] for each in rows),
        "as_it_should_be": max(apart) <= 1.0 and wire <= 0.1,
    }


def judged_throttled(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios undisturbed and throttled."""
    apart = [each["percent_apart"] for each in rows]
    within = sum(each <= 3.0 for each in apart) / len(rows)
    marked = sum(each["marked_visits"] for each in rows) / sum(each["visits"] for each in rows)
    longer = min(each["times_as_long"] for each in rows)
    return {
        "least_times_as_long": longer,
        "largest_percent_apart": max(apart),
        "share_within_3_percent": within,
        "share_of_visits_marked": marked,
        "as_it_should_be": longer >= 1.5 and within >= 0.95 and marked >= 0.95,
    }


if __name__ == "__main__":
    sys.exit(main())
