"""A worker killed at any moment: Optuna and the store agree again, and nothing runs for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import optuna
import pytest
from makers import make_latency, make_score
from optuna.storages import RDBStorage

from archsearch.errors import StoreError
from archsearch.records import Cost, EarlyStop, TrialStatus
from archsearch.search.config import StudyConfig
from archsearch.search.optuna_study import OptunaStudy, recover
from archsearch.store.claims import Claim, claim_trial, trial_counts, untold_trials
from archsearch.store.database import Database
from archsearch.store.studies import fix_reference_point
from archsearch.store.trials import copy_result, finish_trial, note_architecture, note_suggestion
from archsearch.store.workers import enter_worker

COST = Cost(params=900, macs=5000, input_size=32, num_classes=4)
LATENCY = make_latency(3.0, reference_p10_ms=6.0, study_reference_ms=4.0)
SCORE = make_score(62.5, epochs=1)


@dataclass
class Scene:
    """A study in which workers die; every trial here is of a worker that is not in the table of the living."""

    database: Database
    config: StudyConfig
    optuna: OptunaStudy
    study_id: int

    def trial(self, sequence: int, *, worker_id: str | None = None, variant_outside: bool = False) -> tuple[int, int]:
        """A running trial of a worker of its own: its row's id and its number."""
        claim = claim_trial(
            self.database,
            study_id=self.study_id,
            total=99,
            worker_id=worker_id or f"killed {sequence} {variant_outside} {len(self.told())}",
            variants=[("outside", None)] if variant_outside else [],
        )
        assert isinstance(claim, Claim)
        if variant_outside:
            number, choices = self.optuna.ask_outside(), None
        else:
            asked = self.optuna.ask(sequence)
            number, choices = asked.number, asked.choices
        note_suggestion(self.database, claim.row_id, number=number, suggested=choices)
        note_architecture(self.database, claim.row_id, family="shufflenet_v2", arch_id=f"{sequence:012}", choices={})
        return claim.row_id, number

    def recover(self) -> int:
        return recover(self.database, self.config, self.optuna)

    def told(self) -> list[Any]:
        return list(optuna.load_study(study_name="tiny", storage=self.database.url).trials)


@pytest.fixture
def scene(database: Database, make_config: Any, enter: Any) -> Scene:
    config = make_config(constraints={"params": 1000})
    study = enter(database, config)
    fix_reference_point(database, study.id, {"error_percent": 75.0, "latency_ms": 16.0})
    return Scene(database, config, OptunaStudy(database, config, config.search_space()), study.id)


def test_a_record_that_optuna_was_not_told_of_is_told_from_the_store(scene: Scene) -> None:
    row_id, number = scene.trial(1)
    finish_trial(
        scene.database, row_id, status=TrialStatus.COMPLETE, cost=COST, latency=LATENCY, score=SCORE, seconds=1.0
    )
    assert scene.told()[number].state.name == "RUNNING"
    assert scene.recover() == 0  # its slot is filled: nothing is given back
    trial = scene.told()[number]
    # 100 - 62.5 percent; 0.5 x 4 ms
    assert (trial.state.name, trial.values) == ("COMPLETE", [37.5, 2.0])
    assert trial.number in {best.number for best in optuna.load_study(
        study_name="tiny", storage=scene.database.url
    ).best_trials}  # fmt: skip
    assert untold_trials(scene.database, scene.study_id) == ()
    assert scene.recover() == 0
    assert dict(trial_counts(scene.database, scene.study_id)) == {"complete": 1}


def test_a_rejected_record_is_told_as_infeasible(scene: Scene) -> None:
    row_id, number = scene.trial(1)
    too_large = Cost(params=1500, macs=1, input_size=32, num_classes=4)
    finish_trial(scene.database, row_id, status=TrialStatus.REJECTED, reason="too large", cost=too_large)
    scene.recover()
    loaded = optuna.load_study(study_name="tiny", storage=scene.database.url)
    assert (loaded.trials[number].state.name, loaded.trials[number].values) == ("COMPLETE", [75.0, 16.0])
    assert loaded.best_trials == []


def test_a_stopped_record_is_told_as_infeasible_with_the_error_expected_of_it(
    database: Database, make_config: Any, enter: Any
) -> None:
    config = make_config(stopping={"policy": "predicted"}, proxy={"epochs": 4, "validation_images": 32})
    study = enter(database, config)
    fix_reference_point(database, study.id, {"error_percent": 75.0, "latency_ms": 16.0})
    scene = Scene(database, config, OptunaStudy(database, config, config.search_space()), study.id)
    early = EarlyStop(
        policy="predicted", epoch=1, of_epochs=4, error_percent=37.5, expected_error_percent=30.0,
        optimistic_error_percent=25.0, stopped=True,
    )  # fmt: skip
    row_id, number = scene.trial(1)
    finish_trial(
        database, row_id, status=TrialStatus.STOPPED, cost=COST, latency=LATENCY, score=SCORE, early_stop=early
    )
    second, replay = scene.trial(1)
    copy_result(database, second, study_id=study.id, number=number, status=TrialStatus.REPLAY, reason="the same")
    assert scene.recover() == 0
    loaded = optuna.load_study(study_name="tiny", storage=database.url)
    for told in (loaded.trials[number], loaded.trials[replay]):
        # 0.5 x 4 ms; one of four epochs was done
        assert (told.state.name, told.values, told.constraints["early_stop"]) == ("COMPLETE", [30.0, 2.0], 0.75)
    assert loaded.best_trials == []


def test_a_sampler_sees_each_constraint_once_whatever_older_trials_have(scene: Scene) -> None:
    """The list of before Optuna 5 is for the dashboard; GP refuses trials with different numbers of constraints."""
    for sequence in range(1, 12):
        number = scene.optuna.ask(sequence, at_random=True).number
        excess = {"params": -0.1 * sequence if sequence % 2 else 0.2}
        if sequence == 3:  # as an older version told it
            trial = scene.optuna._study._storage.get_trial_id_from_study_id_trial_number(scene.optuna._id, number)
            scene.optuna._storage.set_trial_system_attr(trial, "constraints:params", -0.3)
            scene.optuna._study.tell(number, [40.0, 3.0])
        else:
            scene.optuna.tell_values(number, [50.0 - sequence, 2.0 + sequence], excess)
    seen = scene.optuna._study.get_trials(deepcopy=False)
    assert {tuple(trial.constraints) for trial in seen} == {("params",)}
    read = optuna.load_study(study_name="tiny", storage=scene.database.url)
    assert [trial.system_attrs.get("constraints") for trial in read.trials[:3]] == [[-0.1], [0.2], None]
    # what GP makes of constraints, and would raise ValueError at
    completed = [trial for trial in seen if trial.state.name == "COMPLETE"]
    assert len({len(trial.constraints) for trial in completed}) == 1
    infeasible = {trial.number for trial in read.trials if any(value > 0 for value in trial.constraints.values())}
    assert infeasible and not infeasible & {trial.number for trial in read.best_trials}


@pytest.mark.parametrize("equal", [TrialStatus.FAILED, TrialStatus.RUNNING])
def test_a_replay_of_a_network_without_values_is_told_as_failed(scene: Scene, equal: TrialStatus) -> None:
    first, number = scene.trial(1, worker_id=enter_worker(scene.database, scene.study_id, "cpu"))
    if equal is not TrialStatus.RUNNING:
        finish_trial(scene.database, first, status=equal, reason="diverged", cost=COST, latency=LATENCY)
    second, replay = scene.trial(1)
    copy_result(
        scene.database, second, study_id=scene.study_id, number=number, status=TrialStatus.REPLAY, reason="the same"
    )
    scene.recover()
    assert scene.told()[replay].state.name == "FAIL"


def test_a_replay_of_a_complete_trial_is_told_its_values(scene: Scene) -> None:
    first, number = scene.trial(1)
    finish_trial(scene.database, first, status=TrialStatus.COMPLETE, cost=COST, latency=LATENCY, score=SCORE)
    second, replay = scene.trial(1)
    copy_result(
        scene.database, second, study_id=scene.study_id, number=number, status=TrialStatus.REPLAY, reason="the same"
    )
    scene.recover()
    assert [trial.values for trial in scene.told()] == [[37.5, 2.0]] * 2
    assert replay == 1


def test_a_suggestion_that_was_cut_off_does_not_run_on_beside_living_workers(scene: Scene) -> None:
    _, mine = scene.trial(1, worker_id=enter_worker(scene.database, scene.study_id, "cpu"))
    lost = scene.optuna.ask(2).number  # its worker was killed before the number was noted
    other = enter_worker(scene.database, scene.study_id, "cpu")
    claim = claim_trial(scene.database, study_id=scene.study_id, total=99, worker_id=other, variants=[])
    assert isinstance(claim, Claim)
    scene.recover()
    assert scene.optuna.running() == (mine, lost)  # it might be what the other worker is asking for
    theirs = scene.optuna.ask(3)
    note_suggestion(scene.database, claim.row_id, number=theirs.number, suggested=theirs.choices)
    scene.recover()
    assert scene.optuna.running() == (mine, theirs.number)


def test_a_killed_trial_of_a_study_that_optuna_has_lost_is_told_of_in_a_sentence(scene: Scene) -> None:
    scene.trial(1)  # its worker was killed
    scene.optuna.close()
    optuna.delete_study(study_name="tiny", storage=scene.database.url)  # as its dashboard does
    scene.optuna = OptunaStudy(scene.database, scene.config, scene.config.search_space())
    for _ in range(2):  # the same command again
        with pytest.raises(StoreError, match="have 0 trials of study 'tiny', which has a trial 0: they were deleted"):
            scene.recover()


def test_a_study_is_gone_on_with_without_reading_its_trials_in_optuna(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, number = scene.trial(1)
    read: list[object] = []
    monkeypatch.setattr(RDBStorage, "get_all_trials", lambda *asked, **_: read.append(asked) or [])
    again = OptunaStudy(scene.database, scene.config, scene.config.search_space())
    again.check_goes_on([number])
    assert read == []


def test_a_variant_outside_the_space_stays_failed_for_optuna(scene: Scene) -> None:
    row_id, number = scene.trial(1, variant_outside=True)
    finish_trial(scene.database, row_id, status=TrialStatus.COMPLETE, cost=COST, latency=LATENCY, score=SCORE)
    scene.recover()
    assert scene.told()[number].state.name == "FAIL"
    assert scene.optuna.ask(2).choices  # the sampler lives on


def test_a_trial_killed_while_it_ran_gives_its_slot_back_and_runs_no_more(scene: Scene) -> None:
    scene.trial(1)
    assert scene.recover() == 1
    assert [trial.state.name for trial in scene.told()] == ["FAIL"]
    assert dict(trial_counts(scene.database, scene.study_id)) == {"interrupted": 1}


def test_an_optuna_trial_without_a_record_has_failed(scene: Scene) -> None:
    scene.optuna.ask(1)  # the worker was killed before it stored the number
    scene.recover()
    assert [trial.state.name for trial in scene.told()] == ["FAIL"]
    assert scene.optuna.running() == ()


def test_what_a_living_worker_does_is_left_alone(scene: Scene) -> None:
    running, _ = scene.trial(1, worker_id=enter_worker(scene.database, scene.study_id, "cpu"))
    ended, _ = scene.trial(2, worker_id=enter_worker(scene.database, scene.study_id, "cpu"))
    finish_trial(scene.database, ended, status=TrialStatus.COMPLETE, cost=COST, latency=LATENCY, score=SCORE)
    asking = enter_worker(scene.database, scene.study_id, "cpu")
    claim_trial(scene.database, study_id=scene.study_id, total=99, worker_id=asking, variants=[])
    scene.optuna.ask(3)
    assert scene.recover() == 0
    assert [trial.state.name for trial in scene.told()] == ["RUNNING"] * 3
    assert [row.id for row in untold_trials(scene.database, scene.study_id)] == [ended]
    assert running != ended


def test_after_any_number_of_kills_nothing_is_running(scene: Scene) -> None:
    for sequence in range(1, 5):
        scene.trial(sequence)
    ended, _ = scene.trial(5)
    finish_trial(scene.database, ended, status=TrialStatus.FAILED, reason="diverged")
    scene.optuna.ask(6)
    scene.recover()
    assert scene.optuna.running() == ()
    assert dict(trial_counts(scene.database, scene.study_id)) == {"interrupted": 4, "failed": 1}
