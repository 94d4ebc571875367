"""Options and lines that the commands with a design share."""

from __future__ import annotations

from typing import Annotated

import typer

from archsearch.text import duration, plural

WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Worker processes, as of `archsearch run`."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one key of the study's proxy or latency, e.g. proxy.epochs=3. Repeatable.",
    ),
]
MostOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Networks that may be trained: a larger design is refused.")
]
TimeBudgetOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="After 2h, 90m or 300s no new training starts; the same command continues."),
]


def time_text(seconds: float | None, *, workers: int) -> str:
    """How long a design will take, in a line of its plan."""
    if seconds is None:
        return "time      not known before the first trials have ended"
    return f"time      about {duration(seconds)} with {plural(workers, 'worker')}, as the study's own trials took"
