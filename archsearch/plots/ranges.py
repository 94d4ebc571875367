"""What axes show: ranges with room around the data, round values for logarithmic ones, and labels beside points."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.labels import Line, Point, place_labels

# From this ratio of the largest to the smallest on, a linear axis crowds the small ones.
LOG_FROM_RATIO = 6.0
_LEAST_SPREAD = 0.05  # values closer than this share are drawn close: an axis is no magnifying glass for noise


def wants_log(values: Sequence[float], from_ratio: float = LOG_FROM_RATIO) -> bool:
    """Whether these values want a logarithmic axis."""
    return bool(values) and min(values) > 0 and max(values) / min(values) >= from_ratio


def positive_range(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    """A range with some room for values that cannot be negative; (0, 1) for none."""
    if not values:
        return (0.0, 1.0)
    low, high = min(values), max(values)
    if 0.0 < low < high < (1.0 + _LEAST_SPREAD) * low:
        low, high = low / (1.0 + _LEAST_SPREAD), high * (1.0 + _LEAST_SPREAD)
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
    """Round values between two positive bounds for a logarithmic axis: as fine as leaves at most nine, two at least."""
    for digits in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [digit * 10.0**decade for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
        if len(ticks) <= 9:
            break
    return ticks if len(ticks) > 1 else nice_ticks(low, high)


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most so many round values from `low` to `high` for a linear axis; the value itself where both are equal."""
    if not high > low:
        return [low]
    raw = (high - low) / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(digit * size for digit in (1, 2, 2.5, 5, 10) if digit * size >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)] or [low, high]


@dataclass(frozen=True)
class AxisScale:
    """What an axis shows: from `low` to `high`, both positive where it is logarithmic."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def of(cls, values: Sequence[float]) -> AxisScale:
        """Some room around values that cannot be negative, logarithmic if they want it."""
        log = wants_log(values)
        return cls(*positive_range(values, log=log), log)

    def layout(self, *, text: Callable[[float], str] = "{:g}".format, most: int = 9) -> dict[str, Any]:
        """What gives a plotly axis this range; `text` words the ticks of a logarithmic one, the last `most` of them."""
        if not self.log:
            return {"range": [self.low, self.high]}
        ticks = nice_log_ticks(self.low, self.high)[-most:]
        return {
            "type": "log",
            "range": [self.at(self.low), self.at(self.high)],
            "tickvals": ticks,
            "ticktext": [text(tick) for tick in ticks],
        }

    def at(self, value: float) -> float:
        """A value as plotly's ranges and annotations want it: its logarithm on a logarithmic axis."""
        return math.log10(value) if self.log else value

    def share(self, value: float) -> float:
        """Where a value stands: 0 at the lower end, 1 at the upper."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, kw_only=True)
class PlotArea:
    """The area of a plot in pixels, and its axes."""

    x: AxisScale
    y: AxisScale
    width_px: float
    height_px: float

    def pixel(self, x: float, y: float) -> Point:
        """Where a value stands: pixels from the upper left corner."""
        return (self.x.share(x) * self.width_px, (1.0 - self.y.share(y)) * self.height_px)

    def label(
        self,
        figure: go.Figure,
        points: Sequence[Point],
        texts: Sequence[str],
        *,
        markers: Sequence[Point] = (),
        dots: Sequence[Point] = (),
        segments: Sequence[Line] = (),
        rings: Sequence[tuple[Point, float]] = (),
        grow: float,
        font_px: int = 11,
        bold: bool = False,
        leader: Mapping[str, Any] = MappingProxyType({}),
        **look: Any,
    ) -> None:
        """Write a text beside each point, where it covers least (`labels.place_labels`); all places are values.

        Args:
            texts: plain.
            markers, dots, segments: beside the points, what must stay visible, may be covered at need, or is drawn.
            rings: points with the radius (pixels) of a ring that is drawn around them.
            grow: how much larger than usual text and markers are.
            leader: of `style.leader`.
            look: of each annotation, such as its `row` and `col`.
        """
        font = round(font_px * grow)
        anchors = [self.pixel(*point) for point in points]
        lines = [(*self.pixel(x0, y0), *self.pixel(x1, y1)) for x0, y0, x1, y1 in segments]
        for (x, y), r in ((self.pixel(*point), radius) for point, radius in rings):  # as a square
            lines += [(x - r, y - r, x + r, y - r), (x - r, y + r, x + r, y + r)]
            lines += [(x - r, y - r, x - r, y + r), (x + r, y - r, x + r, y + r)]
        places = place_labels(
            anchors,
            texts,
            markers=[*anchors, *(self.pixel(*point) for point in markers)],
            dots=[self.pixel(*point) for point in dots],
            segments=lines,
            width_px=self.width_px,
            height_px=self.height_px,
            font_px=font,
            grow=grow,
        )
        for (x, y), text, place in zip(points, texts, places, strict=True):
            figure.add_annotation(
                x=self.x.at(x),
                y=self.y.at(y),
                text=f"<b>{style.plain(text)}</b>" if bold else style.plain(text),
                **style.leader(place, font_px=font, **leader),
                **look,
            )
