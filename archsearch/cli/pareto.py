"""`archsearch pareto`: the front of a study, as a table, a page, a picture."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from archsearch.cli.console import console, is_terminal, print_json, typed_command
from archsearch.cli.options import JsonOption, StorageOption, StudyOption

if TYPE_CHECKING:
    from archsearch.api.study import Study


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
    storage: StorageOption = None,
) -> None:
    """Show the accuracy-latency front, and what became of each published network.

    Examples:
    archsearch pareto
    archsearch pareto --study quickstart --plot --csv
    """
    from archsearch.api import pareto as outputs
    from archsearch.api.paths import study_folder
    from archsearch.api.plots import write_plot
    from archsearch.api.study import open_study
    from archsearch.cli.tables import front_view, recommendation_view

    opened = open_study(study, storage=storage)
    folder = out or study_folder(opened.name)
    written = []
    for wanted, name in ((plot, "pareto.html"), (png, "pareto.png")):
        if wanted:
            written.append(write_plot(opened, "front", folder / name, storage=storage, command=typed_command()))
    if csv:
        written.append(outputs.write_table(opened, folder / "pareto.csv"))
    if json:
        print_json(outputs.front_json(opened))
        return
    front_view(opened, console)
    if opened.design is not None:
        console.print(
            f"a design ({opened.design.purpose} of {opened.design.of}): each network once, means over its seeds",
            markup=False,
        )
    _print_verdicts(opened)
    _print_retrained(opened)
    recommendation_view(opened.recommendation, console)
    for path in written:
        console.print(f"wrote {path}", markup=False)
    if plot and is_terminal():
        webbrowser.open((folder / "pareto.html").resolve().as_uri())


def _print_verdicts(study: Study) -> None:
    if not study.verdicts:
        return
    table = Table(title="Published networks", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in ("network", "verdict", "by"):
        table.add_column(name, no_wrap=name != "verdict")
    for name in ("points", "ms"):
        table.add_column(name, justify="right")
    for verdict in study.verdicts:
        lost = "" if verdict.accuracy_points is None else _signed(-verdict.accuracy_points, 2)
        slower = "" if verdict.faster_ms is None else _signed(verdict.faster_ms, 3)
        table.add_row(
            escape(verdict.variant),
            escape(verdict.standing.value),
            escape(verdict.by.label if verdict.by else ""),
            lost,
            slower,
        )
    console.print(table)
    for name, reading in study.readings.items():
        console.print(f"{name}: {reading}", markup=False)
    console.print("points: accuracy against the network named; ms: latency (drift-corrected p10) against it")


def _print_retrained(study: Study) -> None:
    if not study.retrainings:
        return
    table = Table(title="Retrained in full", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("network", no_wrap=True)
    table.add_column("protocol")
    for name in ("epochs", "seeds", "test top-1 %"):
        table.add_column(name, justify="right")
    for each in study.retrainings:
        spread = "" if each.std_top1_percent is None else f" ± {each.std_top1_percent:.2f}"
        table.add_row(
            escape(each.label),
            escape(each.protocol),
            str(each.epochs),
            str(each.seeds),
            f"{each.mean_top1_percent:.2f}{spread}",
        )
    console.print(table)


def _signed(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:+.{decimals}f}"  # + 0.0: a tie is +0.00, never -0.00
