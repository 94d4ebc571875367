"""What the reference network, run beside every other one, tells of the measurements of a study.

It is the study's canary: its own time should be the same in every trial. Where it is not, the device was in another
state than when the study began.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.analysis.means import TOLD_ELSEWHERE, cut_off_last
from archsearch.analysis.objectives import latency_of
from archsearch.noise import Repeat, is_crowded, quiet_memory_ms
from archsearch.records import Latency, Record
from archsearch.table import ARCH_ID, NETWORK, TRIAL, Cell, Column, InNotebooks, Table, json_as, table_of
from archsearch.text import capitalised, number_text, percent_text


class CanaryJson(TypedDict):
    """What the reference tells of the latencies: shares are fractions (0.1 is 10 %)."""

    reference: list[str]
    networks: int
    drift_min: float | None
    drift_median: float | None
    drift_max: float | None
    drift_tolerance: float | None
    drifted_trials: list[int]
    unconverged_trials: list[int]
    crowded_trials: list[int]
    measured_again: int
    repeats: list[dict[str, Any]]
    latency_seconds: float
    trial_seconds: float
    latency_share: float | None


@dataclass(frozen=True, kw_only=True)
class Canary(InNotebooks):
    """The latencies of a study, what the reference tells of them, and what they cost: an `archsearch.table.Result`.

    Attributes:
        study: its name; "" without a record.
        measured: a record of each network that was measured, by trial; one that several trials share stands once.
        reference: names of the reference networks, sorted; one in every study of one protocol.
        drift_min, drift_median, drift_max: of the reference's p10 against the one that the study fixed, as a share
            (0.1: 10% slower than at its start); None if no latency knows the study's.
        drift_tolerance: from which drift on the study flags a measurement; None if it has no such rule.
        drifted, unconverged, crowded: the records whose latency is flagged for the one and for the other: crowded where
            the memory witness took longer than in the study's quiet measurements by more than its tolerance.
        measured_again: networks that were measured more than once, because they were flagged.
        repeats: the networks that the study measured a second time, in another moment: how far the same network moves.
        latency_seconds: time that workers spent on measuring: making networks ready, waiting for the device, runs, and
            pauses that were slept through, not those in which they trained; and repeats.
        trial_seconds: wall time of all trials that ended. Whichever goes on with a network that was cut off has its
            measurement, too.
    """

    study: str
    measured: tuple[Record, ...]
    reference: tuple[str, ...]
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
    warnings: ClassVar[tuple[str, ...]] = ()  # what may be wrong is said of each network

    @property
    def title(self) -> str:
        """What is seen, of which study."""
        return f"Latencies as measured: study {self.study}"

    @property
    def empty(self) -> str | None:
        """Why there is nothing to show."""
        return None if self.finite else "No latency to show: none was measured"

    @property
    def finite(self) -> tuple[Record, ...]:
        """Those with a latency that can be drawn."""
        return tuple(
            record
            for record in self.measured
            if (found := latency_of(record)) and math.isfinite(found.p10_ms + found.median_ms + found.p90_ms)
        )

    @property
    def subtitle(self) -> tuple[str, ...]:
        """On what they were measured."""
        found = [latency_of(record) for record in self.measured]
        devices = len({latency.fingerprint for latency in found})
        parts = [
            " / ".join(sorted({getattr(latency, name) for latency in found}))
            for name in ("device", "backend", "precision")
        ]
        parts += [f"{devices} fingerprints of devices: not comparable with each other"] if devices > 1 else []
        line = " · ".join(filter(None, parts))
        return (line,) if line else ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the reference tells."""
        return (self.sentence,) if self.sentence else ()

    @property
    def method(self) -> str:
        """What the reference is for."""
        return (
            f"The reference {' and '.join(self.reference)} is measured beside every network. Drift: its p10 against "
            "the one at the study's start; the latencies on the front are corrected for it."
            if self.measured
            else ""
        )

    @property
    def networks(self) -> int:
        """How many were measured."""
        return len(self.measured)

    @property
    def start_ms(self) -> float | None:
        """The reference's p10 that the study fixed at its start; None if it has none, or several."""
        starts = {latency_of(record).study_reference_ms for record in self.measured}
        return next(iter(starts)) if len(starts) == 1 else None

    def doubts(self, record: Record) -> tuple[str, ...]:
        """Why a network's latency may be wrong; empty if nothing speaks against it."""
        latency = latency_of(record)
        found = [] if latency.converged else ["not converged"]
        if has_drifted(latency, self.drift_tolerance) and self.drift_tolerance is not None:
            found.append(f"drifted by more than {percent_text(100.0 * self.drift_tolerance)}")
        if record.arch_id in self._crowded:
            found.append("the memory was crowded")
        return tuple(found)

    @cached_property
    def _crowded(self) -> frozenset[str]:
        return frozenset(record.arch_id for record in self.crowded)

    @property
    def flagged(self) -> frozenset[str]:
        """The networks (`Record.arch_id`) whose latency is flagged for any reason."""
        return frozenset(record.arch_id for record in (*self.drifted, *self.unconverged, *self.crowded))

    @property
    def latency_share(self) -> float | None:
        """The share of the trials' wall time that went into measuring; None if nothing has ended."""
        return self.latency_seconds / self.trial_seconds if self.trial_seconds > 0 else None

    @property
    def sentence(self) -> str:
        """How far the study's latencies can be trusted, and what they cost; empty without a latency."""
        if not self.networks:
            return ""
        parts = []
        if self.drift_min is not None and self.drift_max is not None:
            ends = (number_text(100.0 * each, decimals=0, signed=True) for each in (self.drift_min, self.drift_max))
            parts.append(f"device drift: {' % to '.join(ends)} % (corrected)")
        doubts = (
            (self.unconverged, "not converged"),
            (self.drifted, f"drifted beyond {percent_text(100.0 * (self.drift_tolerance or 0.0))}"),
            (self.crowded, "beside crowded memory"),
        )
        why = ", ".join(f"{len(records)} {doubt}" for records, doubt in doubts if records)
        if not why:
            parts.append("no latency is flagged")
        else:
            parts.append(f"{len(self.flagged)} of {self.networks:,} latencies flagged ({why})")
        if self.latency_share is not None:
            parts.append(f"{100.0 * self.latency_share:.0f} % of the time was spent measuring")
        return f"{capitalised('; '.join(parts))}."

    def tables(self) -> tuple[Table, ...]:
        """How far the latencies can be trusted, and all of them."""
        return self.table(), self.networks_table()

    def networks_table(self) -> Table:
        """Every network that was measured."""
        return table_of(
            "Networks measured",
            ((record, latency_of(record)) for record in self.measured),
            (TRIAL, lambda one: one[0].trial),
            (NETWORK, lambda one: one[0].label),
            (Column(title="p10", key="p10_ms", unit="ms", decimals=3), lambda one: one[1].p10_ms),
            (Column(title="Median", key="median_ms", unit="ms", decimals=3), lambda one: one[1].median_ms),
            (Column(title="p90", key="p90_ms", unit="ms", decimals=3), lambda one: one[1].p90_ms),
            (Column(title="Corrected", key="latency_ms", unit="ms", decimals=3), lambda one: one[1].corrected_ms),
            (Column(title="Runs", key="n_runs", decimals=0), lambda one: one[1].n),
            (
                Column(title="Reference's p10", key="reference_p10_ms", unit="ms", decimals=3),
                lambda one: one[1].reference_p10_ms,
            ),
            (
                Column(title="Drift", key="drift_percent", unit="%", decimals=1, signed=True),
                lambda one: None if one[1].drift is None else 100.0 * one[1].drift,
            ),
            (Column(title="Device", wide=True), lambda one: one[1].device),
            (Column(title="Doubts"), lambda one: ", ".join(self.doubts(one[0])) or None),
            (ARCH_ID, lambda one: one[0].arch_id),
            wide=True,
        )

    def table(self) -> Table:
        """What the reference tells, with the networks that are flagged."""
        drifts = (
            ("Smallest drift of the reference (%)", self.drift_min),
            ("Median drift of the reference (%)", self.drift_median),
            ("Largest drift of the reference (%)", self.drift_max),
        )
        rows: list[tuple[Cell, ...]] = [
            (name, number_text(100.0 * drift, decimals=1, signed=True), None)
            for name, drift in drifts
            if drift is not None
        ]
        flagged = [("Not converged", self.unconverged), ("Memory crowded", self.crowded)]
        if self.drift_tolerance is not None:
            flagged.insert(0, (f"Drifted by more than {percent_text(100.0 * self.drift_tolerance)}", self.drifted))
        for title, records in flagged:
            rows.append((title, str(len(records)), ", ".join(record.label for record in records) or None))
        counts = (
            ("Measured again", self.measured_again),
            ("Networks measured", self.networks),
            ("Measured twice, in two moments of the study", len(self.repeats)),
        )
        rows += [(title, str(count), None) for title, count in counts]
        if self.repeats:
            distances = [each.distance for each in self.repeats]
            moved = (f"{100.0 * math.expm1(each):.1f}" for each in (statistics.median(distances), max(distances)))
            rows.append(("Between the two: median, largest (%)", ", ".join(moved), None))
        if self.latency_share is not None:
            rows.append(("Share of the trials' time (%)", f"{100.0 * self.latency_share:.0f}", None))
        return Table(
            title="How far the latencies can be trusted",
            columns=(Column(title="What", whole=True), Column(title="How much", whole=True), Column(title="Which")),
            rows=tuple(rows) if self.networks else (),
            note=self.method,
            wide=True,
        )

    def summary(self) -> CanaryJson:
        """What the reference tells as plain data: shares are fractions (0.1 is 10 %), trials stand by their numbers."""
        return json_as(
            CanaryJson,
            self,
            drifted_trials=[record.trial for record in self.drifted],
            unconverged_trials=[record.trial for record in self.unconverged],
            crowded_trials=[record.trial for record in self.crowded],
            repeats=[{**asdict(repeat), "moved": repeat.moved} for repeat in self.repeats],
        )

    def plain(self) -> dict[str, Any]:
        """The same, with every network."""
        return {"study": self.study, **self.summary(), "measured": self.networks_table().dicts()}


def has_drifted(latency: Latency, drift_tolerance: float | None) -> bool:
    """Whether the reference's p10 was further from the study's than the tolerance."""
    return drift_tolerance is not None and latency.drift is not None and abs(latency.drift) > drift_tolerance


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
        floor_seconds: what the noise floor took; it is part of a trial's time, but of no trial's latency.
    """
    first: dict[str, tuple[Record, Latency]] = {}  # equal networks share one measurement
    for record in cut_off_last(records):
        if record.latency is not None:
            first.setdefault(record.arch_id, (record, record.latency))
    first = dict(sorted(first.items(), key=lambda each: each[1][0].trial))
    drifts = [latency.drift for _, latency in first.values() if latency.drift is not None]
    witnessed: dict[str, list[float]] = {}  # by device fingerprint
    for _, latency in first.values():
        if latency.memory_ms is not None:
            witnessed.setdefault(latency.fingerprint, []).append(latency.memory_ms)
    quiet = {fingerprint: quiet_memory_ms(measured) for fingerprint, measured in witnessed.items()}
    # a design measures a network anew with each seed; a trial that was answered from another one has its latency
    # and one that goes on with a network has what it took before
    ended = (record for record in records if record.seconds is not None and record.status not in TOLD_ELSEWHERE)
    own = dict.fromkeys((each.arch_id, each.latency) for each in ended if each.latency is not None)
    return Canary(
        study=records[0].study if records else "",
        measured=tuple(record for record, _ in first.values()),
        reference=tuple(sorted({latency.reference for _, latency in first.values()})),
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
        latency_seconds=sum(latency.measure_seconds for _, latency in own) + floor_seconds,
        trial_seconds=sum(record.seconds or 0.0 for record in records),
    )
