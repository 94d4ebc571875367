"""The noise floor: how much two measurements of one network differ, so that smaller differences are ties."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean, stdev
from typing import Any

from archsearch.errors import MeasurementError

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """The reference measured against itself, each round made ready anew and measured by a study's own protocol.

    Attributes:
        relative: two networks whose `corrected_ms` differ by less than this, relative to the smaller one, are tied.
            0.02 is 2%. See `relative_floor`.
        ratios: the ratio to itself that each round gave; 1 without noise.
        rounds: how many there were.
        converged_rounds: how many of them converged.
        contended: whether another process used the device in any round.
        reference: name of the network.
        reference_p10_ms: median over the rounds of its p10 (milliseconds a batch).
        device, backend, batch, threads, precision, input_size, fingerprint: the conditions, as of a latency.
        measure_seconds: wall time of all rounds.
    """

    relative: float
    ratios: tuple[float, ...]
    rounds: int
    converged_rounds: int
    contended: bool
    reference: str
    reference_p10_ms: float
    device: str
    backend: str
    batch: int
    threads: int
    precision: str = "fp32"
    input_size: int
    fingerprint: str
    measure_seconds: float

    @property
    def offset(self) -> float:
        """How far the mean of the ratios is from 1 (0.03 is 3%): what the two copies differ by in every round."""
        return math.expm1(fmean(math.log(ratio) for ratio in self.ratios))

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> NoiseFloor:
        """The inverse of `dataclasses.asdict`, JSON in between or not; keys of other versions are left out."""
        known = {entry.name for entry in fields(cls)}
        kept = {name: value for name, value in facts.items() if name in known}
        return cls(**kept | {"ratios": tuple(facts["ratios"])})


def relative_floor(ratios: Sequence[float], *, confidence: float = CONFIDENCE) -> float:
    """The difference of two networks that noise alone exceeds in one case of twenty (0.02 is 2%).

    The logarithms of the ratios of a network to itself are taken as normal. Their mean need not be 0: a copy that was
    made ready first may be slower than its twin throughout, as the reference is then for all networks of a study, which
    moves none against another. With n rounds and s their standard deviation, the difference of two further ones lies
    within sqrt(2) t s with probability 95%, t Student's two-sided quantile with n - 1 degrees of freedom (Hahn and
    Meeker, "Statistical Intervals", 1991, chapter 4):

        floor = exp(sqrt(2) t(n - 1) s) - 1

    Raises:
        MeasurementError: fewer than two ratios, or one that is not positive and finite.
    """
    from scipy.special import stdtrit  # slow to import, and those who only read a floor need it not

    if len(ratios) < 2:
        raise MeasurementError(f"a noise floor needs at least two rounds; got {len(ratios)}")
    if not all(math.isfinite(ratio) and ratio > 0 for ratio in ratios):
        raise MeasurementError(f"a noise floor needs positive, finite ratios; got {', '.join(map(str, ratios))}")
    degrees = len(ratios) - 1
    quantile = float(stdtrit(degrees, (1.0 + confidence) / 2.0))
    return math.expm1(math.sqrt(2.0) * quantile * stdev(math.log(ratio) for ratio in ratios))
