"""`archsearch confirm`: the front looked at again, with more seeds and fresh latencies."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from archsearch.cli.console import console, error_console, print_json, typed_command
from archsearch.cli.design_options import MostOption, TimeBudgetOption, WorkersOption, time_text
from archsearch.cli.durations import parse_duration
from archsearch.cli.options import DataDirOption, DeviceOption, JsonOption, StorageOption, StudyOption
from archsearch.text import plural, probability_text

if TYPE_CHECKING:
    from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint
    from archsearch.api.confirm import ConfirmPlan


def confirm(
    study: StudyOption = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="K",
            help="Networks beside the front's: those that miss it by least, in standard errors. Default: as many as "
            "make 12 in all, of those that miss it by less than 3.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Trainings of each network, with seeds that the search never used.")
    ] = 3,
    most: MostOption = 100,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    storage: StorageOption = None,
    time_budget: TimeBudgetOption = None,
    json: JsonOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and stop.")] = False,
) -> None:
    """Evaluate the front and its near neighbours again: intervals, and how probably each is on the front.

    A search keeps the luckiest of many networks, so its front is too good; new seeds and new latencies are not.
    Ctrl-C ends cleanly; the same command typed again continues, with more --seeds it adds them.

    Examples:
    archsearch confirm --study cifar10
    archsearch confirm --top 0 --seeds 8 --time-budget 1h
    """
    began = time.monotonic()
    budget = None if time_budget is None else parse_duration(time_budget, option="--time-budget")

    from archsearch.api.confirm import confirm_json, confirm_result, confirmed_knee, plan_confirm, recommended_by
    from archsearch.cli.design_run import run_with_display
    from archsearch.cli.tables import recommendation_view

    with error_console.status("reading the study and its front"):
        planned = plan_confirm(
            study,
            top=top,
            seeds=seeds,
            most=most,
            data_dir=data_dir,
            device=device,
            workers=workers,
            storage=storage,
            command=typed_command(),
        )
    _print_plan(planned)
    if dry_run:
        error_console.print("dry run: nothing was stored")
        return
    left = None if budget is None else budget - (time.monotonic() - began)
    finished = run_with_display(planned.plan, storage=storage, data_dir=data_dir, time_budget_seconds=left)
    found = confirm_result(planned.study, finished)
    if json:
        print_json(confirm_json(planned.study, finished, found))
        return
    _print_confirmed(found, confirmed_knee(found, finished))
    recommendation_view(recommended_by(planned.study, found), console)


def _print_plan(planned: ConfirmPlan) -> None:
    design, plan = planned.design, planned.plan
    error_console.print(f"[bold]{escape(plan.config.name)}[/]")
    error_console.print(
        f"networks  {len(design.points)}: {planned.members} of the front, "
        f"{len(design.points) - planned.members} near it\n"
        f"trainings {design.size} in all: each network with {plural(len(design.seeds), 'seed')} "
        f"({', '.join(map(str, design.seeds))}), {plural(plan.config.proxy.epochs, 'epoch')} of "
        f"{plan.train_images:,} images",
        markup=False,
    )
    error_console.print(time_text(planned.seconds, workers=len(plan.devices)))


def _print_confirmed(found: Confirmed, knee: ConfirmedPoint | None) -> None:
    table = Table(title="Confirmed", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("network", overflow="fold")
    for name in ("n", "top-1 %", "ms", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("searched", no_wrap=True)
    for each in found.points:
        table.add_row(*(Text(cell) for cell in _cells(each)))
    console.print(table)
    intervals = f"with {100 * found.confidence:g} % intervals, each for itself"
    console.print(
        f"top-1 on the validation split, ms: drift-corrected p10, {intervals}; p: on the front in that share of "
        f"{found.draws} draws; searched: where the searched front had it"
    )
    if knee is not None:
        console.print(f"knee: {knee.sentence}", markup=False)
    kept = [each.point.name for each in found.kept]
    before = [each for each in found.points if each.was_on_front]
    console.print(
        f"{len(kept)} of {plural(len(before), 'network')} of the searched front {'is' if len(kept) == 1 else 'are'} "
        f"more probably on it than not{': ' + ', '.join(kept) if kept else ''}",
        markup=False,
    )
    for warning in found.warnings:
        console.print(f"note: {warning}", markup=False)


def _cells(each: ConfirmedPoint) -> tuple[str, ...]:
    top1 = [None if end is None else 100.0 - end for end in (each.error_high, each.error_low)]
    probability = each.probability_on_front
    return (
        each.point.name,
        str(each.n),
        _interval(100.0 - each.error_percent, *top1, decimals=2),
        _interval(each.latency_ms, each.latency_low, each.latency_high, decimals=3),
        "" if probability is None else probability_text(probability),
        "" if each.was_on_front is None else "on it" if each.was_on_front else "near it",
    )


def _interval(value: float, low: float | None, high: float | None, *, decimals: int) -> str:
    if not math.isfinite(value):
        return "-"
    text = f"{value:.{decimals}f}"
    return text if low is None or high is None else f"{text} ({low:.{decimals}f} to {high:.{decimals}f})"
