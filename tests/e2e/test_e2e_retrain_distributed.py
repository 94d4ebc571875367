"""The command in two processes that torchrun starts. That their network is that of one: test_training_distributed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RETRAIN = ("retrain", "--trial", "0", "--epochs", "1", "--batch-size", "80", "--device", "cpu")
TIMEOUT_SECONDS = 400.0


def torchrun(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            "-m", "archsearch.cli.main", *arguments,
        ],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )  # fmt: skip


def test_two_processes_train_together_say_it_once_and_repeat_nothing(finished: object) -> None:
    together = torchrun(finished.folder, *RETRAIN)
    assert together.returncode == 0, together.stderr
    assert together.stdout.count("test top-1") == 1
    (kept,) = finished.folder.glob("runs/tiny/retrain/*/*/seed-0/weights.safetensors")
    before = kept.stat().st_mtime_ns
    assert len(finished.study().trainings) == 1
    again = torchrun(finished.folder, *RETRAIN)
    assert again.returncode == 0, again.stderr
    assert kept.stat().st_mtime_ns == before
    assert len(finished.study().trainings) == 1


@pytest.mark.parametrize(("options", "said"), [(("--batch-size", "25"), "cannot be shared equally by 2")])
def test_a_batch_that_two_processes_cannot_share_is_refused(
    finished: object, options: tuple[str, ...], said: str
) -> None:
    ended = torchrun(finished.folder, *RETRAIN, *options)
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "archsearch/training" not in ended.stderr  # no traceback of ours
