"""The hypervolume's staircase: only the steps that change it, and the band of random orders."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from archsearch.analysis.history import hypervolume_history
from archsearch.plots.hypervolume import HypervolumeInfo, hypervolume_figure, hypervolume_info
from archsearch.records import Record

Make = Callable[..., Record]


@pytest.fixture
def info(make_record: Make) -> HypervolumeInfo:
    # errors 60, 70, 40, 40 at 2, 3, 2, 4 ms, below (90 %, 5 ms)
    points = ((40, 2.0), (30, 3.0), (60, 2.0), (60, 4.0))
    records = [make_record(trial, top1=top1, p10=p10) for trial, (top1, p10) in enumerate(points)]
    return hypervolume_info(hypervolume_history(records, reference_point=(90.0, 5.0)), study="s")


def test_only_steps_that_change_it_are_kept(info: HypervolumeInfo) -> None:
    # (90 - 60) (5 - 2) = 90 and (90 - 40) (5 - 2) = 150, of 450
    assert [(step.ended, step.trial, step.share) for step in info.steps] == [
        (1, 0, pytest.approx(0.2)),
        (3, 2, pytest.approx(1 / 3)),
        (4, 3, pytest.approx(1 / 3)),
    ]
    assert [step.trial for step in info.rises] == [0, 2]
    assert info.subtitle[0].startswith("0.333 of the box after 4 trials (box up to 90.00 % error, 5.00 ms); band: ")


def test_the_figure_is_a_staircase_with_a_marker_at_each_rise(info: HypervolumeInfo) -> None:
    by_name = {trace.name: trace for trace in hypervolume_figure(info).data}
    assert by_name["as searched"].line.shape == "hv"
    assert list(by_name["as searched"].x) == [1, 3, 4]
    rises = by_name["a trial raised it (2)"]
    assert (list(rises.x), [item[0] for item in rises.customdata]) == ([1, 3], [0, 2])
    # the band ends where the study did, whatever the order
    band = by_name["random orders, mean"]
    assert (band.x[-1], band.y[-1]) == (4, pytest.approx(1 / 3))


def test_without_a_reference_point_it_says_so(make_record: Make) -> None:
    info = hypervolume_info(hypervolume_history([make_record(0)]), study="s")
    assert info.empty == "No hypervolume to show: the study has no reference point, so there is no hypervolume"
