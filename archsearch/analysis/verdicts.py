"""What became of each named variant: on the front, level with another, or dominated, by whom and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from archsearch.analysis.front import Front, FrontRow
from archsearch.analysis.objectives import OBJECTIVES, floor_text, relative_percent
from archsearch.analysis.pareto import dominates, level
from archsearch.records import Record, TrialStatus
from archsearch.table import Column, Table
from archsearch.text import plural


class Standing(StrEnum):
    """Where a variant stands."""

    ON_FRONT = "on the front"
    TIE = "tie"  # on the front, with another record at the same values, of latency within the noise floor
    DOMINATED = "dominated"
    NOT_MEASURED = "not measured"  # failed, rejected, still running, ...


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one variant.

    Attributes:
        variant: its published name.
        record: its own record.
        standing: where it stands.
        by: the front record that dominates it, or the lowest-numbered one level with it; None otherwise.
        accuracy_points: how many points of top-1 `by` is more accurate (0 or more when dominated).
        faster_ms: how many milliseconds (drift-corrected p10) `by` is faster; negative if slower, which a dominated
            variant can only be within the noise floor.
        faster_percent: the same in percent of the variant's latency.
        sentence: all of it in one sentence.
    """

    variant: str
    record: Record
    standing: Standing
    by: Record | None = None
    accuracy_points: float | None = None
    faster_ms: float | None = None
    faster_percent: float | None = None
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def verdicts_of(records: Sequence[Record], front: Front) -> tuple[Verdict, ...]:
    """One verdict for each record that names a variant: by latency, those without a measurement last.

    Of several records that dominate a variant, the strongest on the front is named: the largest sum of gains after
    dividing each objective's gain by its range over the complete records; ties go to the lower trial number. A
    variant that was answered from an equal network's record (a replay) gets that record's verdict.

    Args:
        records: of the study, of any status, those of `front` among them.
        front: `front_of(records, ...)`.
    """
    row_of = {row.record.trial: row for row in front.rows}
    row_of_network = {row.record.arch_id: row for row in front.rows}
    spans = _spans(front)
    found: list[tuple[tuple[float, ...], Verdict]] = []
    for variant, record in _counting(records).items():
        row = row_of.get(record.trial)
        if row is None and record.status is TrialStatus.REPLAY:
            row = row_of_network.get(record.arch_id)
        if row is None:
            found.append(((1.0, 0.0, record.trial), _not_measured(variant, record)))
        else:
            latency_ms = OBJECTIVES["latency_ms"].extract(row.record)
            found.append(((0.0, latency_ms, record.trial), _verdict(variant, record, row, front, spans)))
    return tuple(verdict for _, verdict in sorted(found, key=lambda item: item[0]))


def _counting(records: Sequence[Record]) -> dict[str, Record]:
    """The trial of each variant that counts: one that was interrupted comes back as another."""
    found: dict[str, Record] = {}
    for record in records:
        if record.variant is None:
            continue
        if record.variant not in found or found[record.variant].status is TrialStatus.INTERRUPTED:
            found[record.variant] = record
    return found


def _spans(front: Front) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values = np.array([row.values for row in front.rows], dtype=np.float64).reshape(-1, len(front.objectives))
    span = np.ptp(values, axis=0) if len(values) else np.ones(len(front.objectives))
    return np.where(span > 0.0, span, 1.0)


def _verdict(
    variant: str, record: Record, row: FrontRow, front: Front, spans: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> Verdict:
    members = [member for member in front.members if member is not row]
    place = f"{100.0 - row.record.error_percent:.2f} % top-1, " + ", ".join(
        OBJECTIVES[name].show(value)
        for name, value in zip(front.objectives, row.values, strict=True)
        if name != "error_percent"
    )
    if row.on_front:
        tied = [member for member in members if level(member.values, row.values, front.noisy)]
        if not tied:
            sentence = f"{variant} ({place}) is on the front."
            return Verdict(variant=variant, record=record, standing=Standing.ON_FRONT, sentence=sentence)
        other = min(tied, key=lambda member: (member.values != row.values, member.record.trial))
        within = f" within {_floor_text(front)}" if other.values != row.values else ""
        latency = OBJECTIVES["latency_ms"].extract
        own_ms, other_ms = latency(row.record), latency(other.record)
        return Verdict(
            variant=variant,
            record=record,
            standing=Standing.TIE,
            by=other.record,
            accuracy_points=0.0,
            faster_ms=own_ms - other_ms,
            faster_percent=relative_percent(own_ms, other_ms),
            sentence=f"{variant} ({place}) is on the front, level with {other.record.label}{within}.",
        )
    own = np.array(row.values)
    candidates = [member for member in members if dominates(member.values, row.values, front.noisy)]
    strongest = min(
        candidates,
        key=lambda member: (-float(((own - np.array(member.values)) / spans).sum()), member.record.trial),
    )
    return _dominated(record, row, strongest, place, front)


def _dominated(record: Record, row: FrontRow, strongest: FrontRow, place: str, front: Front) -> Verdict:
    variant = record.variant or record.label
    latency = OBJECTIVES["latency_ms"].extract
    worse_ms, best_ms = latency(row.record), latency(strongest.record)
    gains: list[str] = []
    equals: list[str] = []
    within = ""
    for column, (name, worse, best) in enumerate(zip(front.objectives, row.values, strongest.values, strict=True)):
        if worse == best:
            equals.append(OBJECTIVES[name].short.lower())
        elif front.noisy is not None and column == front.noisy.column and front.noisy.tie(worse, best):
            within = f", at a {OBJECTIVES[name].title.split(',')[0].lower()} within {_floor_text(front)}"
        else:
            gains.append(OBJECTIVES[name].difference(worse, best))
    sentence = f"{variant} ({place}) is dominated by {strongest.record.label}: {' and '.join(gains)}"
    sentence += (f", at equal {' and '.join(equals)}" if equals else "") + within + "."
    own, other = row.record.latency, strongest.record.latency
    if own is not None and other is not None and own.fingerprint != other.fingerprint:
        sentence += " The two latencies were measured on different devices."
    return Verdict(
        variant=variant,
        record=record,
        standing=Standing.DOMINATED,
        by=strongest.record,
        accuracy_points=row.record.error_percent - strongest.record.error_percent,
        faster_ms=worse_ms - best_ms,
        faster_percent=relative_percent(worse_ms, best_ms),
        sentence=sentence,
    )


def _floor_text(front: Front) -> str:
    return f"the noise floor of {floor_text(front.noise_floor)}"


def _not_measured(variant: str, record: Record) -> Verdict:
    why = f": {record.reason}" if record.reason else ""
    what = "was not trained to its end" if record.status is TrialStatus.STOPPED else "was not measured"
    if record.status in (TrialStatus.INTERRUPTED, TrialStatus.RUNNING):
        what = "is not measured yet"
    sentence = f"{variant} {what} ({record.status.value}{why})."
    return Verdict(variant=variant, record=record, standing=Standing.NOT_MEASURED, sentence=sentence)


def verdicts_sentence(verdicts: Sequence[Verdict]) -> str:
    """How many of the variants are on the front, dominated, or without a measurement."""
    if not verdicts:
        return "The study evaluated no published network."
    counts = {standing: sum(verdict.standing is standing for verdict in verdicts) for standing in Standing}
    on_front = counts[Standing.ON_FRONT] + counts[Standing.TIE]
    parts = [f"{on_front} on the front" if on_front else "none on the front"]
    parts += [
        f"{counts[standing]} {standing.value}"
        for standing in (Standing.DOMINATED, Standing.NOT_MEASURED)
        if counts[standing]
    ]
    return f"Of {plural(len(verdicts), 'published network')}: {', '.join(parts)}."


def verdicts_table(
    verdicts: Sequence[Verdict], *, readings: Mapping[str, str] | None = None, numbers: Mapping[str, int] | None = None
) -> Table:
    """The variants, each with its verdict.

    Args:
        readings: variant: which of several readings of its source it is.
        numbers: variant: its number in the figure.
    """
    any_faster = any(verdict.faster_ms is not None and verdict.faster_ms < 0.0 for verdict in verdicts)
    return Table(
        title="Published networks",
        columns=(
            Column(title="#", key="number", decimals=0, wide=True),
            Column(title="Network", key="variant", whole=True),
            Column(title="Trial", key="trial", decimals=0, trial=True, wide=True),
            Column(title="Verdict", key="verdict", whole=True),
            Column(title="By", key="by", whole=True),
            Column(title="By trial", key="by_trial", decimals=0, wide=True),
            Column(title="Less accurate by", key="accuracy_points", unit="points", decimals=2),
            Column(title="Slower by", key="faster_ms", unit="ms", decimals=3),
            Column(title="Slower by", key="faster_percent", unit="%", decimals=1),
            Column(title="In a sentence", key="sentence", wide=True),
            Column(title="Which reading of the paper", key="reading", wide=True),
        ),
        rows=tuple(
            (
                (numbers or {}).get(verdict.variant),
                verdict.variant,
                verdict.record.trial,
                verdict.standing.value,
                verdict.by.label if verdict.by else None,
                verdict.by.trial if verdict.by else None,
                verdict.accuracy_points,
                verdict.faster_ms,
                verdict.faster_percent,
                verdict.sentence,
                (readings or {}).get(verdict.variant) or None,
            )
            for verdict in verdicts
        ),
        note="Compared with the network in the column By: of several that dominate a variant, the one with the largest "
        "gains." + (" Slower by less than 0: faster within the noise floor, a tie." if any_faster else ""),
    )
