"""A user's own images as arrays: PATH/train.npz and PATH/test.npz.

Each file holds `images` (uint8; (N, S, S, 3), or grey as (N, S, S) or (N, S, S, 1)) and `labels` (integers from 0,
(N,)); optionally `classes` (names, one for each class number). Nothing is unpickled.
"""

from __future__ import annotations

import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archsearch.data.dataset import Dataset
from archsearch.data.images import Images, fingerprint_of
from archsearch.errors import DataError

_BROKEN_FILE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def load_npz(path: Path, *, name: str) -> Dataset:
    """Read PATH/train.npz; `load_test` reads PATH/test.npz, which must have images of the same size.

    The classes are named by `classes` of train.npz, or else "0", "1", ... up to its highest label.

    Raises DataError that names the file and the key if anything is not as it should be.
    """
    if not path.is_dir():
        raise DataError(
            f"dataset '{name}': there is no folder {path}", hint="name the folder that holds train.npz and test.npz"
        )
    train, classes = _read(path / "train.npz", known_classes=None)
    return Dataset(
        name=name,
        classes=classes,
        train=train,
        load_test=partial(_load_test, path, classes=classes, image_size=train.image_size),
        flip=True,
        fingerprint=fingerprint_of(train),
    )


def _load_test(path: Path, *, classes: tuple[str, ...], image_size: int) -> Images:
    file = path / "test.npz"
    test, _ = _read(file, known_classes=classes)
    if test.image_size != image_size:
        raise DataError(
            f"{file}: key 'images': the images are {test.image_size} pixels wide,"
            f" those of {path / 'train.npz'} {image_size}",
            hint="save both at one size",
        )
    return test


def _read(file: Path, *, known_classes: tuple[str, ...] | None) -> tuple[Images, tuple[str, ...]]:
    """The images of one file, checked, and the names of its classes (those of the training file, if given)."""
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
        return np.asarray(archive[key])
    except _BROKEN_FILE as error:
        raise DataError(
            f"{file}: key '{key}' cannot be read: {error}", hint="save it again, without objects"
        ) from error


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
    return np.ascontiguousarray(np.broadcast_to(channels_first, (len(images), 3, *images.shape[1:3])))


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
