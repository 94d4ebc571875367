"""`archsearch run`: a study from its YAML file to its front."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from archsearch.cli.console import console, error_console, typed_command
from archsearch.cli.durations import parse_duration
from archsearch.cli.options import DataDirOption, DeviceOption, StorageOption
from archsearch.text import bytes_text, duration, plural

if TYPE_CHECKING:
    from archsearch.api.study import Study
    from archsearch.search.plan import RunPlan
    from archsearch.search.run import Progress
    from archsearch.store.studies import StudyInfo


def run(
    study: Annotated[
        str,
        typer.Option("--study", "-s", metavar="NAME|FILE", help="A shipped study's name, or a YAML file of your own."),
    ],
    trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Networks to evaluate in all: the same command again goes on to N."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Worker processes here, spread over the GPUs: several share one if N is more than there are. On a "
            "CPU at most one for each core. Default: one for each GPU, or for each core (at most 8).",
        ),
    ] = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change one key of the study, e.g. proxy.epochs=3. Repeatable."
        ),
    ] = None,
    max_latency: Annotated[
        float | None,
        typer.Option(metavar="MS", help="Reject slower networks: short for --set constraints.latency_ms=MS."),
    ] = None,
    max_params: Annotated[
        int | None,
        typer.Option(metavar="N", help="Reject larger networks: short for --set constraints.params=N."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="S", help="Seed of suggestions and proxies. Default: the study's own.")
    ] = None,
    storage: StorageOption = None,
    time_budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="After 2h, 90m, 300s or 1h30m no new trial starts; running ones are finished, so allow for one "
            "trial more. The same command again has a new budget.",
        ),
    ] = None,
    stop_on_plateau: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="No new trial starts once the last N trials have added less than 0.1 % to the hypervolume "
            "(a latency counts as better from the study's noise floor on).",
        ),
    ] = None,
    optuna_proxy: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Where `archsearch proxy` serves Optuna's tables of --storage, for many workers."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, try three networks, stop.")
    ] = False,
) -> None:
    """Run a study, or continue it.

    Published networks are evaluated first, then what the sampler suggests.
    Each network's cost and latency come before its short training.
    Ctrl-C ends cleanly; the same command typed again continues.
    Typed on another machine with the same PostgreSQL as --storage it joins.

    Examples:
    archsearch run --study quickstart
    archsearch run --study cifar100 --trials 200
    archsearch run --study cifar10_cpu --max-latency 2.5 --max-params 1000000
    archsearch run --study mine.yaml --set proxy.epochs=3 --workers 2
    archsearch run --study cifar10 --time-budget 2h --stop-on-plateau 50
    """
    began = time.monotonic()
    budget = None if time_budget is None else parse_duration(time_budget, option="--time-budget")

    from archsearch.api.run import check, plan
    from archsearch.api.run import run as run_planned
    from archsearch.cli.progress import RunDisplay
    from archsearch.overrides import read_overrides

    bounds = {"constraints.latency_ms": max_latency, "constraints.params": max_params}
    with error_console.status("reading the study, its data and its search space"):
        planned = plan(
            study,
            trials=trials,
            workers=workers,
            device=device,
            data_dir=data_dir,
            overrides=read_overrides(set_ or []) | {key: value for key, value in bounds.items() if value is not None},
            seed=seed,
            storage=storage,
            command=typed_command(),
        )
    _print_plan(planned)
    if dry_run:
        check(planned, storage=storage)
        console.print("dry run: nothing was stored")
        return
    endings: list[str] = []

    def show(progress: Progress) -> None:
        display.show(progress)
        if progress.ending is not None and not endings:
            endings.append(progress.ending)
            error_console.print(_ending(progress), markup=False)

    try:
        with RunDisplay(planned, error_console) as display:
            finished = run_planned(
                planned,
                data_dir=data_dir,
                storage=storage,
                time_budget_seconds=None if budget is None else budget - (time.monotonic() - began),
                plateau_trials=stop_on_plateau,
                optuna_proxy=optuna_proxy,
                on_begun=_print_batch,
                on_progress=show,
            )
    except KeyboardInterrupt:
        error_console.print("stopped; nothing that had finished is lost: type the same command to continue")
        raise typer.Exit(1) from None
    _print_end(finished, display.elapsed_seconds, planned.total, endings)


def _print_plan(plan: RunPlan) -> None:
    config = plan.config
    console.print(f"[bold]{config.name}[/]  {escape(config.description)}".rstrip())
    kinds: dict[str, int] = {}
    for name in plan.devices:
        kinds[name] = kinds.get(name, 0) + 1
    where = ", ".join(f"{plural(number, 'worker')} on {name}" for name, number in kinds.items())
    inside = sum(variant.suggested is not None for variant in plan.variants)
    latency, measured_on = config.latency, plan.devices[0]
    backends = " and ".join((latency.backend_on(measured_on), *latency.also_on(measured_on)))
    console.print(
        f"space     {plan.space.name}, {len(plan.space.domains)} choices, {plan.space.size:.3g} points\n"
        f"variants  {len(plan.variants)} published networks first ({inside} inside the space, "
        f"{len(plan.variants) - inside} outside)\n"
        f"data      {escape(config.dataset)}: {plan.train_images:,} training and {plan.validation_images:,} validation "
        f"images, {plan.num_classes} classes, {plan.input_size}x{plan.input_size}\n"
        f"{_needs(plan)}"
        f"proxy     {plural(config.proxy.epochs, 'epoch')}, batch {config.proxy.batch_size}, seed {config.seed}\n"
        f"latency   {backends}, {_batch(plan)}, {plural(latency.threads, 'thread')}, "
        f"{latency.precision_on(measured_on)}, beside {config.reference}\n"
        f"trials    {plan.total} in all, sampler {config.sampler}, {where}"
    )


def _needs(plan: RunPlan) -> str:
    """What the images are, and what they need: lines of the plan."""
    needs = plan.needs
    guess = f"always the largest class: {plan.majority_percent:.1f} %; chance: {100 / plan.num_classes:.1f} %"
    if not needs.decoded_images:
        return f"          {guess}\n"
    wait = f"about {duration(needs.decode_seconds)} to decode" if needs.decode_seconds else "decoded already"
    return (
        f"          {guess}\n"
        f"pictures  {needs.decoded_images:,} of {needs.of_images:,} are read: {bytes_text(needs.disk_bytes)} on disk, "
        f"{wait}; about {bytes_text(needs.process_bytes)} of memory for each worker on a CPU\n"
    )


def _print_batch(study: StudyInfo) -> None:
    """What was found out of the study's batch when it began: the plan's last line."""
    from archsearch.analysis.conditions import batch_sentence

    found = study.latency_batch
    if found is not None:
        mark = "[yellow]warning:[/] " if found.on_launch_floor else "batch     "
        error_console.print(f"{mark}{escape(batch_sentence(found))}")


def _batch(plan: RunPlan) -> str:
    latency, device = plan.config.latency, plan.devices[0]
    if not latency.chooses_batch_on(device):
        return f"batch {latency.batch_on(device)}"
    return f"a batch of {latency.batch_on(device)} or more, chosen when the study begins, so that widths differ"


def _ending(progress: Progress) -> str:
    running = progress.workers and progress.counts.get("running", 0)
    finishing = "; running ones are finished" if running else ""
    return f"{progress.ending}: no new trial starts{finishing}"


def _print_end(study: Study, elapsed_seconds: float, total: int, endings: Sequence[str]) -> None:
    from archsearch.cli.tables import front_view, recommendation_view

    counts = ", ".join(f"{number} {status}" for status, number in sorted(study.counts.items()))
    console.print(f"\nstudy '{study.name}': {counts or 'no trials'} ({duration(elapsed_seconds)} in this run)")
    reasons = {record.reason for record in study.records if record.status == "failed" and record.reason}
    for reason in sorted(reasons)[:3]:
        console.print(f"failed: {reason.splitlines()[0]}", markup=False)
    front_view(study, console)
    for ending in endings:
        console.print(f"ended before {plural(total, 'trial')}: {ending}", markup=False)
    recommendation_view(study.recommendation, console)
    if not study.front.rows:
        raise typer.Exit(0 if endings else 1)
    console.print("next: archsearch pareto --plot   |   archsearch retrain --trial best")
