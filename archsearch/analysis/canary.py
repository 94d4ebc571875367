"""What the reference network, run beside every other one, tells of the measurements of a study.

It is the study's canary: its own time should be the same in every trial. Where it is not, the device was in another
state than when the study began.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from archsearch.noise import Repeat, is_crowded, quiet_memory_ms
from archsearch.records import Latency, Record


@dataclass(frozen=True, kw_only=True)
class Canary:
    """The reference over a study, and what the measurements cost.

    Attributes:
        reference: names of the reference networks, sorted; one in every study of one protocol.
        networks: networks that were measured; one that several trials share counts once.
        drift_min, drift_median, drift_max: of the reference's p10 against the one that the study fixed, as a share
            (0.1: 10% slower than at its start); None if no latency knows the study's.
        drift_tolerance: from which drift on the study flags a measurement; None if it has no such rule.
        drifted, unconverged, crowded: the records whose latency is flagged for the one and for the other: crowded where
            the memory witness took longer than in the study's quiet measurements by more than its tolerance.
        measured_again: networks that were measured more than once, because they were flagged.
        repeats: the networks that the study measured a second time, in another moment: how far the same network moves.
        latency_seconds: time that workers spent on measuring: making networks ready, waiting for the device, runs, and
            pauses that were slept through, not those in which they trained; and repeats.
        trial_seconds: wall time of all trials.
    """

    reference: tuple[str, ...]
    networks: int
    drift_min: float | None
    drift_median: float | None
    drift_max: float | None
    drift_tolerance: float | None
    drifted: tuple[Record, ...]
    unconverged: tuple[Record, ...]
    crowded: tuple[Record, ...]
    measured_again: int
    repeats: tuple[Repeat, ...]
    latency_seconds: float
    trial_seconds: float

    @property
    def flagged(self) -> frozenset[str]:
        """The networks (`Record.arch_id`) whose latency is flagged for any reason."""
        return frozenset(record.arch_id for record in (*self.drifted, *self.unconverged, *self.crowded))

    @property
    def moved_median(self) -> float:
        """Median distance of a network's two measurements, as a share (0.02 is 2%); NaN without repeats."""
        return math.expm1(statistics.median(self._distances())) if self.repeats else math.nan

    @property
    def moved_max(self) -> float:
        """Largest distance of a network's two measurements, as a share; NaN without repeats."""
        return math.expm1(max(self._distances())) if self.repeats else math.nan

    def _distances(self) -> list[float]:
        return [repeat.distance for repeat in self.repeats]

    @property
    def latency_share(self) -> float | None:
        """The share of the trials' wall time that went into measuring; None if nothing has ended."""
        return self.latency_seconds / self.trial_seconds if self.trial_seconds > 0 else None


def has_drifted(latency: Latency, drift_tolerance: float | None) -> bool:
    """Whether the reference's p10 was further from the study's than the tolerance."""
    return drift_tolerance is not None and latency.drift is not None and abs(latency.drift) > drift_tolerance


def quiet_by_device(latencies: Iterable[Latency]) -> dict[str, float | None]:
    """What the memory witness takes in quiet measurements (milliseconds), by device fingerprint."""
    found: dict[str, list[float]] = {}
    for latency in latencies:
        if latency.memory_ms is not None:
            found.setdefault(latency.fingerprint, []).append(latency.memory_ms)
    return {fingerprint: quiet_memory_ms(measured) for fingerprint, measured in found.items()}


def canary_of(
    records: Sequence[Record],
    *,
    drift_tolerance: float | None,
    memory_tolerance: float | None = None,
    repeats: Sequence[Repeat] = (),
    floor_seconds: float = 0.0,
) -> Canary:
    """The canary of a study.

    Args:
        records: of the study, of any status.
        drift_tolerance: the study's own, as a share; None if it has none.
        memory_tolerance: likewise, of the memory witness.
        repeats: of the study.
        floor_seconds: what the noise floor took; it is part of a trial's time, but of no trial's latency.
    """
    first: dict[str, tuple[Record, Latency]] = {}  # equal networks share one measurement
    for record in records:
        if record.latency is not None:
            first.setdefault(record.arch_id, (record, record.latency))
    drifts = [latency.drift for _, latency in first.values() if latency.drift is not None]
    quiet = quiet_by_device(latency for _, latency in first.values())
    measured = [latency.measure_seconds for _, latency in first.values()]
    return Canary(
        reference=tuple(sorted({latency.reference for _, latency in first.values()})),
        networks=len(first),
        drift_min=min(drifts, default=None),
        drift_median=statistics.median(drifts) if drifts else None,
        drift_max=max(drifts, default=None),
        drift_tolerance=drift_tolerance,
        drifted=tuple(record for record, latency in first.values() if has_drifted(latency, drift_tolerance)),
        unconverged=tuple(record for record, latency in first.values() if not latency.converged),
        crowded=tuple(
            record
            for record, latency in first.values()
            if is_crowded(latency.memory_ms, quiet.get(latency.fingerprint), memory_tolerance)
        ),
        repeats=tuple(repeats),
        measured_again=sum(latency.attempts > 1 for _, latency in first.values()),
        latency_seconds=sum(measured) + floor_seconds,
        trial_seconds=sum(record.seconds or 0.0 for record in records),
    )
