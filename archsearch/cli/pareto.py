"""`archsearch pareto`: the front of a study, as a table, a page, a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli.console import show_answer, show_written, tell, typed_command
from archsearch.cli.options import JsonOption, StorageOption, StudyOption, VerboseOption

if TYPE_CHECKING:
    from archsearch.table import Result


def pareto(
    study: StudyOption = None,
    plot: Annotated[
        bool, typer.Option("--plot", help="Write pareto.html, one self-contained page; a terminal opens it.")
    ] = False,
    png: Annotated[bool, typer.Option("--png", help="Write pareto.png (extra `png`).")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write pareto.csv: every complete network.")] = False,
    final: Annotated[
        bool,
        typer.Option("--final", help="The networks trained in full (`archsearch retrain`); files are named final."),
    ] = False,
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
    archsearch pareto --final --plot
    """
    from archsearch.api.study import open_study

    opened = open_study(study, storage=storage)  # before the rest is imported: a wrong name is answered at once

    from archsearch.analysis.front import front_rows
    from archsearch.api.analyses import study_front
    from archsearch.api.output import write_csv
    from archsearch.api.paths import study_folder
    from archsearch.api.plots import result_of, write_plot
    from archsearch.plots.catalog import PLOTS

    folder = out or study_folder(opened.name)
    written = []
    file, drawn = ("final", "final") if final else ("pareto", "front")
    front = None if final else study_front(opened)
    found: Result = result_of(opened, PLOTS["final"]) if front is None else front
    for wanted, end in ((plot, "html"), (png, "png")):
        if wanted:
            written.append(write_plot(opened, drawn, folder / f"{file}.{end}", command=typed_command()))
    if csv:
        rows = found.tables()[0].dicts() if front is None else front_rows(front)
        written.append(write_csv(rows, folder / f"{file}.csv"))
    if json or front is None:
        tell(found, *written, json=json)
        return
    show_answer(front, published=True)
    show_written(*written)
