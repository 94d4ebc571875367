"""The proxy against long training: both accuracies of each network, and how each predictor ranks them. `trust_figure`
draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsearch.plots.forest import finite

if TYPE_CHECKING:
    from archsearch.analysis.rank_bootstrap import Correlation
    from archsearch.analysis.trust import Trust, TrustGroup, TrustNetwork


@dataclass(frozen=True, kw_only=True)
class TrustPoint:
    """One network with both trainings; ranks count from 1, the most accurate. `long_std_points` over its seeds."""

    label: str
    trial: int
    arch_id: str
    proxy_top1_percent: float
    long_top1_percent: float
    long_std_points: float | None
    seeds: int
    proxy_rank: float
    long_rank: float
    best_quarter: bool


@dataclass(frozen=True, kw_only=True)
class TrustBar:
    """Kendall's tau of one predictor over one group of networks, with its interval; None where it cannot be told."""

    group: str
    predictor: str
    n: int
    tau: float | None
    low: float | None
    high: float | None
    spearman: float | None
    note: str


@dataclass(frozen=True, kw_only=True)
class TrustInfo:
    """What the figure shows; text is plain. `predictors`: from the top down; `empty`: why there is nothing to draw."""

    title: str
    subtitle: tuple[str, ...]
    warnings: tuple[str, ...]
    points: tuple[TrustPoint, ...]
    bars: tuple[TrustBar, ...]
    predictors: tuple[str, ...]
    proxy_epochs: int
    long_epochs: int
    confidence_percent: float
    empty: str | None


def trust_info(found: Trust | None, *, study: str) -> TrustInfo:
    """What is drawn of a check of the proxy; without one, an empty figure that says what to run."""
    title = f"Proxy against long training: study {study}"
    points = () if found is None else tuple(map(_point, found.networks))
    if found is None or not points:
        why = "No long training of this study's networks"
        return TrustInfo(
            title=title,
            subtitle=(),
            warnings=() if found is None else found.warnings,
            points=(),
            bars=(),
            predictors=(),
            proxy_epochs=0 if found is None else found.proxy_epochs,
            long_epochs=0 if found is None else found.long_epochs,
            confidence_percent=95.0,
            empty=f"{why}: `archsearch trust` runs some" if found is None else f"{why} is complete yet",
        )
    bars = tuple(_bar(group, each) for group in found.groups for each in (group.proxy, *group.predictors))
    percent = 100.0 * found.confidence
    return TrustInfo(
        title=title,
        subtitle=(
            f"{len(points)} network{'' if len(points) == 1 else 's'}, {found.proxy_epochs} epochs against "
            f"{found.long_epochs}; {'; '.join(_tau_text(group, percent) for group in found.groups)}",
            f"{found.sentence[:1].upper()}{found.sentence[1:]}",
        ),
        warnings=found.warnings,
        points=points,
        bars=bars,
        predictors=tuple(dict.fromkeys(bar.predictor for bar in bars)),
        proxy_epochs=found.proxy_epochs,
        long_epochs=found.long_epochs,
        confidence_percent=percent,
        empty=None,
    )


def _point(network: TrustNetwork) -> TrustPoint:
    return TrustPoint(
        label=network.label,
        trial=network.trial,
        arch_id=network.arch_id,
        proxy_top1_percent=network.proxy_top1_percent,
        long_top1_percent=network.long_top1_percent,
        long_std_points=finite(network.long_std_points),
        seeds=network.seeds,
        proxy_rank=network.proxy_rank,
        long_rank=network.long_rank,
        best_quarter=network.best_quarter,
    )


def _bar(group: TrustGroup, found: Correlation) -> TrustBar:
    return TrustBar(
        group=group.name,
        predictor=found.predictor,
        n=found.n,
        tau=finite(found.tau),
        low=finite(found.tau_low),
        high=finite(found.tau_high),
        spearman=finite(found.spearman),
        note=found.note,
    )


def _tau_text(group: TrustGroup, percent: float) -> str:
    named = f"over {group.name}" if group.name == "all" else f"over the {group.name} by proxy"
    tau, low, high = (finite(each) for each in (group.proxy.tau, group.proxy.tau_low, group.proxy.tau_high))
    if tau is None:
        return f"Kendall tau {named} (n = {group.n}) cannot be told"
    ends = "no interval" if low is None or high is None else f"{percent:g} % {low:.2f} to {high:.2f}"
    return f"Kendall tau {named} (n = {group.n}) {tau:.2f}, {ends}"
