"""`archsearch target`: boards that latency is measured on."""

from __future__ import annotations

from typing import Annotated

import typer

from archsearch.cli.console import console, error_console, print_json
from archsearch.cli.options import JsonOption

app = typer.Typer(no_args_is_help=True, help="Look at a board that latency is measured on (--target).")


@app.command("check")
def check(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="ssh:HOST, command:PROGRAM ARGS or adb:SERIAL.", show_default=False)
    ],
    json: JsonOption = False,
) -> None:
    """Connect to a board; say what it is, how steadily it measures, and what the line to it costs. Takes half a minute.

    The board needs Python 3.9 with numpy and onnxruntime. Nothing is installed there, and nothing is left.

    Examples:
    archsearch target check ssh:pi5
    archsearch target check "command:docker exec -i box python3"
    archsearch target check command:python3 --json
    """
    from archsearch.api.target import check_target

    with error_console.status("connecting") as status:
        found = check_target(target, on_step=status.update)
    if json:
        print_json(found.to_dict())
        return
    console.print(found.table.to_rich(width=console.width))
    console.print("a measurement there: archsearch measure NAME --target", target, markup=False, highlight=False)
