"""Latency distributions and the reference's drift: what is doubted, and what is drawn of very many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from archsearch.analysis.canary import Canary, canary_of
from archsearch.plots.latencies import MOST_NETWORKS, latencies_figure
from archsearch.records import Record, TrialStatus

Make = Callable[..., Record]


def _drifted(record: Record, reference_p10_ms: float, **changes: Any) -> Record:
    assert record.latency is not None
    latency = replace(record.latency, reference_p10_ms=reference_p10_ms, study_reference_ms=4.0, **changes)
    return replace(record, latency=latency)


@pytest.fixture
def info(make_record: Make) -> Canary:
    records = [
        _drifted(make_record(0, p10=2.0), 4.0),
        _drifted(make_record(1, p10=3.0), 5.2),  # 30 % above 4
        _drifted(make_record(2, p10=3.0, converged=False), 3.9),  # 2.5 % below
        _drifted(make_record(3, p10=2.0, arch_id=f"{0:012x}", status=TrialStatus.REPLAY), 4.0),  # shares the first's
        make_record(4, p10=None, top1=None, status=TrialStatus.FAILED),
    ]
    return canary_of(records, drift_tolerance=0.25)


def test_the_info_says_which_latencies_are_doubtful_and_why(info: Canary) -> None:
    assert [(record.trial, info.doubts(record)) for record in info.measured] == [
        (0, ()),
        (1, ("drifted by more than 25 %",)),
        (2, ("not converged",)),
    ]
    assert info.subtitle == ("cpu · torch · fp32",)
    assert "to +30 % (corrected)" in info.sentence
    assert "2 of 3 latencies flagged (1 not converged, 1 drifted beyond 25 %)" in info.sentence
    assert (info.start_ms, info.drift_tolerance) == (4.0, 0.25)
    _, networks = info.tables()
    assert networks.select("trial", "drift_percent", "doubts").rows == (
        (0, 0.0, None),
        (1, pytest.approx(30.0), "drifted by more than 25 %"),
        (2, pytest.approx(-2.5), "not converged"),
    )


def test_the_reference_stands_below_with_its_start_and_tolerance(info: Canary) -> None:
    figure = latencies_figure(info)
    below = [trace for trace in figure.data if trace.yaxis == "y2"]
    assert list(below[0].y) == [4.0, 5.2, 3.9]
    assert [item[0] for item in below[1].customdata] == [1, 2]  # the doubtful ones, crossed out
    bands = [(shape.y0, shape.y1) for shape in figure.layout.shapes if shape.type == "rect"]
    assert bands == [(pytest.approx(3.0), pytest.approx(5.0))]
    median = next(trace for trace in figure.data if trace.name == "median")
    assert list(median.y) == pytest.approx([1.04 * 2, 1.04 * 3, 1.04 * 3])  # the factory's spread


def test_without_a_start_nothing_is_called_drift(make_record: Make) -> None:
    records = [make_record(0), make_record(1, p10=40.0)]
    info = canary_of(records, drift_tolerance=None)
    assert info.start_ms is None
    assert not any(info.doubts(record) for record in info.measured)
    figure = latencies_figure(info)
    assert figure.layout.yaxis.type == "log"
    assert not figure.layout.shapes


def test_two_devices_are_said_to_be_two(make_record: Make) -> None:
    info = canary_of([make_record(0), make_record(1, fingerprint="other")], drift_tolerance=None)
    assert "2 fingerprints of devices: not comparable with each other" in info.subtitle[0]


def test_of_very_many_the_doubtful_stay(make_record: Make) -> None:
    records = [make_record(trial, converged=trial != 4321) for trial in range(5000)]
    by_name = {trace.name: trace for trace in latencies_figure(canary_of(records, drift_tolerance=None)).data}
    assert len(by_name["median"].x) == MOST_NETWORKS + 1
    assert list(by_name["doubtful"].x) == [4321]
