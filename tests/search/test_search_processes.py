"""Worker processes before they have a job. With one, the tests of whole runs see them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from archsearch.search.processes import add_idle, idle_workers

PROGRAM = """
import sys
sys.modules["archsearch.search.worker_job"] = {module}
from archsearch.search.worker_main import main
raise SystemExit(main())
"""
BROKEN = PROGRAM.format(module="None")  # cannot be imported
READY = PROGRAM.format(module="type('worker_job', (), {'do_job': None})")


def test_an_error_while_a_worker_gets_ready_is_written_where_its_job_says(tmp_path: Path) -> None:
    log = tmp_path / "worker-0.log"
    log.write_text("of an earlier run\n")
    ended = subprocess.run(
        [sys.executable, "-c", BROKEN], input=json.dumps({"log": str(log)}), text=True, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")
    assert log.read_text().startswith("of an earlier run\nTraceback")
    assert "archsearch.search.worker_job" in log.read_text()


def test_a_worker_process_without_a_job_ends_when_its_coordinator_has_gone() -> None:
    ended = subprocess.run([sys.executable, "-c", READY], input="", text=True, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_idle_workers_that_got_no_job_are_ended() -> None:
    with idle_workers() as idle:
        add_idle(idle, 1, busy=0)
        (process,) = idle
        assert process.poll() is None
    assert process.returncode == -9


def test_idle_workers_are_no_more_than_processors_that_are_free_and_workers_that_there_will_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("archsearch.search.processes.usable_cores", lambda: 2)
    with idle_workers() as idle:
        for workers, busy, there in ((0, 1, 0), (2, 2, 0), (2, 1, 1), (1, 0, 1), (None, 0, 2), (8, 0, 2)):
            add_idle(idle, workers, busy=busy)
            assert len(idle) == there
