"""Options that several commands share, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any

import typer

from archsearch.cli import completion
from archsearch.cli.console import log_to_console
from archsearch.errors import ConfigError, UnknownNameError


def checked(check: Callable[[str], object]) -> Callable[[Any], Any]:
    """A callback of an option: what is typed is checked when it is read, before torch is imported."""

    def callback(typed: Any) -> Any:
        for each in typed if isinstance(typed, list) else [typed]:
            if each is not None:
                check(each)
        return typed

    return callback


def named_values(option: str, pairs: list[str], *, example: str) -> dict[str, str]:
    """What an option says that is typed once for each name. Raises ConfigError for a pair that is none, or a second."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = map(str.strip, pair.partition("="))
        if not name or not value:
            raise ConfigError(f"{option} {pair}: expected KEY=VALUE", hint=f"for example {option} {example}")
        if name in found:
            raise ConfigError(f"{option} {name} is given twice", hint="leave one out")
        found[name] = value
    return found


def one_of(kind: str, *known: str) -> dict[str, Any]:
    """Of an option that takes one of these words: what completes them, and what refuses another."""

    def check(word: str) -> None:
        if word not in known:
            raise UnknownNameError(kind, word, known)

    return {"autocompletion": completion.words(*known), "callback": checked(check)}


def page_option(file: str, what: str = "one self-contained page") -> Any:
    """`--plot` of a command that writes this page of its result."""
    return typer.Option("--plot", help=f"Write {file}, {what}; a terminal opens it.")


def set_option(of: str, example: str) -> Any:
    """`--set` of a command that takes other values for keys of this."""
    return typer.Option("--set", metavar="KEY=VALUE", help=f"Change one key of {of}, e.g. {example}. Repeatable.")


def check_files_asked(out: Path | None, **files: bool) -> None:
    """Raise ConfigError for a folder, of `--out`, into which nothing would be written; `files`: options that write."""
    if out is not None and not any(files.values()):
        options = [f"--{name}" for name in files]
        which = f"{', '.join(options[:-1])} or {options[-1]}"
        raise ConfigError(f"--out {out} needs a file to write", hint=f"give {which}, too")


def check_read(why: str, **typed: bool) -> None:
    """Raise ConfigError for options that would have no effect, because of what `why` says; `typed`: which there are."""
    unread = [f"--{name.replace('_', '-')}" for name, there in typed.items() if there]
    if unread:
        raise ConfigError(f"{' and '.join(unread)}: {why}", hint="leave one or the other out")


def check_dry_run(dry_run: bool, *, json: bool) -> None:
    """Raise ConfigError for a dry run that is to print JSON: a program would read nothing."""
    check_read("a dry run has no result", json=dry_run and json)


BOARDS = "ssh:HOST, command:PROGRAM ARGS or adb:SERIAL"


def _later(home: str) -> Callable[[str], object]:
    """The function at MODULE:NAME, which is imported when it is first called."""

    def check(typed: str) -> object:
        return resolve_name(home)(typed)

    return check


# Each raises ConfigError or UnknownNameError for what names none.
check_backend_name = _later("archsearch.latency.settings:check_backend_name")
check_dataset = _later("archsearch.data.catalog:parse_dataset")
check_device = _later("archsearch.search.devices:check_device")
check_family = _later("archsearch.models.families:FAMILIES.__getitem__")
check_protocol = _later("archsearch.training.protocols:PROTOCOLS.__getitem__")
check_target = _later("archsearch.targets.transports:parse_target")
check_tracker = _later("archsearch.search.trackers:parse_tracker")


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
    str,
    typer.Option(
        metavar="D",
        autocompletion=completion.devices,
        callback=checked(check_device),
        help="auto, cpu, cuda or cuda:N.",
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        metavar="T",
        callback=checked(check_target),
        help=f"Where latency is measured: local, {BOARDS}. Default: what the study says, where there is one, or local.",
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", callback=_told_all, help="Print all details, not the answer alone.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Worker processes, as of `archsearch run`.")
]
TimeBudgetOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="After 2h, 90m or 300s no new training starts; the same command continues."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and stop.")]

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_TIME = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?", re.ASCII)
_BARE = re.compile(r"0*[1-9]\d*(?:\.\d+)?", re.ASCII)


def parse_duration(text: str, *, option: str) -> float:
    """Seconds of a time such as `2h`, `90m`, `300s` or `1h30m`.

    A bare number is refused: 90 may mean minutes or seconds. Raises ConfigError that names the option.
    """
    found = _TIME.fullmatch(text.strip().lower())
    seconds = 0.0 if found is None else sum(float(found[unit] or 0) * size for unit, size in _UNITS.items())
    if seconds <= 0.0:
        unit = ", and its unit is missing" if _BARE.fullmatch(text.strip()) else ""
        raise ConfigError(f"{option} {text}: not a time above zero{unit}", hint="for example 2h, 90m, 300s or 1h30m")
    return seconds
