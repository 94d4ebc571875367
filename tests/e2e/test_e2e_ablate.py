"""An ablation by real processes: killed at any moment, typed again, each network is trained once with each seed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

from archsearch.api.study import Study, open_study
from archsearch.records import TrialStatus
from archsearch.store.database import Database
from archsearch.store.studies import list_studies

ABLATE = (
    "ablate", "--study", "./tiny.yaml", "--choices", "residual", "--seeds", "2", "--workers", "1", "--device", "cpu",
)  # fmt: skip
EVERY = [("base", 0), ("residual=true", 0), ("base", 1), ("residual=true", 1)]


def ablation(workplace: object) -> Study | None:
    """The only study of the folder, if there is one yet."""
    try:
        database = Database(workplace.storage, create=False)
        try:
            names = [info.name for info in list_studies(database)]
        finally:
            database.close()
        return open_study(names[0], storage=workplace.storage) if names else None
    except Exception:  # noqa: BLE001 (another process is just making the database)
        return None


def complete(study: Study | None) -> list[tuple[str | None, int]]:
    records = () if study is None else study.records
    return [
        (record.point, record.score.seed)
        for record in records
        if record.status is TrialStatus.COMPLETE and record.score is not None
    ]


def test_an_ablation_that_is_killed_is_finished_by_the_same_command(
    new_workplace: Callable[..., object], watched: Callable, wait: Callable, alive: Callable
) -> None:
    workplace = new_workplace(spread=1.0)
    process = workplace.start(*ABLATE)
    with watched(process):
        wait(
            lambda: process.poll() is not None or 1 <= len(complete(ablation(workplace))) < len(EVERY),
            "a trial has ended",
        )
        workers = workplace.workers()
        for pid in (process.pid, *workers):
            os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    wait(lambda: not any(alive(pid, started) for pid, started in workers.items()), "the workers are gone")
    left = ablation(workplace)
    before = {record.trial: record for record in left.records if record.status is TrialStatus.COMPLETE}
    assert 1 <= len(before) < len(EVERY)

    ended = workplace.type(*ABLATE, "--json")
    assert ended.returncode == 0, ended.stderr
    study = ablation(workplace)
    assert sorted(complete(study)) == sorted(EVERY)
    assert study.counts["complete"] == len(EVERY) and study.counts.get("running", 0) == 0
    after = {record.trial: record for record in study.records}
    assert {number: after[number] for number in before} == before
    stored = json.loads(workplace.type("studies", "--json").stdout)["stored"]
    assert [each["study"] for each in stored] == [study.name]
    content = json.loads(ended.stdout)
    (effect,) = content["rows"]
    assert (effect["point"]["name"], effect["top1"]["n"], effect["latency"]["n"]) == ("residual=true", 2, 2)
    assert content["pending"] == 0
