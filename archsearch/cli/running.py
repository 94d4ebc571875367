"""Plans made and run under the eyes of a person: what `run`, `ablate`, `confirm` and `trust` share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import typer
from rich.console import Console
from rich.markup import escape

from archsearch.analysis.means import cells_of
from archsearch.cli.console import error_console, typed_command
from archsearch.cli.options import check_dry_run, parse_duration
from archsearch.cli.progress import RunDisplay
from archsearch.errors import NothingStoredError
from archsearch.search.runtime import Runtime
from archsearch.text import duration, plural

if TYPE_CHECKING:
    from archsearch.api.designed import DesignPlan
    from archsearch.api.designs import MachineOptions
    from archsearch.api.study import Study
    from archsearch.search.config import StudyConfig
    from archsearch.search.estimate import Estimate
    from archsearch.search.plan import RunPlan


def told_estimate(
    planned: RunPlan | DesignPlan, runtime: Runtime, display: RunDisplay, console: Console, *, dry_run: bool
) -> RunPlan:
    """Say how long a plan will take, once its database is found usable; gives its run with the estimate."""
    from archsearch.api.designed import run_of
    from archsearch.api.paths import open_database
    from archsearch.api.run import estimate

    plan = run_of(planned)
    with suppress(NothingStoredError):  # a dry run makes none
        open_database(runtime.storage, create=not dry_run, entering=plan.config.name).close()
    with display.planning("estimating the time", still=True):
        expected = estimate(planned, storage=runtime.storage)
    if expected is None or not expected.pieces:
        return plan
    tell_estimate(expected, plan.config, plan.devices[0], console, total=plan.total)
    budget = runtime.time_budget_seconds
    if budget is not None and budget < expected.seconds:
        console.print(f"note      after {duration(budget)} no new trial starts (--time-budget)")
    return replace(plan, expected=expected)


def tell_estimate(expected: Estimate, config: StudyConfig, device: str, console: Console, *, total: int) -> None:
    """Say how long a study will take, and what to do instead where that is very long."""
    from archsearch.api.run import shorter

    console.print(expected.sentence, markup=False)
    instead = shorter(config, expected, device=device, total=total)
    if instead is not None:
        console.print(f"note      {instead}", markup=False)


def run_displayed(planned: RunPlan | DesignPlan, runtime: Runtime, display: RunDisplay) -> Study:
    """Run a plan with its progress on standard error; Ctrl-C ends the command."""
    from archsearch.api.run import run_plan

    try:
        with display:
            return run_plan(planned, runtime)
    except KeyboardInterrupt:
        error_console.print("stopped; nothing that had finished is lost: type the same command to continue")
        raise typer.Exit(1) from None


def run_design(
    plan: Callable[[Runtime], DesignPlan],
    *,
    reading: str,
    time_budget: str | None,
    dry_run: bool,
    json: bool,
    **machine: Unpack[MachineOptions],
) -> tuple[DesignPlan, Study]:
    """Make a design, say what it will train, train it, and say what is left; a dry run ends the command before that.

    All goes to standard error, so that `--json` prints JSON alone.

    `plan` makes the design for the runtime of the options typed; `reading`: what it reads, said meanwhile.
    """
    check_dry_run(dry_run, json=json)
    display = RunDisplay(error_console)
    budget = None if time_budget is None else parse_duration(time_budget, option="--time-budget")
    runtime = Runtime(time_budget_seconds=budget, command=typed_command(), callbacks=display, **machine)
    with display.planning(f"reading {reading}"):
        planned = plan(runtime)
    error_console.print(f"[bold]{escape(planned.plan.config.name)}[/]")
    for label, text in planned.lines:
        error_console.print(f"{label:<9} {text}", markup=False)
    for note in planned.notes:
        error_console.print(f"note      {note}", markup=False)
    planned = replace(planned, plan=told_estimate(planned, runtime, display, error_console, dry_run=dry_run))
    if dry_run:
        error_console.print("dry run: nothing was stored")
        raise typer.Exit
    finished = run_displayed(planned, runtime, display)
    pending = cells_of(finished.records, planned.design).pending
    if pending:
        error_console.print(f"{plural(pending, 'training')} still to come: type the same command to continue")
    return planned, finished
