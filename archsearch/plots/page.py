"""One self-contained HTML page: figures, tables, conditions. It needs no network and works from a file."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

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
    """A table's column: its title with the unit; `decimals` shown makes it numeric; `whole`: never break its lines."""

    title: str
    decimals: int | None = None
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of plain values; texts are escaped when written. `note` stands above it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


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
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>",
        f"<style>\n{_asset('page.css')}</style>",
    ]
    if figures:
        parts.append(f"<script>{get_plotlyjs()}</script>")
    parts.append(f"</head>\n<body>\n<h1>{html.escape(title)}</h1>")
    parts += [f'<p class="quiet">{html.escape(line)}</p>' for line in subtitle if line]
    if warnings:
        items = "".join(f"<li>{html.escape(text)}</li>" for text in warnings)
        parts.append(f'<ul class="warnings">{items}</ul>')
    parts += [_figure_html(figure, number) for number, figure in enumerate(figures)]
    parts += [_table_html(table) for table in tables]
    if facts or command:
        parts.append("<h2>How this was made</h2>\n<dl>")
        parts += [f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in facts]
        if command:
            parts.append(f"<dt>Command</dt><dd><code>{html.escape(command)}</code></dd>")
        parts.append("</dl>")
    parts.append(f"<script>\n{_asset('page.js')}</script>\n</body>\n</html>\n")
    return "\n".join(parts)


def _figure_html(figure: go.Figure, number: int) -> str:
    shown = go.Figure(figure)
    shown.update_layout(title=None, margin={"t": 24}, autosize=True, width=None, height=None)
    drawn: str = shown.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"figure-{number}",
        default_height="100%",
        config={"responsive": True, "displaylogo": False, "showSendToCloud": False},
    )
    return f'<div class="figure">{drawn}</div>'


def _table_html(table: Table) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", table.title.lower()).strip("-") or "table"
    head = "".join(
        f'<th scope="col"{_css(column)}><button type="button">{html.escape(column.title)}</button></th>'
        for column in table.columns
    )
    body = "\n".join(
        "<tr>" + "".join(_cell(value, column) for value, column in zip(row, table.columns, strict=True)) + "</tr>"
        for row in table.rows
    )
    note = f'<p class="quiet">{html.escape(table.note)}</p>\n' if table.note else ""
    if not table.rows:
        return f"<section><h2>{html.escape(table.title)}</h2>\n{note}<p>None.</p></section>"
    return (
        f"<section><h2>{html.escape(table.title)}</h2>\n{note}"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>\n'
        f'<button type="button" class="csv" data-name="{name}">Save as CSV</button></section>'
    )


def _css(column: Column) -> str:
    kind = "number" if column.decimals is not None else "whole" if column.whole else "text"
    return f' class="{kind}"'


def _cell(value: Cell, column: Column) -> str:
    if value is None:
        return f"<td{_css(column)}></td>"
    if isinstance(value, int | float) and not isinstance(value, bool) and column.decimals is not None:
        return f'<td class="number" data-value="{value!r}">{value:,.{column.decimals}f}</td>'
    return f"<td{_css(column)}>{html.escape(str(value))}</td>"


def _asset(name: str) -> str:
    return resources.files("archsearch.plots").joinpath(name).read_text(encoding="utf-8")
