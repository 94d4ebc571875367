"""`archsearch plot`: one picture of a study, beside the data that it shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from archsearch.cli import completion
from archsearch.cli.console import console, show_written, typed_command
from archsearch.cli.options import StorageOption, StudyOption
from archsearch.errors import ConfigError
from archsearch.table import Column, Table


def plot(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", autocompletion=completion.plots, help="Which plot. Without a name, they are listed."
        ),
    ] = None,
    study: StudyOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="A page (.html), a picture (.png, extra `png`), the data (.json, .csv) or its tables (.md, .tex). "
            "Default: runs/STUDY/NAME.html.",
        ),
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="KEY=VALUE", help="An option of the plot's analysis. Repeatable."),
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="A picture: runs/STUDY/NAME.png.")] = False,
    storage: StorageOption = None,
) -> None:
    """Draw one plot of a study; without a name, list the plots.

    Examples:
    archsearch plot
    archsearch plot latencies --study quickstart
    archsearch plot front --out front.png
    """
    from archsearch.plots.summaries import SUMMARIES, check_plot

    if name is None:
        if study is not None or out is not None or png or with_:
            raise ConfigError("which plot is not said", hint=f"one of {', '.join(SUMMARIES)}")
        _list(SUMMARIES)
        return
    if png and out is not None:
        raise ConfigError("--png and --out were both given", hint="choose one: --out FILE.png is a picture, too")
    check_plot(name)  # before a study is looked for
    from archsearch.api.study import open_study

    opened = open_study(study, storage=storage)  # before the rest is imported: a wrong name is answered at once

    from archsearch.api.paths import study_folder
    from archsearch.api.plots import write_plot

    path = study_folder(opened.name) / f"{name}.png" if png else out
    show_written(write_plot(opened, name, path, options=_options(with_ or []), command=typed_command()))


def _options(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if not all(pair.partition("=")):
            raise ConfigError(f"--with {pair}: expected KEY=VALUE")
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in pairs}


def _list(summaries: Mapping[str, str]) -> None:
    columns = (Column(title="Plot", whole=True), Column(title="What it shows"))
    console.print(Table(title="", columns=columns, rows=tuple(summaries.items())).to_rich(width=console.width))
    console.print("archsearch plot NAME --study STUDY   writes runs/STUDY/NAME.html", markup=False)
