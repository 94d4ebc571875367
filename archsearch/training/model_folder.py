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
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.data.catalog import load_dataset
from archsearch.data.dataset import Dataset
from archsearch.errors import ConfigError, DataError, StoreError, first_line, shortened, shown
from archsearch.files import write_atomically
from archsearch.image_rules import ImageRules, Preprocessing
from archsearch.models.families import FAMILIES, SMALLEST_INPUT, build, spec_from_json
from archsearch.models.model_info import ModelInfo, NetworkFacts
from archsearch.models.spec import ChoiceValue
from archsearch.records import LARGEST_INPUT, MOST_CLASSES, Cost, Latency, Score, most_taken_for
from archsearch.resources import parse_json, read_text, user_path
from archsearch.text import plural
from archsearch.training.loop import EVALUATION_BATCH, top1_percent
from archsearch.training.protocols import Protocol
from archsearch.training.settings import ClassWeights
from archsearch.training.trainer import device_batches
from archsearch.validation import explain
from archsearch.version import __version__

# What a finished model folder says about itself.


class ModelSummary(TypedDict):
    """What summary.json says of a network trained in full: test top-1 (percent) over its seeds, and how it came about.

    `scores` are those of the seeds, without their learning curves, which metrics.csv has; `latency` is of the study.
    """

    name: str
    arch_id: str
    study: str | None
    trial: int | None
    mean_test_top1_percent: float
    std_test_top1_percent: float | None
    scores: list[dict[str, Any]]
    protocol: dict[str, Any]
    start: str
    batch_size: int
    class_weights: ClassWeights
    dataset: str
    dataset_fingerprint: str
    cost: dict[str, Any] | None
    latency: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class ModelFacts(NetworkFacts):
    """One retrained network: everything its folder and its model card tell.

    Attributes:
        reading: which reading of its source it is, where there are several.
        scores: one for each seed, all on the test split; the weights of the first are the folder's.
        protocol, batch_size, class_weights: how it was trained.
        dataset, dataset_fingerprint: what it was trained on.
        cost, latency: None where they were not taken.
        start: where the initial weights are from; "" if they were drawn at random.
    """

    scores: tuple[Score, ...]
    protocol: Protocol
    batch_size: int
    dataset: str
    dataset_fingerprint: str
    cost: Cost | None = None
    latency: Latency | None = None
    reading: str = ""
    start: str = ""
    class_weights: ClassWeights = "none"

    def __post_init__(self) -> None:
        if not self.scores:
            raise ValueError("a model folder needs at least one score")

    def summary(self) -> ModelSummary:
        """See `ModelSummary`."""
        return {
            "name": self.name,
            "arch_id": self.spec.arch_id,
            "study": self.study,
            "trial": self.trial,
            "mean_test_top1_percent": self.mean_top1_percent,
            "std_test_top1_percent": self.std_top1_percent,
            "scores": [{key: value for key, value in asdict(score).items() if key != "curve"} for score in self.scores],
            "protocol": self.protocol.identity(),
            "start": self.start or "random weights",
            "batch_size": self.batch_size,
            "class_weights": self.class_weights,
            "dataset": self.dataset,
            "dataset_fingerprint": self.dataset_fingerprint,
            "cost": None if self.cost is None else asdict(self.cost),
            "latency": None if self.latency is None else asdict(self.latency),
        }

    @property
    def accuracy(self) -> str:
        """Its test top-1, over how many seeds and images, and how it was trained."""
        first, spread = self.scores[0], "" if self.std_top1_percent is None else f" ± {self.std_top1_percent:.2f}"
        return (
            f"test top-1 {self.mean_top1_percent:.2f}{spread} % (n = {plural(len(self.scores), 'seed')}, "
            f"{plural(first.epochs, 'epoch')} of {self.protocol.name}, {plural(first.eval_images, 'test image')})"
        )

    @property
    def mean_top1_percent(self) -> float:
        """Mean test top-1 over the seeds (percent)."""
        return statistics.fmean(score.top1_percent for score in self.scores)

    @property
    def std_top1_percent(self) -> float | None:
        """Sample standard deviation (divided by n - 1) over the seeds; None for a single seed."""
        values = [score.top1_percent for score in self.scores]
        return statistics.stdev(values) if len(values) > 1 else None


# The model card: a short page that says what a trained network is, how good, and within which limits.

_MOST_CONFUSED = 20  # classes up to which the card has the whole matrix; summary.json has every one that there is


def model_card(facts: ModelFacts, *, curve_image: str | None = None) -> str:
    """The card in Markdown.

    Args:
        curve_image: path of a picture of the learning curves, relative to the card.
    """
    sections = [
        f"# {facts.name}",
        _what(facts),
        "## Accuracy",
        _accuracy(facts),
        *([f"![Learning curves]({curve_image})"] if curve_image else []),
        *_classes(facts),
        "## Cost",
        _cost(facts),
        "## Choices",
        _choices(facts),
        "## Training",
        _training(facts),
        "## Use",
        _use(facts),
        *(["## From a picture to the input", _preprocessing(facts.preprocessing)] if facts.preprocessing else []),
        "## Limits",
        _limits(facts),
    ]
    return "\n\n".join(sections) + "\n"


def _what(facts: ModelFacts) -> str:
    size = facts.input_size
    found = f" Found as trial {facts.trial} of the study `{facts.study}`." if facts.trial is not None else ""
    return (
        f"An image classifier of the family `{facts.spec.family}` (architecture `{facts.spec.arch_id}`) for "
        f"{len(facts.classes)} classes at {size}x{size} pixels, trained on `{facts.dataset}`.{found}"
        + (f" Which reading of its paper: {facts.reading}." if facts.reading else "")
    )


def _accuracy(facts: ModelFacts) -> str:
    count, first, spread = len(facts.scores), facts.scores[0], facts.std_top1_percent
    value = f"Test top-1 **{facts.mean_top1_percent:.2f}%"
    if spread is None:
        summary = f"{value}** from one seed, so no spread is known"
    else:
        summary = f"{value} ± {spread:.2f}** (mean ± sample standard deviation over {count} seeds)"
    rows = [f"| {score.seed} | {score.epochs} | {score.top1_percent:.2f} |" for score in facts.scores]
    return "\n".join(
        [
            f"{summary}, {first.eval_images:,} test images, after the last epoch; no epoch was chosen by its accuracy.",
            "",
            "| seed | epochs | test top-1 (%) |",
            "|---:|---:|---:|",
            *rows,
            "",
            f"`weights.safetensors` holds seed {first.seed}.",
        ]
    )


def _classes(facts: ModelFacts) -> list[str]:
    """Recall of each class, and which is taken for which; nothing for scores without a confusion matrix."""
    first = facts.scores[0]
    if first.confusion is None or first.balanced_top1_percent is None or first.majority_percent is None:
        return []
    top5 = "" if first.top5_percent is None else f", top-5 {first.top5_percent:.2f}%"
    rows = []
    for place, (name, recall) in enumerate(zip(facts.classes, first.class_recall_percent, strict=True)):
        most = most_taken_for(first.confusion[place], place)
        often = "" if most is None else f"{_cell(facts.classes[most[0]])} ({most[1]:,})"
        shown = "" if recall is None else f"{recall:.1f}"
        rows.append(f"| {_cell(name)} | {sum(first.confusion[place]):,} | {shown} | {often} |")
    lines = [
        f"Seed {first.seed}: mean recall over the classes {first.balanced_top1_percent:.2f}%{top5}. An answer that is "
        f"always the largest class has {first.majority_percent:.2f}%, chance {100 / len(facts.classes):.2f}%.",
        "",
        "| class | test images | recall (%) | most often taken for |",
        "|---|---:|---:|---|",
        *rows,
    ]
    found = ["### Classes", "\n".join(lines)]
    if len(facts.classes) <= _MOST_CONFUSED:
        head = "| class | " + " | ".join(_cell(name) for name in facts.classes) + " |"
        cells = [
            f"| {_cell(name)} | " + " | ".join(f"{count:,}" for count in row) + " |"
            for name, row in zip(facts.classes, first.confusion, strict=True)
        ]
        matrix = [head, "|---|" + "---:|" * len(facts.classes), *cells]
        found += ["Confusion matrix: rows are the images' classes, columns the answers.", "\n".join(matrix)]
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _cost(facts: ModelFacts) -> str:
    lines = []
    if facts.cost is not None:
        lines.append(
            f"- {facts.cost.params:,} parameters, {facts.cost.macs:,} multiply-adds an image "
            f"(convolutions and linear layers) at {facts.cost.input_size}x{facts.cost.input_size}"
        )
        if facts.cost.unsupported_ops:
            listed = ", ".join(f"{name} ({count})" for name, count in sorted(facts.cost.unsupported_ops.items()))
            lines.append(f"- not counted: {listed}")
    if facts.latency is not None:
        taken = facts.latency
        doubts = [] if taken.converged else ["not converged"]
        if taken.contended:
            others = "another process may have used the device"
            doubts.append("the board slowed itself down" if taken.throttled else others)
        lines.append(
            f"- latency {taken.median_ms:.3f} ms median, {taken.p10_ms:.3f} to {taken.p90_ms:.3f} ms (p10 to p90), "
            f"{taken.n} runs: {taken.device}, {taken.backend}, batch {taken.batch}, {taken.threads} thread(s), "
            f"{taken.input_size}x{taken.input_size}; {taken.ratio_to_reference:.3f} times `{taken.reference}` "
            f"in the same bursts (device `{taken.fingerprint}`)" + (f"; {', '.join(doubts)}" if doubts else "")
        )
    else:
        lines.append("- latency was not measured")
    return "\n".join(lines)


def _choices(facts: ModelFacts) -> str:
    base = FAMILIES[facts.spec.family].base.choices()
    rows = [
        f"| `{name}` | {base.get(name)} | {value} |"
        for name, value in facts.spec.choices().items()
        if base.get(name) != value
    ]
    if not rows:
        return "None differs from the family's base network."
    return "\n".join(
        ["What differs from the family's base network:", "", "| choice | base | here |", "|---|---|---|", *rows]
    )


def _training(facts: ModelFacts) -> str:
    protocol, first = facts.protocol, facts.scores[0]
    on = "" if protocol.decay_vectors else " (not on biases and normalisations)"
    lines = [
        f"- protocol `{protocol.name}` ({protocol.source}), {plural(first.epochs, 'epoch')}, batch {facts.batch_size}",
        f"- initial weights: {facts.start or 'random, drawn from each seed'}",
        f"- SGD, momentum {protocol.momentum:g}{' (Nesterov)' if protocol.nesterov else ''}, weight decay "
        f"{protocol.weight_decay:g}{on}, label smoothing {protocol.label_smoothing:g}, schedule `{protocol.schedule}`",
        f"- augmentation: {_augmentation(facts)}",
        f"- {first.train_images:,} training images, data fingerprint `{facts.dataset_fingerprint}`",
        f"- {sum(score.train_seconds for score in facts.scores):,.0f} s of training in all on {first.device}",
    ]
    dropout = protocol.as_trained(facts.spec).choices().get("head.dropout")
    if dropout is not None:
        lines.append(f"- dropout {dropout:g} before the last linear layer")
    if facts.class_weights == "balanced":
        lines.append("- every class counts the same in the loss, however few images it has")
    if protocol.average_fraction is not None:
        lines.append(
            f"- the weights are a moving average of those of the training, over {protocol.average_fraction:.1%} of its "
            "steps"
        )
    if facts.start and len(facts.scores) > 1:
        lines.append("- the seeds share these initial weights, so they differ less than trainings from scratch do")
    if (first.epochs, facts.batch_size) != (protocol.epochs, protocol.batch_size):
        lines.append(f"- the protocol itself has {plural(protocol.epochs, 'epoch')} and batch {protocol.batch_size}")
    return "\n".join(lines + [f"- {note}" for note in protocol.notes])


def _augmentation(facts: ModelFacts) -> str:
    protocol = facts.protocol
    flip = "mirror images where the dataset allows them" if protocol.flip is None else "mirror images"
    parts = [f"random crop with {protocol.crop_padding} pixels of padding"] if protocol.crop_padding else []
    if protocol.least_crop_area is not None:
        parts.append(f"random resized crop of {protocol.least_crop_area:.0%} to 100% of the area")
    parts += [] if protocol.flip is False else [flip]
    if protocol.colour_jitter:
        parts.append(f"brightness, contrast and saturation changed by up to {protocol.colour_jitter:.0%}")
    side = protocol.cutout_pixels(facts.input_size)
    parts += [f"a blank square of {side}x{side} pixels (cutout)"] if side else []
    return ", ".join(parts) or "none"


def _use(facts: ModelFacts) -> str:
    size = facts.input_size
    return "\n".join(
        [
            "```python",
            "import archsearch",
            'model = archsearch.load("path/to/this/folder")  # eval mode; model.archsearch has classes, mean and std',
            f"logits = model(images)  # float (N, 3, {size}, {size}), pixels in [0, 1], then (pixel - mean) / std",
            "```",
        ]
    )


def _preprocessing(recipe: Preprocessing) -> str:
    size, skipped = recipe.input_size[1], {"classes"}
    return "\n".join(
        [
            "1. Turn the picture upright (EXIF), make it RGB with 8 bits; transparent pixels show "
            f"{recipe.background}.",
            f"2. Scale the largest square in its middle to {size}x{size}: Pillow's resize, {recipe.interpolation}, "
            "columns first, then rows.",
            "3. x / 255, less `mean`, over `std`, for each channel; channels first.",
            "",
            "```json",
            json.dumps(recipe.model_dump(mode="json", exclude=skipped), indent=2),
            "```",
            "",
            "`spec.json` has this with the classes, an exported ONNX file in its metadata",
            "(`archsearch.preprocessing`), and `archsearch export --with-preprocessing` puts it into the ONNX graph.",
        ]
    )


def _limits(facts: ModelFacts) -> str:
    lines = [
        f"- Trained and tested on `{facts.dataset}` only; nothing is known about other images, sizes or cameras.",
        "- The test images were scored after each epoch for the learning curve; nothing was chosen by them.",
    ]
    if len(facts.scores) == 1:
        lines.append("- One seed: a difference of a few tenths of a percent from another network may be chance.")
    if facts.latency is not None:
        lines.append("- The latency holds for the device, backend, batch and threads named above.")
    return "\n".join(lines)


logger = logging.getLogger(__name__)

WEIGHTS, HELD_OUT = "weights.safetensors", "held_out.txt"
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
        "archsearch": __version__,
        "torch": torch.__version__,
    }
    _set_aside_exports(folder, str(described["weights_sha256"]))
    write_atomically(folder / WEIGHTS, weights)
    write_atomically(folder / "metrics.csv", _metrics_csv(facts).encode())
    write_atomically(folder / "summary.json", _json(facts.summary()))
    if held_out:
        write_atomically(folder / HELD_OUT, b"".join(os.fsencode(name) + b"\n" for name in held_out))
    else:
        (folder / HELD_OUT).unlink(missing_ok=True)  # of a training on other data, whose folder this was
    write_atomically(folder / "README.md", model_card(facts, curve_image=curve_image).encode())
    write_atomically(folder / "spec.json", _json(described))
    return folder


def _set_aside_exports(folder: Path, digest: str) -> None:
    """Move files exported from other weights out of the way, so that none lies beside a card that is not its own."""
    try:
        before = str(json.loads((folder / "spec.json").read_text(encoding="utf-8"))["weights_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        before = ""
    exports = [path for path in folder.glob("*") if path.suffix in _EXPORT_SUFFIXES and path.name != WEIGHTS]
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
    return _info(user_path(folder))[0]


def trained_on(folder: Path) -> str | None:
    """The fingerprint of the images that a folder's model was trained on; None where its summary does not tell it."""
    try:
        return str(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["dataset_fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def why_tests_are_known(folder: Path, info: ModelInfo, dataset: Dataset) -> str | None:
    """Why a folder's model may have been trained on what `test_share` holds out of these images; None if it was not.

    Of other images than it was trained on, one picture more is enough, others are held out.
    """
    before = trained_on(folder)
    if not info.image_rules.test_share or before in (None, dataset.fingerprint):
        return None
    return (
        f"the images of '{dataset.name}' are not those that the network was trained on (were {before}, now "
        f"{dataset.fingerprint}), and what is held out now may be among those"
    )


def load(folder: Path | str, device: str = "cpu") -> nn.Module:
    """The network of a model folder in eval mode, with its trained weights.

    It takes normalised float inputs (N, 3, input_size, input_size) and gives logits (N, classes); what it needs for
    that is in `.archsearch`, a ModelInfo.

    Raises StoreError if a file is missing or damaged, or the weights do not fit the network; ConfigError for a device
    that is not there.
    """
    folder = user_path(folder)
    info, digest = _info(folder)
    path = folder / WEIGHTS
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
    try:
        return model.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]
    except (RuntimeError, AssertionError) as error:  # which of them torch raises depends on how it was built
        hint = "cpu, or cuda or cuda:N where torch sees a GPU"
        raise ConfigError(f"device {device}: {shortened(first_line(error), 120)}", hint=hint) from error


def evaluate_folder(
    folder: Path | str, dataset: str | Dataset, *, data_dir: str | Path | None = None, device: str = "cpu"
) -> float:
    """Top-1 on the dataset's test split (percent); on the CPU that trained it, exactly the first seed's score.

    Args:
        folder, device: as of `load`.
        dataset: its name, as a study has it: its images are then read as those of the training were; or one that is
            loaded.
        data_dir: where a named dataset is kept.

    Raises StoreError and ConfigError as `load` does, UnknownNameError, ConfigError or DataError for the dataset;
    DataError if its classes are not the network's, or the network may have been trained on its test images.
    """
    model, info = load(folder, device), read_info(folder)
    if not isinstance(dataset, Dataset):
        dataset = load_dataset(str(dataset), data_dir=data_dir, rules=info.image_rules)
    if dataset.classes != info.classes:
        raise DataError(
            f"dataset '{dataset.name}' has the classes {_short(dataset.classes)}, "
            f"the network in {folder} {_short(info.classes)}",
            hint="evaluate on the dataset that it was trained for",
        )
    why = why_tests_are_known(user_path(folder), info, dataset)
    if why is not None:
        raise DataError(why, hint="put the old images back")
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
            name=folder.resolve().name if folder.name in ("", "..") else folder.name,  # a link's is its own
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
