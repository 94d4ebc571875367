"""Studies in a database, for tests that look at stored ones: of records made by hand, and the golden one."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from archsearch.records import Record
from archsearch.store.database import Database
from archsearch.store.rows import latency_to_row, score_to_row
from archsearch.store.schema import StudyRow, TrialRow

GOLDEN = Path(__file__).parent / "golden" / "stored"


def unpack_golden(folder: Path) -> str:
    """The URL of the golden studies, in `folder`/runs as the version that made them stored them."""
    (folder / "runs" / "guidelines").mkdir(parents=True, exist_ok=True)
    path = folder / "runs" / "archsearch.db"
    with sqlite3.connect(path) as database:
        database.executescript(gzip.decompress((GOLDEN / "archsearch.sql.gz").read_bytes()).decode())
    database.close()
    for each in GOLDEN.glob("*.json.gz"):
        (folder / "runs" / "guidelines" / each.stem).write_bytes(gzip.decompress(each.read_bytes()))
    return f"sqlite:///{path}"


def store_study(
    url: str,
    records: Sequence[Record],
    *,
    name: str = "small",
    dataset: str = "digits",
    proxy: dict[str, Any] | None = None,
    noise_floor: float = 0.0,
) -> None:
    """A study of error and latency below (100 %, 10 ms) with these records."""
    config = {
        "name": name,
        "seed": 0,
        "objectives": ["error_percent", "latency_ms"],
        "proxy": proxy or {"epochs": 8},
        "dataset": dataset,
        "scale": {},
        "latency": {},
    }
    facts = {
        "input_size": 32,
        "num_classes": 10,
        "device": {"device": "cpu", "cpu": "a <b>CPU</b>"},
        "device_fingerprint": "f00dfeedbeef",
        "noise_floor": {"relative": noise_floor, "measure_seconds": 1.0},
    }
    database = Database(url)
    with database.writing() as session:
        study = StudyRow(
            name=name,
            config=config,
            space={},
            space_fingerprint="0" * 12,
            facts=facts,
            reference_point={"error_percent": 100.0, "latency_ms": 10.0},
        )
        session.add(study)
        session.flush()
        for record in records:
            session.add(
                TrialRow(
                    study_id=study.id,
                    number=record.trial,
                    status=record.status,
                    reason=record.reason,
                    variant=record.variant,
                    arch_id=record.arch_id,
                    suggested=dict(record.suggested),
                    family=record.family,
                    choices=dict(record.choices),
                    cost=None if record.cost is None else asdict(record.cost),
                    latency=None if record.latency is None else latency_to_row(record.latency, record.arch_id),
                    training=None if record.score is None else score_to_row(record.score, study.id, record.arch_id),
                    seconds=record.seconds,
                )
            )
    database.close()
