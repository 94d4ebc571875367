"""The rows of a stored study, in a notebook and as pandas DataFrames. pandas comes with the extra `notebook`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from archsearch.analysis.tables import front_table, verdict_table
from archsearch.errors import ArchsearchError, UnknownNameError
from archsearch.records import Record
from archsearch.table import NOTEBOOK_ROWS, Column, Table, notebook_block, paragraphs
from archsearch.text import plural

if TYPE_CHECKING:
    import pandas as pd

    from archsearch.api.study import Study

# Columns of a trial, in order; those of its choices follow.
_OF_LATENCY = (
    "p10_ms",
    "median_ms",
    "p90_ms",
    "ratio_to_reference",
    "ratio_low",
    "ratio_high",
    "reference",
    "drift",
    "converged",
    "contended",
    "device",
    "backend",
    "batch",
    "threads",
    "precision",
    "fingerprint",
)
_OF_SCORE = ("top1_percent", "epochs", "seed", "split", "protocol", "train_images", "train_seconds")
_OF_COST = ("params", "macs", "memory_bytes")


def trial_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One row for each record of any status; None where it ended before a value was known.

    `choice.NAME` is the network's own choice, `suggested.NAME` what the search space calls it.
    """
    choices = sorted({name for record in records for name in record.choices})
    suggested = sorted({name for record in records for name in record.suggested})
    return [
        {
            "trial": record.trial,
            "status": record.status.value,
            "reason": record.reason,
            "label": record.label,
            "variant": record.variant,
            "point": record.point,
            "arch_id": record.arch_id,
            "family": record.family,
            "error_percent": None if record.score is None else record.error_percent,
            **{name: None if record.score is None else getattr(record.score, name) for name in _OF_SCORE},
            "latency_ms": None if record.latency is None else record.latency.corrected_ms,
            **{name: None if record.latency is None else getattr(record.latency, name) for name in _OF_LATENCY},
            **{name: None if record.cost is None else getattr(record.cost, name) for name in _OF_COST},
            "seconds": record.seconds,
            **{f"choice.{name}": record.choices.get(name) for name in choices},
            **{f"suggested.{name}": record.suggested.get(name) for name in suggested},
        }
        for record in records
    ]


class Records(tuple[Record, ...]):
    """Records that a notebook shows as a table, and not as pages of text."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        columns = (
            Column(title="Trial", key="trial", decimals=0),
            Column(title="Status", key="status"),
            Column(title="Network", key="label"),
            Column(title="Top-1", key="top1_percent", unit="%", decimals=2),
            Column(title="Latency", key="latency_ms", unit="ms", decimals=3),
            Column(title="Params", key="params", decimals=0),
            Column(title="Macs", key="macs", decimals=0),
            Column(title="arch_id", key="arch_id"),
        )
        shown = trial_rows(self[:NOTEBOOK_ROWS])
        rows = tuple(tuple(row[column.key] for column in columns) for row in shown)
        more = len(self) - len(shown)
        return notebook_block(
            plural(len(self), "trial"),
            Table(title="", columns=columns, rows=rows).notebook(),
            paragraphs(f"{plural(more, 'more row')} not shown" if more else ""),
        )

    def __repr__(self) -> str:
        return f"<{len(self)} records>"


FRAMES: Mapping[str, Callable[[Study], list[dict[str, Any]]]] = {
    "trials": lambda study: trial_rows(study.records),
    "networks": lambda study: front_table(study.front),
    "front": lambda study: front_table(study.front, only_front=True),
    "variants": lambda study: verdict_table(study.verdicts),
    "retrained": lambda study: [asdict(each) for each in study.retrainings],
}


def study_frame(study: Study, what: str = "trials") -> pd.DataFrame:
    """One of `FRAMES` as a DataFrame. Raises UnknownNameError, or ArchsearchError without pandas."""
    if what not in FRAMES:
        raise UnknownNameError("table", what, FRAMES)
    try:
        import pandas as pd
    except ImportError as error:
        raise ArchsearchError(
            f"a DataFrame needs pandas, which cannot be imported: {error}", hint="pip install 'archsearch[notebook]'"
        ) from error
    return pd.DataFrame(FRAMES[what](study))
