"""One self-contained HTML page: figures, tables, conditions. It needs no network and works from a file."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypedDict, Unpack

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from archsearch.errors import ArchsearchError, ConfigError
from archsearch.files import write_atomically
from archsearch.plots.style import DARK
from archsearch.table import Table, html_sentence, json_script

TOP_PX = 24  # above a figure without its title; as in page.js
_TEMPLATES = Environment(
    loader=PackageLoader("archsearch", ""), autoescape=True, trim_blocks=True, undefined=StrictUndefined
)
_TEMPLATES.filters["sentence"] = lambda words: Markup(html_sentence(words))


class Contents(TypedDict, total=False):
    """What a page may have beside figures.

    Attributes:
        subtitle, sentences, warnings: plain text; the first sentence, the answer, stands above the first figure.
        tables: below the figures, sortable and downloadable as CSV.
        facts: (name, value) of the conditions, at the end.
        command: what was typed to make the page.
    """

    subtitle: Sequence[str]
    sentences: Sequence[str]
    warnings: Sequence[str]
    tables: Sequence[Table]
    facts: Sequence[tuple[str, str]]
    command: str | None


def write_page(
    figures: go.Figure | Sequence[go.Figure], path: Path, *, title: str, **contents: Unpack[Contents]
) -> None:
    """Write a page to an HTML file, whole or not at all.

    Args:
        figures: drawn to the window's width; their own titles are left out, since the page has `title` (plain text).

    Raises ArchsearchError if the file cannot be written.
    """
    drawn = [figures] if isinstance(figures, go.Figure) else list(figures)
    write_atomically(path, page_text(drawn, title=title, **contents).encode("utf-8"))


def page_text(figures: Sequence[go.Figure], *, title: str, **contents: Unpack[Contents]) -> str:
    """The page's HTML; see `write_page`."""
    values: dict[str, Any] = {"subtitle": (), "sentences": (), "warnings": (), "facts": (), "command": None, **contents}
    label = " ".join((f"{title}.", *contents.get("sentences", ())[:1]))
    values["figures"] = [figure_html(figure, f"figure-{number}", label=label) for number, figure in enumerate(figures)]
    values["tables"] = [Markup(table.html()) for table in contents.get("tables", ())]
    return rendered("plots/page.html.j2", title=title, with_plotly=bool(figures), **values)


def rendered(template: str, *, title: str, with_plotly: bool, assets: Sequence[str] = (), **values: Any) -> str:
    """A whole HTML file of a template of the package that is, or extends, `plots/page.html.j2`.

    Args:
        with_plotly: whether a figure is in it: plotly.js is most of the file.
        assets: more styles and scripts, after the page's own: files of the package without `.css` and `.js`.
        values: what the template names; all but Markup is escaped.
    """
    return _TEMPLATES.get_template(template).render(
        title=title,
        plotly=Markup(get_plotlyjs()) if with_plotly else "",
        dark=Markup(json_script(DARK, name="dark")),
        styles=[_asset(f"{name}.css") for name in ("plots/page", *assets)],
        scripts=[_asset(f"{name}.js") for name in ("plots/page", *assets)],
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


def _asset(path: str) -> Markup:
    return Markup(resources.files("archsearch").joinpath(path).read_text(encoding="utf-8"))


# A figure as a PNG file, drawn by a Chrome or Chromium without window through kaleido (extra `png`).

logger = logging.getLogger(__name__)

_TITLE_ROWS = 3  # of a legend's group
_LEGEND_ROW = 1.55  # height of an entry in sizes of its font, gaps included

_BROWSER_HINT = (
    "install Chromium or Chrome (Debian, Ubuntu: `apt install chromium`; elsewhere: `kaleido_get_chrome`), "
    "or name one with the environment variable BROWSER_PATH"
)


def write_png(figure: go.Figure, path: Path, *, width: int = 1100, height: int = 700, scale: float = 2.0) -> None:
    """Draw the figure at `width` x `height` (pixels, times `scale`) into a PNG file, whole or not at all.

    Needs no network. The browser runs without its sandbox, kaleido's default, so this also works as root and in
    containers; it only ever opens the page that kaleido makes of this figure.

    Raises ArchsearchError if kaleido or a browser is missing or fails, or if the file cannot be written;
    ConfigError for a size that is not positive.
    """
    if width <= 0 or height <= 0 or scale <= 0:
        raise ConfigError(f"png: a positive size is needed, got {width} x {height} pixels at scale {scale}")
    write_atomically(path, png_bytes(figure, width=width, height=height, scale=scale))
    logger.debug("wrote %s", path)


def legend_height(figure: go.Figure, height: int) -> int:
    """The height (pixels) at which a legend beside the plot is whole, at least `height`.

    On a page it can be scrolled; in a picture it would be cut.
    """
    legend, margin = figure.layout.legend, figure.layout.margin
    if not figure.data or legend.x is None or legend.x <= 1 or legend.font.size is None:
        return height
    rows = _TITLE_ROWS + sum(bool(trace.name) and trace.showlegend is not False for trace in figure.data)
    needed = float(margin.t + margin.b + _LEGEND_ROW * legend.font.size * rows)
    return max(height, math.ceil(needed))


def png_bytes(figure: go.Figure, *, width: int, height: int, scale: float) -> bytes:
    """The PNG file's content. Raises as `write_png`."""
    try:
        import kaleido
        from kaleido.errors import BrowserClosedError, BrowserFailedError, ChromeNotFoundError, KaleidoError
    except ImportError as error:
        raise ArchsearchError("png: kaleido is not installed", hint="pip install 'archsearch[png]'") from error
    named = os.environ.get("BROWSER_PATH")
    if named and not Path(named).is_file():
        raise ArchsearchError(f"png: BROWSER_PATH names no file: {named}", hint=_BROWSER_HINT)
    # MathJax would be fetched from the network, and a `$` in a name is no formula.
    try:
        content = kaleido.calc_fig_sync(
            figure.to_dict(),
            opts={"format": "png", "width": width, "height": height, "scale": scale},
            kopts={"mathjax": False},
        )
    except ChromeNotFoundError as error:
        raise ArchsearchError("png: no Chrome or Chromium was found", hint=_BROWSER_HINT) from error
    except (BrowserFailedError, BrowserClosedError, KaleidoError, OSError, TimeoutError) as error:
        raise ArchsearchError(f"png: the browser could not draw the figure: {error}", hint=_BROWSER_HINT) from error
    return bytes(content)
