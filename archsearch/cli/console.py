"""What commands print with: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import logging
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from archsearch.errors import ArchsearchError
from archsearch.text import plural

if TYPE_CHECKING:
    from archsearch.table import Result

# A person's terminal wraps between words; a file or a pipe gets each line whole.
# Names of users' folders and classes may look like emoji codes (:cat:).
console = Console(highlight=False, emoji=False, soft_wrap=not sys.stdout.isatty())
error_console = Console(stderr=True, highlight=False, emoji=False, soft_wrap=not sys.stderr.isatty())


def log_to_console(*, verbose: bool) -> None:
    """Show the library's warnings (and, if verbose, what it does) on standard error."""
    handler = RichHandler(console=error_console, show_time=False, show_path=False, markup=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("archsearch").setLevel(logging.INFO if verbose else logging.WARNING)


def print_error(error: ArchsearchError) -> None:
    """One error: what was wrong, and below it what to do."""
    error_console.print(f"[bold red]error:[/] {escape(error.message)}")
    if error.hint:
        error_console.print(f"[dim]{escape(error.hint)}[/]")


def show(result: Result, *, limit: int | None = None) -> None:
    """A result on standard output: title, tables, sentences, method, and what to know before it is believed.

    `limit`: rows of its first table that are printed; None: all of them.
    """
    console.print(f"[bold]{escape(result.title)}[/]")
    for line in result.subtitle:
        console.print(line, markup=False)
    if result.empty is not None:
        console.print(result.empty, markup=False)
    for place, table in enumerate(result.tables()):
        shown = table if place or limit is None else replace(table, rows=table.rows[:limit])
        if shown.rows and not shown.wide:
            console.print(shown.without_empty_columns().to_rich(width=console.width))
            if len(shown.rows) < len(table.rows):
                console.print(f"{plural(len(table.rows) - len(shown.rows), 'more row')} not shown")
            if table.note:
                console.print(table.note, markup=False)
    for sentence in result.sentences:
        console.print(f"- {sentence}", markup=False)
    if result.method:
        console.print(result.method, markup=False)
    for warning in result.warnings:
        console.print(f"[yellow]note:[/] {escape(warning)}")


def print_json(content: Mapping[str, Any] | Sequence[Any]) -> None:
    """JSON for programs: no colour, no wrapping."""
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")


def is_terminal() -> bool:
    """Whether a person watches standard output."""
    return console.is_terminal


def typed_command() -> str:
    """What was typed, with the password of a `--storage` URL left out."""
    hidden = [re.sub(r"://([^:/@]+):.*@", r"://\1:***@", word) for word in sys.argv[1:]]
    return shlex.join(["archsearch", *hidden])
