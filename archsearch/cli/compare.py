"""`archsearch compare`: the same networks in several studies or on several devices, and how alike they rank."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from archsearch.cli.console import console, is_terminal, print_json, show, typed_command
from archsearch.cli.options import JsonOption, StorageOption


def compare(
    studies: Annotated[
        list[str],
        typer.Argument(metavar="STUDY STUDY ...", help="Stored studies; or one, measured on several devices."),
    ],
    plot: Annotated[
        bool, typer.Option("--plot", help="Write compare.html, one self-contained page; a terminal opens it.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write compare.csv: every shared network.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, help="Shared networks to list, the fastest first.")
    ] = 20,
    json: JsonOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the files go. Default: runs/STUDY of the first.")
    ] = None,
    storage: StorageOption = None,
) -> None:
    """Compare studies: do they, or their devices, rank the same networks alike, and which ones move?

    Examples:
    archsearch compare laptop server
    archsearch compare cifar10 cifar100 --plot --csv
    """
    from archsearch.api.compare import compare as compared
    from archsearch.api.output import result_json, write
    from archsearch.api.paths import study_folder
    from archsearch.plots.comparison import comparison_figure

    found = compared(studies, storage=storage)
    folder = out or study_folder(found.studies[0])
    written = []
    if plot:
        page = folder / "compare.html"
        written.append(write(found, page, figure=comparison_figure, command=typed_command()))
    if csv:
        written.append(write(found, folder / "compare.csv"))
    if json:
        print_json(result_json(found))
        return
    show(found, limit=limit)
    for path in written:
        console.print(f"wrote {path}", markup=False)
    if plot and is_terminal():
        webbrowser.open((folder / "compare.html").resolve().as_uri())
