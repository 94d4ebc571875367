"""The same networks on two sides: what each measured, which front they are on, and who moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from archsearch.analysis.comparison import Side, compare_studies
from archsearch.plots.comparison import (
    NEITHER,
    ComparedNetwork,
    ComparisonInfo,
    ComparisonPanel,
    comparison_info,
    comparison_tables,
)
from archsearch.plots.comparison_figure import MOST_DRAWN, comparison_figure
from archsearch.records import Record

Make = Callable[..., Record]
MARKUP = "<script>alert(1)</script>"
# name: (latency, top-1) on each of two sides. On both fronts: a and e. b is on the first alone, d on the second, where
# it is faster and more accurate than b; c is behind a on both.
NETWORKS = {
    "a": ((1.0, 40.0), (2.0, 40.0)),
    "b": ((3.0, 50.0), (8.0, 50.0)),
    "c": ((2.0, 39.0), (9.0, 39.0)),
    "d": ((4.0, 49.0), (5.0, 51.0)),
    "e": ((6.0, 60.0), (12.0, 60.0)),
}


def sides(make_record: Make, names: tuple[str, ...] = ("cpu", "gpu"), **changes: Any) -> list[Side]:
    found = []
    for place, name in enumerate(names):
        records = []
        for trial, (label, values) in enumerate(NETWORKS.items()):
            p10, top1 = values[min(place, 1)]
            # the tests' records have no reference of a study, so their p10 is what ranks them
            records.append(make_record(trial, p10=p10, top1=top1, variant=label, arch_id=label, **changes))
        found.append(Side(name=name, records=tuple(records)))
    return found


def compared(make_record: Make, **changes: Any) -> ComparisonInfo:
    return comparison_info(compare_studies(sides(make_record, **changes)), study="s")


def test_two_sides_are_compared_by_latency_and_by_accuracy(make_record: Make) -> None:
    info = compared(make_record)
    assert [panel.quantity for panel in info.panels] == ["latency_ms", "top1_percent"]
    latency, top1 = info.panels
    assert {each.label: (each.first, each.second) for each in latency.networks} == {
        name: (first[0], second[0]) for name, (first, second) in NETWORKS.items()
    }
    assert {each.label: (each.first, each.second) for each in top1.networks} == {
        name: (first[1], second[1]) for name, (first, second) in NETWORKS.items()
    }
    # latency: a c b d e against a d b c e: of 10 pairs b-c, c-d and b-d are the other way round: tau = (7 - 3) / 10
    assert "Kendall tau 0.40" in latency.agreement


def test_fronts_are_told_apart_by_sign_and_colour(make_record: Make) -> None:
    info = compared(make_record)
    kinds = {each.label: each.kind for each in info.panels[0].networks}
    assert kinds == {
        "a": "on both fronts",
        "b": "on one of the two fronts",
        "c": "on neither front",
        "d": "on one of the two fronts",
        "e": "on both fronts",
    }
    traces = [trace for trace in comparison_figure(info).data if trace.mode == "markers"]
    looks = {trace.name: (trace.marker.symbol, trace.marker.color) for trace in traces}
    assert len(set(looks.values())) == len({symbol for symbol, _ in looks.values()}) == 3
    assert sum(trace.showlegend for trace in traces) == 3


def test_movers_are_labelled_with_their_ranks(make_record: Make) -> None:
    info = compared(make_record)
    assert {each.text for each in info.panels[0].movers} == {"b: 3 → 3", "c: 2 → 4", "d: 4 → 2"}
    labels = [each.text for each in comparison_figure(info).layout.annotations]
    assert "c: 2 → 4" in labels


def test_several_sides_are_each_compared_with_the_first(make_record: Make) -> None:
    found = compare_studies(sides(make_record, names=("a", "b", "c", "d", "e")))
    info = comparison_info(found, study="s")
    assert [(panel.first, panel.second) for panel in info.panels] == [("a", "b"), ("a", "c"), ("a", "d")]
    assert "3 of 4 are drawn" in info.subtitle[0]
    assert len({trace.xaxis for trace in comparison_figure(info).data}) == 3


def test_what_is_not_alike_is_named(make_record: Make) -> None:
    first, _ = sides(make_record)
    _, second = sides(make_record, batch=8)
    info = comparison_info(compare_studies([first, second]), study="s")
    assert any("batch: 1 against 8" in line for line in info.subtitle)


def test_without_shared_networks_the_figure_says_why(make_record: Make) -> None:
    assert "archsearch compare" in (comparison_info(None, study="s").empty or "")
    other = Side(name="gpu", records=(make_record(9, arch_id="elsewhere"),))
    info = comparison_info(compare_studies([sides(make_record)[0], other]), study="s")
    assert (info.empty or "").startswith("No network to compare")
    assert comparison_figure(info).layout.annotations[-1].text == info.empty


def test_thousands_of_networks_are_thinned_in_the_figure_alone() -> None:
    networks = tuple(
        ComparedNetwork(arch_id=str(trial), label=str(trial), first=1.0 + trial, second=2.0 + trial, kind=NEITHER)
        for trial in range(10_000)
    )
    panel = ComparisonPanel(
        quantity="latency_ms", first="a", second="b", agreement="", networks=networks, movers=(), log=True
    )
    info = ComparisonInfo(title="", subtitle=(), warnings=(), panels=(panel,), empty=None)
    figure = comparison_figure(info)
    assert sum(len(trace.x) for trace in figure.data if trace.mode == "markers") == MOST_DRAWN
    assert f"{MOST_DRAWN:,} of 10,000 networks are drawn" in figure.layout.title.text
    assert len(comparison_tables(info)[0].rows) == 10_000


def test_names_stay_text(make_record: Make) -> None:
    named = [
        Side(
            name=f"{MARKUP}{place}",
            records=(make_record(0, variant=MARKUP, arch_id="x"), make_record(1, p10=7 - place)),
        )
        for place in (1, 2)
    ]
    info = comparison_info(compare_studies(named), study=MARKUP)
    assert "<script" not in json.dumps(comparison_figure(info).to_plotly_json(), default=str)
