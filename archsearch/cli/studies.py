"""Commands about stored studies: `pareto`, `plot`, `report` show one; `studies`, `compare`, `replay` what there is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli import completion
from archsearch.cli.console import console, error_console, print_json, show_answer, show_written, tell, typed_command
from archsearch.cli.options import (
    JsonOption,
    StorageOption,
    StudyOption,
    VerboseOption,
    check_files_asked,
    check_read,
    named_values,
    one_of,
    page_option,
)
from archsearch.errors import ConfigError
from archsearch.table import Column, Table

if TYPE_CHECKING:
    from archsearch.table import Result


def pareto(
    study: StudyOption = None,
    plot: Annotated[bool, page_option("pareto.html")] = False,
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
    check_files_asked(out, plot=plot, png=png, csv=csv)
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
    show_answer(front, named=opened.named, published=True)
    show_written(*written)


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
        if study is not None or out is not None or png or with_ or storage is not None:
            raise ConfigError("which plot is not said", hint=f"one of {', '.join(SUMMARIES)}")
        columns = (Column(title="Plot", whole=True), Column(title="What it shows"))
        console.print(Table(title="", columns=columns, rows=tuple(SUMMARIES.items())).to_rich(width=console.width))
        console.print("archsearch plot NAME --study STUDY   writes runs/STUDY/NAME.html", markup=False)
        return
    if png and out is not None:
        raise ConfigError("--png and --out were both given", hint="choose one: --out FILE.png is a picture, too")
    check_plot(name)  # before a study is looked for
    from archsearch.api.study import open_study

    opened = open_study(study, storage=storage)  # before the rest is imported: a wrong name is answered at once

    from archsearch.api.paths import study_folder
    from archsearch.api.plots import write_plot

    path = study_folder(opened.name) / f"{name}.png" if png else out
    options = named_values("--with", with_ or [], example="choices=width,stage2.kernel")
    show_written(write_plot(opened, name, path, options=options, command=typed_command()))


def report(
    study: StudyOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="A page (.html), Markdown (.md) or tables in LaTeX (.tex). Default: runs/STUDY/report.html.",
        ),
    ] = None,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="Print Markdown instead, or write FILE.md: answer, front, verdicts, ablations, methods."
        ),
    ] = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print the front and ablation tables in LaTeX instead, or write FILE.tex.")
    ] = False,
    storage: StorageOption = None,
) -> None:
    """Write one self-contained page: which networks to take, why, and how sure that is.

    The page needs no network and no server: send the file. A click on a point of the front shows its network, its
    learning curve and the command that retrains it.

    Examples:
    archsearch report
    archsearch report --study quickstart --out quickstart.html
    archsearch report --out front.md
    """
    if markdown and latex:
        raise ConfigError("--markdown and --latex are two reports", hint="ask for one after the other")
    from archsearch.api.output import REPORT_FORMATS, check_format
    from archsearch.api.study import open_study

    if out is not None:
        check_format(out, (".md",) if markdown else (".tex",) if latex else REPORT_FORMATS)
    error_console.print("reading the study and all that was found out of it")
    opened = open_study(study, storage=storage)  # before the rest is imported: a wrong name is answered at once

    from archsearch.api import report as reports
    from archsearch.report.documents import latex_text, markdown_text

    figures = reports.has_figures(out) and not (markdown or latex)
    made = reports.make_report(opened, command=typed_command(), figures=figures)
    if out is None and not figures:
        sys.stdout.write(markdown_text(made) if markdown else latex_text(made))
        return
    path = reports.write_report(made, out)
    if figures:
        for line in (opened.conditions_text, *made.answer):
            console.print(line, markup=False)
    show_written(path)


def studies(
    json: JsonOption = False,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="List only the studies that come with archsearch.")
    ] = False,
    storage: StorageOption = None,
) -> None:
    """List the stored studies with their progress and best points, and the studies that can be run.

    Examples:
    archsearch studies
    archsearch studies --shipped
    """
    if shipped:
        check_read("--shipped reads no database", storage=storage is not None)
    from archsearch.api.studies import studies as listed

    tell(listed(shipped=shipped, storage=storage), json=json)


def compare(
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY STUDY ...",
            autocompletion=completion.stored_studies,
            help="Stored studies; or one, measured on several devices.",
        ),
    ],
    plot: Annotated[bool, page_option("compare.html")] = False,
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
    check_files_asked(out, plot=plot, csv=csv)
    from archsearch.api.study import open_study

    opened = [open_study(name, storage=storage) for name in studies]  # before the rest is imported

    from archsearch.api.compare import compare as compared
    from archsearch.api.output import write
    from archsearch.api.paths import study_folder
    from archsearch.plots.comparison import comparison_figure

    found = compared(opened)
    folder = out or study_folder(found.studies[0])
    files = [file for file, wanted in (("compare.html", plot), ("compare.csv", csv)) if wanted]
    written = [write(found, folder / file, figure=comparison_figure, command=typed_command()) for file in files]
    tell(found, *written, json=json, limit=limit)


def replay(
    study: StudyOption = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            "-p",
            metavar="NAME",
            help="none, predicted or mo_asha. Default: all.",
            **one_of("stopping policy", "none", "predicted", "mo_asha"),
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the study's `stopping`, such as quantile=0.05."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=256, help="Trainings at the same time.")] = 1,
    json: JsonOption = False,
    storage: StorageOption = None,
) -> None:
    """Run a stopping rule over a study's whole learning curves: epochs saved against hypervolume lost.

    Examples:
    archsearch replay
    archsearch replay --study quickstart --policy predicted --set quantile=0.05
    """
    from archsearch.api.replay import replay as replay_study

    found = replay_study(study, policy=policy, overrides=override or [], workers=workers, storage=storage)
    tell(found, json=json)


# `archsearch schema`: what the JSON of a command looks like, for programs.


def schema(
    command: Annotated[
        str | None,
        typer.Argument(metavar="[COMMAND]", help="A command with --json, such as pareto. Default: all, by name."),
    ] = None,
) -> None:
    """Print the JSON Schema of what a command prints with --json.

    Every such output says its `command` and its `schema_version`. How a program drives archsearch: docs/agents.md.

    Examples:
    archsearch schema pareto
    archsearch schema "target check"
    """
    from archsearch.api.schema import schema as made

    print_json(made(command))
