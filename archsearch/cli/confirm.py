"""`archsearch confirm`: the front looked at again, with more seeds and fresh latencies."""

from __future__ import annotations

from typing import Annotated

import typer

from archsearch.cli.console import console, error_console, print_json, show
from archsearch.cli.options import (
    DataDirOption,
    DeviceOption,
    DryRunOption,
    JsonOption,
    MostOption,
    StorageOption,
    StudyOption,
    TimeBudgetOption,
    WorkersOption,
)


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
    fresh_images: Annotated[
        bool,
        typer.Option("--fresh-images", help="Validate on images that the search did not: its luck with those is gone."),
    ] = False,
    most: MostOption = 100,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    storage: StorageOption = None,
    time_budget: TimeBudgetOption = None,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Evaluate the front and its near neighbours again: intervals, and how probably each is on the front.

    A search keeps the luckiest of many networks, so its front is too good; new seeds and new latencies are not.
    Ctrl-C ends cleanly; the same command typed again continues, with more --seeds it adds them.

    Examples:
    archsearch confirm --study cifar10
    archsearch confirm --top 0 --seeds 8 --time-budget 1h
    archsearch confirm --fresh-images
    """
    from archsearch.analysis.recommendation import recommendation_of
    from archsearch.api.confirm import confirm_result, plan_confirm
    from archsearch.cli.progress import RunDisplay
    from archsearch.cli.running import command_runtime, run_design
    from archsearch.cli.tables import recommendation_view

    display = RunDisplay(error_console)
    runtime = command_runtime(
        display, storage=storage, data_dir=data_dir, device=device, workers=workers, time_budget=time_budget
    )
    with display.planning("reading the study and its front"):
        planned = plan_confirm(study, runtime, top=top, seeds=seeds, fresh_images=fresh_images, most=most)
    searched = planned.base.stored
    found = confirm_result(searched, run_design(planned, runtime, display, dry_run=dry_run))
    answer = recommendation_of(searched.front, searched.networks, confirmed=found)
    if json:
        from archsearch.api.output import result_json
        from archsearch.api.pareto import recommendation_json

        print_json(result_json(found) | {"recommendation": recommendation_json(answer)})
        return
    show(found)
    recommendation_view(answer, console)
