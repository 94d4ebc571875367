"""What every sampler of the table promises, on a small real space and Optuna's own storage."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import text

from archsearch.errors import UnknownNameError
from archsearch.search.config import StudyConfig
from archsearch.search.optuna_study import OptunaStudy, Suggestion
from archsearch.search.samplers import SAMPLERS, STARTUP_TRIALS, make_sampler
from archsearch.store.database import BUSY_TIMEOUT_SECONDS, Database

# Every kind of domain: whole numbers in order, stepped floats (of decimals that binary has not), words, booleans.
SPACE = """
name: mixed
family: shufflenet_v2
fixed: {width: 0.5}
choices:
  stage2.kernel: {values: [3, 5, 7], source: test}
  split_ratio: {values: [0.3, 0.4, 0.5, 0.6], source: test}
  stem.type: {values: [conv, dcn, ldc], source: test}
  residual: {values: [false, true], source: test}
"""
OWN_VALUES = {
    "stage2.kernel": (3, 5, 7),
    "split_ratio": (0.3, 0.4, 0.5, 0.6),
    "stem.type": ("conv", "dcn", "ldc"),
    "residual": (False, True),
}

pytestmark = pytest.mark.parametrize("sampler", SAMPLERS)


@pytest.fixture
def config(make_config: Any, sampler: str) -> StudyConfig:
    made: StudyConfig = make_config(space_text=SPACE, sampler=sampler, constraints={"params": 400_000}, seed=3)
    return made


def open_study(database: Database, config: StudyConfig) -> OptunaStudy:
    return OptunaStudy(database, config, config.search_space())


def values_at(choices: Mapping[str, Any]) -> list[float]:
    """A made-up network: larger kernels err less and take longer."""
    return [60.0 - choices["stage2.kernel"] - 10 * choices["split_ratio"], 1.0 + choices["stage2.kernel"] / 10]


def fill(study: OptunaStudy, trials: int) -> list[Suggestion]:
    """Ask and end `trials` trials in every way that there is: complete, failed, infeasible, outside the space."""
    asked: list[Suggestion] = []
    for index in range(trials):
        if index == 2:
            study.tell_failed(study.ask_outside())
        suggestion = study.ask(index + 1)
        asked.append(suggestion)
        if index % 4 == 1:
            study.tell_failed(suggestion.number)
        elif index % 4 == 2:
            study.tell_values(suggestion.number, [75.0, 0.1], {"params": 0.5})
        else:
            study.tell_values(suggestion.number, values_at(suggestion.choices), {"params": -0.1})
    return asked


def assert_of_the_space(suggestion: Suggestion, config: StudyConfig) -> None:
    assert config.search_space().contains(suggestion.choices)
    assert set(suggestion.choices) == set(OWN_VALUES)
    for name, value in suggestion.choices.items():
        assert value in OWN_VALUES[name]  # digit by digit: 0.6000000000000001 is not in it
        assert type(value) is type(OWN_VALUES[name][0])


def test_suggestions_are_points_of_the_space_after_every_kind_of_end(database: Database, config: StudyConfig) -> None:
    study = open_study(database, config)
    for suggestion in fill(study, STARTUP_TRIALS + 4):
        assert_of_the_space(suggestion, config)
    assert_of_the_space(study.ask(99), config)


def test_infeasible_and_failed_trials_are_never_among_the_best(database: Database, config: StudyConfig) -> None:
    asked = fill(open_study(database, config), 12)
    loaded = optuna.load_study(study_name="tiny", storage=database.url)
    feasible = {suggestion.number for index, suggestion in enumerate(asked) if index % 4 in (0, 3)}
    best = {trial.number for trial in loaded.best_trials}
    # the infeasible ones were told the smallest latency of all: without the constraint they would be best
    assert best and best <= feasible


def test_optunas_own_tools_read_the_study(database: Database, config: StudyConfig) -> None:
    asked = fill(open_study(database, config), 6)
    loaded = optuna.load_study(study_name="tiny", storage=database.url)
    assert loaded.metric_names == ["error_percent", "latency_ms"]
    assert [direction.name for direction in loaded.directions] == ["MINIMIZE", "MINIMIZE"]
    states = [trial.state.name for trial in loaded.trials]
    # by `fill`: C F, the one outside, infeasible, C C F
    assert states == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    assert loaded.trials[0].params == pytest.approx(dict(asked[0].choices))
    assert loaded.trials[0].values == values_at(asked[0].choices)


def test_what_hides_the_old_list_of_constraints_is_what_optunas_samplers_read(
    database: Database, config: StudyConfig, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    study = open_study(database, config)
    read: list[optuna.trial.FrozenTrial] = []
    own = type(study._study)._get_trials

    def spy(*arguments: Any, **more: Any) -> list[optuna.trial.FrozenTrial]:
        found = own(*arguments, **more)
        read.extend(found)
        return found

    fill(study, STARTUP_TRIALS)
    monkeypatch.setattr(type(study._study), "_get_trials", spy)
    study.ask(STARTUP_TRIALS + 1)
    assert bool(read) == (sampler != "random")
    assert not any("constraints" in trial.system_attrs for trial in read)
    stored = optuna.load_study(study_name=config.name, storage=database.url).trials
    assert any("constraints" in trial.system_attrs for trial in stored)


def test_one_seed_and_sequence_give_one_suggestion(tmp_path: Path, config: StudyConfig) -> None:
    found = []
    for name in ("a", "b"):
        database = Database(f"sqlite:///{tmp_path / name}.db")
        study = open_study(database, config)
        found.append([suggestion.choices for suggestion in fill(study, STARTUP_TRIALS + 4)] + [study.ask(99).choices])
        database.close()
    assert found[0] == found[1]


def test_other_sequences_and_seeds_suggest_other_networks(sampler: str, database: Database, make_config: Any) -> None:
    found = set()
    for seed in (0, 1):
        study = open_study(database, make_config(space_text=SPACE, sampler=sampler, seed=seed, name=f"seed{seed}"))
        for sequence in range(1, 6):
            found.add(str(study.ask(sequence).choices))
    # 10 draws of 72 points: fewer than 5 different ones have a chance far below one in a million
    assert len(found) >= 5


# The authors' form wants stages that widen: of 48 combinations it refuses 18, those beside 240 channels and more.
REFUSED = """
name: refused
family: shufflenet_v2
choices:
  unit_form: {values: [torchvision, authors], source: test}
  stage2.channels: {values: [48, 240, 300, 400], source: test}
  stage2.kernel: {values: [3, 5, 7], source: test}
  residual: {values: [false, true], source: test}
"""


def test_a_combination_that_the_family_refuses_is_no_suggestion(
    database: Database, make_config: Any, sampler: str
) -> None:
    config = make_config(space_text=REFUSED, sampler=sampler)
    study, space = open_study(database, config), config.search_space()
    for sequence in range(1, 11):  # drawn at random: none of ten is refused with (5/8) ** 10 = 0.9 %
        suggestion = study.ask(sequence)
        assert space.contains(suggestion.choices)
        study.tell_values(suggestion.number, [50.0, 1.0 + suggestion.choices["stage2.kernel"]], {})
    assert study.running() == ()


def test_a_fixed_suggestion_is_taken_as_it_is(database: Database, config: StudyConfig) -> None:
    wanted = {"stage2.kernel": 7, "split_ratio": 0.6, "stem.type": "ldc", "residual": True}
    study = open_study(database, config)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = study.ask(1, fixed=wanted)
    assert found.choices == wanted
    assert optuna.load_study(study_name="tiny", storage=database.url).trials[0].params["stem.type"] == "ldc"


def test_a_trial_is_told_once(database: Database, config: StudyConfig) -> None:
    study = open_study(database, config)
    number = study.ask(1).number
    assert study.running() == (number,)
    study.tell_values(number, [50.0, 2.0], {"params": -0.1})
    study.tell_values(number, [1.0, 1.0], {"params": 0.5})
    study.tell_failed(number)
    trial = optuna.load_study(study_name="tiny", storage=database.url).trials[0]
    assert (trial.state.name, trial.values, study.running()) == ("COMPLETE", [50.0, 2.0], ())


def test_a_sampler_of_the_same_arguments_draws_the_same_numbers(sampler: str) -> None:
    def draw(study_seed: int, sequence: int) -> list[float]:
        study = optuna.create_study(sampler=make_sampler(sampler, study_seed=study_seed, sequence=sequence))
        return [study.ask().suggest_float("x", 0, 1) for _ in range(3)]

    assert draw(0, 1) == draw(0, 1)
    assert len({str(draw(*arguments)) for arguments in ((0, 1), (0, 2), (1, 1), (1, 2))}) == 4


def test_an_unknown_sampler_is_answered_with_the_nearest(sampler: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean '{sampler}'"):
        make_sampler(f"{sampler}x", study_seed=0, sequence=1)


def test_optunas_connections_are_tuned_like_our_own(database: Database, config: StudyConfig) -> None:
    study = open_study(database, config)
    with study._storage.engine.connect() as connection:
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == BUSY_TIMEOUT_SECONDS * 1000
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 1
