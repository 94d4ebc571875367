"""`archsearch trust`: whether the proxy ranks networks as a longer training does."""

from __future__ import annotations

from typing import Annotated

import typer

from archsearch.cli.console import console, error_console, print_json, show, typed_command
from archsearch.cli.options import (
    DataDirOption,
    DeviceOption,
    DryRunOption,
    JsonOption,
    SetOption,
    StorageOption,
    StudyOption,
    TimeBudgetOption,
    WorkersOption,
)
from archsearch.text import plural


def trust(
    study: StudyOption = None,
    n: Annotated[int, typer.Option("--n", min=1, metavar="N", help="Networks to train again.")] = 12,
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="E", help="Of the longer training. Default: 5 times the proxy's.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Longer trainings of each network; more, typed later, are added.")
    ] = 1,
    set_: SetOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    storage: StorageOption = None,
    time_budget: TimeBudgetOption = None,
    plot: Annotated[bool, typer.Option("--plot", help="Write trust.html: proxy against long training.")] = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Train some of a study's networks for longer, and say whether the proxy ranks them as that does.

    Half of them are from the best quarter. Beside the proxy stand numbers that cost no training: parameters,
    multiply-adds, memory access, latency, synflow and jacob_cov. Ctrl-C ends cleanly; the same command continues.

    Examples:
    archsearch trust --study cifar10 --n 16
    archsearch trust --n 24 --epochs 40 --seeds 2 --plot
    """
    from archsearch.api.analyses import trust_between
    from archsearch.api.trust import plan_trust
    from archsearch.cli.progress import RunDisplay
    from archsearch.cli.running import command_runtime, run_design
    from archsearch.overrides import section_changes

    display = RunDisplay(error_console)
    runtime = command_runtime(
        display, storage=storage, data_dir=data_dir, device=device, workers=workers, time_budget=time_budget
    )
    with display.planning("reading the study and its data"):
        planned = plan_trust(
            study, runtime, networks=n, epochs=epochs, seeds=seeds, changes=section_changes(set_ or [])
        )
    finished = run_design(planned, runtime, display, dry_run=dry_run)
    found = trust_between(planned.base.stored, finished)
    if plot:
        from archsearch.api.output import write
        from archsearch.api.paths import study_folder
        from archsearch.plots.trust import trust_figure

        page = study_folder(planned.base.stored.name) / "trust.html"
        error_console.print(f"wrote {write(found, page, figure=trust_figure, command=typed_command())}", markup=False)
    if json:
        from archsearch.api.output import result_json

        print_json(result_json(found))
        return
    show(found)
    still = planned.design.size - sum(count for status, count in finished.counts.items() if status in _ENDED)
    if still > 0:
        console.print(f"{plural(still, 'training')} still to come: type the same command to continue")


_ENDED = ("complete", "failed", "rejected", "stopped")
