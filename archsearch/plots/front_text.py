"""The lines under the heading of a front, and its axis titles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archsearch.analysis.conditions import RecordConditions
from archsearch.analysis.front import Front
from archsearch.analysis.objectives import OBJECTIVES, floor_text
from archsearch.plots.bounds import Bound
from archsearch.text import count_text, significant

_NAMES = {"params": "params", "macs": "multiply-adds", "memory_bytes": "memory access", "latency_ms": "latency"}


def conditions_line(front: Front, dataset: str | None, device_name: str | None) -> str:
    """Under which conditions the complete records were trained and measured."""
    shared = front.conditions
    if not front.rows:
        return dataset or ""
    parts = [dataset or "", several(shared.train_images, "{:,} training images"), several(shared.epochs, "{} epochs")]
    parts += [several(shared.seed, "seed {}"), several(shared.input_size, "{0} x {0} pixels")]
    named = f" ({device_name})" if device_name else ""
    parts += [" / ".join(shared.device) + named, " / ".join(shared.backend), several(shared.batch, "batch {}")]
    parts += [several(shared.threads, "{} threads").replace("1 threads", "1 thread"), " / ".join(shared.precision)]
    if front.noise_floor.ties:
        parts.append(f"latencies within {floor_text(front.noise_floor)} are ties")
    line = " · ".join(part for part in parts if part)
    return line.replace(" 1 epochs", " 1 epoch")


def several(values: Sequence[Any], pattern: str) -> str:
    """The pattern with the one value, or with all of them where the records differ."""
    if not values:
        return ""
    return " / ".join(pattern.format(value) for value in values[:4]) + (" / ..." if len(values) > 4 else "")


def statuses_text(front: Front) -> str:
    """How many records of each status there were."""
    return ", ".join(f"{count:,} {status}" for status, count in sorted(front.statuses.items()))


def counts_line(front: Front) -> str:
    """How many trials there were, how many stand on the front, and its hypervolume."""
    if not front.rows:
        return statuses_text(front)
    line = f"{sum(front.statuses.values()):,} trials ({statuses_text(front)}); {len(front.members):,} on the front"
    if set(front.objectives) != {"error_percent", "latency_ms"}:
        line += f" of {', '.join(front.objectives)}"
    if front.hypervolume_share is not None and front.reference_point is not None:
        corner = ", ".join(
            OBJECTIVES[name].show(value) + (" error" if name == "error_percent" else "")
            for name, value in zip(front.objectives, front.reference_point, strict=True)
        )
        share = significant(front.hypervolume_share)
        line += f"; hypervolume {share} of the box up to ({corner})"
    return line


def bound_text(bound: Bound) -> str:
    """A bound for people: `latency up to 2 ms (soft)`."""
    shown = f"{significant(bound.value)} ms" if bound.name == "latency_ms" else count_text(bound.value)
    unit = " bytes" if bound.name == "memory_bytes" else ""
    return f"{_NAMES.get(bound.name, bound.name)} up to {shown}{unit}{' (soft)' if bound.soft else ''}"


def bounds_line(bounds: Sequence[Bound]) -> str:
    """The study's upper bounds; empty if there are none."""
    return f"bounds: {', '.join(bound_text(bound) for bound in bounds)}" if bounds else ""


def latency_title(conditions: RecordConditions, *, log: bool) -> str:
    """The title of a latency axis."""
    batch = f" of a batch of {conditions.batch[0]}" if len(conditions.batch) == 1 else ""
    return f"Latency{batch}, drift-corrected p10 (ms{', log scale' if log else ''})"


def top1_title(conditions: RecordConditions) -> str:
    """The title of an accuracy axis."""
    return f"{' and '.join(conditions.split).capitalize() or 'Validation'} top-1 (%)"
