"""The hypervolume's staircase: only the steps that change it, and the band of random orders."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from archsearch.analysis.history import History, hypervolume_history
from archsearch.plots.history import hypervolume_figure
from archsearch.records import Record

Make = Callable[..., Record]


@pytest.fixture
def found(make_record: Make) -> History:
    # errors 60, 70, 40, 40 at 2, 3, 2, 4 ms, below (90 %, 5 ms)
    points = ((40, 2.0), (30, 3.0), (60, 2.0), (60, 4.0))
    records = [make_record(trial, top1=top1, p10=p10) for trial, (top1, p10) in enumerate(points)]
    return hypervolume_history(records, reference_point=(90.0, 5.0))


def test_only_steps_that_change_it_are_kept(found: History) -> None:
    # (90 - 60) (5 - 2) = 90 and (90 - 40) (5 - 2) = 150, of 450
    assert [(step.ended, step.trial, step.share) for step in found.turns] == [
        (1, 0, pytest.approx(0.2)),
        (3, 2, pytest.approx(1 / 3)),
        (4, 3, pytest.approx(1 / 3)),
    ]
    assert [step.trial for step in found.rises] == [0, 2]
    assert found.sentences == (
        "The hypervolume is 33.3 % of the box after 4 trials; 2 of them raised it, trial 2 (after 3) the last.",
    )
    assert found.subtitle[0].startswith("share of the box up to 90 % error, 5.00 ms; band: ")
    changed, orders = found.tables()
    assert [row[:3] for row in changed.rows] == [(1, 0, "trial 0"), (3, 2, "trial 2"), (4, 3, "trial 3")]
    assert len(orders.rows) == len(found.shuffled) == 4


def test_the_figure_is_a_staircase_with_a_marker_at_each_rise(found: History) -> None:
    by_name = {trace.name: trace for trace in hypervolume_figure(found).data}
    assert by_name["as searched"].line.shape == "hv"
    assert list(by_name["as searched"].x) == [1, 3, 4]
    rises = by_name["a trial raised it (2)"]
    assert (list(rises.x), [item[0] for item in rises.customdata]) == ([1, 3], [0, 2])
    # the band ends where the study did, whatever the order
    band = by_name["random orders, mean"]
    assert (band.x[-1], band.y[-1]) == (4, pytest.approx(1 / 3))


def test_without_a_reference_point_it_says_so(make_record: Make) -> None:
    empty = hypervolume_history([make_record(0)]).empty
    assert empty == "No hypervolume to show: the study has no reference point, so there is no hypervolume"
