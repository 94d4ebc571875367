"""An open database of each kind with one study, and records written out by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from makers import make_latency, make_score

from archsearch.errors import StoreError
from archsearch.records import Cost, Epoch, Latency, Score
from archsearch.store.database import Database
from archsearch.store.studies import StudyInfo, enter_study

EnterStudy = Callable[[Database, str], StudyInfo]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One of each record, every field different from its default."""

    cost: Cost
    latency: Latency
    score: Score


@pytest.fixture
def facts() -> Facts:
    return Facts(
        cost=Cost(params=350_123, macs=41_234_567, input_size=32, num_classes=10, unsupported_ops={"aten::gelu": 3}),
        latency=make_latency(
            1.25,
            median_ms=1.3000000000000003,
            p90_ms=2.0,
            ratio_to_reference=0.1 + 0.2,  # 0.30000000000000004: no digit may be lost
            study_reference_ms=4.5,
        ),
        score=make_score(
            61.73,
            epochs=2,
            seed=3,
            protocol="proxy",
            curve=(
                Epoch(epoch=1, train_loss=2.25, top1_percent=30.5, learning_rate=0.2, train_seconds=6.5),
                Epoch(epoch=2, train_loss=1.75, top1_percent=61.73, learning_rate=0.0, train_seconds=6.0),
            ),
        ),
    )


@pytest.fixture
def enter() -> EnterStudy:
    def enter_one(database: Database, name: str) -> StudyInfo:
        arguments: dict[str, Any] = {"config": {"seed": 0}, "space": {}, "space_fingerprint": "ab" * 6, "facts": {}}
        return enter_study(database, name=name, **arguments)

    return enter_one


@pytest.fixture
def database(storage_url: str) -> Iterator[Database]:
    opened = Database(storage_url)
    yield opened
    opened.close()


@pytest.fixture
def study(database: Database, enter: EnterStudy) -> StudyInfo:
    return enter(database, "one")


@pytest.fixture
def opened_at_once() -> Callable[[str], list[StoreError]]:
    """Open a database in six threads at one moment; what went wrong."""

    def open_six(url: str) -> list[StoreError]:
        errors: list[StoreError] = []
        together = threading.Barrier(6)

        def open_one() -> None:
            together.wait()
            try:
                Database(url).close()
            except StoreError as error:
                errors.append(error)

        threads = [threading.Thread(target=open_one) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return errors

    return open_six
