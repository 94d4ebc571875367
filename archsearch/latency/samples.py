"""The raw runs of one measurement, burst by burst, and the numbers that are computed from them.

How far a ratio of two p10s could have come out otherwise: a block bootstrap over bursts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from statistics import median

import numpy as np

from archsearch.errors import MeasurementError

RESAMPLES = 1000
CONFIDENCE = 0.95
_MOST_AT_ONCE = 2**22  # resamples times runs: a measurement of an hour has a hundred thousand runs


def ratio_interval(
    candidate: Sequence[Sequence[int]],
    reference: Sequence[Sequence[int]],
    *,
    probability: float = 0.1,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile interval of the ratio of two quantiles, from a block bootstrap.

    The runs of one burst follow each other within milliseconds and share their interference, so they are not drawn one
    by one: a resample draws whole bursts with replacement, as many as there are, and takes the candidate's and the
    reference's burst of one moment together, because what disturbs one disturbs the other. Bursts of one visit may
    share an episode too; the interval then is too narrow.

    Sources: blocks of dependent observations, Kuensch, "The jackknife and the bootstrap for general stationary
    observations", Annals of Statistics 17 (1989); percentile interval, Efron and Tibshirani, "An Introduction to the
    Bootstrap" (1993), chapter 13.

    Args:
        candidate, reference: bursts in the order of time, each a list of runs, in one unit; equally many bursts.
        probability: of the quantile; numpy's linear interpolation, as in the ratio itself.
        resamples: how many are drawn.
        confidence: share of the resamples that lie within the interval.
        seed: of the drawing; the same runs always have the same interval.

    Raises:
        ValueError: the two have different numbers of bursts, or none.
    """
    if len(candidate) != len(reference) or not candidate:
        raise ValueError(f"bursts must come in pairs; got {len(candidate)} and {len(reference)}")
    bursts, generator = len(candidate), np.random.default_rng(seed)
    ratios: list[np.ndarray] = []
    at_once = max(1, _MOST_AT_ONCE // max(1, sum(map(len, candidate))))
    for made in range(0, resamples, at_once):
        size = min(at_once, resamples - made)
        drawn = generator.multinomial(bursts, [1.0 / bursts] * bursts, size=size).astype(np.int32)
        ratios.append(_quantiles(candidate, drawn, probability) / _quantiles(reference, drawn, probability))
    low, high = np.quantile(np.concatenate(ratios), [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return float(low), float(high)


def _quantiles(bursts: Sequence[Sequence[int]], drawn: np.ndarray, probability: float) -> np.ndarray:
    """The quantile of each resample (R,), where `drawn` (R, bursts) says how often it has each burst."""
    runs = np.concatenate([np.asarray(burst, dtype=np.float64) for burst in bursts])
    owner = np.repeat(np.arange(len(bursts)), [len(burst) for burst in bursts])
    order = np.argsort(runs, kind="stable")
    reached = np.cumsum(drawn[:, owner[order]], axis=1, dtype=np.int32)  # runs of the resample up to each run, by size
    last = reached[:, -1:] - 1
    place = probability * last
    below = np.floor(place)
    values = [runs[order[np.argmax(reached > rank, axis=1)]] for rank in (below, np.minimum(below + 1, last))]
    weight = (place - below)[:, 0]
    quantiles: np.ndarray = values[0] + weight * (values[1] - values[0])
    return quantiles


NS_PER_MS = 1e6


@dataclass(frozen=True)
class Quantiles:
    """Three points of a latency distribution (milliseconds a run); numpy's linear interpolation."""

    p10_ms: float
    median_ms: float
    p90_ms: float


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What one visit gave.

    Attributes:
        bursts_ns: by burst, by network: its timed runs (nanoseconds).
        runs: timed runs of a burst, of later visits too.
        warmup_runs: of each network, in the first visit.
        host_over_device: of every timed run of a device with a clock of its own, the host's time over the device's.
        copies_ms: what the memory witness's copies took (milliseconds); empty without one.
        held_ns, waited_ns: how long the device was held and waited for (nanoseconds).
    """

    bursts_ns: list[list[list[int]]]
    runs: int
    warmup_runs: list[int]
    host_over_device: list[float]
    copies_ms: list[float]
    held_ns: float
    waited_ns: float


@dataclass
class Samples:
    """Every timed run of a group of networks that were measured together; the last network is the reference.

    Attributes:
        bursts_ns: for each network, its bursts in the order of time, each a list of runs (nanoseconds).
        visit_of_burst: number of the visit that each burst was in; 0 is the first.
        visits: visits that the bursts were divided into.
        held_seconds: time for which the device was held, warm-up included.
        waited_seconds: time spent waiting for the device.
        total_seconds: what the measurement took of its process's time: the visits, waiting, and sleeping between them.
        converged: whether the planned bursts were done and the halves of all networks agreed before the budget ended.
        warmup_runs: runs of each network's warm-up.
        host_over_device: of every timed run of a device with a clock of its own, the host's time over the device's.
        copies_ms: what the memory witness's copies took (milliseconds); empty without one.
    """

    bursts_ns: list[list[list[int]]]
    visit_of_burst: list[int] = field(default_factory=list)
    visits: int = 0
    held_seconds: float = 0.0
    waited_seconds: float = 0.0
    total_seconds: float = 0.0
    converged: bool = False
    warmup_runs: list[int] = field(default_factory=list)
    host_over_device: list[float] = field(default_factory=list)
    copies_ms: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, networks: int) -> Samples:
        """No runs yet, of so many networks."""
        return cls(bursts_ns=[[] for _ in range(networks)])

    def add(self, visit: Visit) -> None:
        """Append the runs of one more visit."""
        for burst in visit.bursts_ns:
            self.visit_of_burst.append(self.visits)
            for own, runs in zip(self.bursts_ns, burst, strict=True):
                own.append(runs)
        self.visits += 1
        self.warmup_runs += visit.warmup_runs
        self.host_over_device += visit.host_over_device
        self.copies_ms += visit.copies_ms
        self.held_seconds += visit.held_ns / 1e9
        self.waited_seconds += visit.waited_ns / 1e9

    @property
    def bursts(self) -> int:
        """Bursts that every network has."""
        return min(len(bursts) for bursts in self.bursts_ns)

    @property
    def memory_ms(self) -> float | None:
        """p10 of the memory witness's copies (milliseconds): what p10 of the networks may have been slowed by."""
        return float(np.quantile(self.copies_ms, 0.1)) if self.copies_ms else None

    def runs_ns(self, network: int) -> list[int]:
        """All runs of a network in the order of time (nanoseconds)."""
        return list(chain.from_iterable(self.bursts_ns[network]))

    def quantiles(self, network: int) -> Quantiles:
        """p10, median and p90 over all runs of a network. Raises MeasurementError if there are none."""
        p10, median, p90 = (_quantiles_ns(self.bursts_ns[network], (0.1, 0.5, 0.9)) / NS_PER_MS).tolist()
        return Quantiles(p10_ms=p10, median_ms=median, p90_ms=p90)

    def ratio(self, network: int, bursts: Sequence[int] | None = None) -> float:
        """p10 of a network over p10 of the reference in the same bursts (their numbers; None: all)."""
        chosen = range(self.bursts) if bursts is None else bursts
        own, reference = (
            _quantiles_ns([self.bursts_ns[index][burst] for burst in chosen], (0.1,))[0] for index in (network, -1)
        )
        return float(own / reference)

    def ratio_interval(self, network: int) -> tuple[float, float]:
        """The 95% interval of `ratio` over all bursts, by the function `ratio_interval`."""
        return ratio_interval(*(self.bursts_ns[index][: self.bursts] for index in (network, -1)))

    def clocks(self) -> dict[str, str]:
        """How the host's clock and the device's own agreed, for `records.Latency.state`; empty with one clock."""
        return {"host_over_device": f"{median(self.host_over_device):.3f}"} if self.host_over_device else {}

    def half_split_difference(self, network: int) -> float:
        """|ratio in one half of the bursts / ratio in the other half - 1|, the larger of two ways to halve.

        The earlier and the later half tell drift; the bursts of even and of odd visits tell whether episodes of
        interference weigh. One way alone too often agrees by chance, the more so as it is asked after every visit.
        Raises MeasurementError with fewer than two bursts.
        """
        count = self.bursts
        if count < 2:
            raise MeasurementError(f"two halves need at least two bursts of each network; got {count}")
        splits = [(list(range(count // 2)), list(range(count // 2, count)))]
        odd = [burst for burst in range(count) if self.visit_of_burst[burst] % 2]
        if odd:
            splits.append(([burst for burst in range(count) if not self.visit_of_burst[burst] % 2], odd))
        return max(abs(self.ratio(network, one) / self.ratio(network, other) - 1.0) for one, other in splits)

    def halves_agree(self, tolerance: float) -> bool:
        """Whether the halves of every network but the reference differ by no more than `tolerance`."""
        return all(self.half_split_difference(network) <= tolerance for network in range(len(self.bursts_ns) - 1))


def _quantiles_ns(bursts: list[list[int]], probabilities: tuple[float, ...]) -> np.ndarray:
    runs = list(chain.from_iterable(bursts))
    if not runs:
        raise MeasurementError("no run was timed", hint="a latency is measured or missing, never 0")
    return np.quantile(np.asarray(runs, dtype=np.float64), probabilities)
