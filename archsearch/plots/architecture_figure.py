"""Draws an architecture: one row a part, its units as boxes in branches, its share of the cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.architecture import GONE, Architecture, Op, Part, UnitDiagram
from archsearch.plots.traces import add_points, hover
from archsearch.text import count_text, shorten

NARROW_PX = 640  # below, labels stand above their units and costs are text
_MARGIN = 20
# Of a character, in font sizes: the widest of the fonts that a page may have to take (DejaVu Sans).
_REGULAR, _BOLD = 0.62, 0.69
_BARS = (("macs", "MACs", style.BLUE), ("params", "params", style.ORANGE))


def shape_text(shape: tuple[int, ...] | None) -> str:
    """`116 × 28 × 28`, or `1000 features`."""
    if shape is None:
        return ""
    return f"{shape[0]:,} features" if len(shape) == 1 else " × ".join(map(str, shape))


def architecture_figure(info: Architecture, *, width: int = 1100, height: int = 700) -> go.Figure:
    """The figure; `width` and `height` (pixels) are those it will be seen at. From 640 pixels of width on labels stand
    left of the units and bars right of them; below, both are lines of text."""
    figure, (across, room) = style.begin(
        info,
        margin={"l": _MARGIN, "r": _MARGIN, "t": 0, "b": 12},
        size=(width, height),
        showlegend=False,
        meta={"least_width": width},  # text and boxes only shrink together
    )
    if info.empty is not None:
        return figure
    sheet = Sheet(grow=style.growth(width))
    wide = across >= NARROW_PX - 2 * _MARGIN
    left = 128.0 * sheet.grow if wide else 0.0
    right = 168.0 * sheet.grow if wide and any(part.macs is not None for part in info.parts) else 0.0
    down = 0.0
    if right:
        down = 18.0 * sheet.grow
        for index, (_, heading, color) in enumerate(_BARS):
            x = across - right + (index * 0.5 * right)
            sheet.rect(x, down / 2 - 4, 8, 8, fillcolor=color)
            sheet.text(x + 12, down / 2, heading, color=style.QUIET_INK)
    # the largest share of any part (percent): the longest bar
    most = max([value or 0.0 for part in info.parts for value in (part.macs_percent, part.params_percent)]) or 1.0
    for part in info.parts:
        down = _draw_part(sheet, part, down, left=left, right=right, across=across, most=most)
    if info.signs:
        sheet.text(0, down + 12 * sheet.grow, info.signs, color=style.VERMILLION)
        down += 24 * sheet.grow
    # One unit of the axes is one pixel at the size asked for: a smaller drawing leaves the rest of the page white.
    figure.update_xaxes(visible=False, range=[0, across], fixedrange=True)
    tall = max(down, room)
    figure.update_yaxes(visible=False, range=[tall, 0], fixedrange=True)
    figure.update_layout(shapes=sheet.shapes, annotations=sheet.texts, height=round(height - room + tall))
    places = [(x, y) for x, y, _ in sheet.hovers]
    add_points(figure, places, [text for _, _, text in sheet.hovers], {"size": 18, "color": style.INK, "opacity": 0})
    return figure


def _draw_part(sheet: Sheet, part: Part, top: float, *, left: float, right: float, across: float, most: float) -> float:
    grow, line = sheet.grow, 15.0 * sheet.grow
    y = top + 5 * grow
    changed = any(change.choice.endswith(".channels") for change in part.changes)
    sheet.text(0, y + line / 2, shorten(part.name, 17), bold=True, size=round(12.5 * grow))
    if left:
        if part.output_shape:
            color = style.VERMILLION if changed else style.QUIET_INK
            sheet.text(0, y + 1.6 * line, ("≠ " if changed else "") + shape_text(part.output_shape), color=color)
        floor = y + 2.3 * line
    else:
        costs = [shape_text(part.output_shape)]
        if part.macs_percent is not None and part.params_percent is not None:
            costs += [f"{part.macs_percent:.0f} % MACs", f"{part.params_percent:.0f} % params"]
        sheet.text(across, y + line / 2, " · ".join(filter(None, costs)), anchor="right", color=style.QUIET_INK)
        y += 1.1 * line
        floor = y
    room = across - right - left
    end = _draw_units(sheet, part, left, y, room)
    for text in style.wrap("; ".join(change.sentence for change in part.changes), room, font_px=sheet.font):
        sheet.escaped(left, end + line / 2, text, color=style.VERMILLION)
        end += line
    if right:
        _draw_bars(sheet, part, across - right, right, y + 0.5 * line, most)
        floor = max(floor, y + 2.2 * line)
    bottom = max(end, floor) + 4 * grow
    sheet.line(0, bottom, across, bottom, color=style.GRID)
    sheet.hovers.append((left or 40.0, y + line / 2, _hover(part)))
    return bottom


def _draw_units(sheet: Sheet, part: Part, left: float, top: float, room: float) -> float:
    """The units side by side, on as many lines as they need; where they end."""
    titled = any(unit_text(unit) for unit in part.units)
    x, y, tallest, grow = left, top, 0.0, sheet.grow
    for unit in part.units:
        across, down = sheet.unit_size(unit, titled=titled)
        if x > left and x + across > left + room:
            x, y, tallest = left, y + tallest + 2 * grow, 0.0
        shrunk = max(0.7, min(1.0, room / across))  # a unit wider than the figure is drawn smaller
        sheet.grow = grow * shrunk
        sheet.unit(unit, x, y, titled=titled)
        sheet.grow = grow
        x += across + 14 * grow
        tallest = max(tallest, down * shrunk)
    return y + tallest


def _draw_bars(sheet: Sheet, part: Part, left: float, room: float, top: float, most: float) -> None:
    half = 0.5 * room
    for index, (name, _, color) in enumerate(_BARS):
        value, share = getattr(part, name), getattr(part, f"{name}_percent")
        if value is None or share is None:
            continue
        x = left + index * half
        sheet.rect(x, top, max(1.0, (half - 14 * sheet.grow) * share / most), 7 * sheet.grow, fillcolor=color)
        text = f"{share:.1f} %  {count_text(value)}" if value else "none"
        sheet.text(x, top + 15 * sheet.grow, text, color=style.QUIET_INK, size=round(10 * sheet.grow))


def _hover(part: Part) -> str:
    costs = []
    if part.macs is not None and part.params is not None:
        costs += [f"{part.macs:,} MACs ({part.macs_percent or 0:.1f} %)"]
        costs += [f"{part.params:,} params ({part.params_percent or 0:.1f} %)"]
    emits = f"emits {shape_text(part.output_shape)}" if part.output_shape else ""
    return hover(part.name, emits, *costs, *(style.plain(change.sentence) for change in part.changes[:12]))


@dataclass
class Sheet:
    """Shapes and texts gathered in pixels from the upper left corner, and how large text and boxes are."""

    grow: float
    shapes: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
    hovers: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def font(self) -> int:
        """Pixels of the text in boxes."""
        return round(10.5 * self.grow)

    @property
    def box(self) -> float:
        """Pixels of a box's height."""
        return 20.0 * self.grow

    @property
    def gap(self) -> float:
        """Pixels between boxes."""
        return 8.0 * self.grow

    @property
    def lane(self) -> float:
        """Pixels of a branch's height."""
        return self.box + 5 * self.grow

    def text(self, x: float, y: float, text: str, *, bold: bool = False, **look: Any) -> None:
        """Text with its middle line at y; `text` is escaped here."""
        escaped = style.plain(text)
        self.escaped(x, y, f"<b>{escaped}</b>" if bold else escaped, align="left", **look)

    def escaped(
        self,
        x: float,
        y: float,
        text: str,
        *,
        anchor: str = "left",
        size: int | None = None,
        color: str = style.INK,
        **more: Any,
    ) -> None:
        """The same of text that is escaped already."""
        font = {"size": size or self.font, "color": color}
        look = {"xanchor": anchor, "yanchor": "middle", "showarrow": False, "borderpad": 0, "font": font}
        self.texts.append({"x": x, "y": y, "text": text, **look, **more})

    def rect(self, x: float, y: float, width: float, height: float, **look: Any) -> None:
        """A box with its upper left corner at (x, y)."""
        self._shape("rect", x, y, x + width, y + height, **{"line": {"width": 0}, **look})

    def line(self, x0: float, y0: float, x1: float, y1: float, color: str = style.QUIET_INK) -> None:
        """A thin line."""
        self._shape("line", x0, y0, x1, y1, line={"width": 1, "color": color})

    def _shape(self, kind: str, x0: float, y0: float, x1: float, y1: float, **look: Any) -> None:
        self.shapes.append({"type": kind, "x0": x0, "y0": y0, "x1": x1, "y1": y1, "layer": "below", **look})

    def op_width(self, op: Op) -> float:
        """Pixels across."""
        return (9 + (_BOLD if op.sign else _REGULAR) * 10.5 * len(_op_text(op))) * self.grow

    def op(self, op: Op, x: float, y: float) -> float:
        """Draw an operation around the line y from x on; where it ends."""
        width = self.op_width(op)
        marked = bool(op.sign)
        outline = {
            "width": 2.2 if marked else 1,
            "color": style.VERMILLION if marked else style.QUIET_INK,
            "dash": "dot" if op.sign == GONE else "solid",
        }
        fill = style.FILLS["other" if op.sign == GONE else "changed" if marked else op.kind]
        self.rect(x, y - self.box / 2, width, self.box, line=outline, fillcolor=fill)
        color = style.QUIET_INK if op.sign == GONE else style.INK
        self.text(x + width / 2, y, _op_text(op), anchor="center", bold=marked, color=color)
        return x + width

    def ops_width(self, ops: tuple[Op, ...]) -> float:
        """Pixels across operations in a row, with the gap after each."""
        return sum(self.op_width(op) + self.gap for op in ops)

    def title_height(self, titled: bool) -> float:
        """Pixels that the names of a part's units take, if any has one."""
        return 15.0 * self.grow if titled else 3.0

    def unit_size(self, unit: UnitDiagram, *, titled: bool) -> tuple[float, float]:
        """Pixels across and down."""
        named = _REGULAR * self.font * len(unit_text(unit))
        if not unit.count:
            return named + self.gap, self.title_height(titled)
        inside = max(self.ops_width(branch) for branch in unit.branches)
        across = self.ops_width(unit.before) + inside + self.ops_width(unit.after)
        if len(unit.branches) > 1 and not unit.before:
            across += self.gap
        return max(across, named) + self.gap, self.title_height(titled) + len(unit.branches) * self.lane

    def unit(self, unit: UnitDiagram, x: float, y: float, *, titled: bool) -> None:
        """Draw a unit with its upper left corner at (x, y)."""
        title = self.title_height(titled)
        if unit_text(unit):
            color = style.VERMILLION if unit.sign else style.QUIET_INK
            self.text(x, y + title / 2, unit_text(unit), color=color, bold=bool(unit.sign))
        if not unit.count:  # only the baseline has it
            return
        forked = len(unit.branches) > 1
        if forked and not unit.before:
            x += self.gap
        lane = self.lane
        middle = y + title + lane * len(unit.branches) / 2
        inside = max(self.ops_width(branch) for branch in unit.branches)
        for op in unit.before:
            x = self.op(op, x, middle) + self.gap
        start, end = x, x + inside
        for number, branch in enumerate(unit.branches):
            line = y + title + lane * (number + 0.5)
            self.line(start - (self.gap if forked else 0), line, end - (0 if forked or unit.after else self.gap), line)
            for op in branch:
                x = self.op(op, x, line) + self.gap
            x = start
        if forked:
            first, last = y + title + lane / 2, y + title + lane * (len(unit.branches) - 0.5)
            if not unit.before:
                self.line(start - self.gap, first, start - self.gap, last)
            self.line(end, first, end, last)
        x = end + (self.gap / 2 if unit.after else 0)
        for op in unit.after:
            self.line(x - self.gap / 2, middle, x, middle)
            x = self.op(op, x, middle) + self.gap / 2


def _op_text(op: Op) -> str:
    return f"{op.sign} {op.text}".strip()


def unit_text(unit: UnitDiagram) -> str:
    """A unit's name and how many of it there are; empty for a single one without a name."""
    if not unit.count:
        return f"{GONE} no {unit.name}"
    times = "" if unit.count == 1 else f" × {unit.count}"
    return f"{unit.sign} {unit.name}{times}".strip()
