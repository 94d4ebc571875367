"""Whether a study's short training ranks networks as a longer one does, and better than numbers that cost nothing.

Both trainings see the same images and are scored on the same validation split. The best predictor is chosen on the very
networks that it is compared on, which flatters it a little: what beats it here does so all the more.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from archsearch.analysis.intervals import CONFIDENCE, additive_fit
from archsearch.analysis.objectives import complete_values, is_complete, score_of
from archsearch.analysis.rank_correlation import (
    KENDALL,
    LEAST_FOR_INTERVAL,
    RESAMPLES,
    SPEARMAN,
    Ceiling,
    Correlation,
    Resampled,
    ceilings_of,
    correlation_of,
    percentile_interval,
    resampled_correlations,
)
from archsearch.records import Record, Score, TrialStatus
from archsearch.table import ARCH_ID, NETWORK, WIDE_TRIAL, Column, InNotebooks, Interval, Spread, Table, table_of
from archsearch.text import accurate_text, capitalised, number_text, plural, sided_text, some_of

LEAST_NETWORKS = 4
PROXY = "proxy"
_PREDICTOR_WORDS = {
    "params": "counting parameters",
    "macs": "counting multiply-adds",
    "memory_bytes": "counting memory access",
    "latency_ms": "measuring latency",
    "synflow": "zero-cost synflow",
    "jacob_cov": "zero-cost jacob_cov",
}


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
        proxy: of the proxy.
        predictors: of each predictor, the highest tau first; those that cannot be told last.
        best: the predictor with the highest tau; None if there is none.
        advantage, advantage_low, advantage_high: tau of the proxy minus tau of `best`, and the interval from resamples
            that both share; None where it cannot be told.
        worse: whether `best` is known to rank better: the interval lies below 0, corrected for as many predictors as
            there were to be the best (Bonferroni).
        ceiling: the tau that noise allows; None where it is not known.
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
    worse: bool = False
    ceiling: Ceiling | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Trust(InNotebooks):
    """What the longer training says of the proxy: a `archsearch.table.Result`.

    Attributes:
        study, trust_study: names of the searched study, and of the one that holds the longer trainings; "" if it has
            no trial.
        counts: the longer trainings by status.
        networks: those with both trainings, by proxy accuracy, the best first.
        proxy_epochs, long_epochs: of each training.
        groups: over all networks, and over the best quarter of the searched study by proxy.
        pick_rank: mean rank by the long training of the networks that the proxy ranks first; None without networks.
        regret_points: how much less accurate (points) they are in the mean after the long training than the best of
            these; None without networks.
        noise_points: standard deviation of one long score over its seeds; None where they show no spread, as with one
            seed for each network.
        proxy_noise_points: of a proxy score over its seeds, where a confirmation of the study tells it; else that of
            the long scores.
        confidence, resamples: of the bootstrap intervals.
        missing: labels of networks whose long training did not complete.
    """

    study: str
    trust_study: str
    counts: Mapping[str, int]
    networks: tuple[TrustNetwork, ...]
    proxy_epochs: int
    long_epochs: int
    groups: tuple[TrustGroup, ...]
    pick_rank: float | None
    regret_points: float | None
    noise_points: float | None
    proxy_noise_points: float | None
    confidence: float
    resamples: int
    missing: tuple[str, ...]
    method: str
    warnings: tuple[str, ...]

    @property
    def all(self) -> TrustGroup:
        """Over all networks."""
        return self.groups[0]

    @property
    def best_quarter(self) -> TrustGroup:
        """Over the best quarter of the searched study."""
        return self.groups[1]

    @property
    def title(self) -> str:
        """What was compared, of which study."""
        return f"Proxy against long training: study {self.study}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """How many networks and epochs, and the proxy's tau."""
        taus = "; ".join(map(_proxy_tau, self.groups))
        return (
            f"{plural(len(self.networks), 'network')}, {self.proxy_epochs} epochs against {self.long_epochs}; {taus}",
        )

    @property
    def empty(self) -> str | None:
        """Why there is nothing to show."""
        return None if self.networks else "No long training of this study's networks is complete yet"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The plain answer over all networks first."""
        found = [capitalised(group.sentence) for group in self.groups]
        if self.pick_rank is not None and self.regret_points is not None:
            words, than = accurate_text(-self.regret_points)
            count = len(_ranked_first(self.networks))
            which, are, mean = ("network", "is", "") if count == 1 else (f"{count} networks", "are", "in the mean ")
            found.append(
                f"The {which} that the proxy ranks first {are} {mean}number {round(self.pick_rank, 1):g} of "
                f"{len(self.networks)} after {self.long_epochs} epochs, {words} {than} the best."
            )
        return tuple(found)

    def tables(self) -> tuple[Table, ...]:
        """The networks with both accuracies, and every predictor's correlations where any can be told."""
        ranked = (
            (group, each)
            for group in self.groups
            if group.proxy.tau is not None
            for each in (group.proxy, *group.predictors)
        )
        return (
            table_of(
                "Networks trained again for longer",
                self.networks,
                NETWORK,
                WIDE_TRIAL,
                Column(title="Proxy top-1", key="proxy_top1_percent", unit="%", decimals=2),
                (
                    Column(title="Long top-1", key="long_top1_percent", unit="%", decimals=2),
                    lambda each: Spread(each.long_top1_percent, each.long_std_points),
                ),
                Column(title="Seeds", decimals=0),
                Column(title="Proxy rank", decimals=1),
                Column(title="Long rank", decimals=1),
                Column(title="Best quarter by proxy", key="best_quarter"),
                ARCH_ID,
                note="Best quarter: among that of the searched study by proxy accuracy. ±: standard deviation over the "
                "seeds.",
            ),
            table_of(
                "Rank correlation with the longer training",
                ranked,
                (Column(title="Over", key="group", whole=True), lambda pair: pair[0].name),
                (Column(title="Networks", decimals=0, wide=True), lambda pair: pair[1].n),
                (Column(title="Predictor", whole=True), lambda pair: pair[1].predictor),
                (
                    Column(title="Noise allows", key="tau_ceiling", decimals=2, signed=True, wide=True),
                    lambda pair: _allowed(*pair),
                ),
                (KENDALL, lambda pair: Interval(pair[1].tau, pair[1].tau_low, pair[1].tau_high)),
                (SPEARMAN, lambda pair: Interval(pair[1].spearman, pair[1].spearman_low, pair[1].spearman_high)),
                (Column(title="Note"), lambda pair: pair[1].note or None),
                note=f"{self.confidence * 100:g} % intervals, none over fewer than {LEAST_FOR_INTERVAL} networks. "
                "Noise allows: the tau of a right ranking as noisy as this one.",
            ),
        )


def trust_of(
    proxy: Sequence[Record],
    long: Sequence[Record],
    predictors: Mapping[str, Mapping[str, float]],
    *,
    proxy_noise_points: float | None = None,
    resamples: int = RESAMPLES,
) -> Trust:
    """How the proxy's ranking agrees with a longer training's.

    Args:
        proxy: every record of the searched study; its complete networks say what its best quarter is.
        long: records of the longer trainings, one for each network and seed.
        predictors: values by `arch_id` of each predictor; of all, more should mean more accurate.
        proxy_noise_points: standard deviation of a proxy score over its seeds, if that is known from elsewhere.
        resamples: of the bootstrap over networks.
    """
    short = {arch_id: records[0] for arch_id, records in _by_network(proxy).items()}
    trained = _by_network(long)
    ranked = sorted((score_of(record).top1_percent for record in short.values()), reverse=True)
    boundary = ranked[math.ceil(len(ranked) / 4) - 1] if ranked else math.inf  # of the best quarter, rounded up
    both = sorted(
        (short[arch_id] for arch_id in trained if arch_id in short),
        key=lambda record: (-score_of(record).top1_percent, record.trial),
    )
    networks = _networks(both, trained, predictors, boundary)
    names = [name for name in predictors if name != PROXY]
    best = [network for network in networks if network.best_quarter]
    members = {"all": networks, "best quarter": best}
    whole = [(record.arch_id, score_of(record)) for record in _complete(long)]
    spread = additive_fit({(arch_id, score.seed): score.top1_percent for arch_id, score in whole}).spread
    noise = math.sqrt(spread.variance) if spread.seen else None
    proxy_noise, long_noise = proxy_noise_points or noise, noise or proxy_noise_points
    ceilings: Mapping[str, Ceiling] = {}
    if proxy_noise is not None and long_noise is not None and networks:
        places = {network.arch_id: place for place, network in enumerate(networks)}
        ceilings = ceilings_of(
            [score_of(record).top1_percent for record in short.values()],
            [network.proxy_top1_percent for network in networks],
            [network.long_top1_percent for network in networks],
            {name: [places[network.arch_id] for network in group] for name, group in members.items()},
            proxy_noise=proxy_noise,
            long_noise=[long_noise / math.sqrt(network.seeds) for network in networks],
        )
    groups = tuple(
        _group(name, group, names, ceilings.get(name), resamples=resamples) for name, group in members.items()
    )
    top = max((network.long_top1_percent for network in networks), default=math.nan)
    first = _ranked_first(networks)
    scores = [score_of(record) for record in both], [score for _, score in whole]
    epochs = [max((score.epochs for score in group), default=0) for group in scores]
    lost = {
        record.arch_id: record
        for record in reversed(long)
        if record.status not in (TrialStatus.RUNNING, TrialStatus.INTERRUPTED)
        and (record.arch_id not in trained or record.arch_id not in short)
    }
    missing = tuple(
        short[arch_id].label if arch_id in short else record.point or record.label for arch_id, record in lost.items()
    )
    return Trust(
        study=proxy[0].study if proxy else "",
        trust_study=long[0].study if long else "",
        counts=Counter(record.status.value for record in long),
        networks=networks,
        proxy_epochs=epochs[0],
        long_epochs=epochs[1],
        groups=groups,
        pick_rank=statistics.fmean(each.long_rank for each in first) if first else None,
        regret_points=top - statistics.fmean(each.long_top1_percent for each in first) if first else None,
        noise_points=noise,
        proxy_noise_points=proxy_noise,
        confidence=CONFIDENCE,
        resamples=resamples,
        missing=missing,
        method=(
            "Kendall's tau-b and Spearman's rank correlation with the longer training's top-1 on the same validation "
            f"split. {CONFIDENCE * 100:g} % percentile intervals from {resamples} bootstrap resamples of the networks, "
            "the same for all predictors; the difference to the best predictor is paired by resample. That predictor "
            "was chosen on these networks, which flatters it: the proxy is said to rank worse only where the interval, "
            "corrected for the number of predictors (Bonferroni), lies below 0. The best quarter is that of the "
            "searched study by proxy accuracy. What noise allows: the mean tau, over simulations of these networks, of "
            "a ranking that is right but for the noise of one seed in the proxy and of the seeds in the longer "
            "training; of a predictor, without the former."
        ),
        warnings=_warnings(
            *scores,
            [f"{label}{_why(record)}" for label, record in zip(missing, lost.values(), strict=True)],
            seeds=[network.seeds for network in networks],
            noisy=None in (proxy_noise, long_noise),
        ),
    )


def _complete(records: Sequence[Record]) -> list[Record]:
    return complete_values(records, ("error_percent",))[0]


def _by_network(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The complete records of each network, by trial."""
    found: dict[str, list[Record]] = {}
    for record in sorted(_complete(records), key=lambda record: record.trial):
        found.setdefault(record.arch_id, []).append(record)
    return found


def _why(record: Record) -> str:
    return f" ({record.status.value}{f': {record.reason}' if record.reason else ''})" if not is_complete(record) else ""


def _networks(
    both: Sequence[Record],
    trained: Mapping[str, Sequence[Record]],
    predictors: Mapping[str, Mapping[str, float]],
    boundary: float,
) -> tuple[TrustNetwork, ...]:
    """One entry for each record, in their order."""
    from scipy.stats import rankdata  # slow to import, and those who only read a study may not need it

    short = [score_of(record).top1_percent for record in both]
    scores = [[score_of(other).top1_percent for other in trained[record.arch_id]] for record in both]
    long = [statistics.fmean(values) for values in scores]
    ranks = [rankdata(-np.asarray(values)).tolist() for values in (short, long)]
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


def _ranked_first(networks: Sequence[TrustNetwork]) -> list[TrustNetwork]:
    """Those of the highest proxy accuracy: more than one where they tie."""
    return [each for each in networks if each.proxy_rank == networks[0].proxy_rank]


def _group(
    name: str, networks: Sequence[TrustNetwork], predictors: Sequence[str], ceiling: Ceiling | None, *, resamples: int
) -> TrustGroup:
    known: dict[str, list[float]] = {PROXY: [network.proxy_top1_percent for network in networks]}
    few = f"{len(networks)} networks; {LEAST_NETWORKS} are the least that are ranked"
    notes = dict.fromkeys((PROXY, *predictors), few)
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
        if max(target) == min(target):
            notes = dict.fromkeys(notes, "the long training gave all of them the same accuracy")
        else:
            found = resampled_correlations(target, known, resamples=resamples)
    proxy, *others = (correlation_of(each, len(networks), found.get(each), note) for each, note in notes.items())
    others.sort(key=lambda each: (each.tau is None, -(each.tau or 0.0)))
    best = others[0] if others and others[0].tau is not None else None
    advantage, interval, worse = None, None, False
    if best is not None and best.tau is not None and proxy.tau is not None:
        advantage = proxy.tau - best.tau
        if len(networks) >= LEAST_FOR_INTERVAL and not (found[PROXY].unanimous and found[best.predictor].unanimous):
            differences = found[PROXY].taus - found[best.predictor].taus
            interval = percentile_interval(differences)
            compared = sum(each.tau is not None for each in others)
            corrected = percentile_interval(differences, 1.0 - (1.0 - CONFIDENCE) / compared)
            worse = corrected is not None and corrected[1] < 0.0
    low, high = interval or (None, None)
    group = TrustGroup(
        name=name,
        n=len(networks),
        proxy=proxy,
        predictors=tuple(others),
        best=None if best is None else best.predictor,
        advantage=advantage,
        advantage_low=low,
        advantage_high=high,
        worse=worse,
        ceiling=ceiling,
        sentence="",
    )
    return replace(group, sentence=_group_sentence(group))


def _allowed(group: TrustGroup, each: Correlation) -> float | None:
    """The tau that noise allows one predictor."""
    if group.ceiling is None:
        return None
    return group.ceiling.proxy if each is group.proxy else group.ceiling.exact


def _tau_text(group: TrustGroup, found: Correlation, *, interval: str) -> str:
    """`0.41 of 0.68 that noise allows`, and the interval where there is one: `, interval 0.10 to 0.66`."""
    allowed = _allowed(group, found)
    text = number_text(found.tau, decimals=2) + ("" if allowed is None else f" of {allowed:.2f} that noise allows")
    if found.tau_low is None or found.tau_high is None:
        return text
    low, high = (sided_text(end, decimals=2) for end in (found.tau_low, found.tau_high))
    return f"{text}, {interval} {low} to {high}"


def _group_sentence(group: TrustGroup) -> str:
    """Whether the proxy ranks a group's networks better than the best predictor that trains nothing."""
    proxy = group.proxy
    where = f"over {proxy.n} networks" if group.name == "all" else f"over the {proxy.n} networks of the {group.name}"
    if proxy.tau is None:
        return f"whether the proxy ranks as the longer training does cannot be told {where}: {proxy.note}."
    own = f"tau {_tau_text(group, proxy, interval='interval')}"
    than, beside = "", ", beside no other predictor"
    if group.best is not None:
        than = f" {_PREDICTOR_WORDS.get(group.best, group.best)}"
        beside = f"; {group.best} {_tau_text(group, group.predictors[0], interval='interval')}"
    if proxy.n < LEAST_FOR_INTERVAL:
        better = f" better than{than}" if than else ""
        return (
            f"that the proxy ranks{better} cannot be told {where} ({own}{beside}; an interval needs "
            f"{LEAST_FOR_INTERVAL} networks)."
        )
    maybe_none = proxy.tau_low is not None and proxy.tau_high is not None and proxy.tau_low <= 0.0 <= proxy.tau_high
    chance = "; its interval holds 0, so it may not rank them at all" if maybe_none else ""
    advantage, low, high = group.advantage, group.advantage_low, group.advantage_high
    if advantage is None or low is None or high is None:
        untold = f"{beside}; their difference has no interval" if group.best is not None else beside
        return f"the proxy ranks with {own} {where}{untold}{chance}."
    shown, least, most = (sided_text(value, decimals=2, signed=True) for value in (advantage, low, high))
    numbers = f"({own}{beside}; difference {shown}, {least} to {most}; {CONFIDENCE * 100:g} % intervals){chance}"
    ranks = "ranks better" if low > 0.0 else "ranks worse" if group.worse else "has not been shown to rank better"
    return f"the proxy {ranks} than{than} {where} {numbers}."


def _warnings(
    short: Sequence[Score], long: Sequence[Score], missing: Sequence[str], *, seeds: Sequence[int], noisy: bool
) -> tuple[str, ...]:
    """What makes the two trainings, or the networks, incomparable."""
    texts = []
    if missing:
        texts.append(f"without both trainings, so left out: {some_of(missing, 8)}")
    for field in ("split", "train_images", "eval_images"):
        values = sorted({str(getattr(score, field)) for score in (*short, *long)})
        if len(values) > 1:
            texts.append(f"the trainings differ in {field.replace('_', ' ')}: {', '.join(values)}")
    for what, scores in (("short", short), ("long", long)):
        epochs = sorted({score.epochs for score in scores})
        if len(epochs) > 1:
            texts.append(f"the {what} trainings have different epochs: {', '.join(map(str, epochs))}")
    if len(set(seeds)) > 1:
        texts.append(f"the means of the long training are over {min(seeds)} to {max(seeds)} seeds")
    if noisy and seeds:
        untold = "how much of tau its noise takes cannot be told"
        if max(seeds) == 1:
            texts.append(f"one seed for each network: {untold}; --seeds 2 tells it")
        else:
            texts.append(f"the seeds of the long training show no spread: {untold}")
    if short and long and max(s.epochs for s in long) <= max(s.epochs for s in short):
        texts.append("the long training has no more epochs than the proxy")
    return tuple(texts)


def _proxy_tau(group: TrustGroup) -> str:
    named = "over all" if group.name == "all" else f"over the {group.name} by proxy"
    if group.proxy.tau is None:
        return f"Kendall tau {named} (n = {group.n}) cannot be told"
    none = "" if group.proxy.tau_low is not None else ", no interval"
    told = _tau_text(group, group.proxy, interval=f"{CONFIDENCE * 100:g} %")
    return f"Kendall tau {named} (n = {group.n}) {told}{none}"
