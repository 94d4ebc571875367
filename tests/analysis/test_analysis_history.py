from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from archsearch.analysis.front import front_of
from archsearch.analysis.history import hypervolume_history
from archsearch.errors import ConfigError
from archsearch.records import Record, TrialStatus

Make = Callable[..., Record]
OBJECTIVES = (("error_percent", "latency_ms"), ("error_percent", "latency_ms", "params"))
CORNERS = {2: (90.0, 10.0), 3: (90.0, 10.0, 3e6)}


def drawn(make_record: Make, count: int, seed: int = 0) -> list[Record]:
    """Records on a coarse grid: many ties and duplicates, some that failed or were stopped, rejected, running."""
    generator = np.random.default_rng(seed)
    statuses = [TrialStatus.COMPLETE] * 12 + [
        TrialStatus.FAILED,
        TrialStatus.STOPPED,
        TrialStatus.REJECTED,
        TrialStatus.REPLAY,
        TrialStatus.RUNNING,
    ]
    return [
        make_record(
            trial,
            top1=float(generator.integers(15, 60)),
            p10=float(generator.integers(10, 60)) / 10.0,
            params=int(generator.integers(1, 12)) * 100_000,
            status=statuses[int(generator.integers(len(statuses)))],
        )
        for trial in range(count)
    ]


@pytest.mark.parametrize("objectives", OBJECTIVES, ids=len)
@pytest.mark.parametrize("noise_floor", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("seed", range(2))
def test_each_step_is_the_hypervolume_of_the_front_of_the_records_so_far(
    make_record: Make, objectives: tuple[str, ...], noise_floor: float, seed: int
) -> None:
    records = drawn(make_record, 60, seed)
    corner = CORNERS[len(objectives)]
    history = hypervolume_history(records, objectives, corner, noise_floor=noise_floor, shuffles=0)
    assert len(history.steps) > 35
    for step in history.steps:
        so_far = [record for record in records if record.trial <= step.trial]
        front = front_of(so_far, objectives, corner, noise_floor=noise_floor)
        assert step.hypervolume == pytest.approx(front.hypervolume, rel=1e-12, abs=1e-12)
        assert step.share == pytest.approx(front.hypervolume_share, rel=1e-12, abs=1e-12)
        assert step.on_front == (step.trial in {row.record.trial for row in front.members})


def test_the_volume_is_that_of_the_hand(make_record: Make) -> None:
    # against (100, 10): error 50 at 5 ms fills 50 x 5 = 250; error 40 at 8 ms adds 10 x 2 ... (100-40) x (10-8) = 120,
    # of which 50 x 2 is there already: 270; error 60 at 6 ms is dominated
    records = [
        make_record(0, top1=50.0, p10=5.0),
        make_record(1, top1=60.0, p10=8.0),
        make_record(2, top1=40.0, p10=6.0),
    ]
    history = hypervolume_history(records, reference_point=(100.0, 10.0))
    assert [step.hypervolume for step in history.steps] == [250.0, 270.0, 270.0]
    assert [step.share for step in history.steps] == [0.25, 0.27, 0.27]
    assert [step.on_front for step in history.steps] == [True, True, False]
    assert [step.seconds for step in history.steps] == [40.0, 80.0, 120.0]


def test_it_never_falls_with_ties_either_and_the_shuffles_end_where_it_ends(make_record: Make) -> None:
    history = hypervolume_history(drawn(make_record, 120), reference_point=CORNERS[2], noise_floor=0.1)
    shares = [step.share for step in history.steps]
    assert shares == sorted(shares)
    assert history.shuffled[0].ended == 1
    last = history.shuffled[-1]
    assert (last.ended, last.low, last.high) == (len(shares), pytest.approx(shares[-1]), pytest.approx(shares[-1]))
    assert all(step.low - 1e-12 <= step.mean <= step.high + 1e-12 for step in history.shuffled)


def test_a_network_level_with_a_member_is_off_the_front_where_a_more_accurate_one_is_within_the_floor(
    make_record: Make,
) -> None:
    # ties below 10 %: 1.00 and 1.08 are level (1.10), and 1.15 is slower than 1.00 but not than 1.08 (1.188)
    records = [
        make_record(trial, top1=top1, p10=p10) for trial, (top1, p10) in enumerate([(61, 1.15), (60, 1.00), (60, 1.08)])
    ]
    history = hypervolume_history(records, reference_point=CORNERS[2], noise_floor=0.1, shuffles=0)
    assert [step.on_front for step in history.steps] == [True, True, False]
    front = front_of(records, reference_point=CORNERS[2], noise_floor=0.1)
    assert sorted(row.record.trial for row in front.members) == [0, 1]


def test_records_sorted_from_the_worst_lie_below_the_shuffles_and_from_the_best_above(make_record: Make) -> None:
    rising = [make_record(trial, top1=20.0 + trial / 2.0, p10=8.0 - trial / 20.0) for trial in range(100)]
    falling = [replace(record, trial=99 - record.trial) for record in rising]
    for records, side in ((rising, -1), (falling, 1)):
        history = hypervolume_history(records, reference_point=CORNERS[2])
        share = {step.ended: step.share for step in history.steps}
        middle = [step for step in history.shuffled if 5 <= step.ended <= 50]
        assert middle
        assert all((share[step.ended] - step.mean) * side > 0 for step in middle)


def test_only_trials_that_count_are_steps(make_record: Make) -> None:
    records = [make_record(trial, status=status) for trial, status in enumerate(TrialStatus)]
    history = hypervolume_history(records, reference_point=CORNERS[2])
    assert [step.status.value for step in history.steps] == ["complete", "stopped", "failed"]
    assert [step.ended for step in history.steps] == [1, 2, 3]
    # running 0 has not ended; complete 1, stopped 2, failed 3 took 40 s each
    assert [step.seconds for step in history.steps] == [40.0, 80.0, 120.0]


def test_the_time_of_a_trial_that_was_promoted_is_not_lost_with_its_status(make_record: Make) -> None:
    records = [
        make_record(0, status=TrialStatus.INTERRUPTED, reason="promoted: goes on as another trial", epochs=2),
        make_record(1),
        make_record(2, arch_id=f"{0:012x}"),
        replace(make_record(3, status=TrialStatus.INTERRUPTED, top1=None), seconds=None),  # cut off by Ctrl-C
        make_record(4),
    ]
    history = hypervolume_history(records, reference_point=CORNERS[2])
    # trials of 40 s; what a trial that was cut off took is not known
    assert [(step.trial, step.seconds) for step in history.steps] == [(1, 80.0), (2, 120.0), (4, 160.0)]


@pytest.mark.parametrize("status", [TrialStatus.FAILED, TrialStatus.REJECTED])
def test_without_a_complete_trial_there_is_no_volume(make_record: Make, status: TrialStatus) -> None:
    records = [make_record(trial, status=status, top1=None, p10=None) for trial in range(5)]
    history = hypervolume_history(records, reference_point=CORNERS[2])
    if status is TrialStatus.FAILED:
        assert [step.hypervolume for step in history.steps] == [0.0] * 5
        assert all(step.high == 0.0 for step in history.shuffled)
    else:
        assert (history.steps, history.reason) == ((), "no trial that counts has ended")


def test_nothing_one_and_equal_records(make_record: Make) -> None:
    assert hypervolume_history([], reference_point=CORNERS[2]).reason == "no trial has ended yet"
    one = hypervolume_history([make_record(0, top1=50.0, p10=5.0)], reference_point=(100.0, 10.0))
    assert ([step.share for step in one.steps], one.shuffled) == ([0.25], ())
    equal = hypervolume_history([make_record(trial) for trial in range(9)], reference_point=CORNERS[2], noise_floor=0.1)
    assert len({step.share for step in equal.steps}) == 1
    assert all(step.on_front for step in equal.steps)


def test_without_a_reference_point_it_says_so(make_record: Make) -> None:
    history = hypervolume_history([make_record(0)])
    assert (history.trials, history.steps) == (1, ())
    assert "no reference point" in history.reason


def test_a_value_that_is_not_finite_adds_nothing(make_record: Make) -> None:
    records = [make_record(0, p10=5.0), make_record(1, p10=float("nan")), make_record(2, top1=float("inf"))]
    history = hypervolume_history(records, reference_point=CORNERS[2])
    assert len({step.hypervolume for step in history.steps}) == 1
    assert [step.on_front for step in history.steps] == [True, False, False]


def test_ten_thousand_trials(make_record: Make) -> None:
    records = drawn(make_record, 10_000)
    history = hypervolume_history(records, reference_point=CORNERS[2], noise_floor=0.02, shuffles=5)
    front = front_of(records, reference_point=CORNERS[2], noise_floor=0.02)
    assert history.steps[-1].hypervolume == pytest.approx(front.hypervolume)
    assert len(history.shuffled) <= 60


def test_what_does_not_fit_is_refused(make_record: Make) -> None:
    with pytest.raises(ConfigError, match="2 or 3"):
        hypervolume_history([], ("error_percent",), (1.0,))
    with pytest.raises(ConfigError, match="reference_point"):
        hypervolume_history([], reference_point=(1.0,))
