"""`archsearch report`: one page to share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from archsearch.cli.console import console, error_console, show_written, typed_command
from archsearch.cli.options import StorageOption, StudyOption
from archsearch.errors import ConfigError


def report(
    study: StudyOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where it goes. Default: runs/STUDY/report.html.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown instead: answer, front, verdicts, ablations, methods.")
    ] = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print the front and ablation tables in LaTeX instead.")
    ] = False,
    storage: StorageOption = None,
) -> None:
    """Write one self-contained page: which networks to take, why, and how sure that is.

    The page needs no network and no server: send the file. A click on a point of the front shows its network, its
    learning curve and the command that retrains it.

    Examples:
    archsearch report
    archsearch report --study quickstart --out quickstart.html
    archsearch report --markdown --out front.md
    """
    if markdown and latex:
        raise ConfigError("--markdown and --latex are two reports", hint="ask for one after the other")
    words = markdown or latex
    from archsearch.api.study import open_study

    error_console.print("reading the study and all that was found out of it")
    opened = open_study(study, storage=storage)  # before the rest is imported: a wrong name is answered at once

    from archsearch.api import report as reports
    from archsearch.files import write_atomically

    made = reports.make_report(opened, storage=storage, command=typed_command(), figures=not words)
    if words:
        text = reports.report_markdown(made) if markdown else reports.report_latex(made)
        if out is None:
            sys.stdout.write(text)
            return
        write_atomically(out, text.encode("utf-8"))
        show_written(out)
        return
    path = reports.write_report(made, out)
    for line in (opened.conditions_text, *made.answer):
        console.print(line, markup=False)
    show_written(path)
