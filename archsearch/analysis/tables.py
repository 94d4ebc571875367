"""Rows for CSV, JSON and tables: one mapping for each record, units in the column names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archsearch.analysis.front import Front, FrontRow
from archsearch.analysis.verdicts import Verdict
from archsearch.files import write_atomically
from archsearch.limits import GUIDELINES
from archsearch.records import Latency, Record
from archsearch.table import csv_text

Row = dict[str, Any]


def front_table(front: Front, *, only_front: bool = False) -> list[Row]:
    """One row for each complete record (or for the front alone), sorted by latency.

    The columns are the same in every row: the measurements with their conditions, those by further backends as
    `also.BACKEND.p10_ms` and so on, then every choice that any of the records has as `choice.NAME`; None where a
    record lacks it.
    """
    rows = front.members if only_front else front.rows
    names = sorted({name for row in rows for name in row.record.choices})
    backends = further_backends([row.record for row in rows])
    return [_row(row, names, backends) for row in rows]


def further_backends(records: Sequence[Record]) -> tuple[str, ...]:
    """The backends that any of the records was measured by beside the one that ranks, sorted."""
    return tuple(
        sorted({other.backend for record in records if record.latency is not None for other in record.latency.also})
    )


def latency_by(record: Record, backend: str) -> Latency | None:
    """The record's latency by a further backend; None if it was not measured by it."""
    others = () if record.latency is None else record.latency.also
    return next((other for other in others if other.backend == backend), None)


def verdict_table(verdicts: Sequence[Verdict]) -> list[Row]:
    """One row for each variant: where it stands, and by whom and how much it is dominated."""
    return [
        {
            "variant": verdict.variant,
            "trial": verdict.record.trial,
            "verdict": verdict.standing.value,
            "by_trial": verdict.by.trial if verdict.by else None,
            "by": verdict.by.label if verdict.by else None,
            "accuracy_points": verdict.accuracy_points,
            "faster_ms": verdict.faster_ms,
            "faster_percent": verdict.faster_percent,
            "sentence": verdict.sentence,
        }
        for verdict in verdicts
    ]


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the rows as a UTF-8 CSV file, whole or not at all. Raises ArchsearchError if it cannot be written."""
    write_atomically(path, csv_text(rows).encode("utf-8"))


def _row(row: FrontRow, choice_names: Sequence[str], backends: Sequence[str]) -> Row:
    record = row.record
    cost, latency, score = record.cost, record.latency, record.score
    if cost is None or latency is None or score is None:
        raise ValueError(f"trial {record.trial} of study '{record.study}' is not complete")
    return {
        "trial": record.trial,
        "variant": record.variant,
        "on_front": row.on_front,
        "arch_id": record.arch_id,
        "top1_percent": score.top1_percent,
        "error_percent": record.error_percent,
        "latency_ms": latency.corrected_ms,
        "p10_ms": latency.p10_ms,
        "median_ms": latency.median_ms,
        "p90_ms": latency.p90_ms,
        "n_runs": latency.n,
        "converged": latency.converged,
        "ratio_to_reference": latency.ratio_to_reference,
        "ratio_low": latency.ratio_low,
        "ratio_high": latency.ratio_high,
        "reference": latency.reference,
        "reference_p10_ms": latency.reference_p10_ms,
        "drift": latency.drift,
        "attempts": latency.attempts,
        "contended": latency.contended,
        "params": cost.params,
        "macs": cost.macs,
        "memory_bytes": cost.memory_bytes,
        **{f"guideline.{name}": cost.guidelines.get(name) for name in GUIDELINES},
        "macs_not_counted": " ".join(f"{name}:{times}" for name, times in sorted(cost.unsupported_ops.items())) or None,
        "epochs": score.epochs,
        "seed": score.seed,
        "split": score.split,
        "train_images": score.train_images,
        "protocol": score.protocol,
        "device": latency.device,
        "backend": latency.backend,
        "batch": latency.batch,
        "threads": latency.threads,
        "precision": latency.precision,
        "input_size": latency.input_size,
        "fingerprint": latency.fingerprint,
        **_by_further_backends(record, backends),
        **{f"choice.{name}": record.choices.get(name) for name in choice_names},
    }


def _by_further_backends(record: Record, backends: Sequence[str]) -> Row:
    found: Row = {}
    for backend in backends:
        other = latency_by(record, backend)
        for name in ("p10_ms", "median_ms", "p90_ms", "ratio_to_reference", "converged", "fingerprint"):
            found[f"also.{backend}.{name}"] = None if other is None else getattr(other, name)
    return found
