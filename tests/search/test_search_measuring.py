"""A study's measurements: noise floor, canary, a second attempt, further backends. Real networks, hardly any runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from makers import make_latency

from archsearch.errors import MeasurementError
from archsearch.latency import prepare
from archsearch.latency.fingerprint import device_fingerprint
from archsearch.latency.lease import DeviceLease
from archsearch.latency.prepare import ExportedNetwork, PreparedReference
from archsearch.latency.protocol import Conditions, Measurement
from archsearch.latency.samples import Samples
from archsearch.models.families import build
from archsearch.models.variants import find_variant
from archsearch.noise import NO_FLOOR, FloorSource, noise_floor_of
from archsearch.records import Cost, EarlyStop, Epoch, Latency, TrialStatus
from archsearch.search import evaluate, places
from archsearch.search.config import StudyConfig
from archsearch.search.evaluate import Evaluator, Repeats
from archsearch.search.measuring import AwaitedError, Stopwatch, StudyLatency, TrialLatency
from archsearch.search.trial_context import StandaloneTrial, TrialContext
from archsearch.store.database import Database
from archsearch.store.studies import find_study, fix_reference_latency
from archsearch.store.trials import load_records

LATENCY = {
    "backend": "torch", "bursts": 2, "visits": 1, "runs_per_burst": 2, "spread_seconds": 0, "budget_seconds": 2,
    "warmup_runs": 2, "warmup_windows": 2, "repeat_every": 0, "remeasure": 0,
}  # fmt: skip
Measured = list[str]


def latency_of(
    *, converged: bool = True, difference: float = 0.01, reference_ms: float = 4.0, backend: str = "torch", **facts: Any
) -> Latency:
    return make_latency(
        2.0, median_ms=2.1, p90_ms=2.5, reference_p10_ms=reference_ms, n=4, bursts=2, half_split_difference=difference,
        converged=converged, backend=backend, fingerprint="f" * 12, measure_seconds=0.1, **facts,
    )  # fmt: skip


class Scripted:
    """A measurement of so many visits that gives a latency; each visit is due at once."""

    def __init__(self, answer: Latency, visits: int = 1) -> None:
        self.answer, self.left = answer, visits
        self.samples = Samples(bursts_ns=[[[1], [1]], [[1], [1]]])

    @property
    def done(self) -> bool:
        return self.left == 0

    def due_seconds(self) -> float:
        return 0.0

    def visit(self) -> None:
        self.left -= 1

    def latencies(self, conditions: Conditions) -> list[Latency]:
        return [self.answer if self.done else replace(self.answer, converged=False)]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Latency | MeasurementError]], Measured]:
    """Lets measurements of one visit give these one after the other; the list grows by the backend of each."""

    def play(answers: Sequence[Latency | MeasurementError]) -> Measured:
        calls, left = Measured(), list(answers)

        def begin(*_arguments: Any, settings: Any, **_more: Any) -> Scripted:
            calls.append(settings.backend)
            answer = left.pop(0)
            if isinstance(answer, MeasurementError):
                raise answer
            return Scripted(answer)

        monkeypatch.setattr(places, "open_measurement", begin)
        return calls

    return play


def evaluator(config: StudyConfig, dataset: Any, *, reference_ms: float = 4.0) -> Evaluator:
    return Evaluator(config, dataset, "cpu", check=lambda: None, fix_reference=lambda _p10_ms: reference_ms)


def outcome_of(config: StudyConfig, dataset: Any, context: TrialContext | None = None) -> Any:
    space = config.search_space()
    return evaluator(config, dataset).evaluate(space.spec(space.sample(0)).normalised(32), context)


def test_a_study_measures_some_of_its_networks_twice_and_its_floor_is_theirs(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(latency=LATENCY | {"repeat_every": 100, "tolerance": 0.9, "drift_tolerance": 9.0, "visits": 2})
    exported, opened = Counter[str](), Counter[str]()

    class Noted(ExportedNetwork):
        def __init__(self, *arguments: Any, what: str, **more: Any) -> None:
            exported[what] += 1
            super().__init__(*arguments, what=what, **more)

        def open(self) -> Any:
            opened[self._what] += 1
            return super().open()

    monkeypatch.setattr(places, "ExportedNetwork", Noted)
    monkeypatch.setattr(prepare, "ExportedNetwork", Noted)
    make_worker(config, total=4).run()
    study = find_study(database, config.name)
    records = {record.arch_id: record for record in load_records(database, study.id)}
    assert len(records) == 4 and len(study.repeats) == 3  # the first three
    for repeat in study.repeats:
        first = records[repeat.arch_id].latency
        assert first is not None and repeat.first_ms == first.corrected_ms
        assert repeat.second_ms > 0 and repeat.second_ms != repeat.first_ms and repeat.measure_seconds > 0
    own, reference = "the network", "the reference network 'shufflenet_v2_x0_5'"
    assert exported == {own: 4, reference: 1}
    assert opened == {own: 4 + 3, reference: 1 + 3}  # both anew for each repeat
    assert study.noise_floor == noise_floor_of(study.repeats, before=study.noise_floor)
    assert len({record.latency.study_reference_ms for record in records.values() if record.latency}) == 1


def test_a_last_repeat_is_slept_through_only_where_the_study_has_few(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = {"repeat_every": 100, "tolerance": 0.9, "drift_tolerance": 9.0, "visits": 2, "spread_seconds": 1.0}
    config = make_config(latency=LATENCY | plan)
    make_worker(config, total=1).run()
    assert len(find_study(database, config.name).repeats) == 1
    monkeypatch.setattr(Repeats, "are_few", False)
    make_worker(config, total=2).run()
    assert len(find_study(database, config.name).repeats) == 1


def test_without_repeats_a_study_has_no_noise_floor(database: Database, make_config: Any, make_worker: Any) -> None:
    config = make_config(latency=LATENCY)
    make_worker(config, total=1).run()
    assert find_study(database, config.name).noise_floor == NO_FLOOR


def test_a_repeat_that_fails_is_left_out_and_the_trial_goes_on(
    database: Database,
    make_config: Any,
    make_worker: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(_reference: PreparedReference) -> Any:
        raise MeasurementError("it cannot be made ready")

    monkeypatch.setattr(PreparedReference, "again", fails)
    config = make_config(latency=LATENCY | {"repeat_every": 8, "tolerance": 0.9, "drift_tolerance": 9.0})
    make_worker(config, total=1).run()
    study = find_study(database, config.name)
    assert [record.status for record in load_records(database, study.id)] == [TrialStatus.COMPLETE]
    assert study.repeats == () and study.noise_floor.source is FloorSource.ASSUMED
    assert "not measured a second time: it cannot be made ready" in caplog.text


def test_a_repeat_of_another_network_that_breaks_beside_a_trial_does_not_fail_it(
    make_config: Any, tiny_dataset: Any, script: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks() -> None:
        raise RuntimeError("a run failed")

    script([latency_of()])
    config = make_config(latency=LATENCY)
    judge, space = evaluator(config, tiny_dataset), config.search_space()
    monkeypatch.setattr(judge, "_repeat", SimpleNamespace(advance=breaks))
    assert judge.evaluate(space.spec(space.sample(0)).normalised(32)).status is TrialStatus.COMPLETE
    assert "not measured a second time: a run failed" in caplog.text


def test_further_backends_are_measured_for_every_trial_and_stored(
    database: Database, make_config: Any, make_worker: Any, enter: Any
) -> None:
    config = make_config(latency=LATENCY | {"backend": "onnxruntime", "also": ["torch-eager"]})
    fix_reference_latency(database, enter(database, config).id, 4.0)  # so that no noise floor is measured
    make_worker(config, total=1).run()
    (record,) = load_records(database, find_study(database, config.name).id)
    latency = record.latency
    assert latency is not None and record.status is TrialStatus.COMPLETE
    assert latency.backend == "onnxruntime"
    (beside,) = latency.also
    assert (beside.backend, beside.reference, beside.also) == ("torch-eager", "shufflenet_v2_x0_5", ())
    assert beside.p10_ms > 0 and beside.fingerprint != latency.fingerprint


def test_a_further_backend_that_fails_leaves_no_number_and_the_trial_goes_on(
    make_config: Any, tiny_dataset: Any, script: Any, caplog: pytest.LogCaptureFixture
) -> None:
    calls = script([latency_of(), MeasurementError("it cannot be exported")])
    outcome = outcome_of(make_config(latency=LATENCY | {"also": ["torch-eager"]}), tiny_dataset)
    assert (outcome.status, outcome.latency.also) == (TrialStatus.COMPLETE, ())
    assert calls == ["torch", "torch-eager"]
    assert "not measured by torch-eager: it cannot be exported" in caplog.text


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (latency_of(converged=False, difference=0.2), latency_of(difference=0.02), 1),
        (latency_of(converged=False, difference=0.2), latency_of(converged=False, difference=0.3), 0),
        (latency_of(reference_ms=8.0), latency_of(difference=0.02), 1),  # the study's reference took 4 ms
    ],
)
def test_a_doubtful_measurement_is_made_again_after_the_training_and_the_better_one_kept(
    make_config: Any,
    tiny_dataset: Any,
    script: Any,
    monkeypatch: pytest.MonkeyPatch,
    first: Latency,
    second: Latency,
    kept: int,
) -> None:
    calls = script([first, second])
    measured_before_training = list[int]()
    real = evaluate.train_proxy

    def train(*arguments: Any, **more: Any) -> Any:
        measured_before_training.append(len(calls))
        return real(*arguments, **more)

    monkeypatch.setattr(evaluate, "train_proxy", train)
    outcome = outcome_of(make_config(latency=LATENCY | {"remeasure": 1}), tiny_dataset)
    assert (outcome.status, measured_before_training, len(calls)) == (TrialStatus.COMPLETE, [1], 2)
    found = outcome.latency
    assert (found.attempts, found.study_reference_ms) == (2, 4.0)
    assert found.half_split_difference == (first, second)[kept].half_split_difference
    assert found.reference_p10_ms == (first, second)[kept].reference_p10_ms


def test_a_trusted_measurement_is_made_once_and_a_doubtful_one_as_often_as_allowed(
    make_config: Any, tiny_dataset: Any, script: Any
) -> None:
    assert len(script([latency_of()])) == 0
    calls = script([latency_of(), latency_of()])
    assert outcome_of(make_config(latency=LATENCY | {"remeasure": 3}), tiny_dataset).latency.attempts == 1
    assert len(calls) == 1
    calls = script([latency_of(converged=False)] * 9)
    assert outcome_of(make_config(latency=LATENCY | {"remeasure": 3}), tiny_dataset).latency.attempts == 4
    assert len(calls) == 4


def test_a_second_attempt_that_fails_leaves_the_first_one(
    make_config: Any, tiny_dataset: Any, script: Any, caplog: pytest.LogCaptureFixture
) -> None:
    script([latency_of(converged=False), MeasurementError("no run was timed")])
    outcome = outcome_of(make_config(latency=LATENCY | {"remeasure": 1}), tiny_dataset)
    assert (outcome.status, outcome.latency.converged, outcome.latency.attempts) == (TrialStatus.COMPLETE, False, 1)
    assert "the first measurement is kept" in caplog.text


def test_a_close_call_is_measured_again_before_it_is_rejected_and_a_clear_one_is_not(
    make_config: Any, tiny_dataset: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "train_proxy", lambda *_arguments, **_more: None)
    # 2 ms of p10 beside a reference as the study's: 2 ms, 5 % over a bound of 1.9; its halves differ by 10 %
    doubtful = latency_of(converged=False, difference=0.1)
    faster = replace(latency_of(), ratio_to_reference=0.45)  # 1.8 ms
    config = make_config(latency=LATENCY | {"remeasure": 1}, constraints={"latency_ms": 1.9})
    calls = script([doubtful, faster])
    outcome = outcome_of(config, tiny_dataset)
    assert (outcome.status, outcome.latency.corrected_ms, len(calls)) == (TrialStatus.COMPLETE, 1.8, 2)
    calls = script([replace(doubtful, ratio_to_reference=5.0)])
    outcome = outcome_of(config, tiny_dataset)
    assert (outcome.status, len(calls)) == (TrialStatus.REJECTED, 1)


def test_a_network_that_proves_too_slow_after_its_training_is_rejected(
    make_config: Any, tiny_dataset: Any, script: Any
) -> None:
    script([latency_of(converged=False, difference=0.5), replace(latency_of(), ratio_to_reference=0.75)])
    config = make_config(latency=LATENCY | {"remeasure": 1}, constraints={"latency_ms": 2.5})
    outcome = outcome_of(config, tiny_dataset)
    assert (outcome.status, outcome.reason) == (TrialStatus.REJECTED, "latency_ms 3 exceeds 2.5")
    assert outcome.score is not None


def test_only_what_is_doubtful_is_measured_again(make_config: Any, script: Any, tmp_path: Path) -> None:
    settings = make_config(latency=LATENCY | {"also": ["torch-eager"], "remeasure": 1}).latency
    reference = find_variant("shufflenet_v2_x0_5").spec
    model = build(reference, num_classes=4, input_size=32, seed=0)
    study = StudyLatency(
        settings,
        places=places.places_of(
            settings,
            places.PlaceSetup(
                device="cpu",
                input_size=32,
                seed=0,
                lease=DeviceLease("cpu", folder=tmp_path),
                reference=lambda: model,
                reference_name="shufflenet_v2_x0_5",
            ),
            boards={},
        ),
        fix_reference=lambda _p10_ms: 4.0,
        sleep=lambda _seconds: None,
        stopwatch=Stopwatch(),
    )
    eager = latency_of(converged=False, backend="torch-eager")
    calls = script([latency_of(), eager, replace(eager, converged=True)])
    trial = study.of(model)
    trial.complete()
    assert trial.doubtful
    again = trial.settle()
    assert calls == ["torch", "torch-eager", "torch-eager"]
    assert (again.attempts, again.also[0].attempts, again.also[0].converged) == (1, 2, True)
    assert not trial.doubtful


class Takes(StandaloneTrial):
    """Has a latency from an earlier worker."""

    def __init__(self, latency: Latency) -> None:
        super().__init__(seed=0)
        self.latency = latency


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_latency_that_an_earlier_worker_measured_is_used_on_a_device_like_its_own(
    make_config: Any, tiny_dataset: Any, script: Any, elsewhere: bool
) -> None:
    here = device_fingerprint("cpu", "torch", 1).id
    earlier = replace(latency_of(), fingerprint="0" * 12 if elsewhere else here, ratio_to_reference=0.75)
    calls = script([latency_of()])
    outcome = outcome_of(make_config(latency=LATENCY), tiny_dataset, Takes(earlier))
    assert outcome.status is TrialStatus.COMPLETE
    # measured on another device it says nothing here: 0.5 x 4 ms as measured now, not 0.75
    assert (outcome.latency.ratio_to_reference, len(calls)) == ((0.5, 1) if elsewhere else (0.75, 0))


class StopsAtOnce(StandaloneTrial):
    """Stops a training after its first epoch."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.told: list[Latency] = []

    def measured(self, cost: Cost, latency: Latency) -> None:
        self.told.append(latency)

    def would_stop(self, point: Epoch) -> bool:
        return True

    def epoch_done(self, point: Epoch, state: Callable[[], bytes]) -> bool:
        self.reason = "it is dominated"
        self.early_stop = EarlyStop(
            policy="predicted", epoch=1, of_epochs=2, error_percent=75.0, expected_error_percent=70.0,
            optimistic_error_percent=65.0, stopped=True,
        )  # fmt: skip
        return False


def test_no_training_is_stopped_for_a_doubtful_latency_before_it_is_measured_again(
    make_config: Any, tiny_dataset: Any, script: Any
) -> None:
    first, second = latency_of(converged=False, difference=0.2), latency_of(difference=0.02)
    calls = script([first, second])
    proxy = {"epochs": 2, "batch_size": 32, "train_images": 64, "validation_images": 32}
    config = make_config(latency=LATENCY | {"remeasure": 1}, proxy=proxy)
    context = StopsAtOnce()
    outcome = outcome_of(config, tiny_dataset, context)
    assert (outcome.status, outcome.reason) == (TrialStatus.STOPPED, "it is dominated")
    assert (outcome.score.epochs, outcome.latency.half_split_difference, len(calls)) == (1, 0.02, 2)
    assert [latency.converged for latency in context.told] == [False, True]


PROXY = {"epochs": 2, "batch_size": 16, "train_images": 64, "validation_images": 32}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Grows by the weights of each network that was trained."""
    found: list[dict[str, torch.Tensor]] = []
    real = evaluate.train_proxy

    def train(model: torch.nn.Module, *arguments: Any, **more: Any) -> Any:
        score = real(model, *arguments, **more)
        found.append({name: value.clone() for name, value in model.state_dict().items()})
        return score

    monkeypatch.setattr(evaluate, "train_proxy", train)
    return found


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_visits_fall_into_the_training_and_change_nothing_of_it(
    make_config: Any, tiny_dataset: Any, trained: list[Any], monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    plan = {"visits": 4, "bursts": 4, "spread_seconds": 0.003, "tolerance": 0.9, "budget_seconds": 600}
    config = make_config(latency=LATENCY | plan | {"backend": backend, "threads": 2}, proxy=PROXY)
    spec = config.search_space().spec(config.search_space().sample(0)).normalised(32)
    slept, visits = list[float](), list[int]()
    real = Measurement.visit
    monkeypatch.setattr(Measurement, "visit", lambda self: (real(self), visits.append(len(slept))))
    monkeypatch.setattr(Evaluator, "_sleep", lambda _self, seconds: slept.append(seconds))
    before = torch.get_num_threads()
    beside = evaluator(config, tiny_dataset).evaluate(spec)
    made = len(visits)
    assert made >= 4 and slept == [] and torch.get_num_threads() == before
    assert beside.latency is not None and beside.latency.bursts == made

    alone = evaluator(config, tiny_dataset).evaluate(spec, Takes(beside.latency))
    assert len(visits) == made  # none in the second training
    assert beside.score is not None and alone.score is not None
    both = [[(point.train_loss, point.top1_percent) for point in one.score.curve] for one in (beside, alone)]
    assert both[0] == both[1]
    assert trained[0].keys() == trained[1].keys()
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def visits_before_training(
    make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch, answer: Latency, **keys: Any
) -> tuple[Any, int | None, int]:
    """The outcome, the visits made when the training began (None: it did not), and those made in all, of 3 planned."""
    measurement = Scripted(answer, visits=3)
    monkeypatch.setattr(places, "open_measurement", lambda *_arguments, **_more: measurement)
    begun = list[int]()
    real = evaluate.train_proxy

    def train(*arguments: Any, **more: Any) -> Any:
        begun.append(3 - measurement.left)
        return real(*arguments, **more)

    monkeypatch.setattr(evaluate, "train_proxy", train)
    judge = evaluator(make_config(latency=LATENCY, proxy=PROXY, **keys), tiny_dataset)
    judge._latency.fixed(4.0)  # as after the worker's first network
    space = judge.config.search_space()
    outcome = judge.evaluate(space.spec(space.sample(0)).normalised(32))
    return outcome, begun[0] if begun else None, 3 - measurement.left


def test_without_a_bound_one_visit_is_made_before_the_training_and_the_rest_within_it(
    make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, before, in_all = visits_before_training(make_config, tiny_dataset, monkeypatch, latency_of())
    assert (outcome.status, outcome.latency.converged, before, in_all) == (TrialStatus.COMPLETE, True, 1, 3)


@pytest.mark.parametrize(
    ("bound", "status", "before", "in_all"),
    [
        (1.0, TrialStatus.REJECTED, None, 1),  # 2 ms, twice the bound: clear after one visit
        (4.0, TrialStatus.COMPLETE, 1, 3),  # half of it
        (1.96, TrialStatus.REJECTED, None, 3),  # 2% over, less than three times the tolerance of 3%
        (2.04, TrialStatus.COMPLETE, 3, 3),  # 2% under
    ],
)
def test_a_hard_bound_is_decided_by_the_first_visit_where_it_is_clear_and_by_all_before_the_training_elsewhere(
    make_config: Any,
    tiny_dataset: Any,
    monkeypatch: pytest.MonkeyPatch,
    bound: float,
    status: TrialStatus,
    before: int | None,
    in_all: int,
) -> None:
    answer = replace(latency_of(), ratio_low=0.495, ratio_high=0.505)
    bounds = {"constraints": {"latency_ms": bound}}
    outcome, began, visits = visits_before_training(make_config, tiny_dataset, monkeypatch, answer, **bounds)
    assert (outcome.status, began, visits) == (status, before, in_all)
    assert outcome.latency.converged is (in_all == 3)


def away_once(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    """A board is away when this is asked of a network's latency for the first time."""
    real, away = getattr(TrialLatency, asked), [AwaitedError()]

    def ask(self: TrialLatency) -> Any:
        if away:
            raise away.pop()
        return real(self)

    monkeypatch.setattr(TrialLatency, asked, ask)


def test_a_board_that_goes_away_before_a_bound_is_clear_leaves_the_bound_to_the_whole_measurement(
    make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    away_once(monkeypatch, "complete")
    answer = replace(latency_of(), ratio_low=0.495, ratio_high=0.505)
    bounds = {"constraints": {"latency_ms": 1.96}}  # 2 ms after one visit are 2% over, less than thrice the tolerance
    outcome, before, in_all = visits_before_training(make_config, tiny_dataset, monkeypatch, answer, **bounds)
    assert (outcome.status, before, in_all) == (TrialStatus.REJECTED, 1, 3)
    assert outcome.latency.converged and outcome.score is not None


def test_a_board_that_goes_away_before_a_close_call_is_measured_again_rejects_nothing(
    make_config: Any, tiny_dataset: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    away_once(monkeypatch, "settle")
    # 2 ms are 5 % over the bound, and the halves differ by 10 %; then 0.45 x 4 ms
    calls = script([latency_of(converged=False, difference=0.1), replace(latency_of(), ratio_to_reference=0.45)])
    config = make_config(latency=LATENCY | {"remeasure": 1}, proxy=PROXY, constraints={"latency_ms": 1.9})
    outcome = outcome_of(config, tiny_dataset)
    assert (outcome.status, outcome.latency.corrected_ms, len(calls)) == (TrialStatus.COMPLETE, 1.8, 2)


def test_a_measurement_that_fails_before_a_bound_is_clear_leaves_no_latency(
    make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def visit(self: Scripted) -> None:
        if self.left < 3:
            raise MeasurementError("no run was timed")
        self.left -= 1

    monkeypatch.setattr(Scripted, "visit", visit)
    bounds = {"constraints": {"latency_ms": 1.96}}
    outcome, before, _ = visits_before_training(make_config, tiny_dataset, monkeypatch, latency_of(), **bounds)
    assert (outcome.status, outcome.reason, before) == (TrialStatus.FAILED, "no run was timed", None)
    assert outcome.latency is None


@pytest.mark.parametrize("doubt", [{"half_split_difference": 0.4}, {"ratio_high": 1.2}, {"reference_p10_ms": 8.0}])
def test_a_first_visit_that_is_not_sure_of_itself_decides_no_bound(
    make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch, doubt: dict[str, float]
) -> None:
    answer = replace(latency_of(), **{"ratio_low": 0.495, "ratio_high": 0.505} | doubt)
    bounds = {"constraints": {"latency_ms": 1.0}}
    outcome, before, in_all = visits_before_training(make_config, tiny_dataset, monkeypatch, answer, **bounds)
    assert (outcome.status, before, in_all) == (TrialStatus.REJECTED, None, 3)


def test_a_soft_bound_waits_for_no_visit(make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = {"constraints": {"latency_ms": 1.0, "soft": ["latency_ms"]}}
    outcome, before, _ = visits_before_training(make_config, tiny_dataset, monkeypatch, latency_of(), **bounds)
    assert (outcome.status, before) == (TrialStatus.COMPLETE, 1)
    assert outcome.excess == {"latency_ms": 1.0}  # 2 ms are twice the bound


class Late(Scripted):
    """A measurement whose later visits are due only when the process has slept for them."""

    def due_seconds(self) -> float:
        return 0.0 if self.left == 3 else 5.0


def test_a_training_is_stopped_only_by_a_whole_measurement_and_the_study_is_told_of_no_other(
    make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measurement, slept, estimates = Late(latency_of(), visits=3), list[float](), list[bool]()
    monkeypatch.setattr(places, "open_measurement", lambda *_arguments, **_more: measurement)
    monkeypatch.setattr(Evaluator, "_sleep", lambda _self, seconds: slept.append(seconds))

    class Ruled(StopsAtOnce):
        ruled = True

        def estimated(self, cost: Cost, latency: Latency) -> None:
            estimates.append(latency.converged)

    judge, context = evaluator(make_config(latency=LATENCY, proxy=PROXY), tiny_dataset), Ruled()
    judge._latency.fixed(4.0)
    space = judge.config.search_space()
    outcome = judge.evaluate(space.spec(space.sample(0)).normalised(32), context)
    assert (outcome.status, outcome.score.epochs) == (TrialStatus.STOPPED, 1)
    assert slept == [5.0, 5.0]
    assert estimates == [False]  # the rule was asked with what the first visit said, and then the rest was made
    assert [latency.converged for latency in context.told] == [True]


def test_a_training_that_diverges_leaves_the_latency_of_a_whole_measurement(
    make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measurement = Late(latency_of(), visits=3)
    monkeypatch.setattr(places, "open_measurement", lambda *_arguments, **_more: measurement)
    monkeypatch.setattr(Evaluator, "_sleep", lambda _self, _seconds: None)
    config = make_config(latency=LATENCY, proxy=PROXY | {"learning_rate": 1e30})
    outcome = outcome_of(config, tiny_dataset)
    assert (outcome.status, outcome.latency.converged) == (TrialStatus.FAILED, True)


def test_a_doubtful_measurement_is_made_again_beside_the_epochs_that_are_left(
    make_config: Any, tiny_dataset: Any, script: Any
) -> None:
    calls = script([latency_of(converged=False), latency_of()])
    told = list[tuple[int, int]]()

    class Notes(StandaloneTrial):
        def measured(self, cost: Cost, latency: Latency) -> None:
            told.append((latency.attempts, self.epoch))

        def epoch_done(self, point: Epoch, state: Callable[[], bytes]) -> bool:
            self.epoch = point.epoch
            return True

        epoch = 0

    outcome = outcome_of(
        make_config(latency=LATENCY | {"remeasure": 1}, proxy=PROXY | {"epochs": 3}), tiny_dataset, Notes(seed=0)
    )
    assert (outcome.status, outcome.latency.attempts, len(calls)) == (TrialStatus.COMPLETE, 2, 2)
    assert told == [(1, 0), (2, 1)]  # the second attempt began after the first epoch, and ended within the second


def test_what_cannot_be_measured_again_beside_the_training_is_measured_again_after_it(
    make_config: Any, tiny_dataset: Any, script: Any
) -> None:
    calls = script([latency_of(converged=False), MeasurementError("CUDA out of memory"), latency_of()])
    config = make_config(latency=LATENCY | {"remeasure": 1}, proxy=PROXY | {"epochs": 3})
    outcome = outcome_of(config, tiny_dataset)
    assert (outcome.latency.attempts, outcome.latency.converged, len(calls)) == (2, True, 3)


def test_a_visit_without_the_memory_beside_a_training_is_put_off_and_the_training_goes_on_as_it_was(
    make_config: Any, tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened = list[Scripted]()

    class Hungry(Scripted):
        def visit(self) -> None:
            super().visit()
            if len(opened) == 1 and self.left == 1:
                raise torch.OutOfMemoryError("CUDA out of memory")

    def begin(*_arguments: Any, **_more: Any) -> Scripted:
        opened.append(Hungry(latency_of(), visits=3))
        return opened[-1]

    monkeypatch.setattr(places, "open_measurement", begin)
    outcome = outcome_of(make_config(latency=LATENCY, proxy=PROXY), tiny_dataset)
    assert (outcome.status, outcome.latency.converged) == (TrialStatus.COMPLETE, True)
    assert [one.left for one in opened] == [1, 0]
    assert "in 2 parts" not in caplog.text  # the loop took it for no shortage of its own


def test_what_was_measured_in_part_when_a_worker_is_stopped_is_measured_anew(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch, enter: Any
) -> None:
    plan = {"visits": 2, "bursts": 4, "spread_seconds": 1.9}
    config = make_config(latency=LATENCY | plan, proxy=PROXY)
    fix_reference_latency(database, enter(database, config).id, 4.0)
    worker = make_worker(config, total=1)
    real, visits = Measurement.visit, list[int]()

    def visit(self: Measurement) -> None:
        real(self)
        visits.append(self.samples.visits)
        worker.stop()

    monkeypatch.setattr(Measurement, "visit", visit)
    worker.run()
    (record,) = load_records(database, find_study(database, config.name).id)
    assert (record.status, record.latency, visits) == (TrialStatus.INTERRUPTED, None, [1])
    make_worker(config, total=1).run()
    assert visits == [1, 1, 2]


def test_a_trial_s_phases_are_stored_and_are_its_time(database: Database, make_config: Any, make_worker: Any) -> None:
    config = make_config(latency=LATENCY | {"visits": 2, "bursts": 4, "spread_seconds": 0.5}, proxy=PROXY)
    make_worker(config, total=1).run()
    (record,) = load_records(database, find_study(database, config.name).id)
    phases = record.phases
    assert phases is not None and record.score is not None and record.seconds is not None
    assert phases.train_seconds == pytest.approx(record.score.train_seconds)
    seconds = asdict(phases)
    assert all(value >= 0 for value in seconds.values())
    assert {name for name, value in seconds.items() if value > 0} >= {
        "build_seconds",
        "measure_seconds",
        "score_seconds",
    }
    assert 0 < sum(seconds.values()) <= record.seconds
