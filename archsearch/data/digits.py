"""The embedded handwritten digits: a real dataset that needs no network.

1,797 images of 8x8 pixels, the test part of the UCI set "Optical Recognition of Handwritten Digits"
(Alpaydin and Kaynak 1998, doi 10.24432/C50P49, CC BY 4.0). They are those of scikit-learn's `load_digits`, in its
order. Enlarged to 32x32 so that the networks' strides fit.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import torch
from numpy.typing import NDArray

from archsearch.data.dataset import Dataset
from archsearch.data.images import Images, fingerprint_of
from archsearch.data.split import stratified_split

IMAGE_SIZE = 32
TEST_IMAGES = 359  # 20% of 1,797
_SPLIT_SEED = 0  # the split is part of the dataset, so it never changes
_INK_LEVELS = 16  # a pixel counts the set points of a 4x4 block of the scanned bitmap


def embedded_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All images, (1797, 8, 8), ink from 0 to 16; and their labels, (1797,)."""
    with (files("archsearch.data") / "digits.npz").open("rb") as file, np.load(file) as arrays:
        return arrays["images"], arrays["labels"].astype(np.int64)


def load_digits_dataset() -> Dataset:
    """The digits: 1,438 training and 359 test images (a fixed, stratified split), 32x32, three equal channels."""
    train = _splits()[0]
    return Dataset(
        name="digits",
        classes=tuple(str(digit) for digit in range(10)),
        train=train,
        load_test=_load_test,
        flip=False,
        fingerprint=fingerprint_of(train),
    )


def _load_test() -> Images:
    return _splits()[1]


def _splits() -> tuple[Images, Images]:
    ink, labels = embedded_digits()
    grey = np.rint(ink * (255 / _INK_LEVELS)).astype(np.uint8)
    pixels = torch.from_numpy(grey)[:, None].repeat(1, 3, 1, 1)
    everything = Images(pixels, torch.from_numpy(labels)).resized(IMAGE_SIZE)
    return stratified_split(everything, validation_images=TEST_IMAGES, seed=_SPLIT_SEED)
