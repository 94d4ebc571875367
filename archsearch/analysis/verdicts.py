"""What became of each named variant: on the front, level with another, or dominated, by whom and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from archsearch.analysis.front import Front, FrontRow
from archsearch.analysis.intervals import Floats
from archsearch.analysis.objectives import OBJECTIVES, floor_text, relative_percent
from archsearch.analysis.pareto import dominates, level
from archsearch.records import Record, TrialStatus
from archsearch.table import WIDE_TRIAL, Column, Table, table_of
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
        by: the front record that dominates it, or the lowest-numbered one level with it; None otherwise.
        accuracy_points: how many points of top-1 `by` is more accurate (0 or more).
        faster_ms: how many milliseconds (drift-corrected p10) `by` is faster; negative if slower, which it can only be
            within the noise floor.
        faster_percent: the same in percent of the variant's latency.
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
    values = np.array([row.values for row in front.rows]).reshape(-1, len(front.objectives))
    spans = np.ptp(values, axis=0) if len(values) else np.ones(len(front.objectives))
    spans = np.where(spans > 0.0, spans, 1.0)
    found: list[tuple[tuple[float, ...], Verdict]] = []
    for variant, record in _counting(records).items():
        row = front.row_of(record)
        if row is None or (row.record.trial != record.trial and record.status is not TrialStatus.REPLAY):
            found.append(((1.0, 0.0, record.trial), _not_measured(variant, record)))
        else:
            place = (0.0, row.latency.corrected_ms, record.trial)
            found.append((place, _verdict(variant, record, row, front, spans)))
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


def _verdict(variant: str, record: Record, row: FrontRow, front: Front, spans: Floats) -> Verdict:
    """Of a variant that has values; they are those of `row`, which a replay shares with another record."""
    others = [member for member in front.members if member is not row]
    place = f"{100.0 - row.record.error_percent:.2f} % top-1, " + ", ".join(
        OBJECTIVES[name].called(value)
        for name, value in zip(front.objectives, row.values, strict=True)
        if name != "error_percent"
    )
    if row.on_front:
        tied = [member for member in others if level(member.values, row.values, front.noisy)]
        if not tied:
            sentence = f"{variant} ({place}) is on the front."
            return Verdict(variant=variant, record=record, standing=Standing.ON_FRONT, sentence=sentence)
        other = min(tied, key=lambda member: (member.values != row.values, member.record.trial))
        within = f" within {_floor_text(front)}" if other.values != row.values else ""
        sentence = f"{variant} ({place}) is on the front, level with {other.record.label}{within}."
    else:
        own = np.array(row.values)
        other = min(
            (member for member in others if dominates(member.values, row.values, front.noisy)),
            key=lambda member: (-float(((own - np.array(member.values)) / spans).sum()), member.record.trial),
        )
        sentence = f"{variant} ({place}) is dominated by {other.record.label}: {_gains(row, other, front)}."
        if row.latency.fingerprint != other.latency.fingerprint:
            sentence += " The two latencies were measured on different devices."
    own_ms, other_ms = row.latency.corrected_ms, other.latency.corrected_ms
    return Verdict(
        variant=variant,
        record=record,
        standing=Standing.TIE if row.on_front else Standing.DOMINATED,
        by=other.record,
        accuracy_points=row.record.error_percent - other.record.error_percent,
        faster_ms=own_ms - other_ms,
        faster_percent=relative_percent(own_ms, other_ms),
        sentence=sentence,
    )


def _gains(row: FrontRow, strongest: FrontRow, front: Front) -> str:
    """What a dominated row would gain, and in what the two are equal or tie."""
    gains: list[str] = []
    equals: list[str] = []
    within = ""
    for column, (name, worse, best) in enumerate(zip(front.objectives, row.values, strongest.values, strict=True)):
        if worse == best:
            equals.append(OBJECTIVES[name].short.lower())
        elif front.noisy is not None and column == front.noisy.column and front.noisy.tie(worse, best):
            within = f", at a {OBJECTIVES[name].short.lower()} within {_floor_text(front)}"
        else:
            gains.append(OBJECTIVES[name].difference(worse, best))
    return " and ".join(gains) + (f", at equal {' and '.join(equals)}" if equals else "") + within


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
    return table_of(
        "Published networks",
        verdicts,
        (Column(title="#", key="number", decimals=0, wide=True), lambda each: (numbers or {}).get(each.variant)),
        Column(title="Network", key="variant", whole=True),
        (WIDE_TRIAL, lambda each: each.record.trial),
        (Column(title="Verdict", whole=True), lambda each: each.standing),
        (Column(title="By", whole=True), lambda each: each.by.label if each.by else None),
        (Column(title="By trial", decimals=0, wide=True), lambda each: each.by.trial if each.by else None),
        Column(title="Less accurate by", key="accuracy_points", unit="points", decimals=2),
        Column(title="Slower by", key="faster_ms", unit="ms", decimals=3),
        Column(title="Time saved", key="faster_percent", unit="%", decimals=1),
        Column(title="In a sentence", key="sentence", wide=True),
        (
            Column(title="Which reading of the paper", key="reading", wide=True),
            lambda each: (readings or {}).get(each.variant) or None,
        ),
        note="Compared with the network in the column By: of several that dominate a variant, the one with the largest "
        "gains." + (" Slower by less than 0: faster within the noise floor, a tie." if any_faster else ""),
    )
