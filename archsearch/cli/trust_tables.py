"""A proxy's trust as tables and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from archsearch.text import plural

if TYPE_CHECKING:
    from archsearch.analysis.trust import Correlation, Trust, TrustGroup

LEGEND = "* among the best quarter of the searched study by proxy accuracy"


def print_trust(found: Trust, console: Console) -> None:
    """Print both accuracies of each network, every predictor's correlations, and what they say."""
    console.print(f"The proxy ({plural(found.proxy_epochs, 'epoch')}) against {plural(found.long_epochs, 'epoch')}")
    console.print(_networks(found))
    if any(network.best_quarter for network in found.networks):
        console.print(LEGEND, markup=False)
    for group in found.groups:
        if group.proxy.tau is not None:
            which = "all networks" if group.name == "all" else f"the {group.name}"
            console.print(
                f"Rank correlation with the long training over {which} (n = {group.n}), "
                f"{found.confidence * 100:g} % intervals",
                markup=False,
            )
            console.print(_correlations(group))
    for group in found.groups:
        console.print(f"- {group.sentence}", markup=False)
    if found.pick_rank is not None and found.regret_points is not None:
        console.print(
            f"- the network that the proxy ranks first is number {found.pick_rank:g} of {len(found.networks)} after "
            f"{found.long_epochs} epochs, {found.regret_points:.2f} points less accurate than the best",
            markup=False,
        )
    console.print(found.method, markup=False)
    for warning in found.warnings:
        console.print(f"note: {warning}", markup=False)


def _networks(found: Trust) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("network", no_wrap=True)
    for name in ("proxy top-1 %", "long top-1 %", "seeds", "proxy rank", "long rank"):
        table.add_column(name, justify="right")
    for network in found.networks:
        spread = "" if network.long_std_points is None else f" ± {network.long_std_points:.2f}"
        cells = (
            f"{network.label}{' *' if network.best_quarter else ''}",
            f"{network.proxy_top1_percent:.2f}",
            f"{network.long_top1_percent:.2f}{spread}",
            str(network.seeds),
            f"{network.proxy_rank:g}",
            f"{network.long_rank:g}",
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _correlations(group: TrustGroup) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("predictor", no_wrap=True)
    for name in ("Kendall tau", "Spearman"):
        table.add_column(name)
    for each in (group.proxy, *group.predictors):
        table.add_row(*(Text(cell) for cell in _cells(each)))
    return table


def _cells(found: Correlation) -> tuple[str, ...]:
    if found.tau is None:
        return (found.predictor, f"cannot be told: {found.note}", "")
    return (
        found.predictor,
        _interval(found.tau, found.tau_low, found.tau_high),
        _interval(found.spearman, found.spearman_low, found.spearman_high),
    )


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "cannot be told"
    return f"{value:+.2f} (no interval)" if low is None or high is None else f"{value:+.2f} ({low:+.2f} to {high:+.2f})"
