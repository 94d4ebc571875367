"""What the plots share: ranges and ticks, thinning."""

from __future__ import annotations

import itertools

import plotly.graph_objects as go
import pytest

from archsearch.plots.page import legend_height
from archsearch.plots.ranges import nice_log_ticks, nice_ticks, percent_range, positive_range, wants_log
from archsearch.plots.traces import thinned, thinned_line


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


@pytest.mark.parametrize("log", [False, True])
def test_values_that_hardly_differ_are_not_drawn_at_both_ends_of_an_axis(log: bool) -> None:
    low, high = positive_range([0.1707, 0.1713], log=log)
    assert low < 0.165 and high > 0.177
    ticks = nice_log_ticks(low, high)
    assert 2 <= len(ticks) <= 9 and all(low <= tick <= high for tick in ticks)


def test_a_picture_is_as_high_as_its_legend_and_never_lower_than_asked() -> None:
    figure = go.Figure([go.Scatter(name=f"network {number}") for number in range(40)])
    figure.update_layout(legend={"x": 1.01, "font": {"size": 12}}, margin={"t": 100, "b": 50})
    # 43 rows of 12 pixels are 516 without any gap between them
    assert 150 + 516 < legend_height(figure, 500) < 150 + 2 * 516
    assert legend_height(figure, 2000) == 2000
    figure.update_layout(legend_x=0)  # below the plot, or in it: it has lines of its own
    assert legend_height(figure, 500) == 500


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
