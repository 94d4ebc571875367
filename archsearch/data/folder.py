"""A user's own images as files: PATH/train/CLASS/* and PATH/test/CLASS/* (torchvision's ImageFolder layout)."""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.datasets import ImageFolder

from archsearch.data.dataset import Dataset
from archsearch.data.images import Images, fingerprint_of
from archsearch.errors import DataError

LARGEST_SIZE = 224
_TEST_NAMES = ("test", "val")
_BROKEN_IMAGE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what PIL raises on a bad file
logger = logging.getLogger(__name__)


def load_folder(path: Path, *, name: str) -> Dataset:
    """Read the training images of a folder into memory, all at one square size.

    That size is the shorter side of the training set's most common image size, at most 224. Each image is scaled
    (bicubic, antialiased) until its shorter side has it, and the longer side is cut evenly at both ends. Grey,
    palette and transparent images become RGB. Classes are the names of the folders, in alphabetical order.

    `load_test` reads PATH/test, or PATH/val where there is no PATH/test; it must have the same class folders.

    Raises DataError if the folder is not laid out so, or an image cannot be read: the message names it.
    """
    if not path.is_dir():
        raise DataError(f"dataset '{name}': there is no folder {path}", hint="check the path")
    files, classes = _listing(path / "train", name=name)
    image_size = _square_size([file for file, _ in files])
    gib = len(files) * 3 * image_size**2 / 2**30
    logger.info("reading %d images of %s at %d x %d (%.2f GiB)", len(files), path, image_size, image_size, gib)
    train = _read(files, image_size)
    return Dataset(
        name=name,
        classes=classes,
        train=train,
        load_test=partial(_load_test, path, name=name, classes=classes, image_size=image_size),
        flip=True,
        fingerprint=fingerprint_of(train),
    )


def _load_test(path: Path, *, name: str, classes: tuple[str, ...], image_size: int) -> Images:
    folder = next((path / test for test in _TEST_NAMES if (path / test).is_dir()), None)
    if folder is None:
        raise DataError(
            f"dataset '{name}': {path} has no test split",
            hint=f"put images that are not in {path / 'train'} under {path / 'test'}/CLASS/ (or {path / 'val'}/CLASS/)",
        )
    files, test_classes = _listing(folder, name=name)
    if test_classes != classes:
        missing = ", ".join(sorted(set(classes) - set(test_classes))) or "none"
        extra = ", ".join(sorted(set(test_classes) - set(classes))) or "none"
        raise DataError(
            f"dataset '{name}': {folder} has other class folders than {path / 'train'}:"
            f" missing: {missing}; unknown: {extra}"
        )
    return _read(files, image_size)


def _listing(folder: Path, *, name: str) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """Every image file with its class number, and the classes."""
    if not folder.is_dir():
        raise DataError(f"dataset '{name}': there is no folder {folder}", hint=f"put images under {folder}/CLASS/")
    try:
        listed = ImageFolder(folder)
    except (OSError, RuntimeError) as error:
        # torchvision names the classes without a valid file, and the endings that it knows
        raise DataError(f"dataset '{name}': {folder}: {error}", hint=f"put images under {folder}/CLASS/") from error
    return [(Path(file), label) for file, label in listed.samples], tuple(listed.classes)


def _square_size(files: list[Path]) -> int:
    """The shorter side of the most common (width, height), at most `LARGEST_SIZE`; of equally common, the smallest."""
    sizes: Counter[tuple[int, int]] = Counter()
    for file in files:
        try:
            with Image.open(file) as image:  # reads the header only
                sizes[image.size] += 1
        except _BROKEN_IMAGE as error:
            raise _unreadable(file, error) from error
    _, shorter = max((count, -min(size)) for size, count in sizes.items())
    return min(-shorter, LARGEST_SIZE)


def _read(files: list[tuple[Path, int]], image_size: int) -> Images:
    pixels = torch.empty((len(files), 3, image_size, image_size), dtype=torch.uint8)
    for index, (file, _) in enumerate(files):
        try:
            with Image.open(file) as image:
                square = ImageOps.fit(image.convert("RGB"), (image_size, image_size), Image.Resampling.BICUBIC)
        except _BROKEN_IMAGE as error:
            raise _unreadable(file, error) from error
        pixels[index] = torch.from_numpy(np.array(square)).permute(2, 0, 1)
    return Images(pixels, torch.tensor([label for _, label in files], dtype=torch.int64))


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(f"{file} cannot be read as an image: {error}", hint="replace or remove the file")
