"""`archsearch compare`: the same networks in several studies or on several devices, and how alike they rank."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from archsearch.cli.console import console, is_terminal, print_json, typed_command
from archsearch.cli.options import JsonOption, StorageOption
from archsearch.text import plural

if TYPE_CHECKING:
    from archsearch.analysis.compared import Comparison

_NOUNS = {"latency_ms": "latency", "error_percent": "accuracy"}


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
    from archsearch.api import compare as outputs
    from archsearch.api.places import study_folder

    found = outputs.compare(studies, storage=storage)
    folder = out or study_folder(found.studies[0].name)
    written = []
    if plot:
        written.append(outputs.write_page(found, folder / "compare.html", command=typed_command()))
    if csv:
        written.append(outputs.write_table(found.comparison, folder / "compare.csv"))
    if json:
        print_json(outputs.compare_json(found))
        return
    comparison = found.comparison
    for side, networks in zip(comparison.sides, comparison.networks, strict=True):
        console.print(f"{side}: {plural(networks, 'complete network')}", markup=False)
    for each in comparison.differences:
        values = " against ".join(value or "none" for value in each.values)
        console.print(f"[yellow]note:[/] {escape(f'{each.what} differs ({values}): {each.consequence}')}")
    for sentence in found.sentences:
        console.print(sentence, markup=False)
    if comparison.shared:
        _print_tables(comparison, limit)
    for path in written:
        console.print(f"wrote {path}", markup=False)
    if plot and is_terminal():
        webbrowser.open((folder / "compare.html").resolve().as_uri())


def _print_tables(comparison: Comparison, limit: int) -> None:
    console.print(_correlations(comparison))
    if comparison.movers:
        console.print(_movers(comparison))
    if limit:
        console.print(_shared(comparison, limit))
        console.print("*: on the side's front of the shared networks; ms: drift-corrected p10", markup=False)


def _correlations(comparison: Comparison) -> Table:
    table = _table("Rank correlation of the shared networks (95 % intervals)")
    for name in ("by", "of", "and"):
        table.add_column(name)
    for name in ("n", "Kendall", "Spearman"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in comparison.correlations:
        table.add_row(
            _NOUNS[each.objective],
            escape(each.first),
            escape(each.second),
            str(each.n),
            _estimate(each.kendall, each.kendall_low, each.kendall_high),
            _estimate(each.spearman, each.spearman_low, each.spearman_high),
        )
    return table


def _movers(comparison: Comparison) -> Table:
    table = _table("Who moves most (ranks, 1 the best)")
    for name in ("by", "network", "in", "to"):
        table.add_column(name)
    for name in ("rank", "rank there", "pairs reversed"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in comparison.movers:
        table.add_row(
            _NOUNS[each.objective],
            escape(each.label),
            escape(each.first),
            escape(each.second),
            f"{each.from_rank:g}",
            f"{each.to_rank:g}",
            str(each.reversed_pairs),
        )
    return table


def _shared(comparison: Comparison, limit: int) -> Table:
    count = len(comparison.shared)
    table = _table(f"Shared networks ({count})" if count <= limit else f"Shared networks ({limit} of {count})")
    table.add_column("network")
    for side in comparison.sides:
        table.add_column(f"ms, {escape(side)}", justify="right")
        table.add_column(f"top-1 %, {escape(side)}", justify="right")
    for network in comparison.shared[:limit]:
        cells = []
        for ms, error, on_front in zip(network.latency_ms, network.error_percent, network.on_front, strict=True):
            cells += [f"{ms:.3f}{' *' if on_front else '  '}", f"{100.0 - error:.2f}"]
        table.add_row(escape(network.label), *cells)
    return table


def _estimate(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "cannot be told"
    return f"{value:.2f}" + (f" ({low:.2f} to {high:.2f})" if low is not None and high is not None else "")


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
