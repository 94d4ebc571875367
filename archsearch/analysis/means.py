"""Seeds together: one record for each point of a design, one entry for each retrained network; what a design lacks."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from archsearch.analysis.conditions import condition_warnings, conditions_of
from archsearch.analysis.objectives import is_complete, latency_of, score_of
from archsearch.designs import Design
from archsearch.records import Latency, Record, Score, TrialStatus
from archsearch.table import ARCH_ID, NETWORK, Column, Spread, Table, table_of
from archsearch.text import some_of


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


TOLD_ELSEWHERE = (TrialStatus.REPLAY, TrialStatus.INTERRUPTED)
"""Trials whose training and measurement another trial has: the one that is repeated, or that goes on with it."""


def cut_off_last(records: Sequence[Record]) -> list[Record]:
    """The records by trial, those that were cut off behind all others: another trial went on with their networks."""
    return sorted(records, key=lambda record: (record.status is TrialStatus.INTERRUPTED, record.trial))


def labels_of(records: Sequence[Record]) -> dict[str, str]:
    """Each network's label, that of its first record that was not cut off, by `arch_id`."""
    return {record.arch_id: record.label for record in reversed(cut_off_last(records))}


def retrainings_of(labels: Mapping[str, str], trainings: Sequence[tuple[str, Score]]) -> tuple[Retraining, ...]:
    """What retrained networks reach, the most accurate first.

    Args:
        labels: what the networks are called, by `arch_id`.
        trainings: (arch_id, score) of every finished retraining, one for each seed; those that differ in protocol,
            epochs or images are entries of their own.
    """
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
        score=mean_score([score_of(record) for record in complete]),
        latency=_mean_latency([latency_of(record) for record in complete]),
        reason=f"means of {len(complete)} seeds",
    )


def _means(parts: Sequence[Score] | Sequence[Latency], *names: str) -> dict[str, Any]:
    return {name: statistics.fmean(getattr(part, name) for part in parts) for name in names}


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean of one network's scores, under the conditions of the first one; without a curve."""
    balanced = all(score.balanced_top1_percent is not None for score in scores)
    return replace(
        scores[0],
        **_means(scores, "top1_percent", "train_seconds", "images_per_second"),
        curve=(),
        **(_means(scores, "balanced_top1_percent") if balanced else {"balanced_top1_percent": None}),
    )


def _mean_latency(latencies: Sequence[Latency]) -> Latency:
    further: dict[str, list[Latency]] = {}  # of every one that measured it: a further place may fail once
    for latency in latencies:
        for other in latency.also:
            further.setdefault(other.by, []).append(other)
    return replace(
        latencies[0],
        **_means(latencies, "p10_ms", "median_ms", "p90_ms", "ratio_to_reference", "reference_p10_ms"),
        half_split_difference=max(latency.half_split_difference for latency in latencies),
        converged=all(latency.converged for latency in latencies),
        contended=any(latency.contended for latency in latencies),
        state=next((latency.state for latency in latencies if latency.throttled), latencies[0].state),
        n=sum(latency.n for latency in latencies),
        bursts=sum(latency.bursts for latency in latencies),
        measure_seconds=sum(latency.measure_seconds for latency in latencies),
        ratio_low=None,
        ratio_high=None,
        also=tuple(map(_mean_latency, further.values())),
    )


_UNDER_WAY = (TrialStatus.RUNNING, TrialStatus.INTERRUPTED)


@dataclass(frozen=True, kw_only=True)
class MissingTrial:
    """A trial of a design that ended without completing.

    Attributes:
        point: the point's name.
        seed: None where it is not known: a trial that never got a score does not tell it.
        why: its status and reason.
    """

    point: str
    seed: int | None
    why: str


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The trials of a design.

    Attributes:
        complete: by the point's name and the seed; the first of several.
        missing: trials that ended without completing, by trial number.
        pending: trials that have not ended, or not begun.
    """

    complete: Mapping[tuple[str, int], Record]
    missing: tuple[MissingTrial, ...]
    pending: int


def cells_of(records: Sequence[Record], design: Design) -> Cells:
    """The cells of a design. Records of other points or seeds are left out.

    A record that counts as complete but lacks its cost, latency or score is missing.
    """
    names, seeds = {point.name for point in design.points}, set(design.seeds)
    complete: dict[tuple[str, int], Record] = {}
    ended: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.trial):
        if record.point is None or record.point not in names or record.status in _UNDER_WAY:
            continue
        if is_complete(record) and record.score is not None:
            if record.score.seed in seeds:
                complete.setdefault((record.point, record.score.seed), record)
        else:
            ended.setdefault(record.point, []).append(record)
    missing: list[MissingTrial] = []
    pending = 0
    for point in design.points:
        open_seeds = [seed for seed in design.seeds if (point.name, seed) not in complete]
        failed = ended.get(point.name, [])
        told = {record.score.seed for record in failed if record.score is not None}
        unknown = [seed for seed in open_seeds if seed not in told]
        silent = sum(record.score is None for record in failed)
        for record in failed:
            seed = None if record.score is None else record.score.seed
            if seed is None and silent >= len(unknown):  # no other seed is left for them
                seed = unknown.pop(0) if unknown else None
                silent -= 1
            what = "without a result" if record.status is TrialStatus.COMPLETE else record.status.value
            why = f"{what}: {record.reason}" if record.reason else what
            missing.append(MissingTrial(point=point.name, seed=seed, why=why))
        pending += max(0, len(open_seeds) - len(failed))
    return Cells(complete=complete, missing=tuple(missing), pending=pending)


def cell_warnings(cells: Cells, design: Design) -> tuple[str, ...]:
    """What a reader must know of trials that have no result."""
    texts = []
    if cells.missing:
        named = [
            f"{each.point}{'' if each.seed is None else f' with seed {each.seed}'} ({each.why})"
            for each in cells.missing
        ]
        pairs = " with their pairs" if design.purpose == "ablation" else ""
        texts.append(f"without a result, so left out{pairs}: {some_of(named, 8)}")
    if cells.pending:
        texts.append(f"not finished: {cells.pending} of {design.size} trials have no result yet")
    return tuple(texts)


def seed_warnings(cells: Cells, design: Design) -> tuple[str, ...]:
    """Conditions that differ among the trials of one seed, and measurements to distrust, by the points' names.

    Seeds differ by design; every other condition should be the same.
    """
    texts: list[str] = []
    for seed in design.seeds:
        same = [replace(record, variant=name) for (name, other), record in cells.complete.items() if other == seed]
        found = condition_warnings(same, conditions_of(same), of_front=False)
        texts += [text for text in found if text not in texts]
    return tuple(texts)
