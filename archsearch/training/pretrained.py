"""torchvision's ImageNet weights for the networks that they fit."""

from __future__ import annotations

import hashlib
import logging
import pickle
import re
import socket
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torchvision import models

from archsearch.errors import ConfigError, TrainingError
from archsearch.models.families import FAMILIES, build
from archsearch.models.shufflenet_v2.spec import WIDTHS
from archsearch.models.spec import Spec
from archsearch.training.start import Start

log = logging.getLogger(__name__)

_STALLED_SECONDS = 30.0
_HASH = re.compile(r"-([0-9a-f]{8,})\.pth$")

# Choices of a ShuffleNet V2 that may differ from torchvision's: strides and pool change no weight, the stem's
# convolution and what stands after the last map are new where they differ.
_FREE = ("stem.type", "stem.kernel", "stem.stride", "stem.pool", "head.type", "head.hidden", "head.activation")
_STEM_SHAPE = ("stem.type", "stem.kernel")
_IMAGENET_CLASSES = 1000


def pretrained_start(spec: Spec, *, num_classes: int, input_size: int, weights: Path | None = None) -> Start:
    """The weights that torchvision trained on ImageNet, by the names of this network's own.

    The classifier is left out, and keeps its random weights; so does a stem of another kernel or kind. A
    `gap_hidden` head of 1000 features takes ImageNet's classifier as its hidden layer.

    Args:
        weights: torchvision's file; None: torch.hub's folder, and if it is not there, the network.

    Raises:
        ConfigError: torchvision has no weights for such a network (the message says what differs), or the file cannot
            be had (it says which file to put where).
        TrainingError: the file is damaged or of another network.
    """
    name = torchvision_name(spec)
    source, state = _read(weights) if weights is not None else _fetched(name)
    own = build(spec, num_classes=num_classes, input_size=input_size, seed=0).state_dict()
    fresh = _fresh(spec, num_classes=num_classes, input_size=input_size)
    if spec.family == "shufflenet_v2" and _takes_classifier(spec):
        state = {**state, "fc.0.weight": state["fc.weight"], "fc.0.bias": state["fc.bias"]}
        fresh = tuple(part for part in fresh if part != "fc.") + tuple(
            sorted({key.rsplit(".", 1)[0] + "." for key in own if key.startswith("fc.") and key[:5] != "fc.0."})
        )
    taken = {key: value for key, value in state.items() if key in own and not key.startswith(fresh)}
    described = f"torchvision's {name} trained on ImageNet ({source}); random at the start: {', '.join(fresh)}"
    start = Start(kind="pretrained", description=described.replace("., ", ", ").rstrip("."), state=taken, fresh=fresh)
    start.apply(build(spec, num_classes=num_classes, input_size=input_size, seed=0))  # says so now if it does not fit
    log.info("starts from %s", start.description)
    return start


def torchvision_name(spec: Spec) -> str:
    """The network of torchvision that this one takes weights from. Raises ConfigError if there is none."""
    if spec.family == "torchvision":
        return str(spec.choices()["name"])
    if spec.family == "mobilenet_v2" and spec.choices()["width"] == 1.0:
        return "mobilenet_v2"
    if spec.family != "shufflenet_v2":
        raise ConfigError(
            f"torchvision has no ImageNet weights for this network of the family '{spec.family}'",
            hint="start from scratch or from the proxy",
        )
    choices, found = spec.choices(), {}
    for width in WIDTHS:
        twin = FAMILIES["shufflenet_v2"].base.with_choices({"width": width}).choices()
        found[width] = [key for key, value in choices.items() if twin[key] != value and key not in _FREE]
    nearest = min(found, key=lambda width: len(found[width]))
    name = f"shufflenet_v2_x{str(nearest).replace('.', '_')}"
    if differing := found[nearest]:
        raise ConfigError(
            f"torchvision has no ImageNet weights for this network: it differs from {name} in {', '.join(differing)}",
            hint="start from scratch or from the proxy",
        )
    return name


def _takes_classifier(spec: Spec) -> bool:
    choices = spec.choices()
    return choices["head.type"] == "gap_hidden" and choices["head.hidden"] == _IMAGENET_CLASSES


def _fresh(spec: Spec, *, num_classes: int, input_size: int) -> tuple[str, ...]:
    """Beginnings of the names that keep their random weights: the classifier, and a stem unlike torchvision's."""
    if spec.family == "shufflenet_v2":
        base, choices = FAMILIES["shufflenet_v2"].base.choices(), spec.choices()
        stem = any(choices[key] != base[key] for key in _STEM_SHAPE)
        return ("conv1.", "fc.") if stem else ("fc.",)
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
                hint=f"download {entry.url} on a machine with network and put it at {path}, or name the file with "
                "--weights",
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
        raise TrainingError(
            f"{path} is not a file of weights: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise TrainingError(f"{path} is not a file of weights: it holds no dict of tensors")
    return path.name, dict(state)
