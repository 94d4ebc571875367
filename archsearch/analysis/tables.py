"""Rows for CSV, JSON and tables: one mapping for each record, units in the column names."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archsearch.analysis.front import Front, FrontRow
from archsearch.analysis.verdicts import Verdict
from archsearch.files import write_atomically

Row = dict[str, Any]


def front_table(front: Front, *, only_front: bool = False) -> list[Row]:
    """One row for each complete record (or for the front alone), sorted by latency.

    The columns are the same in every row: the measurements with their conditions, then every choice that any of the
    records has as `choice.NAME`; None where a record lacks it.
    """
    rows = front.members if only_front else front.rows
    names = sorted({name for row in rows for name in row.record.choices})
    return [_row(row, names) for row in rows]


def verdict_table(verdicts: Sequence[Verdict]) -> list[Row]:
    """One row for each variant: where it stands, and by whom and how much it is dominated."""
    return [
        {
            "variant": verdict.variant,
            "trial": verdict.record.trial,
            "verdict": verdict.outcome.value,
            "by_trial": verdict.by.trial if verdict.by else None,
            "by": verdict.by.label if verdict.by else None,
            "accuracy_points": verdict.accuracy_points,
            "faster_ms": verdict.faster_ms,
            "faster_percent": verdict.faster_percent,
            "sentence": verdict.sentence,
        }
        for verdict in verdicts
    ]


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV with a header of every column in the order of first use; None is an empty cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the rows as a UTF-8 CSV file, whole or not at all. Raises ArchsearchError if it cannot be written."""
    write_atomically(path, csv_text(rows).encode("utf-8"))


def _row(row: FrontRow, choice_names: Sequence[str]) -> Row:
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
        "reference": latency.reference,
        "params": cost.params,
        "macs": cost.macs,
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
        "input_size": latency.input_size,
        "fingerprint": latency.fingerprint,
        **{f"choice.{name}": record.choices.get(name) for name in choice_names},
    }
