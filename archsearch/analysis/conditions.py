"""Under which conditions the records of a front were trained and measured, and what to warn of where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archsearch.records import Latency, Record, StudyBatch
from archsearch.text import first_of, plural, some_of, span_text


@dataclass(frozen=True, kw_only=True)
class RecordConditions:
    """The distinct values of each condition over the records, sorted; one value means that all share it."""

    device: tuple[str, ...] = ()
    backend: tuple[str, ...] = ()
    batch: tuple[int, ...] = ()
    threads: tuple[int, ...] = ()
    precision: tuple[str, ...] = ()
    input_size: tuple[int, ...] = ()
    fingerprint: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    epochs: tuple[int, ...] = ()
    seed: tuple[int, ...] = ()
    split: tuple[str, ...] = ()
    train_images: tuple[int, ...] = ()
    eval_images: tuple[int, ...] = ()
    protocol: tuple[str, ...] = ()
    majority_percent: tuple[float, ...] = ()


_OF_LATENCY = ("device", "backend", "batch", "threads", "precision", "input_size", "fingerprint", "reference")
_OF_SCORE = ("epochs", "seed", "split", "train_images", "eval_images", "protocol", "majority_percent")
# What a difference in each condition means for the reader. cuda:0 and cuda:1 of one machine may well be compared: what
# matters of a device is in the fingerprint.
_CONSEQUENCES = ((_OF_LATENCY[1:], "latencies are not comparable"), (_OF_SCORE, "accuracies are not comparable"))
_NAMED_TRIALS = 4
_MOST_LISTED = 4  # values of one condition


def mean_text(record: Record) -> str | None:
    """`means of 3 seeds` where a design's network has the means of several (`means.means_of`); None of one training."""
    return record.reason if record.point is not None and record.score is not None else None


def conditions_of(records: Sequence[Record]) -> RecordConditions:
    """The distinct conditions of these records; a record without latency or score adds nothing for it.

    The seeds are those of single trainings.
    """
    found: dict[str, tuple[Any, ...]] = {}
    latencies, scores = [record.latency for record in records], [record.score for record in records]
    for names, parts in ((_OF_LATENCY, latencies), (_OF_SCORE, scores)):
        for name in names:
            found[name] = tuple(sorted({getattr(part, name) for part in parts if part is not None} - {None}))
    single = (record.score for record in records if mean_text(record) is None)
    found["seed"] = tuple(sorted({score.seed for score in single if score is not None}))
    return RecordConditions(**found)


def measured_alike(one: RecordConditions, other: RecordConditions) -> bool:
    """Whether the latencies of `one` can be compared with those of `other`: they are of no other device or batch."""
    return set(one.fingerprint) <= set(other.fingerprint) and set(one.batch) <= set(other.batch)


def listed(values: Sequence[object]) -> str:
    """The one value, or all of them where the networks differ."""
    shown = [f"{value:,}" if isinstance(value, int) else str(value) for value in values[:_MOST_LISTED]]
    return " / ".join(shown) + (" / ..." if len(values) > _MOST_LISTED else "")


def runs_text(records: Sequence[Record]) -> str:
    """How many timed runs the latency of each network rests on."""
    runs = [record.latency.n for record in records if record.latency is not None]
    return f"{span_text(runs)} runs each" if runs else ""


def seeds_text(records: Sequence[Record]) -> str:
    """The seeds that networks were trained with, or of how many seeds their numbers are means."""
    means = sorted({mean for record in records if (mean := mean_text(record)) is not None})
    seeds = conditions_of(records).seed
    return " / ".join([*([f"seed {listed(seeds)}"] if seeds else []), *means])


def conditions_text(records: Sequence[Record], *, dataset: str, device_name: str) -> str:
    """What the accuracies and latencies of networks belong to, in one line: nothing of them is told without it."""
    if not records:
        return dataset
    said = condition_parts(records, dataset=dataset, device_name=device_name)
    shown = ("dataset", "epochs", "seeds", "split", "device", "backend", "batch", "runs")
    return " · ".join(said[name] for name in shown if said[name])


def condition_parts(records: Sequence[Record], *, dataset: str, device_name: str, chance: str = "") -> dict[str, str]:
    """What is said of each condition; `chance` stands behind the number of images that are scored."""
    found = conditions_of(records)
    device = listed(found.device)
    return {
        "dataset": dataset,
        "train_images": plural(listed(found.train_images), "training image"),
        "epochs": plural(listed(found.epochs), "epoch"),
        "seeds": seeds_text(records),
        "pixels": " / ".join(f"{size} x {size} pixels" for size in found.input_size),
        "split": f"{listed(found.split)} split ({plural(listed(found.eval_images), 'image')}{chance})",
        "device": f"{device} ({device_name})" if device_name else device,
        "backend": listed(found.backend),
        "batch": f"batch {listed(found.batch)}",
        "threads": plural(listed(found.threads), "thread"),
        "precision": listed(found.precision),
        "runs": runs_text(records),
        "reference": f"reference {listed(found.reference)}",
    }


def condition_warnings(
    records: Sequence[Record], conditions: RecordConditions, *, of_front: bool = True
) -> tuple[str, ...]:
    """One sentence for each condition that matters in which the records differ, and for measurements to distrust.

    `of_front`: whether they are ranked, and `confirm` measures them again; else they are a design's, of one seed.
    """
    texts: list[str] = []
    for names, consequence in _CONSEQUENCES:
        for name in names:
            values = getattr(conditions, name)
            if len(values) > 1:
                what = name.replace("_", " ")
                texts.append(f"{consequence}: {len(values)} values of {what} ({first_of(values, 5)})")
    for backend in sorted({other.by for record in records for other in _others(record)}):
        ids = {other.fingerprint for record in records for other in _others(record) if other.by == backend}
        if len(ids) > 1:
            shown = first_of(sorted(ids), 5)
            texts.append(f"latencies by {backend} are not comparable: {len(ids)} values of fingerprint ({shown})")
    texts += _guessing(records)
    measured = [(record, record.latency) for record in records if record.latency is not None]
    unconverged = [record for record, latency in measured if not latency.converged]
    contended = [record for record, latency in measured if latency.contended and not latency.throttled]
    throttled = [record for record, latency in measured if latency.throttled]
    told = "ranks" if of_front else "it"
    again = "archsearch confirm measures the front again" if of_front else "more seeds measure every network again"
    again += ", best while nothing else runs"
    if unconverged:
        texts.append(
            f"the latency of {_named(unconverged, len(measured))} did not converge, so {told} may be wrong: {again}"
        )
    if contended:
        texts.append(
            f"other work may have slowed the device while it measured {_named(contended, len(measured))}, so latencies "
            f"may be too high: {again}"
        )
    if throttled:
        texts.append(
            "the board slowed itself down (heat, or too weak a supply) while it measured "
            f"{_named(throttled, len(measured))}, so latencies may be too high: {again}"
        )
    return tuple(texts)


def guessing_text(conditions: RecordConditions, num_classes: int) -> str:
    """What an answer that is always the same, and one by chance, reach; empty where older versions did not say."""
    if not conditions.majority_percent:
        return ""
    shown = "/".join(f"{value:.1f}" for value in conditions.majority_percent)
    return f"always the largest class {shown} %, chance {100.0 / num_classes:.1f} %"


def _guessing(records: Sequence[Record]) -> list[str]:
    """A warning if no network is told to be better than an answer that is always the same."""
    scores = [record.score for record in records if record.score is not None]
    best = max(scores, key=lambda score: score.top1_percent, default=None)
    if best is None or best.majority_percent is None:
        return []
    share = best.majority_percent / 100.0
    margin = 200.0 * (share * (1.0 - share) / best.eval_images) ** 0.5  # two standard errors of a share, in points
    if best.top1_percent > best.majority_percent + margin:
        return []
    return [
        f"no network is shown to beat an answer that is always the largest class ({best.majority_percent:.1f} %; "
        f"the best has {best.top1_percent:.1f} %): accuracy says nothing here, balanced_error_percent and "
        "proxy.class_weights do"
    ]


def batch_sentence(found: StudyBatch) -> str:
    """Which batch a study's latencies have, why, and what it tells apart."""
    differ = f"{found.wide} takes {found.ratio:.2f} times as long as {found.narrow}"
    if found.on_launch_floor:
        tried = ", the largest that was tried" if found.chosen else ""
        return (
            f"latencies lie on the floor of kernel launches: in a batch of {found.batch}{tried}, {differ}, so that "
            "operators count and work hardly does"
            + ("" if found.chosen else "; latency.batch: auto finds a larger one")
        )
    if found.chosen:
        return f"the study chose a batch of {found.batch}, the smallest tried that tells widths apart: {differ}"
    return f"a batch of {found.batch} tells widths apart: {differ}"


def _others(record: Record) -> tuple[Latency, ...]:
    """The latencies by further backends: beside the front, never on it."""
    return () if record.latency is None else record.latency.also


def _named(records: Sequence[Record], of: int) -> str:
    if len(records) == of > 1:
        return f"all {of} networks"
    return some_of([record.label for record in records], _NAMED_TRIALS)
