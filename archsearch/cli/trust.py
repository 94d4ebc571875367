"""`archsearch trust`: whether the proxy ranks networks as a longer training does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from archsearch.cli.console import console, error_console, print_json, show, typed_command
from archsearch.cli.design_options import SetOption, TimeBudgetOption, WorkersOption
from archsearch.cli.durations import parse_duration
from archsearch.cli.options import DataDirOption, DeviceOption, JsonOption, StorageOption, StudyOption
from archsearch.text import duration, plural

if TYPE_CHECKING:
    from archsearch.api.trust import TrustPlan


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and stop.")] = False,
) -> None:
    """Train some of a study's networks for longer, and say whether the proxy ranks them as that does.

    Half of them are from the best quarter. Beside the proxy stand numbers that cost no training: parameters,
    multiply-adds, memory access, latency, synflow and jacob_cov. Ctrl-C ends cleanly; the same command continues.

    Examples:
    archsearch trust --study cifar10 --n 16
    archsearch trust --n 24 --epochs 40 --seeds 2 --plot
    """
    began = time.monotonic()
    budget = None if time_budget is None else parse_duration(time_budget, option="--time-budget")

    from archsearch.api.analyses import trust_between
    from archsearch.api.trust import plan_trust
    from archsearch.cli.design_run import run_with_display
    from archsearch.errors import ConfigError
    from archsearch.overrides import section_changes

    changes = section_changes(set_ or [])
    if changes.proxy or changes.others:
        raise ConfigError(
            "--set: the longer training is the proxy with more epochs, and nothing else",
            hint="latency.KEY=VALUE can be changed; epochs are --epochs",
        )
    with error_console.status("reading the study and its data") as status:
        planned = plan_trust(
            study,
            networks=n,
            epochs=epochs,
            seeds=seeds,
            latency_changes=changes.latency,
            device=device,
            workers=workers,
            data_dir=data_dir,
            storage=storage,
            command=typed_command(),
            on_network=lambda done, total: status.update(f"predictors that cost no training: {done} of {total}"),
        )
    _print_plan(planned, asked=n)
    if dry_run:
        error_console.print("dry run: nothing was stored")
        return
    left = None if budget is None else budget - (time.monotonic() - began)
    finished = run_with_display(planned.plan, storage=storage, data_dir=data_dir, time_budget_seconds=left)
    found = trust_between(planned.study, finished)
    if plot:
        from archsearch.api.output import write
        from archsearch.api.places import study_folder
        from archsearch.plots.trust import trust_figure

        page = study_folder(planned.study.name) / "trust.html"
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


def _print_plan(planned: TrustPlan, *, asked: int) -> None:
    """What will be trained; on standard error, so that `--json` prints JSON alone."""
    design, plan = planned.design, planned.plan
    error_console.print(f"[bold]{escape(plan.config.name)}[/]")
    less = "" if len(design.points) >= asked else f" (the study has no more; {asked} were asked for)"
    error_console.print(
        f"networks  {len(design.points)} of study {planned.study.name}{less}\n"
        f"trainings {design.size} in all: {plural(planned.long_epochs, 'epoch')} instead of {planned.proxy_epochs}, "
        f"{plural(len(design.seeds), 'seed')} each, on the same {plan.train_images:,} images\n"
        f"data      {plan.config.dataset}, the same {plan.validation_images:,} validation images",
        markup=False,
    )
    if planned.seconds_each is not None:
        spent = duration(planned.seconds_each * design.size / len(plan.devices))
        error_console.print(
            f"time      about {spent} with {plural(len(plan.devices), 'worker')}, as the study's own trials took"
        )
