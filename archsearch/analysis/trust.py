"""Whether a study's short training ranks networks as a longer one does, and better than numbers that cost nothing.

Both trainings see the same images and are scored on the same validation split. The best predictor is chosen on the very
networks that it is compared on, which flatters it a little: what beats it here does so all the more.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from archsearch.analysis.objectives import is_complete
from archsearch.analysis.rank_bootstrap import (
    RESAMPLES,
    Correlation,
    Resampled,
    correlation_of,
    percentile_interval,
    resampled_correlations,
)
from archsearch.analysis.trust_text import group_sentence, method_text, trust_warnings
from archsearch.records import Record, Score, TrialStatus

__all__ = ["Correlation", "Trust", "TrustGroup", "TrustNetwork", "trust_of"]

LEAST_NETWORKS = 4
PROXY = "proxy"


@dataclass(frozen=True, kw_only=True)
class TrustNetwork:
    """One network that was trained again for longer.

    Attributes:
        arch_id, label, trial: of the searched study's record; the label is a variant's name or "trial N".
        variant: the published network's name, if it is one.
        proxy_top1_percent, long_top1_percent: on the same validation images; the long one is the mean over `seeds`.
        long_std_points: sample standard deviation over the seeds; None with one.
        seeds: long trainings that completed.
        proxy_rank, long_rank: 1 is the most accurate of these networks; ties share the mean rank.
        best_quarter: whether its proxy accuracy is among the best quarter of the searched study.
        predictors: each predictor's value; one that is not known is missing.
    """

    arch_id: str
    label: str
    trial: int
    variant: str | None
    proxy_top1_percent: float
    long_top1_percent: float
    long_std_points: float | None
    seeds: int
    proxy_rank: float
    long_rank: float
    best_quarter: bool
    predictors: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class TrustGroup:
    """The correlations over one group of networks.

    Attributes:
        name: "all" or "best quarter".
        n: networks in it.
        proxy: of the proxy.
        predictors: of each predictor, the highest tau first; those that cannot be told last.
        best: the predictor with the highest tau; None if there is none.
        advantage, advantage_low, advantage_high: tau of the proxy minus tau of `best`, and the interval from resamples
            that both share; None where it cannot be told.
        sentence: what that says.
    """

    name: str
    n: int
    proxy: Correlation
    predictors: tuple[Correlation, ...]
    best: str | None
    advantage: float | None
    advantage_low: float | None
    advantage_high: float | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What the longer training says of the proxy.

    Attributes:
        networks: those with both trainings, by proxy accuracy, the best first.
        proxy_epochs, long_epochs: of each training.
        groups: over all networks, and over the best quarter of the searched study by proxy.
        pick_rank: rank by the long training of the network that the proxy ranks first; None without networks.
        regret_points: how much less accurate (points) it is after the long training than the best of these; None
            without networks.
        confidence, resamples: of the bootstrap intervals.
        missing: labels of networks whose long training did not complete.
        method: how all this was found, for people.
        warnings: sentences to show beside it.
    """

    networks: tuple[TrustNetwork, ...]
    proxy_epochs: int
    long_epochs: int
    groups: tuple[TrustGroup, ...]
    pick_rank: float | None
    regret_points: float | None
    confidence: float
    resamples: int
    missing: tuple[str, ...]
    method: str
    warnings: tuple[str, ...]

    def _repr_html_(self) -> str:
        from archsearch.analysis.display import html_of

        return html_of(self)

    @property
    def all(self) -> TrustGroup:
        """Over all networks."""
        return self.groups[0]

    @property
    def best_quarter(self) -> TrustGroup:
        """Over the best quarter of the searched study."""
        return self.groups[1]

    @property
    def sentence(self) -> str:
        """The plain answer over all networks."""
        return self.all.sentence


def trust_of(
    proxy: Sequence[Record],
    long: Sequence[Record],
    predictors: Mapping[str, Mapping[str, float]],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Trust:
    """How the proxy's ranking agrees with a longer training's.

    Args:
        proxy: every record of the searched study; its complete networks say what its best quarter is.
        long: records of the longer trainings, one for each network and seed.
        predictors: values by `arch_id` of each predictor; of all, more should mean more accurate.
        confidence: of each interval, for itself.
        resamples, seed: of the bootstrap over networks.
    """
    short = {arch_id: records[0] for arch_id, records in _by_network(proxy).items()}
    trained = _by_network(long)
    boundary = _best_quarter_percent([_score(record).top1_percent for record in short.values()])
    both = sorted(
        (short[arch_id] for arch_id in trained if arch_id in short),
        key=lambda record: (-_score(record).top1_percent, record.trial),
    )
    networks = _networks(both, trained, predictors, boundary)
    names = [name for name in predictors if name != PROXY]
    best = [network for network in networks if network.best_quarter]
    groups = tuple(
        _group(name, members, names, confidence=confidence, resamples=resamples, seed=seed)
        for name, members in (("all", networks), ("best quarter", best))
    )
    top = max((network.long_top1_percent for network in networks), default=math.nan)
    first = networks[0] if networks else None
    epochs = [max((_score(record).epochs for record in group), default=0) for group in (both, _complete(long))]
    lost = {
        record.arch_id: record
        for record in reversed(long)
        if record.status not in (TrialStatus.RUNNING, TrialStatus.INTERRUPTED)
        and (record.arch_id not in trained or record.arch_id not in short)
    }
    missing = tuple(short.get(arch_id, record).label for arch_id, record in lost.items())
    return Trust(
        networks=networks,
        proxy_epochs=epochs[0],
        long_epochs=epochs[1],
        groups=groups,
        pick_rank=None if first is None else first.long_rank,
        regret_points=None if first is None else top - first.long_top1_percent,
        confidence=confidence,
        resamples=resamples,
        missing=missing,
        method=method_text(confidence=confidence, resamples=resamples),
        warnings=trust_warnings(
            [_score(record) for record in both],
            [_score(record) for record in _complete(long)],
            [f"{label}{_why(record)}" for label, record in zip(missing, lost.values(), strict=True)],
            seeds=[network.seeds for network in networks],
        ),
    )


def _complete(records: Sequence[Record]) -> list[Record]:
    """The complete records."""
    return [record for record in records if is_complete(record) and math.isfinite(_score(record).top1_percent)]


def _score(record: Record) -> Score:
    if record.score is None:
        raise ValueError(f"trial {record.trial} of study '{record.study}' has no score")
    return record.score


def _by_network(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The complete records of each network, by trial."""
    found: dict[str, list[Record]] = {}
    for record in sorted(_complete(records), key=lambda record: record.trial):
        found.setdefault(record.arch_id, []).append(record)
    return found


def _why(record: Record) -> str:
    return f" ({record.status.value}{f': {record.reason}' if record.reason else ''})" if not is_complete(record) else ""


def _best_quarter_percent(top1_percent: Sequence[float]) -> float:
    """The top-1 from which on a network is in the best quarter, rounded up; infinite without networks."""
    ranked = sorted(top1_percent, reverse=True)
    return ranked[math.ceil(len(ranked) / 4) - 1] if ranked else math.inf


def _networks(
    both: Sequence[Record],
    trained: Mapping[str, Sequence[Record]],
    predictors: Mapping[str, Mapping[str, float]],
    boundary: float,
) -> tuple[TrustNetwork, ...]:
    """One entry for each record, in their order."""
    short = [_score(record).top1_percent for record in both]
    scores = [[_score(other).top1_percent for other in trained[record.arch_id]] for record in both]
    long = [statistics.fmean(values) for values in scores]
    ranks = [stats.rankdata(-np.asarray(values)).tolist() for values in (short, long)]
    return tuple(
        TrustNetwork(
            arch_id=record.arch_id,
            label=record.label,
            trial=record.trial,
            variant=record.variant,
            proxy_top1_percent=short[index],
            long_top1_percent=long[index],
            long_std_points=statistics.stdev(scores[index]) if len(scores[index]) > 1 else None,
            seeds=len(scores[index]),
            proxy_rank=ranks[0][index],
            long_rank=ranks[1][index],
            best_quarter=short[index] >= boundary,
            predictors={
                name: values[record.arch_id] for name, values in predictors.items() if record.arch_id in values
            },
        )
        for index, record in enumerate(both)
    )


def _group(
    name: str,
    networks: Sequence[TrustNetwork],
    predictors: Sequence[str],
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> TrustGroup:
    known: dict[str, list[float]] = {PROXY: [network.proxy_top1_percent for network in networks]}
    notes: dict[str, str] = {}
    for predictor in predictors:
        values = [network.predictors.get(predictor, math.nan) for network in networks]
        unknown = sum(not math.isfinite(value) for value in values)
        if unknown:
            notes[predictor] = f"not known for {unknown} of {len(networks)} networks"
        else:
            known[predictor] = values
    found: dict[str, Resampled] = {}
    if len(networks) >= LEAST_NETWORKS:
        target = [network.long_top1_percent for network in networks]
        found = resampled_correlations(target, known, resamples=resamples, seed=seed)
        if max(target) == min(target):
            notes = dict.fromkeys((PROXY, *predictors), "the long training gave all of them the same accuracy")
            found = {}
    few = f"{len(networks)} networks; {LEAST_NETWORKS} are the least that are ranked"
    correlations = {
        predictor: correlation_of(predictor, len(networks), found.get(predictor), notes.get(predictor, few), confidence)
        for predictor in (PROXY, *predictors)
    }
    ranked = sorted(
        (correlations[predictor] for predictor in predictors),
        key=lambda each: (each.tau is None, 0.0 if each.tau is None else -each.tau),
    )
    best = next((each for each in ranked if each.tau is not None), None)
    proxy = correlations[PROXY]
    advantage, interval = None, None
    if best is not None and best.tau is not None and proxy.tau is not None:
        advantage = proxy.tau - best.tau
        interval = percentile_interval(found[PROXY].taus - found[best.predictor].taus, confidence)
    return TrustGroup(
        name=name,
        n=len(networks),
        proxy=proxy,
        predictors=tuple(ranked),
        best=None if best is None else best.predictor,
        advantage=advantage,
        advantage_low=None if interval is None else interval[0],
        advantage_high=None if interval is None else interval[1],
        sentence=group_sentence(name, proxy, best, advantage, interval, confidence=confidence),
    )
