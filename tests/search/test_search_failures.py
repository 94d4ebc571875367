"""One error that ends network after network is the program's: the run ends, and the slots are given back."""

from __future__ import annotations

from collections import Counter
from typing import Any

import optuna
import pytest
import torch

from archsearch.errors import DivergedError, MeasurementError, MeasurementMemoryError, TrainingMemoryError
from archsearch.records import Record, TrialStatus
from archsearch.search import evaluate, places
from archsearch.search.evaluate import CommonFailureError, blame_of, common_failure, kind_of, reason_of
from archsearch.search.outcome import Blame
from archsearch.store.claims import EndedTrial
from archsearch.store.database import Database
from archsearch.store.studies import find_study
from archsearch.store.trials import load_records


def records(database: Database) -> tuple[Record, ...]:
    return load_records(database, find_study(database, "tiny").id)


def failing(monkeypatch: pytest.MonkeyPatch, *, when: Any = lambda _call: True, error: Any = None) -> None:
    """A training that meets a mistake of the program, which names another size for every network."""
    real, calls = evaluate.train_proxy, iter(range(1000))

    def train(*arguments: Any, **more: Any) -> Any:
        call = next(calls)
        if when(call):
            raise (
                error(call)
                if error
                else RuntimeError(f"expected a map of [{call}, 3, 8], got one on cpu at 0x{call:x}")
            )
        return real(*arguments, **more)

    monkeypatch.setattr(evaluate, "train_proxy", train)


def test_one_mistake_of_the_program_ends_the_run_at_the_third_network_and_gives_their_slots_back(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    failing(monkeypatch)
    with pytest.raises(CommonFailureError, match=r"3 different networks \(trials \d+, \d+, \d+\)") as caught:
        make_worker(config, total=5).run()
    assert caught.value.exit_code == 1
    assert "RuntimeError: expected a map of [2, 3, 8]" in caught.value.message and "run the same" in str(caught.value)
    failed = [record for record in records(database) if record.status is not TrialStatus.REPLAY]
    assert [record.status for record in failed] == [TrialStatus.INTERRUPTED] * 3
    assert all("expected a map" in (record.reason or "") for record in failed)

    monkeypatch.undo()  # mended: the same command again
    make_worker(config, total=5).run()
    after = records(database)
    found = Counter(record.status for record in after)
    assert (found[TrialStatus.COMPLETE], found[TrialStatus.FAILED]) == (5, 0)
    complete = [record for record in after if record.status is TrialStatus.COMPLETE]
    assert {record.arch_id for record in failed} <= {record.arch_id for record in complete}
    study = optuna.load_study(study_name="tiny", storage=database.url)
    told = {trial.number: trial for trial in study.get_trials()}
    assert all(told[record.trial].values is None for record in failed)
    assert all(told[record.trial].values is not None for record in complete)


def test_the_mistake_still_there_ends_the_next_run_at_its_first_network(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    failing(monkeypatch)
    for expected in (3, 4):
        with pytest.raises(CommonFailureError, match="3 different networks"):
            make_worker(config, total=5).run()
        tried = [record for record in records(database) if record.status is not TrialStatus.REPLAY]
        assert [record.status for record in tried] == [TrialStatus.INTERRUPTED] * expected


def test_a_mistake_that_only_a_part_of_the_space_meets_ends_the_run_though_others_succeed(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, when=lambda call: call % 2 == 0)
    with pytest.raises(CommonFailureError):
        make_worker(make_config(), total=6).run()
    found = Counter(record.status for record in records(database))
    assert (found[TrialStatus.COMPLETE], found[TrialStatus.INTERRUPTED], found[TrialStatus.FAILED]) == (2, 3, 0)


def test_two_workers_count_the_failures_of_both(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    failing(monkeypatch)
    make_worker(config, total=2).run()
    assert Counter(record.status for record in records(database))[TrialStatus.FAILED] == 2
    with pytest.raises(CommonFailureError, match="3 different networks"):
        make_worker(config, total=3).run()
    assert not any(record.status is TrialStatus.FAILED for record in records(database))


@pytest.mark.parametrize(
    "error",
    [
        lambda _call: DivergedError("the training loss became nan in epoch 1"),
        lambda _call: TrainingMemoryError("the device cuda:0 ran out of memory, even with 2 of 256 images at once"),
        lambda _call: MemoryError(),
        lambda call: RuntimeError(f"DefaultCPUAllocator: can't allocate memory: you tried to allocate {call} bytes"),
    ],
)
def test_trainings_that_diverge_or_find_no_memory_are_their_networks_own(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    failing(monkeypatch, error=error)
    make_worker(make_config(), total=4).run()
    assert Counter(record.status for record in records(database))[TrialStatus.FAILED] == 4


def test_a_part_of_a_space_that_cannot_be_measured_fails_and_the_study_goes_on(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = places.open_measurement
    networks: list[torch.nn.Module] = []

    def measure(model: torch.nn.Module, *arguments: Any, **more: Any) -> Any:
        if not any(model is one for one in networks):
            networks.append(model)
        if next(place for place, one in enumerate(networks) if one is model) % 3:  # the first one can be
            raise MeasurementError("this attention cannot be exported", hint="measure it with the backend 'torch'")
        return real(model, *arguments, **more)

    monkeypatch.setattr(places, "open_measurement", measure)
    make_worker(make_config(), total=6).run()
    found = Counter(record.status for record in records(database))
    assert (found[TrialStatus.COMPLETE], found[TrialStatus.FAILED]) == (2, 4)


def test_a_machine_that_measures_nothing_ends_the_run(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(*_arguments: Any, **_more: Any) -> Any:
        raise MeasurementError("this onnxruntime 1.27.0 has no CUDAExecutionProvider")

    monkeypatch.setattr(places, "open_measurement", measure)
    with pytest.raises(CommonFailureError, match="has no CUDAExecutionProvider"):
        make_worker(make_config(), total=6).run()
    assert not any(record.status is TrialStatus.FAILED for record in records(database))


@pytest.mark.parametrize(
    "error", [MeasurementMemoryError("no memory left"), torch.OutOfMemoryError("CUDA out of memory")]
)
def test_no_memory_to_measure_in_ends_the_worker_and_fails_no_network(
    database: Database, make_config: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def measure(*_arguments: Any, **_more: Any) -> Any:
        raise error

    monkeypatch.setattr(places, "open_measurement", measure)
    with pytest.raises(type(error)):
        make_worker(make_config(), total=2).run()
    assert {record.status for record in records(database)} == {TrialStatus.RUNNING}  # as after a kill: recovery's


def ended(*kinds: str) -> list[EndedTrial]:
    """Networks in the order of their ends, each with its reason; "" was trained."""
    found = [EndedTrial(row, row, f"{row:012x}", bool(kind), kind or None) for row, kind in enumerate(kinds)]
    return found[::-1]


@pytest.mark.parametrize(
    ("kinds", "program", "unclear"),
    [
        (("a 1", "a 2"), 0, 0),
        (("a 1", "a 2", "a 3"), 3, 3),
        (("", "a 1", "a 2", "a 3"), 3, 0),
        (("", "a 1", "", "a 2", "", "a 3"), 3, 0),
        (("a 1", "b 2", "a 3", "a 4"), 3, 0),
        (("a 1", "a 2", *[""] * 8, "a 3"), 0, 0),  # the first is out of the window of ten
        (("a 1", *[""] * 4, "a 2", "a 3", *[""] * 5, "a 4"), 4, 0),  # given back with those in the window
    ],
)
def test_the_rule_counts_networks_of_the_last_ten(kinds: tuple[str, ...], program: int, unclear: int) -> None:
    assert len(common_failure(ended(*kinds), kinds[-1], Blame.PROGRAM)) == program
    assert len(common_failure(ended(*kinds), kinds[-1], Blame.UNCLEAR)) == unclear
    assert common_failure(ended(*kinds), kinds[-1], Blame.NETWORK) == ()


def test_one_network_that_fails_again_and_again_counts_once() -> None:
    trials = [EndedTrial(row, row, "0" * 12, True, "a") for row in range(5)]
    assert common_failure(trials, "a", Blame.PROGRAM) == ()


def test_one_mistake_is_told_from_another_by_its_type_text_and_place() -> None:
    first = "RuntimeError: sizes [4, 58, 8, 8] and (4, 24) differ at 0x7f3a (in blocks/pairs.py, _picked)"
    assert kind_of(first) == kind_of(first.replace("58, 8, 8", "116, 4, 4").replace("0x7f3a", "0xbeef"))
    assert kind_of(first) != kind_of(first.replace("_picked", "_interleaved"))
    assert kind_of(first) != kind_of(first.replace("RuntimeError", "ValueError"))
    assert kind_of("network 0a1b2c3d4e5f: no") == kind_of("network ffffffffffff: no")


def test_a_reason_names_the_innermost_function_of_archsearch() -> None:
    from archsearch.blocks.shuffle import ChannelShuffle

    try:
        ChannelShuffle(2, 4).exchange(torch.zeros(1, 2, 1, 1), torch.zeros(1, 3, 1, 1), at=3)
    except RuntimeError as error:
        assert reason_of(error).startswith("RuntimeError: ") and "(in blocks/shuffle.py, _picked)" in reason_of(error)
        assert blame_of(error) is Blame.PROGRAM
    else:
        pytest.fail("no error")
