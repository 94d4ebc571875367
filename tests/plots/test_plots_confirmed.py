"""The front evaluated again: means with both intervals filled, the search's own values hollow."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint
from archsearch.designs import Design, DesignPoint
from archsearch.noise import NO_FLOOR
from archsearch.plots.confirmed import confirmed_figure

MARKUP = "<script>alert(1)</script>"


def point(label: str, top1: float, latency: float, **changes: Any) -> ConfirmedPoint:
    facts: dict[str, Any] = {
        "label": label,
        "trial": 7,
        "variant": None,
        "arch_id": label,
        "n": 5,
        "seeds": (0, 1, 2, 3, 4),
        "top1_percent": top1,
        "top1_low_percent": top1 - 2.0,
        "top1_high_percent": top1 + 1.0,
        "latency_ms": latency,
        "latency_low_ms": latency - 0.1,
        "latency_high_ms": latency + 0.3,
        "params": 1,
        "macs": 1,
        "values": (100.0 - top1, latency),
        "on_front": True,
        "probability_on_front": 0.625,
        "searched_top1_percent": top1 + 3.0,
        "searched_latency_ms": latency - 0.2,
        "was_on_front": True,
        "sentence": "evaluated again",
    }
    return ConfirmedPoint(**{**facts, **changes})


def confirmed(*points: ConfirmedPoint, **changes: Any) -> Confirmed:
    named = tuple(DesignPoint(name=each.label, family="f", choices={}, arch_id=each.arch_id) for each in points)
    facts: dict[str, Any] = {
        "design": Design(purpose="confirm", of="s", points=named, seeds=(0, 1, 2, 3, 4)),
        "design_study": "s.confirm-000000",
        "objectives": ("error_percent", "latency_ms"),
        "points": points,
        "knee": None,
        "confidence": 0.95,
        "noise_floor": NO_FLOOR,
        "draws": 4000,
        "method": "",
        "warnings": (),
    }
    return Confirmed(**{**facts, **changes})


def test_the_search_s_values_are_hollow_and_the_means_filled_with_bars_both_ways() -> None:
    found = confirmed(point("a", 60.0, 2.0), point("b", 55.0, 3.0, on_front=False))
    traces = {trace.name.split(" (")[0]: trace for trace in confirmed_figure(found).data if trace.name}
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
    unknown = point("trial 9", 70.0, 4.0, probability_on_front=None, trial=None)
    figure = confirmed_figure(confirmed(point("trial 7", 60.0, 2.0), unknown))
    assert [each.text for each in figure.layout.annotations] == ["7: 62 %", "9"]


def test_points_without_intervals_searched_values_or_trials_are_drawn_or_named() -> None:
    ends = ("top1_low_percent", "top1_high_percent", "latency_low_ms", "latency_high_ms")
    none: dict[str, Any] = dict.fromkeys((*ends, "searched_top1_percent", "searched_latency_ms", "was_on_front"))
    single = point("single", 60.0, 2.0, **none)
    failed = point("failed", math.nan, math.nan, n=0, values=(), **none)
    found = confirmed(single, failed)
    assert "1 without a complete trial" in found.subtitle[0]
    (trace,) = confirmed_figure(found).data
    assert (trace.name, list(trace.error_y.array)) == ("means on the front (1)", [0.0])
    assert confirmed(failed).empty == "No trial of the confirmation is complete yet"
    assert "complete yet" in confirmed_figure(confirmed(failed)).layout.annotations[0].text


def test_how_much_of_the_front_stays_is_said_where_probabilities_are_known() -> None:
    gone = point("b", 55.0, 3.0, probability_on_front=0.2)
    found = confirmed(point("a", 60.0, 2.0), gone)
    assert found.sentences[0] == "1 of 2 networks of the searched front is more probably on it than not: a."
    assert "1 of 2 networks" in confirmed_figure(found).layout.title.text
    unknown = confirmed(point("a", 60.0, 2.0, probability_on_front=None), draws=0)
    assert not any("probably" in sentence for sentence in unknown.sentences)


def test_the_tables_hold_intervals_probabilities_and_what_the_search_had_found() -> None:
    again, beside = confirmed(point("trial 7", 60.0, 2.0), knee="trial 7").tables()
    assert again.dicts() == [
        {
            "label": "trial 7",
            "trial": 7,
            "n": 5,
            "top1_percent": 60.0,
            "top1_percent_low": 58.0,
            "top1_percent_high": 61.0,
            "latency_ms": 2.0,
            "latency_ms_low": pytest.approx(1.9),
            "latency_ms_high": pytest.approx(2.3),
            "probability_on_front": 0.625,
        }
    ]
    assert again.marked == {0}
    assert again.columns[5].show(again.rows[0][5]) == "62 %"
    row = beside.dicts()[0]
    assert (row["searched_top1_percent"], row["top1_percent"], row["was_on_front"]) == (63.0, 60.0, True)


def test_names_stay_text() -> None:
    found = confirmed(point(MARKUP, 60.0, 2.0, sentence=MARKUP), warnings=(MARKUP,))
    assert "<script" not in json.dumps(confirmed_figure(found).to_plotly_json(), default=str)
