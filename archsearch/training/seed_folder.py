"""The files of one seed of a full training: the only place that writes them."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from archsearch.files import write_atomically
from archsearch.records import Epoch, Score
from archsearch.training.checkpoint import (
    Checkpoint,
    Identity,
    abandoned_files,
    check_identity,
    checkpoint_files,
    latest_checkpoint,
    save_checkpoint,
)

log = logging.getLogger(__name__)

_WEIGHTS = "weights.safetensors"
_SCORE = "score.json"


class SeedFolder:
    """One folder: checkpoints while the seed is trained, then `weights.safetensors` and `score.json`.

    Args:
        place: the folder; it is made when something is written.
        identity: of the training that it is for. What belongs to another one is refused with a TrainingError that
            says what differs.
    """

    def __init__(self, place: Path, identity: Identity) -> None:
        self.place, self.identity = place, identity

    @property
    def weights(self) -> Path:
        """The weights of a finished seed."""
        return self.place / _WEIGHTS

    def finished(self) -> Score | None:
        """The score of an earlier call that finished, or None. What is damaged is trained again, with a warning."""
        path = self.place / _SCORE
        if not path.exists():
            return None
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            found, digest = dict(facts["identity"]), facts["weights_sha256"]
            curve = tuple(Epoch(**point) for point in facts["score"]["curve"])
            score = Score.from_dict(facts["score"], curve)
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s is damaged (%s): this seed is trained again", path, error)
            return None
        check_identity(path, found, self.identity)
        if not self.weights.exists() or hashlib.sha256(self.weights.read_bytes()).hexdigest() != digest:
            log.warning("%s is missing or damaged: this seed is trained again", self.weights)
            return None
        return score

    def latest(self, device: str) -> Checkpoint | None:
        """The newest whole checkpoint, its tensors on `device`."""
        return latest_checkpoint(self.place, self.identity, device=device)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint; the last two stay."""
        save_checkpoint(self.place, checkpoint)

    def finish(self, model: nn.Module, score: Score) -> None:
        """Keep the result. The score is written last: while it is absent, the seed is not finished."""
        content = weights_bytes(model.state_dict())
        write_atomically(self.weights, content)
        digest = hashlib.sha256(content).hexdigest()
        facts = {"identity": self.identity, "weights_sha256": digest, "score": asdict(score)}
        write_atomically(self.place / _SCORE, json.dumps(facts, indent=2).encode())
        self._remove_checkpoints()

    def clear(self) -> None:
        """Remove what a training of this seed left, and nothing else."""
        for path in (self.place / _SCORE, self.weights):
            path.unlink(missing_ok=True)
        self._remove_checkpoints()

    def _remove_checkpoints(self) -> None:
        for path in (*checkpoint_files(self.place), *abandoned_files(self.place)):
            path.unlink(missing_ok=True)


def weights_bytes(state: dict[str, Tensor]) -> bytes:
    """A safetensors file of the state: on the CPU, where it loads anywhere, and row-major, as the format needs it."""
    return safetensors.torch.save({name: value.cpu().contiguous() for name, value in state.items()})
