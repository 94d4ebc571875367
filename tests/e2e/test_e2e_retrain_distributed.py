"""Two processes that torchrun starts train one network together, as one process does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

RETRAIN = ("retrain", "--trial", "0", "--epochs", "1", "--batch-size", "80", "--device", "cpu")
PATIENCE_SECONDS = 400.0


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
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (found,) = folder.glob("runs/tiny/retrain/*/*/seed-0/weights.safetensors")
    return safetensors.torch.load_file(found)


def test_two_processes_give_the_network_of_one_and_say_it_once(finished: object, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        shutil.copytree(finished.folder, folder)
    alone = type(finished)(one).type(*RETRAIN)
    assert alone.returncode == 0, alone.stderr
    together = torchrun(two, *RETRAIN)
    assert together.returncode == 0, together.stderr
    assert together.stdout.count("test top-1") == 1
    # Two steps in float32: only the order in which sums are rounded differs, which normalisations then magnify.
    expected, found = weights(one), weights(two)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=2e-3, atol=2e-4, msg=lambda text, n=name: f"{n}: {text}")
    again = torchrun(two, *RETRAIN)
    assert again.returncode == 0, again.stderr
    assert all(torch.equal(value, weights(two)[name]) for name, value in found.items())


@pytest.mark.parametrize(("options", "said"), [(("--batch-size", "25"), "cannot be shared equally by 2")])
def test_a_batch_that_two_processes_cannot_share_is_refused(
    finished: object, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    shutil.copytree(finished.folder, tmp_path / "work")
    ended = torchrun(tmp_path / "work", *RETRAIN, *options)
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "archsearch/training" not in ended.stderr  # no traceback of ours
