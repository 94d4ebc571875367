"""The command in two processes that torchrun starts. That their network is that of one: test_training_distributed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from processes import torchrun

from archsearch.latency.lease import DeviceLease

ARCHSEARCH = ("-m", "archsearch.cli.main")
RETRAIN = (*ARCHSEARCH, "retrain", "--trial", "0", "--epochs", "1", "--batch-size", "80", "--device", "cpu")


def test_two_processes_train_together_say_it_once_and_repeat_nothing(finished: object) -> None:
    together = torchrun(*RETRAIN, folder=finished.folder)
    assert together.returncode == 0, together.stderr
    assert together.stdout.count("test top-1") == 1
    (kept,) = finished.folder.glob("runs/tiny/retrain/*/*/seed-0/weights.safetensors")
    before = kept.stat().st_mtime_ns
    assert len(finished.study().trainings) == 1
    again = torchrun(*RETRAIN, folder=finished.folder)
    assert again.returncode == 0, again.stderr
    assert kept.stat().st_mtime_ns == before
    assert len(finished.study().trainings) == 1


@pytest.mark.parametrize(("options", "said"), [(("--batch-size", "25"), "cannot be shared equally by 2")])
def test_a_batch_that_two_processes_cannot_share_is_refused(
    finished: object, options: tuple[str, ...], said: str
) -> None:
    ended = torchrun(*RETRAIN, *options, folder=finished.folder)
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "archsearch/training" not in ended.stderr  # no traceback of ours


def test_two_processes_on_one_device_end_beside_measurements(finished: object, tmp_path: Path) -> None:
    """One that holds the device waits in a step for the other, which must not wait for the device itself."""
    done = threading.Event()
    lease = DeviceLease("cpu", tmp_path / "leases" / "archsearch")
    measured = list[int]()

    def measure() -> None:
        while not done.wait(0.002):
            with lease.exclusive():
                measured.append(done.wait(0.002))

    measurements = threading.Thread(target=measure, daemon=True)
    measurements.start()
    try:
        ended = torchrun(*RETRAIN, folder=finished.folder, XDG_RUNTIME_DIR=str(tmp_path / "leases"))
    finally:
        done.set()
    measurements.join()
    assert ended.returncode == 0, ended.stderr
    assert len(measured) > 10
