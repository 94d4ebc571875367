"""Options that several commands share, and what they mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from archsearch.cli import completion
from archsearch.cli.console import log_to_console
from archsearch.errors import ConfigError


def _told_all(wanted: bool) -> bool:
    if wanted:
        log_to_console(verbose=True)
    return wanted


StorageOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Database, as SQLAlchemy writes it: sqlite:///FILE or postgresql+psycopg://USER@HOST/DB. "
        "Default: sqlite:///runs/archsearch.db.",
    ),
]
StudyOption = Annotated[
    str | None,
    typer.Option(
        "--study",
        "-s",
        metavar="NAME",
        autocompletion=completion.stored_studies,
        help="A stored study. Default: the one worked on last.",
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where datasets are kept. Default: archsearch in the user's cache folder."),
]
DeviceOption = Annotated[
    str, typer.Option(metavar="D", autocompletion=completion.devices, help="auto, cpu, cuda or cuda:N.")
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        metavar="T",
        help="Where latency is measured: local, ssh:HOST, command:PROGRAM ARGS or adb:SERIAL. Default: local, or what "
        "the study says.",
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", callback=_told_all, help="Print all details, not the answer alone.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
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
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and stop.")]

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_TIME = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?", re.ASCII)


def parse_duration(text: str, *, option: str) -> float:
    """Seconds of a time such as `2h`, `90m`, `300s` or `1h30m`.

    A bare number is refused: 90 may mean minutes or seconds. Raises ConfigError that names the option.
    """
    found = _TIME.fullmatch(text.strip().lower())
    seconds = 0.0 if found is None else sum(float(found[unit] or 0) * size for unit, size in _UNITS.items())
    if seconds <= 0.0:
        raise ConfigError(f"{option} {text}: not a time above zero", hint="for example 2h, 90m, 300s or 1h30m")
    return seconds
