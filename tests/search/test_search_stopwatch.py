"""What a trial's time goes into, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import asdict

from archsearch.records import Phases
from archsearch.search.measuring import Stopwatch


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_phase_within_another_interrupts_it_and_what_is_in_none_is_counted_to_none() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    clock.now = 1.0  # a second of nothing
    with watch.at("score"):
        clock.now = 3.0
        with watch.at("measure"):
            clock.now = 7.0
            with watch.at("wait"):
                clock.now = 15.0
            clock.now = 16.0
        clock.now = 32.0
    clock.now = 64.0
    watch.of_which("score", "train", 10.0)
    # score 2 + 16, of which 10 train; measure 4 + 1; wait 8
    assert watch.phases() == Phases(score_seconds=8.0, train_seconds=10.0, measure_seconds=5.0, wait_seconds=8.0)


def test_a_new_trial_begins_at_zero() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    with watch.at("sleep"):
        clock.now = 1.0
    watch.restart()
    assert set(asdict(watch.phases()).values()) == {0.0}


def test_a_phase_that_ends_by_an_error_ends() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    try:
        with watch.at("train"):
            clock.now = 1.0
            raise ValueError
    except ValueError:
        clock.now = 5.0
    assert watch.phases() == Phases(train_seconds=1.0)
