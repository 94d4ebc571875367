"""What an axis shows: ranges with room around the data, and round values for logarithmic ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

# From this ratio of the largest to the smallest on, a linear axis crowds the small ones.
LOG_FROM_RATIO = 6.0


def wants_log(values: Sequence[float]) -> bool:
    """Whether these values want a logarithmic axis."""
    return bool(values) and min(values) > 0 and max(values) / min(values) >= LOG_FROM_RATIO


def positive_range(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    """A range with some room for values that cannot be negative; (0, 1) for none."""
    if not values:
        return (0.0, 1.0)
    low, high = min(values), max(values)
    if log:
        pad = (high / low) ** 0.05
        return (low / pad, high * pad)
    pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return (max(low - pad, 0.0), high + pad)


def percent_range(values: Sequence[float]) -> tuple[float, float]:
    """A range with some room for percentages; (0, 100) for none."""
    if not values:
        return (0.0, 100.0)
    low, high = min(values), max(values)
    pad = 0.07 * (high - low) or 2.0
    return (low - pad, high + pad)


def nice_log_ticks(low: float, high: float) -> list[float]:
    """Round values between two positive bounds for a logarithmic axis: as fine as leaves at most nine."""
    for digits in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [digit * 10.0**decade for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
        if len(ticks) <= 9:
            return ticks
    return ticks


def log_axis(low: float, high: float) -> dict[str, object]:
    """What makes an axis logarithmic from `low` to `high`, both positive."""
    ticks = nice_log_ticks(low, high)
    return {
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most so many round values from `low` to `high` for a linear axis; the value itself where both are equal."""
    if not high > low:
        return [low]
    raw = (high - low) / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(digit * size for digit in (1, 2, 2.5, 5, 10) if digit * size >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)] or [low, high]
