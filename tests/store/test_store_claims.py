"""Places in a study: the total is a total, whoever claims and whoever dies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from archsearch.records import TrialStatus
from archsearch.store import workers
from archsearch.store.claims import (
    MAX_ATTEMPTS,
    Claim,
    NoSlot,
    claim_trial,
    interrupt_trial,
    mark_told,
    recover_trials,
    trial_counts,
    untold_trials,
)
from archsearch.store.database import Database
from archsearch.store.schema import TrialRow, WorkerRow, utc_now
from archsearch.store.studies import StudyInfo
from archsearch.store.trials import finish_trial, note_suggestion
from archsearch.store.workers import (
    GRACE_SECONDS,
    beat,
    enter_worker,
    host_name,
    leave_worker,
    living_workers,
    process_start,
)

VARIANTS: list[tuple[str, dict[str, Any] | None]] = [("x0_5", {"kernel": 3}), ("s_counted", None)]


def claim(database: Database, study: StudyInfo, *, total: int = 10, worker_id: str = "", **more: Any) -> Claim:
    """A slot for a worker that has none: if none is given, a new one, never entered, which so counts as dead."""
    arguments = {"variants": [], "worker_id": worker_id or uuid.uuid4().hex} | more
    found = claim_trial(database, study_id=study.id, total=total, **arguments)
    assert isinstance(found, Claim)
    return found


def no_slot(database: Database, study: StudyInfo, total: int) -> NoSlot:
    found = claim_trial(database, study_id=study.id, total=total, worker_id="another", variants=[])
    assert isinstance(found, NoSlot)
    return found


def status_of(database: Database, row_id: int) -> TrialRow:
    with database.reading() as session:
        return session.get_one(TrialRow, row_id)


def enter_dead_worker(database: Database, study: StudyInfo, **changes: Any) -> str:
    """A worker whose process has ended: it was started and waited for."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = process_start(process.pid)
    process.communicate(b"\n")
    facts: dict[str, Any] = {"host": host_name(), "pid": process.pid, "process_start": start} | changes
    return enter_row(database, study, **facts)


def enter_dead_worker_without_proc(database: Database, study: StudyInfo) -> str:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return enter_row(database, study, host=host_name(), pid=process.pid, process_start="")


def enter_row(database: Database, study: StudyInfo, **facts: Any) -> str:
    worker_id = os.urandom(16).hex()
    with database.writing() as session:
        session.add(WorkerRow(id=worker_id, study_id=study.id, device="cpu", **facts))
    return worker_id


def test_eight_threads_never_claim_more_than_the_total(database: Database, study: StudyInfo) -> None:
    claims: list[Claim] = []
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        while True:
            worker_id = uuid.uuid4().hex
            found = claim_trial(database, study_id=study.id, total=13, worker_id=worker_id, variants=VARIANTS)
            if isinstance(found, NoSlot):
                return
            claims.append(found)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claims) == 13
    assert sorted(found.sequence for found in claims) == list(range(1, 14))
    assert sorted(found.variant for found in claims if found.variant) == ["s_counted", "x0_5"]


def test_processes_that_claim_and_finish_at_once_stop_at_the_total(database: Database, study: StudyInfo) -> None:
    program = """
import json, os, sys
from archsearch.records import TrialStatus
from archsearch.store.claims import Claim, claim_trial
from archsearch.store.database import Database
from archsearch.store.trials import finish_trial
database = Database(sys.argv[1])
sys.stdin.readline()
count = 0
me = str(os.getpid())
while isinstance(got := claim_trial(database, study_id=int(sys.argv[2]), total=20, worker_id=me, variants=[]), Claim):
    finish_trial(database, got.row_id, status=TrialStatus.COMPLETE)
    count += 1
print(count)
"""
    arguments = [sys.executable, "-c", program, database.url, str(study.id)]
    processes = [subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    counts = [int(process.communicate()[0]) for process in processes]
    assert sum(counts) == 20
    assert trial_counts(database, study.id) == {"complete": 20}


def test_variants_come_first_in_their_order_then_new_suggestions(database: Database, study: StudyInfo) -> None:
    claims = [claim(database, study, variants=VARIANTS) for _ in range(3)]
    assert [(found.variant, found.suggested) for found in claims] == [
        ("x0_5", {"kernel": 3}),
        ("s_counted", None),
        (None, None),
    ]
    assert [found.sequence for found in claims] == [1, 2, 3]


def test_an_interrupted_trial_comes_before_everything_else_and_once(database: Database, study: StudyInfo) -> None:
    suggestion = claim(database, study)
    note_suggestion(database, suggestion.row_id, number=0, suggested={"kernel": 5})
    interrupt_trial(database, suggestion.row_id, "the run was stopped")
    again = claim(database, study, variants=VARIANTS)
    assert (again.variant, again.suggested, again.attempt) == (None, {"kernel": 5}, 1)
    assert again.sequence == 2  # not the first again: another seed
    assert claim(database, study, variants=VARIANTS).variant == "x0_5"


def test_an_interrupted_variant_outside_the_space_keeps_its_name(database: Database, study: StudyInfo) -> None:
    outside: list[tuple[str, dict[str, Any] | None]] = [("s_counted", None)]
    first = claim(database, study, variants=outside)
    interrupt_trial(database, first.row_id, "the run was stopped")
    assert claim(database, study, variants=outside).variant == "s_counted"
    assert claim(database, study, variants=outside).variant is None


def test_a_trial_interrupted_before_it_was_suggested_anything_leaves_nothing_to_try(
    database: Database, study: StudyInfo
) -> None:
    interrupt_trial(database, claim(database, study).row_id, "the run was stopped")
    again = claim(database, study)
    assert (again.variant, again.suggested) == (None, None)


@pytest.mark.parametrize("status", [TrialStatus.REJECTED, TrialStatus.REPLAY, TrialStatus.INTERRUPTED])
def test_these_trials_give_their_slot_back(database: Database, study: StudyInfo, status: TrialStatus) -> None:
    first = claim(database, study, total=1)
    finish_trial(database, first.row_id, status=status)
    second = claim(database, study, total=1)
    assert second.sequence == 2


@pytest.mark.parametrize("status", [TrialStatus.COMPLETE, TrialStatus.STOPPED, TrialStatus.FAILED])
def test_these_trials_keep_their_slot(database: Database, study: StudyInfo, status: TrialStatus) -> None:
    first = claim(database, study, total=1)
    assert no_slot(database, study, total=1) is NoSlot.BUSY  # the running trial may yet give its slot back
    finish_trial(database, first.row_id, status=status)
    assert no_slot(database, study, total=1) is NoSlot.DONE
    assert claim(database, study, total=2).sequence == 2


def test_a_worker_that_has_a_running_trial_gets_it_again(database: Database, study: StudyInfo) -> None:
    first = claim(database, study, worker_id="one", variants=VARIANTS)
    claim(database, study, worker_id="two")
    assert claim(database, study, worker_id="one", variants=VARIANTS) == first  # its sequence too: the same seed
    assert trial_counts(database, study.id) == {"running": 2}
    assert claim(database, study, worker_id="one", total=1) == first
    finish_trial(database, first.row_id, status=TrialStatus.COMPLETE)
    assert claim(database, study, worker_id="one").row_id != first.row_id


def test_a_total_is_reached_while_another_command_goes_on_beyond_it(database: Database, study: StudyInfo) -> None:
    ended = [claim(database, study) for _ in range(2)]
    for each in ended:
        finish_trial(database, each.row_id, status=TrialStatus.COMPLETE)
    claim(database, study)  # of a command whose total is larger
    assert no_slot(database, study, total=2) is NoSlot.DONE
    assert no_slot(database, study, total=3) is NoSlot.BUSY
    promoting = claim_trial(
        database, study_id=study.id, total=2, worker_id="another", variants=[], promote=lambda: None
    )
    assert promoting is NoSlot.BUSY  # when it has ended, one that was stopped may be among the best


def test_studies_do_not_share_slots(database: Database, study: StudyInfo, enter: Any) -> None:
    other = enter(database, "other")
    claim(database, study, total=1)
    assert claim(database, other, total=1).sequence == 1


def test_a_dead_workers_trial_is_tried_again_and_a_living_ones_is_left_alone(
    database: Database, study: StudyInfo
) -> None:
    living = enter_worker(database, study.id, "cpu")
    dead = enter_dead_worker(database, study)
    mine, lost = claim(database, study, worker_id=living), claim(database, study, worker_id=dead)
    note_suggestion(database, lost.row_id, number=1, suggested={"kernel": 5})
    assert living_workers(database, study.id) == {living}
    assert recover_trials(database, study.id) == 1
    assert status_of(database, mine.row_id).status == TrialStatus.RUNNING
    assert status_of(database, lost.row_id).status == TrialStatus.INTERRUPTED
    assert recover_trials(database, study.id) == 0
    again = claim(database, study)
    assert (again.suggested, again.attempt) == ({"kernel": 5}, 2)


def test_a_process_number_that_another_process_has_now_is_no_living_worker(
    database: Database, study: StudyInfo
) -> None:
    start = str(int(process_start(os.getpid()) or "1") - 1)  # this very process number, but started earlier
    reused = enter_row(database, study, host=host_name(), pid=os.getpid(), process_start=start)
    claim(database, study, worker_id=reused)
    assert recover_trials(database, study.id) == 1


def test_a_worker_of_another_host_lives_while_its_heart_beats(
    database: Database, study: StudyInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"host": "another-machine/12345678", "pid": 1, "process_start": "1"}
    silent = enter_row(database, study, last_seen=utc_now() - timedelta(seconds=GRACE_SECONDS + 60), **elsewhere)
    beating = enter_row(database, study, last_seen=utc_now() - timedelta(seconds=GRACE_SECONDS / 2), **elsewhere)
    claim(database, study, worker_id=silent)
    claim(database, study, worker_id=beating)
    monkeypatch.setattr(workers, "_server_start", lambda _session: datetime.min)
    assert living_workers(database, study.id) == {beating}
    assert recover_trials(database, study.id) == 1
    beat(database, silent)
    assert living_workers(database, study.id) == {beating, silent}


def test_without_a_process_table_the_heart_decides(
    database: Database, study: StudyInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = enter_dead_worker(database, study)  # as of now: its process number is free
    monkeypatch.setattr(workers, "_PROC", tmp_path / "no proc")  # as on macOS
    monkeypatch.setattr(workers, "_server_start", lambda _session: datetime.min)
    assert process_start(os.getpid()) == ""
    mine = enter_worker(database, study.id, "cpu")
    here = {"host": host_name(), "pid": os.getpid(), "process_start": ""}
    old = utc_now() - timedelta(seconds=GRACE_SECONDS + 60)
    reused = enter_row(database, study, last_seen=old, **here)  # this number runs, but as another process
    assert living_workers(database, study.id) == {mine, dead}  # the dead one's host is unknown here: it beat just now
    gone = enter_dead_worker_without_proc(database, study)
    assert not {gone, reused} & living_workers(database, study.id)


def test_a_machine_that_slept_does_not_take_those_that_slept_with_it_for_dead(
    database: Database, study: StudyInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep, awake = 0.0, 0.0
    began, since = utc_now(), time.monotonic()
    monkeypatch.setattr(workers, "_AWAKENING", workers._Awakening())
    monkeypatch.setattr(workers, "utc_now", lambda: began + timedelta(seconds=asleep + awake))
    monkeypatch.setattr(workers, "_clock", lambda _session: workers.utc_now())  # a server of another machine goes on
    monkeypatch.setattr(workers, "_server_start", lambda _session: datetime.min)
    monkeypatch.setattr("archsearch.store.workers.time.monotonic", lambda: since + awake)
    facts = {"last_seen": began, "pid": 1, "process_start": "1"}
    same = enter_row(database, study, host=f"a-container/{host_name().split('/')[1]}/pid:[1]", **facts)
    other = enter_row(database, study, host="another-machine/12345678/pid:[1]", **facts)
    assert living_workers(database, study.id) == {same, other}
    asleep, awake = 3600.0, 1.0  # there has been no time to beat yet
    slept = {same, other} if database.sqlite_file is not None else {same}  # SQLite is one machine's
    assert living_workers(database, study.id) == slept
    awake += GRACE_SECONDS + 1.0
    assert living_workers(database, study.id) == frozenset()


def test_of_the_workers_of_a_mac_that_slept_none_is_dead_before_it_could_beat(
    database: Database, study: StudyInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    awakening = workers._Awakening()
    monkeypatch.setattr(awakening, "seen", utc_now)
    monkeypatch.setattr(workers, "_AWAKENING", awakening)
    monkeypatch.setattr(workers, "_PROC", tmp_path / "no proc")
    monkeypatch.setattr(workers, "_server_start", lambda _session: datetime.min)
    silent = {"last_seen": utc_now() - timedelta(hours=1), "process_start": "", "pid": os.getpid()}
    beside = enter_row(database, study, host=host_name(), **silent)
    other = enter_row(database, study, host="another-mac/unknown/unknown", **silent)
    assert living_workers(database, study.id) == ({beside, other} if database.sqlite_file is not None else {beside})


def test_of_before_a_start_of_this_machine_no_worker_of_sqlite_lives_whatever_the_clock_said(
    database: Database, study: StudyInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_server_start", lambda _session: datetime.min)
    name, _, namespace = host_name().split("/")
    ahead = utc_now() + timedelta(days=1)  # the clock was set back since
    facts = {"host": f"{name}/00000000/{namespace}", "pid": os.getpid(), "process_start": "1", "last_seen": ahead}
    before = enter_row(database, study, **facts)
    # two hosts of a server may have one name
    assert living_workers(database, study.id) == (frozenset() if database.sqlite_file is not None else {before})


def test_containers_of_one_name_and_start_are_different_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for namespace in ("pid:[4026531836]", "pid:[4026532001]"):
        proc = tmp_path / namespace
        (proc / "self" / "ns").mkdir(parents=True)
        (proc / "self" / "ns" / "pid").symlink_to(namespace)
        (proc / "sys/kernel/random").mkdir(parents=True)
        (proc / "sys/kernel/random/boot_id").write_text("01234567-89ab\n")
        monkeypatch.setattr(workers, "_PROC", proc)
        names.append(host_name())
    assert names == [f"{socket.gethostname()}/01234567/pid:[{number}]" for number in (4026531836, 4026532001)]


def test_a_worker_that_has_left_is_not_alive(database: Database, study: StudyInfo) -> None:
    worker_id = enter_worker(database, study.id, "cpu")
    claim(database, study, worker_id=worker_id)
    leave_worker(database, worker_id)
    assert living_workers(database, study.id) == frozenset()
    assert recover_trials(database, study.id) == 1


def test_an_end_that_is_being_stored_is_not_overwritten_by_recovery(database: Database, study: StudyInfo) -> None:
    found = claim(database, study, worker_id="dead")
    recovered: list[int] = []
    with database.writing() as session:
        session.get_one(TrialRow, found.row_id).status = TrialStatus.COMPLETE
        session.flush()
        thread = threading.Thread(target=lambda: recovered.append(recover_trials(database, study.id)))
        thread.start()
        thread.join(0.5)  # it waits for this transaction
        assert thread.is_alive()
    thread.join()
    assert recovered == [0]
    assert status_of(database, found.row_id).status == TrialStatus.COMPLETE


def test_choices_that_kill_every_worker_fail_with_the_reason(database: Database, study: StudyInfo) -> None:
    first = claim(database, study, total=1)
    note_suggestion(database, first.row_id, number=0, suggested={"kernel": 7})
    recover_trials(database, study.id)
    for attempt in range(2, MAX_ATTEMPTS + 1):
        again = claim(database, study, total=1)
        assert (again.suggested, again.attempt) == ({"kernel": 7}, attempt)
        recover_trials(database, study.id)
    last = status_of(database, again.row_id)
    assert last.status == TrialStatus.FAILED
    assert last.reason == f"its worker was killed {MAX_ATTEMPTS} times while it ran (out of memory?)"
    assert no_slot(database, study, total=1) is NoSlot.DONE  # a failed trial holds its slot


def test_being_stopped_does_not_count_as_being_killed(database: Database, study: StudyInfo) -> None:
    found = claim(database, study, variants=VARIANTS)
    for _ in range(MAX_ATTEMPTS + 1):
        interrupt_trial(database, found.row_id, "the run was stopped")
        found = claim(database, study, variants=VARIANTS)
    assert (found.variant, found.attempt) == ("x0_5", 1)


def test_recovery_leaves_ended_trials_alone(database: Database, study: StudyInfo) -> None:
    ended = [TrialStatus.COMPLETE, TrialStatus.FAILED, TrialStatus.REJECTED, TrialStatus.REPLAY]
    for status in ended:
        finish_trial(database, claim(database, study, worker_id="dead").row_id, status=status, reason=f"was {status}")
    assert recover_trials(database, study.id) == 0
    with database.reading() as session:
        rows = session.scalars(select(TrialRow).order_by(TrialRow.id)).all()
    assert [(row.status, row.reason) for row in rows] == [(status, f"was {status}") for status in ended]


def test_untold_trials_are_the_ended_ones_with_a_number_that_optuna_was_not_told(
    database: Database, study: StudyInfo
) -> None:
    ended, running, unnumbered, told = (claim(database, study) for _ in range(4))
    for number, found in enumerate((ended, running, told)):
        note_suggestion(database, found.row_id, number=number, suggested={})
    for found in (ended, unnumbered, told):
        finish_trial(database, found.row_id, status=TrialStatus.COMPLETE)
    mark_told(database, told.row_id)
    assert [row.id for row in untold_trials(database, study.id)] == [ended.row_id]
    assert status_of(database, running.row_id).told is False
