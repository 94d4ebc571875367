"""Learning curves of a study: who stands out, where a rule spoke, and what is only counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from archsearch.analysis.history import LearningCurve, learning_curves
from archsearch.plots.history import MOST_CURVES, learning_curves_figure
from archsearch.records import EarlyStop, Epoch, Record, TrialStatus

Make = Callable[..., Record]


def _curve(*top1: float) -> tuple[Epoch, ...]:
    return tuple(
        Epoch(epoch=epoch, train_loss=1.0, top1_percent=value, learning_rate=0.1, train_seconds=1.0)
        for epoch, value in enumerate(top1, start=1)
    )


def _stop(*, stopped: bool, exempt: str = "") -> EarlyStop:
    return EarlyStop(
        policy="front", epoch=2, of_epochs=3, error_percent=75.0, expected_error_percent=61.5,
        optimistic_error_percent=58.0, stopped=stopped, exempt=exempt,
    )  # fmt: skip


@pytest.fixture
def records(make_record: Make) -> list[Record]:
    return [
        make_record(0, variant="named", top1=40, epochs=3, curve=_curve(10, 20, 40)),
        make_record(1, top1=50, epochs=3, curve=_curve(20, 30, 50)),
        replace(
            make_record(2, top1=25, epochs=2, curve=_curve(15, 25), status=TrialStatus.STOPPED),
            early_stop=_stop(stopped=True),
        ),
        replace(
            make_record(3, top1=35, epochs=3, curve=_curve(12, 25, 35)),
            early_stop=_stop(stopped=False, exempt="it checks the rule"),
        ),
        make_record(4, top1=None, status=TrialStatus.FAILED, reason="out of memory"),
        make_record(5, top1=30, epochs=3),
        make_record(6, top1=30, epochs=3, curve=_curve(1, 2, 3), status=TrialStatus.REPLAY),
    ]


def test_the_info_says_who_was_stopped_and_what_is_not_drawn(records: list[Record]) -> None:
    info = learning_curves(records, [1], study="s")
    assert info.subtitle == (
        "5 trainings of 3 epochs; 1 stopped early; 1 spared though the rule spoke; 1 failed without a score; "
        "1 without a stored curve",
    )
    assert info.curves[2] == LearningCurve(
        trial=2,
        label="trial 2",
        epochs=(1, 2),
        top1_percent=(15, 25),
        on_front=False,
        variant=False,
        stopped=True,
        rule="rule front after epoch 2 of 3, at 75.00 % error: expected 61.50 % at the end, at best 58.00 %",
        stop_epoch=2,
    )
    assert [(curve.trial, curve.on_front, curve.variant) for curve in info.curves] == [
        (0, False, True),
        (1, True, False),
        (2, False, False),
        (3, False, False),
    ]


def test_a_training_that_was_promoted_is_one_training_of_its_whole_schedule(make_record: Make) -> None:
    promoted = make_record(
        0, top1=25, epochs=2, curve=_curve(15, 25), status=TrialStatus.INTERRUPTED,
        reason="promoted: goes on as another trial",
    )  # fmt: skip
    went_on = make_record(1, top1=40, epochs=3, curve=_curve(15, 25, 40), arch_id=promoted.arch_id)
    info = learning_curves([replace(promoted, early_stop=_stop(stopped=True)), went_on], [1], study="s")
    assert info.subtitle == ("1 training of 3 epochs; none stopped early",)
    assert [(curve.trial, curve.epochs) for curve in info.curves] == [(1, (1, 2, 3))]


def test_a_network_with_two_names_was_trained_once(make_record: Make) -> None:
    named = [
        make_record(trial, variant=name, epochs=3, curve=_curve(10, 20, 50), arch_id="a" * 12)
        for trial, name in enumerate(("x", "x_authors"))
    ]
    info = learning_curves([*named, make_record(2, epochs=3, curve=_curve(10, 20, 50))], [0, 1], study="s")
    assert info.subtitle == ("2 trainings of 3 epochs; none stopped early",)
    assert [curve.label for curve in info.curves] == ["x", "x_authors", "trial 2"]


def test_a_stopped_curve_ends_with_a_cross_and_the_rules_reason(records: list[Record]) -> None:
    figure = learning_curves_figure(learning_curves(records, [1], study="s"))
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name) == [
        "other trials (2)",
        "named",
        "trial 1 · on the front",
        "stopped early (1)",
        "the rule spoke, but it went on (1)",
    ]
    cross = by_name["stopped early (1)"]
    assert (list(cross.x), list(cross.y), cross.customdata[0][0]) == ([2], [25], 2)
    assert "expected 61.50 %" in cross.hovertext[0]
    ring = by_name["the rule spoke, but it went on (1)"]
    assert (list(ring.x), list(ring.y)) == ([2], [25])
    assert "it checks the rule" in ring.hovertext[0]
    # one object of two curves, with a gap after each
    assert list(by_name["other trials (2)"].x) == [1, 2, None, 1, 2, 3, None]


def test_values_that_are_not_finite_are_left_out(make_record: Make) -> None:
    info = learning_curves([make_record(0, top1=10, curve=_curve(10.0, float("nan"), 12.0))], [], study="s")
    assert info.curves[0].epochs == (1, 3)


def test_of_very_many_curves_the_front_and_variants_stay(make_record: Make) -> None:
    records = [make_record(trial, top1=20, curve=_curve(10, 20)) for trial in range(MOST_CURVES + 500)]
    found = learning_curves(records, [7], study="s")
    figure = learning_curves_figure(found)
    assert len(found.tables()[0].rows) == MOST_CURVES + 500
    assert [(trace.name, len(trace.x)) for trace in figure.data] == [
        (f"other trials ({MOST_CURVES})", 3 * MOST_CURVES),  # two epochs and a gap
        ("trial 7 · on the front", 3),
    ]
    assert figure.layout.legend.title.text == f"{MOST_CURVES + 1:,} of {MOST_CURVES + 500:,} curves are drawn"
