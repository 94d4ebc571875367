"""The datasets by name: `cifar10`, `cifar100`, `digits`, `folder:PATH`, `npz:PATH`. Torch is imported on loading."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.errors import ConfigError
from archsearch.image_rules import ImageRules
from archsearch.registry import Registry
from archsearch.resources import user_path

if TYPE_CHECKING:
    from archsearch.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """What a loader is asked for.

    Attributes:
        uri: the dataset as the user wrote it.
        path: the user's own folder, for the entries that take one.
        data_dir: where downloaded datasets lie; None if the user does not say.
        download: whether a dataset that is not there may be fetched from the network.
        rules: how images are read where there is a choice.
    """

    uri: str
    path: Path
    data_dir: str | Path | None
    download: bool
    rules: ImageRules

    def download_folder(self) -> Path:
        """For downloads and decoded pictures: the user's folder, or `default_data_dir()`, which arrays do not need."""
        return default_data_dir() if self.data_dir is None else user_path(self.data_dir)


@dataclass(frozen=True, kw_only=True)
class KnownImages:
    """What is known of a dataset's training images before they are there; `image_size`: height and width (pixels)."""

    train_images: int
    image_size: int
    num_classes: int


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """One kind of dataset: how it is written (`usage`), what it is (`summary`), and how it is loaded.

    `decodes`: whether its images are decoded when they are read, which is done once, before workers start.
    `known`: of what is downloaded, where it may not be there yet.
    """

    usage: str
    summary: str
    takes_path: bool
    load: Callable[[DataRequest], Dataset]
    decodes: bool = False
    known: KnownImages | None = None


def _cifar10(request: DataRequest) -> Dataset:
    from archsearch.data.cifar import load_cifar

    return load_cifar("cifar10", data_dir=request.download_folder(), download=request.download)


def _cifar100(request: DataRequest) -> Dataset:
    from archsearch.data.cifar import load_cifar

    return load_cifar("cifar100", data_dir=request.download_folder(), download=request.download)


def _digits(request: DataRequest) -> Dataset:
    from archsearch.data.digits import load_digits_dataset

    return load_digits_dataset()


def _folder(request: DataRequest) -> Dataset:
    from archsearch.data.folder import load_folder

    return load_folder(request.path, name=request.uri, cache=request.download_folder(), rules=request.rules)


def _npz(request: DataRequest) -> Dataset:
    from archsearch.data.npz import load_npz

    return load_npz(request.path, name=request.uri, rules=request.rules)


DATASETS: Registry[DatasetEntry] = Registry(
    "dataset",
    {
        "cifar10": DatasetEntry(
            usage="cifar10",
            summary="CIFAR-10: 50,000 + 10,000 photographs of 10 classes, 32x32; downloaded (163 MiB) on first use",
            takes_path=False,
            load=_cifar10,
            known=KnownImages(train_images=50_000, image_size=32, num_classes=10),
        ),
        "cifar100": DatasetEntry(
            usage="cifar100",
            summary="CIFAR-100: 50,000 + 10,000 photographs of 100 classes, 32x32; downloaded (161 MiB) on first use",
            takes_path=False,
            load=_cifar100,
            known=KnownImages(train_images=50_000, image_size=32, num_classes=100),
        ),
        "digits": DatasetEntry(
            usage="digits",
            summary="1,797 embedded handwritten digits, 8x8 enlarged to 32x32; for a first try",
            takes_path=False,
            load=_digits,
        ),
        "folder": DatasetEntry(
            usage="folder:PATH",
            summary="your pictures as PATH/train/CLASS/*.jpg and PATH/test/CLASS/*.jpg (or .png, ...; PATH/val if you "
            "like), or as PATH/CLASS/*.jpg with test_share",
            takes_path=True,
            load=_folder,
            decodes=True,
        ),
        "npz": DatasetEntry(
            usage="npz:PATH",
            summary="your arrays as PATH/train.npz and PATH/test.npz: uint8 `images` (N, S, S, 3), `labels` (N,)",
            takes_path=True,
            load=_npz,
        ),
    },
)


def default_data_dir() -> Path:
    """Where downloads lie unless the user says otherwise: `archsearch` in the user's cache folder.

    Raises ConfigError where the user has no home folder.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # the XDG base directory specification: a relative path is invalid and to be ignored
    if cache and Path(cache).is_absolute():
        return Path(cache) / "archsearch"
    try:
        return Path.home() / ".cache" / "archsearch"
    except RuntimeError as error:
        raise ConfigError(
            "there is no home folder to keep downloaded datasets in",
            hint="give a data_dir (in a terminal: --data-dir), or set HOME or XDG_CACHE_HOME",
        ) from error


def parse_dataset(uri: str) -> tuple[DatasetEntry, Path]:
    """The entry that a dataset's name means, and its path (`.` for an entry that takes none). Opens nothing.

    Raises UnknownNameError for a name that is not in the table, ConfigError for a path that is missing or too much,
    or whose home folder is not known.
    """
    name, colon, path = uri.strip().partition(":")
    entry = DATASETS[name]
    if entry.takes_path and not path:
        raise ConfigError(f"dataset '{uri}' names no folder", hint=f"write {entry.usage}")
    if colon and not entry.takes_path:
        raise ConfigError(f"dataset '{name}' takes no path, got '{uri}'", hint=f"write {entry.usage}")
    return entry, user_path(path)


def load_dataset(
    uri: str, *, data_dir: str | Path | None = None, download: bool = True, rules: ImageRules | None = None
) -> Dataset:
    """Load the training images of a dataset, and prepare the way to its test images.

    Args:
        uri: `cifar10`, `cifar100`, `digits`, `folder:PATH` or `npz:PATH`.
        data_dir: where downloaded datasets and decoded pictures lie; `default_data_dir()` if None.
        download: whether a dataset that is not there may be fetched from the network.
        rules: how the images are read; that of a stored study is `ImageRules.of_study`. None: as by default.

    Raises UnknownNameError or ConfigError if `uri` is wrong, or `test_share` is set for a dataset with a test split;
    DataError if the data are absent, incomplete or damaged.
    """
    entry, path = parse_dataset(uri)
    rules = rules or ImageRules()
    if rules.test_share is not None and not entry.takes_path:
        raise ConfigError(
            f"test_share is {rules.test_share:g}, but dataset '{uri.strip()}' has a test split of its own",
            hint="leave test_share out",
        )
    loaded = entry.load(DataRequest(uri=uri.strip(), path=path, data_dir=data_dir, download=download, rules=rules))
    return replace(loaded, former=rules.former)
