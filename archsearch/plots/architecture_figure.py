"""Draws an ArchitectureInfo with plotly: one row a part, its units as boxes in branches, its share of the cost."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.architecture import ArchitectureInfo, Part
from archsearch.plots.architecture_sheet import Sheet, unit_text
from archsearch.text import count_text

NARROW_PX = 640  # below, labels stand above their units and costs are text
_MARGIN = 20
_BARS = (("macs", "MACs", style.BLUE), ("params", "params", style.ORANGE))


def shape_text(shape: tuple[int, ...] | None) -> str:
    """`116 × 28 × 28`, or `1000 features`."""
    if shape is None:
        return ""
    return f"{shape[0]:,} features" if len(shape) == 1 else " × ".join(map(str, shape))


def architecture_figure(info: ArchitectureInfo, *, width: int = 1100, height: int = 700) -> go.Figure:
    """The figure; `width` and `height` (pixels) are those it will be seen at. From 640 pixels of width on labels stand
    left of the units and bars right of them; below, both are lines of text."""
    title, top = style.heading(info.title, info.subtitle, info.warnings, width=width, height=height)
    figure = go.Figure()
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={"l": _MARGIN, "r": _MARGIN, "t": top, "b": 12},
        showlegend=False,
        meta={"least_width": round(0.93 * width)},  # boxes shrink with the page, and text does not
    )
    if info.empty is not None:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    sheet = Sheet(grow=style.growth(width))
    across = float(width - 2 * _MARGIN)
    down = _draw_parts(sheet, info, across)
    if info.signs:
        sheet.text(0, down + 12 * sheet.grow, info.signs, color=style.VERMILLION)
        down += 24 * sheet.grow
    # One unit of the axes is one pixel at the size asked for: a smaller drawing leaves the rest of the page white.
    figure.update_xaxes(visible=False, range=[0, across], fixedrange=True)
    figure.update_yaxes(visible=False, range=[max(down, height - top - 12.0), 0], fixedrange=True)
    figure.update_layout(shapes=sheet.shapes, annotations=sheet.texts)
    figure.add_scatter(
        x=[x for x, _, _ in sheet.hovers],
        y=[y for _, y, _ in sheet.hovers],
        hovertext=[text for _, _, text in sheet.hovers],
        hovertemplate="%{hovertext}<extra></extra>",
        mode="markers",
        marker={"size": 18, "color": style.INK, "opacity": 0},
    )
    return figure


def _draw_parts(sheet: Sheet, info: ArchitectureInfo, across: float) -> float:
    """Draw every part below the last; the pixels that they take down."""
    wide = across >= NARROW_PX - 2 * _MARGIN
    with_costs = any(part.macs is not None for part in info.parts)
    left = 128.0 * sheet.grow if wide else 0.0
    right = 168.0 * sheet.grow if wide and with_costs else 0.0
    y = 0.0
    if right:
        y = 18.0 * sheet.grow
        for index, (_, heading, color) in enumerate(_BARS):
            x = across - right + (index * 0.5 * right)
            sheet.rect(x, y / 2 - 4, 8, 8, fillcolor=color)
            sheet.text(x + 12, y / 2, heading, color=style.QUIET_INK)
    for part in info.parts:
        y = _draw_part(sheet, part, y, left=left, right=right, across=across, most=_most(info))
    return y


def _most(info: ArchitectureInfo) -> float:
    """The largest share of any part (percent): the longest bar."""
    return max([value or 0.0 for part in info.parts for value in (part.macs_percent, part.params_percent)]) or 1.0


def _draw_part(sheet: Sheet, part: Part, top: float, *, left: float, right: float, across: float, most: float) -> float:
    grow, line = sheet.grow, 15.0 * sheet.grow
    y = top + 5 * grow
    changed = any(change.choice.endswith(".channels") for change in part.changes)
    if left:
        sheet.text(0, y + line / 2, style.shorten(part.name, 17), bold=True, size=round(12.5 * grow))
        if part.output_shape:
            color = style.VERMILLION if changed else style.QUIET_INK
            sheet.text(0, y + 1.6 * line, ("≠ " if changed else "") + shape_text(part.output_shape), color=color)
        floor = y + 2.3 * line
    else:
        costs = [shape_text(part.output_shape)]
        if part.macs_percent is not None and part.params_percent is not None:
            costs += [f"{part.macs_percent:.0f} % MACs", f"{part.params_percent:.0f} % params"]
        sheet.text(0, y + line / 2, style.shorten(part.name, 17), bold=True, size=round(12.5 * grow))
        sheet.text(across, y + line / 2, " · ".join(filter(None, costs)), anchor="right", color=style.QUIET_INK)
        y += 1.1 * line
        floor = y
    end = _draw_units(sheet, part, left, y, across - right - left)
    room = across - right - left
    for text in style.wrap("; ".join(change.sentence for change in part.changes), room, font_px=sheet.font):
        sheet.texts.append(_escaped_line(left, end + line / 2, text, sheet.font))
        end += line
    if right:
        _draw_bars(sheet, part, across - right, right, y + 0.5 * line, most)
        floor = max(floor, y + 2.2 * line)
    bottom = max(end, floor) + 4 * grow
    sheet.line(0, bottom, across, bottom, color=style.GRID)
    sheet.hovers.append((left or 40.0, y + line / 2, _hover(part)))
    return bottom


def _escaped_line(x: float, y: float, text: str, size: int) -> dict[str, Any]:
    return {
        "x": x,
        "y": y,
        "text": text,
        "xanchor": "left",
        "yanchor": "middle",
        "showarrow": False,
        "borderpad": 0,
        "font": {"size": size, "color": style.VERMILLION},
    }


def _draw_units(sheet: Sheet, part: Part, left: float, top: float, room: float) -> float:
    """The units side by side, on as many lines as they need; where they end."""
    titled = any(unit_text(unit) for unit in part.units)
    x, y, tallest, grow = left, top, 0.0, sheet.grow
    for unit in part.units:
        across, down = sheet.unit_size(unit, titled=titled)
        if x > left and x + across > left + room:
            x, y, tallest = left, y + tallest + 2 * grow, 0.0
        sheet.grow = grow * max(0.7, min(1.0, room / across))  # a unit wider than the figure is drawn smaller
        sheet.unit(unit, x, y, titled=titled)
        sheet.grow = grow
        x += across + 14 * grow
        tallest = max(tallest, down * max(0.7, min(1.0, room / across)))
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
    lines = [f"<b>{style.plain(part.name)}</b>"]
    if part.output_shape:
        lines.append(f"emits {shape_text(part.output_shape)}")
    if part.macs is not None and part.params is not None:
        lines.append(f"{part.macs:,} MACs ({part.macs_percent or 0:.1f} %)")
        lines.append(f"{part.params:,} params ({part.params_percent or 0:.1f} %)")
    lines += [style.plain(change.sentence) for change in part.changes[:12]]
    return "<br>".join(lines)
