"""`archsearch run`: a study from its YAML file to its front."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from archsearch.api.output import result_json
from archsearch.cli import completion
from archsearch.cli.console import console, error_console, print_json, show_answer, typed_command
from archsearch.cli.options import (
    DataDirOption,
    DeviceOption,
    JsonOption,
    StorageOption,
    TargetOption,
    VerboseOption,
    check_dataset,
    check_dry_run,
    check_target,
    check_tracker,
    checked,
    parse_duration,
    set_option,
)
from archsearch.errors import ConfigError, DataError
from archsearch.resources import list_yaml
from archsearch.text import bytes_text, duration, plural

if TYPE_CHECKING:
    from archsearch.api.study import Study
    from archsearch.cli.progress import RunDisplay
    from archsearch.search.config import StudyConfig
    from archsearch.search.plan import RunPlan
    from archsearch.search.runtime import Runtime


def run(
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            "-s",
            metavar="NAME|FILE",
            autocompletion=completion.shipped_studies,
            help="A shipped study's name, or a YAML file of your own.",
        ),
    ] = None,
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
    set_: Annotated[list[str] | None, set_option("the study", "proxy.epochs=3")] = None,
    target: TargetOption = None,
    max_latency: Annotated[
        float | None,
        typer.Option(metavar="MS", help="Reject slower networks: short for --set constraints.latency_ms=MS."),
    ] = None,
    max_params: Annotated[
        int | None, typer.Option(metavar="N", help="Reject larger networks: short for --set constraints.params=N.")
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
            metavar="HOST:PORT",
            help="Where `archsearch serve-storage` serves Optuna's tables of --storage, for many workers.",
        ),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:WHERE",
            callback=checked(check_tracker),
            help="Log trials and epochs, each by an extra of its name: tensorboard:DIR, mlflow:URI (such as "
            "mlflow:sqlite:///mlflow.db) or wandb:PROJECT. Repeatable.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, try three networks, stop.")
    ] = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a study, or continue it.

    Published networks are evaluated first, then what the sampler suggests.
    Each network is counted, then measured beside its short training.
    Ctrl-C ends cleanly; the same command typed again continues.
    Typed on another machine with the same PostgreSQL as --storage it joins.

    Examples:
    archsearch run --study quickstart
    archsearch run --study cifar100 --trials 200
    archsearch run --study cifar10_cpu --max-latency 2.5 --max-params 1000000
    archsearch run --study mine.yaml --set proxy.epochs=3 --workers 2
    archsearch run --study quickstart --target ssh:pi5 --set name=pi
    archsearch run --study cifar10 --time-budget 2h --stop-on-plateau 50 --log tensorboard:logs
    """
    from archsearch.overrides import read_overrides
    from archsearch.search.config import load_study

    check_dry_run(dry_run, json=as_json)
    if study is None:
        known = ", ".join(list_yaml("studies"))
        raise ConfigError("which study to run is not said", hint=f"--study NAME: {known}; or a YAML file of your own")
    overrides = read_overrides(set_ or [])
    of_the_study: tuple[tuple[str, str, object], ...] = (
        ("target", "latency.target", target),
        ("max-latency", "constraints.latency_ms", max_latency),
        ("max-params", "constraints.params", max_params),
        ("seed", "seed", seed),
    )
    for option, key, value in (*of_the_study, ("trials", "trials", trials), ("workers", "workers", workers)):
        if value is not None and key in overrides:
            raise ConfigError(f"--set {key} and --{option} are one key", hint="leave one out")
    overrides |= {key: value for _, key, value in of_the_study if value is not None}
    config = load_study(study, overrides)
    _check_names(config)

    from archsearch.cli.progress import RunDisplay
    from archsearch.cli.running import run_displayed, told_estimate
    from archsearch.search.processes import add_idle, idle_workers
    from archsearch.search.runtime import CallbackList, Runtime
    from archsearch.search.trackers import tracker

    told = error_console if as_json else console
    display = RunDisplay(error_console)
    runtime = Runtime(
        storage=storage,
        data_dir=data_dir,
        device=device,
        workers=workers,
        time_budget_seconds=None if time_budget is None else parse_duration(time_budget, option="--time-budget"),
        plateau_trials=stop_on_plateau,
        optuna_proxy=optuna_proxy,
        command=typed_command(),
        callbacks=display,
    )
    if log:
        runtime = replace(runtime, callbacks=CallbackList([display, *map(tracker, log)]))
    with idle_workers() as idle:
        runtime = replace(runtime, idle=idle)
        ready = 0 if dry_run else workers or config.workers
        add_idle(idle, ready, busy=1)  # the planning: both import torch
        try:
            with display.planning("reading the study, its data and its search space"):
                from archsearch.api.designed import plan_config

                planned = plan_config(config, runtime, trials=trials)
        except DataError:
            _print_without_images(config, runtime, display, trials, told)
            raise
        add_idle(idle, ready, busy=0)
        _print_plan(planned, told, asked=device)
        planned = told_estimate(planned, runtime, display, told, dry_run=dry_run)
        if dry_run:
            told.print("dry run: nothing was stored")
            return
        finished = run_displayed(planned, runtime, display)
    _print_end(finished, display.elapsed_seconds, planned.total, display.ending, told, as_json=as_json)


def _check_names(config: StudyConfig) -> None:
    """Answer a wrong choice, sampler or network at once: planning says it, too, and imports torch first."""
    check_dataset(config.dataset)
    for name in config.latency.every_target:
        check_target(name)

    from archsearch.search.samplers import check_sampler
    from archsearch.search.variants import scaled

    check_sampler(config.sampler, size=config.search_space().size)
    scaled(config.reference, config, key="reference")
    for name in () if isinstance(config.variants, str) else config.variants:
        if name != "auto":
            scaled(name, config)


def _print_without_images(
    config: StudyConfig, runtime: Runtime, display: RunDisplay, trials: int | None, told: Console
) -> None:
    """What is known of a study whose images are not there: where it would run, and how long."""
    from archsearch.api.run import estimate_without_images
    from archsearch.cli.running import tell_estimate
    from archsearch.search.devices import shares_gpus, worker_devices

    asked = runtime.workers or config.workers
    devices = worker_devices(runtime.device, asked, config.workers_per_gpu)
    shared = shares_gpus(devices, asked, config.workers_per_gpu)
    total = trials or config.trials
    _print_head(config, told)
    told.print(f"trials    {total} in all, {_where(devices, asked=runtime.device, shared=shared)}")
    with display.planning("estimating the time", still=True):
        expected = estimate_without_images(config, runtime, trials=total)
    if expected is not None:
        tell_estimate(expected, config, devices[0], told, total=total)


def _print_head(config: StudyConfig, told: Console) -> None:
    told.print(f"[bold]{config.name}[/]  {escape(config.description)}".rstrip())


def _where(devices: tuple[str, ...], *, asked: str, shared: bool) -> str:
    """How many workers there are on which device, and why on no GPU."""
    kinds = Counter(devices)
    found = ", ".join(f"{plural(number, 'worker')} on {name}" for name, number in kinds.items())
    if shared:
        return f"{found} or more, as many as do most together when the run begins"
    return f"{found} (torch sees no GPU)" if asked == "auto" and devices[0] == "cpu" else found


def _print_plan(plan: RunPlan, told: Console, *, asked: str) -> None:
    """What would be done; `asked` is the device as typed."""
    from archsearch.latency.settings import LOCAL

    config = plan.config
    _print_head(config, told)
    outside = sum(variant.suggested is None for variant in plan.variants)
    others = f" ({outside} of them outside the search space)" if outside else ""
    first = f"{plural(len(plan.variants), 'published network')} first{others}, then " if plan.variants else ""
    latency, measured_on = config.latency, plan.devices[0]
    backends = " and ".join((latency.backend_on(measured_on), *latency.also_on(measured_on)))
    size = latency.batch_on(measured_on)
    chosen = f"a batch of {size} or more, chosen when the study begins, so that widths differ"
    batch = chosen if latency.chooses_batch_on(measured_on) else f"batch {size}"
    on = "" if latency.targets == (LOCAL,) else f" on {' and '.join(latency.targets)}"
    on += f", shared with {' and '.join(latency.pool)}" if latency.pool else ""
    told.print(
        f"space     {plan.space.name}: {plural(len(plan.space.domains), 'choice')}, {_combinations(plan.space.size)}\n"
        f"networks  {first}what the sampler {config.sampler} suggests\n"
        f"data      {config.dataset}: {plan.train_images:,} training and {plan.validation_images:,} validation "
        f"images, {plan.num_classes} classes, {plan.input_size}x{plan.input_size}\n"
        f"{_needs(plan)}"
        f"proxy     {plural(config.proxy.epochs, 'epoch')}, batch {config.proxy.batch_size}, seed {config.seed}\n"
        f"latency   {backends}{on}, {batch}, {plural(latency.threads, 'thread')}, "
        f"{latency.precision_on(measured_on)}, alternating with {config.reference}\n"
        f"trials    {plan.total} in all, {_where(plan.devices, asked=asked, shared=plan.shares_gpus)}",
        markup=False,  # a space and a folder of one's own have any name
    )


def _combinations(number: int) -> str:
    """`1,296 combinations`, `472 billion combinations`; some are one network: widths of a layer that is not there."""
    for size, name in ((10**15, None), (10**12, "trillion"), (10**9, "billion"), (10**6, "million")):
        if number >= 0.9995 * size:  # what rounds to 1000 million is 1 billion
            return f"{number:.2g} combinations" if name is None else f"{number / size:.3g} {name} combinations"
    return plural(number, "combination")


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


def _print_end(
    study: Study,
    elapsed_seconds: float,
    total: int,
    ending: str | None,
    told: Console = console,
    *,
    as_json: bool = False,
) -> None:
    from archsearch.api.analyses import study_front
    from archsearch.api.stored import counts_text

    told.print(f"\nstudy '{study.name}': {counts_text(study.counts)} ({duration(elapsed_seconds)} in this run)")
    reasons = {record.reason for record in study.records if record.status == "failed" and record.reason}
    for reason in sorted(reasons)[:3]:
        told.print(f"failed: {reason.splitlines()[0]}", markup=False)
    if ending is not None:
        told.print(f"ended before {plural(total, 'trial')}: {ending}", markup=False)
    found = study_front(study)
    if as_json:
        print_json(result_json(found, command="run"))
    else:
        show_answer(found, named=study.named, published=False)
    if not study.front.rows:
        raise typer.Exit(0 if ending else 1)
