"""A study whose networks are measured on a board: faults on the way, a board that is away, and one that stays away."""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from archsearch.latency.settings import LatencySettings
from archsearch.records import Record, TrialStatus
from archsearch.search import places
from archsearch.search.config import StudyConfig
from archsearch.search.plan import _boards, _pool_changes
from archsearch.store.database import Database
from archsearch.store.studies import find_study
from archsearch.store.trials import load_records
from archsearch.targets import board
from archsearch.targets.board import Board
from archsearch.targets.transports import Target
from archsearch.targets.wire import BoardAwayError, BoardChangedError

FLAKY = Path(__file__).parents[1] / "targets" / "flaky_board.py"
SPACE = """
name: few
family: plain_cnn
fixed: {stage1.units: 1, stage2.units: 1, stage3.units: 1, stage4.units: 1, stage3.channels: 8, stage4.channels: 8}
choices:
  stage1.channels: {values: [4, 5, 6, 7, 8, 9, 10, 11, 12, 13], source: test}
  stage2.channels: {values: [4, 5, 6, 7, 8, 9, 10, 11, 12], source: test}
"""
LATENCY = {
    "bursts": 4, "visits": 2, "runs_per_burst": 2, "spread_seconds": 0, "budget_seconds": 5, "tolerance": 0.99,
    "warmup_runs": 2, "warmup_windows": 2, "repeat_every": 0, "remeasure": 0,
}  # fmt: skip


@pytest.fixture
def on_board(tmp_path: Path, make_config: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StudyConfig]:
    """A study on a board whose visits go wrong as told; see tests/targets/flaky_board.py."""
    monkeypatch.setattr(places, "parse_target", lambda name: Target(name=name, argv=flaky))
    flaky = (sys.executable, str(FLAKY), str(tmp_path / "plan.json"), str(tmp_path / "count"))

    def make(plan: dict[str, Any], *, patience_seconds: float = 60.0, **changes: Any) -> StudyConfig:
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        monkeypatch.setattr(places, "Board", partial(Board, patience_seconds=patience_seconds))
        latency = LATENCY | {"target": "command:flaky"} | changes.pop("latency", {})
        config: StudyConfig = make_config(space_text=SPACE, latency=latency, **changes)
        return config

    return make


def records(database: Database, config: StudyConfig) -> tuple[Record, ...]:
    """Without replays: a suggestion of a network that is there already costs nothing."""
    found = load_records(database, find_study(database, config.name).id)
    return tuple(record for record in found if record.status is not TrialStatus.REPLAY)


def check_measured_once(found: tuple[Record, ...]) -> None:
    """Every network has one latency, whose runs are those that were asked for, and no number that was not timed."""
    assert len({record.arch_id for record in found}) == len(found)
    for record in found:
        latency = record.latency
        assert record.status is TrialStatus.COMPLETE, record.reason
        assert latency is not None
        assert (latency.device, latency.attempts, latency.n) == ("command:flaky", 1, 2 * latency.bursts)
        for value in (latency.p10_ms, latency.median_ms, latency.p90_ms, latency.ratio_to_reference):
            assert math.isfinite(value) and 0.0001 < value < 1000.0


def test_of_ten_networks_with_six_faults_each_is_measured_once(
    database: Database, on_board: Any, make_worker: Any, tmp_path: Path
) -> None:
    faults = {"1": "dies", "4": "half", "7": "upload", "10": "reboot", "13": "full", "16": "away", "away_seconds": 0.5}
    config = on_board(faults)
    make_worker(config, total=10).run()
    found = records(database, config)
    assert len(found) == 10
    check_measured_once(found)
    assert int((tmp_path / "count").read_text()) >= 2 * 10 + 5  # each fault cost a visit but for the reboot after one
    assert len({record.latency.fingerprint for record in found if record.latency}) == 1
    assert {record.latency.study_reference_ms for record in found if record.latency} == {
        found[0].latency.reference_p10_ms if found[0].latency else None
    }


def test_while_a_board_is_away_the_training_goes_on_and_latencies_wait(
    database: Database, on_board: Any, make_worker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    config = on_board({"1": "away", "away_seconds": 2.0})
    make_worker(config, total=4).run()
    check_measured_once(records(database, config))
    waited = [message for message in caplog.messages if "its latency waits for a board that is away" in message]
    assert len(waited) >= 2  # the trial whose visit it was, and a later one


def test_a_published_network_waits_for_the_same_one_of_its_own_worker_until_the_board_is_back(
    database: Database, on_board: Any, make_worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("shufflenet_v2_x0_5", "shufflenet_v2_x0_5_authors")  # at this width one network
    config = on_board({"0": "away", "away_seconds": 3600.0}, variants=names)
    worker = make_worker(config, total=2)
    wait_for_end = worker._wait_for_end

    def back_by_now(status: str, number: int) -> Any:
        assert status == TrialStatus.RUNNING  # trained, and not measured
        (tmp_path / "count.gone").unlink()
        return wait_for_end(status, number)

    monkeypatch.setattr(worker, "_wait_for_end", back_by_now)
    guard = threading.Timer(60, worker.stop)  # else it would wait for itself for ever
    guard.start()
    worker.run()
    guard.cancel()
    first, same = records(database, config)
    assert [first.variant, same.variant] == list(names)
    assert [first.status, same.status] == [TrialStatus.COMPLETE] * 2
    assert (same.arch_id, same.latency, same.score) == (first.arch_id, first.latency, first.score)


def test_a_board_that_stays_away_ends_the_run_and_the_next_one_trains_nothing_again(
    database: Database, on_board: Any, make_worker: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = on_board({"0": "away", "away_seconds": 3600.0}, patience_seconds=8.0)  # more than the training takes
    with pytest.raises(BoardAwayError, match="it has been away for") as caught:
        make_worker(config, total=1).run()
    assert "type the same command" in (caught.value.hint or "")
    (record,) = records(database, config)
    assert (record.status, record.reason, record.latency) == (TrialStatus.INTERRUPTED, "its board stayed away", None)
    caplog.set_level(logging.INFO)
    (tmp_path / "count.gone").unlink()  # it is back
    config = on_board({})
    make_worker(config, total=1).run()
    check_measured_once(tuple(one for one in records(database, config) if one.status is TrialStatus.COMPLETE))
    assert "a training goes on after epoch 1 of 1" in caplog.text


def test_a_board_that_was_changed_ends_the_run_at_once_and_no_network_fails_for_it(
    database: Database, on_board: Any, make_worker: Any, tmp_path: Path
) -> None:
    config = on_board({"0": "other"}, patience_seconds=3600.0)
    with pytest.raises(BoardChangedError, match="another board answers than before, or it was changed: cpu"):
        make_worker(config, total=1).run()
    (record,) = records(database, config)
    assert (record.status, record.reason) == (TrialStatus.INTERRUPTED, "its board was changed")
    (tmp_path / "count").unlink()  # it is the board that it was
    config = on_board({})
    make_worker(config, total=1).run()
    check_measured_once(tuple(one for one in records(database, config) if one.status is TrialStatus.COMPLETE))


def test_a_network_that_ends_the_agent_each_time_fails_and_the_study_goes_on(
    database: Database, on_board: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "_BACK_OFF_SECONDS", (0.0, 0.0, 0.0, 0.0, 3600.0))  # the fifth time nobody waits longer
    config = on_board({str(visit): "dies" for visit in range(5)})
    make_worker(config, total=2).run()
    first, second = records(database, config)
    assert (first.status, second.status) == (TrialStatus.FAILED, TrialStatus.COMPLETE)
    assert "so it went 5 times in a row, and it answered in between" in (first.reason or "")
    check_measured_once((second,))


def test_a_hard_bound_is_kept_although_the_board_was_away_before_the_training(
    database: Database, on_board: Any, make_worker: Any
) -> None:
    config = on_board({"0": "away", "away_seconds": 1.0}, constraints={"latency_ms": 1e-5, "guidelines": "off"})
    worker = make_worker(config, total=1)
    worker._rejections = 199  # the next one ends the worker
    worker.run()
    (record,) = records(database, config)
    assert record.status is TrialStatus.REJECTED and record.latency is not None and record.score is not None


def test_a_board_and_this_machine_are_measured_beside_each_other(
    database: Database, on_board: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = places.parse_target
    monkeypatch.setattr(places, "parse_target", lambda name: None if name == "local" else real(name))
    config = on_board({}, latency={"also_targets": ["local"]})
    make_worker(config, total=2).run()
    for record in records(database, config):
        assert record.latency is not None
        (here,) = record.latency.also
        assert (record.latency.by, here.by, here.device) == ("command:flaky", "onnxruntime", "cpu")
        assert here.fingerprint != record.latency.fingerprint


@pytest.fixture
def two_boards(tmp_path: Path, make_config: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StudyConfig]:
    """A study whose measurements two boards share, each of which fails as told."""

    def target(name: str) -> Target:
        folder = tmp_path / name.replace(":", "_")
        return Target(name=name, argv=(sys.executable, str(FLAKY), str(folder / "plan.json"), str(folder / "count")))

    monkeypatch.setattr(places, "parse_target", target)

    def make(first: dict[str, Any], second: dict[str, Any], *, patience_seconds: float = 60.0) -> StudyConfig:
        for name, plan in (("command_a", first), ("command_b", second)):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "plan.json").write_text(json.dumps(plan))
        monkeypatch.setattr(places, "Board", partial(Board, patience_seconds=patience_seconds))
        latency = LATENCY | {"target": "command:a", "pool": ["command:b"]}
        config: StudyConfig = make_config(space_text=SPACE, latency=latency)
        return config

    return make


def test_two_boards_take_the_networks_in_turn_and_all_latencies_are_of_one_kind(
    database: Database, two_boards: Any, make_worker: Any, tmp_path: Path
) -> None:
    config = two_boards({}, {})
    make_worker(config, total=6).run()
    found = records(database, config)
    latencies = [record.latency for record in found if record.latency is not None]
    assert len(latencies) == 6
    assert sorted(latency.state["target"] for latency in latencies) == ["command:a"] * 3 + ["command:b"] * 3
    assert {latency.device for latency in latencies} == {"command:a"}
    assert len({latency.fingerprint for latency in latencies}) == 1
    assert len({latency.study_reference_ms for latency in latencies}) == 1
    for name in ("command_a", "command_b"):
        assert int((tmp_path / name / "count").read_text()) == 2 * 3  # visits


def test_a_board_of_a_pool_that_stays_away_leaves_its_work_to_the_other(
    database: Database, two_boards: Any, make_worker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    config = two_boards({"0": "away", "away_seconds": 3600.0}, {}, patience_seconds=1.0)
    make_worker(config, total=4).run()
    found = records(database, config)
    assert [record.status for record in found] == [TrialStatus.COMPLETE] * 4
    assert {record.latency.state["target"] for record in found if record.latency is not None} == {"command:b"}
    assert "another board of the pool measures anew" in caplog.text


def test_a_board_of_a_pool_that_was_changed_leaves_its_work_to_the_other(
    database: Database, two_boards: Any, make_worker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    config = two_boards({"0": "other"}, {})
    make_worker(config, total=4).run()
    found = records(database, config)
    assert [record.status for record in found] == [TrialStatus.COMPLETE] * 4
    assert {record.latency.state["target"] for record in found if record.latency is not None} == {"command:b"}
    assert "another board of the pool measures anew: command:a: another board answers than before" in caplog.text


def test_a_network_that_ends_the_agent_of_every_board_of_a_pool_fails_and_no_board_leaves(
    database: Database, two_boards: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "_BACK_OFF_SECONDS", (0.0, 0.0, 0.0, 0.0, 3600.0))  # the fifth time nobody waits longer
    dies = {str(visit): "dies" for visit in range(5)}
    config = two_boards(dies, dies)
    make_worker(config, total=5).run()
    first, *others = records(database, config)
    assert first.status is TrialStatus.FAILED
    latencies = [record.latency for record in others if record.latency is not None]
    assert len(latencies) == 4
    assert {latency.state["target"] for latency in latencies} == {"command:a", "command:b"}


def test_a_pool_whose_boards_all_stay_away_ends_the_run(database: Database, two_boards: Any, make_worker: Any) -> None:
    gone = {str(visit): "away" for visit in range(9)} | {"away_seconds": 3600.0}
    config = two_boards(gone, gone, patience_seconds=1.0)
    with pytest.raises(BoardAwayError, match="it has been away for"):
        make_worker(config, total=2).run()


def test_a_board_may_leave_a_pool_and_one_that_was_not_held_against_it_may_not_come_in() -> None:
    stored = {"pool": {"boards": [{"target": "command:a"}, {"target": "command:b"}]}}
    assert _pool_changes(stored, LatencySettings(target="command:a")) == []
    assert _pool_changes(stored, LatencySettings(target="command:a", pool=("command:b",))) == []
    (said,) = _pool_changes(stored, LatencySettings(target="command:a", pool=("command:b", "command:c")))
    assert said.startswith("command:c was not in latency.pool when the study began")


def test_a_study_is_planned_with_what_each_board_says_of_itself() -> None:
    target = f"command:{sys.executable}"
    found = _boards(LatencySettings(target=target, also_targets=("local",)))
    assert list(found) == [target]
    assert found[target]["onnxruntime"]
