"""Running a design under the eyes of a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from archsearch.cli.console import error_console
from archsearch.cli.progress import RunDisplay

if TYPE_CHECKING:
    from archsearch.api.study import Study
    from archsearch.search.plan import RunPlan


def run_with_display(
    plan: RunPlan, *, storage: str | None, data_dir: Path | None, time_budget_seconds: float | None = None
) -> Study:
    """Run a planned design to its end, with its progress on standard error; Ctrl-C ends the command."""
    from archsearch.api.designed import run_planned

    try:
        with RunDisplay(plan, error_console) as display:
            return run_planned(
                plan,
                storage=storage,
                data_dir=data_dir,
                time_budget_seconds=time_budget_seconds,
                on_progress=display.show,
            )
    except KeyboardInterrupt:
        error_console.print("stopped; nothing that had finished is lost: type the same command to continue")
        raise typer.Exit(1) from None
