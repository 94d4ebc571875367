"""The same networks in two studies or on two devices: and who moves. `comparison_figure` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsearch.plots.forest import finite
from archsearch.plots.importances import objective_text
from archsearch.plots.ranges import wants_log
from archsearch.table import Column, Table

if TYPE_CHECKING:
    from archsearch.analysis.compared import Comparison, Mover, RankCorrelation, SharedNetwork

MOST_PANELS = 3
BOTH, ONE, NEITHER = "on both fronts", "on one of the two fronts", "on neither front"


@dataclass(frozen=True, kw_only=True)
class ComparedNetwork:
    """One network in the two sides of a panel; `kind` is which of their fronts it is on."""

    arch_id: str
    label: str
    first: float
    second: float
    kind: str


@dataclass(frozen=True, kw_only=True)
class Move:
    """A network that the two sides rank differently; 1 is the best."""

    arch_id: str
    label: str
    from_rank: float
    to_rank: float
    reversed_pairs: int

    @property
    def text(self) -> str:
        """`x0_5: 3 → 7`."""
        return f"{self.label}: {self.from_rank:g} → {self.to_rank:g}"


@dataclass(frozen=True, kw_only=True)
class ComparisonPanel:
    """Two sides by one objective (`latency_ms` or `top1_percent`): the networks, and those who move most."""

    quantity: str
    first: str
    second: str
    agreement: str
    networks: tuple[ComparedNetwork, ...]
    movers: tuple[Move, ...]
    log: bool


@dataclass(frozen=True, kw_only=True)
class ComparisonInfo:
    """What the figure shows; text is plain. `empty`: why there is nothing to draw, or None."""

    title: str
    subtitle: tuple[str, ...]
    warnings: tuple[str, ...]
    panels: tuple[ComparisonPanel, ...]
    empty: str | None


def comparison_info(found: Comparison | None, *, study: str) -> ComparisonInfo:
    """What is drawn of a comparison: of two sides their latencies and accuracies, of more the latencies of each
    against the first side's. Without a comparison, an empty figure that says what to run."""
    title = f"The same networks elsewhere: study {study}"
    if found is None or not found.shared:
        why = "No comparison with another study or device: `archsearch compare` makes one"
        return ComparisonInfo(
            title=title,
            subtitle=(),
            warnings=(),
            panels=(),
            empty=why if found is None else f"No network to compare: {found.reason or 'none is shared'}",
        )
    pairs = [("latency_ms", other) for other in range(1, len(found.sides))][:MOST_PANELS]
    if len(found.sides) == 2:
        pairs.append(("error_percent", 1))
    drawn = len([pair for pair in pairs if pair[0] == "latency_ms"])
    shown = f"; {drawn} of {len(found.sides) - 1} are drawn" if drawn < len(found.sides) - 1 else ""
    count = len(found.shared)
    differ = "; ".join(f"{each.what}: {' against '.join(each.values)}" for each in found.differences)
    return ComparisonInfo(
        title=f"The same networks elsewhere: {' against '.join(found.sides)}",
        subtitle=tuple(
            line
            for line in (
                f"{count:,} network{'' if count == 1 else 's'} in all of them, medians of each; ranks are best first"
                + shown,
                f"Not alike: {differ}" if differ else "",
            )
            if line
        ),
        warnings=(),
        panels=tuple(_panel(found, objective, other) for objective, other in pairs),
        empty=None,
    )


def _panel(found: Comparison, objective: str, other: int) -> ComparisonPanel:
    first, second = found.sides[0], found.sides[other]
    top1 = objective == "error_percent"
    networks = tuple(_network(each, objective, other) for each in found.shared if _known(each, objective, other))
    values = [value for each in networks for value in (each.first, each.second)]
    here = [each for each in found.movers if (each.objective, each.first, each.second) == (objective, first, second)]
    shared = {each.arch_id for each in networks}
    return ComparisonPanel(
        quantity="top1_percent" if top1 else objective,
        first=first,
        second=second,
        agreement=_agreement(found.correlations, objective, first, second),
        networks=networks,
        movers=tuple(_move(each) for each in here if each.arch_id in shared),
        log=not top1 and wants_log(values),
    )


def _known(network: SharedNetwork, objective: str, other: int) -> bool:
    values = network.values(objective)
    return finite(values[0]) is not None and finite(values[other]) is not None


def _network(network: SharedNetwork, objective: str, other: int) -> ComparedNetwork:
    values = network.values(objective)
    first, second = values[0], values[other]
    if objective == "error_percent":
        first, second = 100.0 - first, 100.0 - second
    fronts = (network.on_front[0], network.on_front[other])
    return ComparedNetwork(
        arch_id=network.arch_id,
        label=network.label,
        first=first,
        second=second,
        kind=BOTH if all(fronts) else ONE if any(fronts) else NEITHER,
    )


def _move(mover: Mover) -> Move:
    return Move(
        arch_id=mover.arch_id,
        label=mover.label,
        from_rank=mover.from_rank,
        to_rank=mover.to_rank,
        reversed_pairs=mover.reversed_pairs,
    )


def _agreement(correlations: Sequence[RankCorrelation], objective: str, first: str, second: str) -> str:
    for each in correlations:
        if (each.objective, each.first, each.second) == (objective, first, second):
            tau = finite(each.kendall)
            if tau is None:
                return f"{objective_text(objective)}: {each.reason or 'rank correlation cannot be told'}"
            low, high = finite(each.kendall_low), finite(each.kendall_high)
            ends = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
            return f"{objective_text(objective)}: Kendall tau {tau:.2f}{ends}, n = {each.n:,}"
    return objective_text(objective)


def comparison_tables(info: ComparisonInfo) -> tuple[Table, ...]:
    """The networks of every panel, and those who move."""
    networks, movers = [], []
    for panel in info.panels:
        place = (panel.quantity, panel.first, panel.second)
        networks += [(*place, each.label, each.arch_id, each.first, each.second, each.kind) for each in panel.networks]
        movers += [
            (*place, each.label, each.arch_id, each.from_rank, each.to_rank, each.reversed_pairs)
            for each in panel.movers
        ]
    place_columns = (
        Column(title="Quantity", whole=True),
        Column(title="First", whole=True),
        Column(title="Second", whole=True),
        Column(title="Network", whole=True),
        Column(title="arch_id", whole=True),
    )
    return (
        Table(
            title="The shared networks",
            columns=(
                *place_columns,
                Column(title="In the first (ms, %)", decimals=4),
                Column(title="In the second (ms, %)", decimals=4),
                Column(title="Fronts", whole=True),
            ),
            rows=tuple(networks),
        ),
        Table(
            title="Who moves",
            columns=(
                *place_columns,
                Column(title="Rank in the first", decimals=1),
                Column(title="Rank in the second", decimals=1),
                Column(title="Reversed pairs", decimals=0),
            ),
            rows=tuple(movers),
        ),
    )
