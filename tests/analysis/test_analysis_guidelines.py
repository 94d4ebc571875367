"""The verdict rules, on numbers made by hand, and on the paper's own printed speeds."""

from __future__ import annotations

import math

import pytest

from archsearch.analysis.guidelines import (
    ColumnVerdict,
    GuidelineOutcome,
    Speed,
    TimedRow,
    Trend,
    column_verdict,
    growth,
    guideline_verdict,
    printed_row,
)

BEST = TimedRow(label="best", macs=1000, ratio=1.0, ratio_low=0.99, ratio_high=1.02)  # the noise floor is 2 %


def row(label: str, ratio: float, *, half: float = 0.01, macs: int = 1000) -> TimedRow:
    return TimedRow(label=label, macs=macs, ratio=ratio, ratio_low=ratio - half, ratio_high=ratio + half)


def column(*rows: TimedRow, chain: tuple[str, ...] = (), best: TimedRow = BEST) -> ColumnVerdict:
    return column_verdict(rows, best, scale=1, chains={"rows": chain} if chain else {})


def test_a_guideline_holds_in_a_column_where_every_row_is_slower_than_the_best() -> None:
    found = column(row("a", 1.10), row("b", 1.50))
    assert found.verdict is GuidelineOutcome.HOLDS
    assert [each.speed for each in found.rows] == [Speed.SLOWER, Speed.SLOWER]
    assert found.floor == pytest.approx(0.02)  # the farther end of 0.99 to 1.02


def test_one_faster_row_refutes_it() -> None:
    found = column(row("a", 1.50), row("b", 0.90))
    assert found.verdict is GuidelineOutcome.FAILS
    assert [each.speed for each in found.rows] == [Speed.SLOWER, Speed.FASTER]


@pytest.mark.parametrize(
    ("ratio", "half"),
    [
        (1.0, 0.005),  # as fast, within the floor
        (1.025, 0.01),  # 1.015 to 1.035 reaches below 1.02
        (0.975, 0.01),  # 0.965 to 0.985 reaches above 0.98
        (1.30, 0.40),  # a wide interval
    ],
)
def test_an_interval_that_meets_the_noise_floor_cannot_be_told(ratio: float, half: float) -> None:
    found = column(row("a", 1.50), row("b", ratio, half=half))
    assert found.rows[1].speed is Speed.UNTOLD
    assert found.verdict is GuidelineOutcome.UNTOLD


def test_time_is_compared_for_a_multiply_add() -> None:
    # 5 % slower with 10 % more multiply-adds: 1.05 x 1000 / 1100 = 0.9545
    found = column(row("a", 1.05, macs=1100))
    assert found.rows[0].cost == pytest.approx(0.954545, abs=1e-6)
    assert found.rows[0].cost_low == pytest.approx(1.04 / 1.1)
    assert found.verdict is GuidelineOutcome.FAILS


@pytest.mark.parametrize(
    ("ratios", "trend"),
    [
        ((1.10, 1.20, 1.30), Trend.RISES),
        ((1.10, 1.30, 1.20), Trend.MIXED),
        ((1.10, 1.105, 1.30), Trend.UNTOLD),  # 1.09-1.11 and 1.095-1.115 overlap
        ((1.025, 1.20, 1.30), Trend.UNTOLD),  # the first step is within the floor
        ((0.90, 1.20, 1.30), Trend.MIXED),
    ],
)
def test_the_trend_needs_every_step_apart(ratios: tuple[float, ...], trend: Trend) -> None:
    rows = [row(name, ratio) for name, ratio in zip("abc", ratios, strict=True)]
    assert column(*rows, chain=("a", "b", "c")).trends == {"rows": trend}


def test_a_device_needs_all_columns_to_hold_and_one_to_fail() -> None:
    holds, fails, untold = column(row("a", 1.5)), column(row("a", 0.5)), column(row("a", 1.0))
    assert guideline_verdict([holds, holds]).verdict is GuidelineOutcome.HOLDS
    assert guideline_verdict([holds, untold]).verdict is GuidelineOutcome.UNTOLD
    assert guideline_verdict([holds, untold, fails]).verdict is GuidelineOutcome.FAILS


def test_a_printed_speed_stands_for_all_that_round_to_it() -> None:
    # table 1, ARM, x1: 76.2 against 72.9 images/s
    found = printed_row("1:2", 968, 72.9, 76.2, step=0.1, best_step=0.1)
    assert found.ratio == pytest.approx(76.2 / 72.9)
    assert found.ratio_low == pytest.approx(76.15 / 72.95)
    assert found.ratio_high == pytest.approx(76.25 / 72.85)


def test_equal_printed_speeds_cannot_be_told() -> None:
    exact = TimedRow(label="best", macs=100, ratio=1.0, ratio_low=1.0, ratio_high=1.0)
    assert (
        column(printed_row("a", 100, 10.1, 10.1, step=0.1, best_step=0.1), best=exact).verdict
        is GuidelineOutcome.UNTOLD
    )


def test_launch_bound_is_work_that_costs_no_time() -> None:
    found = growth(macs=[1600, 100], times_ms=[1.1, 1.0])
    assert (found.times_macs, found.times_time) == (16.0, pytest.approx(1.1))
    assert found.exponent == pytest.approx(math.log(1.1) / math.log(16))
    assert found.launch_bound
    # Four times as long for 16 times the work is a power of one half.
    assert growth(macs=[100, 1600], times_ms=[1.0, 4.0]).exponent == pytest.approx(0.5)
    assert not growth(macs=[100, 1600], times_ms=[1.0, 4.0]).launch_bound


@pytest.mark.parametrize(
    "bad",
    [
        TimedRow(label="a", macs=0, ratio=1.0, ratio_low=1.0, ratio_high=1.0),
        TimedRow(label="a", macs=1, ratio=math.nan, ratio_low=1.0, ratio_high=1.0),
        TimedRow(label="a", macs=1, ratio=1.0, ratio_low=1.2, ratio_high=0.8),
    ],
)
def test_numbers_that_cannot_be_are_refused(bad: TimedRow) -> None:
    with pytest.raises(ValueError, match="'a'"):
        column(bad)


def test_empty_columns_and_unknown_chains_are_refused() -> None:
    with pytest.raises(ValueError, match="rows beside"):
        column()
    with pytest.raises(ValueError, match="no row 'z'"):
        column(row("a", 1.5), chain=("z",))
    with pytest.raises(ValueError, match="a column"):
        guideline_verdict([])
    with pytest.raises(ValueError, match="two different"):
        growth(macs=[100, 100], times_ms=[1.0, 2.0])
