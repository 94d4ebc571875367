from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from archsearch.errors import ArchsearchError, TrainingError
from archsearch.files import write_atomically
from archsearch.records import Epoch
from archsearch.training.checkpoint import (
    Checkpoint,
    Identity,
    checkpoint_bytes,
    checkpoint_files,
    latest_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from archsearch.training.loop import EpochProgress
from archsearch.training.seeding import random_state

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


def test_a_checkpoint_of_an_earlier_version_is_read(small_net: Callable[..., nn.Module]) -> None:
    written, buffer = checkpoint(small_net(), 2), io.BytesIO()
    facts = {"identity": json.dumps(IDENTITY), "epoch": 2, "curve": [asdict(each) for each in written.curve]}
    torch.save({**facts, "model": dict(written.model), "optimizer": dict(written.optimizer)}, buffer)
    payload = buffer.getvalue()
    read = read_checkpoint(b"archsearch checkpoint 1\n" + hashlib.sha256(payload).digest() + payload)
    assert read is not None
    assert (read.epoch, read.curve, read.averaged, read.progress) == (2, written.curve, None, None)
    assert read.parts == 1


def test_the_parts_of_a_batch_come_back_from_this_version_and_from_an_earlier_one(
    small_net: Callable[..., nn.Module],
) -> None:
    progress = EpochProgress(step=1, losses=(1.0,), seconds=1.0, random=random_state())
    written = replace(checkpoint(small_net(), 2), progress=progress, parts=4)
    content = checkpoint_bytes(written)
    read = read_checkpoint(content)
    assert read is not None and read.parts == 4
    magic = b"archsearch checkpoint 2\n"
    state = torch.load(io.BytesIO(content[len(magic) + 32 :]), weights_only=True)
    state["progress"]["parts"] = state.pop("parts")  # where it stood
    buffer = io.BytesIO()
    torch.save(state, buffer)
    read = read_checkpoint(magic + hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    assert read is not None and read.parts == 4
    assert read.progress is not None and read.progress.losses == (1.0,)


def test_checkpoints_are_ordered_by_epochs_and_steps_not_by_name(
    tmp_path: Path, small_net: Callable[..., nn.Module]
) -> None:
    def after(epoch: int, step: int) -> Checkpoint:
        progress = EpochProgress(step=step, losses=(1.0,) * step, seconds=1.0, random=random_state())
        return replace(checkpoint(small_net(), epoch), progress=progress if step else None)

    (tmp_path / "checkpoint-mine.pt").write_bytes(b"of somebody else")
    for epoch, step in ((1, 3), (2, 0), (2, 1)):
        save_checkpoint(tmp_path, after(epoch, step))
    names = [path.name for path in checkpoint_files(tmp_path)]
    assert names == ["checkpoint-00002-0000001.pt", "checkpoint-00002.pt"]
    read = latest_checkpoint(tmp_path, IDENTITY)
    assert read is not None
    assert read.progress is not None
    assert (read.progress.step, read.progress.losses) == (1, (1.0,))
    assert read.progress.random.cpu.shape == torch.get_rng_state().shape
    assert (tmp_path / "checkpoint-mine.pt").exists()


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
