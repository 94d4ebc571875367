"""`archsearch ablate`, `confirm` and `trust`: networks and seeds that are chosen beforehand, trained and told of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli import completion
from archsearch.cli.console import doing, print_json, show, show_recommendation, tell, typed_command
from archsearch.cli.options import (
    DataDirOption,
    DeviceOption,
    DryRunOption,
    JsonOption,
    StorageOption,
    StudyOption,
    TargetOption,
    TimeBudgetOption,
    WorkersOption,
    check_read,
    one_of,
    page_option,
    parse_duration,
    set_option,
)
from archsearch.overrides import section_changes
from archsearch.text import duration

if TYPE_CHECKING:
    from archsearch.table import Result


def ablate(
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            "-s",
            metavar="NAME|FILE",
            autocompletion=completion.any_studies,
            help="A stored study, or one that was never run: its data, proxy, latency protocol and search space are "
            "taken. Default: the one worked on last.",
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NETWORK",
            autocompletion=completion.trials,
            help="What is changed: a variant, a trial's number, best (recommended), accuracy, latency or knee. "
            "Default: the first of the study's own variants.",
        ),
    ] = None,
    choices: Annotated[
        list[str] | None,
        typer.Option(
            "--choices",
            metavar="A,B=X|Y",
            autocompletion=completion.choices,
            help="Choices to change, with commas; levels of your own after =. Default: the most important ones of the "
            "study's search space, in no more trainings than the study has trials. Repeatable.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Trainings of each network; more, typed later with the same --choices, are added. Default: 5; 3 "
            "without --choices and --most.",
        ),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE",
            help="one-at-a-time: each level against the base. leave-one-out: each choice that differs from the plain "
            "network of its family put back. pairs: one at a time, and every two together.",
            **one_of("mode", "one-at-a-time", "leave-one-out", "pairs"),
        ),
    ] = "one-at-a-time",
    spread: Annotated[
        str,
        typer.Option(
            metavar="own|pooled",
            help="Intervals from each effect's own spread over the seeds, or from one spread of all networks: narrower "
            "with few seeds, and right if all scatter about alike.",
            **one_of("spread", "own", "pooled"),
        ),
    ] = "own",
    set_: Annotated[list[str] | None, set_option("the study's proxy or latency", "proxy.epochs=3")] = None,
    most: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Networks that may be trained: a larger design is refused. Default: 100. Typed without --choices, "
            "every choice is changed.",
        ),
    ] = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    storage: StorageOption = None,
    time_budget: TimeBudgetOption = None,
    json: JsonOption = False,
    plot: Annotated[bool, page_option("ablation.html", "the effects as a forest plot")] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Change one network choice by choice, and say what each change does to accuracy, latency and size.

    Every network is trained with the same seeds, on the same images in the same order, and measured anew each time.
    Ctrl-C ends cleanly; the same command typed again continues, with --choices and more --seeds it adds them.

    Examples:
    archsearch ablate --study cifar10 --from shufflenet_v2_x0_5 --choices "kernel,attention=none|se|eca"
    archsearch ablate --from best --mode leave-one-out --seeds 8
    """
    from archsearch.api.ablate import plan_ablation
    from archsearch.cli.running import run_design

    _planned, finished = run_design(
        lambda runtime: plan_ablation(
            study,
            runtime,
            base=from_,
            choices=choices or [],
            seeds=seeds,
            mode=mode,  # type: ignore[arg-type]  # plan_ablation says what is allowed
            changes=section_changes(set_ or []),
            most=most,
        ),
        reading="the study, its data and its choices",
        storage=storage,
        data_dir=data_dir,
        device=device,
        workers=workers,
        time_budget=time_budget,
        dry_run=dry_run,
        json=json,
    )
    from archsearch.api.analyses import ablation_result

    found = ablation_result(finished, spread=spread)
    tell(found, *_pages(found, "ablation", finished.name, wanted=plot), json=json)


def _pages(found: Result, plot: str, study: str, *, wanted: bool) -> list[Path]:
    """The result as this plot's page in the study's folder, if it is wanted."""
    if not wanted:
        return []
    from archsearch.api.output import write
    from archsearch.api.paths import study_folder
    from archsearch.plots.catalog import PLOTS

    page = study_folder(study) / f"{plot}.html"
    return [write(found, page, figure=PLOTS[plot].figure, command=typed_command())]


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
    target: TargetOption = None,
    sustained: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Train nothing: run the front's networks in turn for 10m, say, and tell what heat does to them.",
        ),
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, metavar="N", help="Networks that may be trained: a larger design is refused.")
    ] = 100,
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
    archsearch confirm --top 0 --target ssh:pi5
    archsearch confirm --sustained 10m --target ssh:pi5
    """
    from archsearch.api.confirm import DEFAULT_SEEDS, confirm_result, plan_confirm
    from archsearch.api.designed import MOST_NETWORKS

    if sustained is not None:
        check_read(
            "--sustained trains nothing, and runs the front alone",
            top=top not in (None, 0),
            seeds=seeds != DEFAULT_SEEDS,
            fresh_images=fresh_images,
            most=most != MOST_NETWORKS,
            workers=workers is not None,
            data_dir=data_dir is not None,
            time_budget=time_budget is not None,
            dry_run=dry_run,
        )
        from archsearch.api.sustained import measure_sustained

        seconds = parse_duration(sustained, option="--sustained")
        with doing("making the networks ready", still=True) as say:
            measured = measure_sustained(
                study, seconds=seconds, target=target, device=device, storage=storage,
                on_turn=lambda spent: say(f"running the front: {duration(spent)} of {duration(seconds)}"),
            )  # fmt: skip
        tell(measured, json=json)
        return
    from archsearch.cli.running import run_design

    planned, finished = run_design(
        lambda runtime: plan_confirm(
            study, runtime, top=top, seeds=seeds, fresh_images=fresh_images, target=target, most=most
        ),
        reading="the study and its front",
        storage=storage,
        data_dir=data_dir,
        device=device,
        workers=workers,
        time_budget=time_budget,
        dry_run=dry_run,
        json=json,
    )
    from archsearch.analysis.recommendation import recommendation_of

    searched = planned.base.stored
    found = confirm_result(searched, finished)
    answer = recommendation_of(searched.front, searched.networks, confirmed=found)
    if json:
        from archsearch.api.output import result_json

        print_json(result_json(found) | {"recommendation": answer.plain()})
        return
    show(found)
    show_recommendation(answer)


def trust(
    study: StudyOption = None,
    n: Annotated[int, typer.Option("--n", min=1, metavar="N", help="Networks to train again.")] = 12,
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="E", help="Of the longer training. Default: 5 times the proxy's.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Longer trainings of each network; more, typed later, are added.")
    ] = 1,
    set_: Annotated[list[str] | None, set_option("the study's latency", "latency.budget_seconds=10")] = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    storage: StorageOption = None,
    time_budget: TimeBudgetOption = None,
    plot: Annotated[bool, page_option("trust.html", "proxy against long training")] = False,
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
    from archsearch.api.trust import plan_trust
    from archsearch.cli.running import run_design

    changes = section_changes(set_ or [])
    planned, finished = run_design(
        lambda runtime: plan_trust(study, runtime, networks=n, epochs=epochs, seeds=seeds, changes=changes),
        reading="the study and its data",
        storage=storage,
        data_dir=data_dir,
        device=device,
        workers=workers,
        time_budget=time_budget,
        dry_run=dry_run,
        json=json,
    )
    from archsearch.api.analyses import trust_between

    found = trust_between(planned.base.stored, finished)
    tell(found, *_pages(found, "trust", planned.base.name, wanted=plot), json=json)
