"""Whether a guideline of ShuffleNet V2 (arXiv 1807.11164, section 2) holds in what was timed.

Each guideline calls one row of its table the fastest: equal channels (G1), no groups (G2), one fragment (G3), no
element-wise operators (G4). The rows of one column cost about as many multiply-adds, but not exactly, so the time for a
multiply-add is compared: ratio of the times x multiply-adds of the best row / multiply-adds of the row.

A row is `slower` if the whole 95 % interval of that quotient is above 1 + floor, `faster` if it is below 1 - floor, and
`cannot be told` otherwise. The floor is what a network differs from itself in the same bursts: the end of the best
row's interval against itself that is farther from 1.

In a column the guideline holds if every other row is slower than the best one, does not hold if one is faster, and
cannot be told otherwise. On a device it holds if it holds in every column, and does not if it does not in one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Verdict(StrEnum):
    """Of a guideline, in a column or on a device."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNTOLD = "cannot be told"


class Speed(StrEnum):
    """Of a row against the best one, for a multiply-add."""

    SLOWER = "slower"
    FASTER = "faster"
    UNTOLD = "cannot be told"


class Trend(StrEnum):
    """Of the time for a multiply-add, along a chain of rows from the best one on."""

    RISES = "rises with every row"
    MIXED = "does not rise with every row"
    UNTOLD = "cannot be told"


@dataclass(frozen=True, kw_only=True)
class TimedRow:
    """One network of a column, timed against the column's best row in the same bursts.

    Attributes:
        label: what the rows differ in.
        macs: multiply-adds of one image.
        ratio, ratio_low, ratio_high: its time over the best row's, and the ends of the 95 % interval.
    """

    label: str
    macs: int
    ratio: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """A row's time for a multiply-add over the best row's, with the ends of the 95 % interval, and what it says."""

    label: str
    cost: float
    cost_low: float
    cost_high: float
    speed: Speed


@dataclass(frozen=True, kw_only=True)
class ColumnVerdict:
    """What one column says.

    Attributes:
        scale: what the columns differ in; larger is wider.
        floor: how far a network was from itself.
        rows: all but the best, in the order as printed.
        trends: of the time for a multiply-add along each chain of rows that the guideline orders, by the chain's name.
    """

    scale: int
    floor: float
    verdict: Verdict
    rows: tuple[ComparedRow, ...]
    trends: Mapping[str, Trend]


@dataclass(frozen=True, kw_only=True)
class GuidelineVerdict:
    """What all columns of a table say of its guideline on a device."""

    verdict: Verdict
    columns: tuple[ColumnVerdict, ...]


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How time grows with work: the best row of the widest column over that of the narrowest.

    Attributes:
        times_macs, times_time: the quotients of their multiply-adds and of their times.
        exponent: log(times_time) / log(times_macs): 1 where time is work, 0 where work costs nothing.
        launch_bound: the exponent is below `LAUNCH_BOUND_EXPONENT`.
    """

    times_macs: float
    times_time: float
    exponent: float
    launch_bound: bool


# 16 times the multiply-adds in less than twice the time: at most a quarter of the growth is work.
LAUNCH_BOUND_EXPONENT = 0.25


def column_verdict(
    rows: Sequence[TimedRow], best: TimedRow, *, scale: int, chains: Mapping[str, Sequence[str]]
) -> ColumnVerdict:
    """The verdict of one column.

    Args:
        rows: the others, in the order as printed.
        best: the row that the guideline calls fastest, timed against itself: its interval is the noise.
        scale: kept in the result.
        chains: name -> labels of rows of which each should be slower than the one before, the best row left out.

    Raises ValueError without rows, for a chain of rows that are not there, and for numbers that are not positive and
    finite or an interval without its ratio.
    """
    if not rows:
        raise ValueError("a column needs rows beside the best one")
    for row in (best, *rows):
        _check(row)
    floor = max(abs(best.ratio_low - 1.0), abs(best.ratio_high - 1.0))
    compared = tuple(_compare(row, best, floor) for row in rows)
    speeds = {row.speed for row in compared}
    if Speed.FASTER in speeds:
        verdict = Verdict.FAILS
    elif speeds == {Speed.SLOWER}:
        verdict = Verdict.HOLDS
    else:
        verdict = Verdict.UNTOLD
    by_label = {row.label: row for row in compared}
    missing = [label for labels in chains.values() for label in labels if label not in by_label]
    if missing:
        raise ValueError(f"there is no row '{missing[0]}' among {sorted(by_label)}")
    trends = {name: _trend([by_label[label] for label in labels], floor) for name, labels in chains.items()}
    return ColumnVerdict(scale=scale, floor=floor, verdict=verdict, rows=compared, trends=trends)


def guideline_verdict(columns: Sequence[ColumnVerdict]) -> GuidelineVerdict:
    """The verdict of all columns. Raises ValueError without columns."""
    if not columns:
        raise ValueError("a guideline needs a column")
    verdicts = {column.verdict for column in columns}
    if Verdict.FAILS in verdicts:
        verdict = Verdict.FAILS
    elif verdicts == {Verdict.HOLDS}:
        verdict = Verdict.HOLDS
    else:
        verdict = Verdict.UNTOLD
    return GuidelineVerdict(verdict=verdict, columns=tuple(columns))


def printed_row(label: str, macs: int, speed: float, best_speed: float, *, step: float, best_step: float) -> TimedRow:
    """A printed row as if it had been timed: its speed against the best row's.

    A printed speed stands for all that round to it, so the interval is that of the rounding. How far the printed speeds
    would repeat is not known.

    Args:
        speed, best_speed: runs a second.
        step, best_step: one of the last printed digit (0.1 for 76.2, 1 for 1480).
    """
    half, best_half = step / 2, best_step / 2
    return TimedRow(
        label=label,
        macs=macs,
        ratio=best_speed / speed,
        ratio_low=(best_speed - best_half) / (speed + half),
        ratio_high=(best_speed + best_half) / (speed - half),
    )


def growth(*, macs: Sequence[int], times_ms: Sequence[float]) -> Growth:
    """How the time of equal networks of several widths grows, from the least to the most multiply-adds.

    Raises ValueError with fewer than two different numbers of multiply-adds.
    """
    pairs = sorted(zip(macs, times_ms, strict=True))
    if len(pairs) < 2 or pairs[0][0] == pairs[-1][0]:
        raise ValueError(f"growth needs two different numbers of multiply-adds; got {sorted(macs)}")
    (least, first_ms), (most, last_ms) = pairs[0], pairs[-1]
    exponent = math.log(last_ms / first_ms) / math.log(most / least)
    return Growth(
        times_macs=most / least,
        times_time=last_ms / first_ms,
        exponent=exponent,
        launch_bound=exponent < LAUNCH_BOUND_EXPONENT,
    )


def _check(row: TimedRow) -> None:
    numbers = (float(row.macs), row.ratio_low, row.ratio, row.ratio_high)
    if not all(math.isfinite(number) and number > 0 for number in numbers):
        raise ValueError(f"'{row.label}': positive numbers are needed, got {numbers}")
    if row.ratio_low > row.ratio_high:
        raise ValueError(f"'{row.label}': the interval {row.ratio_low} to {row.ratio_high} is upside down")


def _compare(row: TimedRow, best: TimedRow, floor: float) -> ComparedRow:
    normal = best.macs / row.macs
    low, high = row.ratio_low * normal, row.ratio_high * normal
    speed = Speed.SLOWER if low > 1.0 + floor else Speed.FASTER if high < 1.0 - floor else Speed.UNTOLD
    return ComparedRow(label=row.label, cost=row.ratio * normal, cost_low=low, cost_high=high, speed=speed)


def _trend(rows: Sequence[ComparedRow], floor: float) -> Trend:
    """From the best row (1, with the floor as its interval) on: each step's intervals apart, upwards or downwards."""
    ends = [(1.0 - floor, 1.0 + floor), *((row.cost_low, row.cost_high) for row in rows)]
    steps = list(pairwise(ends))
    if any(after[1] < before[0] for before, after in steps):
        return Trend.MIXED
    return Trend.RISES if all(after[0] > before[1] for before, after in steps) else Trend.UNTOLD
