"""The front evaluated again: means with both intervals filled, the search's own values hollow."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint
from archsearch.designs import Design, DesignPoint
from archsearch.noise import NO_FLOOR
from archsearch.plots.confirmed import confirmed_info
from archsearch.plots.confirmed_figure import confirmed_figure

MARKUP = "<script>alert(1)</script>"


def point(name: str, error: float, latency: float, **changes: Any) -> ConfirmedPoint:
    facts: dict[str, Any] = {
        "point": DesignPoint(name=name, family="f", choices={}, arch_id=name, trial=changes.pop("trial", 7)),
        "n": 5,
        "error_percent": error,
        "error_low": error - 1.0,
        "error_high": error + 2.0,
        "latency_ms": latency,
        "latency_low": latency - 0.1,
        "latency_high": latency + 0.3,
        "params": 1,
        "macs": 1,
        "values": (error, latency),
        "on_front": True,
        "probability_on_front": 0.625,
        "original_values": (error - 3.0, latency - 0.2),
        "was_on_front": True,
        "sentence": f"{name} was evaluated again",
    }
    return ConfirmedPoint(**{**facts, **changes})


def confirmed(*points: ConfirmedPoint, **changes: Any) -> Confirmed:
    facts: dict[str, Any] = {
        "design": Design(purpose="confirm", of="s", points=tuple(each.point for each in points), seeds=(0, 1, 2, 3, 4)),
        "objectives": ("error_percent", "latency_ms"),
        "points": points,
        "confidence": 0.95,
        "noise_floor": NO_FLOOR,
        "draws": 4000,
        "method": "",
        "warnings": (),
    }
    return Confirmed(**{**facts, **changes})


def test_an_error_interval_becomes_a_top1_interval_the_other_way_round() -> None:
    mark = confirmed_info(confirmed(point("trial 7", 40.0, 2.0)), study="s").marks[0]
    # error 40, 39 to 42: top-1 60, 58 to 61
    assert (mark.top1_low_percent, mark.top1_percent, mark.top1_high_percent) == (58.0, 60.0, 61.0)
    assert (mark.latency_low_ms, mark.latency_ms, mark.latency_high_ms) == pytest.approx((1.9, 2.0, 2.3))
    assert (mark.original_top1_percent, mark.original_latency_ms) == pytest.approx((63.0, 1.8))
    assert mark.probability_on_front == 0.625


def test_the_search_s_values_are_hollow_and_the_means_filled_with_bars_both_ways() -> None:
    info = confirmed_info(confirmed(point("a", 40.0, 2.0), point("b", 45.0, 3.0, on_front=False)), study="s")
    traces = {trace.name.split(" (")[0]: trace for trace in confirmed_figure(info).data if trace.name}
    hollow = traces["as the search found them"]
    assert hollow.marker.symbol.endswith("-open")
    assert list(hollow.y) == [63.0, 58.0]
    assert hollow.error_x.array is None
    on, off = traces["means on the front"], traces["means dominated"]
    assert list(on.error_y.array) == pytest.approx([1.0]) and list(on.error_y.arrayminus) == pytest.approx([2.0])
    assert list(on.error_x.array) == pytest.approx([0.3]) and list(on.error_x.arrayminus) == pytest.approx([0.1])
    assert (on.marker.symbol, on.marker.color) != (off.marker.symbol, off.marker.color)
    assert [list(each) for each in on.customdata] == [[7]]


def test_probabilities_stand_beside_the_points() -> None:
    unknown = point("trial 9", 30.0, 4.0, probability_on_front=None, trial=None)
    info = confirmed_info(confirmed(point("trial 7", 40.0, 2.0), unknown), study="s")
    assert [each.text for each in confirmed_figure(info).layout.annotations] == ["7: 62 %", "9"]


def test_points_without_intervals_originals_or_trials_are_drawn_or_named() -> None:
    bare = {"error_low": None, "error_high": None, "latency_low": None, "latency_high": None}
    single = point("single", 40.0, 2.0, original_values=None, was_on_front=None, **bare)
    failed = point("failed", math.nan, math.nan, n=0, values=(), **bare)
    info = confirmed_info(confirmed(single, failed), study="s")
    assert info == confirmed_info(confirmed(single, failed), study="s")
    assert info.missing == ("failed",)
    assert "1 without a complete trial" in info.subtitle[0]
    assert [trace.name for trace in confirmed_figure(info).data] == ["means on the front (1)"]
    assert confirmed_info(confirmed(failed), study="s").empty == "No trial of the confirmation is complete yet"
    assert "archsearch confirm" in (confirmed_info(None, study="s").empty or "")


def test_how_much_of_the_front_stays_is_said() -> None:
    gone = point("b", 45.0, 3.0, probability_on_front=0.2)
    info = confirmed_info(confirmed(point("a", 40.0, 2.0), gone), study="s")
    assert "1 of 2 of the search's front are more probably on it than not" in info.subtitle[1]


def test_objectives_in_another_order_are_read_by_name() -> None:
    found = confirmed(
        point("a", 40.0, 2.0, original_values=(1.5, 900.0, 38.0)), objectives=("latency_ms", "params", "error_percent")
    )
    mark = confirmed_info(found, study="s").marks[0]
    assert (mark.original_latency_ms, mark.original_top1_percent) == (1.5, 62.0)


def test_names_stay_text() -> None:
    info = confirmed_info(confirmed(point(MARKUP, 40.0, 2.0, sentence=MARKUP), warnings=(MARKUP,)), study=MARKUP)
    assert "<script" not in json.dumps(confirmed_figure(info).to_plotly_json(), default=str)
