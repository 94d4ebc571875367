"""What archsearch itself adds to a trial, and `archsearch pareto`, in studies of many stored trials.

    python benchmarks/search_overhead.py [--sizes 10 300 1000 10000] [--samplers random tpe ...] [--trials 10]
                                         [--storages sqlite postgresql] [--patience 5] [--profile SAMPLER]

A real worker (`archsearch.search.worker.Worker`) runs in a study that holds that many finished trials already. Its
evaluator is replaced by one that answers at once, so what is timed is all the rest of a trial: claiming a place, asking
the sampler, the tests for known networks, storing the record, telling Optuna. A trial's time runs from the end of one
evaluation to the beginning of the next; the table shows the median over `--trials` trials, the CPU time of the worker
in it (which other load on the machine moves little; a server's is not in it), and how much of the time went into asking
and telling Optuna, once: a suggestion that the study has already is answered from the store and another is asked for.
`first` is what a worker needs from its start to its first evaluation: it reads all that is stored.

`stored_study.py` writes the stored trials in bulk, once for each size and storage; each sampler gets a copy. PostgreSQL
is started by the script where it is installed. A sampler that took longer than `--patience` seconds for a trial is not
run at larger sizes. `growth` compares the CPU time with that of the row before: 1.0 means in proportion to the stored
trials, and `!` marks what grows faster.

`archsearch pareto` is timed as a whole process, beside `archsearch --help`, which does no work.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are imported

import argparse
import cProfile
import math
import pstats
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import optuna
from help_time import archsearch_program, cpu_seconds
from postgres_server import copy_database, programs, server
from stored_study import CLASSES, INPUT_SIZE, Network, begin_study, facts_of, fill, networks

from archsearch.models.spec import Spec
from archsearch.records import Cost, TrialStatus
from archsearch.search import worker as worker_module
from archsearch.search.config import StudyConfig, load_study
from archsearch.search.measuring import Stopwatch
from archsearch.search.outcome import Outcome
from archsearch.search.samplers import SAMPLERS
from archsearch.store.database import Database
from archsearch.store.studies import find_study

STUDY = "overhead"
CopyOf = Callable[[str], str]
"""Makes a copy of the stored study under a name, and gives its URL."""


class Clock:
    """When each evaluation began and ended, and the seconds spent with Optuna in between."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        self.ended: list[float] = []
        self.cpu: list[tuple[float, float]] = []
        self.optuna: dict[str, list[float]] = {"ask": [], "tell": []}

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the seconds of the block to those of `what`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.optuna[what].append(time.perf_counter() - start)

    def trial_ms(self) -> float:
        """Median wall time of a trial, between two evaluations (milliseconds)."""
        return 1e3 * statistics.median(begun - ended for ended, begun in zip(self.ended, self.begun[1:], strict=False))

    def cpu_ms(self) -> float:
        """Median CPU time of this process in a trial (milliseconds)."""
        return 1e3 * statistics.median(after[0] - before[1] for before, after in pairwise(self.cpu))


def instant_evaluator(clock: Clock, epochs: int) -> type:
    """An evaluator that trains and measures nothing."""

    class Instant:
        input_size, num_classes = INPUT_SIZE, CLASSES

        def __init__(self, *_: Any, **__: Any) -> None:
            self.stopwatch = Stopwatch()

        def chunk(self) -> AbstractContextManager[None]:
            return nullcontext()

        def reference_cost(self) -> Cost:
            return facts_of("0" * 12, epochs)[0]

        def evaluate(self, spec: Spec, *_: Any) -> Outcome:
            clock.begun.append(time.perf_counter())
            begun_cpu = time.process_time()
            cost, latency, score = facts_of(spec.arch_id, epochs)
            outcome = Outcome(status=TrialStatus.COMPLETE, cost=cost, latency=latency, score=score)
            clock.cpu.append((begun_cpu, time.process_time()))
            clock.ended.append(time.perf_counter())
            return outcome

    return Instant


def timed_study(clock: Clock) -> type:
    """The adapter to Optuna, with a clock."""

    class Timed(worker_module.OptunaStudy):
        def ask(self, *args: Any, **kwargs: Any) -> Any:
            with clock.timed("ask"):
                return super().ask(*args, **kwargs)

        def tell_values(self, *args: Any, **kwargs: Any) -> None:
            with clock.timed("tell"):
                super().tell_values(*args, **kwargs)

    return Timed


def run_worker(url: str, config: StudyConfig, *, stored: int, trials: int) -> tuple[Clock, float]:
    """Run a worker for `trials` timed trials; gives its clock, and the milliseconds to its first evaluation.

    Raises RuntimeError if the worker ended before it had made them.
    """
    clock, database = Clock(), Database(url, create=False)
    try:
        start = time.perf_counter()
        with (
            patch.object(worker_module, "Evaluator", instant_evaluator(clock, config.proxy.epochs)),
            patch.object(worker_module, "OptunaStudy", timed_study(clock)),
        ):
            study = find_study(database, config.name)
            worker: Any = worker_module.Worker(
                database, study, config, None, device="cpu", total=stored + trials + 1  # type: ignore[arg-type]
            )  # fmt: skip
            worker.run()
        if len(clock.ended) <= trials:
            raise RuntimeError(f"the worker ended after {len(clock.ended)} of {trials + 1} trials")
        return clock, 1e3 * (clock.begun[0] - start)
    finally:
        database.close()


def filled(url: str, config: StudyConfig, found: list[Network], done: int) -> None:
    """Bring the study in this database from `done` to `len(found)` stored trials."""
    database = Database(url)
    try:
        if done == 0:
            begin_study(database, config)
        for first in range(done, len(found), 1000):
            fill(database, config, found[first : first + 1000], first_number=first)
    finally:
        database.close()


def growth(before: tuple[int, float] | None, now: tuple[int, float]) -> str:
    """Exponent of the number of stored trials between two rows."""
    if before is None or before[1] <= 0:
        return ""
    exponent = math.log(now[1] / before[1]) / math.log(now[0] / before[0])
    return f"{exponent:6.2f}{' !' if exponent > 1.1 else ''}"


def program_seconds(arguments: list[str], *, runs: int = 3) -> tuple[float, float]:
    """Median wall time and CPU time of a whole `archsearch` command (seconds)."""
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        cpu = cpu_seconds([archsearch_program(), *arguments])
        found.append((time.perf_counter() - start, cpu))
    return statistics.median(wall for wall, _ in found), statistics.median(cpu for _, cpu in found)


def profile(url: str, config: StudyConfig, *, stored: int, trials: int) -> None:
    """Print where the time goes."""
    profiler = cProfile.Profile()
    profiler.runcall(run_worker, url, config, stored=stored, trials=trials)
    pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)


def measure(storage: str, options: argparse.Namespace, url: str, copy_of: CopyOf) -> None:
    """Fill the study step by step, and time every sampler at each size."""
    config = load_study("cifar10_cpu").model_copy(update={"name": STUDY, "variants": "none"})
    source = networks(config, first_seed=1_000_000)
    found: list[Network] = []
    last: dict[str, tuple[int, float]] = {}
    slow: set[str] = set()
    for size in sorted(options.sizes):
        done = len(found)
        found += islice(source, size - done)
        start = time.perf_counter()
        filled(url, config, found, done)
        print(f"{storage}: {size} trials stored in {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
        for sampler in options.samplers:
            if sampler in slow:
                continue
            copy = copy_of(f"{sampler}_{size}")
            chosen = config.model_copy(update={"sampler": sampler})
            if options.profile == sampler:
                profile(copy, chosen, stored=size, trials=options.trials)
                continue
            clock, first_ms = run_worker(copy, chosen, stored=size, trials=options.trials)
            median = clock.trial_ms()
            ask, tell = (1e3 * statistics.median(clock.optuna[what][1:]) for what in ("ask", "tell"))
            print(
                f"{storage:<11}{sampler:<11}{size:>7}{median:>10.1f}{clock.cpu_ms():>9.1f}{ask:>9.1f}{tell:>9.1f}{first_ms:>10.0f}"
                f"   {growth(last.get(sampler), (size, clock.cpu_ms()))}",
                flush=True,
            )
            last[sampler] = (size, clock.cpu_ms())
            if median > 1e3 * options.patience:
                slow.add(sampler)
        if not options.profile:
            wall, cpu = program_seconds(["pareto", "--study", STUDY, "--storage", url])
            print(
                f"{storage:<11}{'(pareto)':<11}{size:>7}{1e3 * wall:>10.0f}{1e3 * cpu:>9.0f}{'':>28}"
                f"   {growth(last.get('(pareto)'), (size, cpu))}",
                flush=True,
            )
            last["(pareto)"] = (size, cpu)


def main() -> None:
    """Measure and print one line for each storage, sampler and size."""
    parser = argparse.ArgumentParser(description="What archsearch adds to a trial.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 300, 1000, 10_000], help="stored trials")
    able = [name for name in SAMPLERS if name != "exhaustive"]  # which refuses a space of this size
    parser.add_argument("--samplers", nargs="+", default=able, choices=able, help="default: all")
    parser.add_argument("--storages", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"])
    parser.add_argument("--trials", type=int, default=10, help="timed trials (default 10)")
    parser.add_argument("--patience", type=float, default=5.0, help="seconds a trial (default 5)")
    parser.add_argument("--profile", metavar="SAMPLER", help="print where a worker's time goes with this sampler")
    options = parser.parse_args()
    if options.trials < 1 or min(options.sizes) < 1:
        parser.error("at least one trial, and one stored")
    if options.profile:
        options.samplers = [options.profile]
    wall, cpu = program_seconds(["--help"])
    print(
        f"optuna {optuna.__version__}, Python {sys.version.split()[0]}, medians of {options.trials} trials; "
        f"archsearch --help: {1e3 * wall:.0f} ms, {1e3 * cpu:.0f} ms of CPU; load {os.getloadavg()[0]:.1f}"
    )
    print(
        f"{'storage':<11}{'sampler':<11}{'stored':>7}{'trial ms':>10}{'cpu ms':>9}{'ask ms':>9}{'tell ms':>9}"
        f"{'first ms':>10}   growth"
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archsearch-overhead-")))
        if "sqlite" in options.storages:

            def copy_file(name: str) -> str:
                return f"sqlite:///{shutil.copy(folder / 'study.db', folder / f'{name}.db')}"

            measure("sqlite", options, f"sqlite:///{folder / 'study.db'}", copy_file)
        installed = programs()
        if "postgresql" in options.storages and installed is None:
            print("postgresql is not installed: left out", file=sys.stderr)
        elif "postgresql" in options.storages and installed is not None:
            root = stack.enter_context(server(installed))

            def copy_on_server(name: str) -> str:
                return copy_database(root, "study", name)

            measure("postgresql", options, copy_database(root, None, "study"), copy_on_server)


if __name__ == "__main__":
    main()
