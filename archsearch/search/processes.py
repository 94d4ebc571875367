"""Worker processes of this machine: started, asked to end after their trial, stopped, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from archsearch.errors import StoreError, last_words
from archsearch.host import usable_cores, with_huge_pages

_STOP_SECONDS = 30.0
_MOST_IDLE = 2
# How a worker ends that does not end with 0.
CRASHED = 1  # as Python has it
REFUSED = 3  # an error that starting again would only repeat
RENEWED = 4  # all is well, but a new process is to go on
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Process = subprocess.Popen[bytes]


@contextmanager
def idle_workers() -> Iterator[list[Process]]:
    """A list of worker processes that get ready while a run is planned, to be given their jobs by `start_worker`.

    It is empty at first: see `add_idle`. What is left in it is ended.
    """
    idle: list[Process] = []
    try:
        yield idle
    finally:
        for process in idle:
            process.kill()
            process.wait()


def add_idle(idle: list[Process], workers: int | None, *, busy: int) -> None:
    """Start idle workers: as many as there will be (None: not known), at most two, and one for each processor.

    Args:
        busy: processors that have other work now: getting ready takes one for seconds.
    """
    wanted = _MOST_IDLE if workers is None else workers
    idle += [_start() for _ in range(min(wanted, _MOST_IDLE, usable_cores() - busy) - len(idle))]


def start_worker(job: Mapping[str, Any], log: Path, idle: Process | None = None) -> Process:
    """Give a job to an idle worker process, or to a new one, with one thread; what it writes is added to `log`.

    Raises StoreError if the log cannot be written.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.open("ab").close()
    except OSError as error:
        raise StoreError(
            f"the folder {log.parent} for the workers' logs cannot be written: {error.strerror}",
            hint="run archsearch in a folder of your own",
        ) from error
    process = idle or _start()
    stdin: IO[bytes] | None = process.stdin
    if stdin is not None:
        try:
            stdin.write(json.dumps({**job, "log": str(log)}).encode())
            stdin.close()
        except BrokenPipeError:  # it was killed at once: its exit code says so
            pass
    return process


def _start() -> Process:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "archsearch.search.worker_main"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,  # until it has a job, which names its log
        stderr=subprocess.DEVNULL,
        env=with_huge_pages(os.environ) | dict.fromkeys(_THREAD_VARIABLES, "1"),
        start_new_session=True,  # Ctrl-C reaches the coordinator alone, which then ends the workers cleanly
    )


def let_finish(processes: Iterable[Process]) -> None:
    """Ask workers to end after the trial in hand. One that has not begun to work yet is ended by the signal."""
    for process in processes:
        process.send_signal(signal.SIGUSR1)


def stop(processes: Iterable[Process]) -> None:
    """End workers: their trials in hand are given back. Who has not ended within half a minute is killed."""
    left = list(processes)
    for process in left:
        process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for process in left:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def last_line(log: Path) -> str:
    """The last line that a worker wrote. Raises StoreError if its log cannot be read."""
    try:
        return last_words(log.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise StoreError(f"the worker's log {log} cannot be read: {error.strerror}") from error
