"""The same networks in several studies or on several devices: do they rank alike, and who moves?

Networks are the same if their arch_ids are. A rank correlation asks only for the order, so sides with other epochs,
datasets or devices can be held against each other; the values themselves cannot, and what differs is listed.

The correlations and their intervals are those of `rank_bootstrap`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from archsearch.analysis.compared import Comparison, Difference, Mover, RankCorrelation, SharedNetwork, Side
from archsearch.analysis.conditions import Conditions, conditions_of
from archsearch.analysis.objectives import OBJECTIVES, is_complete
from archsearch.analysis.pareto import Noisy, non_dominated
from archsearch.analysis.rank_bootstrap import correlation_of, resampled_correlations
from archsearch.noise import NO_FLOOR
from archsearch.records import Record

Floats = NDArray[np.float64]

COMPARED = ("latency_ms", "error_percent")
MIN_INTERVAL = 5  # networks below which a correlation gets no interval
MOVERS = 10
_RESAMPLES = 1000
_LARGE, _LARGE_RESAMPLES = 2000, 100
# What a difference between two sides makes of their values; those of the latency, then those of the score.
_LATENCY_FACTS = ("fingerprint", "backend", "batch", "threads", "precision", "input_size", "reference")
_SCORE_FACTS = ("epochs", "split", "train_images", "eval_images", "protocol", "seed")


def compare_studies(sides: Sequence[Side], *, confidence: float = 0.95) -> Comparison:
    """Compare two or more sides. Raises ValueError for fewer, or for names that are not unique."""
    names = tuple(side.name for side in sides)
    if len(sides) < 2 or len(set(names)) != len(names):
        raise ValueError(f"a comparison needs two or more sides of different names, got {list(names)}")
    tables = [_Table(side) for side in sides]
    conditions = tuple(conditions_of([record for record in side.records if is_complete(record)]) for side in sides)
    common = [arch_id for arch_id in tables[0].values if all(arch_id in table.values for table in tables[1:])]
    correlations: list[RankCorrelation] = []
    movers: list[Mover] = []
    for objective in COMPARED:
        for one, other in combinations(tables, 2):
            both = [arch_id for arch_id in one.values if arch_id in other.values]
            correlations.append(_correlation(objective, one, other, both, confidence))
            movers.extend(_movers(objective, one, other, both))
    return Comparison(
        sides=names,
        networks=tuple(len(table.values) for table in tables),
        shared=_shared(tables, common),
        correlations=tuple(correlations),
        movers=tuple(movers),
        differences=_differences(sides, conditions),
        conditions=conditions,
        reason=_why_nothing(tables, common),
    )


def sides_by_device(side: Side) -> tuple[Side, ...]:
    """One side for each device fingerprint that the study's latencies have, in order of first use; records without a
    latency belong to none. One fingerprint gives one side with the study's own name."""
    groups: dict[str, list[Record]] = {}
    for record in side.records:
        if record.latency is not None:
            groups.setdefault(record.latency.fingerprint, []).append(record)
    if len(groups) < 2:
        return (side,)
    return tuple(
        Side(
            name=f"{side.name} on {fingerprint}",
            records=tuple(records),
            noise_floor=side.noise_floor,
            facts=side.facts,
        )
        for fingerprint, records in groups.items()
    )


class _Table:
    """The networks of one side: medians of both objectives, lower is better."""

    def __init__(self, side: Side) -> None:
        self.name, self.noise_floor = side.name, side.noise_floor
        rows: dict[str, list[tuple[float, float]]] = {}
        self.labels: dict[str, str] = {}
        latency_ms = OBJECTIVES["latency_ms"].extract
        for record in side.records:
            if not is_complete(record):
                continue
            pair = (record.error_percent, latency_ms(record))
            if all(map(math.isfinite, pair)):
                rows.setdefault(record.arch_id, []).append(pair)
                if record.variant is not None or record.arch_id not in self.labels:
                    self.labels[record.arch_id] = record.label
        self.records = {arch_id: len(pairs) for arch_id, pairs in rows.items()}
        self.values = {
            arch_id: (float(np.median([error for error, _ in pairs])), float(np.median([ms for _, ms in pairs])))
            for arch_id, pairs in rows.items()
        }

    def column(self, objective: str, arch_ids: Sequence[str]) -> Floats:
        place = 1 if objective == "latency_ms" else 0
        return np.array([self.values[arch_id][place] for arch_id in arch_ids], dtype=np.float64)

    def on_front(self, arch_ids: Sequence[str]) -> list[bool]:
        points = np.array([self.values[arch_id] for arch_id in arch_ids], dtype=np.float64).reshape(-1, 2)
        return [bool(each) for each in non_dominated(points, Noisy(1, self.noise_floor))]


def _shared(tables: Sequence[_Table], common: Sequence[str]) -> tuple[SharedNetwork, ...]:
    fronts = [table.on_front(common) for table in tables]
    found = [
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
    return tuple(sorted(found, key=lambda network: (network.latency_ms[0], network.error_percent[0], network.arch_id)))


def _correlation(objective: str, one: _Table, other: _Table, both: Sequence[str], confidence: float) -> RankCorrelation:
    x, y = one.column(objective, both), other.column(objective, both)
    n = len(both)
    named = {"objective": objective, "first": one.name, "second": other.name, "n": n}
    if n < 2:
        return RankCorrelation(**named, reason=f"a rank correlation needs 2 networks, these share {n}")  # type: ignore[arg-type]
    for table, values in ((one, x), (other, y)):
        if np.ptp(values) == 0.0:
            return RankCorrelation(**named, reason=f"all values are equal in {table.name}")  # type: ignore[arg-type]
    found = resampled_correlations(
        x.tolist(), {other.name: y.tolist()}, resamples=_RESAMPLES if n <= _LARGE else _LARGE_RESAMPLES
    )[other.name]
    told = correlation_of(other.name, n, found, "", confidence)
    # all pairs alike: every resample says the same, so their spread is not seen
    seen = n >= MIN_INTERVAL and told.tau is not None and abs(told.tau) < 1.0 - 1e-12
    return RankCorrelation(
        **named,  # type: ignore[arg-type]
        kendall=told.tau,
        kendall_low=told.tau_low if seen else None,
        kendall_high=told.tau_high if seen else None,
        spearman=told.spearman,
        spearman_low=told.spearman_low if seen else None,
        spearman_high=told.spearman_high if seen else None,
    )


def _movers(objective: str, one: _Table, other: _Table, both: Sequence[str]) -> list[Mover]:
    if len(both) < 2:
        return []
    x, y = one.column(objective, both), other.column(objective, both)
    noisy = objective == "latency_ms"
    first, second = (Noisy(0, side.noise_floor if noisy else NO_FLOOR) for side in (one, other))
    reversed_pairs = np.array(
        [
            np.count_nonzero(
                (first.below(a, x) & second.below(y, b)) | (first.below(x, a) & second.below(b, y)),
            )
            for a, b in zip(x, y, strict=True)
        ]
    )
    from_rank, to_rank = stats.rankdata(x), stats.rankdata(y)
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


def _differences(sides: Sequence[Side], conditions: Sequence[Conditions]) -> tuple[Difference, ...]:
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


def _why_nothing(tables: Sequence[_Table], common: Sequence[str]) -> str:
    if common:
        return ""
    empty = [table.name for table in tables if not table.values]
    if empty:
        return f"without a complete network: {', '.join(empty)}"
    return "no network is in all of them"
