"""A report as Markdown, for a README or a paper's appendix: answer, front, verdicts, ablations, methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archsearch.analysis.baseline import changes_text
from archsearch.report.sections import Report, Section, Subsection
from archsearch.table import Table
from archsearch.table import markdown_escaped as escaped

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


def _piece(piece: Subsection, heading: str) -> Iterator[str]:
    yield f"{heading} {escaped(piece.title)}\n"
    for line in (*piece.sentences, *(f"Caution: {warning}" for warning in piece.warnings)):
        yield f"{escaped(line)}\n"
    yield from _points(piece.points)
    for table in piece.tables:
        yield from _table(table)
    yield from _points(piece.more)
    if isinstance(piece, Section):
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
