"""Multi-objective successive halving: the order of a rung, its rungs, who goes on and who is promoted."""

from __future__ import annotations

import numpy as np
import pytest

from archsearch.analysis.pareto import non_dominated
from archsearch.noise import NO_FLOOR
from archsearch.search.stopping.base import Curve, RuleContext, StoppingSettings
from archsearch.search.stopping.rules import MultiObjectiveHalving, best_first, epsilon_net, front_ranks

# Errors and latencies; the front is A, B, C, below it D, E, below them F.
A, B, C, D, E, F = (10, 9), (20, 5), (30, 1), (25, 6), (35, 2), (40, 9)


def rule(*, reduction: int = 3, min_epochs: int = 1) -> MultiObjectiveHalving:
    settings = StoppingSettings(policy="mo_asha", reduction=reduction, min_epochs=min_epochs)
    return MultiObjectiveHalving(settings, RuleContext(seed=0, noise_floor=NO_FLOOR))


def at_rung(trial: int, point: tuple[float, float], *, epochs: int = 3, running: bool = False) -> Curve:
    return Curve(trial=trial, errors=(float(point[0]),), epochs=epochs, known=(float(point[1]),), running=running)


def ended(trial: int, point: tuple[float, float], *, epochs: int = 3) -> Curve:
    return Curve(trial=trial, errors=(float(point[0]),) * epochs, epochs=epochs, known=(float(point[1]),))


def test_fronts_come_one_below_the_other_and_each_is_spread() -> None:
    """Ranges are 30 points and 8 ms, so A, B, C lie at (1/3, 9/8), (2/3, 5/8), (1, 1/8) of them.

    A has the lowest error; C is farther from it (1.20) than B (0.60). Then D before E, the lower error, then F.
    """
    points = [F, E, D, C, B, A]
    assert best_first(points, 6) == [5, 3, 4, 2, 1, 0]
    assert [best_first(points, count) for count in range(4)] == [[], [5], [5, 3], [5, 3, 4]]
    assert best_first(points, 9) == best_first(points, 6)


def test_the_units_of_an_objective_do_not_matter() -> None:
    points = np.array([F, E, D, C, B, A], dtype=float)
    assert best_first(points * [1.0, 1e6], 6) == best_first(points, 6)


def test_an_objective_in_which_all_are_equal_does_not_matter() -> None:
    points = np.array([F, E, D, C, B, A], dtype=float)
    assert best_first(np.column_stack([points, np.full(6, 7.0)]), 6) == best_first(points, 6)


def test_an_epsilon_net_takes_the_farthest_next() -> None:
    """On a line at 0, 1, 2, 6, 10: 0, then 10, then 6 (4 from 10), then 2 (2 from 0), then 1."""
    line = [[1.0, 9.0], [0.0, 10.0], [10.0, 0.0], [6.0, 4.0], [2.0, 8.0]]
    assert epsilon_net(line, 5).tolist() == [1, 2, 3, 4, 0]


def test_equal_points_are_all_taken_and_once() -> None:
    assert sorted(epsilon_net([[1.0, 1.0]] * 4, 4).tolist()) == [0, 1, 2, 3]
    assert sorted(best_first([[1.0, 1.0]] * 4, 4)) == [0, 1, 2, 3]


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_fronts_are_those_that_peeling_one_after_the_other_gives(objectives: int) -> None:
    """Many equal values among 200 points of 0 to 7, so that points, and objectives of points, are equal."""
    points = np.random.default_rng(objectives).integers(0, 8, (200, objectives)).astype(float)
    ranks, left, rank = front_ranks(points), np.arange(200), 0
    while len(left):
        front = non_dominated(points[left])
        assert (ranks[left[front]] == rank).all()
        left, rank = left[~front], rank + 1
    assert ranks.max() == rank - 1


def test_more_than_three_objectives_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 3 objectives"):
        front_ranks(np.zeros((2, 4)))


def test_nothing_has_no_best() -> None:
    assert best_first(np.zeros((0, 2)), 3) == []


@pytest.mark.parametrize(
    ("epochs", "reduction", "min_epochs", "rungs"),
    [
        (8, 3, 1, [1, 3]),
        (9, 3, 1, [1, 3]),  # the end of the schedule is no rung
        (27, 3, 1, [1, 3, 9]),
        (8, 2, 1, [1, 2, 4]),
        (12, 2, 3, [3, 6]),
        (4, 3, 4, []),
    ],
)
def test_rungs_are_geometric_and_below_the_schedules_end(
    epochs: int, reduction: int, min_epochs: int, rungs: list[int]
) -> None:
    assert rule(reduction=reduction, min_epochs=min_epochs).rungs(epochs) == rungs


def test_one_in_three_of_a_rung_goes_on() -> None:
    """Six trials at the first rung: the best two, A and C, go on, and no other."""
    points = [A, B, C, D, E, F]
    trials = [at_rung(number, point) for number, point in enumerate(points)]
    said = [rule().decide(trial, [other for other in trials if other is not trial]) for trial in trials]
    assert [not decision.stop for decision in said] == [True, False, True, False, False, False]
    assert said[1].reason == "not among the best 2 of 6 trials after epoch 1 of 3 (error 20.00 %)"


def test_the_best_of_a_small_rung_goes_on() -> None:
    """Of two trials a third is none; the first of a study, or one better than it, still goes on."""
    first, better = at_rung(0, D), at_rung(1, B)
    assert not rule().decide(first, []).stop
    assert not rule().decide(better, [first]).stop
    assert rule().decide(first, [better]).stop


def test_between_rungs_nothing_is_decided() -> None:
    trial = Curve(trial=9, errors=(90.0, 90.0), epochs=8, known=(9.0,))
    assert not rule().decide(trial, [ended(0, A, epochs=8), ended(1, C, epochs=8)]).stop


def test_a_rung_counts_those_that_have_gone_beyond_it_by_their_error_at_the_rung() -> None:
    """The complete one was at 80 % at the rung, whatever it ended with."""
    other = Curve(trial=0, errors=(80.0, 20.0, 10.0), epochs=3, known=(1.0,))
    assert not rule(reduction=2).decide(at_rung(1, (70, 1)), [other]).stop
    assert rule(reduction=2).decide(at_rung(1, (85, 1)), [other]).stop


def test_a_stopped_trial_is_promoted_when_its_rung_has_grown() -> None:
    """B waits. Among six the best two are A and C, which ended; among nine it is the third."""
    trials = [ended(0, A), at_rung(1, B), ended(2, C), at_rung(3, D), at_rung(4, E), at_rung(5, F)]
    assert rule().promotable(trials) is None
    more = [at_rung(number, F) for number in (6, 7, 8)]
    assert rule().promotable([*trials, *more]) == 1


def test_what_runs_is_not_promoted_a_second_time() -> None:
    more = [at_rung(number, F) for number in (6, 7, 8)]
    trials = [ended(0, A), at_rung(1, B, running=True), ended(2, C), at_rung(3, D), at_rung(4, E), at_rung(5, F)]
    assert rule().promotable([*trials, *more]) is None


def test_the_highest_rung_is_served_first() -> None:
    """Trial 0 waits at epoch 1 and trial 3 at epoch 3, each the best of its rung's three."""

    def waiting(trial: int, errors: tuple[float, ...]) -> Curve:
        return Curve(trial=trial, errors=errors, epochs=9, known=(1.0,))

    trials = [
        waiting(0, (50.0,)),
        ended(1, (80, 1), epochs=9),
        ended(2, (80, 1), epochs=9),
        waiting(3, (70.0, 65.0, 60.0)),
    ]
    assert rule().promotable(trials) == 3
    assert rule().promotable(trials[:3]) == 0
