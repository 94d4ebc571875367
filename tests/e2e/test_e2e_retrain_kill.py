"""A retraining that is killed at random moments ends with the weights of one that never was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

RETRAIN = ("retrain", "--trial", "0", "--protocol", "modern", "--batch-size", "64", "--device", "cpu")
STEPS_PER_EPOCH = 1438 // 64
MOST_CHECKPOINTS = 4  # that a process is left to write, so that it never gets to the end


@pytest.fixture(scope="module")
def digits(new_workplace: Callable[..., object], tiny_images: Path) -> object:
    """A study of scikit-learn's digits with one trial."""
    workplace = new_workplace(trials=1)
    path = workplace.folder / "tiny.yaml"
    path.write_text(path.read_text().replace(f"npz:{tiny_images}", "digits"))
    ended = workplace.type("run", "--study", "./tiny.yaml", "--device", "cpu")
    assert ended.returncode == 0, ended.stderr
    return workplace


def copied(workplace: object, folder: Path) -> object:
    shutil.copytree(workplace.folder, folder)
    return type(workplace)(folder)


def seed_folder(workplace: object, epochs: int) -> Path:
    (network,) = {path.name for path in (workplace.folder / "runs" / "tiny" / "retrain").glob("*")} or {"none"}
    name = f"modern-{epochs}-epochs-batch-64"
    return workplace.folder / "runs" / "tiny" / "retrain" / network / name / "seed-0"


def names(folder: Path, pattern: str) -> set[str]:
    return {path.name for path in folder.glob(pattern)}


def kill_in_training(workplace: object, arguments: tuple[str, ...], epochs: int, dice: random.Random) -> bool:
    """Start the command and kill it at a random moment of its training; whether that was while it wrote a file."""
    process = workplace.start(*arguments)
    try:
        deadline, written = time.monotonic() + 120, 0
        known = names(seed_folder(workplace, epochs), "checkpoint-*.pt")
        wanted, in_a_write = dice.randint(1, MOST_CHECKPOINTS), dice.random() < 0.5
        while written < wanted:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            now = names(seed_folder(workplace, epochs), "checkpoint-*.pt")
            written, known = written + bool(now - known), now
        left_behind = names(seed_folder(workplace, epochs), ".checkpoint-*.tmp")
        if in_a_write:
            while process.poll() is None and not names(seed_folder(workplace, epochs), ".*.tmp") - left_behind:
                pass
        else:
            time.sleep(dice.uniform(0.0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    return bool(names(seed_folder(workplace, epochs), ".checkpoint-*.tmp") - left_behind)


def check(digits: object, folder: Path, *, kills: int, epochs: int, seed: int) -> int:
    """Weights byte for byte; gives how many of the kills met a checkpoint that was being written."""
    assert kills * (MOST_CHECKPOINTS + 2) < epochs * STEPS_PER_EPOCH  # a process may do that many steps
    arguments = (*RETRAIN, "--epochs", str(epochs), "--checkpoint-every", "0.001s")
    whole, killed = copied(digits, folder / "whole"), copied(digits, folder / "killed")
    dice = random.Random(seed)
    met = sum(kill_in_training(killed, arguments, epochs, dice) for _ in range(kills))
    for workplace in (whole, killed):
        ended = workplace.type(*arguments)
        assert ended.returncode == 0, ended.stderr
    expected, found = seed_folder(whole, epochs), seed_folder(killed, epochs)
    assert (found / "weights.safetensors").read_bytes() == (expected / "weights.safetensors").read_bytes()
    assert sorted(path.name for path in found.iterdir()) == ["score.json", "weights.safetensors"]
    return met


def test_a_retraining_killed_four_times_ends_with_the_same_weights(digits: object, tmp_path: Path) -> None:
    check(digits, tmp_path, kills=4, epochs=2, seed=0)


@pytest.mark.slow
def test_a_retraining_killed_twenty_times_ends_with_the_same_weights(digits: object, tmp_path: Path) -> None:
    assert check(digits, tmp_path, kills=20, epochs=6, seed=1) >= 1
