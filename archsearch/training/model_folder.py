"""A trained network as a folder: written once, loaded with one call.

spec.json            the network, its classes, its input and its normalisation
weights.safetensors  the state of the first seed
metrics.csv          one row for each seed and epoch
summary.json         accuracy over the seeds, protocol, data, cost, latency
README.md            the model card
held_out.txt         where `test_share` held out pictures: their files, one a line, relative to the dataset's folder
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from archsearch.data.dataset import Dataset
from archsearch.errors import ConfigError, DataError, StoreError, shown
from archsearch.files import write_atomically
from archsearch.image_rules import ImageRules
from archsearch.models.choice import ChoiceValue
from archsearch.models.families import SMALLEST_INPUT, build, spec_from_json
from archsearch.models.model_info import ModelInfo
from archsearch.preprocessing import Preprocessing
from archsearch.records import LARGEST_INPUT, MOST_CLASSES
from archsearch.resources import parse_json, read_text
from archsearch.training.loop import EVALUATION_BATCH, top1_percent
from archsearch.training.model_card import model_card
from archsearch.training.model_facts import ModelFacts
from archsearch.training.trainer import device_batches
from archsearch.validation import explain

logger = logging.getLogger(__name__)

HELD_OUT = "held_out.txt"
_FORMAT = 1
_EXPORT_SUFFIXES = (".onnx", ".pt2", ".safetensors")
_METRICS = ("seed", "epoch", "train_loss", "top1_percent", "learning_rate", "train_seconds")


_Share = Annotated[float, Field(ge=0, le=100)]
_Scale = Annotated[FiniteFloat, Field(gt=0)]


class _Described(BaseModel):
    """What spec.json says, key by key."""

    model_config = ConfigDict(frozen=True, strict=True)

    format: Annotated[int, Field(ge=1, le=_FORMAT)]
    spec: dict[str, ChoiceValue]
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_CLASSES)]
    input_size: Annotated[int, Field(ge=SMALLEST_INPUT, le=LARGEST_INPUT)]
    mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    std: tuple[_Scale, _Scale, _Scale]
    image_rules: ImageRules = Field(default=ImageRules(former=True))
    preprocessing: Preprocessing | None = None
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    test_top1_percent: Annotated[tuple[_Share, ...], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    study: str | None
    trial: int | None
    archsearch: str
    torch: str


def save_model_folder(
    folder: Path,
    facts: ModelFacts,
    *,
    weights_from: Path,
    curve_image: str | None = None,
    held_out: tuple[str, ...] = (),
) -> Path:
    """Write the folder's files, each atomically; spec.json, without which nothing loads, is the last.

    Files that were exported from other weights are moved into a folder of their own first, with a warning.

    Args:
        weights_from: the safetensors file of the first seed (`RetrainedSeed.weights`).
        curve_image: path of a picture of the learning curves for the card, relative to the folder.
        held_out: as of `Dataset.held_out`.

    Returns:
        The folder. Raises StoreError if the weights cannot be read.
    """
    try:
        weights = weights_from.read_bytes()
    except OSError as error:
        raise StoreError(f"{weights_from}: the weights cannot be read: {error}") from error
    described = {
        "format": _FORMAT,
        "spec": json.loads(facts.spec.canonical_json()),
        "num_classes": len(facts.classes),
        "classes": list(facts.classes),
        "input_size": facts.input_size,
        "mean": list(facts.mean),
        "std": list(facts.std),
        "image_rules": asdict(facts.image_rules),
        "preprocessing": None if facts.preprocessing is None else facts.preprocessing.model_dump(mode="json"),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "test_top1_percent": [score.top1_percent for score in facts.scores],
        "seeds": [score.seed for score in facts.scores],
        "study": facts.study,
        "trial": facts.trial,
        "archsearch": _own_version(),
        "torch": torch.__version__,
    }
    _set_aside_exports(folder, str(described["weights_sha256"]))
    write_atomically(folder / "weights.safetensors", weights)
    write_atomically(folder / "metrics.csv", _metrics_csv(facts).encode())
    write_atomically(folder / "summary.json", _json(facts.summary()))
    if held_out:
        write_atomically(folder / HELD_OUT, b"".join(os.fsencode(name) + b"\n" for name in held_out))
    write_atomically(folder / "README.md", model_card(facts, curve_image=curve_image).encode())
    write_atomically(folder / "spec.json", _json(described))
    return folder


def _set_aside_exports(folder: Path, digest: str) -> None:
    """Move files exported from other weights out of the way, so that none lies beside a card that is not its own."""
    try:
        before = str(json.loads((folder / "spec.json").read_text(encoding="utf-8"))["weights_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        before = ""
    exports = [
        path for path in folder.glob("*") if path.suffix in _EXPORT_SUFFIXES and path.name != "weights.safetensors"
    ]
    if before == digest or not exports:
        return
    place = folder / f"exports-of-{before[:12] or 'unknown-weights'}"
    place.mkdir(exist_ok=True)
    for path in exports:
        path.replace(place / path.name)
    logger.warning(
        "%s: %d exported file(s) are of earlier weights and are now in %s: export the network again",
        folder, len(exports), place.name,
    )  # fmt: skip


def read_info(folder: Path | str) -> ModelInfo:
    """What a model folder says about its network, without loading the weights.

    Raises StoreError if spec.json is missing, damaged, or of a newer format.
    """
    return _info(Path(folder))[0]


def load(folder: Path | str, device: str = "cpu") -> nn.Module:
    """The network of a model folder in eval mode, with its trained weights.

    It takes normalised float inputs (N, 3, input_size, input_size) and gives logits (N, classes); what it needs for
    that is in `.archsearch`, a ModelInfo.

    Raises StoreError if a file is missing or damaged, or the weights do not fit the network.
    """
    folder = Path(folder)
    info, digest = _info(folder)
    path = folder / "weights.safetensors"
    state = _weights(path, digest)
    model = build(info.spec, num_classes=len(info.classes), input_size=info.input_size, seed=0)
    for name, own in model.state_dict().items():
        given = state.get(name)
        if given is not None and given.dtype != own.dtype:
            raise StoreError(f"{path}: '{name}' is stored as {given.dtype}, and the network has {own.dtype}")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise StoreError(f"{path}: the weights do not fit the network of spec.json: {error}") from error
    model.__dict__["archsearch"] = info
    return model.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]


def evaluate_folder(folder: Path | str, dataset: Dataset, *, device: str = "cpu") -> float:
    """Top-1 on the dataset's test split (percent); on the CPU that trained it, exactly the first seed's score.

    Raises StoreError as `load` does, DataError if the dataset's classes are not the network's.
    """
    model, info = load(folder, device), read_info(folder)
    if dataset.classes != info.classes:
        raise DataError(
            f"dataset '{dataset.name}' has the classes {_short(dataset.classes)}, "
            f"the network in {folder} {_short(info.classes)}",
            hint="evaluate on the dataset that it was trained for",
        )
    batches = device_batches(
        dataset.test_images(info.input_size),
        device=device,
        input_size=info.input_size,
        mean=info.mean,
        std=info.std,
    )
    return top1_percent(model, batches.evaluation(EVALUATION_BATCH))


def _info(folder: Path) -> tuple[ModelInfo, str]:
    """The content of spec.json, and the checksum of the weights."""
    path = folder / "spec.json"
    try:
        text = read_text(path)
    except ConfigError as error:
        raise StoreError(f"{folder} is not a model folder: spec.json cannot be read: {error.message}") from error
    try:
        form = parse_json(text, path)
        if isinstance(form, dict) and isinstance(form.get("format"), int) and form["format"] > _FORMAT:
            raise StoreError(
                f"{path}: written by a newer archsearch ({shown(form.get('archsearch'))})", hint="update archsearch"
            )
        stored = _Described.model_validate_json(text)
        info = ModelInfo(
            name=folder.name,
            spec=spec_from_json(json.dumps(stored.spec)),
            classes=stored.classes,
            input_size=stored.input_size,
            mean=stored.mean,
            std=stored.std,
            image_rules=stored.image_rules,
            interpolation=None if stored.preprocessing is None else stored.preprocessing.interpolation,
            test_top1_percent=stored.test_top1_percent,
            seeds=stored.seeds,
            study=stored.study,
            trial=stored.trial,
            archsearch_version=stored.archsearch,
            torch_version=stored.torch,
        )
    except ValidationError as error:
        found = explain(error, source=f"{path}: damaged", model=_Described)
        raise StoreError(found.message, hint=found.hint) from error
    except ConfigError as error:  # not JSON, or no network
        where = "" if str(path) in error.message else f"{path}: damaged: "
        raise StoreError(f"{where}{error.message}", hint=error.hint) from error
    return info, stored.weights_sha256


def _weights(path: Path, digest: str) -> dict[str, Tensor]:
    """The state in a safetensors file whose SHA-256 is known."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: the weights cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise StoreError(f"{path}: damaged, or not the weights that spec.json was written with")
    try:
        return dict(safetensors.torch.load(content))
    except SafetensorError as error:
        raise StoreError(f"{path}: not a safetensors file: {error}") from error


def _metrics_csv(facts: ModelFacts) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_METRICS)
    for score in facts.scores:
        table.writerows((score.seed, *(getattr(point, name) for name in _METRICS[1:])) for point in score.curve)
    return text.getvalue()


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _short(classes: tuple[str, ...]) -> str:
    listed = ", ".join(classes[:3])
    return f"({listed}, ... {len(classes)} in all)" if len(classes) > 3 else f"({listed})"


def _own_version() -> str:
    try:
        return version("archsearch")
    except PackageNotFoundError:
        return "unknown"
