"""Where and how a plan is run, and what a run tells whoever started it. Nothing here imports torch or Optuna."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import wraps
from inspect import isfunction
from pathlib import Path
from typing import Any

from archsearch.errors import ConfigError, shown
from archsearch.noise import NO_FLOOR, NoiseFloor
from archsearch.records import Epoch, Record
from archsearch.search.estimate import Estimate
from archsearch.search.processes import Process
from archsearch.store.claims import HOLDS_SLOT
from archsearch.store.curves import RunningTrial
from archsearch.store.names import DEFAULT_URL
from archsearch.store.studies import StudyInfo
from archsearch.validation import check_seconds, whole


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """How far a run is.

    Attributes:
        counts: trials by status.
        total: trials that the study is to have.
        records: every trial with a number, running ones included.
        done_before: trials that held a slot when this run began.
        elapsed_seconds: since this run began.
        workers: worker processes of this run that run now.
        ending: why this run starts no new trial although slots are left; None while it does.
        noise_floor: of the study's latencies, as it is known now.
        running: the trials that run now, those of other machines among them.
        expected: what was estimated for the trials that this run began without; None: nothing was.
    """

    counts: Mapping[str, int]
    total: int
    records: tuple[Record, ...]
    done_before: int
    elapsed_seconds: float
    workers: int
    ending: str | None = None
    noise_floor: NoiseFloor = NO_FLOOR
    running: tuple[RunningTrial, ...] = ()
    expected: Estimate | None = None

    @property
    def done(self) -> int:
        """Trials that have ended and hold a slot."""
        return sum(self.counts.get(status, 0) for status in HOLDS_SLOT) - self.counts.get("running", 0)

    @property
    def seconds_left(self) -> float | None:
        """What is left, by what this run's trials took so far; before the first has ended, as it was estimated.

        A trial that runs counts as half done. Trials of which some were expected to take longer than others (published
        networks come first) count by what was expected. What was expected also counts as much as one trial of each
        worker: the first that ends may be one that an earlier run had nearly done. None before the first has ended
        where nothing was expected.
        """
        fresh, missing = self.done - self.done_before, max(self.total - self.done_before, 0)
        if fresh <= 0:
            return None if self.expected is None else max(self.expected.seconds - self.elapsed_seconds, 0.0)
        work = Estimate(basis="equal trials", others=missing, other_seconds=1.0)
        if self.expected is not None and self.expected.pieces == missing and self.expected.work_seconds(0, missing):
            work = self.expected
        running = min(self.counts.get("running", 0), missing - fresh)
        half = work.work_seconds(fresh, fresh + running) / 2
        done, elapsed = work.work_seconds(0, fresh) + half, self.elapsed_seconds
        if self.expected is not None and work is self.expected:
            share = min((self.expected.workers or 1) / missing, 1.0)
            done += share * work.work_seconds(0, missing)
            elapsed += share * self.expected.seconds
        return elapsed / done * (work.work_seconds(fresh, missing) - half)


class RunCallbacks:
    """What planning and running tell whoever started them: override what you want to hear; nothing is done here.

    All is told in the process that called `run`, whichever worker, on whichever machine, has done it.

    What a method raises ends the run, after its workers have ended cleanly, and passes through.
    """

    @property
    def follows_trials(self) -> bool:
        """Whether `epoch` or `trial_ended` is overridden: nothing is read for them otherwise."""
        return any(getattr(type(self), name) is not getattr(RunCallbacks, name) for name in ("epoch", "trial_ended"))

    def predictors(self, done: int, networks: int) -> None:
        """So many networks of a check of the proxy have their scores that cost no training."""

    def pool_step(self, step: str) -> None:
        """The boards of a new study's pool are held against each other, before workers start: what is done now."""

    def begun(self, study: StudyInfo) -> None:
        """Called once, with the study as it is stored, before its workers start."""

    def decoded(self, done: int, pictures: int) -> None:
        """So many pictures are decoded, which is done once, before `begun`."""

    def epoch(self, trial: int, epoch: Epoch) -> None:
        """A trial of this number has done an epoch of its training: each epoch of a running trial, in order.

        What an earlier trial had done of a training that was cut off is told again under the number that goes on.
        """

    def trial_ended(self, record: Record) -> None:
        """A trial has ended, with its curve if it has one: complete or not. Its epochs were told before."""

    def progressed(self, progress: RunProgress) -> None:
        """Called about twice a second, and once at the end."""

    def stopping(self) -> None:
        """Called once if the run is interrupted, before its workers have ended."""


Callbacks = RunCallbacks | Sequence[RunCallbacks]
"""One or several."""


class CallbackList(RunCallbacks):
    """Tells one or several, in their order: all of them, also where one raises.

    Raises ConfigError for what is no RunCallbacks.
    """

    def __init__(self, callbacks: Callbacks) -> None:
        given: tuple[Any, ...] = (
            (callbacks,)
            if isinstance(callbacks, RunCallbacks | str) or not isinstance(callbacks, Iterable)
            else tuple(callbacks)
        )
        for each in given:
            if not isinstance(each, RunCallbacks):
                raise ConfigError(
                    f"callbacks: {shown(each)} is no object of archsearch.RunCallbacks",
                    hint='for example archsearch.TensorBoard("logs"), or an object of a class of your own',
                )
        self.callbacks: tuple[RunCallbacks, ...] = given

    @property
    def follows_trials(self) -> bool:
        """Whether one of them does."""
        return any(each.follows_trials for each in self.callbacks)


def _told_to_all(name: str) -> Callable[..., None]:
    @wraps(getattr(RunCallbacks, name))
    def tell(self: CallbackList, *said: object) -> None:
        with ExitStack() as told:
            for each in reversed(self.callbacks):  # the last one is called first
                told.callback(getattr(each, name), *said)

    return tell


for _name in [name for name, found in vars(RunCallbacks).items() if isfunction(found)]:
    setattr(CallbackList, _name, _told_to_all(_name))  # all of them, those to come among them


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where and how plans are made and run: everything that changes no trial's meaning.

    Attributes:
        storage: a database URL as SQLAlchemy takes it; None: SQLite at runs/archsearch.db.
        data_dir: where datasets are kept; None: archsearch in the user's cache folder.
        device: auto, cpu, cuda or cuda:N.
        workers: worker processes, in place of the study's own number.
        time_budget_seconds: from `began` on; afterwards no new trial starts, and running ones are finished.
        plateau_trials: no new trial starts once the hypervolume is flat over so many ended trials (of all workers, see
            `plateau_of`); None: a run never ends for that.
        optuna_proxy: HOST:PORT of an `archsearch serve-storage` of the same database, for hundreds of workers.
        command: what was typed, stored with a new study; None: what one would have typed.
        callbacks: who is told.
        idle: worker processes that were started before the plan was made, see `idle_workers`.
        began: when the budget begins (`time.monotonic`): as a rule when this was made.

    Budget and plateau bind a run's own workers; the same command typed again has a new budget.

    Raises ConfigError for a number of workers or trials that is not whole or below 1, a budget that is no time, and for
    a proxy that is no HOST:PORT or that SQLite cannot have.
    """

    storage: str | None = None
    data_dir: str | Path | None = None
    device: str = "auto"
    workers: int | None = None
    time_budget_seconds: float | None = None
    plateau_trials: int | None = None
    optuna_proxy: str | None = None
    command: str | None = None
    callbacks: RunCallbacks = field(default_factory=RunCallbacks)
    idle: list[Process] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        workers, plateau = whole(self.workers, "workers"), whole(self.plateau_trials, "plateau_trials")
        if workers is not None and workers < 1:
            raise ConfigError(f"workers {workers}: at least 1 is needed")
        check_seconds(self.time_budget_seconds, "time_budget_seconds")
        if plateau is not None and plateau < 1:
            raise ConfigError(f"stop on plateau: at least 1 trial is needed, got {plateau}")
        if self.optuna_proxy is not None:
            host_and_port(self.optuna_proxy)
            if (self.storage or DEFAULT_URL).startswith("sqlite"):
                raise ConfigError(
                    f"optuna_proxy {self.optuna_proxy}: it serves a PostgreSQL database, and the study's is SQLite",
                    hint="give the one that it serves (in a terminal: --storage postgresql://USER@HOST/DB)",
                )

    @property
    def spent(self) -> bool:
        """Whether the time budget is used up."""
        budget = self.time_budget_seconds
        return budget is not None and time.monotonic() - self.began >= budget


def host_and_port(address: str) -> tuple[str, int]:
    """A proxy's address. Raises ConfigError unless it is HOST:PORT."""
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(f"optuna_proxy {address}: not a HOST:PORT", hint="for example node1:13000")
    return host, int(port)
