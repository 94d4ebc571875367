"""TensorBoard event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from archsearch.data.dataset import Dataset
from archsearch.errors import ConfigError
from archsearch.models.families import FAMILIES
from archsearch.records import Epoch
from archsearch.training.event_file import EventFile
from archsearch.training.protocols import PROTOCOLS
from archsearch.training.retrain import RetrainedSeed, retrain_seed

SPEC = FAMILIES["shufflenet_v2"].base.with_choices({"width": 0.5, "units": 1, "stem.pool": False})


class StoppedError(Exception):
    pass


def retrain(dataset: Dataset, folder: Path, *, stop: int = 0, events: bool = True) -> RetrainedSeed:
    def on_epoch(point: Epoch) -> None:
        if point.epoch == stop:
            raise StoppedError

    return retrain_seed(
        SPEC, dataset, PROTOCOLS["one-cycle"], epochs=3, batch_size=32, seed=0, input_size=32, device="cpu",
        folder=folder, events=events, on_epoch=on_epoch,
    )  # fmt: skip


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = loader.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def check(folder: Path, seed: RetrainedSeed) -> None:
    curve = seed.score.curve
    expected = {
        "loss/train": [(point.epoch, pytest.approx(point.train_loss)) for point in curve],
        "top1_percent/test": [(point.epoch, pytest.approx(point.top1_percent)) for point in curve],
        "learning_rate": [(point.epoch, pytest.approx(point.learning_rate)) for point in curve],
        "train_seconds": [(point.epoch, pytest.approx(point.train_seconds)) for point in curve],
    }
    assert read(folder / "tensorboard" / "seed-0") == expected
    assert len(curve) == 3


def test_a_stopped_and_continued_training_has_each_epoch_once(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    for stop in (1, 2):
        with pytest.raises(StoppedError):
            retrain(dataset, tmp_path, stop=stop)
        assert len(read(tmp_path / "tensorboard" / "seed-0")["loss/train"]) == stop
    check(tmp_path, retrain(dataset, tmp_path))


def test_a_finished_training_can_be_written_afterwards(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    retrain(dataset, tmp_path, events=False)
    assert not (tmp_path / "tensorboard").exists()
    check(tmp_path, retrain(dataset, tmp_path))


def test_without_tensorboard_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("tensorboard", "torch.utils.tensorboard"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match="archsearch\\[tensorboard\\]"):
        EventFile(tmp_path)
