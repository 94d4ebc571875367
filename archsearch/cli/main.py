"""The command line's entry: commands in groups. torch and Optuna are imported inside commands only."""

from __future__ import annotations

import atexit
import errno
import gc
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from archsearch.cli import data, designs, latency, models, networks, run, servers, studies
from archsearch.cli.console import checked_stdout, error_console, forgiving_stderr, log_to_console, print_error
from archsearch.errors import ArchsearchError, ConfigError, nearest, shown
from archsearch.validation import must_be
from archsearch.version import __version__

_UsageError: Any = typer.BadParameter.__base__  # of click, which typer may bring itself
_INTERRUPTED = 130  # how the library ends a command that Ctrl-C has ended
_COLLECTED_EVERY = 50_000  # new objects, not 700: those that imports make, 450,000, all stay
SEARCH = "Search"
LOOK = "Look"
EPILOG = "\n\n".join(
    (
        "Examples:",
        "archsearch run --study quickstart",
        "archsearch pareto --plot",
        "archsearch retrain --trial best --protocol modern --epochs 10",
        "archsearch describe shufflenet_v2_x1_0",
    )
)
_HINTS = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room, and type the same command again")
_HINTS[errno.EPIPE] = "what reads the output has ended before all of it was written"
RENAMED = {"proxy": "serve-storage"}  # commands of earlier versions


class _Commands(TyperGroup):
    def get_params(self, ctx: Any) -> Any:
        """As click has it; flags take no value, and their help names none."""
        return _without_flags_type(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """As click does, and the same of its flags."""
        command = super().get_command(ctx, cmd_name)
        _without_flags_type([] if command is None else command.params)
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # typer may bring a click of its own
        """As click does, but the old name of a command is answered with its new one."""
        if args and args[0] in RENAMED:
            new = RENAMED[args[0]]
            raise ConfigError(f"the command {args[0]} is now called {new}", hint=f"archsearch {new} --help")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """As click does, but a pipe that nobody reads any more is told of: click ends there without a word."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _said_by_the_system(error) from error


def _without_flags_type(params: Any) -> Any:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


app = typer.Typer(
    name="archsearch",
    cls=_Commands,
    help="Which design choices of a lightweight CNN are worth their cost on your device: search the ShuffleNetV2 "
    "family, with latency measured, not guessed.",
    epilog=EPILOG,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# By the heading of the help that they stand under, in its order; each has its function's name.
COMMANDS: dict[str, list[Callable[..., None]]] = {
    SEARCH: [
        run.run, models.retrain, models.export, designs.ablate, designs.confirm, designs.trust, data.data,
        servers.serve_storage,
    ],
    LOOK: [
        studies.pareto, studies.plot, studies.report, studies.compare, studies.studies, servers.dashboard,
        studies.replay, networks.describe, latency.measure, networks.audit, latency.guidelines, networks.papers,
        networks.variants, studies.schema,
    ],
}  # fmt: skip
for panel, commands in COMMANDS.items():
    for each in commands:
        app.command(each.__name__.replace("_", "-"), rich_help_panel=panel)(each)
app.add_typer(latency.target_app, name="target", rich_help_panel=LOOK)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"archsearch {__version__}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is done, not only what is wrong.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of every command."""
    log_to_console(verbose=verbose)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run a command: exit code 0 done, 1 failed or stopped, 2 wrong usage."""
    signal.signal(signal.SIGTERM, _stop)  # a cluster's way of saying Ctrl-C
    gc.set_threshold(_COLLECTED_EVERY)
    atexit.register(gc.freeze)  # at its end Python would look through all that torch imported, for a second
    with forgiving_stderr():
        try:
            with checked_stdout():
                words = sys.argv[1:]
                _check_words(words)
                alone = words in ([], ["target"])  # a group's name: what is in it
                typed = [*words, "--help"] if alone else words
                code = app(typed, prog_name="archsearch", standalone_mode=False)  # for a shell, of the module, too
            if code == _INTERRUPTED:
                raise KeyboardInterrupt
            sys.exit(code or 0)
        except _UsageError as error:
            print_error(_wrong_usage(error))
            sys.exit(2)
        except ArchsearchError as error:
            print_error(error)
            sys.exit(error.exit_code)
        except OSError as error:  # of a disk that is full, or of standard output
            told = _said_by_the_system(error)
            print_error(told)
            sys.exit(told.exit_code)
        except MemoryError:
            print_error(ArchsearchError("there is not enough memory"))
            sys.exit(1)
        except KeyboardInterrupt:
            error_console.print("stopped")
            sys.exit(1)


def _wrong_usage(error: Any) -> ConfigError:
    """What the command line's library found, in our words."""
    command = "archsearch" if error.ctx is None else error.ctx.command_path
    said, _, meant = error.format_message().rstrip(".").partition(". ")
    if isinstance(error.__cause__, ValidationError):  # newer versions read values with pydantic
        finding = error.__cause__.errors(include_url=False)[0]
        said = f"{max(error.param.opts, key=len)}: {must_be([finding])}"
        said += "" if finding["type"] == "value_error" else f", got {shown(finding['input'])}"
    elif possible := getattr(error, "possibilities", None):
        said = f"{command} has no option {error.option_name}"
        meant = f"did you mean {nearest(error.option_name, possible) or possible[0]}?"
    hint = f"{meant[:1].lower()}{meant[1:]}" if meant else f"{command} --help"
    return ConfigError(f"{said[:1].lower()}{said[1:]}".rstrip("."), hint=hint)


def _check_words(words: Sequence[str]) -> None:
    """Raise ConfigError for bytes that are no text: neither a database nor a page could hold them."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{word!a}: not UTF-8 text", hint="rename the file, or type the name again") from error


def _said_by_the_system(error: OSError) -> ArchsearchError:
    where = "" if error.filename is None else f"{error.filename}: "
    what = error.strerror or str(error) or type(error).__name__
    if error.errno == errno.ENAMETOOLONG:
        return ConfigError(f"{where}{what}", hint="a file's name has at most 255 bytes")
    return ArchsearchError(f"{where}{what}", hint=_HINTS.get(error.errno or 0))


if __name__ == "__main__":
    main()
