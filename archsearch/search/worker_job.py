"""What a worker process does with its job: see `worker_main`."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from archsearch.data.catalog import load_dataset
from archsearch.errors import ArchsearchError, MeasurementMemoryError
from archsearch.image_rules import ImageRules
from archsearch.search.config import parse_study
from archsearch.search.processes import CRASHED, REFUSED, RENEWED
from archsearch.search.worker import DesignWorker, Worker
from archsearch.store.database import Database
from archsearch.store.retry import retry
from archsearch.store.studies import find_study
from archsearch.training.graph import broken_capture

logger = logging.getLogger("archsearch.worker")


def do_job(job: Mapping[str, Any]) -> int:
    """Work until the study is done; 0, or one of the codes of `processes`. The last line written says why."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    torch.set_num_threads(1)
    try:
        # The coordinator has opened it: the URL is right, and the tables are there.
        database = retry(lambda: Database(job["storage"], create=False))
        config = parse_study(job["config"], source="the coordinator's job")
        data_dir = None if job["data_dir"] is None else Path(job["data_dir"])
        kind = Worker if config.design is None else DesignWorker
        study = find_study(database, config.name)
        rules = ImageRules.of_study(study.config, study.facts)
        dataset = load_dataset(config.dataset, data_dir=data_dir, rules=rules)
        study.check_images(dataset.fingerprint)
        worker = kind(
            database,
            study,
            config,
            dataset,
            device=job["device"],
            total=job["total"],
            parent=job["parent"],
            optuna_proxy=job.get("optuna_proxy"),
            boards=job.get("boards"),
        )

        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        signal.signal(signal.SIGINT, lambda *_: worker.stop())
        signal.signal(signal.SIGUSR1, lambda *_: worker.finish())
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
