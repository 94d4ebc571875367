"""`archsearch describe`, `audit`, `variants` and `papers`: what is known of networks without a study."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from archsearch.cli import completion
from archsearch.cli.console import console, doing, print_json, tell, typed_command
from archsearch.cli.options import JsonOption, StorageOption
from archsearch.errors import ConfigError
from archsearch.table import Column, Table
from archsearch.text import plural

if TYPE_CHECKING:
    from archsearch.api.papers import PapersReport
    from archsearch.api.variants import NamedNetwork


InputSizeOption = Annotated[
    int | None, typer.Option(min=1, metavar="H", help="Height and width in pixels. Default: 224, or the study's.")
]
ClassesOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Outputs of the classifier. Default: as printed, or the study's.")
]


def check_networks(names: Sequence[str] | None, *, storage: str | None) -> None:
    """Find networks by their names before torch is imported: a wrong or forgotten one is answered at once."""
    from archsearch.api.networks import find_network

    if not names:
        raise ConfigError(
            "which network is not said", hint="for example shufflenet_v2_x1_0; archsearch variants lists the names"
        )
    for name in names:
        find_network(name, storage=storage)


def describe(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE|STUDY:TRIAL",
            autocompletion=completion.networks,
            help="A published network, a spec.json or YAML file, a model folder, or a trial of a study (its number, "
            "a variant, best).",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="CHOICE=VALUE", help="Change a choice, e.g. stage3.kernel=5 or kernel=5. Repeatable."
        ),
    ] = None,
    input_size: InputSizeOption = None,
    classes: ClassesOption = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw the network, too: a page (.html), which a terminal opens, or a picture (.png).",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="NAME",
            autocompletion=completion.networks,
            help="What --plot compares it with. Default: its family's base.",
        ),
    ] = None,
    json: JsonOption = False,
    storage: StorageOption = None,
) -> None:
    """Print a network's choices, its id, its cost and its layers.

    Examples:
    archsearch describe shufflenet_v2_x1_0
    archsearch describe shufflenet_v2_x1_0 --set kernel=5 --json
    archsearch describe quickstart:best --plot best.html --against shufflenet_v2_x0_5
    """
    if against is not None and plot is None:
        raise ConfigError("--against needs --plot", hint="give --plot FILE.html, too")
    check_networks([each for each in (name, against) if each is not None], storage=storage)
    assert name is not None  # or it was not found

    from archsearch.api.describe import describe as describe_network
    from archsearch.api.describe import drawing_of
    from archsearch.api.output import check_format, write
    from archsearch.plots.architecture_figure import architecture_figure

    if plot is not None:
        check_format(plot, option="--plot")
    found = describe_network(
        name, changes=_changes(set_ or []), input_size=input_size, num_classes=classes, storage=storage
    )
    written = []
    if plot is not None:
        drawing = drawing_of(found, against=against, storage=storage)
        written.append(write(drawing, plot, figure=architecture_figure, command=typed_command()))
    tell(found, *written, json=json)


def _changes(pairs: list[str]) -> dict[str, str]:
    changes: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {pair}: expected choice=value", hint="for example --set stage3.kernel=5")
        if key in changes:
            raise ConfigError(f"--set {key} is given twice")
        changes[key.strip()] = value.strip()
    return changes


def audit(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|FILE|STUDY:TRIAL ...",
            autocompletion=completion.networks,
            help="Networks as `archsearch describe` takes them.",
        ),
    ] = None,
    units: Annotated[bool, typer.Option("--units", help="Show every unit of each network.")] = False,
    input_size: InputSizeOption = None,
    classes: ClassesOption = None,
    json: JsonOption = False,
    storage: StorageOption = None,
) -> None:
    """Score networks against ShuffleNet V2's four guidelines, by tracing them.

    Examples:
    archsearch audit shufflenet_v2_x1_0 shufflenet_v1_x1_0_g3 torchvision/mobilenet_v2
    archsearch audit quickstart:best --units
    """
    check_networks(names, storage=storage)

    from archsearch.api.describe import audit_networks

    found = audit_networks(names or (), input_size=input_size, num_classes=classes, storage=storage, with_units=units)
    tell(found, json=json)


def variants(
    family: Annotated[
        str | None,
        typer.Option(
            "--family",
            "-f",
            metavar="NAME",
            autocompletion=completion.families,
            help="List one family only, e.g. shufflenet_v1.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the named networks with parameters, multiply-adds and sources.

    `describe` shows one of them; a study's `variants` and `retrain --trial` take the names.

    Examples:
    archsearch variants
    archsearch variants --family shufflenet_v1 --json
    """
    from archsearch.models.families import FAMILIES
    from archsearch.models.variants import ANY_OF_TORCHVISION

    if family is not None:
        _ = FAMILIES[family]  # before torch is imported: a wrong name is answered at once

    with doing("listing the networks") as say:
        from archsearch.api.variants import named_networks  # torch

        networks = named_networks(family, on_progress=lambda done, total: say(f"counting: {done} of {total}"))
    if json:
        from archsearch.table import plain

        print_json(plain(networks))
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
        console.print(f"{ANY_OF_TORCHVISION}: archsearch variants --family torchvision", markup=False)


def _print_family(name: str, networks: list[NamedNetwork]) -> None:
    """A table of one family, and below it what is to be known of its networks, each thing once."""
    from archsearch.models.families import FAMILIES

    source = FAMILIES[name].source
    notes = _footnotes(networks)
    table = Table(
        title="",
        columns=(
            Column(title="Network", whole=True),
            Column(title="Params", decimals=0),
            Column(title="MACs", decimals=0),
            Column(title="Source"),
            Column(title="Notes"),
        ),
        rows=tuple(
            (
                network.name + "+" * (not network.published),
                network.params,
                network.macs,
                _within(source, network.source),
                " ".join(str(number) for number, (_, owners) in enumerate(notes, 1) if network.name in owners),
            )
            for network in networks
        ),
    )
    console.print(f"[bold]{escape(name)}[/]  {escape(source)}")
    console.print(table.to_rich(width=console.width))
    below = RichTable.grid(padding=(0, 1), pad_edge=True)
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


_PLURAL = {"rounds to it": "round to the printed number", "differs": "differ"}


def papers(
    paper: Annotated[
        str | None,
        typer.Option(
            "--paper",
            "-p",
            metavar="KEY",
            autocompletion=completion.papers,
            help="One source, e.g. ldc or shufflenet_v2. Default: all.",
        ),
    ] = None,
    json: JsonOption = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the whole comparison as Markdown (docs/papers.md).")
    ] = False,
    storage: StorageOption = None,
) -> None:
    """Compare every printed number of the papers with the computed one, and with what was measured here.

    Examples:
    archsearch papers
    archsearch papers --paper ldc
    archsearch papers --json
    """
    if json and markdown:
        raise ConfigError("--json and --markdown were both given", hint="choose one")
    from archsearch.papers.printed import find_paper

    if paper is not None:
        find_paper(paper)  # before torch is imported: a wrong name is answered at once

    from archsearch.api.papers import compare_papers, to_dict
    from archsearch.api.papers import markdown as page

    with doing("reading the papers") as say:
        report = compare_papers(
            paper, storage=storage, progress=lambda name, done, total: say(f"counting {name} ({done + 1} of {total})")
        )
    if json:
        print_json(to_dict(report))
    elif markdown:
        sys.stdout.write(page(report))
    else:
        _print(report)


def _print(report: PapersReport) -> None:
    from archsearch.api.papers import compared_table, measured_table, missing_table, notes_of

    for paper in report.papers:
        for table in paper.tables:
            if table.computable:
                _print_table(paper.paper.key, compared_table(table))
                for line in notes_of(table):
                    console.print(f"note  {line}", markup=False)
            _print_table(paper.paper.key, measured_table(table))
    _print_table("", missing_table(report.missing))
    console.print(
        plural(sum(report.counts.values()), "printed value")
        + ": "
        + ", ".join(f"{number} {_PLURAL.get(outcome, outcome)}" for outcome, number in report.counts.items())
    )
    for reason, number in report.reasons.items():
        console.print(f"{number:5d}  {reason}", markup=False)
    if report.studies:
        console.print(f"measured in: {', '.join(report.studies)}", markup=False)


def _print_table(key: str, table: Table) -> None:
    if table.rows:
        titled = replace(table, title=f"{key}, {table.title}") if key else table
        console.print(titled.without_empty_columns().to_rich(width=console.width))
