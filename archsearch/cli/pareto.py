"""`archsearch pareto`: the front of a study, as a table, a page, a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsearch.cli.console import show_answer, show_written, tell, typed_command
from archsearch.cli.options import JsonOption, StorageOption, StudyOption, VerboseOption


def pareto(
    study: StudyOption = None,
    plot: Annotated[
        bool, typer.Option("--plot", help="Write pareto.html, one self-contained page; a terminal opens it.")
    ] = False,
    png: Annotated[bool, typer.Option("--png", help="Write pareto.png (extra `png`).")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write pareto.csv: every complete network.")] = False,
    json: JsonOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the files go. Default: runs/STUDY.")
    ] = None,
    verbose: VerboseOption = False,
    storage: StorageOption = None,
) -> None:
    """Show the accuracy-latency front, and what became of each published network.

    Examples:
    archsearch pareto
    archsearch pareto --study quickstart --plot --csv
    """
    from archsearch.api.study import open_study

    opened = open_study(study, storage=storage)  # before the rest is imported: a wrong name is answered at once

    from archsearch.analysis.front import front_rows
    from archsearch.api.analyses import study_front
    from archsearch.api.output import write_csv
    from archsearch.api.paths import study_folder
    from archsearch.api.plots import write_plot

    folder = out or study_folder(opened.name)
    written = []
    for wanted, name in ((plot, "pareto.html"), (png, "pareto.png")):
        if wanted:
            written.append(write_plot(opened, "front", folder / name, command=typed_command()))
    found = study_front(opened)
    if csv:
        written.append(write_csv(front_rows(found), folder / "pareto.csv"))
    if json:
        tell(found, json=True)
        return
    show_answer(found, published=True)
    show_written(*written)
