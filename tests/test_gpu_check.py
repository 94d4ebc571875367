"""The script that checks a GPU runs on a CPU, part by part: it is to work when a GPU is at hand for minutes only."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_every_part_runs_small_on_a_cpu(tmp_path: Path) -> None:
    done, found = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = {"facts", "points", "step", "lease", "latency", "study", "speed", "share", "train", "memory", "tests"}
    assert set(found) == parts
    assert found["points"][0]["failed"] == {}
