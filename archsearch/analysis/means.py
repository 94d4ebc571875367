"""Means over seeds: one record for each point of a design, one entry for each network that was retrained."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from archsearch.analysis.objectives import is_complete, latency_of, score_of
from archsearch.analysis.tables import ARCH_ID, NETWORK
from archsearch.records import Latency, Record, Score
from archsearch.table import Column, Spread, Table, table_of


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """Test accuracy of one network, trained alike with each of its seeds (percent; sample standard deviation).

    Attributes:
        train_images, test_images: of every training that the mean is of.
    """

    arch_id: str
    label: str
    protocol: str
    epochs: int
    train_images: int
    test_images: int
    seeds: int
    mean_top1_percent: float
    std_top1_percent: float | None


def labels_of(records: Sequence[Record]) -> dict[str, str]:
    """Each network's label, that of its first record, by `arch_id`."""
    return {record.arch_id: record.label for record in reversed(records)}


def retrainings_of(records: Sequence[Record], trainings: Sequence[tuple[str, Score]]) -> tuple[Retraining, ...]:
    """What retrained networks reach, the most accurate first.

    Args:
        records: of a study, for the networks' labels.
        trainings: (arch_id, score) of every finished retraining, one for each seed; those that differ in protocol,
            epochs or images are entries of their own.
    """
    labels = labels_of(records)
    grouped: dict[tuple[str, str, int, int, int], dict[int, float]] = {}
    for arch_id, score in trainings:
        how = (score.protocol, score.epochs, score.train_images, score.eval_images)
        grouped.setdefault((arch_id, *how), {})[score.seed] = score.top1_percent
    found = [
        Retraining(
            arch_id=arch_id,
            label=labels.get(arch_id, arch_id),
            protocol=protocol,
            epochs=epochs,
            train_images=train_images,
            test_images=test_images,
            seeds=len(top1),
            mean_top1_percent=statistics.fmean(top1.values()),
            std_top1_percent=statistics.stdev(top1.values()) if len(top1) > 1 else None,
        )
        for (arch_id, protocol, epochs, train_images, test_images), top1 in grouped.items()
    ]
    return tuple(sorted(found, key=lambda each: -each.mean_top1_percent))


def retrained_table(found: Sequence[Retraining]) -> Table:
    """The networks that were retrained in full."""
    return table_of(
        "Retrained in full",
        found,
        NETWORK,
        Column(title="Protocol", whole=True),
        Column(title="Epochs", decimals=0),
        Column(title="Seeds", decimals=0),
        (
            Column(title="Test top-1", key="mean_top1_percent", unit="%", decimals=2),
            lambda each: Spread(each.mean_top1_percent, each.std_top1_percent),
        ),
        Column(title="Training images", key="train_images", decimals=0),
        Column(title="Test images", key="test_images", decimals=0, wide=True),
        ARCH_ID,
        note="Accuracy on the test split, which the search never saw; ±: standard deviation over the seeds.",
    )


def means_of(records: Sequence[Record]) -> tuple[Record, ...]:
    """The records of a study with a design, one for each point.

    A point with complete records gets their mean top-1 (and training time) and the mean of every latency figure, under
    the first one's trial number and status; the intervals and curves of single trials are left out. A point without
    one keeps its first record. `reason` says how many seeds the means are of. The order is that of the trials.
    """
    groups: dict[tuple[str | None, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.point, record.arch_id), []).append(record)
    return tuple(sorted((_mean(group) for group in groups.values()), key=lambda record: record.trial))


def _mean(group: Sequence[Record]) -> Record:
    complete = [record for record in group if is_complete(record)]
    if len(complete) < 2:
        return (complete or group)[0]
    return replace(
        complete[0],
        score=_mean_score([score_of(record) for record in complete]),
        latency=_mean_latency([latency_of(record) for record in complete]),
        reason=f"means of {len(complete)} seeds",
    )


def _means(parts: Sequence[Score] | Sequence[Latency], *names: str) -> dict[str, Any]:
    return {name: statistics.fmean(getattr(part, name) for part in parts) for name in names}


def _mean_score(scores: Sequence[Score]) -> Score:
    balanced = all(score.balanced_top1_percent is not None for score in scores)
    return replace(
        scores[0],
        **_means(scores, "top1_percent", "train_seconds", "images_per_second"),
        curve=(),
        **(_means(scores, "balanced_top1_percent") if balanced else {"balanced_top1_percent": None}),
    )


def _mean_latency(latencies: Sequence[Latency]) -> Latency:
    also = tuple(
        _mean_latency([each for latency in latencies for each in latency.also if each.by == other.by])
        for other in latencies[0].also
    )
    return replace(
        latencies[0],
        **_means(latencies, "p10_ms", "median_ms", "p90_ms", "ratio_to_reference", "reference_p10_ms"),
        half_split_difference=max(latency.half_split_difference for latency in latencies),
        converged=all(latency.converged for latency in latencies),
        contended=any(latency.contended for latency in latencies),
        n=sum(latency.n for latency in latencies),
        bursts=sum(latency.bursts for latency in latencies),
        measure_seconds=sum(latency.measure_seconds for latency in latencies),
        ratio_low=None,
        ratio_high=None,
        also=also,
    )
