"""How far apart two measurements of one network lie, learnt from networks that a study measured twice; and what tells
of a measurement that others disturbed unseen.

It stands on the ground floor because the store, the analysis and the search share it: whatever asks whether two
latencies differ asks `NoiseFloor.upper`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

COVERAGE = 0.95  # share of further pairs of measurements of one network that are to lie within the floor
LEAST_REPEATS = 3  # fewer tell nothing: one pair in two lies closer than a third of the usual
_ORDERED_FROM = 19  # the fewest n with (n + 1) x 0.95 <= n: from here on no distribution need be assumed
_STUDENT_COVERAGE = 0.968  # below: nominal, so that pairs with heavy tails are covered, too. See docs/latency.md
_LEAST_BY_SIZE = 20
_SIGNIFICANT = 0.01
_GROWTHS = np.linspace(0.0, 2.0, 41)
_QUIET = 0.25  # quantile of a study's, or a process's, measurements
_LEAST_QUIET = 4


class FloorSource(StrEnum):
    """Where a noise floor comes from."""

    NONE = "none"  # there is none: every difference counts
    GIVEN = "given"  # whoever asked for a front said so
    ASSUMED = "assumed"  # the protocol's tolerance, until enough networks were measured twice
    START = "start"  # older versions: the reference against itself, before anything was trained
    REPEATS = "repeats"


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """One network of a study, measured a second time, made ready anew, in another moment of the study.

    Attributes:
        arch_id: the network.
        first_ms, second_ms: `Latency.corrected_ms` of the trial, and of the second measurement (milliseconds).
        sound: whether neither was flagged: both converged, and in neither had the reference drifted or memory been
            crowded.
        measure_seconds: wall time of the second measurement.
    """

    arch_id: str
    first_ms: float
    second_ms: float
    sound: bool = True
    measure_seconds: float = 0.0

    @property
    def moved(self) -> float:
        """How far the second lies from the first, relative to it (0.02: 2% slower)."""
        return self.second_ms / self.first_ms - 1.0

    @property
    def distance(self) -> float:
        """|ln(second / first)|."""
        return abs(math.log(self.second_ms / self.first_ms))

    @property
    def mean_ms(self) -> float:
        """Geometric mean of the two (milliseconds)."""
        return math.sqrt(self.first_ms * self.second_ms)


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """From which difference on two latencies of a study differ; a smaller one is a tie.

    At a latency of v milliseconds the floor is the share

        of(v) = relative x (w / at_ms) ^ growth,    w = v, but at least from_ms and at most to_ms

    and a latency ties with all between itself and `upper(v)` = v x (1 + of(v)). The growth is never negative, so
    `upper` grows strictly, which is what domination needs (`analysis.pareto`). It is 0, and the floor one share for
    all, unless the repeats say that slow networks are noisier.

    Attributes:
        relative: the share at `at_ms` (0.02 is 2%); 0: no difference is a tie.
        growth: 1 means that the floor of a network twice as slow is twice as large.
        at_ms: where `relative` holds; of no meaning without growth.
        from_ms, to_ms: the smallest and the largest latency that the growth was seen at.
        source: where it comes from.
        repeats: those that the floor rests on, or that are too few for it.
        flagged: those of them that are not sound.
        coverage: the share of further pairs that it is to hold for; None where nothing is promised.
        widest: the difference (share) of the repeat that makes the floor largest.
        without_widest: what `relative` would be without that one, with the same growth; None with too few others.
    """

    relative: float = 0.0
    growth: float = 0.0
    at_ms: float = 1.0
    from_ms: float = 0.0
    to_ms: float = math.inf
    source: FloorSource = FloorSource.NONE
    repeats: int = 0
    flagged: int = 0
    coverage: float | None = None
    widest: float = 0.0
    without_widest: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.relative < math.inf:
            raise ValueError(f"a noise floor is a finite share of 0 or more, got {self.relative}")
        if not 0.0 <= self.growth < math.inf:
            raise ValueError(f"a noise floor does not fall with the latency, got the growth {self.growth}")

    @classmethod
    def given(cls, floor: NoiseFloor | float) -> NoiseFloor:
        """A floor as it is; of a number, one share for all latencies."""
        if isinstance(floor, NoiseFloor):
            return floor
        return cls(relative=floor, source=FloorSource.GIVEN) if floor else NO_FLOOR

    @property
    def ties(self) -> bool:
        """Whether there are ties at all."""
        return self.relative > 0.0

    def of(self, latency_ms: ArrayLike) -> NDArray[np.float64]:
        """The floor as a share of these latencies (milliseconds)."""
        values = np.asarray(latency_ms, dtype=np.float64)
        if self.growth == 0.0:
            return np.full_like(values, self.relative)
        return self.relative * np.power(np.clip(values, self.from_ms, self.to_ms) / self.at_ms, self.growth)

    def upper(self, latency_ms: ArrayLike) -> NDArray[np.float64]:
        """The largest latencies that tie with these (milliseconds); grows strictly."""
        values = np.asarray(latency_ms, dtype=np.float64)
        return np.asarray(values * (1.0 + self.of(values)), dtype=np.float64)


NO_FLOOR = NoiseFloor()


def noise_floor_of(repeats: Sequence[Repeat], *, before: NoiseFloor = NO_FLOOR) -> NoiseFloor:
    """The noise floor of a study: what a further measurement of one of its networks stays within in 95% of cases.

    With d = |ln(second / first)| of the n repeats, two further measurements of one network differ as these did.

    - n below `LEAST_REPEATS`: nothing is known, and `before` holds.
    - n below 19: the floor is exp(t x root mean d^2) - 1 with Student's quantile t of n degrees of freedom (the mean of
      ln(second / first) is 0 by construction). Measured differences have heavier tails than a normal distribution, for
      which a nominal 95% would cover less: the quantile is the two-sided one of 96.8%, which covers 93% to 97% in all
      the distributions that docs/latency.md lists.
    - from 19: the (n + 1) x 0.95-th smallest d, interpolated. Whatever the distribution, a further d stays below it
      with that probability, because its rank among n + 1 is uniform (Vovk, Gammerman and Shafer, "Algorithmic Learning
      in a Random World", 2005, section 2.2; Wilks 1941).
    - from 20, and where Spearman's correlation of d with the latency is positive with p below 0.01, d grows with a
      power of the latency: that of 0 to 2 under which the d, divided by it, are likeliest as exponential variables of
      one scale. The rule above is then for the divided ones.

    The probability is over the repeats as well as over the further pair: with few repeats a floor may be far off, and
    is on average right.

    Args:
        repeats: of one study, in any order. Those that are not sound are left out where enough are sound; else all
            count, because a machine that is never quiet is noisier than what is assumed.
        before: what holds while there are too few.
    """
    sound = [repeat for repeat in repeats if repeat.sound]
    used = sound if len(sound) >= LEAST_REPEATS else list(repeats)
    if len(used) < LEAST_REPEATS:
        return NoiseFloor(relative=before.relative, source=before.source, repeats=len(used), coverage=before.coverage)
    distances = np.array([repeat.distance for repeat in used])
    sizes = np.array([repeat.mean_ms for repeat in used])
    growth, at_ms = _growth(distances, sizes), math.exp(float(np.log(sizes).mean()))
    scaled = distances / (sizes / at_ms) ** growth
    widest = int(scaled.argmax())
    return NoiseFloor(
        relative=math.expm1(_bound(scaled)),
        growth=growth,
        at_ms=at_ms,
        from_ms=float(sizes.min()),
        to_ms=float(sizes.max()),
        source=FloorSource.REPEATS,
        repeats=len(used),
        flagged=sum(not repeat.sound for repeat in used),
        coverage=COVERAGE,
        widest=math.expm1(float(distances[widest])),
        without_widest=math.expm1(_bound(np.delete(scaled, widest))) if len(used) > LEAST_REPEATS else None,
    )


def ordered_bound(values: NDArray[np.float64]) -> float:
    """What a further value of the same distribution stays below with 95%: the (n + 1) x 0.95-th smallest, interpolated.

    Of 19 values or more; the source stands at `noise_floor_of`.
    """
    count = len(values)
    return float(np.interp((count + 1) * COVERAGE, np.arange(1, count + 1), np.sort(values)))


def _bound(distances: NDArray[np.float64]) -> float:
    count = len(distances)
    if count < _ORDERED_FROM:
        from scipy.special import stdtrit  # slow to import, and those who only read a study may not need it

        quantile = float(stdtrit(count, (1.0 + _STUDENT_COVERAGE) / 2.0))
        return quantile * math.sqrt(float(np.mean(distances**2)))
    return ordered_bound(distances)


def _growth(distances: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    """How fast the distances grow with the latency, as a power; 0 if that is not clear."""
    if len(sizes) < _LEAST_BY_SIZE or np.ptp(sizes) == 0.0 or not distances.any():
        return 0.0
    from scipy.stats import spearmanr

    found = spearmanr(distances, sizes, alternative="greater")
    if not found.pvalue < _SIGNIFICANT:
        return 0.0
    logs = np.log(sizes)
    losses = [
        math.log(float(np.mean(distances / np.exp(power * logs)))) + power * float(logs.mean()) for power in _GROWTHS
    ]
    return float(_GROWTHS[int(np.argmin(losses))])


def quiet_memory_ms(measured_ms: Sequence[float]) -> float | None:
    """What the memory witness takes while nobody else uses the memory, told from some measurements (milliseconds).

    Their lower quartile, because others only ever add time; None with fewer than four of them.
    """
    return float(np.quantile(measured_ms, _QUIET)) if len(measured_ms) >= _LEAST_QUIET else None


def is_crowded(memory_ms: float | None, quiet_ms: float | None, tolerance: float | None) -> bool:
    """Whether the memory witness beside a measurement took longer than in quiet ones by more than the tolerance."""
    if memory_ms is None or quiet_ms is None or tolerance is None:
        return False
    return memory_ms > (1.0 + tolerance) * quiet_ms
