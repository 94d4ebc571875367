"""Bounds hard and soft, and the guidelines as bounds: what is refused, what is told, what is never begun."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from makers import make_latency

from archsearch.errors import ConfigError
from archsearch.limits import GUIDELINES
from archsearch.records import Cost, Record, TrialStatus
from archsearch.search import evaluate, samplers, worker
from archsearch.search.config import Constraints, load_study
from archsearch.search.evaluate import Evaluator
from archsearch.search.measuring import StudyLatency, TrialLatency
from archsearch.search.optuna_study import _SamplersStudy
from archsearch.search.outcome import constraint_excess, outcome_of, rejecting, rejection
from archsearch.store.database import Database
from archsearch.store.studies import find_study, fix_reference_point
from archsearch.store.trials import load_records

# At 32x32 with this stem's stride ShuffleNet V1's two networks break G4 for their sums; ShuffleNet V2's keep all four.
V1_SPACE = """
name: first
family: shufflenet_v1
fixed: {width: 0.5xg3}
choices: {stage2.attention: {values: [none, se], source: test}}
"""
SCORES = {"G1": 1.0, "G2": 1.32, "G3": 5.0, "G4": 0.6}
COST = Cost(
    params=300,
    macs=5000,
    input_size=32,
    num_classes=10,
    memory_read_bytes=3000,
    memory_written_bytes=1000,
    guidelines=SCORES,
)
MEASURED = make_latency(3.0, study_reference_ms=4.0)


def records(database: Database, name: str) -> tuple[Record, ...]:
    return load_records(database, find_study(database, name).id)


def no_training(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    trained = list[object]()
    monkeypatch.setattr(evaluate, "train_proxy", lambda *arguments, **_: trained.append(arguments))
    return trained


def no_measurement(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    measured = list[object]()
    monkeypatch.setattr(StudyLatency, "of", lambda self, *arguments, **_: measured.append(arguments))
    return measured


@pytest.mark.parametrize(
    ("written", "read"), [("off", "off"), ("'off'", "off"), ("report", "report"), ("hard", "hard")]
)
def test_guidelines_may_be_written_off_without_quotes(tmp_path: Any, written: str, read: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"space: shufflenet_v2\ndataset: digits\nconstraints: {{guidelines: {written}}}\n")
    assert load_study(str(path)).constraints.guidelines == read


def named(trial: optuna.trial.FrozenTrial) -> set[str]:
    """Names of a trial's constraints; Optuna shows those of its old list, for the dashboard, under numbers as well."""
    return {name for name in trial.constraints if not name.isdigit()}


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ({"soft": ["macs"]}, r"constraints.*soft: 'macs' has no bound"),
        ({"soft": ["top1"], "macs": 3}, r"constraints\.soft"),
        ({"guidelines": "maybe"}, r"constraints\.guidelines.*got 'maybe'"),
        ({"guidelines": True}, r"constraints\.guidelines"),
        ({"memory_bytes": 0}, r"constraints\.memory_bytes: must be above 0"),
        ({"latency_ms": float("inf")}, r"constraints\.latency_ms: must be a finite number"),
    ],
)
def test_a_wrong_constraint_is_refused_by_name(make_config: Any, constraints: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(constraints=constraints)


def test_studies_that_use_nothing_newer_keep_their_protocol(make_config: Any) -> None:
    old = {"params": 5, "macs": None, "latency_ms": None}  # as stored before there was more
    for mode in ("off", "report"):  # reporting changes no trial
        assert make_config(constraints={"params": 5, "guidelines": mode}).protocol()["constraints"] == old
    for more in ({"guidelines": "soft"}, {"guidelines": "hard"}, {"soft": ["params"]}, {"memory_bytes": 7}):
        assert make_config(constraints={"params": 5, **more}).protocol()["constraints"] != old


def test_memory_and_guidelines_exceed_like_every_bound() -> None:
    # (3000 + 1000) / 5000 - 1; G2: 1.32 / 1.1 - 1
    excess = constraint_excess(Constraints(memory_bytes=5000, guidelines="soft"), COST, None)
    assert excess["memory_bytes"] == pytest.approx(-0.2)
    assert excess["G2"] == pytest.approx(0.2)
    assert set(excess) == {"memory_bytes", *GUIDELINES}
    for mode in ("off", "report"):
        assert constraint_excess(Constraints(guidelines=mode), COST, None) == {}


def test_the_sampler_is_told_equally_many_constraints_whatever_was_found() -> None:
    constraints = Constraints(params=200, memory_bytes=10, latency_ms=1.0, soft=("memory_bytes",), guidelines="hard")
    early = Cost(params=300, macs=1, input_size=32, num_classes=10)  # rejected before memory and guidelines were known
    names = list(constraint_excess(constraints, COST, None))
    assert list(constraint_excess(constraints, early, None)) == names
    assert list(constraint_excess(constraints, None, None)) == names


def test_only_hard_constraints_reject_and_the_reason_names_each() -> None:
    constraints = Constraints(params=200, macs=400, soft=("macs",), guidelines="hard")
    excess = constraint_excess(constraints, COST, None)
    assert rejecting(constraints, excess) == ("params", "G2")
    values = {"params": 300.0, "macs": 5000.0, **SCORES}
    assert rejection(constraints, excess, values) == "params 300 exceeds 200; G2 (few groups) 1.32 exceeds 1.1"
    most = Constraints(params=1_263_853)
    assert rejection(most, {"params": 1e-6}, {"params": 1_263_854.0}) == "params 1,263,854 exceeds 1,263,853"
    soft = Constraints(params=200, macs=400, soft=("macs", "params"), guidelines="soft")
    assert rejection(soft, constraint_excess(soft, COST, None), values) is None


@pytest.mark.parametrize(("mode", "told"), [("hard", TrialStatus.REJECTED), ("soft", TrialStatus.COMPLETE)])
def test_a_replay_of_a_network_over_a_soft_bound_is_complete(mode: Any, told: TrialStatus) -> None:
    record = Record(
        study="s", trial=1, arch_id="a", family="f", choices={}, suggested={}, status=TrialStatus.REPLAY, cost=COST
    )
    assert outcome_of(record, Constraints(guidelines=mode)).status is told


def test_a_network_that_breaks_a_hard_guideline_is_neither_measured_nor_trained(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_HOPELESS_AFTER_REJECTIONS", 2)
    trained, measured = no_training(monkeypatch), no_measurement(monkeypatch)
    config = make_config(space_text=V1_SPACE, constraints={"guidelines": "hard"})
    make_worker(config, total=2).run()
    found = [record for record in records(database, "tiny") if record.status is not TrialStatus.REPLAY]
    assert [record.status for record in found] == [TrialStatus.REJECTED] * 2
    for record in found:
        assert record.cost is not None and record.latency is None and record.score is None
        score = record.cost.guidelines["G4"]
        assert record.reason is not None
        assert f"G4 (few element-wise operators) {score:,.6g} exceeds 0.75" in record.reason
    assert (trained, measured) == ([], [])


def test_a_network_that_is_rejected_unmeasured_is_told_as_infeasible_once_another_worker_has_measured_one(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_HOPELESS_AFTER_REJECTIONS", 2)
    begun = make_worker(make_config(constraints={"params": 1}), total=2)
    fix_reference_point(database, find_study(database, "tiny").id, {"error_percent": 75.0, "latency_ms": 16.0})
    begun.run()
    told = [trial for trial in optuna.load_study(study_name="tiny", storage=database.url).trials if trial.constraints]
    assert len(told) >= 2
    for trial in told:
        assert (trial.state.name, trial.values, trial.constraints["params"] > 0) == ("COMPLETE", [75.0, 16.0], True)


def test_a_network_that_breaks_a_soft_guideline_is_trained_and_told_as_infeasible(
    database: Database, make_config: Any, make_worker: Any
) -> None:
    config = make_config(space_text=V1_SPACE, constraints={"guidelines": "soft"})
    make_worker(config, total=1).run()
    (record,) = records(database, "tiny")
    assert (record.status, record.score is not None) == (TrialStatus.COMPLETE, True)
    assert record.cost is not None
    study = optuna.load_study(study_name="tiny", storage=database.url)
    (trial,) = study.trials
    assert trial.state.name == "COMPLETE" and study.best_trials == []
    assert trial.constraints["G4"] == pytest.approx(record.cost.guidelines["G4"] / 0.75 - 1)
    assert named(trial) == set(GUIDELINES)


@pytest.mark.parametrize(("mode", "known"), [("report", set(GUIDELINES)), ("off", set())])
def test_scores_are_stored_with_the_trial_unless_they_are_off(
    database: Database, make_config: Any, make_worker: Any, mode: str, known: set[str]
) -> None:
    make_worker(make_config(constraints={"guidelines": mode}), total=1).run()
    (record,) = records(database, "tiny")
    assert record.status is TrialStatus.COMPLETE and record.cost is not None
    assert set(record.cost.guidelines) == known
    assert optuna.load_study(study_name="tiny", storage=database.url).trials[0].constraints == {}


def test_a_soft_latency_of_a_microsecond_rejects_nothing(
    database: Database, make_config: Any, make_worker: Any
) -> None:
    make_worker(make_config(constraints={"latency_ms": 0.001, "soft": ["latency_ms"]}), total=1).run()
    (record,) = records(database, "tiny")
    assert record.status is TrialStatus.COMPLETE and record.score is not None and record.latency is not None
    study = optuna.load_study(study_name="tiny", storage=database.url)
    assert study.trials[0].constraints["latency_ms"] == pytest.approx(record.latency.corrected_ms / 0.001 - 1)
    assert study.best_trials == []


def test_memory_over_its_bound_is_rejected_before_anything_is_built_for_measuring(
    make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = list[object]()
    monkeypatch.setattr(evaluate, "build", lambda *arguments, **_: built.append(arguments))
    config = make_config(constraints={"memory_bytes": 1000})
    evaluator = Evaluator(config, tiny_dataset, "cpu", check=lambda: None, fix_reference=lambda p10_ms: p10_ms)
    space = config.search_space()
    outcome = evaluator.evaluate(space.spec(space.sample(0)).normalised(32))
    assert (outcome.status, built) == (TrialStatus.REJECTED, [])
    assert outcome.reason is not None and outcome.reason.startswith("memory_bytes ")
    assert outcome.reason.endswith(" exceeds 1,000")


def test_gp_goes_on_after_rejected_and_complete_trials(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GP needs the same constraints on every complete trial: some here end by their cost, before there is an audit."""
    monkeypatch.setattr(samplers, "STARTUP_TRIALS", 2)
    monkeypatch.setattr(StudyLatency, "of", lambda self, model, _earlier: TrialLatency(self, model, MEASURED))
    space = """
name: mixed
family: shufflenet_v2
choices:
  width: {values: [0.5, 1.0], source: test}
  stage2.attention: {values: [none, se], source: test}
  residual: {values: [false, true], source: test}
"""
    config = make_config(space_text=space, sampler="gp", constraints={"params": 1_000_000, "guidelines": "soft"})
    make_worker(config, total=3).run()
    found = [record.status for record in records(database, "tiny")]
    assert found.count(TrialStatus.COMPLETE) == 3 and TrialStatus.REJECTED in found
    trials = optuna.load_study(study_name="tiny", storage=database.url).trials
    told = [named(trial) for trial in trials if trial.state.name == "COMPLETE"]
    assert told and all(names == {"params", *GUIDELINES} for names in told)


def test_samplers_see_the_constraints_of_all_trials_in_one_order_which_a_proxy_does_not_keep() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="tiny", storage=storage, directions=["minimize", "minimize"])
    for names in (("params", "latency_ms"), ("latency_ms", "params")):
        excess = {f"constraints:{name}": -0.5 for name in names}
        study.add_trial(optuna.trial.create_trial(values=[50.0, 1.0], system_attrs=excess))
    stored = [list(trial.constraints) for trial in study.get_trials()]
    assert stored == [["params", "latency_ms"], ["latency_ms", "params"]]
    seen = _SamplersStudy(study_name="tiny", storage=storage).get_trials()
    assert [list(trial.constraints) for trial in seen] == [["latency_ms", "params"]] * 2
