"""One self-contained HTML page: figures, tables, conditions. It needs no network and works from a file."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from archsearch.files import write_atomically

Cell = str | int | float | bool | None

# Nothing may be loaded from anywhere: the page proves by itself that it needs no network.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A table's column.

    Attributes:
        title: with the unit.
        decimals: as many are shown; it makes the column numeric.
        whole: its lines are never broken.
        trial: its numbers are trials: a page that can show a network makes them buttons.
    """

    title: str
    decimals: int | None = None
    whole: bool = False
    trial: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of plain values; texts are escaped when written. `note` stands above it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def without_empty_columns(self) -> Table:
        """The table without the columns that no row has a value in; a table without rows as it is."""
        kept = [place for place in range(len(self.columns)) if any(row[place] is not None for row in self.rows)]
        if len(kept) == len(self.columns) or not self.rows:
            return self
        columns = tuple(self.columns[place] for place in kept)
        return replace(self, columns=columns, rows=tuple(tuple(row[place] for place in kept) for row in self.rows))


def write_page(
    figures: go.Figure | Sequence[go.Figure],
    path: Path,
    *,
    title: str,
    subtitle: Sequence[str] = (),
    warnings: Sequence[str] = (),
    tables: Sequence[Table] = (),
    facts: Sequence[tuple[str, str]] = (),
    command: str | None = None,
) -> None:
    """Write the page, whole or not at all.

    Args:
        figures: drawn to the window's width; their own titles are left out, since the page has `title`.
        path: of the HTML file.
        title, subtitle, warnings: plain text above the first figure.
        tables: below the figures, sortable and downloadable as CSV.
        facts: (name, value) of the conditions, at the end.
        command: what was typed to make the page.

    Raises ArchsearchError if the file cannot be written.
    """
    drawn = [figures] if isinstance(figures, go.Figure) else list(figures)
    text = page_text(
        drawn, title=title, subtitle=subtitle, warnings=warnings, tables=tables, facts=facts, command=command
    )
    write_atomically(path, text.encode("utf-8"))


def page_text(
    figures: Sequence[go.Figure],
    *,
    title: str,
    subtitle: Sequence[str] = (),
    warnings: Sequence[str] = (),
    tables: Sequence[Table] = (),
    facts: Sequence[tuple[str, str]] = (),
    command: str | None = None,
) -> str:
    """The page's HTML; see `write_page`."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts += [f'<p class="quiet">{html.escape(line)}</p>' for line in subtitle if line]
    parts.append(warnings_html(warnings))
    parts += [figure_html(figure, f"figure-{number}") for number, figure in enumerate(figures)]
    parts += [table_html(table) for table in tables]
    if facts or command:
        parts.append("<h2>How this was made</h2>")
        parts.append(facts_html(facts, command=command))
    return document(parts, title=title, with_plotly=bool(figures))


def document(
    parts: Sequence[str], *, title: str, with_plotly: bool, styles: Sequence[str] = (), scripts: Sequence[str] = ()
) -> str:
    """A whole HTML file around a body.

    Args:
        parts: of the body, HTML.
        title: plain text.
        with_plotly: whether a figure is among them: plotly.js is most of the file.
        styles, scripts: more of them, after the page's own.
    """
    head = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>",
        *(f"<style>\n{style}</style>" for style in (_asset("page.css"), *styles)),
    ]
    if with_plotly:
        head.append(f"<script>{get_plotlyjs()}</script>")
    tail = [f"<script>\n{script}</script>" for script in (_asset("page.js"), *scripts)]
    return "\n".join([*head, "</head>\n<body>", *(part for part in parts if part), *tail, "</body>\n</html>\n"])


def figure_html(figure: go.Figure, name: str, *, height_px: int | None = None) -> str:
    """A figure as wide as the window, without its title; `name` is its element's id.

    Without a height: the figure's own, if its layout has one, else the window's. A figure whose layout's `meta` has a
    `least_width` (pixels) is scrolled sideways in narrower windows.
    """
    height_px = height_px or figure.layout.height
    least = (figure.layout.meta or {}).get("least_width")
    shown = go.Figure(figure)
    shown.update_layout(title=None, margin={"t": 24}, autosize=True, width=None, height=None)
    drawn: str = shown.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        default_height="100%",
        config={"responsive": True, "displaylogo": False, "showSendToCloud": False},
    )
    height = "" if height_px is None else f' style="height:{round(height_px)}px"'
    if least is not None:
        drawn = f'<div class="wide" style="min-width:{int(least)}px">{drawn}</div>'
    return f'<div class="figure"{height}>{drawn}</div>'


def warnings_html(warnings: Sequence[str]) -> str:
    """The warnings as a list; nothing without any."""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in warnings)
    return f'<ul class="warnings">{items}</ul>' if items else ""


def facts_html(facts: Sequence[tuple[str, str]], *, command: str | None = None) -> str:
    """Names and values, and the command that was typed."""
    rows = [f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in facts]
    if command:
        rows.append(f"<dt>Command</dt><dd><code>{html.escape(command)}</code></dd>")
    return "\n".join(["<dl>", *rows, "</dl>"])


def table_html(table: Table, *, level: int = 2) -> str:
    """A table under a heading of this level, sortable, with a button that saves it as CSV."""
    title = f"<h{level}>{html.escape(table.title)}</h{level}>" if table.title else ""
    note = f'<p class="quiet">{html.escape(table.note)}</p>\n' if table.note else ""
    if not table.rows:
        return f"<section>{title}\n{note}<p>None.</p></section>"
    head = "".join(
        f'<th scope="col"{_css(column)}><button type="button">{html.escape(column.title)}</button></th>'
        for column in table.columns
    )
    body = "\n".join(
        "<tr>" + "".join(_cell(value, column) for value, column in zip(row, table.columns, strict=True)) + "</tr>"
        for row in table.rows
    )
    return (
        f"<section>{title}\n{note}"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>\n'
        f'<button type="button" class="csv" data-name="{_file_name(table)}">Save as CSV</button></section>'
    )


def folded_table_html(table: Table, *, summary: str) -> str:
    """A table that is folded away and only laid out when it is opened: it may have thousands of rows.

    Sortable and downloadable as the others; `summary` is what stands there while it is closed.
    """
    content = {
        "columns": [
            {"title": column.title, "kind": _kind(column), "decimals": column.decimals} for column in table.columns
        ],
        "rows": table.rows,
    }
    note = f'<p class="quiet">{html.escape(table.note)}</p>' if table.note else ""
    return (
        f'<details class="data"><summary>{html.escape(summary)}</summary><section>{note}'
        f'<div class="scroll"></div>{json_script(content)}'
        f'<button type="button" class="csv" data-name="{_file_name(table)}">Save as CSV</button></section></details>'
    )


def json_script(content: Mapping[str, Any], *, name: str | None = None) -> str:
    """Plain data for the page's scripts. No text in it can end the element; what is not finite becomes null."""
    text = json.dumps(_finite(content), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    label = "" if name is None else f' id="{html.escape(name)}"'
    return f'<script type="application/json"{label}>{text}</script>'


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def _file_name(table: Table) -> str:
    return re.sub(r"[^a-z0-9]+", "-", table.title.lower()).strip("-") or "table"


def _kind(column: Column) -> str:
    kind = "number" if column.decimals is not None else "whole" if column.whole else "text"
    return f"{kind} trial" if column.trial else kind


def _css(column: Column) -> str:
    return f' class="{_kind(column)}"'


def _cell(value: Cell, column: Column) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return f"<td{_css(column)}></td>"
    if isinstance(value, int | float) and not isinstance(value, bool) and column.decimals is not None:
        return f'<td{_css(column)} data-value="{value!r}">{value:,.{column.decimals}f}</td>'
    return f"<td{_css(column)}>{html.escape(str(value))}</td>"


def _asset(name: str) -> str:
    return resources.files("archsearch.plots").joinpath(name).read_text(encoding="utf-8")
