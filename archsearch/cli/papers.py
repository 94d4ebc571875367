"""`archsearch papers`: the papers' printed numbers beside the computed and the measured ones."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli.console import console, error_console, print_json
from archsearch.cli.options import JsonOption, StorageOption
from archsearch.errors import ConfigError
from archsearch.text import plural

if TYPE_CHECKING:
    from archsearch.api.papers import PapersReport
    from archsearch.table import Table


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
    from archsearch.api.papers import compare_papers, to_dict
    from archsearch.api.papers import markdown as page

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
    from archsearch.api.papers import compared_table, measured_table, missing_table, notes_of

    for paper in report.papers:
        for table in paper.tables:
            if table.computable:
                _print_table(paper.paper.key, compared_table(table))
                for line in notes_of(table):
                    console.print(f"note  {line}", markup=False)
            _print_table(paper.paper.key, measured_table(table))
    _print_table("", missing_table(report.missing))
    console.print(
        plural(sum(report.counts.values()), "printed value")
        + ": "
        + ", ".join(f"{number} {_PLURAL.get(outcome, outcome)}" for outcome, number in report.counts.items())
    )
    for reason, number in report.reasons.items():
        console.print(f"{number:5d}  {reason}", markup=False)
    if report.studies:
        console.print(f"measured in: {', '.join(report.studies)}", markup=False)


def _print_table(key: str, table: Table) -> None:
    if table.rows:
        titled = replace(table, title=f"{key}, {table.title}") if key else table
        console.print(titled.without_empty_columns().to_rich(width=console.width))
