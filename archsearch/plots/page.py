"""One self-contained HTML page: figures, tables, conditions. It needs no network and works from a file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from archsearch.files import write_atomically
from archsearch.table import Table

_TEMPLATES = Environment(
    loader=PackageLoader("archsearch", ""), autoescape=True, trim_blocks=True, undefined=StrictUndefined
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
    return rendered(
        "plots/page.html.j2",
        title=title,
        with_plotly=bool(figures),
        subtitle=subtitle,
        sentences=sentences,
        warnings=warnings,
        figures=[figure_html(figure, f"figure-{number}") for number, figure in enumerate(figures)],
        tables=[Markup(table.html()) for table in tables],
        facts=facts,
        command=command,
    )


def rendered(
    template: str,
    *,
    title: str,
    with_plotly: bool,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    **values: Any,
) -> str:
    """A whole HTML file of a template of the package that is, or extends, `plots/page.html.j2`.

    Args:
        with_plotly: whether a figure is in it: plotly.js is most of the file.
        styles, scripts: more of them, after the page's own.
        values: what the template names; all but Markup is escaped.
    """
    return _TEMPLATES.get_template(template).render(
        title=title,
        plotly=Markup(get_plotlyjs()) if with_plotly else "",
        styles=[Markup(style) for style in (_asset("page.css"), *styles)],
        scripts=[Markup(script) for script in (_asset("page.js"), *scripts)],
        **values,
    )


def figure_html(figure: go.Figure, name: str, *, height_px: int | None = None) -> Markup:
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
    return Markup(f'<div class="figure"{height}>{drawn}</div>')


def _asset(name: str) -> str:
    return resources.files("archsearch.plots").joinpath(name).read_text(encoding="utf-8")
