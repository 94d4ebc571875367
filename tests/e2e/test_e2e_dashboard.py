"""optuna-dashboard opens a study while it runs, and locks nobody out."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from archsearch.records import TrialStatus

pytest.importorskip("optuna_dashboard", reason="not installed: pip install 'archsearch[dashboard]'")
LONGEST_SECONDS = 300.0
TRIALS = 3


@contextmanager
def dashboard(storage: str, port: int, log: Path) -> Iterator[str]:
    """The address of an optuna-dashboard."""
    beside = Path(sys.executable).with_name("optuna-dashboard")
    program = str(beside) if beside.exists() else shutil.which("optuna-dashboard")
    if program is None:
        pytest.skip("the program optuna-dashboard was not found")
    with log.open("wb") as said:
        process = subprocess.Popen(
            [program, storage, "--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref"],
            stdout=said,
            stderr=said,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def get(address: str) -> bytes | None:
    """What the dashboard answers; None while it does not listen yet. Raises HTTPError for an error of its own."""
    try:
        with urllib.request.urlopen(address, timeout=LONGEST_SECONDS) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError:
        raise
    except OSError:
        return None


def look(address: str) -> dict[str, Any] | None:
    """The study as the dashboard shows it, after every page of it was fetched; None while there is none."""
    listed = get(f"{address}/api/studies")
    if listed is None:
        return None
    studies = json.loads(listed)["study_summaries"]
    if not studies:
        return None
    number = studies[0]["study_id"]
    detail = json.loads(get(f"{address}/api/studies/{number}") or b"{}")
    if any(trial["state"] == "Complete" for trial in detail["trials"]):
        get(f"{address}/api/studies/{number}/param_importances")
    assert b"<html" in (get(f"{address}/dashboard/studies/{number}") or b"").lower()
    return dict(detail)


def test_a_dashboard_reads_a_study_while_it_runs(
    new_workplace: Callable[..., Any], watched: Callable[..., Any], wait: Callable[..., Any], free_port: int
) -> None:
    workplace = new_workplace(trials=TRIALS, spread=1.0)
    log, seen = workplace.folder / "dashboard.log", list[dict[str, Any]]()
    process = workplace.start("run", "--study", "./tiny.yaml", "--device", "cpu")
    deadline = time.monotonic() + LONGEST_SECONDS
    with watched(process):
        wait(lambda: workplace.counts() or process.poll() is not None, "a trial has begun")
        with dashboard(workplace.storage, free_port, log) as address:
            while process.poll() is None:
                assert time.monotonic() < deadline
                if found := look(address):
                    seen.append(found)
                time.sleep(0.3)
            out, err = process.communicate()
            last = look(address)
    assert process.returncode == 0, err
    written = out + err + log.read_text()
    written += "".join(path.read_text() for path in (workplace.folder / "runs" / "tiny" / "workers").iterdir())
    assert "database is locked" not in written
    assert "Traceback" not in written

    assert any(trial["state"] == "Running" for found in seen for trial in found["trials"])  # it looked on
    study = workplace.study()
    complete = [record for record in study.records if record.status is TrialStatus.COMPLETE]
    assert len(complete) == TRIALS
    shown = {trial["number"]: trial for trial in last["trials"]}
    for record in complete:
        assert shown[record.trial]["state"] == "Complete"
        assert shown[record.trial]["values"] == pytest.approx([record.error_percent, record.latency.corrected_ms])
        assert {param["name"] for param in shown[record.trial]["params"]} == set(record.suggested)


def test_the_command_serves_the_study_on_this_machine_alone_until_ctrl_c(
    finished: Any, watched: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    log = finished.folder / "said.txt"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "archsearch.cli.main", "dashboard", "--study", "tiny", "--port", "0"],
            cwd=finished.folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 (no threads)
        )
    with watched(process):
        wait(lambda: "serving" in log.read_text() or process.poll() is not None, "the dashboard serves")
        found = re.search(r"serving (http://127\.0\.0\.1:(\d+))/dashboard/studies/(\d+); Ctrl-C", log.read_text())
        assert found is not None, log.read_text()
        address, port, number = found.groups()
        detail = look(address)
        assert detail is not None
        assert str(json.loads(get(f"{address}/api/studies") or b"{}")["study_summaries"][0]["study_id"]) == number
        assert len(detail["trials"]) == len(finished.study().records)
        others = [
            each[4][0] for each in socket.getaddrinfo(socket.gethostname(), None) if not each[4][0].startswith("127.")
        ]
        for other in others:
            with socket.socket(socket.AF_INET6 if ":" in other else socket.AF_INET) as outside:
                assert outside.connect_ex((other, int(port))) != 0
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert process.returncode == 0, log.read_text()
    assert "Traceback" not in log.read_text()
