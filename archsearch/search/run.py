"""The coordinator of one run: starts the workers, watches over them, and starts a killed one again."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from archsearch.errors import ArchsearchError, StoreError
from archsearch.records import Record
from archsearch.search.optuna_study import OptunaStudy
from archsearch.search.plan import RunPlan, check_unchanged
from archsearch.search.recovery import recover
from archsearch.search.worker_main import REFUSED
from archsearch.store.claims import HOLDS_PLACE, trial_counts
from archsearch.store.database import Database
from archsearch.store.studies import StudyInfo, enter_study
from archsearch.store.trials import load_records

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_MOST_RESTARTS = 5
_STOP_SECONDS = 30.0
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is.

    Attributes:
        counts: trials by status.
        total: trials that the study is to have.
        records: every trial with a number, running ones included.
        done_before: trials that held a place when this run began.
        elapsed_seconds: since this run began.
        workers: worker processes that run now.
    """

    counts: Mapping[str, int]
    total: int
    records: tuple[Record, ...]
    done_before: int
    elapsed_seconds: float
    workers: int

    @property
    def done(self) -> int:
        """Trials that have ended and hold a place."""
        return sum(self.counts.get(status, 0) for status in HOLDS_PLACE) - self.counts.get("running", 0)

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the mean time of this run's trials so far; None before the first has ended."""
        fresh = self.done - self.done_before
        return None if fresh <= 0 else self.elapsed_seconds / fresh * max(self.total - self.done, 0)


class WorkersFailedError(ArchsearchError):
    """The workers could not go on: the message has the last line that one of them wrote."""


def run_study(
    plan: RunPlan,
    database: Database,
    *,
    folder: Path,
    data_dir: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> StudyInfo:
    """Run a study until it has `plan.total` trials; what is there already is continued.

    Args:
        plan: what `plan_run` found.
        database: where the study is stored.
        folder: where the workers' logs go.
        data_dir: where datasets are kept.
        on_progress: called about twice a second.

    Raises:
        StudyChangedError: a study of this name has another space, protocol or dataset.
        WorkersFailedError: the workers ended with an error, or were killed again and again.
        KeyboardInterrupt: passed on after the workers have ended cleanly.
    """
    study = enter_study(
        database,
        name=plan.config.name,
        config=plan.config.protocol() | {"name": plan.config.name, "sampler": plan.config.sampler},
        space=plan.space.to_dict(),
        space_fingerprint=plan.space.fingerprint,
        facts=plan.facts,
    )
    check_unchanged(plan, study)
    watch = _Watch(plan, database, study, folder, data_dir, on_progress)
    watch.run()
    return study


class _Watch:
    def __init__(
        self,
        plan: RunPlan,
        database: Database,
        study: StudyInfo,
        folder: Path,
        data_dir: Path | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._plan = plan
        self._database = database
        self._study = study
        self._folder = folder
        self._data_dir = data_dir
        self._on_progress = on_progress
        self._restarts = 0
        self._began = time.monotonic()
        self._progress = self._look(workers=0)
        self._progress = replace(self._progress, done_before=self._progress.done)

    def run(self) -> None:
        self._recover()
        if self._progress.done >= self._plan.total:
            self._report(self._progress)
            return
        running: dict[int, subprocess.Popen[bytes]] = {}
        try:
            for slot in range(len(self._plan.devices)):
                running[slot] = self._start(slot)
            while running:
                time.sleep(_POLL_SECONDS)
                for slot, process in list(running.items()):
                    if process.poll() is None:
                        continue
                    del running[slot]
                    if process.returncode != 0:
                        self._ended_badly(slot, process.returncode)
                        running[slot] = self._start(slot)
                self._report(self._look(workers=len(running)))
        finally:
            self._stop(running)
            self._recover()  # a worker that had to be killed leaves a trial behind
            self._report(self._look(workers=0))
        if self._progress.done < self._plan.total:
            logger.warning(
                "ended with %d of %d trials: %s", self._progress.done, self._plan.total, _last_line(self._log(0))
            )

    def _start(self, slot: int) -> subprocess.Popen[bytes]:
        job: dict[str, Any] = {
            "config": self._plan.config.model_dump(mode="json"),
            "storage": self._database.url,
            "device": self._plan.devices[slot],
            "total": self._plan.total,
            "data_dir": None if self._data_dir is None else str(self._data_dir),
            "parent": os.getpid(),
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            log = self._log(slot).open("ab")
        except OSError as error:
            raise StoreError(
                f"the folder {self._folder} for the workers' logs cannot be written: {error.strerror}",
                hint="run archsearch in a folder of your own",
            ) from error
        with log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "archsearch.search.worker_main"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | dict.fromkeys(_THREAD_VARIABLES, "1"),
                start_new_session=True,  # Ctrl-C reaches the coordinator alone, which then ends the workers cleanly
            )
        stdin: IO[bytes] | None = process.stdin
        if stdin is not None:
            stdin.write(json.dumps(job).encode())
            stdin.close()
        return process

    def _log(self, slot: int) -> Path:
        return self._folder / f"worker-{slot}.log"

    def _ended_badly(self, slot: int, returncode: int) -> None:
        how = f"was killed by signal {-returncode}" if returncode < 0 else f"ended with exit code {returncode}"
        last = _last_line(self._log(slot))
        if returncode == REFUSED or self._restarts >= _MOST_RESTARTS:
            raise WorkersFailedError(f"worker {slot} {how}: {last}", hint=f"its log is {self._log(slot)}")
        self._restarts += 1
        logger.warning("worker %d %s (%s) and is started again", slot, how, last)
        self._recover()

    def _recover(self) -> None:
        optuna = OptunaStudy(self._database, self._plan.config, self._plan.space)
        try:
            recover(self._database, self._plan.config, optuna)
        finally:
            optuna.close()

    def _stop(self, running: Mapping[int, subprocess.Popen[bytes]]) -> None:
        for process in running.values():
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _look(self, *, workers: int) -> Progress:
        before = getattr(self, "_progress", None)
        counts = trial_counts(self._database, self._study.id)
        fresh = before is None or dict(before.counts) != dict(counts)
        return Progress(
            counts=counts,
            total=self._plan.total,
            records=load_records(self._database, self._study.id) if fresh or before is None else before.records,
            done_before=0 if before is None else before.done_before,
            elapsed_seconds=time.monotonic() - self._began,
            workers=workers,
        )

    def _report(self, progress: Progress) -> None:
        if progress.done > self._progress.done:
            self._restarts = 0  # the limit is for workers that are killed without getting anywhere
        self._progress = progress
        if self._on_progress is not None:
            self._on_progress(progress)


def _last_line(log: Path) -> str:
    try:
        lines = [
            line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
        ]
    except OSError as error:
        raise StoreError(f"the worker's log {log} cannot be read: {error.strerror}") from error
    return lines[-1] if lines else "it wrote nothing"
