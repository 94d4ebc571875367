"""`archsearch papers`: the papers' printed numbers beside the computed and the measured ones."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from archsearch.cli.console import console, error_console, print_json
from archsearch.cli.options import JsonOption, StorageOption
from archsearch.errors import ConfigError
from archsearch.text import plural

if TYPE_CHECKING:
    from archsearch.api.papers import ComparedPaper, ComparedTable, PapersReport


_PLURAL = {"rounds to it": "round to the printed number", "differs": "differ"}


def papers(
    paper: Annotated[
        str | None,
        typer.Option("--paper", "-p", metavar="KEY", help="One source, e.g. ldc or shufflenet_v2. Default: all."),
    ] = None,
    json: JsonOption = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the whole comparison as Markdown (docs/papers.md).")
    ] = False,
    storage: StorageOption = None,
) -> None:
    """Compare every printed number of the papers with the computed one, and with what was measured here.

    Examples:
    archsearch papers
    archsearch papers --paper ldc
    archsearch papers --json
    """
    from archsearch.api.papers import compare_papers
    from archsearch.api.papers_page import markdown as page
    from archsearch.api.papers_page import to_dict

    if json and markdown:
        raise ConfigError("--json and --markdown were both given", hint="choose one")
    with error_console.status("reading the papers") as status:
        report = compare_papers(
            paper,
            storage=storage,
            progress=lambda name, done, total: status.update(f"counting {name} ({done + 1} of {total})"),
        )
    if json:
        print_json(to_dict(report))
    elif markdown:
        sys.stdout.write(page(report))
    else:
        _print(report)


def _print(report: PapersReport) -> None:
    for paper in report.papers:
        for table in paper.tables:
            if table.computable:
                console.print(_compared_table(paper, table))
                _print_notes(table)
            measured = _measured_table(paper, table)
            if measured is not None:
                console.print(measured)
    _print_summary(report)


def _compared_table(paper: ComparedPaper, found: ComparedTable) -> Table:
    from archsearch.api.papers_text import computed_text, match_text, printed_text, title_of
    from archsearch.papers.match import Outcome

    table = _titled(f"{paper.paper.key}, {title_of(found.table)}", "row", "network", "number")
    table.add_column("printed", justify="right")
    table.add_column("computed", justify="right")
    table.add_column("convention", no_wrap=True)
    table.add_column("match")
    for row in found.rows:
        for _, each in row.compared():
            differs = each.match is not None and each.match.outcome == Outcome.DIFFERS
            match = match_text(each)
            table.add_row(
                escape(row.row.model),
                escape(row.row.variant or ""),
                escape(each.number.label),
                escape(printed_text(each.number)),
                escape(computed_text(each)),
                each.number.convention or "",
                f"[yellow]{match}[/]" if differs else match,
            )
    return table


def _measured_table(paper: ComparedPaper, found: ComparedTable) -> Table | None:
    from archsearch.api.papers_text import measured_rows, title_of

    rows = list(measured_rows(found))
    title = f"{paper.paper.key}, {title_of(found.table)}: measured here"
    table = _titled(title, "row", "network", "printed", "measured")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table if rows else None


def _titled(title: str, *columns: str) -> Table:
    table = Table(title=escape(title), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in columns:
        table.add_column(name)
    return table


def _print_notes(found: ComparedTable) -> None:
    from archsearch.api.papers_text import note_of

    notes = dict.fromkeys(
        f"{row.row.model}: {note_of(each)}" for row in found.rows for _, each in row.compared() if note_of(each)
    )
    for line in notes:
        console.print(f"note  {line}", markup=False)
    if notes:
        console.print()


def _print_summary(report: PapersReport) -> None:
    from archsearch.api.papers_text import printed_text

    missing = [each for each in report.missing if each.number.match is None]
    if missing:
        table = _titled("Printed counts that are not computed", "paper", "table", "row")
        table.add_column("printed", justify="right")
        table.add_column("why")
        for each in missing:
            cells = (each.paper, each.table, each.model, printed_text(each.number.number), each.reason)
            table.add_row(*(escape(cell) for cell in cells))
        console.print(table)
    console.print(
        plural(sum(report.counts.values()), "printed value")
        + ": "
        + ", ".join(f"{number} {_PLURAL.get(outcome, outcome)}" for outcome, number in report.counts.items())
    )
    for reason, number in report.reasons.items():
        console.print(f"{number:5d}  {reason}", markup=False)
    if report.studies:
        console.print(f"measured in: {', '.join(report.studies)}", markup=False)
