"""What a full training begins with and leaves behind: weights that are not drawn at random; a seed's files."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import re
import socket
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from archsearch.blocks.conv import pad_before
from archsearch.errors import ConfigError, TrainingError, first_line
from archsearch.files import write_atomically
from archsearch.models.families import FAMILIES, build
from archsearch.models.spec import Spec
from archsearch.models.specs.shufflenet_v2 import WIDTHS
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

# The files of one seed of a full training: the only place that writes them.

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
        made_by: digest of the training that made them; "" where there was none, and of older versions.
    """

    kind: str
    description: str
    state: Mapping[str, Tensor]
    fresh: tuple[str, ...] = ()
    made_by: str = ""

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
    metadata = {"start": json.dumps({**about, "fresh": list(start.fresh), "made_by": start.made_by})}
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
            made_by=about.get("made_by", ""),
        )
        whole = start.digest == about["digest"]
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        log.warning("%s is damaged (%s) and is made anew", path, error)
        return None
    if not whole:
        log.warning("%s is damaged and is made anew", path)
        return None
    return start


# torchvision's ImageNet weights, for what of a network they fit.

_STALLED_SECONDS = 30.0
_HASH = re.compile(r"-([0-9a-f]{8,})\.pth$")
_IMAGENET_CLASSES = 1000
_OWN_STEMS = ("dcn", "ldc")  # their convolution samples elsewhere: a plain one's weights mean something else in them


def pretrained_start(spec: Spec, *, num_classes: int, input_size: int, weights: Path | None = None) -> Start:
    """The weights that torchvision trained on ImageNet, as far as they fit this network, by the names of its own.

    Of a ShuffleNet V2 every convolution of torchvision's shape is taken with its batch normalisation. One of another
    kernel size is grown with zeros, or cut, around its centre: grown it computes what it did. What torchvision's
    network does not have (attention, further units, other channels, a deformable stem) keeps its random weights, and so
    does the classifier; a `gap_hidden` head of 1000 features takes ImageNet's classifier as its hidden layer.

    Args:
        weights: torchvision's file; None: torch.hub's folder, and if it is not there, the network.

    Raises:
        ConfigError: torchvision has no weights for such a network, or the file cannot be had (the message says which
            file to put where).
        TrainingError: the file is damaged or of another network.
    """
    name = torchvision_name(spec)
    source, state = _read(weights) if weights is not None else _fetched(name)
    network = build(spec, num_classes=num_classes, input_size=input_size, seed=0)
    own, said = network.state_dict(), ""
    if spec.family == "shufflenet_v2":
        _check_twin(state, name)
        taken = _fitting(spec, own, state)
        grown = sorted({key.split(".")[0] for key in taken if taken[key].shape != state[_twins_key(spec, key)].shape})
        share = sum(each.numel() for each in taken.values()) / sum(each.numel() for each in own.values())
        said = f", {100.0 * share:.0f} % of this network's weights"
        said += f"; other kernel sizes, around their centre: {', '.join(grown)}" if grown else ""
        fresh = _without(own, taken)
    else:
        fresh = _classifier(spec, num_classes=num_classes, input_size=input_size)
        taken = {key: value for key, value in state.items() if key in own and not key.startswith(fresh)}
    # units of a stage that lack the same part are one name, `stage2.*.branch2.8`
    named = dict.fromkeys(re.sub(r"^(stage\d)\.\d+\.(?=.)", r"\1.*.", part).rstrip(".") for part in fresh)
    described = f"torchvision's {name} trained on ImageNet ({source}){said}; random at the start: {', '.join(named)}"
    start = Start(kind="pretrained", description=described, state=taken, fresh=fresh)
    start.apply(network)  # says so now if it does not fit
    log.info("starts from %s", start.description)
    return start


def torchvision_name(spec: Spec) -> str:
    """The network of torchvision that this one takes most weights from. Raises ConfigError if there is none."""
    if spec.family == "torchvision":
        return str(spec.choices()["name"])
    if spec.family == "mobilenet_v2" and spec.choices()["width"] == 1.0:
        return "mobilenet_v2"
    if spec.family != "shufflenet_v2":
        raise ConfigError(
            f"torchvision has no ImageNet weights for this network of the family '{spec.family}'",
            hint="start from scratch or from the proxy",
        )
    own, found = _shapes(spec), {}
    for width in WIDTHS:
        taken = _fitting(spec, own, _shapes(FAMILIES["shufflenet_v2"].base.with_choices({"width": width})))
        found[width] = sum(value.numel() for key, value in taken.items() if key.startswith("stage"))
    nearest = max(found, key=lambda width: found[width])
    if not found[nearest]:
        raise ConfigError(
            "torchvision has no ImageNet weights for this network: no convolution of its stages has the channels of "
            "one of torchvision's",
            hint="start from scratch or from the proxy",
        )
    return _twins_name(nearest)


def _twins_name(width: float) -> str:
    return f"shufflenet_v2_x{str(width).replace('.', '_')}"


def _shapes(spec: Spec) -> dict[str, Tensor]:
    """The state of a network without its values, for ImageNet."""
    with torch.device("meta"):
        return build(spec, num_classes=_IMAGENET_CLASSES, input_size=224).state_dict()


def _check_twin(state: Mapping[str, Tensor], name: str) -> None:
    """Raises TrainingError if a file is not of torchvision's network of this name, whatever its classes."""
    width = next(width for width in WIDTHS if _twins_name(width) == name)
    for key, value in _shapes(FAMILIES["shufflenet_v2"].base.with_choices({"width": width})).items():
        if key not in state or (state[key].shape != value.shape and not key.startswith("fc.")):
            got = f"{key} is {tuple(state[key].shape)}" if key in state else f"it has no {key}"
            raise TrainingError(
                f"the weights to start from do not fit: this network takes those of {name}, and {got}",
                hint=f"give the file of {name}",
            )


def _fitting(spec: Spec, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a ShuffleNet V2 (`own`, by its names) takes of torchvision's `state`: see `pretrained_start`."""
    choices = spec.choices()
    taken: dict[str, Tensor] = {}
    for key, wanted in own.items():
        found = state.get(_twins_key(spec, key))
        if found is None or key.startswith("fc.") or (key.startswith("conv1.") and choices["stem.type"] in _OWN_STEMS):
            continue
        place, index, _ = key.rsplit(".", 2)
        if wanted.dim() < 2 and f"{place}.{int(index) - 1}.weight" not in taken:
            continue  # statistics of a convolution that is drawn anew
        if wanted.shape[:2] == found.shape[:2]:
            taken[key] = centred(found, wanted.shape[-1]) if wanted.dim() == 4 else found
    if choices["head.type"] == "gap_hidden" and choices["head.hidden"] == _IMAGENET_CLASSES:
        taken |= {f"fc.0.{part}": state[f"fc.{part}"] for part in ("weight", "bias")}
    return {key: value for key, value in taken.items() if value.shape == own[key].shape}


def _twins_key(spec: Spec, key: str) -> str:
    """torchvision's name of a tensor; an extra depthwise convolution moves the others of its branch by two layers."""
    if key.startswith("fc.0."):
        return key.replace("fc.0.", "fc.")
    parts = key.split(".")
    if parts[0].startswith("stage") and parts[2] == "branch2" and spec.choices()[f"{parts[0]}.extra_depthwise"]:
        parts[3] = str(int(parts[3]) - 2)
    return ".".join(parts)


def centred(weight: Tensor, kernel: int) -> Tensor:
    """(O, I, k, k) -> (O, I, kernel, kernel): cut, or filled up with zeros, around what lies on the output's pixel."""
    shift = pad_before(kernel) - pad_before(weight.shape[-1])
    before, size = max(0, -shift), min(weight.shape[-1], kernel)
    kept = weight[:, :, before : before + size, before : before + size]
    start = max(0, shift)
    after = kernel - start - size
    return F.pad(kept, (start, after, start, after))


def _without(own: Mapping[str, Tensor], taken: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The shortest beginnings of the names of what is not taken that no name of what is taken begins with."""
    found: dict[str, None] = {}
    for key in own:
        if key not in taken:
            parts = key.split(".")
            starts = (".".join(parts[:end]) + "." for end in range(1, len(parts)))
            found[next((start for start in starts if not any(name.startswith(start) for name in taken)), key)] = None
    return tuple(found)


def _classifier(spec: Spec, *, num_classes: int, input_size: int) -> tuple[str, ...]:
    """Beginnings of the names of the layers whose shape depends on the number of classes."""
    one, other = (
        build(spec, num_classes=classes, input_size=input_size, seed=0).state_dict()
        for classes in (num_classes, num_classes + 1)
    )
    return tuple(sorted({key.rsplit(".", 1)[0] + "." for key in one if one[key].shape != other[key].shape}))


def _fetched(name: str) -> tuple[str, dict[str, Tensor]]:
    """torchvision's default weights from torch.hub's folder, downloaded first if they are not there."""
    try:
        entry = models.get_model_weights(name).DEFAULT
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"torchvision has no ImageNet weights for {name}", hint="start from scratch") from error
    path = Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rsplit("/", 1)[1]
    if not path.exists():
        prefix = _HASH.search(path.name)
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_STALLED_SECONDS)  # torch.hub sets no time limit of its own
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(entry.url, str(path), prefix[1] if prefix else None, progress=False)
        except (OSError, RuntimeError) as error:
            raise ConfigError(
                f"the ImageNet weights of {name} could not be downloaded: {error}",
                hint=f"download {entry.url} on a machine with network and put it at {path}, or name the file as "
                "the weights",
            ) from error
        finally:
            socket.setdefaulttimeout(before)
    return f"{entry}, {path.name}", _read(path)[1]


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """A file's name, and the state in it; its content is checked against the hash in its name, if there is one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: the weights cannot be read: {error.strerror or error}") from error
    prefix = _HASH.search(path.name)
    if prefix and not hashlib.sha256(content).hexdigest().startswith(prefix[1]):
        raise TrainingError(
            f"{path} is damaged: its SHA-256 does not begin with {prefix[1]}", hint="remove it, and fetch it again"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        RuntimeError,
        pickle.UnpicklingError,
        EOFError,
        zipfile.BadZipFile,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:  # what torch.load raises depends on where it stumbles
        raise TrainingError(f"{path} is not a file of weights: {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise TrainingError(f"{path} is not a file of weights: it holds no dict of tensors")
    return path.name, dict(state)
