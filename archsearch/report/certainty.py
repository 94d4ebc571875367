"""How sure a network's place is: what a confirmation says of it, in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from archsearch.records import Record
from archsearch.text import probability_text, significant

if TYPE_CHECKING:
    from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint


def confirmed_point(confirmed: Confirmed | None, record: Record) -> ConfirmedPoint | None:
    """What a confirmation says of a network; None if it did not evaluate it, or not to the end."""
    points = () if confirmed is None else confirmed.points
    return next((each for each in points if each.point.arch_id == record.arch_id and each.n > 0), None)


def confirmed_sentences(point: ConfirmedPoint) -> tuple[str, ...]:
    """Mean, interval and probability of one confirmed network."""
    seeds = "1 seed" if point.n == 1 else f"{point.n} seeds"
    found = [
        f"Confirmed with {seeds}: top-1 {top1_text(point)}, latency {latency_text(point)}{_level(point)}.",
    ]
    if point.probability_on_front is not None:
        found.append(f"On the front with a probability of {probability_text(point.probability_on_front)}.")
    else:
        found.append("How probably it is on the front cannot be told from so few seeds.")
    return tuple(found)


def top1_text(point: ConfirmedPoint) -> str:
    """Mean top-1 with its interval (percent)."""
    if not math.isfinite(point.error_percent):
        return "not known"
    text = f"{100.0 - point.error_percent:.2f} %"
    if point.error_low is None or point.error_high is None:
        return text
    return f"{text} ({100.0 - point.error_high:.2f} to {100.0 - point.error_low:.2f})"


def latency_text(point: ConfirmedPoint) -> str:
    """Mean latency with its interval (milliseconds)."""
    if not math.isfinite(point.latency_ms):
        return "not known"
    text = f"{significant(point.latency_ms)} ms"
    if point.latency_low is None or point.latency_high is None:
        return text
    return f"{text} ({significant(point.latency_low)} to {significant(point.latency_high)})"


def _level(point: ConfirmedPoint) -> str:
    return "" if point.error_low is None else " (95 % intervals)"
