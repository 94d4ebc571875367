"""What each latency backend says of ShuffleNetV2 x0.5 and x1.0, side by side.

    python benchmarks/latency_backends.py [--device cpu] [--backends onnxruntime,torch,torch-eager] [--batch 1]
        [--input-size 32] [--stem cifar|stock] [--threads 1] [--bursts 60] [--seconds 40]

Both networks, made ready by every backend, are one group of the measuring protocol: all take turns, burst by burst, so
that what disturbs the machine disturbs all alike. A line for each backend: p10 and median of each network, the ratio of
their p10 with its 95% interval, and how many times faster than torch-eager it runs x1.0. In the head stands the ratio
of their multiply-adds: a backend whose ratio is far below it spends its time on something else than arithmetic. `ready`
is the time to make x1.0 ready (copying, folding, exporting, opening a session, compiling; comparing outputs is part of
it), which no timed run contains.

The stem is that of studies at 32 pixels (stride 1, no max pool) or the published one.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import argparse
import platform
import time
from dataclasses import dataclass, replace

import torch
from torch import nn

from archsearch.cost.count import count
from archsearch.latency.backends import BACKENDS
from archsearch.latency.fingerprint import cpu_name
from archsearch.latency.group import LocalGroup
from archsearch.latency.prepare import random_input
from archsearch.latency.protocol import Measurement
from archsearch.latency.runner import Runner
from archsearch.latency.samples import Samples
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import build
from archsearch.models.variants import VARIANTS

SMALL, LARGE = "shufflenet_v2_x0_5", "shufflenet_v2_x1_0"
STEMS = {"cifar": {"stem.stride": 1, "stem.pool": False}, "stock": {}}


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Both networks made ready by one backend."""

    backend: str
    small: Runner
    large: Runner
    wall_seconds: float
    cpu_seconds: float


def network(name: str, options: argparse.Namespace) -> nn.Module:
    """A published width with the stem that was asked for."""
    spec = VARIANTS[name].spec.with_choices(STEMS[options.stem]).normalised(options.input_size)
    return build(spec, num_classes=10, input_size=options.input_size, seed=0).eval()


def make_ready(backend: str, small: nn.Module, large: nn.Module, options: argparse.Namespace) -> Ready:
    """Both networks, the small one first, so that the time of the large one contains no import."""
    inputs = random_input(batch=options.batch, input_size=options.input_size, device=options.device, seed=0)
    prepare = BACKENDS[backend].prepare
    first = prepare(small, inputs, threads=options.threads)
    wall, cpu = time.perf_counter(), time.process_time()
    second = prepare(large, inputs, threads=options.threads)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Ready(backend=backend, small=first, large=second, wall_seconds=wall, cpu_seconds=cpu)


def report(ready: list[Ready], samples: Samples) -> None:
    """A line for each backend; ratios of p10 within the same bursts."""
    slowest = 2 * [entry.backend for entry in ready].index("torch-eager") + 1 if _has_eager(ready) else None
    print(
        f"{'backend':<15}{'x0.5 p10':>10}{'median':>9}{'x1.0 p10':>10}{'median':>9}  "
        f"{'x1.0 / x0.5':<22}{'eager / it':>11}{'ready s':>9}{'cpu s':>7}"
    )
    for index, entry in enumerate(ready):
        small, large = samples.quantiles(2 * index), samples.quantiles(2 * index + 1)
        pair = replace(samples, bursts_ns=[samples.bursts_ns[2 * index + 1], samples.bursts_ns[2 * index]])
        low, high = pair.ratio_interval(0)
        gain = f"{samples.quantiles(slowest).p10_ms / large.p10_ms:.2f}" if slowest is not None else "-"
        print(
            f"{entry.backend:<15}{small.p10_ms:10.3f}{small.median_ms:9.3f}{large.p10_ms:10.3f}{large.median_ms:9.3f}  "
            f"{f'{pair.ratio(0):.3f} ({low:.3f} to {high:.3f})':<22}{gain:>11}"
            f"{entry.wall_seconds:9.2f}{entry.cpu_seconds:7.2f}"
        )


def _has_eager(ready: list[Ready]) -> bool:
    return any(entry.backend == "torch-eager" for entry in ready)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Latency backends side by side on ShuffleNetV2 x0.5 and x1.0.")
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")
    parser.add_argument("--backends", help="names, comma-separated (default all that run here but torch-compile)")
    parser.add_argument("--batch", type=int, default=1, help="images a run (default 1)")
    parser.add_argument("--input-size", type=int, default=32, help="pixels (default 32)")
    parser.add_argument("--stem", choices=sorted(STEMS), default="cifar", help="default cifar: stride 1, no pool")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a run (default 1)")
    parser.add_argument("--bursts", type=int, default=60, help="bursts of each network (default 60)")
    parser.add_argument("--seconds", type=float, default=40.0, help="time that the bursts are spread over (default 40)")
    options = parser.parse_args()
    kind = options.device.partition(":")[0]
    here = [name for name in BACKENDS if kind in BACKENDS[name].devices]
    options.backends = options.backends.split(",") if options.backends else [n for n in here if n != "torch-compile"]
    for name in options.backends:
        if name not in here:
            parser.error(f"the backend {name} does not run on {options.device}; there are {', '.join(here)}")
    if min(options.batch, options.threads) < 1 or options.bursts < 5 or options.seconds <= 0:
        parser.error("at least one image, one thread and five bursts over a time above 0")
    return options


def main() -> None:
    """Measure and print."""
    options = _options()
    torch.set_num_threads(options.threads)
    small, large = network(SMALL, options), network(LARGE, options)
    ready = [make_ready(name, small, large, options) for name in options.backends]
    settings = LatencySettings(
        batch=options.batch, threads=options.threads, bursts=options.bursts, visits=5, spread_seconds=options.seconds,
        budget_seconds=3 * options.seconds,
    )  # fmt: skip
    group = LocalGroup([runner for entry in ready for runner in (entry.small, entry.large)], lease=None)
    measurement = Measurement(group, settings)
    measurement.complete()
    samples = measurement.samples
    macs = [count(model, options.input_size)[0] for model in (small, large)]
    where = torch.cuda.get_device_name(options.device) if options.device != "cpu" else cpu_name()
    print(
        f"{where}; {platform.system()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"onnxruntime {BACKENDS['onnxruntime'].version()}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(
        f"batch {options.batch}, {options.input_size}x{options.input_size}, {options.stem} stem, {options.threads} "
        f"thread(s), {samples.bursts} bursts of {len(samples.bursts_ns[0][0])} in {samples.visits} visits, "
        f"{'converged' if samples.converged else 'NOT CONVERGED'}; milliseconds a batch; "
        f"multiply-adds x1.0 / x0.5 = {macs[1] / macs[0]:.2f}"
    )
    report(ready, samples)


if __name__ == "__main__":
    main()
