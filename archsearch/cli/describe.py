"""`archsearch describe`: what a network is and costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from archsearch.cli.audit import guidelines_table
from archsearch.cli.console import console, print_json, typed_command
from archsearch.cli.options import JsonOption, StorageOption
from archsearch.errors import ConfigError

if TYPE_CHECKING:
    from archsearch.api.describe import Description


def describe(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE|STUDY:TRIAL",
            help="A published network, a spec.json or YAML file, a model folder, or a trial of a study (its number, "
            "a variant, best).",
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="CHOICE=VALUE", help="Change a choice, e.g. stage3.kernel=5 or kernel=5. Repeatable."
        ),
    ] = None,
    input_size: Annotated[
        int | None, typer.Option(min=1, metavar="H", help="Height and width in pixels. Default: 224, or the study's.")
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Outputs of the classifier. Default: as printed, or the study's."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw the network, too: a page (.html) or a picture (.png)."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="NAME", help="What --plot compares it with. Default: its family's base."),
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
    from archsearch.api.describe import check_drawing, drawing_of, write_drawing
    from archsearch.api.describe import describe as describe_network

    if plot is not None:
        check_drawing(plot)
    found = describe_network(
        name, changes=_changes(set_ or []), input_size=input_size, num_classes=classes, storage=storage
    )
    if json:
        print_json(found.to_dict())
    else:
        _print(found)
    if plot is not None:
        drawing = drawing_of(found, against=against, storage=storage)
        written = write_drawing(drawing, plot, command=typed_command())
        if not json:
            console.print(f"wrote {written}", markup=False)


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


def _print(found: Description) -> None:
    cost = found.cost
    console.print(f"[bold]{escape(found.name)}[/]")
    if found.source:
        console.print(f"source    {found.source}", markup=False)
    if found.note:
        console.print(f"note      {found.note}", markup=False)
    uncounted = ", ".join(f"{op} ({times} times)" for op, times in sorted(cost.unsupported_ops.items()))
    console.print(
        f"arch_id   {found.spec.arch_id}\n"
        f"input     {cost.input_size}x{cost.input_size}, {cost.num_classes} classes\n"
        f"params    {cost.params:,}\n"
        f"MACs      {cost.macs:,}  (multiply-adds of one image in convolutions and linear layers)"
        + (f"\nuncounted {uncounted}" if uncounted else "")
        + f"\nmemory    {_mib(cost.memory_read_bytes)} read, {_mib(cost.memory_written_bytes)} written  "
        "(every operator's tensors once, float32, nothing cached or fused)"
    )
    console.print(_conventions_table(found))
    console.print(guidelines_table(found.audit))
    console.print(_choices_table(found))
    console.print(_layers_table(found))


def _mib(size: int | None) -> str:
    return "not counted" if size is None else f"{size / 2**20:,.1f} MiB"


def _conventions_table(found: Description) -> Table:
    from archsearch.cost.conventions import CONVENTIONS

    table = Table(title="MACs by convention", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("convention")
    table.add_column("MACs", justify="right")
    table.add_column("what it counts")
    for name, macs in found.cost.macs_by_convention.items():
        table.add_row(name, f"{macs:,}", CONVENTIONS[name].summary)
    return table


def _choices_table(found: Description) -> Table:
    from archsearch.models.families import FAMILIES

    base = FAMILIES[found.spec.family].base.choices()
    table = Table(title="Choices", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("choice")
    table.add_column("value")
    table.add_column("base, where it differs")
    for name, value in found.spec.choices().items():
        differs = base.get(name) != value
        table.add_row(name, f"[bold]{value}[/]" if differs else str(value), str(base.get(name)) if differs else "")
    return table


def _layers_table(found: Description) -> Table:
    table = Table(title="Layers", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, show_footer=True)
    table.add_column("layer", footer="whole network")
    table.add_column("kind")
    table.add_column("output", justify="right")
    table.add_column("params", justify="right", footer=f"{found.cost.params:,}")
    table.add_column("MACs", justify="right", footer=f"{found.cost.macs:,}")
    for layer in found.layers:
        shape = "x".join(str(size) for size in layer.output_shape)
        table.add_row(layer.name, layer.kind, shape, f"{layer.params:,}", f"{layer.macs:,}")
    return table
