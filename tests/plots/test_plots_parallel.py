"""Parallel coordinates: the axes, the places on them, and which lines stand out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from archsearch.analysis.front import front_of
from archsearch.plots.parallel import MOST_CHOICES, MOST_LINES, Parallel, merged_stages, parallel_figure, parallel_of
from archsearch.records import Record

Make = Callable[..., Record]


def _info(records: Sequence[Record]) -> Parallel:
    return parallel_of(front_of(records), study="s")


@pytest.fixture
def records(make_record: Make) -> list[Record]:
    return [
        make_record(0, top1=50, p10=1.0, choices={"kernel": 3, "stem": "conv", "same": True}),
        make_record(1, top1=60, p10=3.0, choices={"kernel": 7, "stem": "ldc", "same": True}),
        make_record(2, top1=40, p10=2.0, choices={"kernel": 5, "stem": None, "same": True}),
    ]


def test_levels_stand_in_their_order_and_better_objectives_higher(records: list[Record]) -> None:
    info = _info(records)
    assert [axis.name for axis in info.axes] == ["kernel", "stem", "latency_ms", "error_percent"]
    assert info.axes[0].ticks == ((0.0, "3"), (0.5, "5"), (1.0, "7"))
    assert [text for _, text in info.axes[1].ticks] == ["conv", "ldc", "none"]
    places = {line.trial: line.places for line in info.lines}
    # 1 ms is best of 1 to 3 ms; 60 % is best of 40 to 60 %
    assert places == {0: (0.0, 0.0, 1.0, 0.5), 1: (1.0, 0.5, 0.0, 1.0), 2: (0.5, 1.0, 0.5, 0.0)}
    assert info.subtitle == ("3 networks, 2 on the front; 1 choice is the same in all",)


def test_the_share_of_the_errors_variance_is_the_correlation_ratio(make_record: Make) -> None:
    # errors 50, 40 | 20, 10: mean 30, means of the levels 45 and 15; 4 x 15^2 / (20^2 + 10^2 + 10^2 + 20^2) = 0.9
    records = [
        make_record(trial, top1=top1, choices={"a": a})
        for trial, (top1, a) in enumerate(((50, "x"), (60, "x"), (80, "y"), (90, "y")))
    ]
    assert _info(records).axes[0].explained == pytest.approx(0.9)


def test_a_choice_that_all_stages_share_in_every_network_is_one_axis() -> None:
    same = {"stage2.kernel": 3, "stage3.kernel": 3, "stage4.kernel": 3, "stem.kernel": 5}
    other = dict.fromkeys(same, 7)
    assert merged_stages([same, other]) == [
        {"stages 2-4 kernel": 3, "stem.kernel": 5},
        {"stages 2-4 kernel": 7, "stem.kernel": 7},
    ]
    mixed = {**other, "stage3.kernel": 4}
    assert merged_stages([same, mixed]) == [same, mixed]
    assert merged_stages([{"stage2.kernel": 3}]) == [{"stage2.kernel": 3}]


def test_the_front_is_drawn_last_and_strongest(records: list[Record]) -> None:
    figure = parallel_figure(_info(records))
    names = [trace.name for trace in figure.data]
    assert names == ["other trials (1)", "front (2)"]
    assert figure.data[1].line.width > figure.data[0].line.width
    assert [item[0] for item in figure.data[1].customdata] == [0] * 5 + [1] * 5  # four axes and a gap
    assert figure.data[1].hovertext[0] == "<b>trial 0</b>: Top-1 (%) 50.00 %"  # objectives first
    assert list(figure.layout.xaxis.ticktext) == ["Top-1 (%)", "Latency (ms)", "kernel", "stem"]


def test_lines_of_one_level_lie_apart_by_accuracy(make_record: Make) -> None:
    records = [
        make_record(trial, top1=50 + trial, p10=9 - trial, choices={"k": 3 if trial < 3 else 5}) for trial in range(4)
    ]
    figure = parallel_figure(_info(records))
    at_kernel = [y for trace in figure.data for x, y in zip(trace.x, trace.y, strict=True) if x == 2]
    trials = [item[0] for trace in figure.data for x, item in zip(trace.x, trace.customdata, strict=True) if x == 2]
    low = [y for _, y in sorted(zip(trials, at_kernel, strict=True))][:3]
    assert low == sorted(low)
    assert len(set(low)) == 3
    assert max(abs(y) for y in low) < 0.1


def test_of_many_choices_and_networks_those_that_tell_most_stay(make_record: Make) -> None:
    # every choice but the last alternates, at one of 30 paces, and the last is what the accuracy is made of
    choices = [{f"c{index:02d}": trial // (index + 1) % 2 for index in range(29)} for trial in range(600)]
    choices = [{**each, "c29": trial % 7} for trial, each in enumerate(choices)]
    records = [
        make_record(trial, top1=float(each["c29"]), choices=each, p10=1 + trial / 100)
        for trial, each in enumerate(choices)
    ]
    info = _info(records)
    assert len(info.axes) == MOST_CHOICES + 2
    assert info.axes[MOST_CHOICES - 1].name == "c29"
    assert MOST_LINES <= len(info.lines) < 600
    assert {line.trial for line in info.lines if line.on_front} == {
        row.record.trial for row in front_of(records).members
    }
    assert "18 of 30 choices that vary are drawn, those that go along most with the error" in info.subtitle[0]


def test_a_choice_that_another_family_lacks_is_a_level_of_its_own(make_record: Make) -> None:
    info = _info([make_record(0, choices={"kernel": 3}), make_record(1, choices={"groups": 2})])
    assert [[text for _, text in axis.ticks] for axis in info.axes[:2]] == [
        ["3", "not a choice"],
        ["2", "not a choice"],
    ]
