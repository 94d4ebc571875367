"""The front of the networks that were trained in full: what the search won, and what its proxy got wrong.

An accuracy has two sources of error, and every interval here has both: another seed trains another network, and other
test images count otherwise. The spread of one training over its seeds is pooled over all networks with two seeds or
more, as if it were one for all; that of counting is binomial. That the networks are scored on the same images would
narrow a difference, but which images each got right is not stored. Satterthwaite's degrees of freedom are those of the
sum (1946, "An approximate distribution of estimates of variance components").
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.analysis.front import Front, FrontRow, front_of
from archsearch.analysis.intervals import PooledVariance, additive_fit, half_width, share_error_points
from archsearch.analysis.means import cut_off_last, mean_score
from archsearch.analysis.rank_correlation import LEAST_FOR_INTERVAL, Correlation, correlation_of, resampled_correlations
from archsearch.noise import NoiseFloor
from archsearch.records import Record, Score, TrialStatus
from archsearch.table import (
    ARCH_ID,
    LATENCY,
    NETWORK,
    TRIAL,
    WIDE_TRIAL,
    Column,
    InNotebooks,
    Interval,
    Table,
    json_as,
    table_of,
)
from archsearch.text import interval_text, number_text, plural, significant, span_text

_MOST_SEEDS = 20  # beyond, no number of seeds is recommended
_UNKNOWN = Interval(None, None, None)
_LARGE = 10**6  # degrees of freedom of what has no spread over seeds


@dataclass(frozen=True, kw_only=True)
class FinalNetwork:
    """One network that was trained in full.

    Attributes:
        record: of the study, with what its proxy said.
        row: of the final front: its score is the mean over the seeds on the test images.
        seeds: trainings that the mean is of.
        top1: test top-1 (percent) with its 95 % interval.
        proxy_rank: by the proxy's top-1 among the networks trained in full, 1 the most accurate; None for a network
            whose proxy was ended early.
        final_rank: by the test top-1 among those with a proxy rank; None likewise.
        published: whether it is a network that its source describes.
    """

    record: Record
    row: FrontRow
    seeds: int
    top1: Interval
    proxy_rank: int | None
    final_rank: int | None
    searched_front: bool
    published: bool

    @property
    def top1_percent(self) -> float:
        """The mean."""
        return self.row.score.top1_percent

    @property
    def latency_ms(self) -> float:
        """Drift-corrected p10."""
        return self.row.latency.corrected_ms

    @property
    def named(self) -> str:
        """With where it stands: `trial 20 (61.30 % at 0.134 ms)`."""
        return f"{self.record.label} ({self.top1_percent:.2f} % at {significant(self.latency_ms)} ms)"


@dataclass(frozen=True, kw_only=True)
class AgainstPublished:
    """A searched network beside its rival, the published network nearest in latency of those as slow or slower.

    Attributes:
        rival: None where no published network that is as slow was trained in full.
        points: by how many points of test top-1 the searched one is more accurate, with an interval; those of all
            searched networks hold together in 95 % of cases (Bonferroni).
        on_these_images: the same for the very test images: the spread over seeds alone. No ends where none was seen.
        seeds_to_tell: seeds of each, or as many as it has, from which on the interval would leave out 0, if the
            difference stayed as it is; None where it does already, where it is no gain, or where that cannot be told.
    """

    network: FinalNetwork
    rival: FinalNetwork | None = None
    points: Interval = _UNKNOWN
    on_these_images: Interval = _UNKNOWN
    seeds_to_tell: int | None = None

    @property
    def gain(self) -> float:
        """The difference (points); -inf without a rival."""
        return -math.inf if self.points.value is None else self.points.value

    @property
    def beats(self) -> bool:
        """Whether the interval lies above zero."""
        return self.points.low is not None and self.points.low > 0.0

    @property
    def text(self) -> str:
        """In words."""
        if self.rival is None:
            return f"{self.network.named} has no rival"
        shown = interval_text(
            self.points.value, self.points.low, self.points.high, decimals=2, signed=True, unit="points"
        )
        return f"{self.network.named} against {self.rival.named}: {shown}"


@dataclass(frozen=True, kw_only=True)
class ProxyErrors:
    """What the proxy got wrong, over the networks that it trained to its end.

    Attributes:
        tau: Kendall's, of the proxy's top-1 with the test top-1; an interval from ten networks on.
        told, reversed: pairs of networks that the full trainings tell apart, in 95 % of cases none of them wrongly
            (Bonferroni over all pairs); and those of them that the proxy ordered the other way.
        worst: of these the pair farthest apart, the more accurate first; None without one.
        undervalued: Spearman's rho of what the full training added, over a straight line in the proxy's top-1, with the
            parameters; None below ten networks.
    """

    networks: int
    tau: Correlation
    told: int
    reversed: int
    worst: tuple[FinalNetwork, FinalNetwork] | None
    undervalued: Correlation | None


class ProxyErrorsJson(TypedDict):
    """What the proxy got wrong: of the pairs that full trainings tell apart it ordered some the other way."""

    networks: int
    tau: Correlation
    pairs_told: int
    pairs_reversed: int
    undervalued: Correlation | None


class FinalJson(TypedDict):
    """The networks trained in full, by latency, and each searched one against the published one that is its rival."""

    study: str
    dataset: str
    protocol: str
    epochs: int
    train_images: int
    test_images: int
    spread: PooledVariance | None
    networks: list[dict[str, Any]]
    against: list[dict[str, Any]]
    proxy: ProxyErrorsJson
    missing: list[str]
    others: list[str]


@dataclass(frozen=True, kw_only=True)
class FinalFront(InNotebooks):
    """The networks of a study that were trained in full under one protocol: a `archsearch.table.Result`.

    Attributes:
        named: the options that name it in a command; empty: its name does.
        front: of their mean scores on the test images, with the study's latencies.
        networks: by latency.
        against: one entry for each searched network, by latency.
        spread: of one training over its seeds (points, squared); None where no network has two.
        missing: names of networks without a latency in the study, which stand nowhere here.
        others: trainings under other protocols, lengths or images, by what they were.
    """

    study: str
    dataset: str
    protocol: str
    epochs: int
    train_images: int
    test_images: int
    front: Front
    networks: tuple[FinalNetwork, ...]
    against: tuple[AgainstPublished, ...]
    proxy: ProxyErrors
    spread: PooledVariance | None
    missing: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What is seen, of which study."""
        return f"The front, trained in full: study {self.study}"

    @property
    def empty(self) -> str | None:
        """Why there is nothing to show."""
        return None if self.networks else "No network that was trained in full has a latency in the study"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """How the networks were trained, and what the intervals have in them."""
        counted = span_text([each.seeds for each in self.networks] or [0])
        return (
            f"{self.dataset} · {plural(self.train_images, 'training image')} · protocol {self.protocol}, "
            f"{plural(self.epochs, 'epoch')} · {plural(counted, 'seed')} · test split "
            f"({plural(self.test_images, 'image')}), which no search saw",
            f"Intervals (95 %): {self._basis}",
        )

    @property
    def _basis(self) -> str:
        counting = f"counting {plural(self.test_images, 'test image')} (binomial)"
        if self.spread is None:
            return f"{counting} alone; no network has two seeds, and another seed moves it further"
        points = number_text(math.sqrt(self.spread.variance), decimals=2)
        return (
            f"the spread over seeds ({points} points, pooled over the networks with several, "
            f"{plural(self.spread.freedom, 'degree')} of freedom) and {counting}"
        )

    @property
    def members(self) -> tuple[FinalNetwork, ...]:
        """The final front, fastest first."""
        return tuple(each for each in self.networks if each.row.on_front)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the search won, which networks stay on the front, and what the proxy got wrong."""
        if not self.networks:
            return ()
        return (*self._won(), self._moved(), *self._proxy_lines())

    def _won(self) -> list[str]:
        rivalled = [each for each in self.against if each.rival is not None]
        if not rivalled:
            why = "no searched network was trained in full"
            if self.against:
                why = "no published network that is as slow as a searched one was trained in full"
            named = self.named or ("--study", self.study)
            retrain = shlex.join(("archsearch", "retrain", *named, "--trial", "front", "--with-variants"))
            return [f"What the search won cannot be told: {why} (`{retrain}`)."]
        best = max(rivalled, key=lambda each: (each.beats, each.gain))
        wins = sum(each.beats for each in rivalled)
        losses = sum(each.points.high is not None and each.points.high < 0.0 for each in rivalled)
        counted = (
            f"Of {plural(len(rivalled), 'searched network')}, {wins or 'none'} "
            f"{'beats' if wins < 2 else 'beat'} the published network nearest in latency of those as slow or slower "
            f"with an interval above zero, {losses or 'none'} {'loses' if losses < 2 else 'lose'} to it."
        )
        return [counted, f"The {'clearest' if wins else 'nearest to it'}: {best.text}.", *self._why_not(best)]

    def _why_not(self, best: AgainstPublished) -> list[str]:
        if best.beats:
            return []
        if best.gain == 0.0:
            return ["Neither a gain nor a loss was seen: more seeds may show one."]
        if best.gain < 0.0:
            return ["No gain was seen: more seeds would tell the loss better, only other networks would be a gain."]
        if self.spread is None:
            return ["Whether that is a gain, seeds would tell: `--seeds 2` or more."]
        if best.seeds_to_tell is None:
            return [
                f"It is too small for {plural(self.test_images, 'test image')} to tell, with up to {_MOST_SEEDS} seeds."
            ]
        return [f"If it stays as it is, {best.seeds_to_tell} seeds of both networks would tell it from zero."]

    def _moved(self) -> str:
        before = [each for each in self.networks if each.searched_front]
        stayed = sum(each.row.on_front for each in before)
        came = [each.record.label for each in self.members if not each.searched_front]
        said = [f"{stayed} of the {len(before)} that were on the search's front"] if before else []
        said += [f"{', '.join(came)}, which the search's front had not"] if came else []
        return (
            f"The final front has {len(self.members)} of {plural(len(self.networks), 'network')}: {' and '.join(said)}."
        )

    def _proxy_lines(self) -> list[str]:
        found = self.proxy
        if found.tau.tau is None:
            return []
        tau = interval_text(found.tau.tau, found.tau.tau_low, found.tau.tau_high, decimals=2)
        chosen = (
            "; they were chosen by it, so that over all networks of the study it is another" if self.against else ""
        )
        lines = [
            f"The proxy ranks these {plural(found.networks, 'network')} as the full training does with a Kendall tau "
            f"of {tau}{chosen}."
        ]
        if found.told:
            lines.append(
                f"Full training tells {plural(found.told, 'pair')} of networks apart; the proxy had {found.reversed} "
                "of them the other way round."
            )
        if found.worst is not None:
            better, worse = found.worst
            lines.append(
                f"Its largest error: {worse.named} (proxy rank {worse.proxy_rank}) before {better.named} (proxy "
                f"rank {better.proxy_rank}), which is {better.top1_percent - worse.top1_percent:.2f} points better."
            )
        size = found.undervalued
        if size is not None and size.spearman_low is not None and size.spearman_high is not None:
            low, high = size.spearman_low, size.spearman_high
            rho = interval_text(size.spearman, low, high, decimals=2, signed=True)
            if low > 0.0 or high < 0.0:
                which = "more" if low > 0.0 else "fewer"
                lines.append(f"It undervalued networks with {which} parameters (Spearman's rho {rho}).")
        return lines

    @property
    def method(self) -> str:
        """How intervals, comparisons and ranks are made."""
        return (
            "Accuracy: mean over the seeds of the last epoch's top-1 on the test images; nothing was chosen by it. "
            "Intervals take the spread over seeds as one for all networks (pooled) and add the binomial error of "
            "counting; that all networks saw the same images would narrow differences and is left out. Those of the "
            "comparisons hold together (Bonferroni), and so do those that tell pairs of networks apart, of all pairs; "
            "those of single networks hold each for itself. A published network is as slow if its "
            "latency is longer or a tie; of several ties the most accurate is the rival. Ranks: among "
            "the networks here, 1 is the most accurate."
            + (f" Other trainings, not compared with these: {'; '.join(self.others)}." if self.others else "")
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where conditions differ, and what stands nowhere here."""
        found = list(self.front.warnings)
        if self.missing:
            found.append(
                f"{', '.join(self.missing)}: trained in full, without a latency in the study (named in its `variants`, "
                "a network is measured)"
            )
        return tuple(found)

    def tables(self) -> tuple[Table, ...]:
        """Every network trained in full, then the searched ones beside published ones where one has a rival."""
        return self.networks_table(), *((self.against_table(),) if any(each.rival for each in self.against) else ())

    def networks_table(self) -> Table:
        """Every network, fastest first."""
        return table_of(
            "Networks trained in full",
            self.networks,
            (TRIAL, lambda each: each.record.trial),
            (NETWORK, lambda each: each.record.label),
            (Column(title="Test top-1", key="top1_percent", unit="%", decimals=2), lambda each: each.top1),
            LATENCY,
            (Column(title="Params", decimals=0), lambda each: each.row.cost.params),
            Column(title="Final rank", decimals=0),
            Column(title="Proxy rank", decimals=0),
            Column(title="Seeds", decimals=0),
            (Column(title="On the front", key="on_front"), lambda each: each.row.on_front),
            Column(title="On the search's", key="searched_front"),
            (
                Column(title="Proxy's top-1", key="proxy_top1_percent", unit="%", decimals=2, wide=True),
                lambda each: _proxy_top1(each.record),
            ),
            (Column(title="MACs", decimals=0, wide=True), lambda each: each.row.cost.macs),
            (ARCH_ID, lambda each: each.record.arch_id),
            marked=lambda each: each.row.on_front,
        )

    def against_table(self) -> Table:
        """The searched networks beside their rivals."""
        return table_of(
            "Searched networks against published ones",
            self.against,
            (WIDE_TRIAL, lambda each: each.network.record.trial),
            (NETWORK, lambda each: each.network.record.label),
            (LATENCY, lambda each: each.network.latency_ms),
            (
                Column(title="Published", key="rival", whole=True),
                lambda each: each.rival.record.label if each.rival else None,
            ),
            (
                Column(title="Its latency", key="rival_latency_ms", unit="ms", decimals=3),
                lambda each: each.rival.latency_ms if each.rival else None,
            ),
            Column(title="More accurate by", key="points", unit="points", decimals=2, signed=True),
            (Column(title="Beats it", key="beats"), lambda each: each.beats if each.rival else None),
            Column(title="On these images", unit="points", decimals=2, signed=True),
            note="The published network is the nearest in latency of those as slow or slower; the intervals hold "
            "together in 95 % of cases. On these images: the spread over seeds alone, other test images left out.",
        )

    def plain(self) -> FinalJson:
        """All of it as plain data."""
        proxy = self.proxy
        return json_as(
            FinalJson,
            self,
            networks=self.networks_table().dicts(),
            against=self.against_table().dicts(),
            proxy=json_as(ProxyErrorsJson, proxy, pairs_told=proxy.told, pairs_reversed=proxy.reversed),
        )


def final_front_of(
    records: Sequence[Record],
    trainings: Sequence[tuple[str, Score]],
    searched: Front,
    *,
    labels: Mapping[str, str],
    published: Collection[str],
    study: str,
    dataset: str = "",
    protocol: str = "",
    named: tuple[str, ...] = (),
) -> FinalFront | None:
    """What full trainings say of a study's networks; None without any.

    Args:
        records: of the study, of any status; a network without a latency is named as missing.
        trainings: (arch_id, score on the test split) of every finished full training, one for each seed. Of those that
            differ in protocol, epochs or images the group with most networks is taken, then the longest.
        searched: the front of the study's proxies; its objectives and noise floor are those of the final one.
        labels: what the networks are called, by arch_id.
        published: the arch_ids of networks that a source describes.
        protocol: take the largest group of this protocol; "": of any.
        named: the options that name the study in a command.
    """
    groups: dict[tuple[str, int, int, int], dict[str, dict[int, Score]]] = {}
    for arch_id, score in trainings:
        key = (score.protocol, score.epochs, score.train_images, score.eval_images)
        groups.setdefault(key, {}).setdefault(arch_id, {})[score.seed] = score
    fitting = [key for key in groups if not protocol or key[0] == protocol]
    if not fitting:
        return None
    chosen = max(fitting, key=lambda key: (len(groups[key]), key[1], key[2], key))
    known: dict[str, Record] = {}
    for record in sorted(cut_off_last(records), key=lambda each: each.variant is None):
        if record.latency is not None and record.cost is not None:
            known.setdefault(record.arch_id, record)
    found = {arch_id: by_seed for arch_id, by_seed in groups[chosen].items() if arch_id in known}
    means = [
        replace(
            known[arch_id],
            score=mean_score([by_seed[seed] for seed in sorted(by_seed)]),
            status=TrialStatus.COMPLETE,
            point=None,
        )
        for arch_id, by_seed in found.items()
    ]
    front = front_of(
        means,
        searched.objectives,
        searched.reference_point,
        noise_floor=searched.noise_floor,
        latency_batch=searched.latency_batch,
    )
    values = {(arch_id, seed): score.top1_percent for arch_id, all_ in found.items() for seed, score in all_.items()}
    fitted = additive_fit(values, seeds=False).spread
    spread = fitted if fitted.freedom > 0 else None
    before = {row.record.arch_id for row in searched.members}
    by_proxy = {
        row.record.arch_id: top1 for row in front.rows if (top1 := _proxy_top1(known[row.record.arch_id])) is not None
    }
    by_test = {row.record.arch_id: row.score.top1_percent for row in front.rows if row.record.arch_id in by_proxy}
    proxy_ranks, final_ranks = _ranks(by_proxy), _ranks(by_test)
    networks = []
    for row in front.rows:
        arch_id = row.record.arch_id
        half = _half_width([(row.score, len(found[arch_id]))], spread)
        top1 = row.score.top1_percent
        ends = (None, None) if half is None else (max(0.0, top1 - half), min(100.0, top1 + half))
        networks.append(
            FinalNetwork(
                record=known[arch_id],
                row=row,
                seeds=len(found[arch_id]),
                top1=Interval(top1, *ends),
                proxy_rank=proxy_ranks.get(arch_id),
                final_rank=final_ranks.get(arch_id),
                searched_front=arch_id in before,
                published=arch_id in published,
            )
        )
    return FinalFront(
        study=study,
        dataset=dataset,
        protocol=chosen[0],
        epochs=chosen[1],
        train_images=chosen[2],
        test_images=chosen[3],
        front=front,
        networks=tuple(networks),
        against=_against(networks, spread, searched.noise_floor),
        proxy=_proxy_errors(networks, spread),
        spread=spread,
        missing=tuple(labels.get(arch_id, arch_id) for arch_id in groups[chosen] if arch_id not in known),
        others=tuple(
            f"{plural(len(nets), 'network')} by {key[0]}, {plural(key[1], 'epoch')} of {key[2]:,} images"
            for key, nets in groups.items()
            if key != chosen
        ),
        named=named,
    )


def _half_width(
    means: Sequence[tuple[Score, int]],
    spread: PooledVariance | None,
    *,
    comparisons: int = 1,
    other_images: bool = True,
) -> float | None:
    """Half of the 95 % interval of a mean score, or of the difference of two: (mean score, its seeds) of each."""
    errors = [share_error_points(score.top1_percent, score.eval_images) or 0.0 for score, _ in means]
    counting = sum(error**2 for error in errors) if other_images else 0.0
    seeds = 0.0 if spread is None else sum(spread.variance / count for _, count in means)
    total = counting + seeds
    if total <= 0.0:
        return None
    freedom = _LARGE if spread is None or seeds <= 0.0 else min(_LARGE, int(spread.freedom * (total / seeds) ** 2))
    return half_width(math.sqrt(total), freedom, comparisons=comparisons)


def _against(
    networks: Sequence[FinalNetwork], spread: PooledVariance | None, floor: NoiseFloor
) -> tuple[AgainstPublished, ...]:
    searched = [each for each in networks if each.record.variant is None and not each.published]
    rivals = {each.record.arch_id: _rival(each, networks, floor) for each in searched}
    count = sum(rival is not None for rival in rivals.values())
    found = []
    for each in searched:
        rival = rivals[each.record.arch_id]
        if rival is None:
            found.append(AgainstPublished(network=each))
            continue
        gain = round(each.top1_percent - rival.top1_percent, 9)  # of means, which may be equal but for their last bit
        pair = [(network.row.score, network.seeds) for network in (each, rival)]
        half = _half_width(pair, spread, comparisons=count)
        needed = None
        if spread is not None and half is not None and 0.0 < gain <= half:
            for seeds in range(min(each.seeds, rival.seeds) + 1, _MOST_SEEDS + 1):
                grown = [(score, max(has, seeds)) for score, has in pair]
                added = sum(has for _, has in grown) - each.seeds - rival.seeds
                more = replace(spread, freedom=spread.freedom + added)
                with_more = _half_width(grown, more, comparisons=count)
                if with_more is not None and with_more < gain:
                    needed = seeds
                    break
        here = _half_width(pair, spread, comparisons=count, other_images=False)
        found.append(
            AgainstPublished(
                network=each,
                rival=rival,
                points=_around(gain, half),
                on_these_images=_around(gain, here),
                seeds_to_tell=needed,
            )
        )
    return tuple(found)


def _around(value: float, half: float | None) -> Interval:
    return Interval(value, None, None) if half is None else Interval(value, value - half, value + half)


def _rival(network: FinalNetwork, networks: Sequence[FinalNetwork], floor: NoiseFloor) -> FinalNetwork | None:
    own = network.latency_ms
    slower = [each for each in networks if each.published and float(floor.upper(each.latency_ms)) >= own]
    tied = [each for each in slower if float(floor.upper(own)) >= each.latency_ms]
    if tied:
        return max(tied, key=lambda each: each.top1_percent)
    return min(slower, key=lambda each: (each.latency_ms, -each.top1_percent), default=None)


def _proxy_errors(networks: Sequence[FinalNetwork], spread: PooledVariance | None) -> ProxyErrors:
    ranked = [each for each in networks if each.proxy_rank is not None]
    proxy = [_proxy_top1(each.record) or 0.0 for each in ranked]
    test = [each.top1_percent for each in ranked]
    resampled = resampled_correlations(test, {"proxy": proxy})["proxy"] if len(ranked) > 1 else None
    tau = correlation_of("proxy", len(ranked), resampled, "fewer than two networks")
    undervalued = None
    if len(ranked) >= LEAST_FOR_INTERVAL and np.ptp(proxy) > 0.0:
        added = np.asarray(test) - np.polyval(np.polyfit(proxy, test, 1), proxy)
        sizes = [float(each.row.cost.params) for each in ranked]
        by_size = resampled_correlations(added.tolist(), {"params": sizes})["params"]
        undervalued = correlation_of("params", len(ranked), by_size, "")
    told, reversed_ = 0, []
    pairs = tuple(combinations(ranked, 2))
    for one, other in pairs:
        means = [(network.row.score, network.seeds) for network in (one, other)]
        half = _half_width(means, spread, comparisons=len(pairs))
        better, worse = (one, other) if one.top1_percent > other.top1_percent else (other, one)
        if half is None or better.top1_percent - worse.top1_percent <= half:
            continue
        told += 1
        if (better.proxy_rank or 0) > (worse.proxy_rank or 0):
            reversed_.append((better, worse))
    worst = max(reversed_, key=lambda pair: pair[0].top1_percent - pair[1].top1_percent, default=None)
    return ProxyErrors(
        networks=len(ranked), tau=tau, told=told, reversed=len(reversed_), worst=worst, undervalued=undervalued
    )


def _proxy_top1(record: Record) -> float | None:
    """Of a proxy that was trained to its end."""
    whole = record.status in (TrialStatus.COMPLETE, TrialStatus.REPLAY)
    return record.score.top1_percent if whole and record.score is not None else None


def _ranks(values: dict[str, float]) -> dict[str, int]:
    """1 for the largest; equal values have one rank."""
    return {name: 1 + sum(other > value for other in values.values()) for name, value in values.items()}
