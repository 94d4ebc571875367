"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images").

torchvision downloads the archive, checks its MD5 and reads the batches. Here: one download however many processes ask,
the test batch left closed until it is asked for, and one clear error where the network or the archive fails.
"""

from __future__ import annotations

import http.client
import logging
import pickle
import socket
import tarfile
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torchvision import datasets
from torchvision.datasets.utils import check_integrity

from archsearch.data.dataset import Dataset
from archsearch.data.images import Images, fingerprint_of
from archsearch.errors import DataError, first_line
from archsearch.files import locked

Name = Literal["cifar10", "cifar100"]
_SOURCES: dict[Name, type[Any]] = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}
_STALLED_SECONDS = 60.0
logger = logging.getLogger(__name__)


def load_cifar(name: Name, *, data_dir: Path, download: bool) -> Dataset:
    """CIFAR-10 or CIFAR-100 from `data_dir`, downloaded into it if it is not there and `download` allows.

    Raises DataError if the dataset is absent and cannot be had, or is damaged.
    """
    train, classes = _load_split(name, "train", data_dir=data_dir, download=download)
    return Dataset(
        name=name,
        classes=classes,
        train=train,
        load_test=partial(_load_test, name, data_dir=data_dir, download=download),
        flip=True,
        fingerprint=fingerprint_of(train),
    )


def _load_test(name: Name, *, data_dir: Path, download: bool) -> Images:
    return _load_split(name, "test", data_dir=data_dir, download=download)[0]


def _load_split(
    name: Name, split: Literal["train", "test"], *, data_dir: Path, download: bool
) -> tuple[Images, tuple[str, ...]]:
    """The images of one split, and the names of the classes."""
    base = _SOURCES[name]
    # torchvision checks, and so reads, the files of both splits; this class knows one, and the names of the classes
    names = [[base.meta["filename"], base.meta["md5"]]]
    reader = type(base.__name__, (base,), {"test_list" if split == "train" else "train_list": names})
    try:
        raw = _read(reader, split, data_dir=data_dir, download=download)
        pixels = np.ascontiguousarray(np.asarray(raw.data, dtype=np.uint8).transpose(0, 3, 1, 2))
        labels = torch.tensor(raw.targets, dtype=torch.int64)
        classes = tuple(str(label) for label in raw.classes)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise _explained(name, data_dir, error, download=download) from error
    except (tarfile.TarError, EOFError, pickle.UnpicklingError, KeyError, ValueError) as error:
        raise DataError(
            f"dataset '{name}': the files in {data_dir / base.base_folder} are damaged: {error}",
            hint=f"remove that folder and {data_dir / base.filename}, and run again",
        ) from error
    return Images(torch.from_numpy(pixels), labels), classes


def _read(reader: type[Any], split: str, *, data_dir: Path, download: bool) -> Any:
    """torchvision's dataset object, extracted or downloaded first where needed, by one process at a time."""
    try:
        return reader(data_dir, train=split == "train", download=False)
    except RuntimeError:  # torchvision's "not found or corrupted"
        archive = data_dir / reader.filename
        if not download and not archive.is_file():
            raise
    data_dir.mkdir(parents=True, exist_ok=True)
    with _one_process_at_a_time(data_dir / f".{reader.base_folder}.lock"), _no_endless_wait():
        # download=True fetches nothing where the files are whole by now, or where the archive is there and whole
        may_extract = download or check_integrity(archive, reader.tgz_md5)
        return reader(data_dir, train=split == "train", download=may_extract)


@contextmanager
def _one_process_at_a_time(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, and say so where that waits for another process. Raises as `locked`."""
    with ExitStack() as stack:
        if not stack.enter_context(locked(path, wait=False)):
            logger.info("waiting for another process that is fetching into %s", path.parent)
            stack.enter_context(locked(path))
        yield


@contextmanager
def _no_endless_wait() -> Iterator[None]:
    """Let a connection that stalls end in an error: torchvision's download sets no time limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALLED_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _explained(name: Name, data_dir: Path, error: Exception, *, download: bool) -> DataError:
    """What is the matter, from what lies in the folder, and which file has to be put where."""
    base = _SOURCES[name]
    archive = data_dir / base.filename
    by_hand = f"download {base.url} on a machine with network and put it at {archive}"
    if isinstance(error, OSError) and error.filename is not None and not isinstance(error, urllib.error.URLError):
        return DataError(
            f"dataset '{name}': {data_dir} cannot be used: {error}",
            hint="give a data_dir that you may write, on a disk that locks files (in a terminal: --data-dir)",
        )
    if archive.is_file() and not check_integrity(archive, base.tgz_md5):
        return DataError(
            f"dataset '{name}': {archive} is damaged or incomplete (its MD5 is not {base.tgz_md5})"
            + (f", and a new download failed: {_why(error)}" if download else ""),
            hint=f"remove it and run again, or {by_hand}",
        )
    if not download:
        return DataError(
            f"dataset '{name}' is not in {data_dir}, and downloading is switched off",
            hint=f"allow the download, or {by_hand}",
        )
    return DataError(
        f"dataset '{name}' is not in {data_dir} and could not be downloaded: {_why(error)}",
        hint=f"{by_hand}; images of your own need no download (docs/photos.md)",
    )


def _why(error: Exception) -> str:
    """Why a download failed: of a server that was not reached, which one and what the system said."""
    if not isinstance(error, urllib.error.URLError) or isinstance(error, urllib.error.HTTPError):
        return first_line(error)
    reason = error.reason
    said = (reason.strerror if isinstance(reason, OSError) else None) or str(reason)
    return f"the server cannot be reached from here ({said.lower()})"
