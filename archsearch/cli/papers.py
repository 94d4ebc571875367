"""`archsearch papers`: the papers' printed numbers beside the computed and the measured ones."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from archsearch.cli.console import console, error_console, plural, print_json
from archsearch.cli.options import JsonOption, StorageOption
from archsearch.errors import ConfigError

if TYPE_CHECKING:
    from archsearch.api.papers import ComparedPaper, ComparedTable, PapersReport


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
                console.print(_table(paper, table))
                _print_below(table)
    _print_summary(report)


def _table(paper: ComparedPaper, found: ComparedTable) -> Table:
    from archsearch.api.papers_text import computed_text, match_text, printed_text
    from archsearch.papers.match import Outcome

    number = found.table.table
    title = f"{paper.paper.key}, table {number}: {found.table.caption}"
    table = Table(title=escape(title), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("row")
    table.add_column("network")
    table.add_column("number")
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


def _print_below(found: ComparedTable) -> None:
    from archsearch.api.papers_text import measured_text, note_of

    notes = {
        f"{row.row.model}: {note_of(each)}": None for row in found.rows for _, each in row.compared() if note_of(each)
    }
    measured = {f"{row.row.variant}: {measured_text(each)}": None for row in found.rows for each in row.measured}
    for line in notes:
        console.print(f"note      {line}", markup=False)
    for line in measured:
        console.print(f"measured  {line}", markup=False)
    if notes or measured:
        console.print()


def _print_summary(report: PapersReport) -> None:
    from archsearch.api.papers_text import printed_text

    missing = [each for each in report.missing if each.number.match is None]
    if missing:
        table = Table(
            title="Printed counts that are not computed", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False
        )
        for name in ("paper", "table", "row"):
            table.add_column(name)
        table.add_column("printed", justify="right")
        table.add_column("why")
        for each in missing:
            cells = (each.paper, each.table, each.model, printed_text(each.number.number), each.reason)
            table.add_row(*(escape(cell) for cell in cells))
        console.print(table)
    console.print(
        plural(sum(report.counts.values()), "printed value")
        + ": "
        + ", ".join(f"{number} {outcome}" for outcome, number in report.counts.items())
    )
    for reason, number in report.reasons.items():
        console.print(f"{number:5d}  {reason}", markup=False)
    if report.studies:
        console.print(f"measured in: {', '.join(report.studies)}", markup=False)
