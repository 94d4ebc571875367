"""A retraining that is killed at random moments ends with the weights of one that never was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

RETRAIN = ("retrain", "--trial", "0", "--protocol", "modern", "--batch-size", "16", "--device", "cpu")
STEPS_PER_EPOCH = 160 // 16
TIMEOUT_SECONDS = 300.0  # until a test gives up; no test says how long anything takes
MOST_CHECKPOINTS = 4  # that a process is left to write, so that it never gets to the end


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    """The commands inherit it: threads of a training wait for each other where other work takes a core from one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def copied(workplace: object, folder: Path) -> object:
    shutil.copytree(workplace.folder, folder)
    return type(workplace)(folder)


def seed_folder(workplace: object, epochs: int) -> Path:
    network = workplace.study().records[0].arch_id
    return workplace.folder / "runs" / "tiny" / "retrain" / network / f"modern-{epochs}-epochs-batch-16" / "seed-0"


def names(folder: Path, pattern: str) -> set[str]:
    return {path.name for path in folder.glob(pattern)}


def kill_in_training(workplace: object, arguments: tuple[str, ...], place: Path, dice: random.Random) -> bool:
    """Start the command and kill it at a random moment of its training; whether that was while it wrote a file."""
    process = workplace.start(*arguments)
    try:
        deadline, written = time.monotonic() + TIMEOUT_SECONDS, 0
        known = names(place, "checkpoint-*.pt")
        wanted, in_a_write = dice.randint(1, MOST_CHECKPOINTS), dice.random() < 0.5
        while written < wanted:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.0005)
            now = names(place, "checkpoint-*.pt")
            written, known = written + bool(now - known), now
        left_behind = names(place, ".checkpoint-*.tmp")
        if in_a_write:
            while process.poll() is None and not names(place, ".checkpoint-*.tmp") - left_behind:
                pass
        else:
            time.sleep(dice.uniform(0.0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    return bool(names(place, ".checkpoint-*.tmp") - left_behind)


@dataclass(frozen=True)
class Retrained:
    """Two retrainings, one of which was killed, and how many of the kills met a checkpoint that was being written."""

    whole: Path
    killed: Path
    met: int

    @property
    def left_behind(self) -> list[str]:
        return sorted(path.name for path in self.killed.iterdir())

    @property
    def weights(self) -> tuple[bytes, bytes]:
        """Of the one that was killed, and of the one that was not."""
        return tuple((folder / "weights.safetensors").read_bytes() for folder in (self.killed, self.whole))


def retrain_with_kills(study: object, folder: Path, *, kills: int, epochs: int, seed: int) -> Retrained:
    assert kills * (MOST_CHECKPOINTS + 2) < epochs * STEPS_PER_EPOCH  # a process may do that many steps
    arguments = (*RETRAIN, "--epochs", str(epochs), "--checkpoint-every", "0.001s")
    whole, killed = copied(study, folder / "whole"), copied(study, folder / "killed")
    dice = random.Random(seed)
    met = sum(kill_in_training(killed, arguments, seed_folder(killed, epochs), dice) for _ in range(kills))
    for workplace in (whole, killed):
        ended = workplace.type_anew(*arguments)
        assert ended.returncode == 0, ended.stderr
    return Retrained(whole=seed_folder(whole, epochs), killed=seed_folder(killed, epochs), met=met)


def test_a_retraining_killed_three_times_ends_with_the_same_weights(finished: object, tmp_path: Path) -> None:
    found = retrain_with_kills(finished, tmp_path / "three", kills=3, epochs=2, seed=0)
    killed, whole = found.weights
    assert killed == whole
    assert found.left_behind == ["score.json", "weights.safetensors"]


@pytest.mark.slow
def test_a_retraining_killed_twenty_times_ends_with_the_same_weights(finished: object, tmp_path: Path) -> None:
    found = retrain_with_kills(finished, tmp_path / "twenty", kills=20, epochs=13, seed=1)
    killed, whole = found.weights
    assert killed == whole
    assert found.left_behind == ["score.json", "weights.safetensors"]
    assert found.met >= 1
