"""A report as one self-contained HTML page, which needs no network and works from a file: `report.html.j2`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from archsearch.analysis.baseline import changes_text
from archsearch.plots.page import figure_html, rendered
from archsearch.report.study_sections import Drawing, Report, Section
from archsearch.table import Table, json_script
from archsearch.table import markdown_escaped as escaped


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
        shown=lambda table, level: Markup(table.without_empty_columns().html(level=level)),
        networks=Markup(json_script(report.networks, name="networks")),
    )


def _drawn(drawing: Drawing) -> tuple[Markup, Markup]:
    """A figure, and its data, folded away."""
    figure = drawing.draw(drawing.result)
    tables = (
        table.folded_html(summary=f"The data of this figure: {table.title.lower()} ({len(table.rows):,} rows)")
        for table in drawing.tables
    )
    label = f"{drawing.title}. {drawing.caption}"
    return figure_html(figure, drawing.name, label=label, height_px=drawing.height_px), Markup("".join(tables))


# The front and the ablations of a report as LaTeX tables; they need the package booktabs.

# What a printed page has room for; the report's page and its CSV have the rest.
_FRONT = ("trial", "network", "top1_percent", "latency_ms", "params", "macs")


def latex_text(report: Report) -> str:
    """The tables, each in a float with caption and label; names are escaped."""
    blocks = ["% \\usepackage{booktabs}"]
    for section in report.sections:
        if section.key == "front":
            under = ", ".join(report.subtitle).replace(" · ", ", ")
            blocks += [
                table.select(*_FRONT).latex(
                    label="tab:front",
                    caption=f"{report.title}: the front. {under}. {table.note}",
                )
                for table in section.tables[:1]
                if table.rows
            ]
        if section.key == "ablation":
            for number, part in enumerate(section.parts, start=1):
                blocks += [
                    table.latex(
                        label=f"tab:ablation-{number}.{place}", caption=f"{part.title}. {table.title}. {table.note}"
                    )
                    for place, table in enumerate(part.tables, start=1)
                    if table.rows and not table.wide
                ]
    if len(blocks) == 1:
        title = " ".join(report.title.split())  # it may not end the line
        blocks.append(f"% {title}: no network on a front and no ablation, so there is no table.")
    return "\n\n".join(blocks) + "\n"


# A report as Markdown, for a README or a paper's appendix: answer, front, verdicts, ablations, methods.

# Sections that are told by a figure alone stay on the page.
SECTIONS = ("front", "final", "confirmed", "variants", "ablation", "trust", "trained", "confusion", "methods")


def markdown_text(report: Report) -> str:
    """The report; every name in it is escaped."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {escaped(report.title)}\n"
    for line in report.subtitle:
        yield f"{escaped(line)}\n"
    yield f"*{escaped(report.question)}*\n"
    yield "## The answer\n"
    for line in report.answer:
        yield f"{escaped(line)}\n"
    if report.choices:
        yield from _piece(report.choices, "###")
    if report.picks:
        yield "### The networks to take\n"
    for pick in report.picks:
        measures = ", ".join(f"{name.lower()} {value}" for name, value in pick.measures)
        yield f"* **{escaped(pick.label)}** ({escaped(', '.join(pick.roles))}): {escaped(measures)}."
        for line in pick.certainty:
            yield f"  {escaped(line)}"
        if pick.changes:
            yield f"  Differs in: {escaped(changes_text(pick.changes))}."
        yield ""
        yield f"      {pick.command}"
        if pick.confirm:
            yield f"      {pick.confirm}"
        yield ""
    for section in report.sections:
        if section.key in SECTIONS:
            yield from _piece(section, "##")


def _piece(piece: Section, heading: str) -> Iterator[str]:
    yield f"{heading} {escaped(piece.title)}\n"
    for line in (*piece.sentences, *(f"Caution: {warning}" for warning in piece.warnings)):
        yield f"{escaped(line)}\n"
    yield from _points(piece.points)
    for table in piece.tables:
        yield from _table(table)
    yield from _points(piece.more)
    for part in piece.parts:
        yield from _piece(part, f"{heading}#")
    yield from _points([f"{name}: {value}" for name, value in piece.facts])
    if piece.command:
        yield f"    {piece.command}\n"


def _points(points: Sequence[str]) -> Iterator[str]:
    for line in points:
        yield f"* {escaped(line)}"
    if points:
        yield ""


def _table(table: Table) -> Iterator[str]:
    if not table.rows or table.wide:
        return
    if table.title:
        yield f"**{escaped(table.title)}**\n"
    if table.note:
        yield f"{escaped(table.note)}\n"
    yield table.without_empty_columns().markdown() + "\n"
