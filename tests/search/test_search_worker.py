"""A worker in this process on a tiny study: real networks, real latencies, real trainings."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import pytest
import torch
from optuna.exceptions import UpdateFinishedTrialError

from archsearch.errors import MeasurementError, StoreError
from archsearch.records import Record, TrialStatus
from archsearch.search import evaluate, places, worker
from archsearch.search.config import StudyConfig
from archsearch.search.evaluate import Evaluator
from archsearch.search.optuna_study import OptunaStudy
from archsearch.search.processes import REFUSED
from archsearch.search.worker_job import do_job
from archsearch.store.claims import Claim, NoSlot, claim_trial, trial_counts
from archsearch.store.database import Database
from archsearch.store.schema import WorkerRow
from archsearch.store.studies import find_study, fix_reference_latency
from archsearch.store.trials import load_records, note_architecture, note_suggestion
from archsearch.store.workers import enter_worker, leave_worker

TWO_POINTS = """
name: two
family: shufflenet_v2
fixed: {width: 0.5}
choices: {residual: {values: [false, true], source: test}}
"""

REORDERED = """
name: tiny
family: shufflenet_v2
fixed: {width: 0.5}
choices:
  residual: {values: [true, false], source: test}
  stage2.attention: {values: [simam, none, se], source: test}
"""


def records(database: Database, config: StudyConfig) -> tuple[Record, ...]:
    return load_records(database, find_study(database, config.name).id)


def counts(database: Database, config: StudyConfig) -> dict[str, int]:
    return dict(trial_counts(database, find_study(database, config.name).id))


def optuna_states(database: Database) -> list[str]:
    return [trial.state.name for trial in optuna.load_study(study_name="tiny", storage=database.url).trials]


@pytest.mark.parametrize("total", [2])
def test_a_worker_fills_the_total_and_typed_again_does_nothing(
    storage_url: str, make_config: Any, make_worker: Any, total: int
) -> None:
    database, config = Database(storage_url), make_config()
    make_worker(config, total=total, of=database).run()
    first = records(database, config)
    complete = [record for record in first if record.status is TrialStatus.COMPLETE]
    assert len(complete) == total
    for record in complete:
        assert record.cost is not None and record.latency is not None and record.score is not None
        assert (record.cost.input_size, record.cost.num_classes) == (32, 4)
        assert (record.score.split, record.score.train_images, record.score.eval_images) == ("validation", 64, 32)
        assert record.latency.reference == "shufflenet_v2_x0_5"
        assert record.latency.p10_ms > 0
    study = find_study(database, config.name)
    (reference_ms,) = {record.latency.study_reference_ms for record in complete if record.latency}
    # guessing among 4 classes errs in 75 percent; 4 times the reference's first latency
    assert study.reference_point == {"error_percent": 75.0, "latency_ms": pytest.approx(4 * (reference_ms or 0))}

    make_worker(config, total=total, of=database).run()
    assert records(database, config) == first
    make_worker(config, total=total + 1, of=database).run()
    assert counts(database, config)["complete"] == total + 1
    with database.reading() as session:
        assert session.query(WorkerRow).count() == 0  # every worker has taken itself off the table
    database.close()


def test_a_study_goes_on_whatever_order_its_space_is_written_in_by_now(
    database: Database, make_config: Any, make_worker: Any
) -> None:
    first = make_config()
    make_worker(first, total=1).run()
    again = make_config(space_text=REORDERED)
    assert again.search_space().fingerprint == find_study(database, first.name).space_fingerprint
    make_worker(again, total=3).run()
    assert counts(database, again)["complete"] == 3


def test_optuna_is_told_what_the_records_say(database: Database, make_config: Any, make_worker: Any) -> None:
    config = make_config()
    make_worker(config, total=2).run()
    trials = optuna.load_study(study_name="tiny", storage=database.url).trials
    for record in records(database, config):
        told = trials[record.trial]
        assert told.state.name == "COMPLETE"
        assert told.params == record.suggested
        assert record.latency is not None and record.score is not None
        assert told.values == [100.0 - record.score.top1_percent, record.latency.corrected_ms]


def test_a_used_up_space_ends_the_run_and_says_so(
    database: Database, make_config: Any, make_worker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config(space_text=TWO_POINTS)
    with caplog.at_level(logging.WARNING):
        make_worker(config, total=5).run()
    found = counts(database, config)
    assert found == {"complete": 2, "replay": found["replay"]}  # two networks are trained, once each
    assert found["replay"] >= 100
    assert "the search space (2 points, which build 2 different networks) is used up" in caplog.text
    first: dict[str, Record] = {}
    for record in records(database, config):
        original = first.setdefault(record.arch_id, record)
        assert (record.cost, record.latency, record.score) == (original.cost, original.latency, original.score)
        if record is not original:
            assert record.status is TrialStatus.REPLAY
            assert record.reason == f"the same network as trial {original.trial} (complete)"
    assert set(optuna_states(database)) == {"COMPLETE"}


def test_a_study_of_which_optuna_has_lost_its_trials_is_refused(
    database: Database, make_config: Any, make_worker: Any
) -> None:
    make_worker(make_config(), total=1).run()
    optuna.delete_study(study_name="tiny", storage=database.url)  # as its dashboard does
    with pytest.raises(StoreError, match="have 0 trials of study 'tiny', which has a trial 0: they were deleted"):
        make_worker(make_config(), total=2)


def test_a_worker_refuses_other_images_than_its_study_was_begun_with(
    database: Database, make_config: Any, enter: Any, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config(dataset="digits")
    enter(database, config)  # with other images than those
    job = {"storage": database.url, "data_dir": None, "device": "cpu", "total": 1, "parent": 0}
    assert do_job(job | {"config": config.model_dump(mode="json")}) == REFUSED
    assert "the images of 'digits' are not those that study 'tiny' was run on (were 000000000000, now" in caplog.text
    assert counts(database, config) == {}


def test_variants_come_first_under_their_names_inside_the_space_and_outside(
    database: Database, make_config: Any, make_worker: Any
) -> None:
    names = ["shufflenet_v2_x0_5", "shufflenet_v2_x0_5_se", "shufflenet_v2_x0_5_authors"]
    config = make_config(variants=names)
    make_worker(config, total=4).run()
    inside, outside, same, new = records(database, config)[:4]
    assert [record.variant for record in (inside, outside, same, new)] == [*names, None]
    assert inside.suggested == {"stage2.attention": "none", "residual": False}
    assert outside.suggested == {}
    # at width 0.5 the authors' form is the same network (it keeps its slot, and is not trained twice)
    assert (same.arch_id, same.score, same.status) == (inside.arch_id, inside.score, TrialStatus.COMPLETE)
    assert counts(database, config)["complete"] == 4
    assert optuna_states(database)[:4] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]


def test_a_variant_whose_choices_are_not_taken_is_never_another_network_under_its_name(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(variants=["shufflenet_v2_x0_5"])
    mine = make_worker(config, total=1)
    ask = mine._optuna.ask

    def refused(sequence: int, *, fixed: Any = None, **more: Any) -> Any:
        if fixed is not None:
            raise UpdateFinishedTrialError("another process took this worker for dead")
        return ask(sequence, **more)

    monkeypatch.setattr(mine._optuna, "ask", refused)
    with pytest.raises(UpdateFinishedTrialError):
        mine.run()
    assert records(database, config) == ()


def test_a_variant_waits_for_the_same_network_of_another_worker(
    database: Database, make_config: Any, make_worker: Any, enter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(variants=["shufflenet_v2_x0_5"])
    study = enter(database, config)
    mine = make_worker(config, total=2)
    # another living worker is at the same network: it has claimed it as a suggestion of its own
    other = enter_worker(database, study.id, "cpu")
    claimed = claim_trial(database, study_id=study.id, total=2, worker_id=other, variants=[])
    assert isinstance(claimed, Claim)
    asked = OptunaStudy(database, config, config.search_space()).ask(
        1, fixed={"stage2.attention": "none", "residual": False}
    )
    note_suggestion(database, claimed.row_id, number=asked.number, suggested=asked.choices)
    spec = config.search_space().spec(asked.choices).normalised(32)
    known = note_architecture(
        database, claimed.row_id, family=spec.family, arch_id=spec.arch_id, choices=spec.choices()
    )
    assert known is None
    monkeypatch.setattr(worker, "_WAIT_SECONDS", 0.05)
    waited = threading.Event()
    wait_for_end = mine._wait_for_end

    def leave_meanwhile(status: str, number: int) -> Any:
        if status == TrialStatus.RUNNING and not waited.is_set():
            waited.set()
            leave_worker(database, other)  # it is killed while we wait: its slot is given back
        return wait_for_end(status, number)

    monkeypatch.setattr(mine, "_wait_for_end", leave_meanwhile)
    guard = threading.Timer(20, mine.stop)  # a worker that did not wait would find every slot busy for ever
    guard.start()
    mine.run()
    guard.cancel()
    assert waited.is_set()
    named = [record for record in records(database, config) if record.variant == "shufflenet_v2_x0_5"]
    assert [record.status for record in named][-1] is TrialStatus.COMPLETE
    assert counts(database, config)["complete"] == 2
    assert "RUNNING" not in optuna_states(database)


def test_a_network_that_diverges_fails_with_the_reason_and_the_study_goes_on(
    database: Database, make_config: Any, make_worker: Any
) -> None:
    config = make_config(
        proxy={"epochs": 2, "batch_size": 32, "train_images": 64, "validation_images": 32, "learning_rate": 1e30}
    )
    make_worker(config, total=2).run()
    found = records(database, config)
    assert counts(database, config)["failed"] == 2
    assert all("loss" in (record.reason or "") for record in found if record.status is TrialStatus.FAILED)
    assert all(record.latency is not None and record.score is None for record in found)
    assert set(optuna_states(database)) == {"FAIL"}


@pytest.mark.parametrize(
    ("part", "error", "reason"),
    [
        ("build", RuntimeError("not enough memory: you tried to allocate 9 bytes"), "RuntimeError: not enough memory"),
        ("build", ModuleNotFoundError("No module named 'mine'"), "ModuleNotFoundError: No module named 'mine'"),
        ("train_proxy", MemoryError(), "MemoryError"),
        ("train_proxy", NameError("name 'scael' is not defined"), "NameError: name 'scael' is not defined"),
        ("open_measurement", MeasurementError("no run was timed"), "no run was timed"),
    ],
)
def test_a_network_that_cannot_be_evaluated_fails_with_the_reason(
    database: Database,
    make_config: Any,
    make_worker: Any,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    error: Exception,
    reason: str,
) -> None:
    home = places if part == "open_measurement" else evaluate
    real, broken = getattr(home, part), list[str]()

    def fail_for_residual(*arguments: Any, **more: Any) -> Any:
        if not broken:
            broken.append(part)
            raise error
        return real(*arguments, **more)

    monkeypatch.setattr(home, part, fail_for_residual)
    config = make_config()
    make_worker(config, total=2).run()
    failed, *rest = records(database, config)
    assert failed.status is TrialStatus.FAILED and (failed.reason or "").startswith(reason)
    assert failed.score is None
    assert counts(database, config) == {"failed": 1, "complete": 1} | (
        {"replay": len(rest) - 1} if len(rest) > 1 else {}
    )


def test_a_lost_gpu_ends_the_worker_and_fails_no_network(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every later trial of this process would fail: its trial is left to be given back, as after a kill."""
    config = make_config()
    worker = make_worker(config, total=2)

    def lost(*arguments: Any, **more: Any) -> Any:
        worker._evaluator.device = "cuda:0"
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def synchronize(device: str) -> None:
        raise RuntimeError(f"CUDA error on {device}: an illegal memory access was encountered")

    monkeypatch.setattr(evaluate, "train_proxy", lost)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    with pytest.raises(RuntimeError, match="CUDA error on cuda:0"):
        worker.run()
    assert {record.status for record in records(database, config)} <= {TrialStatus.RUNNING, TrialStatus.INTERRUPTED}


def test_a_gpu_is_idle_when_a_chunk_is_left_and_gives_memory_back_inside_one(
    make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = Evaluator(make_config(), tiny_dataset, "cpu", check=lambda: None, fix_reference=lambda p10_ms: p10_ms)
    happened = list[str]()

    @contextmanager
    def shared() -> Iterator[None]:
        happened.append("lease")
        yield
        happened.append("given up")

    monkeypatch.setattr(evaluator._lease, "shared", shared)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: happened.append(f"{device} is idle"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: happened.append("memory given back"))
    evaluator.device = "cuda:0"
    with evaluator.chunk():
        happened.append("work")
    assert happened == ["lease", "work", "cuda:0 is idle", "given up"]
    happened.clear()
    evaluator._release_memory()
    assert happened == ["lease", "memory given back", "given up"]


@pytest.mark.parametrize("trains", [True, False])
def test_a_broken_capture_ends_the_worker_after_its_trial(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch, trains: bool
) -> None:
    """Trained without a graph, the trial counts; where the broken state fails it, its network is tried again."""
    config = make_config()
    made = make_worker(config, total=3)
    real = evaluate.train_proxy
    broken = list[str]()

    def train(*arguments: Any, **more: Any) -> Any:
        broken.append("operation failed due to a previous error during capture")
        if not trains:
            made._evaluator.device = "cuda:0"
            raise RuntimeError("Offset increment outside graph capture encountered unexpectedly")
        return real(*arguments, **more)

    for module in (evaluate, worker):
        monkeypatch.setattr(module, "broken_capture", lambda: broken[0] if broken else None)
    monkeypatch.setattr(evaluate, "train_proxy", train)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    if trains:
        made.run()
        assert counts(database, config) == {"complete": 1}
    else:
        with pytest.raises(RuntimeError, match="a CUDA graph's capture broke in this process"):
            made.run()
        assert counts(database, config) == {"running": 1}  # recovery gives it back, three times at most


def test_stopped_in_the_middle_the_trial_is_given_back_and_its_choices_are_tried_again(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    stopped = make_worker(config, total=2)
    real = evaluate.train_proxy

    def stop_then_train(*arguments: Any, **more: Any) -> Any:
        stopped.stop()
        return real(*arguments, **more)

    monkeypatch.setattr(evaluate, "train_proxy", stop_then_train)
    stopped.run()
    (interrupted,) = records(database, config)
    assert (interrupted.status, interrupted.reason) == (TrialStatus.INTERRUPTED, "the run was stopped")
    assert optuna_states(database) == ["FAIL"]

    monkeypatch.setattr(evaluate, "train_proxy", real)
    make_worker(config, total=2).run()
    again = records(database, config)[1]
    assert (again.status, again.suggested) == (TrialStatus.COMPLETE, interrupted.suggested)
    found = Counter(record.status for record in records(database, config))
    assert (found[TrialStatus.COMPLETE], found[TrialStatus.RUNNING]) == (2, 0)


def test_a_latency_bound_that_nothing_keeps_rejects_everything_untrained_and_ends(
    database: Database,
    make_config: Any,
    make_worker: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(worker, "_HOPELESS_AFTER_REJECTIONS", 3)
    trained = list[object]()
    monkeypatch.setattr(evaluate, "train_proxy", lambda *arguments, **_: trained.append(arguments))
    config = make_config(constraints={"latency_ms": 0.001})
    make_worker(config, total=2).run()
    found = [record for record in records(database, config) if record.status is not TrialStatus.REPLAY]
    assert [record.status for record in found] == [TrialStatus.REJECTED] * 3
    for record in found:
        assert record.latency is not None and record.score is None
        assert f"latency_ms {record.latency.corrected_ms:,.6g} exceeds 0.001" == record.reason
    assert trained == []
    assert "3 networks in a row broke the study's constraints" in caplog.text
    loaded = optuna.load_study(study_name="tiny", storage=database.url)
    assert set(optuna_states(database)) == {"COMPLETE"} and loaded.best_trials == []


def test_a_network_too_large_is_rejected_before_it_is_built(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_HOPELESS_AFTER_REJECTIONS", 1)
    built = list[object]()
    monkeypatch.setattr(evaluate, "build", lambda *arguments, **_: built.append(arguments))
    config = make_config(constraints={"params": 1000})
    make_worker(config, total=2).run()
    (record,) = records(database, config)
    assert (record.status, record.latency, built) == (TrialStatus.REJECTED, None, [])
    assert record.cost is not None and record.reason == f"params {record.cost.params:,.6g} exceeds 1,000"


def test_a_latency_that_could_not_be_measured_never_passes_a_bound(
    make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_more: Any) -> Any:
        raise MeasurementError("no run was timed")

    monkeypatch.setattr(places, "open_measurement", fail)
    trained = list[object]()
    monkeypatch.setattr(evaluate, "train_proxy", lambda *arguments, **_: trained.append(arguments))
    config = make_config(constraints={"latency_ms": 1000.0})
    evaluator = Evaluator(config, tiny_dataset, "cpu", check=lambda: None, fix_reference=lambda p10_ms: p10_ms)
    space = config.search_space()
    outcome = evaluator.evaluate(space.spec(space.sample(0)).normalised(32))
    assert (outcome.status, outcome.latency, outcome.score, trained) == (TrialStatus.FAILED, None, None, [])


def test_every_latency_of_a_study_is_scaled_to_the_first_reference(
    database: Database, make_config: Any, make_worker: Any, enter: Any
) -> None:
    config = make_config()
    fix_reference_latency(database, enter(database, config).id, 123.0)
    make_worker(config, total=1).run()
    (record,) = records(database, config)
    assert record.latency is not None and record.latency.study_reference_ms == 123.0
    assert record.latency.corrected_ms == record.latency.ratio_to_reference * 123.0


def test_two_workers_at_once_share_the_total(storage_url: str, make_config: Any, make_worker: Any) -> None:
    database, config = Database(storage_url), make_config()
    workers = [make_worker(config, total=3, of=database) for _ in range(2)]
    threads = [threading.Thread(target=one.run) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Counter(record.status for record in records(database, config))
    assert (found[TrialStatus.COMPLETE], found[TrialStatus.RUNNING]) == (3, 0)
    complete = [record.arch_id for record in records(database, config) if record.status is TrialStatus.COMPLETE]
    assert len(set(complete)) == 3
    assert (
        claim_trial(database, study_id=find_study(database, config.name).id, total=3, worker_id="w", variants=[])
        is NoSlot.DONE
    )
    database.close()
