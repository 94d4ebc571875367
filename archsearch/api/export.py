"""A network as a file for another runtime, checked against itself and timed before and after."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.analysis.recommendation import RECOMMENDED
from archsearch.api.paths import as_path, model_folder, study_folder
from archsearch.api.stored import check_rule
from archsearch.api.study import Study, opened_study
from archsearch.data.catalog import load_dataset
from archsearch.data.dataset import Dataset
from archsearch.data.images import Images, channel_statistics
from archsearch.errors import BuildError, ConfigError, DataError, UnknownNameError
from archsearch.export import (
    FORMATS,
    ExportFormat,
    Outputs,
    Parity,
    opened_onnx,
    parity,
    quantized,
    recipe_input,
    run_picture,
    with_picture_input,
)
from archsearch.files import check_file, write_atomically
from archsearch.image_rules import ImageRules, Preprocessing, interpolation_of
from archsearch.latency.prepare import ExportLatency, measure_exported
from archsearch.models.families import build
from archsearch.models.model_info import ModelInfo
from archsearch.records import Latency
from archsearch.resources import is_file
from archsearch.table import json_as
from archsearch.training.model_folder import WEIGHTS, load, read_info, trained_on, why_tests_are_known
from archsearch.training.trainer import device_batches
from archsearch.version import __version__

QUANTIZATIONS = ("none", "int8")
TOLERANCE = 1e-4  # largest difference of an output that is called parity, as a share of the largest output
logger = logging.getLogger(__name__)

_PICTURE = "uint8 (H, W, 3)"
_CALIBRATION_IMAGES = 200
_PARITY_IMAGES = 64
_EVALUATION_BATCH = 100
_PICTURE_SHAPES = ((224, 224), (97, 301), (301, 97), (7, 5), (480, 640))  # height, width


class ExportedJson(TypedDict):
    """One exported file: `top1_percent` of the network and of the file."""

    path: str
    bytes: int
    format: str
    quantize: str
    metadata: dict[str, Any]
    input: str
    parity: Parity
    int8_parity: Parity | None
    top1_percent: tuple[float, float] | None
    test_images: int
    latency: ExportLatency | None


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One exported file.

    Attributes:
        path, bytes: the file and its size.
        format, quantize: as asked for.
        metadata: what the file says about itself.
        input: the shape that the file takes.
        parity: of the file against the network, before quantisation.
        int8_parity: of the int8 file against the network; None without quantisation.
        top1_percent: test top-1 of the network and of the exported file (percent), each over `test_images`; None where
            the weights are not trained, or the images that they were not trained on are not at hand.
        latency: the network in torch, and the file by ONNX Runtime, in the same bursts; None if it was not asked for,
            or if nothing runs the file (the weights alone).
    """

    path: Path
    bytes: int
    format: str
    quantize: str
    metadata: ModelInfo
    input: str
    parity: Parity
    int8_parity: Parity | None
    top1_percent: tuple[float, float] | None
    test_images: int
    latency: ExportLatency | None

    def plain(self) -> ExportedJson:
        """All of it as plain data."""
        return json_as(ExportedJson, self, metadata=self.metadata.as_dict())

    def __str__(self) -> str:
        """What was written, how like the network it is, and what it gained."""
        facts = self.metadata
        weights = "trained" if facts.trained else "initial weights, not trained: good for measuring alone"
        said = [
            f"network   {facts.name}, {facts.spec.arch_id}, {weights}",
            f"file      {self.path} ({self.format}, {self.bytes / 1e6:.2f} MB), input {self.input}, "
            f"{len(facts.classes)} classes",
        ]
        if self.parity.largest_output == 0.0:
            said.append("parity    nothing to compare: this network's outputs are all zero (its last layer starts so)")
        else:
            said.append(
                f"parity    largest difference {self.parity.largest_difference:.1g} of the largest output, same top-1 "
                f"for {self.parity.same_top1_percent:.1f} % of {self.parity.images} random inputs"
            )
        if self.int8_parity is not None:
            said.append(
                f"int8      largest difference {self.int8_parity.largest_difference:.1g}, same top-1 for "
                f"{self.int8_parity.same_top1_percent:.1f} % of {self.int8_parity.images} training images"
            )
        if self.top1_percent is not None:
            before, after = self.top1_percent
            said.append(f"test      top-1 {before:.2f} % before, {after:.2f} % after (n = {self.test_images:,} images)")
        files = {} if self.latency is None else self.latency.files
        said += [_latency_line(name, latency) for name, latency in files.items()]
        if files and self.input == _PICTURE:
            said.append(
                "note      parity, test and latency are of the network behind the preprocessing in the file: "
                "a picture takes longer, the more pixels it has the longer"
            )
        elif files:
            said.append(
                "note      the file takes any number of images at once, which makes it a little slower than the study "
                "measured; a session of one number gets that back (docs/export.md)"
            )
        return "\n".join(said)

    __repr__ = __str__  # what a notebook shows


def _latency_line(name: str, latency: Latency) -> str:
    interval = (
        ""
        if latency.ratio_low is None or latency.ratio_high is None
        else f" (95 % interval {1 / latency.ratio_high:.2f} to {1 / latency.ratio_low:.2f})"
    )
    return (
        f"latency   {name}: p10 {latency.p10_ms:.3f} ms, median {latency.median_ms:.3f}; before, in torch, p10 "
        f"{latency.reference_p10_ms:.3f} ms: {1 / latency.ratio_to_reference:.2f} times as fast{interval} "
        f"(cpu, batch 1, 1 thread, n = {latency.n}{'' if latency.converged else ', not converged'})"
    )


@dataclass(frozen=True, kw_only=True)
class _Source:
    """The network to export: its module on the CPU, its facts, and where its images are."""

    model: nn.Module
    metadata: ModelInfo
    dataset: str | None
    folder: Path


def export(
    trial: str | int | Path = "best",
    *,
    study: str | Path | Study | None = None,
    rule: str = RECOMMENDED,
    format_name: str = "onnx",
    quantize: str = "none",
    with_preprocessing: bool = False,
    out: str | Path | None = None,
    untrained: bool = False,
    measure: bool = True,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
    storage: str | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Exported:
    """Write a network to one file, and compare the file with the network.

    Args:
        trial: a folder that `retrain` wrote, or a network of a study: `best`, a trial's number, or a variant's name,
            whose retrained folder is looked for.
        study: a stored study, its name or YAML file; None: the one worked on last. Not used for a folder.
        rule: what best means (`analysis.recommendation`).
        format_name: a name of `archsearch.export.FORMATS`.
        quantize: none or int8 (ONNX only; calibrated on images of the training split).
        with_preprocessing: let the ONNX file take a picture, uint8 (H, W, 3) of any size, and not a normalised batch.
        out: the file; None: beside the model's folder, named after the network.
        untrained: export initial weights where the network has not been retrained: good for measuring alone.
        measure: time the network and the file on this machine's CPU.
        dataset: where the images for calibration and accuracy come from; None: what the model was trained on.
        data_dir: where datasets are kept.
        storage: the database of the study.
        on_step: told what is being done.

    Raises:
        ConfigError: the network was not retrained, or int8 was asked of another format, or `out` is its own weights or
            no file, or the preprocessing is not known; ArchsearchError if the file cannot be written. Both are raised
            before anything is made.
        BuildError: the network cannot be exported, or the file does not compute what the network computes.
    """
    chosen = FORMATS[format_name]
    if quantize not in QUANTIZATIONS:
        raise UnknownNameError("quantization", quantize, QUANTIZATIONS)
    for asked, why in (
        (quantize == "int8", "quantize int8: it is done by ONNX Runtime, not in"),
        (with_preprocessing, "with_preprocessing: it is put into ONNX files alone, not into"),
    ):
        if asked and chosen.name != "onnx":
            hint = "leave it out, or the format: onnx is the usual one"
            raise ConfigError(f"{why} the format '{chosen.name}'", hint=hint)
    if dataset is not None and chosen.name == "state-dict" and not untrained:
        raise ConfigError(
            f"dataset {dataset}: weights alone are neither calibrated nor scored", hint="leave it out, or the format"
        )
    tell = on_step or (lambda _step: None)
    source = _source(trial, study, rule, untrained=untrained, dataset=dataset, data_dir=data_dir, storage=storage)
    suffix = "-int8" * (quantize == "int8") + "-picture" * with_preprocessing + chosen.suffix
    stem = re.sub(r"[^\w.-]", "_", source.metadata.name)
    path = as_path(out) or source.folder / f"{stem}{suffix}"
    if source.metadata.trained and is_file(path) and path.samefile(source.folder / WEIGHTS):
        raise ConfigError(
            f"{path} holds the weights that the network itself is loaded from",
            hint="give another file (in a terminal: --out)",
        )
    check_file(path)
    recipe = source.metadata.preprocessing if with_preprocessing else None
    if with_preprocessing and recipe is None:
        raise ConfigError(
            f"{source.metadata.name}: how its pictures were read is not known: an older version trained it, or began "
            "its study",
            hint="retrain it (of a folder of pictures in a new study), or export it without the preprocessing",
        )
    scored = source.metadata.trained and chosen.name != "state-dict"
    needed = quantize == "int8" or dataset is not None
    images = _dataset(source, needed=needed, data_dir=data_dir) if scored or needed else None
    size = source.metadata.input_size
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn((_PARITY_IMAGES, 3, size, size), generator=generator)
    tell(f"exporting {source.metadata.name}")
    content = chosen.write(source.model, probes[:2], source.metadata)
    same = parity(_outputs(source.model, probes), _outputs(chosen.opened(content, source.model), probes))
    if same.largest_difference > TOLERANCE:
        raise BuildError(
            f"the exported file differs from the network by {same.largest_difference:.2g} of the largest output "
            f"(allowed: {TOLERANCE:g})",
            hint="try another format, and report this network's specification",
        )
    whole, int8_parity = content, None
    if quantize == "int8":
        tell("quantising on images of the training split")
        assert images is not None  # they are needed
        content = quantized(whole, _normalised(images, source, _CALIBRATION_IMAGES))
        real = _normalised(images, source, _PARITY_IMAGES)
        int8_parity = parity(_outputs(source.model, real), _outputs(chosen.opened(content, source.model), real))
    top1, test_images = None, 0
    if images is not None and scored:
        known = why_tests_are_known(source.folder, source.metadata, images)
        if known is not None:
            logger.warning("not scored: %s", known)
        else:
            tell("scoring on the test split")
            top1, test_images = _top1(images.test_images(size), source, chosen, content)
    latency = None
    if measure and chosen.name == "onnx":
        tell("measuring before and after")
        files = {"onnx": whole} | ({"onnx int8": content} if quantize == "int8" else {})
        latency = measure_exported(source.model, files, input_size=size)
    if recipe is not None:
        tell("putting the preprocessing into the graph")
        content = _with_picture_input(content, source.model if quantize == "none" else opened_onnx(content), recipe)
    write_atomically(path, content)
    return Exported(
        path=path,
        bytes=len(content),
        format=chosen.name,
        quantize=quantize,
        metadata=source.metadata,
        input=_PICTURE if with_preprocessing else f"(N, 3, {size}, {size})",
        parity=same,
        int8_parity=int8_parity,
        top1_percent=top1,
        test_images=test_images,
        latency=latency,
    )


def _with_picture_input(content: bytes, network: Outputs, recipe: Preprocessing) -> bytes:
    """The file with the recipe in front, checked on pictures of many shapes against Pillow and the network.

    Raises BuildError if the file computes something else.
    """
    made = with_picture_input(content, recipe)
    generator = np.random.default_rng(0)
    for height, width in _PICTURE_SHAPES:
        picture = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        expected = _outputs(network, recipe_input(picture, recipe))
        found = parity(expected, run_picture(made, picture))
        if found.largest_difference > TOLERANCE:
            raise BuildError(
                f"with its preprocessing the file differs by {found.largest_difference:.2g} of the largest output on a "
                f"picture of {width}x{height} (allowed: {TOLERANCE:g})",
                hint="export it without the preprocessing, and report this network's specification",
            )
    return made


def _source(
    which: str | int | Path,
    study: str | Path | Study | None,
    rule: str,
    *,
    untrained: bool,
    dataset: str | None,
    data_dir: str | Path | None,
    storage: str | None,
) -> _Source:
    if (folder := model_folder(which)) is not None:
        check_rule(rule)
        return _from_folder(folder, dataset=dataset)
    opened = opened_study(study, storage=storage)
    chosen = opened.choose(which if isinstance(which, int) else str(which), rule=rule)
    where = study_folder(opened.name) / "retrain" / chosen.spec.arch_id
    uri = dataset or str(opened.info.config["dataset"])
    there = (where / "spec.json").is_file()
    begun_with = opened.info.facts.get("data_fingerprint")
    if there and trained_on(where) in (None, begun_with):
        return _from_folder(where, name=chosen.label, dataset=uri)
    if not untrained:
        meant = ("--select", rule) if rule.strip() != RECOMMENDED else ()
        typed = shlex.join(["archsearch", "retrain", *opened.named, "--trial", str(which), *meant])
        why = f"the model in {where} is of other images" if there else f"there is no model in {where}"
        raise ConfigError(
            f"{chosen.label} of study '{opened.name}' has not been retrained: {why}",
            hint=f"{typed}; or export its initial weights (in a terminal: --untrained)",
        )
    rules = ImageRules.of_study(opened.info.config, opened.info.facts)
    data = load_dataset(uri, data_dir=data_dir, rules=rules)
    mean, std = channel_statistics(data.training_images(opened.input_size))
    spec = chosen.spec.normalised(opened.input_size)
    return _Source(
        model=build(spec, num_classes=len(data.classes), input_size=opened.input_size, seed=0).eval(),
        metadata=ModelInfo(
            name=chosen.label,
            spec=spec,
            classes=data.classes,
            input_size=opened.input_size,
            mean=mean,
            std=std,
            image_rules=rules,
            interpolation=interpolation_of(data.name, rules),
            archsearch_version=__version__,
        ),
        dataset=uri,
        folder=study_folder(opened.name) / "export",
    )


def _from_folder(folder: Path, *, dataset: str | None, name: str | None = None) -> _Source:
    """`name`: in place of the folder's."""
    info = read_info(folder)
    facts = replace(info, name=name or info.name, archsearch_version=__version__)
    return _Source(model=load(folder), metadata=facts, dataset=dataset, folder=folder)


def _dataset(source: _Source, *, needed: bool, data_dir: str | Path | None) -> Dataset | None:
    """The images that the network was trained on, if they are named, there, and fit: to be scored on, unless needed.

    Raises ConfigError without a name or with other classes, or DataError where they are not there, if they are needed.
    """
    if source.dataset is None:
        if needed:
            raise ConfigError(
                "int8 is calibrated on images, and a folder does not say where its images are",
                hint="name its dataset: cifar10, digits, folder:PATH or npz:PATH",
            )
        return None
    try:
        found = load_dataset(source.dataset, data_dir=data_dir, rules=source.metadata.image_rules)
        if found.classes != source.metadata.classes:
            raise ConfigError(
                f"dataset '{source.dataset}' has other classes than the network ({len(found.classes)} and "
                f"{len(source.metadata.classes)})",
                hint="name the one that it was trained on",
            )
        if not needed:
            found.check_test()
    except (ConfigError, DataError) as error:
        if needed:
            raise
        logger.warning("not scored: %s", error)
        return None
    return found


def _outputs(network: Outputs, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network(batch) for batch in images.split(_EVALUATION_BATCH)])  # type: ignore[no-untyped-call]


def _normalised(dataset: Dataset, source: _Source, count: int) -> Tensor:
    """So many training images, normalised: at equal distances, of all classes however the images are ordered."""
    images = dataset.training_images(source.metadata.input_size)
    wanted = min(count, len(images))
    chosen = images.subset([place * len(images) // wanted for place in range(wanted)])
    return torch.cat([inputs for inputs, _ in _batches(chosen, source)])


def _batches(images: Images, source: _Source) -> Iterator[tuple[Tensor, Tensor]]:
    facts = source.metadata
    made = device_batches(images, device="cpu", input_size=facts.input_size, mean=facts.mean, std=facts.std)
    for inputs, labels in made.evaluation(_EVALUATION_BATCH):
        yield inputs.contiguous(), labels


def _top1(images: Images, source: _Source, chosen: ExportFormat, content: bytes) -> tuple[tuple[float, float], int]:
    """Test top-1 (percent) of the network and of the file, and over how many images."""
    theirs = chosen.opened(content, source.model)
    own_right = their_right = 0
    for inputs, labels in _batches(images, source):
        own_right += int((_outputs(source.model, inputs).argmax(1) == labels).sum())
        their_right += int((_outputs(theirs, inputs).argmax(1) == labels).sum())
    return (100.0 * own_right / len(images), 100.0 * their_right / len(images)), len(images)
