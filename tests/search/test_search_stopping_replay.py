"""A rule run over whole curves: who trains when, what it saved, what it lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from archsearch.search.stopping.base import Curve, Decision, StoppingSettings
from archsearch.search.stopping.replay import replay
from archsearch.search.stopping.rules import make_rule

CORNER = (100.0, 2.0)
# Errors after both epochs, all at 1 ms.
ERRORS = [(80, 50), (90, 40), (70, 45), (95, 60), (91, 30), (92, 35)]
HALVING = make_rule(StoppingSettings(policy="mo_asha", reduction=2), seed=0, noise_floor=0.0)


def curve(trial: int, *errors: float, latency_ms: float = 1.0) -> Curve:
    return Curve(trial=trial, errors=tuple(map(float, errors)), epochs=len(errors), known=(latency_ms,))


CURVES = [curve(trial, *errors) for trial, errors in enumerate(ERRORS)]


class Recorder:
    """Goes on with everything but what it is told to stop after the first epoch; keeps what it was shown."""

    def __init__(self, *stopped: int) -> None:
        self._stopped = stopped
        self.shown: list[tuple[int, int, dict[int, tuple[int, bool]]]] = []

    def decide(self, trial: Curve, others: Sequence[Curve]) -> Decision:
        assert trial.running
        self.shown.append(
            (trial.trial, len(trial.errors), {other.trial: (len(other.errors), other.running) for other in others})
        )
        stop = trial.trial in self._stopped
        return Decision(epoch=len(trial.errors), stop=stop, would_stop=stop)

    def promotable(self, curves: Sequence[Curve]) -> int | None:
        return None


def test_successive_halving_by_hand() -> None:
    """One rung at epoch 1 of 2, the better half goes on; four trials at one latency.

    0 goes on (the first), 1 stops (90 against 80), 2 goes on (70), 3 stops (95: the best two of four are 70 and 80).
    2 + 1 + 2 + 1 = 6 of 8 epochs. Below (100 %, 2 ms) trial 1 would have had (100 - 40) x 1 ms = 60, what is left is
    that of trial 2: 55, a loss of 5 / 60. The front of one latency is the best error: trial 1.
    """
    ended = replay(CURVES[:4], HALVING, reference_point=CORNER)
    assert (ended.trials, ended.epochs_full, ended.epochs_trained) == (4, 8, 6)
    assert ended.epochs_saved_share == 0.25
    assert (ended.stopped, ended.promoted) == ((1, 3), ())
    assert (ended.hypervolume_full, ended.hypervolume_kept) == (60.0, 55.0)
    assert ended.hypervolume_lost_share == pytest.approx(5 / 60)
    assert (ended.true_front, ended.false_stops) == ((1,), (1,))


def test_a_promoted_trial_goes_on_where_it_was_stopped() -> None:
    """Trials 4 and 5 stop too. Of six the best three are 70, 80 and 90: trial 1 has become one of them and goes on.

    2 + 2 + 2 + 1 + 1 + 1 = 9 of 12 epochs. The true front is trial 4 (30 %), and what is kept that of trial 1 (40 %).
    """
    ended = replay(CURVES, HALVING, reference_point=CORNER)
    assert (ended.epochs_full, ended.epochs_trained) == (12, 9)
    assert (ended.stopped, ended.promoted) == ((3, 4, 5), (1,))
    assert (ended.hypervolume_full, ended.hypervolume_kept) == (70.0, 60.0)
    assert ended.false_stops == (4,)


def test_published_networks_are_spared_and_the_rule_learns_of_their_ends() -> None:
    """Trial 3 would be stopped; spared it trains both epochs, and the decision says why."""
    ended = replay(CURVES[:4], HALVING, reference_point=CORNER, spare=[3])
    assert ended.stopped == (1,)
    said = ended.decisions[3][0]
    assert (said.stop, said.would_stop, said.exempt) == (False, True, "never stopped")
    assert (ended.calibration.spared, ended.calibration.on_front) == ((3,), ())


def test_a_rule_that_never_stops_saves_and_loses_nothing() -> None:
    never = make_rule(StoppingSettings(), seed=0, noise_floor=0.0)
    ended = replay(CURVES, never, reference_point=CORNER)
    assert (ended.epochs_saved_share, ended.hypervolume_lost_share) == (0.0, 0.0)
    assert (ended.stopped, ended.false_stops, ended.promoted) == ((), (), ())


def test_a_rule_sees_no_epoch_before_it_is_trained() -> None:
    """One worker: trial 0 alone, then trial 1 beside the whole trial 0, then trial 2 beside a stopped one."""
    rule = Recorder(1)
    replay(CURVES[:3], rule, reference_point=CORNER)
    assert rule.shown == [
        (0, 1, {}),
        (1, 1, {0: (2, False)}),
        (2, 1, {0: (2, False), 1: (1, False)}),
    ]


def test_workers_train_side_by_side() -> None:
    """Two workers: after the first epoch of trial 1, which stops, its worker takes trial 2; trial 0 ends meanwhile."""
    rule = Recorder(1)
    ended = replay(CURVES[:3], rule, reference_point=CORNER, workers=2)
    assert rule.shown == [
        (0, 1, {1: (0, True)}),
        (1, 1, {0: (1, True)}),
        (2, 1, {0: (2, False), 1: (1, False)}),
    ]
    assert ended.epochs_trained == 5


def test_more_workers_than_trials_are_no_error() -> None:
    assert replay(CURVES, HALVING, reference_point=CORNER, workers=50).trials == 6


def test_trials_go_in_the_order_of_their_numbers() -> None:
    assert replay(CURVES[::-1], HALVING, reference_point=CORNER) == replay(CURVES, HALVING, reference_point=CORNER)


def test_the_front_is_that_of_the_noise_floor_and_the_hypervolume_that_of_what_was_measured() -> None:
    """1 % slower is a tie: the more accurate one alone is on the front. Its rival's sliver is hypervolume all the same.

    (100 - 40) x (2 - 1.01) = 59.4 of the one; the other adds (100 - 50) x (1.01 - 1) = 0.5.
    """
    both = [curve(0, 80, 40, latency_ms=1.01), curve(1, 80, 50, latency_ms=1.0)]
    ended = replay(both, Recorder(1), reference_point=CORNER, noise_floor=0.02)
    assert (ended.true_front, ended.false_stops) == ((0,), ())
    assert (ended.hypervolume_full, ended.hypervolume_kept) == pytest.approx((59.9, 59.4))
    assert replay(both, Recorder(1), reference_point=CORNER).false_stops == (1,)


def test_a_study_that_keeps_nothing_has_lost_everything() -> None:
    ended = replay(CURVES[:2], Recorder(0, 1), reference_point=CORNER)
    assert (ended.hypervolume_kept, ended.hypervolume_lost_share) == (0.0, 1.0)


def test_a_study_beyond_its_reference_point_has_nothing_to_lose() -> None:
    assert replay(CURVES, Recorder(0), reference_point=(20.0, 2.0)).hypervolume_lost_share == 0.0


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        ([], "whole curves"),
        ([Curve(trial=0, errors=(50.0,), epochs=2, known=(1.0,))], "whole curves"),
        ([curve(0, 80, 50), curve(0, 80, 40)], "the same trial number"),
    ],
)
def test_what_cannot_be_replayed_is_refused(curves: list[Curve], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replay(curves, HALVING, reference_point=CORNER)
