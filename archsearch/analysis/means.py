"""Means over seeds: one record for each point of a design, one entry for each network that was retrained."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from archsearch.records import Latency, Record, Score, TrialStatus
from archsearch.table import Column, Spread, Table


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """Test accuracy of one network under one protocol, over its seeds (percent; sample standard deviation)."""

    arch_id: str
    label: str
    protocol: str
    epochs: int
    seeds: int
    mean_top1_percent: float
    std_top1_percent: float | None


def retrainings_of(records: Sequence[Record], trainings: Sequence[tuple[str, Score]]) -> tuple[Retraining, ...]:
    """What retrained networks reach, the most accurate first.

    Args:
        records: of a study, for the networks' labels.
        trainings: (arch_id, score) of every finished retraining, one for each seed.
    """
    labels = {record.arch_id: record.label for record in reversed(records)}
    grouped: dict[tuple[str, str, int], dict[int, float]] = {}
    for arch_id, score in trainings:
        grouped.setdefault((arch_id, score.protocol, score.epochs), {})[score.seed] = score.top1_percent
    found = [
        Retraining(
            arch_id=arch_id,
            label=labels.get(arch_id, arch_id),
            protocol=protocol,
            epochs=epochs,
            seeds=len(top1),
            mean_top1_percent=statistics.fmean(top1.values()),
            std_top1_percent=statistics.stdev(top1.values()) if len(top1) > 1 else None,
        )
        for (arch_id, protocol, epochs), top1 in grouped.items()
    ]
    return tuple(sorted(found, key=lambda each: -each.mean_top1_percent))


def retrained_table(found: Sequence[Retraining]) -> Table:
    """The networks that were retrained in full."""
    return Table(
        title="Retrained in full",
        columns=(
            Column(title="Network", key="label", whole=True),
            Column(title="Protocol", key="protocol", whole=True),
            Column(title="Epochs", key="epochs", decimals=0),
            Column(title="Seeds", key="seeds", decimals=0),
            Column(title="Test top-1", key="mean_top1_percent", unit="%", decimals=2),
            Column(title="arch_id", key="arch_id", whole=True, wide=True),
        ),
        rows=tuple(
            (
                each.label,
                each.protocol,
                each.epochs,
                each.seeds,
                Spread(each.mean_top1_percent, each.std_top1_percent),
                each.arch_id,
            )
            for each in found
        ),
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
    complete = [
        (record, record.score, record.latency)
        for record in group
        if record.status is TrialStatus.COMPLETE and record.score is not None and record.latency is not None
    ]
    if not complete:
        return group[0]
    scores, latencies = [score for _, score, _ in complete], [latency for _, _, latency in complete]
    if len(complete) == 1:
        return complete[0][0]
    return replace(
        complete[0][0],
        score=_mean_score(scores),
        latency=_mean_latency(latencies),
        reason=f"means of {len(complete)} seeds",
    )


def _mean_score(scores: Sequence[Score]) -> Score:
    balanced = [score.balanced_top1_percent for score in scores if score.balanced_top1_percent is not None]
    return replace(
        scores[0],
        top1_percent=statistics.fmean(score.top1_percent for score in scores),
        train_seconds=statistics.fmean(score.train_seconds for score in scores),
        images_per_second=statistics.fmean(score.images_per_second for score in scores),
        curve=(),
        balanced_top1_percent=statistics.fmean(balanced) if len(balanced) == len(scores) else None,
    )


def _mean_latency(latencies: Sequence[Latency]) -> Latency:
    first = latencies[0]
    also = tuple(
        _mean_latency([each for latency in latencies for each in latency.also if each.by == other.by])
        for other in first.also
    )
    return replace(
        first,
        p10_ms=statistics.fmean(latency.p10_ms for latency in latencies),
        median_ms=statistics.fmean(latency.median_ms for latency in latencies),
        p90_ms=statistics.fmean(latency.p90_ms for latency in latencies),
        ratio_to_reference=statistics.fmean(latency.ratio_to_reference for latency in latencies),
        reference_p10_ms=statistics.fmean(latency.reference_p10_ms for latency in latencies),
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
