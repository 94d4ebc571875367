"""What every stopping rule keeps, whatever it decides by; and the settings."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from archsearch.errors import UnknownNameError
from archsearch.search.stopping.base import Curve, PolicyName, StoppingSettings
from archsearch.search.stopping.replay import replay
from archsearch.search.stopping.rules import STOPPING, make_rule

EPOCHS = 9
CORNER = (100.0, 20.0, 20.0)


def settings_of(policy: str) -> StoppingSettings:
    return StoppingSettings.model_validate({"policy": policy, "first_full": 5, "share_full": 0.05, "quantile": 0.1})


def random_curves(count: int, seed: int = 0) -> list[Curve]:
    """Errors that fall from about 90 to between 20 and 80 % with bumps; some never fall; costs independent of them."""
    generator = np.random.default_rng(seed)
    curves = []
    for trial in range(count):
        final = generator.uniform(20, 80) if generator.random() < 0.9 else 90.0
        falling = final + (90.0 - final) * np.exp(-0.8 * np.arange(1, EPOCHS + 1))
        errors = np.clip(falling + generator.normal(0, 1.0, EPOCHS), 0, 100)
        known = tuple(generator.uniform(1, 10, 2).tolist())
        losses = tuple((1.0 + errors / 50 + generator.normal(0, 0.02, EPOCHS)).tolist())
        curves.append(Curve(trial=trial, errors=tuple(errors.tolist()), epochs=EPOCHS, known=known, losses=losses))
    return curves


@pytest.fixture(params=STOPPING.names())
def policy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_policy_of_the_settings_has_a_rule_and_every_rule_a_policy() -> None:
    assert set(get_args(PolicyName)) == set(STOPPING)


def test_an_unknown_policy_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'predicted'"):
        STOPPING["predict"]


def test_a_rule_follows_from_the_curves_alone_and_not_from_what_it_saw_before(policy: str) -> None:
    """Every worker has its own rule, and a restarted one has seen nothing."""
    curves = random_curves(60)
    old = make_rule(settings_of(policy), seed=3, noise_floor=0.02)
    for trial in curves[30:]:
        for epoch in range(1, EPOCHS):
            partial = replace(trial, errors=trial.errors[:epoch], losses=trial.losses[:epoch], running=True)
            new = make_rule(settings_of(policy), seed=3, noise_floor=0.02)
            assert old.decide(partial, curves[:30]) == new.decide(partial, curves[:30])


def test_a_whole_training_is_never_stopped(policy: str) -> None:
    curves = random_curves(40)
    rule = make_rule(settings_of(policy), seed=0, noise_floor=0.0)
    for trial in curves:
        assert not rule.decide(trial, [curve for curve in curves if curve is not trial]).stop


def test_the_first_trial_of_a_study_is_not_stopped(policy: str) -> None:
    rule = make_rule(settings_of(policy), seed=0, noise_floor=0.0)
    for epoch in range(1, EPOCHS + 1):
        trial = Curve(trial=0, errors=(90.0,) * epoch, epochs=EPOCHS, known=(9.0, 9.0), running=True)
        assert not rule.decide(trial, []).stop


def test_a_decision_names_its_epoch_and_a_stop_its_reason(policy: str) -> None:
    ended = replay(random_curves(80), make_rule(settings_of(policy), seed=0, noise_floor=0.0), reference_point=CORNER)
    for said in ended.decisions.values():
        for decision in said:
            assert bool(decision.reason) == decision.stop
            assert decision.would_stop == (decision.stop or bool(decision.exempt))
        assert [decision.epoch for decision in said] == list(range(1, len(said) + 1))


def test_a_stop_costs_no_more_than_it_is_worth_on_curves_that_tell_their_end(policy: str) -> None:
    """Whatever is stopped, most of the hypervolume stays, and a rule that stops saves epochs."""
    ended = replay(random_curves(150), make_rule(settings_of(policy), seed=0, noise_floor=0.0), reference_point=CORNER)
    assert ended.hypervolume_lost_share < 0.1
    assert (ended.epochs_saved_share > 0.2) == (policy != "none")
    assert (len(ended.stopped) > 0) == (policy != "none")


def test_only_a_stopped_trial_is_ever_promoted(policy: str) -> None:
    rule = make_rule(settings_of(policy), seed=0, noise_floor=0.0)
    whole = random_curves(30)
    running = [replace(curve, errors=curve.errors[:1], losses=curve.losses[:1], running=True) for curve in whole]
    assert rule.promotable([]) is None
    assert rule.promotable(whole) is None
    assert rule.promotable(running) is None


@pytest.mark.parametrize("workers", [1, 4])
def test_the_same_curves_give_the_same_study(policy: str, workers: int) -> None:
    def run() -> object:
        rule = make_rule(settings_of(policy), seed=1, noise_floor=0.02)
        return replay(random_curves(60), rule, reference_point=CORNER, noise_floor=0.02, workers=workers)

    assert run() == run()


def test_thousands_of_curves_do_not_hold_a_worker_up(policy: str) -> None:
    """No time is asserted: a rule that compared every pair of curves in Python would take minutes here."""
    curves = random_curves(3000)
    trial = Curve(trial=3000, errors=(85.0,), epochs=EPOCHS, known=(5.0, 5.0), running=True)
    rule = make_rule(settings_of(policy), seed=0, noise_floor=0.02)
    for _ in range(3):
        assert rule.decide(trial, curves).epoch == 1
        assert rule.promotable(curves) is None


@pytest.mark.parametrize(
    ("policy_", "keys"),
    [
        ("none", set()),
        ("predicted", {"policy", "min_epochs", "first_full", "share_full", "quantile"}),
        ("mo_asha", {"policy", "min_epochs", "reduction"}),
    ],
)
def test_the_protocol_holds_the_keys_that_the_policy_reads(policy_: str, keys: set[str]) -> None:
    assert set(settings_of(policy_).protocol()) == keys


def test_settings_survive_json() -> None:
    for name in STOPPING:
        settings = settings_of(name)
        assert StoppingSettings.model_validate(json.loads(json.dumps(settings.model_dump()))) == settings
    assert StoppingSettings.model_validate({"share_full": 1, "checkpoint_seconds": 15}).share_full == 1.0


@pytest.mark.parametrize(
    ("key", "value"),
    [("quantile", 0.0), ("quantile", 0.5), ("share_full", 1.5), ("reduction", 1), ("min_epochs", 0), ("first_full", 0),
     ("policy", "median"), ("patience", 3)],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        StoppingSettings.model_validate({key: value})


def test_the_rules_import_neither_torch_nor_optuna() -> None:
    code = "import sys, archsearch.search.stopping.replay, archsearch.search.stopping.rules; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(ended.stdout.split()).isdisjoint({"torch", "optuna", "sqlalchemy", "scipy", "pandas"})
