"""Stopping by prediction: the fit, its quantile, what dominates a prediction, and who is spared."""

from __future__ import annotations

import numpy as np
import pytest

from archsearch.noise import NoiseFloor
from archsearch.search.stopping.base import Curve, Decision, RuleContext, StoppingSettings
from archsearch.search.stopping.replay import calibration
from archsearch.search.stopping.rules import RIDGE, PredictedDomination, drawn_share, fit_final_error


def rule(*, noise_floor: float = 0.0, seed: int = 0, **changes: object) -> PredictedDomination:
    content: dict[str, object] = {"policy": "predicted", "first_full": 4, "share_full": 0.0, "quantile": 0.2}
    return PredictedDomination(
        StoppingSettings.model_validate(content | changes),
        RuleContext(seed=seed, noise_floor=NoiseFloor.given(noise_floor)),
    )


def whole(*finals: float, known: tuple[float, ...] = (1.0,)) -> list[Curve]:
    """Curves that all lose exactly 20 points after the first of two epochs."""
    return [
        Curve(trial=trial, errors=(final + 20.0, final), epochs=2, known=known) for trial, final in enumerate(finals)
    ]


def begun(error: float, *, trial: int = 99, known: tuple[float, ...] = (1.0,)) -> Curve:
    return Curve(trial=trial, errors=(error,), epochs=2, known=known, running=True)


def test_without_a_slope_the_prediction_is_the_mean_drop() -> None:
    """All curves are at 60 % after the first epoch and end at 40, 42, 44, 46: a mean drop of 17 points.

    Leverage is 1/4 for each, so the residuals with a curve left out are (-3, -1, 1, 3) / (3/4) = (-4, -4/3, 4/3, 4).
    With quantile 0.2 the lowest counts: floor(0.2 * 5) = 1. For a trial at 60: 60 - 17 = 43 expected, 39 at best.
    """
    fit = fit_final_error([[60, 40], [60, 42], [60, 44], [60, 46]], 1)
    np.testing.assert_allclose(fit.residuals, [-4, -4 / 3, 4 / 3, 4], rtol=1e-12)
    found = fit.predict([60.0], quantile=0.2)
    assert found is not None
    assert (found.expected_error_percent, found.optimistic_error_percent) == pytest.approx((43.0, 39.0))


@pytest.mark.parametrize("with_losses", [False, True])
def test_the_fit_is_ridge_regression_on_the_last_two_errors_and_the_losses(with_losses: bool) -> None:
    """Compared with scikit-learn's, on standardised facts; residuals with that one fitted anew without each curve."""
    from sklearn.linear_model import Ridge

    generator = np.random.default_rng(0)
    errors = np.sort(generator.uniform(20, 90, (12, 5)), axis=1)[:, ::-1]
    losses = generator.uniform(1, 3, (12, 5))
    drops = errors[:, 4] - errors[:, 2]
    facts = [errors[:, 2], errors[:, 1]]
    if with_losses:
        facts += [losses[:, 2], (losses[:, 0] + losses[:, 1] + losses[:, 2]) / 3]
    fit = fit_final_error(errors, 3, losses if with_losses else None)
    found = fit.predict(tuple(errors[0, :3]), tuple(losses[0, :3]) if with_losses else (), quantile=0.25)
    columns = np.column_stack(facts)
    scaled = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    reference = Ridge(alpha=RIDGE).fit(scaled, drops)
    assert found is not None
    assert found.expected_error_percent == pytest.approx(errors[0, 2] + reference.predict(scaled[:1])[0])
    others = [np.arange(12) != index for index in range(12)]
    left_out = [
        drops[index] - Ridge(alpha=RIDGE).fit(scaled[other], drops[other]).predict(scaled[[index]])[0]
        for index, other in enumerate(others)
    ]
    np.testing.assert_allclose(fit.residuals, np.sort(left_out), rtol=1e-9)
    # floor(0.25 * 13) = 3: the third lowest residual
    assert found.optimistic_error_percent == pytest.approx(found.expected_error_percent + sorted(left_out)[2])


def test_too_few_curves_for_a_rare_quantile_give_no_prediction() -> None:
    """With 18 curves a share of 0.05 cannot be told apart from never: 0.05 * 19 < 1. With 19 it is their lowest."""
    flat = [[60.0, 40.0]] * 19
    assert fit_final_error(flat[:18], 1).predict([60.0], quantile=0.05) is None
    assert fit_final_error(flat, 1).predict([60.0], quantile=0.05) is not None


def test_a_prediction_stays_a_percentage() -> None:
    fit = fit_final_error([[60, 1], [60, 21], [60, 1], [60, 21]], 1)
    found = fit.predict([45.0], quantile=0.3)
    assert found is not None
    assert 0.0 == found.optimistic_error_percent == found.expected_error_percent  # 45 - 49 = -4


def test_the_optimistic_prediction_is_missed_as_often_as_its_quantile_says() -> None:
    """4,000 studies of 39 curves and one more from the same source: below the 10% prediction in 10% of cases.

    floor(0.1 * 40) / 40 = 0.1 exactly; the standard deviation of the share over 4,000 is 0.0047.
    """
    generator = np.random.default_rng(1)
    missed = 0
    for _ in range(4000):
        first = generator.uniform(60, 90, 40)
        last = 0.7 * first + generator.gumbel(0, 3, 40)
        fit = fit_final_error(np.column_stack([first[:39], last[:39]]), 1)
        found = fit.predict([first[39]], quantile=0.1)
        assert found is not None
        missed += last[39] < found.optimistic_error_percent
    assert abs(missed / 4000 - 0.1) < 4 * 0.0047


def test_a_trial_is_stopped_when_its_best_end_is_still_dominated() -> None:
    """Drops are 20 points without a residual, so a trial at 71 % ends at 51: dominated by the one at 50, at 49 not."""
    others = whole(50, 55, 60, 65)
    assert rule().decide(begun(71.0), others).stop
    assert not rule().decide(begun(69.0), others).would_stop


def test_the_reason_names_the_prediction_and_what_dominates_it() -> None:
    said = rule().decide(begun(75.0), whole(50, 55, 60, 65))
    assert said.reason == (
        "error 75.00 % after epoch 1 of 2, at the end 55.00 % expected and 55.00 % at best: dominated by trial 0 "
        "(50.00 %)"
    )
    assert (said.expected_error_percent, said.optimistic_error_percent) == pytest.approx((55.0, 55.0))


@pytest.mark.parametrize(
    ("known", "stop"),
    [
        ((1.00, 5.0), True),  # as fast and as large as the better one
        ((0.99, 5.0), True),  # within the noise floor of 2 % it is as fast
        ((0.97, 5.0), False),  # it is faster: 0.97 * 1.02 < 1.00
        ((1.00, 4.9), False),  # it is smaller, and size has no noise
        ((9.00, 9.0), True),
    ],
)
def test_a_trial_that_is_faster_or_smaller_is_not_dominated(known: tuple[float, ...], stop: bool) -> None:
    others = whole(50, 55, 60, 65, known=(1.0, 5.0))
    assert rule(noise_floor=0.02).decide(begun(80.0, known=known), others).stop is stop


def test_only_complete_trainings_dominate_and_teach() -> None:
    """The stopped one looks better than it is: its last error is of half a schedule."""
    others = whole(50, 55, 60, 65)
    stopped = Curve(trial=7, errors=(30.0,), epochs=2, known=(0.5,))
    assert rule().decide(begun(69.0), [*others, stopped]) == rule().decide(begun(69.0), others)


def test_training_losses_tell_what_the_first_error_does_not() -> None:
    """All are at chance after the first epoch; the final error is 20 points for each unit of its training loss."""
    final_of = {1.5: 30.0, 2.0: 40.0, 2.5: 50.0, 3.0: 60.0}
    others = [
        Curve(trial=n, errors=(90.0, final), epochs=2, known=(1.0,), losses=(loss, 1.0))
        for n, (loss, final) in enumerate([*final_of.items()] * 5)
    ]
    good, bad = (
        Curve(trial=99, errors=(90.0,), epochs=2, known=(1.0,), losses=(loss,), running=True) for loss in (1.4, 2.9)
    )
    assert not rule().decide(good, others).would_stop
    assert rule().decide(bad, others).stop
    without = [Curve(trial=c.trial, errors=c.errors, epochs=2, known=c.known) for c in others]
    assert not rule().decide(bad, without).would_stop  # a drop of 45 points on average, 30 to 60 of it possible


def test_nothing_is_stopped_before_the_first_full_trainings() -> None:
    others = whole(50, 55, 60, 65)
    said = rule(first_full=5).decide(begun(80.0), others)
    assert (said.stop, said.would_stop, said.exempt) == (False, True, "fewer than 5 complete trainings")
    assert rule(first_full=4).decide(begun(80.0), others).stop


def test_nothing_is_predicted_before_the_least_epochs() -> None:
    curves = [Curve(trial=n, errors=(80.0, 70.0, 50.0 + n), epochs=3, known=(1.0,)) for n in range(5)]
    early = Curve(trial=9, errors=(99.0,), epochs=3, known=(2.0,))
    late = Curve(trial=9, errors=(99.0, 98.0), epochs=3, known=(2.0,))
    assert rule(min_epochs=2).decide(early, curves) == Decision(epoch=1, stop=False, would_stop=False)
    assert rule(min_epochs=2).decide(late, curves).stop


def test_a_random_share_runs_to_the_end_and_the_same_trials_on_every_worker() -> None:
    others = whole(50, 55, 60, 65)
    said = {trial: rule(share_full=0.25, seed=5).decide(begun(80.0, trial=trial), others) for trial in range(10, 1010)}
    spared = {trial for trial, decision in said.items() if not decision.stop}
    assert all(said[trial].exempt == "one of the 25% that run to the end" for trial in spared)
    assert spared == {trial for trial in said if drawn_share(5, trial) < 0.25}
    assert 200 < len(spared) < 300  # 250 expected, standard deviation 14
    other_seed = {trial for trial in said if drawn_share(6, trial) < 0.25}
    assert 30 < len(spared & other_seed) < 100  # independent: 62 expected


def test_a_share_below_one_percent_is_said_as_it_is() -> None:
    first = min(range(1000), key=lambda trial: drawn_share(5, trial))  # below 0.005 with 1 - 0.995 ** 1000 = 99 %
    said = rule(share_full=0.005, seed=5).decide(begun(80.0, trial=first), whole(50, 55, 60, 65))
    assert said.exempt == "one of the 0.5% that run to the end"


def test_a_training_that_stays_at_chance_does_not_end_others() -> None:
    """One in five does not learn at first: it widens what is thought possible, and no number is lost to it."""
    learning = [(70.0 + n, 60.0 + n, 50.0 + n) for n in range(8)]
    flat = [(90.0, 90.0, 90.0), (90.0, 90.0, 52.0)]
    curves = [Curve(trial=n, errors=errors, epochs=3, known=(1.0,)) for n, errors in enumerate([*learning, *flat])]
    flat_trial = Curve(trial=99, errors=(90.0, 90.0), epochs=3, known=(1.0,))
    said = rule(quantile=0.1).decide(flat_trial, curves)
    assert said.optimistic_error_percent is not None
    assert said.optimistic_error_percent <= 60.0  # one of two such ended at 52


def test_the_calibration_counts_the_spared_that_ended_below_the_prediction() -> None:
    """Four ran to the end: two that the rule would have stopped, of which one ended below, on the front."""

    def said(optimistic: float, *, would_stop: bool, exempt: str = "") -> Decision:
        return Decision(epoch=1, stop=False, would_stop=would_stop, optimistic_error_percent=optimistic, exempt=exempt)

    curves = [*whole(40, 50, 60, 45), begun(80.0)]
    decisions = {
        0: [said(41.0, would_stop=True, exempt="x")],  # ended at 40
        1: [said(45.0, would_stop=True, exempt="x")],  # ended at 50
        2: [said(61.0, would_stop=False)],  # ended at 60: below, though it was not spared
        99: [said(70.0, would_stop=True, exempt="x")],  # not at its end
    }
    found = calibration(decisions, curves)
    assert (found.spared, found.below, found.on_front) == ((0, 1), (0,), (0,))
    assert (found.predictions, found.predictions_below) == (3, 2)
    assert (found.below_share, found.predictions_below_share) == (0.5, 2 / 3)


def test_a_calibration_without_a_spared_trial_has_no_share() -> None:
    found = calibration({}, whole(40, 50))
    assert (found.below_share, found.predictions_below_share) == (None, None)
