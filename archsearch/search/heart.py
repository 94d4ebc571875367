"""A worker's heart: a thread that beats in the database, and that ends the worker when its coordinator has gone."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from archsearch.errors import StoreError
from archsearch.store.database import Database
from archsearch.store.workers import HEARTBEAT_SECONDS, beat

logger = logging.getLogger(__name__)


class Heart:
    """Beats while it is entered.

    Args:
        database: where the worker is.
        worker_id: whose heart it is.
        parent: process id of the coordinator (0: none).
        orphaned: called once when the coordinator has gone.
    """

    def __init__(self, database: Database, worker_id: str, *, parent: int, orphaned: Callable[[], None]) -> None:
        self._database = database
        self._worker_id = worker_id
        self._parent = parent
        self._orphaned = orphaned
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(1.0):
            if self._parent and os.getppid() != self._parent:
                logger.warning("the coordinator has gone: this worker ends")
                self._parent = 0
                self._orphaned()
            if time.monotonic() - last >= HEARTBEAT_SECONDS:
                last = time.monotonic()
                try:
                    beat(self._database, self._worker_id)
                except (StoreError, SQLAlchemyError) as error:  # the next beat may get through; the work itself goes on
                    logger.warning("the heartbeat could not be stored: %s", error)
