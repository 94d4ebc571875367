"""A report as one self-contained HTML page, which needs no network and works from a file: `report.html.j2`."""

from __future__ import annotations

from markupsafe import Markup

from archsearch.plots.page import figure_html, rendered
from archsearch.report.sections import Drawing, Report
from archsearch.table import Table, json_script

_DEFAULT_HEIGHT_PX = 520


def html_text(report: Report) -> str:
    """The page. Every name in it is escaped, in the text and in the data of its scripts."""
    return rendered(
        "report/report.html.j2",
        title=report.title,
        with_plotly=report.glance is not None
        or any(each.drawings or any(part.drawings for part in each.parts) for each in report.sections),
        assets=("report/report",),
        report=report,
        draw=_drawn,
        shown=_shown,
        networks=Markup(json_script(report.networks, name="networks")),
    )


def _shown(table: Table, level: int) -> Markup:
    return Markup(table.without_empty_columns().html(level=level))


def _drawn(drawing: Drawing) -> tuple[Markup, Markup]:
    """A figure, and its data, folded away."""
    figure = drawing.draw(drawing.result)
    tables = (
        table.folded_html(summary=f"The data of this figure: {table.title.lower()} ({len(table.rows):,} rows)")
        for table in drawing.tables
    )
    label = f"{drawing.title}. {drawing.caption}"
    return figure_html(figure, drawing.name, label=label, height_px=drawing.height_px or _DEFAULT_HEIGHT_PX), Markup(
        "".join(tables)
    )
