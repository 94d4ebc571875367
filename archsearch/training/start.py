"""The weights that a full training begins with, where they are not drawn at random."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from archsearch.errors import TrainingError
from archsearch.files import write_atomically
from archsearch.training.checkpoint import Identity
from archsearch.training.seed_folder import weights_bytes

log = logging.getLogger(__name__)

STARTS = ("scratch", "proxy", "pretrained")
"""Where a training may start: random weights, the network's proxy training, weights trained on ImageNet."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """Weights to begin with.

    Attributes:
        kind: one of `STARTS`, not "scratch": that is no Start at all.
        description: where they are from, in a sentence for the model card.
        state: weights and buffers by the names that they have in the network.
        fresh: beginnings of the names of what is not in `state` and keeps its random initial weights.
    """

    kind: str
    description: str
    state: Mapping[str, Tensor]
    fresh: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """12 hex digits of the SHA-256 of the weights."""
        return hashlib.sha256(weights_bytes(dict(self.state))).hexdigest()[:12]

    @property
    def identity(self) -> Identity:
        """What of it decides the result of a training."""
        return {"start": self.kind, "start_weights": self.digest}

    def protocol_name(self, protocol: str) -> str:
        """How scores of trainings under this protocol are told from those that began at random."""
        return f"{protocol}, {'pretrained' if self.kind == 'pretrained' else f'from {self.kind}'}"

    def apply(self, model: nn.Module) -> None:
        """Put the weights into a network, in place. Raises TrainingError if they are not this network's."""
        try:
            found = model.load_state_dict(self.state, strict=False)
        except RuntimeError as error:
            raise TrainingError(f"the weights to start from do not fit the network: {error}") from error
        missing = [name for name in found.missing_keys if not name.startswith(self.fresh or ("\0",))]
        if missing or found.unexpected_keys:
            listed = ", ".join([*missing, *found.unexpected_keys][:3])
            raise TrainingError(f"the weights to start from are of another network (they differ in {listed}, ...)")


def save_start(path: Path, start: Start) -> None:
    """Keep the weights to start from, with all that is known of them, in one safetensors file."""
    about = {"kind": start.kind, "description": start.description, "digest": start.digest}
    tensors = {name: value.cpu().contiguous() for name, value in start.state.items()}
    metadata = {"start": json.dumps({**about, "fresh": list(start.fresh)})}
    write_atomically(path, safetensors.torch.save(tensors, metadata=metadata))


def read_start(path: Path) -> Start | None:
    """What `save_start` wrote; None if the file is not there or, with a warning, if it is damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        # safetensors: the header's length in 8 bytes, then the header as JSON, then the tensors
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = json.loads(header["__metadata__"]["start"])
        start = Start(
            kind=about["kind"],
            description=about["description"],
            state=safetensors.torch.load(content),
            fresh=tuple(about["fresh"]),
        )
        whole = start.digest == about["digest"]
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        log.warning("%s is damaged (%s) and is made anew", path, error)
        return None
    if not whole:
        log.warning("%s is damaged and is made anew", path)
        return None
    return start
