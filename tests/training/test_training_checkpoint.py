from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from archsearch.errors import ArchsearchError, TrainingError
from archsearch.files import write_atomically
from archsearch.records import Epoch
from archsearch.training.checkpoint import Checkpoint, Identity, latest_checkpoint, save_checkpoint

IDENTITY: Identity = {"protocol": "one-cycle", "epochs": 5, "seed": 0, "flip": None}


def point(epoch: int) -> Epoch:
    return Epoch(epoch=epoch, train_loss=1 / epoch, top1_percent=50.0, learning_rate=0.1, train_seconds=1.5)


def checkpoint(model: nn.Module, epoch: int, identity: Identity = IDENTITY) -> Checkpoint:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)
    model(torch.randn(4, 3, 16, 16)).sum().backward()
    optimizer.step()
    return Checkpoint(
        identity=identity,
        epoch=epoch,
        model=model.state_dict(),
        optimizer=optimizer.state_dict(),
        curve=tuple(point(k) for k in range(1, epoch + 1)),
    )


def test_a_checkpoint_comes_back_whole(tmp_path: Path, small_net: Callable[..., nn.Module]) -> None:
    written = checkpoint(small_net(), 2)
    save_checkpoint(tmp_path, written)
    read = latest_checkpoint(tmp_path, IDENTITY)
    assert read is not None
    assert (read.epoch, read.curve, read.identity) == (2, written.curve, IDENTITY)
    assert read.model.keys() == written.model.keys()
    assert all(torch.equal(read.model[name], written.model[name]) for name in written.model)
    kept, original = read.optimizer["state"], written.optimizer["state"]
    assert kept.keys() == original.keys()
    assert all(torch.equal(kept[k]["momentum_buffer"], original[k]["momentum_buffer"]) for k in original)


def test_only_the_last_two_checkpoints_are_kept(tmp_path: Path, small_net: Callable[..., nn.Module]) -> None:
    for epoch in (9, 10, 11):
        save_checkpoint(tmp_path, checkpoint(small_net(), epoch))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-00010.pt", "checkpoint-00011.pt"]


def test_an_empty_or_absent_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path, IDENTITY) is None
    assert latest_checkpoint(tmp_path / "absent", IDENTITY) is None


def test_a_damaged_checkpoint_is_skipped_for_the_one_before(
    tmp_path: Path,
    small_net: Callable[..., nn.Module],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
) -> None:
    save_checkpoint(tmp_path, checkpoint(small_net(), 1))
    last = save_checkpoint(tmp_path, checkpoint(small_net(), 2))
    last.write_bytes(damage(last.read_bytes()))
    with caplog.at_level(logging.WARNING):
        read = latest_checkpoint(tmp_path, IDENTITY)
    assert read is not None
    assert read.epoch == 1
    assert f"{last} is damaged" in caplog.text


def test_a_checkpoint_of_another_training_is_refused_with_what_differs(
    tmp_path: Path, small_net: Callable[..., nn.Module]
) -> None:
    save_checkpoint(tmp_path, checkpoint(small_net(), 1))
    with pytest.raises(TrainingError, match="epochs: 5 there, 7 asked for; protocol: one-cycle there, other asked for"):
        latest_checkpoint(tmp_path, {**IDENTITY, "epochs": 7, "protocol": "other"})


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("archsearch.files.os.fsync", full)
    with pytest.raises(ArchsearchError, match="no space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
