"""The sheet that an architecture is drawn on: boxes, lines and text in pixels, as plotly's shapes and annotations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from archsearch.plots import style
from archsearch.plots.architecture_parts import GONE, Op, UnitDiagram

_FILL = {
    "conv": "#DCEBF5",
    "depthwise": "#CFE8DF",
    "attention": "#F3E0EC",
    "pool": "#ECEFF1",
    "linear": "#DCEBF5",
    "mix": "#FFFFFF",
    "other": "#FFFFFF",
}
_FILL_CHANGED = "#FBE3C4"


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

    def text(
        self, x: float, y: float, text: str, *, anchor: str = "left", size: int | None = None, **font: Any
    ) -> None:
        """Text with its middle line at y; `text` is escaped here."""
        bold = font.pop("bold", False)
        escaped = style.plain(text)
        self.texts.append(
            {
                "x": x,
                "y": y,
                "text": f"<b>{escaped}</b>" if bold else escaped,
                "xanchor": anchor,
                "yanchor": "middle",
                "showarrow": False,
                "align": "left",
                "borderpad": 0,
                "font": {"size": size or self.font, "color": font.pop("color", style.INK)},
            }
        )

    def rect(self, x: float, y: float, width: float, height: float, **look: Any) -> None:
        """A box with its upper left corner at (x, y)."""
        self.shapes.append(
            {
                "type": "rect",
                "x0": x,
                "y0": y,
                "x1": x + width,
                "y1": y + height,
                "line": {"width": 0},
                "layer": "below",
                **look,
            }
        )

    def line(self, x0: float, y0: float, x1: float, y1: float, **look: Any) -> None:
        """A thin line."""
        self.shapes.append(
            {
                "type": "line",
                "x0": x0,
                "y0": y0,
                "x1": x1,
                "y1": y1,
                "layer": "below",
                "line": {"width": 1, "color": style.QUIET_INK, **look},
            }
        )

    def op_width(self, op: Op) -> float:
        """Pixels across."""
        return (9 + 0.54 * 10.5 * len(_op_text(op))) * self.grow

    def op(self, op: Op, x: float, y: float) -> float:
        """Draw an operation around the line y from x on; where it ends."""
        width = self.op_width(op)
        marked = bool(op.sign)
        outline = {
            "width": 2.2 if marked else 1,
            "color": style.VERMILLION if marked else style.QUIET_INK,
            "dash": "dot" if op.sign == GONE else "solid",
        }
        fill = "#FFFFFF" if op.sign == GONE else _FILL_CHANGED if marked else _FILL[op.kind]
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
        inside = max(self.ops_width(branch) for branch in unit.branches)
        across = self.ops_width(unit.before) + inside + self.ops_width(unit.after)
        if len(unit.branches) > 1 and not unit.before:
            across += self.gap
        return (
            max(across, 0.56 * self.font * len(unit_text(unit))) + self.gap,
            self.title_height(titled) + len(unit.branches) * (self.box + 5 * self.grow),
        )

    def unit(self, unit: UnitDiagram, x: float, y: float, *, titled: bool) -> None:
        """Draw a unit with its upper left corner at (x, y)."""
        title = self.title_height(titled)
        if unit_text(unit):
            color = style.VERMILLION if unit.sign else style.QUIET_INK
            self.text(x, y + title / 2, unit_text(unit), color=color, bold=bool(unit.sign))
        forked = len(unit.branches) > 1
        if forked and not unit.before:
            x += self.gap
        lane = self.box + 5 * self.grow
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
    return f"{op.sign} {op.text}" if op.sign else op.text


def unit_text(unit: UnitDiagram) -> str:
    """A unit's name and how many of it there are; empty for a single one without a name."""
    if unit.count == 1:
        return f"{unit.sign} {unit.name}".strip()
    sign = f"{unit.sign} " if unit.sign else ""
    return f"{sign}{unit.name} × {unit.count}".strip()
