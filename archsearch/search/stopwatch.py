"""What a worker spends its trial's time on, as `records.Phases` says it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from archsearch.records import Phases

Phase = Literal["suggest", "build", "measure", "wait", "sleep", "train", "score", "store"]


class Stopwatch:
    """The seconds of one trial, phase by phase; a phase that is entered within another interrupts it.

    Of one thread, the worker's own.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._now: Phase | None = None
        self.restart()

    def restart(self) -> None:
        """Begin a trial."""
        self._seconds = defaultdict[Phase | None, float](float)
        self._since = self._clock()

    @contextmanager
    def at(self, phase: Phase) -> Iterator[None]:
        """Count the time of the block to a phase, but for phases within it."""
        before = self._turn(phase)
        try:
            yield
        finally:
            self._turn(before)

    def of_which(self, phase: Phase, part: Phase, seconds: float) -> None:
        """Count seconds that were counted to one phase to another one."""
        self._seconds[phase] -= seconds
        self._seconds[part] += seconds

    def phases(self) -> Phases:
        """The trial so far."""
        self._turn(self._now)
        return Phases(**{f"{phase}_seconds": max(0.0, self._seconds[phase]) for phase in get_args(Phase)})

    def _turn(self, phase: Phase | None) -> Phase | None:
        now, before = self._clock(), self._now
        self._seconds[before] += now - self._since
        self._now, self._since = phase, now
        return before
