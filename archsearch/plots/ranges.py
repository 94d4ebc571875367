"""What axes show: ranges with room around the data, round values for logarithmic ones, and labels beside points."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import plotly.graph_objects as go

from archsearch.plots import style

# Where short labels go so that they cover neither markers nor each other nor the front's line.
#
# The greedy point-labelling of Christensen, Marks and Shieber (1995, doi:10.1145/212332.212334, section 3.1) with
# candidate places in rings around each point: every label takes the candidate that covers least.

Box = tuple[float, float, float, float]  # left, top, right, bottom (pixels)
Line = tuple[float, float, float, float]  # x and y of one end, x and y of the other (pixels)
Point = tuple[float, float]

_RINGS_PX = (17.0, 25.0, 35.0, 48.0, 64.0)
_DIRECTIONS = 16
_MARKER_PX = 7.5  # half the side of the square that a marker is taken for
_DOT_PX = 3.0


def place_labels(
    anchors: Sequence[Point],
    texts: Sequence[str],
    *,
    markers: Sequence[Point],
    dots: Sequence[Point],
    segments: Sequence[Line],
    room: Point,
    font_px: int,
    grow: float = 1.0,
) -> tuple[Point, ...]:
    """Where each label's centre lies from its point: pixels to the right and down.

    Args:
        anchors: (x, y) of the labelled points, in pixels from the upper left corner of the plot area.
        markers: points that must stay visible; dots: points that may be covered at need.
        segments: (x0, y0, x1, y1) level or upright lines.
        room: width and height of the plot area (pixels).
        grow: how much larger than usual markers are drawn.
    """
    marker_px = _MARKER_PX * grow
    placed: list[Box] = []
    places: dict[int, Point] = {}
    leaders: list[Line] = []
    dot_boxes = [_square(x, y, _DOT_PX) for x, y in dots]
    line_boxes = [(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)) for x0, y0, x1, y1 in segments]
    for index in sorted(range(len(anchors)), key=lambda item: (-_crowding(anchors[item], anchors), item)):
        x, y = anchors[index]
        half_width, half_height = 0.3 * font_px * len(texts[index]) + 2.0, 0.5 * font_px + 1.0
        candidates: list[tuple[float, Point, Box]] = []
        # no candidate touches what lies beyond
        reach = _RINGS_PX[-1] * grow + 2.0 * half_width + half_height + marker_px
        around = _square(x, y, reach)
        near_markers = [marker for marker in markers if _touches(around, (*marker, *marker))]
        marker_boxes = [_square(*marker, marker_px) for marker in near_markers]
        near_dots, near_lines = (
            [each for each in boxes if _touches(around, each)] for boxes in (dot_boxes, line_boxes)
        )
        for ring, radius in enumerate(ring_px * grow for ring_px in _RINGS_PX):
            for step in range(_DIRECTIONS):
                angle = 2.0 * math.pi * step / _DIRECTIONS
                right, down = (radius + half_width - half_height) * math.cos(angle), -radius * math.sin(angle)
                box = (x + right - half_width, y + down - half_height, x + right + half_width, y + down + half_height)
                leader = (x, y, x + right, y + down)
                price = 1.5 * ring + 0.4 * (1.0 + math.sin(angle - 0.7))  # near, and rather below or to the right
                price += 60.0 * sum(_overlap(box, other) for other in placed)
                price += 30.0 * sum(_overlap(box, other) for other in marker_boxes)
                price += 3.0 * sum(_overlap(box, other) for other in near_dots)
                price += 8.0 * sum(_touches(box, other) for other in near_lines)
                price += 20.0 * sum(_crosses(leader, other) for other in leaders)
                price += 10.0 * sum(_crosses(leader, other) for other in placed)
                price += 12.0 * sum(
                    _passes(leader, marker, marker_px)
                    for marker in near_markers
                    if math.dist(marker, anchors[index]) > marker_px
                )
                if box[0] < 0 or box[1] < 0 or box[2] > room[0] or box[3] > room[1]:
                    price += 200.0
                candidates.append((price, (right, down), box))
        _, (right, down), box = min(candidates, key=itemgetter(0))  # the first of equals
        places[index] = (right, down)
        placed.append(box)
        leaders.append((x, y, x + right, y + down))
    return tuple(places[index] for index in range(len(anchors)))


def _square(x: float, y: float, half: float) -> Box:
    return (x - half, y - half, x + half, y + half)


def _crowding(anchor: Point, anchors: Sequence[Point]) -> float:
    """How many neighbours a point has, near ones counting more: the most crowded choose first."""
    return sum(1.0 / (20.0 + math.dist(anchor, other)) for other in anchors)


def _overlap(one: Box, other: Box) -> float:
    """The covered share of the smaller box, and a little for touching it at all."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    smaller = min((one[2] - one[0]) * (one[3] - one[1]), (other[2] - other[0]) * (other[3] - other[1]))
    return 0.2 + across * down / smaller


def _touches(box: Box, line: Box) -> bool:
    return box[0] <= line[2] and line[0] <= box[2] and box[1] <= line[3] and line[1] <= box[3]


def _side(line: Line, point: Point) -> float:
    """Twice the area that a line spans with a point; its sign says on which side the point lies."""
    x0, y0, x1, y1 = line
    return (x1 - x0) * (point[1] - y0) - (y1 - y0) * (point[0] - x0)


def _crosses(one: Line, other: Line) -> bool:
    """Whether two lines cross; a box stands for its diagonal."""
    return _side(one, other[:2]) * _side(one, other[2:]) < 0 and _side(other, one[:2]) * _side(other, one[2:]) < 0


def _passes(leader: Line, point: Point, marker_px: float) -> bool:
    """Whether a leader runs through another marker."""
    x0, y0, x1, y1 = leader
    length = math.hypot(x1 - x0, y1 - y0)
    along = ((point[0] - x0) * (x1 - x0) + (point[1] - y0) * (y1 - y0)) / (length or 1.0)
    return 0 < along < length and abs(_side(leader, point)) / (length or 1.0) < marker_px


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


def nice_ticks(low: float, high: float) -> list[float]:
    """At most seven round values from `low` to `high` for a linear axis; the value itself where both are equal."""
    if not high > low:
        return [low]
    raw = (high - low) / 6
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
    """The axes of a plot, and its width and height (pixels)."""

    x: AxisScale
    y: AxisScale
    room: Point

    def pixel(self, x: float, y: float) -> Point:
        """Where a value stands: pixels from the upper left corner."""
        return (self.x.share(x) * self.room[0], (1.0 - self.y.share(y)) * self.room[1])

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
        leader: Mapping[str, Any] | None = None,
        **look: Any,
    ) -> None:
        """Write a text beside each point, where it covers least (`place_labels`); all places are values.

        Args:
            texts: plain.
            markers, dots, segments: beside the points, what must stay visible, may be covered at need, or is drawn.
            rings: points with the radius (pixels) of a ring that is drawn around them.
            grow: how much larger than usual text and markers are.
            leader: further arguments of `style.leader`.
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
            room=self.room,
            font_px=font,
            grow=grow,
        )
        for (x, y), text, place in zip(points, texts, places, strict=True):
            figure.add_annotation(
                x=self.x.at(x),
                y=self.y.at(y),
                text=f"<b>{style.plain(text)}</b>" if bold else style.plain(text),
                **style.leader(place, font_px=font, **(leader or {})),
                **look,
            )
