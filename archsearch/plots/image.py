"""A figure as a PNG file, drawn by a Chrome or Chromium without window through kaleido (extra `png`)."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path

import plotly.graph_objects as go

from archsearch.errors import ArchsearchError, ConfigError
from archsearch.files import write_atomically

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
