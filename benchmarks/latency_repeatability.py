"""Do two people who measure the same networks on the same device get the same numbers?

    python benchmarks/latency_repeatability.py [--networks 40] [--group 2] [--budget 12] [--backend auto]
        [--conditions quiet,training] [--trainers 2] [--seed 0] [--out FILE.json]

Takes about 20 minutes with ONNX Runtime on two cores. The machine should do nothing else. With --out, what an earlier
run of the same arguments has in the file is kept, condition by condition: a run that was stopped goes on.

A seeded sample of the ShuffleNetV2 space (32x32 images, stem of stride 2 without max pool, widths 0.5 and 1.0) is
measured by two processes, one after the other, in different orders:

    quiet       nothing else of ours runs
    training    so many workers train proxies meanwhile, with the device lease between them and us

In each process every network is measured by these procedures, on the same backend:

    ours             p10 over the reference's p10 in the same interleaved bursts (what archsearch ranks by)
    ours, raw p10    the same runs without the reference
    mean of 10       mean of 10 contiguous runs after 5 warm-up runs, no lease: the usual script
    one sample       the first run after the network was prepared, no lease

Printed for each: the share of networks whose two numbers agree within 3% and 5% (of the smaller one), Kendall's tau
between the two processes, and seconds of measuring a network (making it ready not counted). Of ours also how many
networks are doubtful by the program's own flags in either process (not converged, memory crowded), what the others
agree in, and whether the noise floor holds: the floor that a study of 80 networks would state, computed by its own
code from 13 of the networks that are not doubtful, drawn 500 times, and the share of the others within it. The
trainers are archsearch's own proxy training on the embedded digits, one thread each; how many steps they did in each
condition is printed, so that nobody takes trainers that stood still for a success. All numbers and conditions go into
--out.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import argparse
import json
import math
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from scipy.stats import kendalltau

from archsearch.data.catalog import load_dataset
from archsearch.data.split import stratified_split
from archsearch.errors import ArchsearchError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.fingerprint import device_fingerprint, volatile_facts
from archsearch.latency.lease import DeviceLease
from archsearch.latency.prepare import random_input
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.models.variants import VARIANTS
from archsearch.noise import LEAST_REPEATS, Repeat, is_crowded, noise_floor_of, quiet_memory_ms
from archsearch.space.search_space import load_space
from archsearch.targets.board import measure_on
from archsearch.training.proxy import train_proxy
from archsearch.training.settings import ProxySettings

DEVICE = "cpu"
INPUT_SIZE = 32
NUM_CLASSES = 10
REFERENCE = "shufflenet_v2_x1_0"
STEM = {"stem.stride": 2, "stem.pool": False}
WIDTHS = [0.5, 1.0]
CONDITIONS = ("quiet", "training")
PROCEDURES = {
    "ours": "ratio_to_reference",
    "ours, raw p10": "p10_ms",
    "mean of 10": "mean_of_10_ms",
    "one sample": "one_sample_ms",
}
PEER_WARMUP_RUNS, PEER_RUNS = 5, 10
TARGET_SHARE, TARGET_TAU, TARGET_FLOOR = 0.95, 0.95, 0.93
REPEATS, FLOOR_DRAWS = 13, 500  # a study of 80 networks measures 3 + 80 / 8 of them twice
READY = "ready"


def sampled(count: int, seed: int) -> list[Spec]:
    """So many different networks of the space at the size that they are measured at."""
    space = load_space("shufflenet_v2").restricted({"width": WIDTHS}, STEM)
    found: dict[str, Spec] = {}
    draw = seed
    while len(found) < count:
        spec = space.spec(space.sample(draw)).normalised(INPUT_SIZE)
        found.setdefault(spec.arch_id, spec)
        draw += 1
    return list(found.values())


def settings_of(backend: str, budget: float) -> LatencySettings:
    """The protocol's own settings, but for backend and budget."""
    plain = LatencySettings(backend=backend)
    return LatencySettings(
        backend=plain.backend_on(DEVICE), budget_seconds=budget, spread_seconds=min(plain.spread_seconds, budget / 4)
    )


# --- one measuring process -------------------------------------------------------------------------------------------


def measuring(arguments: argparse.Namespace) -> None:
    """Measure every network by every procedure, in an order of this process's own; write the numbers as JSON."""
    settings = settings_of(arguments.backend, arguments.budget)
    specs = sampled(arguments.networks, arguments.seed)
    random.Random(arguments.order).shuffle(specs)
    measure = measure_on(DEVICE, None, settings)
    reference = build(
        VARIANTS[REFERENCE].spec.with_choices(STEM).normalised(INPUT_SIZE),
        num_classes=NUM_CLASSES, input_size=INPUT_SIZE, seed=0,
    )  # fmt: skip
    before = volatile_facts(DEVICE)
    rows: dict[str, dict[str, Any]] = {}
    for start in range(0, len(specs), arguments.group):
        group = specs[start : start + arguments.group]
        models = [build(spec, num_classes=NUM_CLASSES, input_size=INPUT_SIZE, seed=0) for spec in group]
        for spec, model in zip(group, models, strict=True):
            rows[spec.arch_id] = peers(model, settings)
        began = time.perf_counter()
        latencies = measure(
            models,
            reference,
            names=[spec.arch_id for spec in group],
            reference_name=REFERENCE,
            input_size=INPUT_SIZE,
            sleep=sleep_of(os.getppid()),
        )
        seconds = time.perf_counter() - began  # repeated measurements included; made ready twice, by peers() as well
        seconds -= sum(rows[spec.arch_id]["prepare_seconds"] for spec in group)
        for spec, latency in zip(group, latencies, strict=True):
            rows[spec.arch_id] |= asdict(latency) | {"ours_seconds": seconds / len(group)}
        print(f"{start + len(group)} of {len(specs)}", flush=True)
    quiet_ms = quiet_memory_ms([row["memory_ms"] for row in rows.values() if row["memory_ms"] is not None])
    for row in rows.values():
        row["doubtful"] = not row["converged"] or is_crowded(row["memory_ms"], quiet_ms, settings.memory_tolerance)
    content = {
        "networks": rows,
        "state_before": before,
        "state_after": volatile_facts(DEVICE),
        "settings": settings.model_dump(),
        "fingerprint_facts": dict(device_fingerprint(DEVICE, settings.backend, settings.threads).facts),
    }
    Path(arguments.write).write_text(json.dumps(content), encoding="utf-8")


def peers(model: Any, settings: LatencySettings) -> dict[str, float]:
    """The peers' procedures on one network: neither lease, nor reference, nor spread."""
    asked = time.perf_counter()
    inputs = random_input(batch=1, input_size=INPUT_SIZE, device=DEVICE, seed=0)
    runner = BACKENDS[settings.backend].prepare(model, inputs, threads=settings.threads)
    prepared = time.perf_counter()

    def run_ms() -> float:
        runner.synchronize()
        began = time.perf_counter_ns()
        runner()
        runner.synchronize()
        return (time.perf_counter_ns() - began) / 1e6

    with runner.ready():
        began = time.perf_counter()
        one = run_ms()
        sampled_at = time.perf_counter()
        for _ in range(PEER_WARMUP_RUNS):
            run_ms()
        mean = statistics.fmean(run_ms() for _ in range(PEER_RUNS))
        ended = time.perf_counter()
    return {
        "prepare_seconds": prepared - asked,
        "one_sample_ms": one, "one_sample_seconds": sampled_at - began,
        "mean_of_10_ms": mean, "mean_of_10_seconds": ended - sampled_at,
    }  # fmt: skip


def sleep_of(parent: int) -> Callable[[float], None]:
    """Sleeping that ends the process when its parent has died."""

    def sleep(seconds: float) -> None:
        if os.getppid() != parent:
            raise SystemExit("the benchmark has ended")
        time.sleep(seconds)

    return sleep


# --- one training process --------------------------------------------------------------------------------------------


def training(arguments: argparse.Namespace) -> None:
    """Train proxies until told to stop; the number of chunks goes to standard output at the end."""
    parent = os.getppid()
    lease = DeviceLease.of_device(DEVICE)
    dataset = load_dataset("digits")
    train, validation = stratified_split(dataset.train, validation_images=300, train_images=None, seed=0)
    chunks = 0

    @contextmanager
    def chunk() -> Iterator[None]:
        nonlocal chunks
        if os.getppid() != parent:
            raise SystemExit("the benchmark has ended")
        with lease.shared():
            yield
        chunks += 1
        if chunks == 2:
            print(READY, flush=True)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    spec = VARIANTS["shufflenet_v2_x1_0"].spec.with_choices(STEM).normalised(INPUT_SIZE)
    try:
        for seed in range(arguments.order, sys.maxsize):
            train_proxy(
                build(spec, num_classes=dataset.num_classes, input_size=INPUT_SIZE, seed=seed),
                train, validation, ProxySettings(epochs=10, learning_rate=0.05),
                seed=seed, num_classes=dataset.num_classes, input_size=INPUT_SIZE, flip=False,
                device=DEVICE, chunk=chunk,
            )  # fmt: skip
    except KeyboardInterrupt:
        print(chunks, flush=True)


# --- the whole -------------------------------------------------------------------------------------------------------


def spawn(role: str, arguments: argparse.Namespace, *, order: int, write: Path | None) -> subprocess.Popen:
    """Start this file as one of its own children."""
    command = [sys.executable, __file__, "--role", role, "--order", str(order)]
    for name in ("networks", "group", "budget", "backend", "seed"):
        command += [f"--{name}", str(getattr(arguments, name))]
    command += ["--write", str(write)] if write else []
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen) -> None:
    """End one of our children, by force if it must be."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def one_condition(condition: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both processes of one condition, and the trainers beside them."""
    began = time.monotonic()
    with ExitStack() as stack:
        trainers = []
        for number in range(0 if condition == "quiet" else arguments.trainers):
            trainer = spawn("train", arguments, order=1000 * number, write=None)
            stack.callback(ended, trainer)
            trainers.append(trainer)
        for trainer in trainers:
            if trainer.stdout is None or trainer.stdout.readline().strip() != READY:
                raise SystemExit("a training worker ended before it began")
        trained_from = time.monotonic()
        processes = []
        for number in (1, 2):
            write = folder / f"{condition}-{number}.json"
            measurer = spawn("measure", arguments, order=number, write=write)
            stack.callback(ended, measurer)
            for line in measurer.stdout or ():
                print(f"{condition}, process {number}: {line.strip()} networks", file=sys.stderr)
            if measurer.wait() != 0:
                raise SystemExit(f"process {number} of '{condition}' failed")
            processes.append(json.loads(write.read_text(encoding="utf-8")))
        trained_seconds = time.monotonic() - trained_from
        if any(trainer.poll() is not None for trainer in trainers):
            raise SystemExit(f"a training worker of '{condition}' ended meanwhile")
        for trainer in trainers:
            trainer.terminate()
        chunks = [int(trainer.communicate(timeout=60)[0].split()[-1]) for trainer in trainers]
    print(f"{condition}: done in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return {
        "condition": condition,
        "trainers": len(chunks),
        "trainer_chunks": chunks,
        "trainer_chunks_per_second": [count / trained_seconds for count in chunks],
        "seconds": time.monotonic() - began,
        "results": [compared(name, processes) for name in PROCEDURES],
        "processes": processes,
    }


def compared(procedure: str, processes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How well the two processes agree on one procedure's numbers."""
    field = PROCEDURES[procedure]
    first, second = (process["networks"] for process in processes)
    names = sorted(first)
    pairs = [(first[name][field], second[name][field]) for name in names]
    apart = [max(pair) / min(pair) - 1.0 for pair in pairs]
    everyone = [row for rows in (first, second) for row in rows.values()]
    seconds = {"mean of 10": "mean_of_10_seconds", "one sample": "one_sample_seconds"}.get(procedure, "ours_seconds")
    result = {
        "procedure": procedure,
        "within_3_percent": share(value <= 0.03 for value in apart),
        "within_5_percent": share(value <= 0.05 for value in apart),
        "largest_difference_percent": 100.0 * max(apart),
        "kendall_tau": float(kendalltau(*zip(*pairs, strict=True)).statistic),
        "seconds_per_network": statistics.fmean(row[seconds] for row in everyone),
        "slowest_over_fastest": max(map(max, pairs)) / min(map(min, pairs)),
    }
    if procedure == "ours":
        sure = [not (first[name]["doubtful"] or second[name]["doubtful"]) for name in names]
        kept = [pair for pair, trusted in zip(pairs, sure, strict=True) if trusted]
        far = [value > 0.05 for value in apart]
        result["converged"] = share(row["converged"] for row in everyone)
        result["doubtful_networks"] = sure.count(False)
        result["sure_within_5_percent"] = share(max(pair) / min(pair) - 1.0 <= 0.05 for pair in kept)
        result["sure_kendall_tau"] = float(kendalltau(*zip(*kept, strict=True)).statistic) if len(kept) > 1 else None
        result["far_that_are_doubtful"] = share(not trusted for miss, trusted in zip(far, sure, strict=True) if miss)
        result |= floors(names, pairs, sure)
        result["intervals_overlap"] = share(
            first[name]["ratio_low"] <= second[name]["ratio_high"]
            and second[name]["ratio_low"] <= first[name]["ratio_high"]
            for name in names
        )
    return result


def floors(names: Sequence[str], pairs: Sequence[tuple[float, float]], sure: Sequence[bool]) -> dict[str, Any]:
    """The noise floor that a study would state from some of these networks, and how many of the others it holds for."""
    repeats = [
        Repeat(arch_id=name, first_ms=first, second_ms=second, sound=trusted)
        for name, (first, second), trusted in zip(names, pairs, sure, strict=True)
    ]
    sound = [repeat for repeat in repeats if repeat.sound]
    used = min(REPEATS, len(sound) // 2)
    if used < LEAST_REPEATS:
        return {"floor_repeats": len(sound), "floor_percent": None, "within_floor": None, "sure_within_floor": None}
    generator = random.Random(0)
    percents, shares, sure_shares = [], [], []
    for _ in range(FLOOR_DRAWS):
        chosen = {repeat.arch_id for repeat in generator.sample(sound, used)}
        floor = noise_floor_of([repeat for repeat in sound if repeat.arch_id in chosen])
        others = [repeat for repeat in repeats if repeat.arch_id not in chosen]
        held = [math.expm1(repeat.distance) <= float(floor.of(repeat.mean_ms)) for repeat in others]
        percents.append(100.0 * floor.relative)
        shares.append(statistics.fmean(held))
        sure_shares.append(statistics.fmean(ok for ok, repeat in zip(held, others, strict=True) if repeat.sound))
    return {
        "floor_repeats": used,
        "floor_percent": statistics.median(percents),
        "within_floor": statistics.fmean(shares),
        "sure_within_floor": statistics.fmean(sure_shares),
    }


def share(answers: Any) -> float | None:
    """Share of answers that are true; None without any."""
    kept = list(answers)
    return sum(kept) / len(kept) if kept else None


def printed(found: Sequence[dict[str, Any]]) -> None:
    """The table, and what is to be known of each condition."""
    head = ("condition", "procedure", "within 3%", "within 5%", "largest", "tau", "s/network")
    print("| " + " | ".join(head) + " |")
    print("|---|---|" + "---:|" * (len(head) - 2))
    for one in found:
        for row in one["results"]:
            print(
                f"| {one['condition']} | {row['procedure']} | {row['within_3_percent']:.0%} | "
                f"{row['within_5_percent']:.0%} | {row['largest_difference_percent']:.1f}% | "
                f"{row['kendall_tau']:.3f} | {row['seconds_per_network']:.3g} |"
            )
    print()
    for one in found:
        ours = one["results"][0]
        rate = ", ".join(f"{value:.1f}" for value in one["trainer_chunks_per_second"])
        print(
            f"{one['condition']}: {one['seconds']:.0f} s; "
            + (f"trainers did {rate} steps a second; " if rate else "")
            + f"{ours['converged']:.0%} of our measurements converged"
            + f"; 95% intervals of the two overlap for {ours['intervals_overlap']:.0%}; "
            f"slowest network {ours['slowest_over_fastest']:.1f} times the fastest"
        )
        told = ours["far_that_are_doubtful"]
        print(
            f"    {ours['doubtful_networks']} networks doubtful by the program's own flags; the others: "
            f"{percent(ours['sure_within_5_percent'])} within 5%, tau {ours['sure_kendall_tau'] or math.nan:.3f}; "
            + ("none is beyond 5%" if told is None else f"{told:.0%} of those beyond 5% are among the doubtful")
        )
        if ours["floor_percent"] is not None:
            print(
                f"    noise floor of {ours['floor_repeats']} networks measured twice: {ours['floor_percent']:.1f}% "
                f"(median of {FLOOR_DRAWS} draws); {ours['sure_within_floor']:.1%} of the others within it, with the "
                f"doubtful ones {ours['within_floor']:.1%}"
            )
        met = ours["within_5_percent"] >= TARGET_SHARE and ours["kendall_tau"] >= TARGET_TAU
        known = ours["sure_within_floor"]
        held = "not known" if known is None else "met" if known >= TARGET_FLOOR else "NOT met"
        print(f"    target (95% within 5%, tau at least 0.95): {'met' if met else 'NOT met'}")
        print(f"    target (93% of those that are not doubtful within the floor): {held}")


def main() -> None:
    """One of the three roles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=40, help="networks of the sample")
    parser.add_argument("--group", type=int, default=2, help="networks measured in turn; 1: each one by itself")
    parser.add_argument("--budget", type=float, default=12.0, help="seconds for a network measured by itself")
    parser.add_argument("--backend", default="auto", help="for every procedure")
    parser.add_argument("--conditions", default="quiet,training", help=f"which of {', '.join(CONDITIONS)}, with commas")
    parser.add_argument("--trainers", type=int, default=2, help="training workers")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--out", type=Path, help="JSON file for every number")
    parser.add_argument("--role", choices=("all", "measure", "train"), default="all", help=argparse.SUPPRESS)
    parser.add_argument("--order", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    conditions = arguments.conditions.split(",")
    if arguments.networks < 2 or arguments.group < 1 or arguments.trainers < 1 or not {*conditions} <= {*CONDITIONS}:
        parser.error(f"at least 2 networks, groups and trainers of at least 1; conditions: {', '.join(CONDITIONS)}")
    try:
        if arguments.role == "measure":
            measuring(arguments)
        elif arguments.role == "train":
            training(arguments)
        else:
            whole(arguments, conditions)
    except ArchsearchError as error:
        raise SystemExit(f"error: {error}") from error


def earlier(path: Path | None, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """The conditions that an earlier run of the same arguments has finished."""
    if path is None or not path.is_file():
        return []
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [one for one in stored if one.get("arguments") == wanted]


def percent(value: float | None) -> str:
    """A share for people."""
    return "none" if value is None else f"{value:.0%}"


def whole(arguments: argparse.Namespace, conditions: Sequence[str]) -> None:
    """Every condition, one after the other, then the table."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt  # so that the children are ended on the way out

    signal.signal(signal.SIGTERM, stop)
    settings_of(arguments.backend, arguments.budget)  # wrong values end here
    wanted = {name: getattr(arguments, name) for name in ("networks", "group", "budget", "backend", "seed", "trainers")}
    found = earlier(arguments.out, wanted)
    with tempfile.TemporaryDirectory() as folder:
        try:
            for condition in conditions:
                if condition in {one["condition"] for one in found}:
                    continue
                found.append({**one_condition(condition, arguments, Path(folder)), "arguments": wanted})
                if arguments.out:
                    arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
        except KeyboardInterrupt:
            print("\nstopped", file=sys.stderr)
    if not found:
        raise SystemExit(1)
    facts = found[0]["processes"][0]["fingerprint_facts"]
    print(
        f"{arguments.networks} networks, {INPUT_SIZE}x{INPUT_SIZE}, {facts['backend']} {facts['backend_version']}, "
        f"batch 1, {facts['threads']} thread; {facts['cpu']}, {facts['cores']} cores\n"
    )
    printed(found)
    if len(found) < len(conditions):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
