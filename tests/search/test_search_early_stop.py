"""Early stopping in real, tiny studies: what is stopped, taken over and promoted, and what Optuna makes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import optuna
import pytest

from archsearch.records import Record, TrialStatus
from archsearch.search import evaluate, places, worker
from archsearch.search.config import StudyConfig
from archsearch.search.stopping import base
from archsearch.search.stopping.base import Curve, Decision
from archsearch.search.stopping.rules import STOPPING
from archsearch.search.trial_context import StoredTrial
from archsearch.store.claims import PROMOTED, interrupt_trial, trial_counts
from archsearch.store.database import Database
from archsearch.store.partial_trainings import load_decisions, load_partial_training
from archsearch.store.studies import find_study
from archsearch.store.trials import load_record, load_records

PROXY = {"epochs": 3, "batch_size": 32, "train_images": 64, "validation_images": 32}
CHEAP = {"guidelines": "off"}  # an audit takes longer than these trainings
ONE_POINT = """
name: one
family: shufflenet_v2
fixed: {width: 0.5}
choices: {residual: {values: [false], source: test}}
"""
TWO_POINTS = ONE_POINT.replace("[false]", "[false, true]")


class ByNumber:
    """A rule that stops the trials that it is told to after the second epoch, and promotes those that it is told to."""

    def __init__(self, *stopped: int, promoted: Sequence[int] = ()) -> None:
        self.stopped, self.promoted = stopped, promoted
        self.seen: dict[int, list[Curve]] = {}

    def decide(self, trial: Curve, others: Sequence[Curve]) -> Decision:
        self.seen.setdefault(trial.trial, []).append(trial)
        epoch = len(trial.errors)
        stop = trial.trial in self.stopped and epoch == 2
        return Decision(
            epoch=epoch,
            stop=stop,
            would_stop=stop,
            optimistic_error_percent=71.0 if stop else None,
            expected_error_percent=72.5 if stop else None,
            reason="it was asked for" if stop else "",
        )

    def promotable(self, curves: Sequence[Curve]) -> int | None:
        waiting = [curve.trial for curve in curves if not curve.complete and not curve.running]
        return next((trial for trial in waiting if trial in self.promoted), None)


@pytest.fixture
def rule_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[ByNumber], ByNumber]:
    """Make every worker follow a rule."""

    def use(rule: ByNumber) -> ByNumber:
        monkeypatch.setattr(worker, "make_rule", lambda settings, **context: rule)
        return rule

    return use


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by each network that is measured."""
    found: list[object] = []
    real = places.open_measurement

    def count(model: object, *arguments: Any, **more: Any) -> Any:
        found.append(model)
        return real(model, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(places, "open_measurement", count)
    return found


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Grows by each epoch that is trained: (seed, epoch)."""
    found: list[tuple[int, int]] = []
    real = StoredTrial.epoch_done

    def count(self: StoredTrial, point: Any, state: Any) -> bool:
        found.append((self.seed, point.epoch))
        return real(self, point, state)

    monkeypatch.setattr(StoredTrial, "epoch_done", count)
    return found


def records(database: Database, config: StudyConfig, *, with_curves: bool = False) -> tuple[Record, ...]:
    return load_records(database, find_study(database, config.name).id, with_curves=with_curves)


def loaded(database: Database) -> optuna.Study:
    return optuna.load_study(study_name="tiny", storage=database.url)


@pytest.mark.parametrize("policy", list(STOPPING))
def test_a_study_under_every_policy_comes_to_its_end(
    database: Database, make_config: Any, make_worker: Any, policy: str
) -> None:
    stopping = {"policy": policy, "first_full": 2, "share_full": 0.0, "reduction": 2, "quantile": 0.4}
    config = make_config(proxy=PROXY, stopping=stopping, variants=["shufflenet_v2_x0_5"], constraints=CHEAP)
    make_worker(config, total=5).run()
    counts = dict(trial_counts(database, find_study(database, config.name).id))
    assert counts.get("complete", 0) + counts.get("stopped", 0) == 5
    assert not counts.keys() & {"running", "failed"}
    found = records(database, config, with_curves=True)
    assert found[0].variant is not None and found[0].status is TrialStatus.COMPLETE  # published ones are never stopped
    for record in found:
        if record.status in (TrialStatus.COMPLETE, TrialStatus.STOPPED):
            assert record.cost is not None and record.latency is not None and record.score is not None
            assert record.score.epochs == len(record.score.curve)
            assert (record.score.epochs == 3) == (record.status is TrialStatus.COMPLETE)
            stopped = record.early_stop is not None and record.early_stop.stopped
            assert stopped == (record.status is TrialStatus.STOPPED)
    told = loaded(database)
    assert {trial.state.name for trial in told.trials} <= {"COMPLETE", "FAIL"}
    infeasible = {record.trial for record in found if record.early_stop is not None and record.early_stop.stopped}
    assert not infeasible & {trial.number for trial in told.best_trials}
    assert ("early_stop" in told.trials[0].constraints) == (policy != "none")
    make_worker(config, total=5).run()
    assert records(database, config, with_curves=True) == found


def test_a_stopped_trial_holds_its_slot_with_its_curve_and_is_infeasible_in_optuna(
    database: Database, make_config: Any, make_worker: Any, rule_is: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_EXHAUSTED_AFTER_REPEATS", 6)
    rule = rule_is(ByNumber(0))
    config = make_config(
        space_text=TWO_POINTS, proxy=PROXY, stopping={"policy": "predicted"}, constraints=CHEAP | {"params": 10**9}
    )
    make_worker(config, total=3).run()  # of the space's two networks, one is stopped: nothing is left to try
    found = records(database, config, with_curves=True)
    stopped = found[0]
    assert (stopped.status, stopped.reason) == (TrialStatus.STOPPED, "it was asked for")
    assert stopped.score is not None and stopped.cost is not None and stopped.latency is not None
    assert (stopped.score.epochs, len(stopped.score.curve)) == (2, 2)
    early = stopped.early_stop
    assert early is not None and early.stopped
    assert (early.policy, early.epoch, early.of_epochs) == ("predicted", 2, 3)
    assert (early.error_percent, early.expected_error_percent) == (100.0 - stopped.score.top1_percent, 72.5)
    counts = dict(trial_counts(database, find_study(database, config.name).id))
    assert (counts["stopped"], counts["complete"]) == (1, 1)
    # the rule saw what is known before the training: the latency
    assert {curve.known for curve in rule.seen[0]} == {(stopped.latency.corrected_ms,)}

    told = loaded(database)
    # the error that was expected, and a third of the three epochs spared; params far below their bound
    assert told.trials[0].values == [72.5, stopped.latency.corrected_ms]
    assert told.trials[0].constraints["early_stop"] == pytest.approx(1 / 3)
    assert told.trials[0].system_attrs["constraints"] == [
        stopped.cost.params / 10**9 - 1.0, told.trials[0].constraints["early_stop"]
    ]  # fmt: skip
    infeasible = {record.trial for record in found if record.early_stop is not None and record.early_stop.stopped}
    assert {trial.number for trial in told.trials if trial.state.name == "COMPLETE"} > infeasible
    assert not infeasible & {trial.number for trial in told.best_trials}

    # suggested again it is answered from its record, never trained again
    repeats = [record for record in found if record.arch_id == stopped.arch_id and record is not stopped]
    assert repeats
    for repeat in repeats:
        assert (repeat.status, repeat.score) == (TrialStatus.REPLAY, stopped.score)
        assert told.trials[repeat.trial].constraints == told.trials[0].constraints
    assert len(rule.seen[0]) == 2 and len(rule.seen) == 2
    decisions = load_decisions(database, find_study(database, config.name).id)
    assert [said["would_stop"] for said in decisions[0]] == [False, True]


def test_two_workers_at_once_train_no_stopped_network_twice(
    database: Database, make_config: Any, make_worker: Any, rule_is: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_EXHAUSTED_AFTER_REPEATS", 6)
    rule = rule_is(ByNumber(*range(100)))
    config = make_config(
        space_text=TWO_POINTS, constraints=CHEAP, proxy=PROXY | {"epochs": 4}, stopping={"policy": "predicted"}
    )
    threads = [threading.Thread(target=make_worker(config, total=4).run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = records(database, config)
    stopped = [record for record in found if record.status is TrialStatus.STOPPED]
    assert len({record.arch_id for record in stopped}) == len(stopped) == 2
    assert set(rule.seen) == {record.trial for record in stopped}
    assert {record.status for record in found} == {TrialStatus.STOPPED, TrialStatus.REPLAY}
    assert not [trial for trial in loaded(database).trials if trial.state.name == "RUNNING"]
    assert loaded(database).best_trials == []


def test_a_published_network_runs_to_its_end_and_says_that_it_was_spared(
    database: Database, make_config: Any, make_worker: Any, rule_is: Any
) -> None:
    rule_is(ByNumber(0))
    config = make_config(
        proxy=PROXY, constraints=CHEAP, stopping={"policy": "predicted"}, variants=["shufflenet_v2_x0_5"]
    )
    make_worker(config, total=1).run()
    (record,) = records(database, config)
    assert record.status is TrialStatus.COMPLETE and record.score is not None and record.score.epochs == 3
    assert record.early_stop is not None and not record.early_stop.stopped
    assert (record.early_stop.epoch, record.early_stop.exempt) == (2, "a published network")


def test_a_trial_cut_off_in_its_training_goes_on_where_it_was_and_is_not_measured_again(
    database: Database,
    make_config: Any,
    make_worker: Any,
    monkeypatch: pytest.MonkeyPatch,
    measured: list[object],
    trained: list[tuple[int, int]],
) -> None:
    config = make_config(
        space_text=ONE_POINT, constraints=CHEAP, proxy=PROXY, stopping={"policy": "none", "checkpoint_seconds": 0}
    )
    stopped = make_worker(config, total=1)
    real = StoredTrial.save

    def save_and_stop(self: StoredTrial) -> None:
        real(self)
        if len(self.curve) == 2:
            stopped.stop()

    monkeypatch.setattr(StoredTrial, "save", save_and_stop)
    stopped.run()
    (interrupted,) = records(database, config)
    assert interrupted.status is TrialStatus.INTERRUPTED
    assert trained == [(0, 1), (0, 2)]
    networks = len(measured)

    monkeypatch.setattr(StoredTrial, "save", real)
    make_worker(config, total=1).run()
    again = records(database, config, with_curves=True)[1]
    assert again.status is TrialStatus.COMPLETE and again.score is not None
    assert trained == [(0, 1), (0, 2), (0, 3)]
    assert len(measured) == networks and again.latency == interrupted.latency

    # the same network trained in one go has the same curve, up to the clock
    whole = make_config(space_text=ONE_POINT, constraints=CHEAP, proxy=PROXY, name="whole")
    make_worker(whole, total=1).run()
    (reference,) = records(database, whole, with_curves=True)
    assert reference.score is not None
    assert [(point.train_loss, point.top1_percent) for point in again.score.curve] == [
        (point.train_loss, point.top1_percent) for point in reference.score.curve
    ]
    study_id = find_study(database, config.name).id
    assert load_partial_training(database, study_id, again.arch_id, 0) is None  # its state is not kept any longer


def test_a_stop_stores_the_state_after_the_last_epoch(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(
        space_text=ONE_POINT, constraints=CHEAP, proxy=PROXY, stopping={"policy": "none", "checkpoint_seconds": 1e6}
    )
    stopped = make_worker(config, total=1)
    monkeypatch.setattr("archsearch.search.trial_context._CHEAP_SHARE", 1e6)
    real = StoredTrial.epoch_done

    def stop_after_one(self: StoredTrial, point: Any, state: Any) -> bool:
        goes_on = real(self, point, state)
        stopped.stop()
        return goes_on

    monkeypatch.setattr(StoredTrial, "epoch_done", stop_after_one)
    stopped.run()
    (interrupted,) = records(database, config)
    left = load_partial_training(database, find_study(database, config.name).id, interrupted.arch_id, 0)
    assert left is not None and left.epoch == len(left.curve) == 1


@pytest.mark.parametrize("policy", ["mo_asha", "predicted"])  # whichever promotes: the next rule may, too
def test_a_promoted_trial_goes_on_from_its_state_under_another_number(
    database: Database,
    make_config: Any,
    make_worker: Any,
    rule_is: Any,
    trained: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
) -> None:
    monkeypatch.setattr(base, "_PROMOTING", (policy,))
    rule = rule_is(ByNumber(0))
    config = make_config(
        space_text=ONE_POINT, constraints=CHEAP, proxy=PROXY, stopping={"policy": policy, "checkpoint_seconds": 1e6}
    )
    make_worker(config, total=1).run()
    assert [record.status for record in records(database, config)] == [TrialStatus.STOPPED]
    rule.promoted = (0,)
    make_worker(config, total=1).run()  # every slot is filled: a promotion needs none
    before, after = records(database, config, with_curves=True)
    assert (before.status, before.reason) == (TrialStatus.INTERRUPTED, PROMOTED)
    assert (after.status, after.arch_id) == (TrialStatus.COMPLETE, before.arch_id)
    assert trained == [(0, 1), (0, 2), (0, 3)]
    assert after.score is not None and before.score is not None
    assert after.score.curve[:2] == before.score.curve
    assert after.early_stop is not None
    assert (after.early_stop.stopped, after.early_stop.exempt) == (False, "it was promoted")
    assert dict(trial_counts(database, find_study(database, config.name).id)) == {"complete": 1, "interrupted": 1}
    assert [trial.number for trial in loaded(database).best_trials] == [after.trial]


@pytest.mark.parametrize(("of", "name"), [(evaluate.Evaluator, "_measured"), (worker, "finish_trial")])
def test_a_trial_that_is_cut_off_after_its_rule_ended_it_is_ended_again_and_not_promoted(
    database: Database,
    make_config: Any,
    make_worker: Any,
    rule_is: Any,
    trained: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
    of: Any,
    name: str,
) -> None:
    rule_is(ByNumber(0, 1))
    config = make_config(
        space_text=ONE_POINT, constraints=CHEAP, proxy=PROXY, stopping={"policy": "mo_asha", "checkpoint_seconds": 1e6}
    )
    real = getattr(of, name)

    def cut_off(*_given: Any, **_more: Any) -> Any:
        monkeypatch.setattr(of, name, real)
        raise evaluate.StopRequested  # Ctrl-C while the rest is measured, or a database that is away is waited for

    monkeypatch.setattr(of, name, cut_off)
    make_worker(config, total=1).run()
    assert [record.status for record in records(database, config)] == [TrialStatus.INTERRUPTED, TrialStatus.STOPPED]
    assert trained == [(0, 1), (0, 2), (0, 1), (0, 2)]


def test_a_trial_whose_slot_was_given_back_is_dropped_by_the_end_of_its_next_epoch(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch, trained: list[Any]
) -> None:
    config = make_config(space_text=ONE_POINT, constraints=CHEAP, proxy=PROXY)
    real = evaluate.train_proxy
    lost: list[int] = []

    def lose_slot(*arguments: Any, **more: Any) -> Any:
        if not lost:
            lost.append(1)
            interrupt_trial(database, 1, "its worker was thought dead")
        return real(*arguments, **more)

    monkeypatch.setattr(evaluate, "train_proxy", lose_slot)
    make_worker(config, total=1).run()
    dropped, again = records(database, config)
    assert (dropped.status, again.status) == (TrialStatus.INTERRUPTED, TrialStatus.COMPLETE)
    # dropped at the next thing it stores: the end of its first epoch, or a measurement that ends within it
    assert [epoch for _, epoch in trained] in ([1, 1, 2, 3], [1, 2, 3])
    assert [trial.state.name for trial in loaded(database).trials] == ["FAIL", "COMPLETE"]


def test_repeats_may_be_spent_on_further_seeds(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch, trained: list[Any]
) -> None:
    monkeypatch.setattr(worker, "_EXHAUSTED_AFTER_REPEATS", 5)
    config = make_config(space_text=ONE_POINT, constraints=CHEAP, proxy=PROXY | {"epochs": 1}, repeats="reseed")
    make_worker(config, total=2).run()
    first, *repeats = records(database, config)
    assert first.status is TrialStatus.COMPLETE and first.score is not None and first.score.seed == 0
    assert {record.status for record in repeats} == {TrialStatus.REPLAY}  # no place of --trials is used
    # two further seeds, three trainings in all; from then on the record answers
    assert [record.score.seed for record in repeats if record.score is not None] == [1, 2, 0, 0, 0]
    assert [seed for seed, _ in trained] == [0, 1, 2]
    assert {record.latency for record in repeats} == {first.latency}
    assert repeats[0].reason == "the same network as trial 0, trained with seed 1"
    told = loaded(database).trials
    for record in repeats:
        full = load_record(database, find_study(database, config.name).id, record.trial)
        assert full is not None and full.score is not None
        assert told[record.trial].values[0] == 100.0 - full.score.top1_percent
