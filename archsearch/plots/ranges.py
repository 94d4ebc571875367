"""What axes show: ranges with room around the data, round values for logarithmic ones, and labels beside points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.labels import Line, Point, place_labels

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
        pad = (high / low) ** 0.05 if high > low else 1.1
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


@dataclass(frozen=True, kw_only=True)
class PlotArea:
    """The area of a plot in pixels, and the ranges of its axes."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width_px: float
    height_px: float
    x_log: bool = False
    y_log: bool = False

    def pixel(self, x: float, y: float) -> Point:
        """Where a value stands: pixels from the upper left corner."""
        across, up = share(x, self.x_range, log=self.x_log), share(y, self.y_range, log=self.y_log)
        return (across * self.width_px, (1.0 - up) * self.height_px)

    def label(
        self,
        figure: go.Figure,
        points: Sequence[Point],
        texts: Sequence[str],
        *,
        markers: Sequence[Point] = (),
        dots: Sequence[Point] = (),
        segments: Sequence[Line] = (),
        grow: float,
        leader: dict[str, Any],
        **look: Any,
    ) -> None:
        """Write a text beside each point, where it covers least (`labels.place_labels`); all places are values.

        Args:
            texts: plain.
            markers, dots, segments: beside the points, what must stay visible, may be covered at need, or is drawn.
            grow: how much larger than usual text and markers are.
            leader: of `style.leader`.
            look: of each annotation, such as its `row` and `col`.
        """
        font = round(11 * grow)
        anchors = [self.pixel(*point) for point in points]
        places = place_labels(
            anchors,
            texts,
            markers=[*anchors, *(self.pixel(*point) for point in markers)],
            dots=[self.pixel(*point) for point in dots],
            segments=[(*self.pixel(x0, y0), *self.pixel(x1, y1)) for x0, y0, x1, y1 in segments],
            width_px=self.width_px,
            height_px=self.height_px,
            font_px=font,
            grow=grow,
        )
        for (x, y), text, place in zip(points, texts, places, strict=True):
            figure.add_annotation(
                x=math.log10(x) if self.x_log else x,
                y=math.log10(y) if self.y_log else y,
                text=style.plain(text),
                **style.leader(place, font_px=font, **leader),
                **look,
            )


def share(value: float, limits: tuple[float, float], *, log: bool) -> float:
    """Where a value stands between two limits of an axis: 0 at the lower, 1 at the upper."""
    low, high = limits
    return math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
