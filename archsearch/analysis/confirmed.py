"""A front looked at again: each point's error and latency with intervals, and how probably it is on the front."""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.designs import Design, DesignPoint


@dataclass(frozen=True, kw_only=True)
class ConfirmedPoint:
    """One network, evaluated again with several seeds.

    Attributes:
        n: seeds that completed.
        error_percent, error_low, error_high: mean top-1 error on the validation split and its interval; NaN without a
            trial, ends None with fewer than two.
        latency_ms, latency_low, latency_high: geometric mean of the drift-corrected p10 and its interval.
        params, macs: exact; None without a trial.
        values: in the order of the objectives; empty without a trial.
        on_front: whether the means stand on the front of the confirmed points.
        probability_on_front: share of the draws in which it does; None where the spread is unknown (one seed).
        original_values: the searched study's, in the order of the objectives; None if it had no such record.
        was_on_front: whether it stood on the searched study's front; None if that is not known.
        sentence: all of it in one sentence.
    """

    point: DesignPoint
    n: int
    error_percent: float
    error_low: float | None
    error_high: float | None
    latency_ms: float
    latency_low: float | None
    latency_high: float | None
    params: int | None
    macs: int | None
    values: tuple[float, ...]
    on_front: bool
    probability_on_front: float | None
    original_values: tuple[float, ...] | None
    was_on_front: bool | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """A front with its uncertainty.

    Attributes:
        design: points and seeds.
        objectives: names, in the order of every `values`.
        points: in the design's order.
        confidence: of each interval alone: 0.95.
        noise_floor: latencies that differ by less (as a share) are ties in every draw, as on the study's front.
        draws: how many fronts the probabilities are shares of.
        method: how all this was found, for people.
        warnings: sentences to show beside it.
    """

    design: Design
    objectives: tuple[str, ...]
    points: tuple[ConfirmedPoint, ...]
    confidence: float
    noise_floor: float
    draws: int
    method: str
    warnings: tuple[str, ...]

    @property
    def kept(self) -> tuple[ConfirmedPoint, ...]:
        """The points of the searched front that are more probably on the front than not."""
        return tuple(
            each for each in self.points if each.was_on_front and (each.probability_on_front or 0.0) >= 0.5
        )
