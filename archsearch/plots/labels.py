"""Where short labels go so that they cover neither markers nor each other nor the front's line.

The greedy point-labelling of Christensen, Marks and Shieber (1995, doi:10.1145/212332.212334, section 3.1) with
candidate places in rings around each point: every label takes the candidate that covers least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import itemgetter

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
    width_px: float,
    height_px: float,
    font_px: int,
    grow: float = 1.0,
) -> tuple[Point, ...]:
    """Where each label's centre lies from its point: pixels to the right and down.

    Args:
        anchors: (x, y) of the labelled points, in pixels from the upper left corner of the plot area.
        texts: what stands in each label.
        markers: points that must stay visible; dots: points that may be covered at need.
        segments: (x0, y0, x1, y1) level or upright lines.
        width_px, height_px: the plot area.
        font_px: size of the labels' font.
        grow: how much larger than usual markers are drawn.
    """
    marker_px = _MARKER_PX * grow
    placed: list[Box] = []
    places: dict[int, Point] = {}
    leaders: list[Line] = []
    marker_boxes = [_square(x, y, marker_px) for x, y in markers]
    dot_boxes = [_square(x, y, _DOT_PX) for x, y in dots]
    line_boxes = [(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)) for x0, y0, x1, y1 in segments]
    for index in sorted(range(len(anchors)), key=lambda item: (-_crowding(anchors[item], anchors), item)):
        x, y = anchors[index]
        half_width, half_height = 0.3 * font_px * len(texts[index]) + 2.0, 0.5 * font_px + 1.0
        candidates: list[tuple[float, Point, Box]] = []
        # no candidate touches what lies beyond
        reach = _RINGS_PX[-1] * grow + 2.0 * half_width + half_height + marker_px
        around = _square(x, y, reach)
        near_markers = [marker for marker in markers if abs(marker[0] - x) <= reach and abs(marker[1] - y) <= reach]
        near_marker_boxes = [other for other in marker_boxes if _touches(around, other)]
        near_dots = [other for other in dot_boxes if _touches(around, other)]
        near_lines = [other for other in line_boxes if _touches(around, other)]
        for ring, radius in enumerate(ring_px * grow for ring_px in _RINGS_PX):
            for step in range(_DIRECTIONS):
                angle = 2.0 * math.pi * step / _DIRECTIONS
                right, down = (radius + half_width - half_height) * math.cos(angle), -radius * math.sin(angle)
                box = (x + right - half_width, y + down - half_height, x + right + half_width, y + down + half_height)
                leader = (x, y, x + right, y + down)
                price = 1.5 * ring + 0.4 * (1.0 + math.sin(angle - 0.7))  # near, and rather below or to the right
                price += 60.0 * sum(_overlap(box, other) for other in placed)
                price += 30.0 * sum(_overlap(box, other) for other in near_marker_boxes)
                price += 3.0 * sum(_overlap(box, other) for other in near_dots)
                price += 8.0 * sum(_touches(box, other) for other in near_lines)
                price += 20.0 * sum(_crosses(leader, other) for other in leaders)
                price += 10.0 * sum(_crosses(leader, other) for other in placed)
                price += 12.0 * sum(
                    _passes(leader, marker, marker_px)
                    for marker in near_markers
                    if math.dist(marker, anchors[index]) > marker_px
                )
                if box[0] < 0 or box[1] < 0 or box[2] > width_px or box[3] > height_px:
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
