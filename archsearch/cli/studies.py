"""`archsearch studies`: what is stored, how far it is, and what can be run."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from archsearch.cli.console import console, print_json
from archsearch.cli.options import JsonOption, StorageOption
from archsearch.errors import NothingStoredError
from archsearch.resources import list_yaml, read_yaml


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
        console.print(_stored_table(rows))
        console.print(
            "front: networks on it; hv: hypervolume as a share of the "
            "box below the study's reference point; top-1 on the validation split"
        )
    elif not shipped:
        console.print("no study is stored yet")
    table = Table(title="Shipped studies", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what it does")
    for name, description in offered.items():
        table.add_row(escape(name), escape(description))
    console.print(table)


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
    table = Table(title="Stored studies", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("study", no_wrap=True)
    table.add_column("data")
    table.add_column("trials")
    table.add_column("front", justify="right", no_wrap=True)
    table.add_column("hv", justify="right", no_wrap=True)
    table.add_column("recommended: top-1 %, ms")
    table.add_column("best top-1 %, ms")
    for row in rows:
        counts = ", ".join(f"{number} {status}" for status, number in sorted(row["counts"].items()))
        share = row["hypervolume_share"]
        table.add_row(
            escape(row["study"]),
            escape(row["dataset"]),
            counts or "none",
            str(row["front"]),
            "" if share is None else f"{share:.1%}",
            _shown(row["recommended"]),
            _shown(row["most_accurate"]),
        )
    return table


def _shown(point: dict[str, Any] | None) -> str:
    if point is None:
        return ""
    return escape(f"{point['network']}: {point['top1_percent']:.2f}, {point['latency_ms']:.3f}")
