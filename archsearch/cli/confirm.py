"""`archsearch confirm`: the front looked at again, with more seeds and fresh latencies."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from archsearch.cli.console import console, error_console, print_json, show, typed_command
from archsearch.cli.design_options import MostOption, TimeBudgetOption, WorkersOption, time_text
from archsearch.cli.durations import parse_duration
from archsearch.cli.options import DataDirOption, DeviceOption, JsonOption, StorageOption, StudyOption
from archsearch.text import plural

if TYPE_CHECKING:
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

    from archsearch.analysis.recommendation import recommendation_of
    from archsearch.api.confirm import confirm_result, plan_confirm
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
    answer = recommendation_of(planned.study.front, planned.study.networks, confirmed=found)
    if json:
        from archsearch.api.output import result_json
        from archsearch.api.pareto import recommendation_json

        print_json(result_json(found) | {"recommendation": recommendation_json(answer)})
        return
    show(found)
    recommendation_view(answer, console)


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
