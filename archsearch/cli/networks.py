"""`archsearch describe`, `audit`, `variants` and `papers`: what is known of networks without a study."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli import completion
from archsearch.cli.console import doing, tell, typed_command
from archsearch.cli.options import JsonOption, StorageOption, check_family, checked, named_values
from archsearch.errors import ConfigError

if TYPE_CHECKING:
    from archsearch.api.networks import FoundNetwork

InputSizeOption = Annotated[
    int | None, typer.Option(min=1, metavar="H", help="Height and width in pixels. Default: 224, or the study's.")
]
ClassesOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Outputs of the classifier. Default: as printed, or the study's.")
]


def check_networks(names: Sequence[str] | None, *, storage: str | None) -> list[FoundNetwork]:
    """Find networks by their names before torch is imported: a wrong or forgotten one is answered at once."""
    from archsearch.api.networks import find_network

    if not names:
        raise ConfigError(
            "which network is not said", hint="for example shufflenet_v2_x1_0; archsearch variants lists the names"
        )
    return [find_network(name, storage=storage) for name in names]


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
    named = check_networks([each for each in (name, against) if each is not None], storage=storage)
    assert name is not None  # or it was not found
    changes = named_values("--set", set_ or [], example="stage3.kernel=5")
    named[0].spec.with_choices(changes)  # a wrong choice is said before torch is imported, too

    from archsearch.api.describe import describe as describe_network
    from archsearch.api.describe import drawing_of
    from archsearch.api.output import check_format, write
    from archsearch.plots.architecture_figure import architecture_figure

    if plot is not None:
        check_format(plot, option="--plot")
    found = describe_network(name, changes=changes, input_size=input_size, num_classes=classes, storage=storage)
    written = []
    if plot is not None:
        drawing = drawing_of(found, against=against, storage=storage)
        written.append(write(drawing, plot, figure=architecture_figure, command=typed_command()))
    tell(found, *written, json=json)


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

    from archsearch.api.describe import audit as audited

    found = audited(names or (), input_size=input_size, num_classes=classes, storage=storage, with_units=units)
    tell(found, json=json)


def variants(
    family: Annotated[
        str | None,
        typer.Option(
            "--family",
            "-f",
            metavar="NAME",
            autocompletion=completion.families,
            callback=checked(check_family),
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
    with doing("listing the networks") as say:
        from archsearch.api.variants import variants as named_networks  # torch

        networks = named_networks(family, on_progress=lambda done, total: say(f"counting: {done} of {total}"))
    tell(networks, json=json)


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

    from archsearch.api.papers import markdown as page
    from archsearch.api.papers import papers as compared

    with doing("reading the papers") as say:
        report = compared(
            paper,
            storage=storage,
            on_progress=lambda name, done, total: say(f"counting {name} ({done + 1} of {total})"),
        )
    if markdown:
        sys.stdout.write(page(report))
    else:
        tell(report, json=json)
