"""A training that is continued inside of an epoch, and what its checkpoints hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from archsearch.data.dataset import Dataset
from archsearch.models.families import FAMILIES
from archsearch.models.spec import Spec
from archsearch.records import Epoch
from archsearch.training.checkpoint import Checkpoint, read_checkpoint
from archsearch.training.protocols import PROTOCOLS, Protocol
from archsearch.training.retrain import RetrainedSeed, retrain_seed
from archsearch.training.start import SeedFolder

SHUFFLENET = FAMILIES["shufflenet_v2"].base.with_choices({"width": 0.5, "units": 1, "stem.pool": False})
MOBILENET = FAMILIES["mobilenet_v3_ldc"].base  # the family with dropout
MODERN = PROTOCOLS["modern"]
# Everything a training may have at once: dropout draws in every step, averages, blank squares, resized crops,
# colours, decay groups.
ALL = replace(
    MODERN, name="all", dropout=0.5, cutout=0.25, average_fraction=0.2, decay_vectors=False, crop_padding=0,
    least_crop_area=0.25, colour_jitter=0.4,
)  # fmt: skip
STEPS = 6  # 96 images in batches of 16


class StoppedError(Exception):
    pass


def retrain(
    dataset: Dataset, folder: Path, *, spec: Spec = SHUFFLENET, protocol: Protocol = ALL, **options: Any
) -> RetrainedSeed:
    given = {"epochs": 2, "batch_size": 16, "seed": 3, "input_size": 32, "device": "cpu", "checkpoint_seconds": 0.0}
    return retrain_seed(spec, dataset, protocol, folder=folder, **{**given, **options})


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """The next training ends right after it has written so many checkpoints; a later call sets another number."""
    keep, left = SeedFolder.keep, [0]

    def counted(self: SeedFolder, checkpoint: Checkpoint) -> None:
        keep(self, checkpoint)
        left[0] -= 1
        if left[0] == 0:
            raise StoppedError

    monkeypatch.setattr(SeedFolder, "keep", counted)
    return lambda checkpoints: left.__setitem__(0, checkpoints)


def without_time(seed: RetrainedSeed) -> list[Epoch]:
    return [replace(point, train_seconds=0.0) for point in seed.score.curve]


@pytest.mark.parametrize("spec", [SHUFFLENET, MOBILENET], ids=["averages", "dropout"])
def test_a_training_stopped_after_any_step_ends_bit_for_bit_the_same(
    dataset: Dataset, tmp_path: Path, stop_after: Callable[[int], None], spec: Spec
) -> None:
    whole = retrain(dataset, tmp_path / "whole", spec=spec)
    # One checkpoint after each step, the last step's being the epoch's: 12 in all. Stops after steps 1, 3, 6, 8 and 12.
    for checkpoints in (1, 2, 3, 2, 4):
        stop_after(checkpoints)
        with pytest.raises(StoppedError):
            retrain(dataset, tmp_path / "stopped", spec=spec)
    stop_after(0)
    stopped = retrain(dataset, tmp_path / "stopped", spec=spec)
    assert stopped.weights.read_bytes() == whole.weights.read_bytes()
    assert without_time(stopped) == without_time(whole)
    assert sorted(path.name for path in stopped.weights.parent.iterdir()) == ["score.json", "weights.safetensors"]


def test_the_steps_that_are_done_are_not_done_again(
    dataset: Dataset, tmp_path: Path, stop_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch.training.step import EagerStep

    stop_after(4)
    with pytest.raises(StoppedError):
        retrain(dataset, tmp_path)
    stop_after(0)
    taken, call = [], EagerStep.__call__
    monkeypatch.setattr(EagerStep, "__call__", lambda self, *given: taken.append(given[2]) or call(self, *given))
    seed = retrain(dataset, tmp_path)
    rate = [ALL.schedule.rate(step, epochs=2, steps_per_epoch=STEPS) for step in range(12)]
    assert taken == rate[4:]
    assert [point.epoch for point in seed.score.curve] == [1, 2]


def test_the_newest_checkpoint_is_the_one_with_most_steps(
    dataset: Dataset, tmp_path: Path, stop_after: Callable[[int], None]
) -> None:
    stop_after(8)  # six steps of the first epoch, two of the second
    with pytest.raises(StoppedError):
        retrain(dataset, tmp_path)
    place = tmp_path / "seed-3"
    assert sorted(path.name for path in place.iterdir()) == [
        "checkpoint-00001-0000001.pt",
        "checkpoint-00001-0000002.pt",
    ]
    read = read_checkpoint((place / "checkpoint-00001-0000002.pt").read_bytes())
    assert read is not None
    assert read.epoch == 1
    assert [point.epoch for point in read.curve] == [1]
    assert read.progress is not None
    assert (read.progress.step, len(read.progress.losses), read.parts) == (2, 2, 1)
    assert read.averaged is not None
    assert read.averaged["count"] == 8


def test_a_damaged_checkpoint_within_an_epoch_is_skipped(
    dataset: Dataset, tmp_path: Path, stop_after: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    whole = retrain(dataset, tmp_path / "whole")
    stop_after(4)
    with pytest.raises(StoppedError):
        retrain(dataset, tmp_path / "stopped")
    last = tmp_path / "stopped" / "seed-3" / "checkpoint-00000-0000004.pt"
    last.write_bytes(last.read_bytes()[:-1])
    stop_after(0)
    stopped = retrain(dataset, tmp_path / "stopped")
    assert f"{last} is damaged" in caplog.text
    assert stopped.weights.read_bytes() == whole.weights.read_bytes()


def test_how_often_checkpoints_are_written_does_not_change_the_result(dataset: Dataset, tmp_path: Path) -> None:
    one = retrain(dataset, tmp_path / "one", checkpoint_seconds=0.0)
    other = retrain(dataset, tmp_path / "other", checkpoint_seconds=3600.0)
    assert one.weights.read_bytes() == other.weights.read_bytes()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_continued_training_on_a_gpu_sees_the_same_batches_and_stays_close(
    dataset: Dataset, tmp_path: Path, stop_after: Callable[[int], None]
) -> None:
    whole = retrain(dataset, tmp_path / "whole", device="cuda", batch_size=8, epochs=3)  # 12 steps: chunks of 10 and 2
    stop_after(1)
    with pytest.raises(StoppedError):
        retrain(dataset, tmp_path / "stopped", device="cuda", batch_size=8, epochs=3)
    stop_after(0)
    stopped = retrain(dataset, tmp_path / "stopped", device="cuda", batch_size=8, epochs=3)
    # docs/training.md: losses of the first epochs within 2% of each other
    for one, other in zip(whole.score.curve, stopped.score.curve, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=0.02)
    first, second = (safetensors.torch.load(seed.weights.read_bytes()) for seed in (whole, stopped))
    assert first.keys() == second.keys()
