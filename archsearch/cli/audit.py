"""`archsearch audit`: which of the four guidelines networks keep."""

from __future__ import annotations

from typing import Annotated

import typer

from archsearch.cli.console import console, print_json
from archsearch.cli.options import JsonOption, StorageOption


def audit(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|FILE|STUDY:TRIAL ...",
            help="Networks as `archsearch describe` takes them.",
        ),
    ],
    units: Annotated[bool, typer.Option("--units", help="Show every unit of each network.")] = False,
    input_size: Annotated[
        int | None, typer.Option(min=1, metavar="H", help="Height and width in pixels. Default: 224, or the study's.")
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Outputs of the classifier. Default: as printed, or the study's."),
    ] = None,
    json: JsonOption = False,
    storage: StorageOption = None,
) -> None:
    """Score networks against ShuffleNet V2's four guidelines, by tracing them.

    Examples:
    archsearch audit shufflenet_v2_x1_0 shufflenet_v1_x1_0_g3 torchvision/mobilenet_v2
    archsearch audit quickstart:best --units
    """
    from archsearch.api.audit import audit_networks
    from archsearch.cli.guideline_tables import LEGEND, comparison_table, units_table

    found = audit_networks(names, input_size=input_size, num_classes=classes, storage=storage)
    if json:
        print_json([network.to_dict() for network in found])
        return
    console.print(comparison_table(found))
    for network in found if units else ():
        console.print(units_table(network))
    console.print(LEGEND)
