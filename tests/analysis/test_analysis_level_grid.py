"""The objectives by the levels of two choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from archsearch.analysis.level_grid import MIN_NETWORKS, level_grid
from archsearch.errors import ConfigError, UnknownNameError
from archsearch.plots.level_grid import grid_figure
from archsearch.records import Record

Make = Callable[..., Record]


def searched(make: Make, rows: list[tuple[dict[str, Any], float, float]]) -> list[Record]:
    return [
        replace(make(trial, top1=100.0 - error, p10=ms), suggested=point)
        for trial, (point, error, ms) in enumerate(rows)
    ]


def of_two(make: Make) -> list[Record]:
    """The depth sets the error, the width the latency, the colour nothing; no network is deep and narrow."""
    return searched(
        make,
        [
            ({"depth": depth, "width": width, "colour": "ab"[again % 2]}, 50.0 - 10.0 * depth + again, 2.0 * width)
            for depth, width in ((1, 0.5), (1, 1.0), (2, 1.0))
            for again in range(4)
        ],
    )


def test_a_cell_is_the_mean_over_its_networks_with_a_t_interval(make_record: Make) -> None:
    found = level_grid(of_two(make_record), choices=("depth", "width"))
    rows = {(row["first"], row["second"]): row for row in found.tables()[0].dicts()}
    assert list(rows) == [("1", "0.5"), ("1", "1"), ("2", "1")]
    cell = rows["2", "1"]
    # 30, 31, 32, 33: mean 31.5, s = sqrt(5 / 3) = 1.29099, t(0.975, 3) = 3.18245: 3.18245 x 1.29099 / 2 = 2.05426
    assert (cell["networks"], cell["error_percent"]) == (4, pytest.approx(31.5))
    assert cell["error_percent_low"] == pytest.approx(31.5 - 2.05426, abs=1e-4)
    assert cell["error_percent_high"] == pytest.approx(31.5 + 2.05426, abs=1e-4)
    few = level_grid([*of_two(make_record)[:10]], choices=("depth", "width")).tables()[0].dicts()[-1]
    assert (few["networks"], few["error_percent"], few["error_percent_low"]) == (2, 30.5, None)
    assert (cell["latency_ms"], cell["latency_ms_low"]) == (2.0, None)  # equal values show no spread
    assert found.sentences[0].startswith("Validation top-1 error is lowest with depth 2 and width 1: 31.50 %")


def test_without_names_the_choices_that_go_along_with_most_are_taken(make_record: Make) -> None:
    found = level_grid(of_two(make_record))
    assert (found.choices, found.named) == (("depth", "width"), False)
    assert "go along with most" in found.method


def test_the_figure_has_a_panel_for_each_objective_and_gaps_where_no_network_is(make_record: Make) -> None:
    figure = grid_figure(level_grid(of_two(make_record), choices=("depth", "width")))
    error, latency = figure.data
    assert [list(row) for row in error.z] == [[41.5, 41.5], [None, 31.5]]
    assert [list(row) for row in latency.z] == [[1.0, 2.0], [None, 2.0]]
    assert list(figure.layout.yaxis.ticktext) == ["1", "2"]


def test_what_cannot_be_shown_is_said(make_record: Make) -> None:
    records = of_two(make_record)
    assert str(MIN_NETWORKS) in (level_grid(records[:5]).empty or "")
    alone = [replace(each, suggested={"depth": each.trial % 3}) for each in records]
    assert "fewer than two choices" in (level_grid(alone).empty or "")
    with pytest.raises(UnknownNameError, match="did you mean 'depth'"):
        level_grid(records, choices=("dept", "width"))
    for wrong in (("depth",), ("depth", "depth"), ("depth", "width", "depth")):
        with pytest.raises(ConfigError, match="two different ones"):
            level_grid(records, choices=wrong)
