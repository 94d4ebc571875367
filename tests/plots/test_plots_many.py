"""Every plot with ten thousand records: it works, and what a page must hold of it stays small."""

from __future__ import annotations

import pytest
from makers import make_study

from archsearch.plots.catalog import PLOTS, PlotData
from archsearch.records import Record


@pytest.fixture(scope="module")
def ten_thousand() -> tuple[Record, ...]:
    return tuple(make_study(10_000))


# What a command makes is of the few networks that it was asked for.
@pytest.mark.parametrize("name", [name for name in PLOTS.names() if PLOTS[name].command is None])
def test_ten_thousand_records_make_a_figure_that_stays_small(name: str, ten_thousand: tuple[Record, ...]) -> None:
    plot = PLOTS[name]
    info = plot.info(PlotData(records=ten_thousand, study="study", reference_point=(90.0, 30.0)))
    assert len(plot.figure(info).to_json()) < 2_000_000
    assert sum(len(table.rows) for table in plot.tables(info)) <= 20_000
