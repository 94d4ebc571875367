"""The same networks in several studies or on several devices: do they rank alike, and who moves?

Networks are the same if their arch_ids are. A rank correlation asks only for the order, so sides with other epochs,
datasets or devices can be held against each other; the values themselves cannot, and what differs is listed.

The correlations and their intervals are those of `rank_correlation`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from archsearch.analysis.conditions import RecordConditions, conditions_of
from archsearch.analysis.intervals import CONFIDENCE, Floats
from archsearch.analysis.objectives import complete_values, is_complete, latency_of
from archsearch.analysis.pareto import Noisy, non_dominated
from archsearch.analysis.rank_correlation import KENDALL, SPEARMAN, correlation_of, resampled_correlations
from archsearch.noise import NO_FLOOR, NoiseFloor
from archsearch.records import Latency, Record
from archsearch.table import ARCH_ID, NETWORK, Column, InNotebooks, Interval, Table, table_of
from archsearch.text import first_of, plural, sided_text

COMPARED = {"latency_ms": "latency", "error_percent": "accuracy"}
MIN_INTERVAL = 5  # networks below which a correlation gets no interval
MOVERS = 10
_RESAMPLES = 1000
_LARGE, _LARGE_RESAMPLES = 2000, 100
# What a difference between two sides makes of their values; those of the latency, then those of the score.
_LATENCY_FACTS = ("fingerprint", "backend", "batch", "threads", "precision", "input_size", "reference")
_SCORE_FACTS = ("epochs", "split", "train_images", "eval_images", "protocol", "seed")

# Kendall's tau from which on an order is called so, and below its negative; of two networks at random, (1 + tau) / 2
# stand in the same order.
_WORDS = (
    (0.8, "almost the same order", "almost the opposite order"),
    (0.5, "much the same order", "much the opposite order"),
    (0.2, "a loosely similar order", "a loosely opposite order"),
    (0.0, "hardly the same order", "hardly an opposite order"),
)
_NAMED = 6  # networks that a sentence lists


@dataclass(frozen=True, kw_only=True)
class Side:
    """One study, or one device of a study, to be compared.

    Attributes:
        name: for people; the names of a comparison's sides differ.
        study: that it is one device of; "": the name is the study's.
        records: of any status; complete ones count.
        noise_floor: difference of two latencies from which on they differ here.
        facts: what the study says of itself that could differ: its dataset, for one.
    """

    name: str
    records: tuple[Record, ...]
    noise_floor: NoiseFloor = NO_FLOOR
    facts: Mapping[str, str] = field(default_factory=dict)
    study: str = ""


@dataclass(frozen=True, kw_only=True)
class SharedNetwork:
    """One network that every side has; each tuple has one value for each side.

    Attributes:
        label: the variant's name, or the label in the first side.
        error_percent, latency_ms: the median over the side's records of the network.
        records: how many that were.
        on_front: whether it is on the side's front of the shared networks alone, ties below the noise floor included.
    """

    arch_id: str
    label: str
    error_percent: tuple[float, ...]
    latency_ms: tuple[float, ...]
    records: tuple[int, ...]
    on_front: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """How alike two sides rank the shared networks by one objective.

    Attributes:
        first, second: the sides' names.
        n: networks.
        kendall, spearman: None where a side has fewer than 2 networks or all values equal; `reason` says so.
        kendall_low, ...: the intervals; None below MIN_INTERVAL networks, and where all pairs agree or all disagree.
        told: whether it can be told from no order in common: by Kendall's interval; where all pairs agree or all
            disagree, if chance does that in less than 5 % of cases.
    """

    objective: str
    first: str
    second: str
    n: int
    kendall: float | None = None
    kendall_low: float | None = None
    kendall_high: float | None = None
    spearman: float | None = None
    spearman_low: float | None = None
    spearman_high: float | None = None
    told: bool = False
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Mover:
    """A network that two sides rank differently.

    Attributes:
        from_rank, to_rank: in the first and the second side, 1 the best; equal values share their mean rank.
        reversed_pairs: networks that it is better than on one side and worse on the other, in latency by more than the
            noise floor of each side.
    """

    objective: str
    first: str
    second: str
    arch_id: str
    label: str
    from_rank: float
    to_rank: float
    reversed_pairs: int

    @property
    def places(self) -> float:
        """Places lost from the first side to the second; negative if it gained."""
        return self.to_rank - self.from_rank


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something in which the sides were not treated alike, with the value on each side."""

    what: str
    values: tuple[str, ...]
    consequence: str


@dataclass(frozen=True, kw_only=True)
class Comparison(InNotebooks):
    """What several sides say of the networks that all of them have: an `archsearch.table.Result`.

    Attributes:
        studies: their names; a study that was measured on several devices is one side for each.
        sides: names.
        networks: complete networks of each side.
        shared: networks that every side has, by the latency of the first.
        correlations: for each objective and each pair of sides, of the networks that these two share.
        movers: for each objective and each pair, those with the most reversed pairs, at most MOVERS.
        differences: of conditions between the sides.
        conditions: of each side.
        confidence: of each interval.
        reason: why nothing is compared; "" if something is.
    """

    studies: tuple[str, ...]
    sides: tuple[str, ...]
    networks: tuple[int, ...]
    shared: tuple[SharedNetwork, ...]
    correlations: tuple[RankCorrelation, ...]
    movers: tuple[Mover, ...]
    differences: tuple[Difference, ...]
    conditions: tuple[RecordConditions, ...]
    confidence: float
    reason: str = ""

    @property
    def leaving(self) -> tuple[SharedNetwork, ...]:
        """Networks that are on one side's front and not on another's."""
        return tuple(network for network in self.shared if len(set(network.on_front)) > 1)

    @property
    def title(self) -> str:
        """What was compared."""
        return f"The same networks elsewhere: {' against '.join(self.sides)}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """How many networks each side has, and all of them have."""
        own = (
            f"{side}: {plural(count, 'complete network')}"
            for side, count in zip(self.sides, self.networks, strict=True)
        )
        return (f"{'; '.join(own)}; {len(self.shared):,} in all of them",)

    @property
    def empty(self) -> str | None:
        """Why nothing is compared."""
        return f"Nothing to compare: {self.reason}" if self.reason else None

    @property
    def sentences(self) -> tuple[str, ...]:
        """How alike each pair of sides ranks the networks, and which networks leave a front."""
        if self.reason:
            return ()
        leaving = self.leaving
        if not leaving:
            front = f"The fronts of the {len(self.shared)} shared networks have the same members on all sides."
        else:
            named = first_of([network.label for network in leaving], _NAMED)
            front = f"On the front of one side and not of another: {len(leaving)} of {len(self.shared)} ({named})."
        return (*map(_correlation_sentence, self.correlations), front)

    @property
    def method(self) -> str:
        """How all this was found."""
        return (
            "Latencies are drift-corrected p10s; a network with several records has their medians. Kendall's tau-b and "
            f"Spearman's rho with {self.confidence * 100:g} % percentile intervals from bootstrap resamples of the "
            f"networks, from {MIN_INTERVAL} networks on; where all pairs agree, or all disagree, an order is told if "
            "chance does that in less than 5 % of cases. A pair of networks is reversed if one is better on one side "
            "and worse on the other, in latency by more than each side's noise floor. Fronts are those of the shared "
            "networks alone."
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """In what the sides were not treated alike."""
        return tuple(
            f"{each.what} differs ({' against '.join(value or 'none' for value in each.values)}): {each.consequence}"
            for each in self.differences
        )

    def tables(self) -> tuple[Table, ...]:
        """The shared networks, how alike they are ranked, and who moves; without rows where nothing is compared."""
        columns = [NETWORK]
        repeated = any(count > 1 for each in self.shared for count in each.records)
        for side in self.sides:
            columns += [
                Column(title=f"Latency, {side}", key=f"latency_ms ({side})", unit="ms", decimals=3),
                Column(title=f"Top-1, {side}", key=f"top1_percent ({side})", unit="%", decimals=2),
                Column(title=f"Records, {side}", key=f"records ({side})", decimals=0, wide=True),
            ]
        rows = []
        for each in self.shared:
            values = zip(each.latency_ms, each.error_percent, each.records, strict=True)
            cells = [cell for ms, error, count in values for cell in (ms, 100.0 - error, count if repeated else None)]
            fronts = [side for side, on_front in zip(self.sides, each.on_front, strict=True) if on_front]
            on_front = "all" if all(each.on_front) else ", ".join(fronts) or "none"
            rows.append((each.label, *cells, on_front, each.arch_id))
        pair = (
            (Column(title="By", whole=True), lambda each: COMPARED[each.objective]),
            Column(title="First"),
            Column(title="Second"),
        )
        return (
            Table(
                title="Shared networks",
                columns=(*columns, Column(title="On the front of", key="on_front"), ARCH_ID),
                rows=tuple(rows),
            ),
            table_of(
                "Rank correlation of the shared networks",
                () if self.reason else self.correlations,
                *pair,
                (Column(title="Networks", decimals=0), lambda each: each.n),
                (KENDALL, lambda each: Interval(each.kendall, each.kendall_low, each.kendall_high)),
                (SPEARMAN, lambda each: Interval(each.spearman, each.spearman_low, each.spearman_high)),
                (Column(title="Note"), lambda each: each.reason or None),
                note=f"{self.confidence * 100:g} % intervals.",
            ),
            table_of(
                "Who moves most",
                () if self.reason else self.movers,
                *pair,
                NETWORK,
                Column(title="Rank in the first", key="from_rank", decimals=1),
                Column(title="Rank in the second", key="to_rank", decimals=1),
                Column(title="Pairs reversed", key="reversed_pairs", decimals=0),
                ARCH_ID,
                note="Rank 1 is the best.",
            ),
        )


def compare_studies(sides: Sequence[Side]) -> Comparison:
    """Compare two or more sides. Raises ValueError for fewer, or for names that are not unique."""
    names = tuple(side.name for side in sides)
    if len(sides) < 2 or len(set(names)) != len(names):
        raise ValueError(f"a comparison needs two or more sides of different names, got {list(names)}")
    tables = [_Medians(side) for side in sides]
    conditions = tuple(conditions_of([record for record in side.records if is_complete(record)]) for side in sides)
    common = [arch_id for arch_id in tables[0].values if all(arch_id in table.values for table in tables[1:])]
    empty = ", ".join(table.name for table in tables if not table.values)
    why_nothing = f"without a complete network: {empty}" if empty else "no network is in all of them"
    fronts = [table.on_front(common) for table in tables]
    shared = [
        SharedNetwork(
            arch_id=arch_id,
            label=tables[0].labels[arch_id],
            error_percent=tuple(table.values[arch_id][0] for table in tables),
            latency_ms=tuple(table.values[arch_id][1] for table in tables),
            records=tuple(table.records[arch_id] for table in tables),
            on_front=tuple(front[place] for front in fronts),
        )
        for place, arch_id in enumerate(common)
    ]
    correlations: list[RankCorrelation] = []
    movers: list[Mover] = []
    for objective in COMPARED:
        for one, other in combinations(tables, 2):
            both = [arch_id for arch_id in one.values if arch_id in other.values]
            correlations.append(_correlation(objective, one, other, both))
            movers.extend(_movers(objective, one, other, both))
    return Comparison(
        studies=tuple(dict.fromkeys(side.study or side.name for side in sides)),
        sides=names,
        networks=tuple(len(table.values) for table in tables),
        shared=tuple(sorted(shared, key=lambda each: (each.latency_ms[0], each.error_percent[0], each.arch_id))),
        correlations=tuple(correlations),
        movers=tuple(movers),
        differences=_differences(sides, conditions),
        conditions=conditions,
        confidence=CONFIDENCE,
        reason="" if common else why_nothing,
    )


def sides_by_device(side: Side) -> tuple[Side, ...]:
    """One side for each device fingerprint that the study's latencies have, in order of first use, and one for each
    further target that its networks were measured on; records without a latency belong to none. One fingerprint gives
    one side with the study's own name.

    On a further target a network's milliseconds are its ratio to the reference there times the reference's median over
    the study, so that they are corrected for drift as the study's own."""
    groups: dict[str, list[Record]] = {}
    further: dict[str, list[Record]] = {}
    for record in side.records:
        if record.latency is not None:
            groups.setdefault(record.latency.fingerprint, []).append(record)
            for other in record.latency.also:
                if other.device != record.latency.device:
                    further.setdefault(_where(other), []).append(replace(record, latency=other))
    if further and len(groups) == 1:  # the device's own name says enough
        groups = {_where(latency_of(records[0])): records for records in groups.values()}
    groups |= {name: _corrected(records) for name, records in further.items()}
    if len(groups) < 2:
        return (side,)
    return tuple(
        replace(side, name=f"{side.name} on {name}", study=side.name, records=tuple(records))
        for name, records in groups.items()
    )


def _where(latency: Latency) -> str:
    return latency.device if latency.by == latency.device else f"{latency.device} by {latency.by}"


def _corrected(records: Sequence[Record]) -> list[Record]:
    """Records whose latencies are corrected to the reference's median over them."""
    fixed_ms = float(np.median([latency_of(record).reference_p10_ms for record in records]))
    return [replace(record, latency=replace(latency_of(record), study_reference_ms=fixed_ms)) for record in records]


class _Medians:
    """The networks of one side: medians of both objectives, lower is better."""

    def __init__(self, side: Side) -> None:
        self.name, self.noise_floor = side.name, side.noise_floor
        rows: dict[str, list[Floats]] = {}
        self.labels: dict[str, str] = {}
        for record, pair in zip(*complete_values(side.records, ("error_percent", "latency_ms")), strict=True):
            rows.setdefault(record.arch_id, []).append(pair)
            if record.variant is not None or record.arch_id not in self.labels:
                self.labels[record.arch_id] = record.label
        self.records = {arch_id: len(pairs) for arch_id, pairs in rows.items()}
        self.values = {arch_id: tuple(np.median(pairs, axis=0).tolist()) for arch_id, pairs in rows.items()}

    def column(self, objective: str, arch_ids: Sequence[str]) -> Floats:
        place = 1 if objective == "latency_ms" else 0
        return np.array([self.values[arch_id][place] for arch_id in arch_ids], dtype=np.float64)

    def on_front(self, arch_ids: Sequence[str]) -> list[bool]:
        points = np.array([self.values[arch_id] for arch_id in arch_ids], dtype=np.float64).reshape(-1, 2)
        return [bool(each) for each in non_dominated(points, Noisy(1, self.noise_floor))]


def _correlation(objective: str, one: _Medians, other: _Medians, both: Sequence[str]) -> RankCorrelation:
    x, y = one.column(objective, both), other.column(objective, both)
    found = RankCorrelation(objective=objective, first=one.name, second=other.name, n=len(both))
    if found.n < 2:
        return replace(found, reason=f"a rank correlation needs 2 networks, these share {found.n}")
    for table, values in ((one, x), (other, y)):
        if np.ptp(values) == 0.0:
            return replace(found, reason=f"all values are equal in {table.name}")
    resamples = _RESAMPLES if found.n <= _LARGE else _LARGE_RESAMPLES
    resampled = resampled_correlations(x.tolist(), {other.name: y.tolist()}, resamples=resamples)[other.name]
    told = correlation_of(other.name, found.n, resampled, "", least=MIN_INTERVAL)
    found = replace(found, kendall=told.tau, spearman=told.spearman)
    if resampled.unanimous:
        return replace(found, told=_chance_of_all_alike(x) < 1.0 - CONFIDENCE)
    low, high = told.tau_low, told.tau_high
    return replace(
        found,
        told=low is not None and high is not None and not low <= 0.0 <= high,
        kendall_low=low,
        kendall_high=high,
        spearman_low=told.spearman_low,
        spearman_high=told.spearman_high,
    )


def _chance_of_all_alike(values: Floats) -> float:
    """How probably an order that has nothing to do with these values, but as many ties, agrees or disagrees in all."""
    _, ties = np.unique(values, return_counts=True)
    log_orders = math.lgamma(len(values) + 1) - sum(math.lgamma(count + 1) for count in ties.tolist())
    return 2.0 * math.exp(-log_orders)


def _movers(objective: str, one: _Medians, other: _Medians, both: Sequence[str]) -> list[Mover]:
    if len(both) < 2:
        return []
    from scipy.stats import rankdata  # slow to import, and those who only read a study may not need it

    x, y = one.column(objective, both), other.column(objective, both)
    noisy = objective == "latency_ms"
    first, second = (Noisy(0, side.noise_floor if noisy else NO_FLOOR) for side in (one, other))
    reversed_pairs = np.array(
        [
            np.count_nonzero((first.below(a, x) & second.below(y, b)) | (first.below(x, a) & second.below(b, y)))
            for a, b in zip(x, y, strict=True)
        ]
    )
    from_rank, to_rank = rankdata(x), rankdata(y)
    order = np.lexsort((np.arange(len(both)), -np.abs(to_rank - from_rank), -reversed_pairs))
    return [
        Mover(
            objective=objective,
            first=one.name,
            second=other.name,
            arch_id=both[place],
            label=one.labels[both[place]],
            from_rank=float(from_rank[place]),
            to_rank=float(to_rank[place]),
            reversed_pairs=int(reversed_pairs[place]),
        )
        for place in order[:MOVERS].tolist()
        if reversed_pairs[place] > 0
    ]


def _differences(sides: Sequence[Side], conditions: Sequence[RecordConditions]) -> tuple[Difference, ...]:
    found: list[Difference] = []
    for name in dict.fromkeys(name for side in sides for name in side.facts):
        values = tuple(side.facts.get(name, "") for side in sides)
        if len(set(values)) > 1:
            found.append(Difference(what=name, values=values, consequence="accuracies and latencies may differ by it"))
    for names, consequence in ((_LATENCY_FACTS, "latencies differ by it"), (_SCORE_FACTS, "accuracies differ by it")):
        for name in names:
            held = [getattr(each, name) for each in conditions]
            if len({each for each in held if each}) > 1:  # a side without complete records says nothing
                found.append(
                    Difference(
                        what=name.replace("_", " "),
                        values=tuple(", ".join(map(str, each)) for each in held),
                        consequence=consequence,
                    )
                )
    return tuple(found)


def _correlation_sentence(found: RankCorrelation) -> str:
    """How alike two sides rank the networks by one objective, with n and the interval."""
    what, between = COMPARED[found.objective], f"{found.first} and {found.second}"
    if found.kendall is None:
        return f"By {what} nothing can be told of {between}: {found.reason}."
    low, high = found.kendall_low, found.kendall_high
    interval = "" if low is None or high is None else f", {CONFIDENCE * 100:g} % interval {_tau(low)} to {_tau(high)}"
    numbers = f"Kendall's tau {_tau(found.kendall)}{interval}, n = {found.n:,}"
    if not found.told:
        few = " from so few networks" if found.n < MIN_INTERVAL else ""
        return f"By {what} no common order of {between} can be told{few} ({numbers})."
    words = next(words[found.kendall < 0.0] for least, *words in _WORDS if abs(found.kendall) >= least)
    return f"By {what} {between} rank the networks in {words} ({numbers})."


def _tau(value: float) -> str:
    return sided_text(value, decimals=2)
