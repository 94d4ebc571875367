"""Look at a dataset before a study is begun, and write a study that fits it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML

from archsearch.analysis.dataset import SKEWED, DatasetSurvey, StudyNeeds, imbalance
from archsearch.data.catalog import DATASETS, load_dataset, parse_dataset
from archsearch.data.survey import DatasetFacts, look_at
from archsearch.errors import ArchsearchError
from archsearch.files import write_atomically
from archsearch.models.families import build
from archsearch.resources import user_path
from archsearch.search.config import StudyConfig, parse_study
from archsearch.search.needs import needs_of
from archsearch.search.variants import scaled
from archsearch.text import bytes_text

_TEST_SHARE = 0.15
_VALIDATION_SHARE, _MOST_VALIDATION = 0.2, 5000
_CPU_SIZE, _GPU_SIZE = 96, 224  # pixels at most: what a search of some hours can train at
_CPU_IMAGES = 8000  # trained on in an epoch
_NAME_LETTERS = 80  # of the dataset's name in the study's, which has 100 at most


def data(dataset: str | Path, *, data_dir: str | Path | None = None) -> DatasetSurvey:
    """Look at every split of a dataset, and find a study that fits it.

    Args:
        dataset: `folder:PATH`, `npz:PATH`, `cifar10`, `cifar100` or `digits`; a Path of a folder, or another folder's
            path as text, is `folder:PATH`.
        data_dir: where datasets, and what is found out of pictures, are kept.

    Raises ConfigError or DataError where there is nothing to look at. Unreadable files are among what is found.
    """
    uri = str(dataset)
    if (isinstance(dataset, Path) or uri.partition(":")[0] not in DATASETS) and user_path(uri).is_dir():
        uri = f"folder:{uri}"
    facts = look_at(uri, data_dir=data_dir)
    try:
        study = suggested_study(facts, gpu=torch.cuda.is_available())
        needs = _needs(parse_study(study, source="the fitting study"), data_dir)
    except ArchsearchError as error:
        return DatasetSurvey(facts=facts, study=None, needs=None, no_study=error.message)
    return DatasetSurvey(facts=facts, study=study, needs=needs)


def suggested_study(facts: DatasetFacts, *, gpu: bool) -> dict[str, Any]:
    """Keys and values of a study that fits a dataset and a machine: input size, stem, batch, splits, objectives."""
    entry, path = parse_dataset(facts.uri)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.resolve().name if entry.takes_path else facts.uri)
    size = _input_size(facts.image_size, most=_GPU_SIZE if gpu else _CPU_SIZE)
    own_test, own_validation = facts.split("test"), facts.split("validation")
    test_share = None if own_test is not None or not entry.takes_path else _TEST_SHARE
    train = facts.train.count - (0 if test_share is None else round(test_share * facts.train.count))
    classes = len(facts.classes)
    offered = round(_VALIDATION_SHARE * train) if own_validation is None else own_validation.count
    validation = max(classes, min(_MOST_VALIDATION, offered))
    left = train - (validation if own_validation is None else 0)
    used = left if gpu else min(left, _CPU_IMAGES)
    batch = next((each for each in (128, 64) if used >= 16 * each), 32)
    study: dict[str, Any] = {
        "name": f"{name.strip('-._')[:_NAME_LETTERS] or 'mine'}-{size}",
        "description": f"{facts.uri}, {classes} classes, at {size}x{size} pixels",
        "space": "shufflenet_v2",
        "dataset": f"{facts.uri.partition(':')[0]}:{path.resolve()}" if entry.takes_path else facts.uri,
        **({} if test_share is None else {"test_share": test_share}),
        **({"on_bad_image": "skip"} if any(split.problems for split in facts.splits) else {}),
        "trials": 100 if gpu else 40,
        "scale": _stem(size, gpu=gpu),
        "proxy": {
            "epochs": 12 if used < 4000 or gpu else 6,
            "batch_size": batch,
            "learning_rate": 0.2 * batch / 128,
            **({"train_images": used} if used < left else {}),
            "validation_images": validation,
            "input_size": size,
        },
    }
    if not gpu:
        study["restrict"] = {"width": [0.5, 1.0]}
    if imbalance(facts.train) >= SKEWED:
        study["objectives"] = ["error_percent", "latency_ms", "balanced_error_percent"]
        study["proxy"]["class_weights"] = "balanced"
    return study


def write_study(found: DatasetSurvey, path: Path) -> None:
    """Write the fitting study as YAML that `archsearch run --study FILE` takes.

    Raises ArchsearchError without one, or if the file holds another: somebody may have changed it.
    """
    if found.study is None:
        raise ArchsearchError(f"no study fits: {found.no_study}", hint="change what is in the way, and type it again")
    text = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.dump(dict(found.study), text)
    content = text.getvalue().encode()
    if path.is_file() and path.read_bytes() != content:
        raise ArchsearchError(f"{path} holds another study", hint="give another name, or remove the file")
    write_atomically(path, content)


def _input_size(own: int, *, most: int) -> int:
    """The images' own size where it may be, a multiple of 32 (of 8 below 64) that five strides of 2 divide well."""
    size = min(own, most)
    return max(32, size // 32 * 32 if size >= 64 else size // 8 * 8)


def _stem(size: int, *, gpu: bool) -> dict[str, Any]:
    """The ImageNet stem from 96 pixels on; below, one that leaves the first stage enough of a small image."""
    if size >= 96:
        return {"stem.stride": 2, "stem.pool": True}
    return {"stem.stride": 1 if gpu and size < 48 else 2, "stem.pool": False}


def _needs(config: StudyConfig, data_dir: str | Path | None) -> StudyNeeds:
    dataset = load_dataset(config.dataset, data_dir=data_dir, rules=config.image_rules())
    size = config.proxy.input_size or dataset.image_size
    positions = dataset.split_positions(**config.proxy.split)
    spec = scaled(config.reference, config, key="reference").normalised(size)
    network = build(spec, num_classes=dataset.num_classes, input_size=size, seed=0)
    needs = needs_of(dataset, positions, config.proxy, network, input_size=size)
    return StudyNeeds(
        train_images=len(positions[0]),
        validation_images=len(positions[1]),
        input_size=size,
        disk_text=f"{bytes_text(needs.disk_bytes)} on disk" if needs.disk_bytes else "nothing on disk",
        memory_text=f"about {bytes_text(needs.process_bytes)} of memory for each worker on a CPU",
        decode_seconds=needs.decode_seconds if needs.decoded_images else None,
    )
