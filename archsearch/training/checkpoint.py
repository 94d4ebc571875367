"""Checkpoints of a training: whole or not there, checked when read, and never mixed between trainings."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archsearch.errors import TrainingError
from archsearch.files import write_atomically
from archsearch.records import Epoch
from archsearch.training.loop import EpochProgress
from archsearch.training.seeding import RandomState

log = logging.getLogger(__name__)

Identity = Mapping[str, str | int | float | bool | None]
"""Everything that decides the result of a training, as flat values that JSON keeps."""

KEPT = 2
"""Checkpoints kept: the last, and the one before it should the last be damaged."""

_MAGIC = b"archsearch checkpoint 2\n"
_MAGICS = (b"archsearch checkpoint 1\n", _MAGIC)  # the first ones know neither progress within an epoch nor averages
_NAME = re.compile(r"checkpoint-(\d+)(?:-(\d+))?\.pt", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a training: everything that decides how it goes on.

    The learning rate's place in its schedule is the number of steps done. bfloat16 needs no scaling of the loss, so
    there is no scaler to keep.

    Attributes:
        identity: which training it is.
        epoch: epochs done.
        model, optimizer: state dicts.
        curve: a point for each epoch done, where the checkpoint keeps them.
        averaged: state of the moving average of the weights; None in a training without.
        progress: how far the next epoch is; None between epochs.
        parts: in how many parts a batch is taken (`TrainingStep.parts`).
    """

    identity: Identity
    epoch: int
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    curve: tuple[Epoch, ...]
    averaged: Mapping[str, Any] | None = None
    progress: EpochProgress | None = None
    parts: int = 1


def checkpoint_bytes(checkpoint: Checkpoint) -> bytes:
    """A checkpoint with its digest in front; `read_checkpoint` is the inverse."""
    buffer = io.BytesIO()
    torch.save(
        {
            "identity": json.dumps(dict(checkpoint.identity)),
            "epoch": checkpoint.epoch,
            "model": dict(checkpoint.model),
            "optimizer": dict(checkpoint.optimizer),
            "curve": [asdict(point) for point in checkpoint.curve],
            "averaged": checkpoint.averaged,
            "progress": None if checkpoint.progress is None else asdict(checkpoint.progress),
            "parts": checkpoint.parts,
        },
        buffer,
    )
    payload = buffer.getvalue()
    return _MAGIC + hashlib.sha256(payload).digest() + payload


def read_checkpoint(content: bytes, *, device: str = "cpu") -> Checkpoint | None:
    """The checkpoint in these bytes, its tensors on `device`; None if they are damaged."""
    digest, payload = content[len(_MAGIC) : len(_MAGIC) + 32], content[len(_MAGIC) + 32 :]
    # torch does not check the sums inside its own file format, so a flipped bit would pass unseen.
    if not content.startswith(_MAGICS) or hashlib.sha256(payload).digest() != digest:
        return None
    state = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    progress = state.get("progress")
    parts = 1 if progress is None else progress.pop("parts", 1)  # earlier versions knew them within an epoch alone
    return Checkpoint(
        identity=json.loads(state["identity"]),
        epoch=state["epoch"],
        model=state["model"],
        optimizer=state["optimizer"],
        curve=tuple(Epoch(**point) for point in state["curve"]),
        averaged=state.get("averaged"),
        progress=_progress(progress),
        parts=state.get("parts", parts),
    )


def _progress(facts: Mapping[str, Any] | None) -> EpochProgress | None:
    if facts is None:
        return None
    return EpochProgress(**{**facts, "losses": tuple(facts["losses"]), "random": RandomState(**facts["random"])})


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write one checkpoint atomically, then remove all but the last `KEPT`."""
    within = "" if checkpoint.progress is None else f"-{checkpoint.progress.step:07d}"
    path = folder / f"checkpoint-{checkpoint.epoch:05d}{within}.pt"
    write_atomically(path, checkpoint_bytes(checkpoint))
    for old in checkpoint_files(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def latest_checkpoint(folder: Path, identity: Identity, *, device: str = "cpu") -> Checkpoint | None:
    """The newest whole checkpoint of the folder; None if there is none. A damaged one is skipped with a warning.

    Raises TrainingError if it belongs to another training, saying what differs.
    """
    for path in checkpoint_files(folder):
        checkpoint = read_checkpoint(path.read_bytes(), device=device)
        if checkpoint is not None:
            check_identity(path, checkpoint.identity, identity)
            return checkpoint
        log.warning("checkpoint %s is damaged and is skipped", path)
    return None


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints in the folder, newest first: by epochs done, then by steps of the next."""
    places = {}
    for path in folder.glob("checkpoint-*.pt"):
        if found := _NAME.fullmatch(path.name):
            places[path] = (int(found[1]), int(found[2] or 0))
    return sorted(places, key=lambda path: places[path], reverse=True)


def abandoned_files(folder: Path) -> list[Path]:
    """What `write_atomically` leaves of a checkpoint when it is killed."""
    return list(folder.glob(".checkpoint-*.tmp"))


def differences(found: Identity, asked: Identity) -> str:
    """What two identities differ in, in words; "" if they are the same training."""
    names = sorted(name for name in {*found, *asked} if found.get(name) != asked.get(name))
    return "; ".join(f"{name}: {found.get(name)} there, {asked.get(name)} asked for" for name in names)


def check_identity(path: Path, found: Identity, asked: Identity) -> None:
    """Raise TrainingError, naming each difference, unless a stored training is the one asked for."""
    if listed := differences(found, asked):
        raise TrainingError(
            f"{path} belongs to another training: {listed}",
            hint="train anew without resuming (in a terminal: --no-resume), which removes what is there",
        )
