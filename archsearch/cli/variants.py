"""`archsearch variants`: every network that has a name."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from archsearch.cli.console import console, error_console, print_json
from archsearch.cli.options import JsonOption
from archsearch.text import plural

if TYPE_CHECKING:
    from archsearch.api.variants import NamedNetwork

TORCHVISION = "torchvision/NAME names any classification model of torchvision: archsearch variants --family torchvision"


def variants(
    family: Annotated[
        str | None, typer.Option("--family", "-f", metavar="NAME", help="List one family only, e.g. shufflenet_v1.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the named networks with parameters, multiply-adds and sources.

    `describe` shows one of them; a study's `variants` and `retrain --trial` take the names.

    Examples:
    archsearch variants
    archsearch variants --family shufflenet_v1 --json
    """
    from archsearch.api.variants import named_networks

    with Progress(console=error_console, transient=True, disable=not error_console.is_terminal) as progress:
        task = progress.add_task("counting")
        networks = named_networks(
            family, on_progress=lambda done, total: progress.update(task, completed=done, total=total)
        )
    if json:
        print_json([network.to_dict() for network in networks])
        return
    for name, group in groupby(networks, key=lambda network: network.family):
        _print_family(name, list(group))
    ours = sum(not network.published for network in networks)
    console.print(
        f"{plural(len(networks), 'network')}{f', {ours} of them (marked +) not published as such' * (ours > 0)}. "
        "MACs: multiply-adds of one image in convolutions and linear layers, at 224x224 and 1000 classes "
        "unless a note says otherwise."
    )
    if family is None:
        console.print(TORCHVISION, markup=False)


def _print_family(name: str, networks: list[NamedNetwork]) -> None:
    """A table of one family, and below it what is to be known of its networks, each thing once."""
    from archsearch.models.families import FAMILIES

    source = FAMILIES[name].source
    notes = _footnotes(networks)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("params", justify="right", no_wrap=True)
    table.add_column("MACs", justify="right", no_wrap=True)
    table.add_column("source", overflow="fold")
    table.add_column("notes", overflow="fold")
    for network in networks:
        table.add_row(
            Text(network.name + "+" * (not network.published)),
            f"{network.params:,}",
            f"{network.macs:,}",
            Text(_within(source, network.source)),
            ",".join(str(number) for number, (_, owners) in enumerate(notes, 1) if network.name in owners),
        )
    console.print(f"[bold]{escape(name)}[/]  {escape(source)}")
    console.print(table)
    below = Table.grid(padding=(0, 1), pad_edge=True)
    below.add_column(justify="right", no_wrap=True)
    below.add_column(overflow="fold")
    for number, (text, _) in enumerate(notes, 1):
        below.add_row(str(number), Text(text))
    console.print(below)
    console.print()


def _footnotes(networks: list[NamedNetwork]) -> list[tuple[str, frozenset[str]]]:
    """Each thing that the notes say, with the networks that it is said of, in the order of the first one.

    Sentences that always stand together stay together; one that other notes share stands alone.
    """
    owners: dict[str, set[str]] = {}
    for network in networks:
        for sentence in _sentences(network):
            owners.setdefault(sentence, set()).add(network.name)
    found: dict[str, frozenset[str]] = {}
    for network in networks:
        for said_of, together in groupby(_sentences(network), key=lambda sentence: frozenset(owners[sentence])):
            found.setdefault(" ".join(together), said_of)
    return list(found.items())


def _sentences(network: NamedNetwork) -> list[str]:
    """Other conditions than usual, which reading of its source it is, and the note."""
    usual = (network.input_size, network.num_classes) == (224, 1000)
    at = [] if usual else [f"At {network.input_size}x{network.input_size} and {network.num_classes} classes."]
    if network.reading:
        at.append(f"Reading: {network.reading.rstrip('.')}.")
    return at + [sentence for sentence in re.split(r"(?<=[.])\s+(?=[A-Z])", network.note) if sentence]


def _within(family_source: str, source: str) -> str:
    """A network's source without the words of its family's, which stand above the table."""
    if not source.casefold().startswith(family_source.casefold()):
        return source
    return source[len(family_source) :].lstrip(",;: ").removeprefix("and ")
