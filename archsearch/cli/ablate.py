"""`archsearch ablate`: what each choice does to one network, with intervals."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from archsearch.cli.console import console, error_console, print_json, show, typed_command
from archsearch.cli.design_options import MostOption, SetOption, TimeBudgetOption, WorkersOption, time_text
from archsearch.cli.durations import parse_duration
from archsearch.cli.options import DataDirOption, DeviceOption, JsonOption, StorageOption
from archsearch.errors import ConfigError
from archsearch.text import plural

if TYPE_CHECKING:
    from archsearch.api.ablate import AblationPlan


def ablate(
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            "-s",
            metavar="NAME|FILE",
            help="A stored study, or one that was never run: its data, proxy, latency protocol and search space are "
            "taken. Default: the one worked on last.",
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NETWORK",
            help="What is changed: a variant, a trial's number, best (recommended), accuracy, latency or knee. "
            "Default: the first of the study's own variants.",
        ),
    ] = None,
    choices: Annotated[
        list[str] | None,
        typer.Option(
            "--choices",
            metavar="A,B=X|Y",
            help="Choices to change, with commas; levels of your own after =. Default: every choice of the study's "
            "search space. Repeatable.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Trainings of each network; more, typed later, are added.")
    ] = 5,
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE",
            help="one-at-a-time: each level against the base. leave-one-out: each choice that differs from the plain "
            "network of its family put back. pairs: one at a time, and every two together.",
        ),
    ] = "one-at-a-time",
    spread: Annotated[
        str,
        typer.Option(
            metavar="own|pooled",
            help="Intervals from each effect's own spread over the seeds, or from one spread of all networks: narrower "
            "with few seeds, and right if all scatter about alike.",
        ),
    ] = "own",
    set_: SetOption = None,
    most: MostOption = 100,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    storage: StorageOption = None,
    time_budget: TimeBudgetOption = None,
    json: JsonOption = False,
    plot: Annotated[bool, typer.Option("--plot", help="Write ablation.html: the effects as a forest plot.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and stop.")] = False,
) -> None:
    """Change one network choice by choice, and say what each change does to accuracy, latency and size.

    Every network is trained with the same seeds, on the same images in the same order, and measured anew each time.
    Ctrl-C ends cleanly; the same command typed again continues, with more --seeds it adds them.

    Examples:
    archsearch ablate --study cifar10 --from shufflenet_v2_x0_5 --choices kernel,attention=none|se|eca
    archsearch ablate --from best --mode leave-one-out --seeds 8
    """
    began = time.monotonic()
    if spread not in ("own", "pooled"):
        raise ConfigError(f"--spread {spread}: unknown", hint="own or pooled")
    budget = None if time_budget is None else parse_duration(time_budget, option="--time-budget")

    from archsearch.api.ablate import plan_ablation
    from archsearch.api.analyses import ablation_result
    from archsearch.cli.design_run import run_with_display
    from archsearch.overrides import section_changes

    with error_console.status("reading the study, its data and its choices"):
        planned = plan_ablation(
            study,
            base=from_,
            choices=choices or [],
            seeds=seeds,
            mode=mode,  # type: ignore[arg-type]  # plan_ablation says what is allowed
            changes=section_changes(set_ or []),
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
    found = ablation_result(finished, spread=spread)
    if plot:
        from archsearch.api.output import write
        from archsearch.api.places import study_folder
        from archsearch.plots.ablation import ablation_figure

        page = study_folder(finished.name) / "ablation.html"
        error_console.print(
            f"wrote {write(found, page, figure=ablation_figure, command=typed_command())}", markup=False
        )
    if json:
        from archsearch.api.output import result_json

        print_json(result_json(found))
        return
    show(found)
    if found.pending:
        console.print(f"{plural(found.pending, 'training')} still to come: type the same command to continue")


def _print_plan(planned: AblationPlan) -> None:
    """What will be trained; on standard error, so that `--json` prints JSON alone."""
    design, plan = planned.design, planned.plan
    error_console.print(f"[bold]{escape(plan.config.name)}[/]")
    base = design.points[0]
    known = base.variant or (
        f"trial {base.trial} of {design.of}" if base.trial is not None else f"network {base.arch_id}"
    )
    error_console.print(
        f"base      {known}\n"
        f"mode      {design.mode}: {plural(len(design.points), 'network')}, the base included\n"
        f"trainings {design.size} in all: each network with {plural(len(design.seeds), 'seed')}, "
        f"{plural(plan.config.proxy.epochs, 'epoch')} of {plan.train_images:,} images\n"
        f"data      {plan.config.dataset}, {plan.validation_images:,} validation images",
        markup=False,
    )
    error_console.print(time_text(planned.seconds, workers=len(plan.devices)))
    for note in planned.notes:
        error_console.print(f"note      {note}", markup=False)
