"""Tables that several commands print."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from archsearch.text import count_text, percent_text, plural

if TYPE_CHECKING:
    from archsearch.analysis.front import Front
    from archsearch.analysis.recommendation import Recommendation
    from archsearch.api.study import Study
    from archsearch.records import Record


LEGEND = (
    "*: recommended. latency ms: p10 corrected for drift (ratio to the reference in the same bursts x the "
    "reference's p10 at the study's start); median: as timed; ?: in doubt (not converged, or flagged); +: not every "
    "operator was counted"
)


def front_table(
    front: Front, *, title: str = "", recommended: int | None = None, flagged: Collection[str] = ()
) -> Table:
    """The front as a table, fastest first; the recommended trial is marked, and so are flagged networks' latencies."""
    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("trial", justify="right")
    table.add_column("network", no_wrap=True)
    for name in ("top-1 %", "latency ms", "median", "params", "MACs"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in front.members:
        doubtful = row.record.arch_id in flagged
        table.add_row(*_cells(row.record, marked=row.record.trial == recommended, doubtful=doubtful))
    return table


def _cells(record: Record, *, marked: bool, doubtful: bool) -> tuple[str, ...]:
    cost, latency, score = record.cost, record.latency, record.score
    if cost is None or latency is None or score is None:
        raise ValueError(f"trial {record.trial} is not complete")
    name = escape(record.variant or record.arch_id)
    return (
        str(record.trial),
        f"[bold]{name} *[/]" if marked else name,
        f"{score.top1_percent:.2f}",
        f"{latency.corrected_ms:.3f}{'?' if doubtful or not latency.converged else ''}",
        f"{latency.median_ms:.3f}",
        count_text(cost.params),
        f"{count_text(cost.macs)}{'+' if cost.unsupported_ops else ''}",
    )


def front_view(study: Study, console: Console) -> None:
    """The front, the conditions that its numbers hold under, the hypervolume, and what to be warned of."""
    from archsearch.analysis.conditions import batch_sentence

    front = study.front
    if not front.rows:
        return
    title = f"Front of '{study.name}': {len(front.members)} of {len(front.rows)} networks"
    flagged = study.canary.flagged
    console.print(front_table(front, title=title, recommended=study.recommendation.trial, flagged=flagged))
    console.print(conditions_line(study), markup=False)
    if front.latency_batch is not None and not front.latency_batch.on_launch_floor:  # else a warning says it
        console.print(f"{batch_sentence(front.latency_batch)}.", markup=False)
    if canary := canary_line(study):
        console.print(canary, markup=False)
    if front.hypervolume is not None and front.hypervolume_share is not None and front.reference_point is not None:
        corner = ", ".join(
            f"{name} {value:.4g}" for name, value in zip(front.objectives, front.reference_point, strict=True)
        )
        console.print(
            f"hypervolume {front.hypervolume:.4g}, {front.hypervolume_share:.1%} of the box below the study's "
            f"reference point ({corner})",
            markup=False,
        )
    console.print(LEGEND)
    for warning in front.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}")


def recommendation_view(found: Recommendation, console: Console) -> None:
    """Which network to take, and why."""
    first, *rest = found.sentences
    console.print(f"\n[bold]{escape(first)}[/]")
    for sentence in rest:
        console.print(sentence, markup=False)


def conditions_line(study: Study) -> str:
    """Under which conditions the front's accuracies and latencies were taken, in one line."""
    found = study.front.conditions

    def listed(values: tuple[object, ...]) -> str:
        return "/".join(str(value) for value in values)

    return (
        f"accuracy: {plural(listed(found.epochs), 'epoch')} on {listed(found.train_images)} images of "
        f"{study.info.config['dataset']}, seed {listed(found.seed)}, {listed(found.split)} split "
        f"({listed(found.eval_images)} images{_chance_text(study)}{_guessing(study)}). "
        f"latency: {listed(found.device)} ({study.device_name}), "
        f"{listed(found.backend)}, batch {listed(found.batch)}, {plural(listed(found.threads), 'thread')}, "
        f"{listed(found.precision)}, "
        f"{listed(found.input_size)}x{listed(found.input_size)}, {_runs(study)} runs each, reference "
        f"{listed(found.reference)}{_floor_text(study)}."
    )


def canary_line(study: Study) -> str:
    """What the reference tells of the study's measurements, in one line; empty without a latency."""
    canary = study.canary
    if not canary.networks:
        return ""
    parts = []
    if canary.drift_min is not None and canary.drift_median is not None and canary.drift_max is not None:
        low, middle, high = (100 * drift for drift in (canary.drift_min, canary.drift_median, canary.drift_max))
        parts.append(f"the reference's p10 against the study's: {low:+.1f} % to {high:+.1f} %, median {middle:+.1f} %")
    flags = [f"{len(canary.unconverged)} not converged"]
    if canary.drift_tolerance is not None:
        flags.append(f"{len(canary.drifted)} drifted beyond {percent_text(100 * canary.drift_tolerance)}")
    if canary.crowded:
        flags.append(f"{len(canary.crowded)} beside crowded memory")
    parts.append(
        f"{len(canary.flagged)} of {plural(canary.networks, 'network')} flagged ({', '.join(flags)}), "
        f"{canary.measured_again} measured again"
    )
    if canary.repeats:
        moved = f"median {percent_text(100 * canary.moved_median)}, at most {percent_text(100 * canary.moved_max)}"
        parts.append(f"{plural(len(canary.repeats), 'network')} measured twice, {moved} apart")
    if canary.latency_share is not None:
        parts.append(f"{canary.latency_share:.0%} of the trials' time went into latency")
    return f"canary: {'; '.join(parts)}."


def _floor_text(study: Study) -> str:
    from archsearch.analysis.objectives import floor_basis, floor_text

    floor = study.front.noise_floor
    if not floor.ties:
        return ""
    basis = floor_basis(floor)
    return f", noise floor {floor_text(floor)} ({f'{basis}; ' if basis else ''}closer latencies are ties)"


def _chance_text(study: Study) -> str:
    """Up to which difference the accuracies of two networks of the front may differ by the number of images alone."""
    from archsearch.analysis.intervals import counting_margin_points

    scores = [row.record.score for row in study.front.members if row.record.score is not None]
    margins = [margin for score in scores if (margin := counting_margin_points(score, score)) is not None]
    if not margins:
        return ""
    # of two networks of other accuracies it lies between those of two of equal ones
    ends = dict.fromkeys(f"{margin:.1f}" for margin in (min(margins), max(margins)))
    return f": differences below {' to '.join(ends)} points may be chance"


def _guessing(study: Study) -> str:
    from archsearch.analysis.conditions import guessing_text

    text = guessing_text(study.front.conditions, study.num_classes)
    return text and f"; {text}"


def _runs(study: Study) -> str:
    runs = [row.record.latency.n for row in study.front.rows if row.record.latency is not None]
    return str(min(runs)) if min(runs) == max(runs) else f"{min(runs)} to {max(runs)}"
