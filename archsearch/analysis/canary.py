"""What the reference network, run beside every other one, tells of the measurements of a study.

It is the study's canary: its own time should be the same in every trial. Where it is not, the device was in another
state than when the study began.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

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
        drifted, unconverged: the records whose latency is flagged for the one and for the other.
        measured_again: networks that were measured more than once, because of either.
        latency_seconds: time that workers spent on measuring: making networks ready, waiting for the device, runs, and
            pauses that were slept through, not those in which they trained; and the noise floor.
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
    measured_again: int
    latency_seconds: float
    trial_seconds: float

    @property
    def flagged(self) -> int:
        """Networks whose latency is flagged for any reason."""
        return len({record.arch_id for record in (*self.drifted, *self.unconverged)})

    @property
    def latency_share(self) -> float | None:
        """The share of the trials' wall time that went into measuring; None if nothing has ended."""
        return self.latency_seconds / self.trial_seconds if self.trial_seconds > 0 else None


def has_drifted(latency: Latency, drift_tolerance: float | None) -> bool:
    """Whether the reference's p10 was further from the study's than the tolerance."""
    return drift_tolerance is not None and latency.drift is not None and abs(latency.drift) > drift_tolerance


def canary_of(records: Sequence[Record], *, drift_tolerance: float | None, start_seconds: float = 0.0) -> Canary:
    """The canary of a study.

    Args:
        records: of the study, of any status.
        drift_tolerance: the study's own, as a share; None if it has none.
        start_seconds: what the noise floor took; it is part of a trial's time, but of no trial's latency.
    """
    first: dict[str, tuple[Record, Latency]] = {}  # equal networks share one measurement
    for record in records:
        if record.latency is not None:
            first.setdefault(record.arch_id, (record, record.latency))
    drifts = [latency.drift for _, latency in first.values() if latency.drift is not None]
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
        measured_again=sum(latency.attempts > 1 for _, latency in first.values()),
        latency_seconds=sum(measured) + start_seconds,
        trial_seconds=sum(record.seconds or 0.0 for record in records),
    )
