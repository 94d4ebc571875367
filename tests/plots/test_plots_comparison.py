"""The same networks on two sides: what each measured, which front they are on, and who moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from archsearch.analysis.comparison import Comparison, Side, compare_studies
from archsearch.plots.comparison import MOST_DRAWN, comparison_figure
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


def compared(make_record: Make, **changes: Any) -> Comparison:
    return compare_studies(sides(make_record, **changes))


def points(found: Comparison, axis: str) -> dict[str, tuple[float, float]]:
    """The networks of one panel by name: what stands in its hover text, and where."""
    return {
        hover.partition("</b>")[0].removeprefix("<b>"): (x, y)
        for trace in comparison_figure(found).data
        if trace.mode == "markers" and trace.xaxis == axis
        for hover, x, y in zip(trace.hovertext, trace.x, trace.y, strict=True)
    }


def test_two_sides_are_compared_by_latency_and_by_accuracy(make_record: Make) -> None:
    found = compared(make_record)
    assert points(found, "x") == {name: (first[0], second[0]) for name, (first, second) in NETWORKS.items()}
    assert points(found, "x2") == {name: (first[1], second[1]) for name, (first, second) in NETWORKS.items()}
    # latency: a c b d e against a d b c e: of 10 pairs b-c, c-d and b-d are the other way round: tau = (7 - 3) / 10
    texts = [each.text for each in comparison_figure(found).layout.annotations]
    assert any("Latency: Kendall tau 0.40" in text for text in texts)


def test_fronts_are_told_apart_by_sign_and_colour(make_record: Make) -> None:
    traces = [trace for trace in comparison_figure(compared(make_record)).data if trace.mode == "markers"]
    kinds = {name: sorted(trace.hovertext) for trace in traces if trace.xaxis == "x" for name in [trace.name]}
    assert {name: [text[3] for text in texts] for name, texts in kinds.items()} == {
        "on both fronts": ["a", "e"],
        "on one of the two fronts": ["b", "d"],
        "on neither front": ["c"],
    }
    looks = {trace.name: (trace.marker.symbol, trace.marker.color) for trace in traces}
    assert len(set(looks.values())) == len({symbol for symbol, _ in looks.values()}) == 3
    assert sum(trace.showlegend for trace in traces) == 3


def test_movers_are_labelled_with_their_ranks(make_record: Make) -> None:
    labels = {each.text for each in comparison_figure(compared(make_record)).layout.annotations}
    assert {"b: 3 → 3", "c: 2 → 4", "d: 4 → 2"} <= labels


def test_several_sides_are_each_compared_with_the_first(make_record: Make) -> None:
    figure = comparison_figure(compare_studies(sides(make_record, names=("a", "b", "c", "d", "e"))))
    axes = [figure.layout[f"yaxis{number}"].title.text for number in ("", 2, 3)]
    assert axes == ["Latency (ms): b", "Latency (ms): c", "Latency (ms): d"]
    assert "3 of 4 are drawn" in figure.layout.title.text
    assert len({trace.xaxis for trace in figure.data}) == 3


def test_what_is_not_alike_is_named(make_record: Make) -> None:
    first, _ = sides(make_record)
    _, second = sides(make_record, batch=8)
    assert "batch differs (1 against 8)" in comparison_figure(compare_studies([first, second])).layout.title.text


def test_without_shared_networks_the_figure_says_why(make_record: Make) -> None:
    other = Side(name="gpu", records=(make_record(9, arch_id="elsewhere"),))
    found = compare_studies([sides(make_record)[0], other])
    assert comparison_figure(found).layout.annotations[-1].text == "Nothing to compare: no network is in all of them"


def test_thousands_of_networks_are_thinned_in_the_figure_alone(make_record: Make) -> None:
    # slower and slower, and ever less accurate: the first alone is on a front, and nobody moves
    records = tuple(make_record(trial, p10=1.0 + trial, top1=60.0 - trial / 200) for trial in range(10_000))
    found = compare_studies([Side(name="a", records=records), Side(name="b", records=records)])
    figure = comparison_figure(found)
    drawn = [trace for trace in figure.data if trace.mode == "markers" and trace.xaxis == "x"]
    assert sum(len(trace.x) for trace in drawn) == MOST_DRAWN + 1
    assert f"{MOST_DRAWN + 1:,} of 10,000 networks are drawn" in figure.layout.title.text
    assert len(found.tables()[0].rows) == 10_000


def test_names_stay_text(make_record: Make) -> None:
    named = [
        Side(
            name=f"{MARKUP}{place}",
            records=(make_record(0, variant=MARKUP, arch_id="x"), make_record(1, p10=7 - place)),
        )
        for place in (1, 2)
    ]
    assert "<script" not in json.dumps(comparison_figure(compare_studies(named)).to_plotly_json(), default=str)
