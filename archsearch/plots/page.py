"""One self-contained HTML page: figures, tables, conditions. It needs no network and works from a file."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from archsearch.files import write_atomically
from archsearch.table import Table

# Nothing may be loaded from anywhere: the page proves by itself that it needs no network.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


def write_page(
    figures: go.Figure | Sequence[go.Figure],
    path: Path,
    *,
    title: str,
    subtitle: Sequence[str] = (),
    sentences: Sequence[str] = (),
    warnings: Sequence[str] = (),
    tables: Sequence[Table] = (),
    facts: Sequence[tuple[str, str]] = (),
    command: str | None = None,
) -> None:
    """Write the page, whole or not at all.

    Args:
        figures: drawn to the window's width; their own titles are left out, since the page has `title`.
        path: of the HTML file.
        title, subtitle, sentences, warnings: plain text above the first figure.
        tables: below the figures, sortable and downloadable as CSV.
        facts: (name, value) of the conditions, at the end.
        command: what was typed to make the page.

    Raises ArchsearchError if the file cannot be written.
    """
    drawn = [figures] if isinstance(figures, go.Figure) else list(figures)
    text = page_text(
        drawn,
        title=title,
        subtitle=subtitle,
        sentences=sentences,
        warnings=warnings,
        tables=tables,
        facts=facts,
        command=command,
    )
    write_atomically(path, text.encode("utf-8"))


def page_text(
    figures: Sequence[go.Figure],
    *,
    title: str,
    subtitle: Sequence[str] = (),
    sentences: Sequence[str] = (),
    warnings: Sequence[str] = (),
    tables: Sequence[Table] = (),
    facts: Sequence[tuple[str, str]] = (),
    command: str | None = None,
) -> str:
    """The page's HTML; see `write_page`."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts += [f'<p class="quiet">{html.escape(line)}</p>' for line in subtitle if line]
    parts += [f"<p>{html.escape(line)}</p>" for line in sentences if line]
    parts.append(warnings_html(warnings))
    parts += [figure_html(figure, f"figure-{number}") for number, figure in enumerate(figures)]
    parts += [table.html() for table in tables]
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


def _asset(name: str) -> str:
    return resources.files("archsearch.plots").joinpath(name).read_text(encoding="utf-8")
