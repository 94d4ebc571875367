"""Every plot with ten thousand records: it works, and what a page must hold of it stays small."""

from __future__ import annotations

from typing import Any

import pytest
from makers import make_front, make_study

from archsearch.analysis.history import hypervolume_history, learning_curves
from archsearch.plots.catalog import PLOTS


@pytest.fixture(scope="module")
def ten_thousand() -> dict[str, Any]:
    records = tuple(make_study(10_000))
    history = hypervolume_history(records, reference_point=(90.0, 30.0), shuffles=2)
    curves = learning_curves(records, [], study="study")
    return {"front": make_front(records), "history": history, "curves": curves}


# What a command makes is of the few networks that it was asked for; the others are of choices.
NAMES = [name for name in PLOTS.names() if PLOTS[name].of in ("front", "history", "curves")]


@pytest.mark.parametrize("name", NAMES)
def test_ten_thousand_records_make_a_figure_that_stays_small(name: str, ten_thousand: dict[str, Any]) -> None:
    plot = PLOTS[name]
    info = plot.result(ten_thousand)
    assert len(plot.figure(info).to_json()) < 2_000_000
    assert sum(len(table.rows) for table in info.tables()) <= 20_000
