"""The model-guided sampler: what it avoids, what it learns from, and that its cost is bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from archsearch.search.samplers import make_sampler
from archsearch.search.samplers.guided import MOST_FITTED, Belief
from archsearch.search.samplers.points import Points, Seen, seen_in, waiting_before

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    **{f"size{index}": IntDistribution(0, 6) for index in range(4)},
    **{f"word{index}": CategoricalDistribution(["a", "b", "c"]) for index in range(3)},
}
POINTS = Points(DISTRIBUTIONS)  # 7^4 * 3^3 = 64,827 points
CORNER = (100.0, 30.0)


def values_at(choices: Mapping[str, Any]) -> list[float]:
    """Larger sizes err less and take longer; the word b errs less for nothing."""
    size = sum(choices[f"size{index}"] for index in range(4))
    words = sum(choices[f"word{index}"] == "b" for index in range(3))
    return [90.0 - 2.0 * size - 3.0 * words, 2.0 + 0.5 * size]


def told(choices: Mapping[str, Any], *, state: TrialState = TrialState.COMPLETE, **constraints: float) -> Any:
    done = state is TrialState.COMPLETE
    return create_trial(
        state=state,
        params=dict(choices),
        distributions=DISTRIBUTIONS,
        values=values_at(choices) if done else None,
        constraints=constraints if done else None,
    )


def study_of(count: int, *, seed: int = 0) -> optuna.Study:
    study = optuna.create_study(directions=["minimize"] * 2)
    drawn = POINTS.draw(count, np.random.default_rng(seed))
    study.add_trials([told(POINTS.choices(tuple(row))) for row in drawn.tolist()])
    return study


def asked(study: optuna.Study, sequence: int = 1) -> optuna.Trial:
    study.sampler = make_sampler("ehvi", study_seed=0, sequence=sequence, points=POINTS, reference_point=CORNER)
    return study.ask(DISTRIBUTIONS)


def test_it_finds_that_a_word_costs_nothing() -> None:
    study = study_of(25)
    for sequence in range(1, 9):
        trial = asked(study, sequence)
        study.tell(trial, values_at(trial.params))
    # on the front every word is b: a random point has all three with a chance of 1 in 27, so 8 have one or none
    found = [sum(trial.params[f"word{index}"] == "b" for index in range(3)) for trial in study.trials[25:]]
    assert found.count(3) >= 5


def test_a_network_that_runs_is_not_suggested_again_nor_its_twin() -> None:
    study = study_of(25)
    suggestions = [tuple(asked(study).params.values()) for _ in range(6)]  # the same seed each time, none is told
    assert len(set(suggestions)) == 6


def test_workers_that_ask_at_the_same_moment_are_given_different_networks() -> None:
    study = study_of(25)
    alone = asked(study).params
    study = study_of(25)
    study._storage.create_new_trial(study._study_id)  # another worker's, whose choices are not stored yet
    beside = asked(study).params
    assert beside != alone


def test_a_bound_that_is_broken_is_kept_away_from() -> None:
    study = optuna.create_study(directions=["minimize"] * 2)
    drawn = [POINTS.choices(tuple(row)) for row in POINTS.draw(40, np.random.default_rng(1)).tolist()]
    # latency 2 + size/2: at most 8 is size 12 of 24, about half of all
    study.add_trials([told(choices, latency_ms=values_at(choices)[1] / 8.0 - 1.0) for choices in drawn])
    kept = 0
    for sequence in range(1, 9):
        trial = asked(study, sequence)
        excess = values_at(trial.params)[1] / 8.0 - 1.0
        kept += excess <= 0.0
        trial.set_constraint("latency_ms", excess)
        study.tell(trial, values_at(trial.params))
    assert kept >= 6


def test_without_a_feasible_network_it_still_suggests() -> None:
    study = optuna.create_study(directions=["minimize"] * 2)
    drawn = [POINTS.choices(tuple(row)) for row in POINTS.draw(15, np.random.default_rng(1)).tolist()]
    study.add_trials([told(choices, params=0.5) for choices in drawn])
    assert POINTS.point(asked(study).params) is not None


def test_stopped_trials_teach_but_are_no_front() -> None:
    choices = POINTS.choices((0, 0, 0, 0, 0, 0, 0))
    stopped = told(choices, early_stop=0.5, params=-0.1)
    rejected = told(choices, early_stop=0.0, params=0.2)
    complete = told(choices, early_stop=-1.0, params=-0.1)
    found = seen_in([stopped, rejected, complete], POINTS)
    assert [each.stopped for each in found] == [True, False, False]
    assert [each.values for each in found] == [(90.0, 2.0), None, (90.0, 2.0)]
    assert [each.excess for each in found] == [{"params": -0.1}, {"params": 0.2}, {"params": -0.1}]

    best = Seen(point=(6,) * 4 + (1,) * 3, values=(10.0, 1.0), stopped=True, excess={}, running=False)
    others = [
        Seen(point=tuple(row), values=tuple(values_at(POINTS.choices(tuple(row)))), stopped=False, excess={},
             running=False)
        for row in POINTS.draw(12, np.random.default_rng(2)).tolist()
    ]  # fmt: skip
    belief = Belief(POINTS, [*others, best], np.random.default_rng(0), CORNER)
    assert best.point not in belief.front
    assert belief.front


@pytest.mark.parametrize("stopped_again", [False, True])
def test_of_a_promoted_network_the_end_or_the_highest_rung_is_believed_and_no_rung_before(stopped_again: bool) -> None:
    drawn = [tuple(row) for row in POINTS.draw(13, np.random.default_rng(2)).tolist()]
    ended = [
        Seen(point=point, values=tuple(values_at(POINTS.choices(point))), stopped=False, excess={}, running=False)
        for point in drawn
    ]
    ended[-1] = replace(ended[-1], stopped=stopped_again)
    at_rung = Seen(point=drawn[-1], values=(99.0, 2.0), stopped=True, excess={}, running=False)
    candidates = POINTS.draw(20, np.random.default_rng(3))
    worth, beside_rung = (
        Belief(POINTS, seen, np.random.default_rng(0), CORNER).acquisition(candidates)
        for seen in (ended, [at_rung, *ended])
    )
    np.testing.assert_array_equal(worth, beside_rung)


def test_failed_trials_of_the_study_count_as_known_and_lost_ones_do_not() -> None:
    choices = POINTS.choices((0, 0, 0, 0, 0, 0, 0))
    lost = told(choices, state=TrialState.FAIL)
    failed = told(choices, state=TrialState.FAIL)
    failed.user_attrs["archsearch"] = {"arch_id": "0" * 12}
    assert [len(seen_in([trial], POINTS)) for trial in (lost, failed)] == [0, 1]


def test_only_trials_without_their_choices_are_waited_for() -> None:
    study = study_of(3)
    study._storage.create_new_trial(study._study_id)
    asked(study)
    trials = study.get_trials(deepcopy=False)
    # number 3 waits, number 4 has its choices; number 3 waits for nobody
    assert [waiting_before(trials, number, POINTS) for number in (3, 4, 5)] == [0, 1, 1]


@pytest.mark.parametrize("objectives", [2, 3])
def test_a_model_is_of_a_bounded_number_of_trials_and_of_the_front(objectives: int) -> None:
    generator = np.random.default_rng(3)
    drawn = POINTS.draw(4 * MOST_FITTED, generator).tolist()
    seen = [
        Seen(
            point=tuple(row),
            values=(*values_at(POINTS.choices(tuple(row))), 1.0 + sum(row[:2]))[:objectives],
            stopped=False,
            excess={},
            running=False,
        )
        for row in drawn
    ]
    corner = (100.0, 30.0, 20.0)[:objectives]
    belief = Belief(POINTS, seen, generator, corner)
    assert len(belief._members) == MOST_FITTED
    best = min(seen, key=lambda each: each.values or ())
    assert best.values is not None
    assert min(belief._values[:, 0]) == best.values[0]
    worth = belief.acquisition(POINTS.draw(50, generator))
    assert worth.shape == (50,) and (worth >= 0.0).all() and worth.max() > 0.0
