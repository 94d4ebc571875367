"""Runs before the first timed one: kernels are chosen, caches filled and clocks raised until time stands still."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from archsearch.latency.runner import Runner

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """How warm-up of one network ended.

    Attributes:
        run_ns: median of its last window (nanoseconds), an estimate of one run.
        runs: runs that were made.
    """

    run_ns: float
    runs: int


def warm_up(
    runner: Runner,
    *,
    time_run: Callable[[Runner], int],
    window: int,
    max_windows: int,
    tolerance: float,
    max_ns: float,
    min_ns: float = 0.0,
) -> WarmUp:
    """Run until the medians of two successive windows differ by no more than `tolerance`.

    A device with a clock of its own (a GPU) is run for `min_ns` at least, because its first windows agree at the clock
    of an idle device.

    Args:
        runner: the network.
        time_run: times one run (nanoseconds).
        window: runs of a window.
        max_windows: windows after which it ends in any case.
        tolerance: relative difference of two windows that agree.
        max_ns: timed run time after which no run begins (nanoseconds); the first run is always made.
        min_ns: timed run time before which warm-up does not end, whatever the windows say (nanoseconds).
    """
    before: float | None = None
    now, runs, spent, windows = 0.0, 0, 0, 0
    cold = True
    while windows < max_windows or cold:
        times: list[int] = []
        while len(times) < window and (runs == 0 or spent < max_ns):
            times.append(time_run(runner))
            spent += times[-1]
            runs += 1
        if not times:
            break
        now, windows = median(times), windows + 1
        cold = spent < min_ns and runner.device_ms() is not None
        if not cold and before is not None and len(times) == window and abs(now / before - 1.0) <= tolerance:
            return WarmUp(run_ns=now, runs=runs)
        before = now
    logger.debug("warm-up ended after %d runs without two windows that agree", runs)
    return WarmUp(run_ns=now, runs=runs)
