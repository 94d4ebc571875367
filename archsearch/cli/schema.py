"""`archsearch schema`: what the JSON of a command looks like, for programs."""

from __future__ import annotations

from typing import Annotated

import typer

from archsearch.cli.console import print_json


def schema(
    command: Annotated[
        str | None,
        typer.Argument(metavar="[COMMAND]", help="A command with --json, such as pareto. Default: all, by name."),
    ] = None,
) -> None:
    """Print the JSON Schema of what a command prints with --json.

    Every such output says its `command` and its `schema_version`. How a program drives archsearch: docs/agents.md.

    Examples:
    archsearch schema pareto
    archsearch schema "target check"
    """
    from archsearch.api.schema import schema as made

    print_json(made(command))
