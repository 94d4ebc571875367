"""Stored studies as pandas DataFrames, for those who ask. pandas comes with the extra `notebook`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archsearch.analysis.tables import front_table, verdict_table
from archsearch.errors import ArchsearchError, UnknownNameError
from archsearch.records import Record

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


def _retrained_rows(study: Study) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from archsearch.api.study import retrainings

    return [asdict(each) for each in retrainings(study)]


FRAMES: Mapping[str, Callable[[Study], list[dict[str, Any]]]] = {
    "trials": lambda study: trial_rows(study.records),
    "networks": lambda study: front_table(study.front),
    "front": lambda study: front_table(study.front, only_front=True),
    "variants": lambda study: verdict_table(study.verdicts),
    "retrained": _retrained_rows,
}


def study_frame(study: Study, what: str = "trials") -> pd.DataFrame:
    """One of `FRAMES` as a DataFrame. Raises UnknownNameError, or ArchsearchError without pandas."""
    if what not in FRAMES:
        raise UnknownNameError("table", what, FRAMES)
    return frame(FRAMES[what](study))


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of the same columns as a DataFrame. Raises ArchsearchError without pandas."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ArchsearchError(
            f"a DataFrame needs pandas, which cannot be imported: {error}", hint="pip install 'archsearch[notebook]'"
        ) from error
    return pd.DataFrame(list(rows))
