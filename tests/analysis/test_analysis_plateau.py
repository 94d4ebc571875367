"""When a study gains nothing any more: by hand, in a box of 100 % error and 10 ms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from archsearch.analysis.history import FLAT, plateau_of
from archsearch.errors import ConfigError
from archsearch.records import Record, TrialStatus

OBJECTIVES = ("error_percent", "latency_ms")
POINT = {"error_percent": 100.0, "latency_ms": 10.0}


@pytest.fixture
def at(make_record: Callable[..., Record]) -> Callable[..., Record]:
    """A complete record at an error (percent) and a latency (ms), the trial's number first."""

    def make(trial: int, error: float, latency_ms: float, status: TrialStatus = TrialStatus.COMPLETE) -> Record:
        record = make_record(trial, top1=100.0 - error, p10=latency_ms)
        return replace(record, status=status)

    return make


def judged(records: list[Record], *, trials: int, noise_floor: float = 0.0) -> object:
    return plateau_of(records, OBJECTIVES, POINT, trials=trials, noise_floor=noise_floor)


def test_dominated_trials_are_a_plateau(at: Callable[..., Record]) -> None:
    found = judged([at(0, 50, 5), at(1, 60, 6), at(2, 50, 5)], trials=2)
    # one point at (50, 5) below (100, 10): 50 x 5
    assert (found.before, found.after, found.growth, found.flat) == (250.0, 250.0, 0.0, True)


def test_a_new_point_of_the_front_is_none(at: Callable[..., Record]) -> None:
    found = judged([at(0, 50, 5), at(1, 60, 6), at(2, 40, 6)], trials=2)
    # (40, 6) adds 10 x 4: the strip from 40 to 50 % error, from 6 to 10 ms
    assert (found.before, found.after) == (250.0, 290.0)
    assert found.growth == pytest.approx(0.16)
    assert not found.flat


def test_a_gain_before_the_last_trials_does_not_count(at: Callable[..., Record]) -> None:
    records = [at(0, 50, 5), at(1, 40, 6), at(2, 60, 6)]
    assert judged(records, trials=1).flat
    assert not judged(records, trials=2).flat


@pytest.mark.parametrize(("error", "flat"), [(49.99, True), (49.0, False)])
def test_less_than_a_thousandth_is_flat(at: Callable[..., Record], error: float, flat: bool) -> None:
    # from 50 to 49.99 %: 0.01 x 5 of 250, a fifth of a thousandth; to 49 %: 1 x 5, twenty thousandths
    found = judged([at(0, 50, 5), at(1, error, 5)], trials=1)
    assert found.growth == pytest.approx((50 - error) * 5 / 250)
    assert found.flat is flat
    assert FLAT == 0.001


@pytest.mark.parametrize(("noise_floor", "flat"), [(0.0, False), (0.03, False), (0.05, True)])
def test_a_latency_within_the_noise_floor_gains_nothing(
    at: Callable[..., Record], noise_floor: float, flat: bool
) -> None:
    # 4.8 ms is 4 % below 5 ms: with a floor of 3 % it counts as 4.944 ms, with one of 5 % as 5.04 ms
    found = judged([at(0, 50, 5), at(1, 50, 4.8)], trials=1, noise_floor=noise_floor)
    assert found.flat is flat
    assert found.after == pytest.approx(50 * (10 - min(4.8 * (1 + noise_floor), 5.0)))


def test_failed_and_stopped_trials_count_and_others_do_not(at: Callable[..., Record]) -> None:
    first = [at(0, 50, 5), at(1, 40, 6)]
    ended = [at(2, 1, 1, TrialStatus.FAILED), at(3, 1, 1, TrialStatus.STOPPED)]
    others = [
        at(4 + number, 1, 1, status)
        for number, status in enumerate(
            (TrialStatus.RUNNING, TrialStatus.REPLAY, TrialStatus.REJECTED, TrialStatus.INTERRUPTED)
        )
    ]
    assert judged([*first, *others], trials=1).flat is False
    assert judged([*first, *ended, *others], trials=2).flat
    assert judged([*others, *reversed([*first, *ended])], trials=3).flat is False  # by number, not as they come


def test_nothing_is_said_too_early(at: Callable[..., Record]) -> None:
    assert judged([], trials=1) is None
    assert judged([at(0, 50, 5)], trials=1) is None
    assert judged([at(0, 50, 11), at(1, 50, 12)], trials=1) is None  # none is better than the reference point
    assert plateau_of([at(0, 50, 5), at(1, 50, 5)], OBJECTIVES, None, trials=1) is None


def test_a_plateau_of_no_trials_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 trial"):
        judged([], trials=0)
