"""Tables that several commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from archsearch.cli.console import count

if TYPE_CHECKING:
    from archsearch.analysis.front import Front, FrontRow
    from archsearch.api.study import Study


def front_table(front: Front, *, title: str = "") -> Table:
    """The front as a table, fastest first; the knee is marked."""
    knee = front.knee
    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("network", no_wrap=True)
    table.add_column("top-1 val %", justify="right")
    table.add_column("p10 ms", justify="right")
    table.add_column("median ms", justify="right")
    table.add_column("x ref", justify="right")
    table.add_column("params", justify="right")
    table.add_column("MACs", justify="right")
    table.add_column("arch_id", no_wrap=True)
    for row in front.members:
        table.add_row(*_cells(row, marked=knee is not None and row is knee))
    return table


def _cells(row: FrontRow, *, marked: bool) -> tuple[str, ...]:
    record = row.record
    cost, latency, score = record.cost, record.latency, record.score
    if cost is None or latency is None or score is None:
        raise ValueError(f"trial {record.trial} is not complete")
    label = record.label if record.variant is None else f"{record.variant} (trial {record.trial})"
    return (
        f"[bold]{escape(label)} *[/]" if marked else escape(label),
        f"{score.top1_percent:.2f}",
        f"{latency.p10_ms:.3f}{'' if latency.converged else '?'}",
        f"{latency.median_ms:.3f}",
        f"{latency.ratio_to_reference:.3f}",
        count(cost.params),
        f"{count(cost.macs)}{'*' if cost.unsupported_ops else ''}",
        record.arch_id,
    )


def front_view(study: Study, console: Console) -> None:
    """The front, the conditions that its numbers hold under, the hypervolume, and what to be warned of."""
    front = study.front
    if not front.rows:
        console.print("no complete trial yet")
        return
    console.print(
        front_table(front, title=f"Front of '{study.name}': {len(front.members)} of {len(front.rows)} networks")
    )
    console.print(conditions_line(study), soft_wrap=True, markup=False)
    if front.hypervolume is not None and front.hypervolume_share is not None and front.reference_point is not None:
        corner = ", ".join(
            f"{name} {value:.4g}" for name, value in zip(front.objectives, front.reference_point, strict=True)
        )
        console.print(
            f"hypervolume {front.hypervolume:.4g}, {front.hypervolume_share:.1%} of the box below the study's "
            f"reference point ({corner})",
            soft_wrap=True,
            markup=False,
        )
    console.print("* knee of the front; x ref: p10 over the reference network's p10 in the same bursts", soft_wrap=True)
    for warning in front.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)


def conditions_line(study: Study) -> str:
    """Under which conditions the front's accuracies and latencies were taken, in one line."""
    found = study.front.conditions
    name = study.info.facts.get("device", {}).get("device", "")

    def listed(values: tuple[object, ...]) -> str:
        return "/".join(str(value) for value in values)

    return (
        f"accuracy: {listed(found.epochs)} epochs on {listed(found.train_images)} images of "
        f"{study.info.config['dataset']}, seed {listed(found.seed)}, {listed(found.split)} split "
        f"({listed(found.eval_images)} images). latency: {listed(found.device)}{f' ({name})' if name else ''}, "
        f"{listed(found.backend)}, batch {listed(found.batch)}, {listed(found.threads)} thread(s), "
        f"{listed(found.input_size)}x{listed(found.input_size)}, reference {listed(found.reference)}."
    )
