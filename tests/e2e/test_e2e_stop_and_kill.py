"""Whatever ends a run, the same command typed again goes on to exactly the total."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from archsearch.host import usable_cores
from archsearch.records import TrialStatus

RUN = ("run", "--study", "./tiny.yaml", "--device", "cpu")


def complete(study: object) -> dict[int, object]:
    return {record.trial: record for record in study.records if record.status is TrialStatus.COMPLETE}


def check_whole(workplace: object, total: int, before: dict[int, object]) -> None:
    """Exactly `total` complete, what had finished is unchanged, nothing twice, nothing running anywhere."""
    study = workplace.study()
    after = complete(study)
    assert len(after) == total
    assert study.counts["complete"] == total
    assert study.counts.get("running", 0) == 0
    assert {number: after[number] for number in before} == before
    assert len({record.arch_id for record in after.values()}) == total
    assert [record.variant for record in after.values() if record.variant] == ["shufflenet_v2_x0_5"]
    assert not {"RUNNING", "WAITING"} & set(workplace.optuna_states())


def in_the_middle(workplace: object, *, ended: int = 1) -> bool:
    """At least one trial has ended, another one runs, and it is not the last."""
    counts = workplace.counts()
    return counts.get("complete", 0) >= ended and counts.get("running", 0) >= 1


def test_ctrl_c_ends_cleanly_and_the_same_command_continues(
    new_workplace: Callable[..., object], watched: Callable, wait: Callable, alive: Callable
) -> None:
    workplace = new_workplace(trials=4, spread=1.0)
    process = workplace.start(*RUN)
    with watched(process):
        wait(lambda: in_the_middle(workplace) or process.poll() is not None, "a trial has ended and another runs")
        workers = workplace.workers()
        assert workers
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "type the same command to continue" in err
    assert "Traceback" not in err
    assert not any(alive(pid, started) for pid, started in workers.items())
    stopped = workplace.study()
    assert stopped.counts.get("running", 0) == 0
    assert 1 <= stopped.counts["complete"] < 4
    assert "RUNNING" not in workplace.optuna_states()

    ended = workplace.type(*RUN)
    assert ended.returncode == 0, ended.stderr
    check_whole(workplace, 4, complete(stopped))


def test_a_killed_coordinator_leaves_no_worker_and_the_same_command_continues(
    new_workplace: Callable[..., object], watched: Callable, wait: Callable, alive: Callable
) -> None:
    workplace = new_workplace(trials=5, workers=min(2, usable_cores()), spread=1.0)
    process = workplace.start(*RUN)
    with watched(process):
        wait(lambda: in_the_middle(workplace) or process.poll() is not None, "a trial has ended and another runs")
        workers = workplace.workers()
        assert workers
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    wait(lambda: not any(alive(pid, started) for pid, started in workers.items()), "the orphans have ended")
    left = workplace.study()
    assert 1 <= left.counts["complete"] < 5

    ended = workplace.type(*RUN)
    assert ended.returncode == 0, ended.stderr
    check_whole(workplace, 5, complete(left))


def test_everything_killed_at_once_is_continued(
    new_workplace: Callable[..., object], watched: Callable, wait: Callable, alive: Callable
) -> None:
    """As when the machine runs out of power: no worker could give its trial back."""
    workplace = new_workplace(trials=3, spread=1.0)
    process = workplace.start(*RUN)
    with watched(process):
        wait(lambda: in_the_middle(workplace) or process.poll() is not None, "a trial has ended and another runs")
        workers = workplace.workers()
        for pid in (process.pid, *workers):
            os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=60)
    wait(lambda: not any(alive(pid, started) for pid, started in workers.items()), "the workers are gone")
    left = workplace.study()
    assert left.counts["running"] == 1
    unfinished = next((record for record in left.records if record.status is TrialStatus.RUNNING), None)

    ended = workplace.type(*RUN)
    assert ended.returncode == 0, ended.stderr
    check_whole(workplace, 3, complete(left))
    if unfinished is not None and unfinished.arch_id:  # its network was tried again
        assert unfinished.arch_id in {record.arch_id for record in complete(workplace.study()).values()}


def test_a_killed_worker_is_started_again_and_the_total_is_exact(
    new_workplace: Callable[..., object], watched: Callable, wait: Callable
) -> None:
    workplace = new_workplace(trials=3, spread=1.0)
    process = workplace.start(*RUN)
    with watched(process):
        wait(lambda: in_the_middle(workplace) or process.poll() is not None, "a trial has ended and another runs")
        (worker,) = workplace.workers()
        before = complete(workplace.study())
        os.kill(worker, signal.SIGKILL)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    said = " ".join(err.split())
    assert "was killed by signal 9" in said and "is started again" in said
    check_whole(workplace, 3, before)
    assert workplace.study().counts.get("interrupted") == 1
