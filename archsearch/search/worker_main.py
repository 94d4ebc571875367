"""A worker process: its job comes as JSON on standard input, so that no password stands in the process table.

SIGTERM and SIGINT end it at once, its trial given back; SIGUSR1 ends it after the trial in hand.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path
from types import FrameType

import torch

from archsearch.data.catalog import load_dataset
from archsearch.errors import ArchsearchError, MeasurementMemoryError
from archsearch.image_rules import ImageRules
from archsearch.search.config import parse_study
from archsearch.search.worker import DesignWorker, Worker
from archsearch.store.database import Database
from archsearch.store.retry import retry
from archsearch.store.studies import find_study
from archsearch.training.graph import broken_capture

logger = logging.getLogger("archsearch.worker")

CRASHED = 1  # as Python has it
REFUSED = 3  # an error that starting again would only repeat
RENEWED = 4  # all is well, but a new process is to go on


def main() -> int:
    """Work until the study is done; 0, or one of the codes above. The last line written says why."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    job = json.loads(sys.stdin.read())
    torch.set_num_threads(1)
    try:
        # The coordinator has opened it: the URL is right, and the tables are there.
        database = retry(lambda: Database(job["storage"], create=False))
        config = parse_study(job["config"], source="the coordinator's job")
        data_dir = None if job["data_dir"] is None else Path(job["data_dir"])
        kind = Worker if config.design is None else DesignWorker
        study = find_study(database, config.name)
        rules = ImageRules.of_study(study.config, study.facts)
        worker = kind(
            database,
            study,
            config,
            load_dataset(config.dataset, data_dir=data_dir, rules=rules),
            device=job["device"],
            total=job["total"],
            parent=job["parent"],
            optuna_proxy=job.get("optuna_proxy"),
        )

        def stop(_signal: int, _frame: FrameType | None) -> None:
            worker.stop()

        def finish(_signal: int, _frame: FrameType | None) -> None:
            worker.finish()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGUSR1, finish)
        worker.run()
    except (MeasurementMemoryError, torch.OutOfMemoryError) as error:
        logger.error("out of memory: %s", " ".join(str(error).split()))
        return CRASHED
    except ArchsearchError as error:
        logger.error("%s", error)
        return REFUSED
    if why := broken_capture():
        logger.info("a CUDA graph's capture broke, and a new process goes on: %s", " ".join(why.split()))
        return RENEWED
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
