"""One self-contained HTML page: figures, tables, conditions. It needs no network and works from a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from archsearch.files import write_atomically
from archsearch.plots.style import DARK
from archsearch.table import Table, html_sentence, json_script

TOP_PX = 24  # above a figure without its title; as in page.js
_TEMPLATES = Environment(
    loader=PackageLoader("archsearch", ""), autoescape=True, trim_blocks=True, undefined=StrictUndefined
)
_TEMPLATES.filters["sentence"] = lambda words: Markup(html_sentence(words))


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
        title, subtitle, sentences, warnings: plain text; the first sentence, the answer, stands above the first figure.
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
        figures=[
            figure_html(figure, f"figure-{number}", label=" ".join((f"{title}.", *sentences[:1])))
            for number, figure in enumerate(figures)
        ],
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
        dark=Markup(json_script(DARK, name="dark")),
        styles=[Markup(style) for style in (_asset("page.css"), *styles)],
        scripts=[Markup(script) for script in (_asset("page.js"), *scripts)],
        **values,
    )


def figure_html(figure: go.Figure, name: str, *, label: str, height_px: int | None = None) -> Markup:
    """A figure without its title, as data that the page's script draws: as wide as the window, in the screen's colours.

    A figure whose layout's `meta` has a `least_width` (pixels) is made smaller as a whole in narrower windows, and
    moved sideways in very narrow ones; one with `narrow` has these annotations on a phone.

    Args:
        name: its element's id.
        label: what is seen, for who does not see it.
        height_px: of a figure whose layout has none; None: the window's.
    """
    drawn = json.loads(figure.to_json())
    layout = {key: value for key, value in drawn["layout"].items() if key not in ("title", "width", "height")}
    own = figure.layout.height
    height = height_px if own is None else own - (figure.layout.margin.t or TOP_PX) + TOP_PX
    stored = {"data": drawn["data"], "layout": layout, "height": height, "rows": own is not None}
    style = "" if height is None else f' style="height:{round(height)}px"'
    return Markup(
        f'<div class="figure"{style}><div class="drawing" id="{escape(name)}" role="img" aria-label="{escape(label)}">'
        f"</div>{json_script(stored)}</div>"
    )


def _asset(name: str) -> str:
    return resources.files("archsearch.plots").joinpath(name).read_text(encoding="utf-8")
