"""What commands print with: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import shlex
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.text import Text

from archsearch.api.output import result_json
from archsearch.errors import ArchsearchError, OverrideError, shortened
from archsearch.table import json_text, write_text
from archsearch.text import command_of

if TYPE_CHECKING:
    from rich.console import ConsoleRenderable
    from rich.traceback import Traceback

    from archsearch.analysis.recommendation import Recommendation
    from archsearch.analysis.study_front import StudyFront
    from archsearch.table import Result

_PIPE_COLUMNS = 1000  # nothing is cut or folded where no terminal says how wide it is
_LEAST_COLUMNS = 20
_SILENT_SECONDS = 10.0


class _Console(Console):
    """Rich's, but a pipe that nobody reads any more is an error as of every other write: rich exits without a word."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _console(stream: TextIO | None, *, stderr: bool = False) -> Console:
    """A person's terminal wraps between words; a file or a pipe gets each line, and each row of a table, whole.

    `COLUMNS` says how wide a table may be.
    """
    terminal = stream is not None and stream.isatty()
    said = os.environ.get("COLUMNS")
    width = None if terminal else _PIPE_COLUMNS
    return _Console(
        stderr=stderr,
        force_terminal=None if terminal else False,  # whatever FORCE_COLOR says in continuous integration
        force_interactive=None if terminal else False,  # and TTY_INTERACTIVE
        highlight=False,
        emoji=False,  # names of folders and classes may look like its codes (:cat:)
        soft_wrap=not terminal,
        width=width if said is None else max(int(said), _LEAST_COLUMNS),
    )


def _forget_what_is_no_size() -> None:
    """Leave out a `COLUMNS` or `LINES` of 0, or one that is no number: rich would print nothing at all, or fail."""
    for name in ("COLUMNS", "LINES"):
        if not re.fullmatch("0*[1-9][0-9]{0,4}", os.environ.get(name, "1")):
            del os.environ[name]


_forget_what_is_no_size()
console = _console(sys.stdout)
error_console = _console(sys.stderr, stderr=True)


class _Forgiving(io.TextIOBase):
    """Standard error whose loss stops nothing: a log on a full disk is no reason to end a search."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # ValueError: it is closed
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


@contextmanager
def forgiving_stderr() -> Iterator[None]:
    """Inside it, what cannot be written to standard error, or if that is closed, is left out."""
    before = sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 (a device)
        sys.stderr = _Forgiving(before or nowhere)
        try:
            yield
        finally:
            sys.stderr = before


@contextmanager
def checked_stdout() -> Iterator[None]:
    """Inside it standard output takes every character, and at its end all of it has been written.

    Raises ArchsearchError at once if it is closed, OSError if not all could be written.
    """
    if sys.stdout is None:
        raise ArchsearchError("standard output is closed", hint="send it to a file, or to /dev/null")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError:
        # Nothing more is written: Python would try what is left once more at its end, and fail without a word.
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


class _LogHandler(RichHandler):
    """Rich's, but where nobody watches no line is filled up with blanks to the width of a pipe."""

    def render(
        self, *, record: logging.LogRecord, traceback: Traceback | None, message_renderable: ConsoleRenderable
    ) -> ConsoleRenderable:
        """As rich lays it out in a terminal; else the level, and the lines of the message below each other."""
        if self.console.is_terminal:
            return super().render(record=record, traceback=traceback, message_renderable=message_renderable)
        level = f"{record.levelname:<9}"
        return Text(level + str(message_renderable).replace("\n", "\n" + " " * len(level)))


def log_to_console(*, verbose: bool) -> None:
    """Show the library's warnings (and, if verbose, what it does) on standard error."""
    handler = _LogHandler(console=error_console, show_time=False, show_path=False, markup=False)
    # What it cannot draw it raises; what it logs beside, with a traceback, is of the pipe to a browser that ends. Its
    # loggers are of a class of its own, so that none is asked for here, before it is imported.
    handler.addFilter(lambda record: not record.name.startswith("choreographer"))
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("archsearch").setLevel(logging.INFO if verbose else logging.WARNING)


def print_error(error: ArchsearchError) -> None:
    """One error: what was wrong, and below it what to do."""
    message = _as_typed(error.message)
    if isinstance(error, OverrideError):  # as it was typed
        message = shortened(f"--set {error.key}: {error.what}" if error.key else f"--set: {error.what}")
    error_console.print(f"[bold red]error:[/] {escape(message)}")
    if error.hint:
        error_console.print(f"[dim]{escape(error.hint)}[/]")


def _as_typed(message: str) -> str:
    """A message that begins with an argument of the library, `device tpu: ...`, with the option that was typed."""
    named = re.match(r"([a-z_]+)(?= [^\s']+: |: )", message)
    name = "" if named is None else named[1]
    option = name and f"--{_TYPED.get(name, name).replace('_', '-')}"
    typed = option and any(word.partition("=")[0] == option for word in sys.argv[1:])
    return f"{option}{message[len(name) :]}" if typed else message


_TYPED = {
    "base": "from",
    "budget_seconds": "budget",
    "compiled": "compile",
    "rule": "select",
}  # what an argument is called


@contextmanager
def doing(what: str, on: Console | None = None, *, still: bool = False) -> Iterator[Callable[[str], None]]:
    """Say what takes its time: a spinner where a person watches, a line elsewhere.

    Gives the function that says how far it is; elsewhere such a line comes every ten seconds at most.

    `still`: a line that is drawn when something is said, and no spinner, whose thread would disturb what is timed here.
    """
    where = on or error_console
    if where.is_interactive and still:
        from rich.live import Live

        with Live(Text(what), console=where, auto_refresh=False, transient=True) as live:
            yield lambda text: live.update(Text(text), refresh=True)
        return
    if where.is_interactive:
        with where.status(escape(what)) as status:
            yield lambda text: status.update(escape(text))
        return
    where.print(what, markup=False)
    last = time.monotonic()

    def say(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _SILENT_SECONDS:
            last = time.monotonic()
            where.print(text, markup=False)

    yield say


def show(result: Result) -> None:
    """A result on standard output, as `archsearch.table.write_text` lays it out."""
    write_text(result, console)


def show_written(*paths: Path) -> None:
    """Say which files were written; where a person watches, the pages among them are opened."""
    for path in paths:
        console.print(f"wrote {path}", markup=False)
    for path in paths:
        if path.suffix == ".html" and console.is_terminal:
            webbrowser.open(path.resolve().as_uri())


def tell(result: Result, *paths: Path, json: bool, limit: int | None = None, of_each: bool = False) -> None:
    """What a command found, and the files that it wrote of it; or, for a program, the result as JSON alone.

    `limit`, `of_each`: as of `write_text`.
    """
    if json:
        print_json(result_json(result))
    else:
        write_text(result, console, limit=limit, of_each=of_each)
        show_written(*paths)


def show_answer(found: StudyFront, *, named: Sequence[str], published: bool) -> None:
    """Which network of a study to take, and what to type next; with `--verbose` everything that is known of its front.

    `named`: the options that name its study. `published`: with what became of each published network.
    """
    everything = logging.getLogger("archsearch").isEnabledFor(logging.INFO)
    show(found if everything else found.answer(published=published))
    if not found.rows:
        return
    commands = (["report", *named], ["confirm", *named], ["retrain", *named, "--trial", "best"])
    console.print("next:", *(f"  {shlex.join(['archsearch', *words])}" for words in commands), sep="\n", markup=False)
    if not everything:
        console.print(f"all details: {shlex.join(['archsearch', 'pareto', *named, '--verbose'])}", markup=False)


def show_recommendation(found: Recommendation, on: Console = console) -> None:
    """Which network to take, and why."""
    first, *rest = found.sentences
    on.print(f"\n[bold]{escape(first)}[/]")
    for sentence in rest:
        on.print(sentence, markup=False)


def print_json(content: Mapping[str, Any] | Sequence[Any]) -> None:
    """JSON for programs: no colour, no wrapping."""
    sys.stdout.write(json_text(content, indent=2))


def typed_command() -> str:
    """What was typed, without the passwords of database URLs."""
    return command_of(["archsearch", *sys.argv[1:]])
