"""`archsearch studies`, `compare` and `replay`: what is stored, how it agrees, and what stopping would have saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from archsearch.cli import completion
from archsearch.cli.console import console, print_json, show, tell, typed_command
from archsearch.cli.options import JsonOption, StorageOption, StudyOption
from archsearch.errors import NothingStoredError
from archsearch.resources import list_yaml, read_yaml
from archsearch.table import Column, Table


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
    from archsearch.api.study import all_studies

    try:
        stored = () if shipped else all_studies(storage=storage)
    except NothingStoredError:
        if storage is not None:  # a database that somebody named ought to be there
            raise
        stored = ()
    rows = [_facts(study) for study in stored]
    offered = {name: str(read_yaml(path).get("description", "")) for name, path in list_yaml("studies").items()}
    if json:
        print_json({"stored": rows, "shipped": offered})
        return
    if rows:
        console.print(_stored_table(rows).to_rich(width=console.width))
        console.print(
            "front: networks on it; hypervolume: share of the box below the study's reference point; top-1 on the "
            "validation split"
        )
    elif not shipped:
        console.print("no study is stored yet")
    columns = (Column(title="Name", whole=True), Column(title="What it does"))
    console.print(
        Table(title="Shipped studies", columns=columns, rows=tuple(offered.items())).to_rich(width=console.width)
    )


def _facts(study: Any) -> dict[str, Any]:
    front = study.front
    best = study.recommendation.record
    accurate = min((row.record for row in front.rows), key=lambda record: record.error_percent, default=None)
    return {
        "study": study.name,
        "dataset": study.info.config["dataset"],
        "counts": dict(study.counts),
        "front": len(front.members),
        "hypervolume_share": front.hypervolume_share,
        "recommended": None if best is None else _point(best),
        "knee": None if front.knee is None else _point(front.knee.record),
        "most_accurate": None if accurate is None else _point(accurate),
        "created_at": f"{study.info.created_at:%Y-%m-%d %H:%M} UTC",
    }


def _point(record: Any) -> dict[str, Any]:
    return {
        "trial": record.trial,
        "network": record.label,
        "top1_percent": record.score.top1_percent,
        "split": record.score.split,
        "latency_ms": record.latency.corrected_ms,
    }


def _stored_table(rows: list[dict[str, Any]]) -> Table:
    return Table(
        title="Stored studies",
        columns=(
            Column(title="Study", whole=True),
            Column(title="Data"),
            Column(title="Trials"),
            Column(title="Front", decimals=0),
            Column(title="Hypervolume", decimals=3),
            Column(title="Recommended (top-1 %, ms)"),
            Column(title="Best top-1 (%, ms)"),
        ),
        rows=tuple(
            (
                row["study"],
                row["dataset"],
                ", ".join(f"{number} {status}" for status, number in sorted(row["counts"].items())) or "none",
                row["front"],
                row["hypervolume_share"],
                _shown(row["recommended"]),
                _shown(row["most_accurate"]),
            )
            for row in rows
        ),
    )


def _shown(point: dict[str, Any] | None) -> str:
    if point is None:
        return ""
    return f"{point['network']}: {point['top1_percent']:.2f}, {point['latency_ms']:.3f}"


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
    from archsearch.api.replay import replay_json, replay_study

    found = replay_study(study, policy=policy, overrides=override or [], workers=workers, storage=storage)
    if json:
        print_json(replay_json(found))
        return
    show(found)
