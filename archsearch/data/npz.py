"""A user's own images as arrays: PATH/train.npz and PATH/test.npz.

Each file holds `images` (uint8; (N, S, S, 3), or grey as (N, S, S) or (N, S, S, 1)) and `labels` (integers from 0,
(N,), each up to the highest at least once); optionally `classes` (names, one for each class number). Nothing is
unpickled, and nothing is allocated before a file says how much it holds.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archsearch.data.dataset import Dataset, nothing_to_check
from archsearch.data.images import Images, fingerprint_of
from archsearch.data.split import held_out_positions
from archsearch.errors import ConfigError, DataError
from archsearch.image_rules import ImageRules

_BROKEN_FILE = (
    OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError,
    OverflowError, MemoryError, struct.error, TypeError, SyntaxError, tokenize.TokenError,
)  # fmt: skip


_MOST_CLASSES = 100_000  # up to which a set of a former version may have gaps


def load_npz(path: Path, *, name: str, rules: ImageRules | None = None) -> Dataset:
    """Read PATH/train.npz; `load_test` reads PATH/test.npz, which must have images of the same size.

    The classes are named by `classes` of train.npz, or else "0", "1", ... up to its highest label. PATH/val.npz, if
    there is one, is the dataset's own validation split. `ImageRules.test_share` holds out a share of train.npz where
    there is no test.npz.

    Raises DataError that names the file and the key if anything is not as it should be; ConfigError if `test_share`
    does not fit.
    """
    rules = rules or ImageRules()
    if not path.is_dir():
        raise DataError(
            f"dataset '{name}': there is no folder {path}", hint="name the folder that holds train.npz and test.npz"
        )
    everything, classes = _read(path / "train.npz", known_classes=None, gaps=rules.former)
    train = everything
    load_test: Callable[[], Images] = partial(_load_split, path, "test", classes=classes, image_size=train.image_size)
    check_test: Callable[[], None] = partial(_check_test, path, name=name)
    if rules.test_share is not None:
        check_test = nothing_to_check
        if rules.test_share and (path / "test.npz").exists():
            raise ConfigError(
                f"test_share is {rules.test_share:g}, but {path} has a test.npz of its own",
                hint="leave one of them out",
            )
    if rules.test_share:
        kept, held_out = held_out_positions(everything.labels, rules.test_share, classes=classes, name=name)
        train, load_test = everything.subset(kept), partial(everything.subset, held_out)
    validation: Images | None = None
    fingerprint = fingerprint_of(train)
    if (path / "val.npz").exists() and not rules.former:
        validation = _load_split(path, "val", classes=classes, image_size=train.image_size)
        fingerprint = hashlib.sha256(f"{fingerprint} {fingerprint_of(validation)}".encode()).hexdigest()[:12]
    return Dataset(
        name=name,
        classes=classes,
        train=train,
        validation=validation,
        load_test=load_test,
        check_test=check_test,
        flip=True,
        fingerprint=fingerprint,
    )


def _check_test(path: Path, *, name: str) -> None:
    if not (path / "test.npz").is_file():
        raise DataError(
            f"dataset '{name}': {path} has no test.npz",
            hint="save one, or hold out a share of train.npz for testing (a study with test_share: 0.15); "
            "test_share: 0 goes without testing and retraining",
        )


def _load_split(path: Path, split: str, *, classes: tuple[str, ...], image_size: int) -> Images:
    file = path / f"{split}.npz"
    test, _ = _read(file, known_classes=classes, gaps=True)
    if test.image_size != image_size:
        raise DataError(
            f"{file}: key 'images': the images are {test.image_size} pixels wide,"
            f" those of {path / 'train.npz'} {image_size}",
            hint="save both at one size",
        )
    return test


def _read(file: Path, *, known_classes: tuple[str, ...] | None, gaps: bool) -> tuple[Images, tuple[str, ...]]:
    """The images of one file, checked, and the names of its classes (those of the training file, if given).

    `gaps`: whether a class may be without an image.
    """
    if not file.is_file():
        raise DataError(
            f"there is no file {file}", hint="save it with numpy.savez(file, images=..., labels=..., classes=...)"
        )
    try:
        archive = np.load(file, allow_pickle=False)
    except _BROKEN_FILE as error:
        raise DataError(f"{file} cannot be read as a numpy .npz archive: {error}", hint="save it again") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DataError(f"{file} holds one bare array, not named ones", hint="save it with numpy.savez, not numpy.save")
    with archive:
        pixels = _pixels(file, _array(archive, file, "images"))
        labels = _labels(file, _array(archive, file, "labels"))
        named = _class_names(file, _array(archive, file, "classes")) if "classes" in archive.files else None
    if len(labels) != len(pixels):
        raise DataError(f"{file}: key 'labels': {len(labels)} labels for {len(pixels)} images of key 'images'")
    if known_classes is not None and named is not None and named != known_classes:
        raise DataError(f"{file}: key 'classes': not the same names in the same order as in train.npz")
    if not gaps or (len(labels) and int(labels.max()) >= _MOST_CLASSES):
        _check_every_class(file, labels, named)
    classes = known_classes or named or tuple(str(number) for number in range(int(labels.max()) + 1))
    if int(labels.max()) >= len(classes):
        raise DataError(
            f"{file}: key 'labels': highest label is {int(labels.max())}, but there are {len(classes)} classes",
            hint=f"labels must be 0 to {len(classes) - 1}",
        )
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64))), classes


def _array(archive: Any, file: Path, key: str) -> NDArray[Any]:
    if key not in archive.files:
        raise DataError(f"{file}: key '{key}' is missing; the keys are: {', '.join(archive.files) or 'none'}")
    try:
        _check_size(archive, file, key)
        return np.asarray(archive[key])
    except _BROKEN_FILE as error:
        raise DataError(
            f"{file}: key '{key}' cannot be read: {error}", hint="save it again, without objects"
        ) from error


def _check_size(archive: Any, file: Path, key: str) -> None:
    """Raise DataError if an array claims another size than its member has, or one that does not fit in memory."""
    member = next(each for each in archive.zip.infolist() if each.filename in (key, f"{key}.npy"))
    with archive.zip.open(member) as content:
        version = np.lib.format.read_magic(content)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(content)
        claimed, there = math.prod(shape) * dtype.itemsize, member.file_size - content.tell()
    where = f"{file}: key '{key}'"
    if not dtype.hasobject and claimed != there:
        raise DataError(
            f"{where}: its header claims shape {shape}, {claimed:,} bytes, but {there:,} are there",
            hint="save it again",
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if there > memory:
        raise DataError(
            f"{where}: its {there / 2**30:.1f} GiB do not fit in this machine's {memory / 2**30:.1f} GiB of memory",
            hint="save the images as files: folder:PATH reads sets that are larger than memory",
        )


def _check_every_class(file: Path, labels: NDArray[Any], named: tuple[str, ...] | None) -> None:
    """Raise DataError unless each class number, up to the highest or of each name, has an image."""
    there = np.unique(labels)
    if len(there) == 0:
        return
    highest = int(there[-1])
    count = highest + 1 if named is None else len(named)
    if highest >= count or len(there) == count:
        return  # the former has a message of its own
    shown = ", ".join(str(label) for label in there[:6].tolist()) + (", ..." if len(there) > 6 else "")
    known = "the highest says" if named is None else "key 'classes' names"
    raise DataError(
        f"{file}: key 'labels': there are {len(there)} different labels ({shown}), but {known} {count:,} classes",
        hint="number the classes from 0 without gaps: numpy.unique(labels, return_inverse=True)[1]",
    )


def _pixels(file: Path, images: NDArray[Any]) -> NDArray[np.uint8]:
    """Colour images as (N, 3, S, S), from any of the accepted layouts."""
    where = f"{file}: key 'images'"
    if images.dtype != np.uint8:
        raise DataError(f"{where}: must be uint8 (0 to 255), got {images.dtype}", hint="scale and convert the pixels")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        hint = "transpose to channels last: images.transpose(0, 2, 3, 1)"
        raise DataError(
            f"{where}: must have shape (N, S, S, 3), or grey (N, S, S), got {images.shape}",
            hint=hint if images.ndim == 4 and images.shape[1] in (1, 3) else None,
        )
    if images.size == 0:
        raise DataError(f"{where}: there are no images: shape {images.shape}")
    if images.shape[1] != images.shape[2]:
        raise DataError(
            f"{where}: must be square, got {images.shape[1]} x {images.shape[2]} pixels",
            hint="crop or resize them, or use folder:PATH, which crops",
        )
    channels_first = images.transpose(0, 3, 1, 2)
    return np.array(np.broadcast_to(channels_first, (len(images), 3, *images.shape[1:3])), order="C")


def _labels(file: Path, labels: NDArray[Any]) -> NDArray[Any]:
    where = f"{file}: key 'labels'"
    if labels.dtype.kind not in "iu":
        raise DataError(f"{where}: must be integers, got {labels.dtype}")
    if labels.ndim != 1:
        raise DataError(f"{where}: must have shape (N,), got {labels.shape}", hint="one class number for each image")
    if labels.size and labels.min() < 0:
        raise DataError(f"{where}: must be 0 or more, got {labels.min()} at position {int(labels.argmin())}")
    return labels


def _class_names(file: Path, names: NDArray[Any]) -> tuple[str, ...]:
    where = f"{file}: key 'classes'"
    if names.dtype.kind != "U" or names.ndim != 1 or names.size == 0:
        raise DataError(f"{where}: must be text of shape (classes,), got {names.dtype} of shape {names.shape}")
    classes = tuple(str(name) for name in names)
    if len(set(classes)) != len(classes):
        raise DataError(f"{where}: a name stands there twice")
    return classes
