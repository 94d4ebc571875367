"""`archsearch studies`, `compare` and `replay`: what is stored, how it agrees, and what stopping would have saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsearch.cli import completion
from archsearch.cli.console import tell, typed_command
from archsearch.cli.options import JsonOption, StorageOption, StudyOption


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
    from archsearch.api.study import open_study

    opened = [open_study(name, storage=storage) for name in studies]  # before the rest is imported

    from archsearch.api.compare import compare as compared
    from archsearch.api.output import write
    from archsearch.api.paths import study_folder
    from archsearch.plots.comparison import comparison_figure

    found = compared(opened)
    folder = out or study_folder(found.studies[0])
    written = []
    if plot:
        page = folder / "compare.html"
        written.append(write(found, page, figure=comparison_figure, command=typed_command()))
    if csv:
        written.append(write(found, folder / "compare.csv"))
    tell(found, *written, json=json, limit=limit)


def replay(
    study: StudyOption = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            "-p",
            metavar="NAME",
            autocompletion=completion.words("none", "predicted", "mo_asha"),
            help="none, predicted or mo_asha. Default: all.",
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
