"""`archsearch ablate`: what each choice does to one network, with intervals."""

from __future__ import annotations

from typing import Annotated

import typer

from archsearch.cli.console import console, error_console, print_json, show, typed_command
from archsearch.cli.options import (
    DataDirOption,
    DeviceOption,
    DryRunOption,
    JsonOption,
    MostOption,
    SetOption,
    StorageOption,
    TimeBudgetOption,
    WorkersOption,
)
from archsearch.errors import ConfigError
from archsearch.text import plural


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
    dry_run: DryRunOption = False,
) -> None:
    """Change one network choice by choice, and say what each change does to accuracy, latency and size.

    Every network is trained with the same seeds, on the same images in the same order, and measured anew each time.
    Ctrl-C ends cleanly; the same command typed again continues, with more --seeds it adds them.

    Examples:
    archsearch ablate --study cifar10 --from shufflenet_v2_x0_5 --choices kernel,attention=none|se|eca
    archsearch ablate --from best --mode leave-one-out --seeds 8
    """
    if spread not in ("own", "pooled"):
        raise ConfigError(f"--spread {spread}: unknown", hint="own or pooled")

    from archsearch.api.ablate import plan_ablation
    from archsearch.api.analyses import ablation_result
    from archsearch.cli.progress import RunDisplay
    from archsearch.cli.running import command_runtime, run_design
    from archsearch.overrides import section_changes

    display = RunDisplay(error_console)
    runtime = command_runtime(
        display, storage=storage, data_dir=data_dir, device=device, workers=workers, time_budget=time_budget
    )
    with display.planning("reading the study, its data and its choices"):
        planned = plan_ablation(
            study,
            runtime,
            base=from_,
            choices=choices or [],
            seeds=seeds,
            mode=mode,  # type: ignore[arg-type]  # plan_ablation says what is allowed
            changes=section_changes(set_ or []),
            most=most,
        )
    finished = run_design(planned, runtime, display, dry_run=dry_run)
    found = ablation_result(finished, spread=spread)
    if plot:
        from archsearch.api.output import write
        from archsearch.api.paths import study_folder
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
