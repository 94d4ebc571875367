"""A worker process: its job comes as JSON on standard input, so that no password stands in the process table.

It may be started before there is a job, and then gets ready to work: importing torch takes seconds. Without one, when
standard input ends, it ends. SIGTERM and SIGINT end it at once, its trial given back; SIGUSR1 ends it after the trial
in hand.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> int:
    """Work until the study is done; 0, or one of the codes of `processes`. The last line written says why."""
    gc.disable()  # a third of the time that the imports take: they make nothing that could be collected
    try:
        from archsearch.search.worker_job import do_job
    finally:  # an error, too, is written where the job says
        gc.freeze()  # what was imported stays: collections after a trial, and the end, need not look at it
        gc.enable()
        job = _job()
    return 0 if job is None else do_job(job)


def _job() -> dict[str, Any] | None:
    """The job, once it is there, its log opened; None if none will come."""
    text = sys.stdin.read()
    if not text:
        return None
    job: dict[str, Any] = json.loads(text)
    with Path(job["log"]).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    return job


if __name__ == "__main__":
    raise SystemExit(main())
