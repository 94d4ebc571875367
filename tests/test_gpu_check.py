"""The script that checks a GPU runs on a CPU, part by part: it is to work when a GPU is at hand for minutes only."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archsearch.search.config import load_study
from archsearch.search.sharing import Load

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu_check.py"


def run(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, list[dict[str, object]]]]:
    command = [sys.executable, str(SCRIPT), "--small", "--device", "cpu", "--out", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, list[dict[str, object]]] = {}
    for line in (folder / "gpu_check.jsonl").read_text().splitlines():
        found.setdefault(json.loads(line)["part"], []).append(json.loads(line))
    return done, found


def test_a_part_writes_what_it_finds_as_lines_of_json(tmp_path: Path) -> None:
    done, found = run(tmp_path, "--only", "facts", "memory")
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(found) == ["facts", "memory"]
    assert found["memory"][0]["skipped"] == "it needs a GPU"


def jobs_of(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What processes that share a GPU are told from now on, and torch sees a GPU that has bfloat16."""
    jobs: list[dict[str, Any]] = []

    def measured(job: dict[str, Any], _processes: int) -> Load:
        jobs.append(job)
        return Load(images_per_second=1000.0, trial_bytes=0, free_bytes=0)

    monkeypatch.setattr("archsearch.search.sharing.measured_load", measured)
    monkeypatch.setattr("archsearch.training.precision._emulates_bf16", lambda _device: False)
    return jobs


def test_processes_that_share_a_gpu_do_what_a_trial_of_the_study_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_of(monkeypatch)
    script = SimpleNamespace(**runpy.run_path(str(SCRIPT), run_name="gpu_check"))
    script.share(script.Check("share", "cuda", tmp_path, False, None))
    asked = load_study("cifar100")
    assert len(jobs) == 3  # of one, two and four processes
    for job in jobs:
        assert (job["batch_size"], job["epochs"]) == (asked.proxy.batch_size, asked.proxy.epochs)
        # 50,000 training images less those that are validated on
        assert (job["train_images"], job["validation_images"]) == (45_000, asked.proxy.validation_images)
        assert (job["precision"], job["seconds"]) == ("bf16", 3.0)


def test_ways_of_sharing_a_device_are_compared_in_the_precision_that_trials_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = jobs_of(monkeypatch)
    script = SimpleNamespace(**runpy.run_path(str(SCRIPT.with_name("gpu_sharing.py")), run_name="gpu_sharing"))
    monkeypatch.setattr(sys, "argv", ["gpu_sharing.py", "--device", "cpu", "--trials", "1"])
    script.main()
    assert [job["precision"] for job in jobs] == ["fp32"]  # what the study's `auto` is on a CPU; bf16 on a GPU


@pytest.mark.slow
def test_every_part_runs_small_on_a_cpu(tmp_path: Path) -> None:
    done, found = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = {"facts", "points", "step", "lease", "latency", "study", "speed", "share", "train", "memory", "tests"}
    assert set(found) == parts
    assert found["points"][0]["failed"] == {}
