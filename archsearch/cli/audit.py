"""`archsearch audit`: which of the four guidelines networks keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from archsearch.cli.console import console, print_json
from archsearch.cli.options import JsonOption, StorageOption
from archsearch.limits import GUIDELINES

if TYPE_CHECKING:
    from archsearch.api.audit import Audited
    from archsearch.cost.audit import Audit

_LEGEND = (
    "G1, G2: memory access of 1x1 convolutions over the least, and over ungrouped ones; G3: fragments of a block; "
    "G4: share of element-wise operators (%); ✗: above the threshold; *: a block. kernels: with batch norms folded"
)


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

    found = audit_networks(names, input_size=input_size, num_classes=classes, storage=storage)
    if json:
        print_json([network.to_dict() for network in found])
        return
    console.print(_comparison_table(found))
    for network in found if units else ():
        console.print(_units_table(network))
    console.print(_LEGEND)


def guidelines_table(audit: Audit) -> Table:
    """The four verdicts on one network."""
    table = Table(title="Guidelines", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("guideline", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("keeps up to", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("units that break it")
    for name, finding in audit.findings.items():
        table.add_row(
            f"{name} {GUIDELINES[name].title}",
            _score_text(name, finding.score),
            _score_text(name, finding.threshold),
            "kept" if finding.passed else "[bold]broken[/]",
            escape(_several(finding.units, of=len(audit.units))),
        )
    return table


def _comparison_table(networks: Sequence[Audited]) -> Table:
    """One row for each network."""
    table = Table(title="Guidelines", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("network", no_wrap=True)
    table.add_column("input", justify="right", no_wrap=True)
    for name in GUIDELINES:
        table.add_column(f"{name}\n≤ {_score_text(name, GUIDELINES[name].threshold)}", justify="right", no_wrap=True)
    table.add_column("breaks", no_wrap=True)
    table.add_column("kernels", justify="right", no_wrap=True)
    for network in networks:
        audit = network.audit
        table.add_row(
            escape(network.name),
            str(audit.input_size),
            *(_marked(name, finding.score) for name, finding in audit.findings.items()),
            ", ".join(audit.broken) or "none",
            str(audit.kernels),
        )
    return table


def _units_table(network: Audited) -> Table:
    """One row for each unit of a network; blocks are marked, for G3's verdict is their mean."""
    table = Table(title=escape(network.name), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("unit", no_wrap=True)
    for name in (*GUIDELINES, "branches", "in\nseries", "kernels", "element-\nwise %", "with\nBN %"):
        table.add_column(name, justify="right", no_wrap=True)
    for unit in network.audit.units:
        table.add_row(
            escape(unit.name) + (" *" if unit.block else ""),
            *("" if score is None else _marked(name, score) for name, score in unit.scores.items()),
            str(unit.branches),
            str(unit.in_series),
            str(unit.kernels),
            _percent(unit.element_wise_share),
            _percent(unit.element_wise_share_unfolded),
        )
    return table


def _score_text(name: str, score: float) -> str:
    """A score with as many digits as it needs: ratios with two, fragments with one, shares in percent."""
    return {"G3": f"{score:.1f}", "G4": f"{100 * score:.1f}"}.get(name, f"{score:.2f}")


def _marked(name: str, score: float) -> str:
    text = _score_text(name, score)
    return f"[bold]{text} ✗[/]" if score > GUIDELINES[name].threshold else text


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f}"


def _several(names: tuple[str, ...], *, of: int) -> str:
    if len(names) <= 3:
        return ", ".join(names)
    return f"{len(names)} of {of}: {', '.join(names[:2])} ..."
