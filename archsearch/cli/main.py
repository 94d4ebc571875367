"""The command line's entry: commands in groups. torch and Optuna are imported inside commands only."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from archsearch.cli import (
    data,
    designs,
    latency,
    models,
    networks,
    pareto,
    plot,
    report,
    run,
    schema,
    servers,
    studies,
)
from archsearch.cli.console import checked_stdout, error_console, forgiving_stderr, log_to_console, print_error
from archsearch.errors import ArchsearchError, ConfigError

SEARCH = "Search"
LOOK = "Look"
EPILOG = (
    "Examples:  archsearch run --study quickstart   |   archsearch pareto --plot   |   "
    "archsearch retrain --trial best --protocol modern --epochs 10   |   archsearch describe shufflenet_v2_x1_0"
)
RENAMED = {"proxy": "serve-storage"}  # commands of earlier versions


class _Commands(TyperGroup):
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # typer may bring a click of its own
        """As click does, but the old name of a command is answered with its new one."""
        if args and args[0] in RENAMED:
            new = RENAMED[args[0]]
            raise ConfigError(f"the command {args[0]} is now called {new}", hint=f"archsearch {new} --help")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="archsearch",
    cls=_Commands,
    help="Which choices of a lightweight CNN pay on your device: search the ShuffleNetV2 family, "
    "with latency measured, not guessed.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", rich_help_panel=SEARCH)(run.run)
app.command("retrain", rich_help_panel=SEARCH)(models.retrain)
app.command("export", rich_help_panel=SEARCH)(models.export)
app.command("ablate", rich_help_panel=SEARCH)(designs.ablate)
app.command("confirm", rich_help_panel=SEARCH)(designs.confirm)
app.command("trust", rich_help_panel=SEARCH)(designs.trust)
app.command("data", rich_help_panel=SEARCH)(data.data)
app.command("serve-storage", rich_help_panel=SEARCH)(servers.serve_storage)
app.command("pareto", rich_help_panel=LOOK)(pareto.pareto)
app.command("plot", rich_help_panel=LOOK)(plot.plot)
app.command("report", rich_help_panel=LOOK)(report.report)
app.command("compare", rich_help_panel=LOOK)(studies.compare)
app.command("studies", rich_help_panel=LOOK)(studies.studies)
app.command("dashboard", rich_help_panel=LOOK)(servers.dashboard)
app.command("replay", rich_help_panel=LOOK)(studies.replay)
app.command("describe", rich_help_panel=LOOK)(networks.describe)
app.command("measure", rich_help_panel=LOOK)(latency.measure)
app.command("audit", rich_help_panel=LOOK)(networks.audit)
app.add_typer(latency.target_app, name="target", rich_help_panel=LOOK)
app.command("guidelines", rich_help_panel=LOOK)(latency.guidelines)
app.command("papers", rich_help_panel=LOOK)(networks.papers)
app.command("variants", rich_help_panel=LOOK)(networks.variants)
app.command("schema", rich_help_panel=LOOK)(schema.schema)


def _version(wanted: bool) -> None:
    if wanted:
        from archsearch import __version__

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
    with forgiving_stderr():
        try:
            with checked_stdout():
                _check_words(sys.argv[1:])
                app()
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
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return ArchsearchError(f"{where}{what}", hint="make room, and type the same command again" if full else None)


if __name__ == "__main__":
    main()
