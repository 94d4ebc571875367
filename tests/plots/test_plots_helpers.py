"""What the plots share: ranges and ticks, thinning, tables of any info."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest

from archsearch.plots.info_tables import column_title, info_tables
from archsearch.plots.ranges import nice_ticks, percent_range, positive_range, wants_log
from archsearch.plots.thinning import thinned, thinned_line
from archsearch.table import Column


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (17.3, 42.7), (-3.0, 9.0), (1e-6, 2e-6), (1e9, 3e9), (0.1, 97.0)]
)
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert all(low - 1e-9 * abs(high) <= tick <= high * (1 + 1e-9) for tick in ticks)
    steps = {f"{b - a:.6g}" for a, b in itertools.pairwise(ticks)}
    assert len(steps) == 1


def test_one_value_is_its_own_tick_and_has_room_around_it() -> None:
    assert nice_ticks(5.0, 5.0) == [5.0]
    assert positive_range([5.0], log=False) == (4.5, 5.5)
    assert percent_range([5.0]) == (3.0, 7.0)
    assert positive_range([], log=False) == (0.0, 1.0)


def test_a_logarithmic_axis_is_for_positive_values_that_span_much() -> None:
    assert wants_log([1.0, 6.0])
    assert not wants_log([1.0, 5.9])
    assert not wants_log([0.0, 5.9])
    assert not wants_log([])


def test_thinning_keeps_order_what_is_wanted_and_evenly_many_of_the_rest() -> None:
    assert thinned(range(10), 10) == list(range(10))
    assert thinned(range(10), 5) == [0, 2, 4, 6, 8]
    assert thinned(range(10), 2, keep=lambda item: item == 9) == [0, 4, 9]
    assert thinned(range(10), 2, keep=lambda item: item >= 2) == [0, 1, 2, 6]  # too many are wanted, too
    assert thinned([], 3) == []
    assert thinned_line(5, 10, "networks") == "5 of 10 networks are drawn"
    assert thinned_line(10, 10, "networks") == ""


@dataclass(frozen=True, kw_only=True)
class _Inner:
    low_ms: float
    high_ms: float


@dataclass(frozen=True, kw_only=True)
class _Row:
    trial: int
    p10_ms: float
    label: str
    band: _Inner
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class _Info:
    title: str
    rows: tuple[_Row, ...]
    lines: tuple[str, ...] = ("text is no table",)
    none: tuple[_Row, ...] = ()


def test_the_dataclasses_of_an_info_become_tables_with_units() -> None:
    row = _Row(trial=3, p10_ms=math.nan, label="a", band=_Inner(low_ms=1.23456789, high_ms=2.0), values=(0.5, 2.0))
    (table,) = info_tables(_Info(title="t", rows=(row,)))
    assert table.title == "Rows"
    assert table.columns == (
        Column(title="Trial", decimals=0, trial=True),
        Column(title="P10 (ms)"),
        Column(title="Label", whole=True),
        Column(title="Band low (ms)", decimals=3),
        Column(title="Band high (ms)", decimals=3),
        Column(title="Values"),
    )
    assert table.rows == ((3, None, "a", 1.23457, 2.0, "0.5, 2"),)
    assert column_title("top1_percent") == "Top1 (%)"
    assert column_title("ms") == "Ms"
