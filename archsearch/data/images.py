"""Labelled images of 8-bit pixels, in memory or in a file of rows: no decoding left to do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from archsearch.errors import DataError

_CHUNK_BYTES = 64 * 2**20  # of 8-bit pixels worked on at once, so that temporaries stay small beside the set itself


OnDecoded = Callable[[int, int], None]
"""Called now and then with how many pictures are decoded, and of how many."""


class PixelRows(Protocol):
    """Pixels that lie outside of the process, read where they are used."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, 3, S, S)."""
        ...

    @property
    def histograms(self) -> Tensor:
        """How often each grey level occurs in each channel, int64 (3, 256)."""
        ...

    def rows(self, positions: Tensor) -> Tensor:
        """The images at these positions: uint8 (n, 3, S, S)."""
        ...


class ImageSource(Protocol):
    """Labelled images that are made ready when they are asked for: `Images` are one, and so are picture files."""

    @property
    def labels(self) -> Tensor:
        """Class number of each, int64 of shape (N,), from 0."""
        ...

    @property
    def image_size(self) -> int:
        """Height and width that they have where no other is asked for (pixels)."""
        ...

    def __len__(self) -> int: ...

    def read(
        self,
        positions: Tensor | Sequence[int] | None = None,
        *,
        image_size: int | None = None,
        on_decoded: OnDecoded | None = None,
    ) -> Images:
        """The images at these positions, in this order; None: all of them.

        Picture files are decoded at `image_size`; arrays come as they are, and are resized where batches are made.
        Raises DataError that names every file that cannot be decoded.
        """
        ...


@dataclass(frozen=True, eq=False)
class Images:
    """Square colour images with their class numbers.

    Attributes:
        pixels: uint8 of shape (N, 3, S, S), 0 to 255: in memory, or rows of a file.
        labels: int64 of shape (N,), from 0.

    Raises DataError if the tensors do not have these shapes and types, disagree in N, or hold no image.
    """

    pixels: Tensor | PixelRows
    labels: Tensor

    def __post_init__(self) -> None:
        pixels, labels = self.pixels, self.labels
        shape = tuple(pixels.shape)
        dtype = pixels.dtype if isinstance(pixels, Tensor) else torch.uint8
        if dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
            raise DataError(f"images must be uint8 of shape (N, 3, S, S), got {dtype} of shape {shape}")
        if labels.dtype != torch.int64 or labels.dim() != 1:
            raise DataError(f"labels must be int64 of shape (N,), got {labels.dtype} of shape {tuple(labels.shape)}")
        if len(labels) != shape[0]:
            raise DataError(f"there are {shape[0]} images but {len(labels)} labels")
        if 0 in shape:
            raise DataError("there are no images")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_size(self) -> int:
        """Height and width (pixels)."""
        return int(self.pixels.shape[-1])

    def gathered(self, positions: Tensor | slice) -> Tensor:
        """Pixels of the images at these positions, uint8 (n, 3, S, S); of a slice in memory a view."""
        if isinstance(self.pixels, Tensor):
            return self.pixels[positions] if isinstance(positions, slice) else self.pixels.index_select(0, positions)
        if isinstance(positions, slice):
            positions = torch.arange(len(self))[positions]
        return self.pixels.rows(positions)

    def read(
        self,
        positions: Tensor | Sequence[int] | None = None,
        *,
        image_size: int | None = None,
        on_decoded: OnDecoded | None = None,
    ) -> Images:
        """As ImageSource says: the images come as they are, whatever size is asked for."""
        return self if positions is None else self.subset(positions)

    def subset(self, indices: Tensor | Sequence[int]) -> Images:
        """A copy in memory of the images at these positions, in this order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return Images(self.gathered(chosen), self.labels.index_select(0, chosen))

    def resized(self, image_size: int) -> Images:
        """The images in memory at another size, by bilinear interpolation with antialiasing (as PIL's), in 8 bits.

        Returns the same object where the size is the same already.
        """
        if image_size == self.image_size:
            return self
        pixels = torch.empty((len(self), 3, image_size, image_size), dtype=torch.uint8)
        for part in chunks(self, largest_size=image_size):
            pixels[part] = F.interpolate(
                self.gathered(part).cpu(), size=(image_size, image_size), mode="bilinear", antialias=True
            )
        return Images(pixels, self.labels)


def chunks(images: Images, *, largest_size: int = 0) -> list[slice]:
    """Slices that cover the set in order, each of a bounded number of bytes at the larger of the two sizes."""
    side = max(images.image_size, largest_size)
    step = max(1, _CHUNK_BYTES // (3 * side * side))
    return [slice(start, min(start + step, len(images))) for start in range(0, len(images), step)]


def grey_histograms(images: Images) -> Tensor:
    """How often each grey level occurs in each channel of all images: int64 (3, 256)."""
    if not isinstance(images.pixels, Tensor):
        return images.pixels.histograms
    histograms = torch.zeros((3, 256), dtype=torch.int64)
    for part in chunks(images):
        for channel in range(3):
            histograms[channel] += torch.bincount(images.pixels[part, channel].cpu().reshape(-1), minlength=256)
    return histograms


def channel_statistics(images: Images) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each channel over all pixels of all images, on the scale of 0 to 1.

    The deviation is the population's (divided by the count), and at least one grey level (1/255), so that a
    channel that is the same everywhere can still be divided by it. Computed from a histogram of grey levels, so the
    result is exact to double precision and does not depend on the order of the images.
    """
    means: list[float] = []
    deviations: list[float] = []
    for histogram in grey_histograms(images).tolist():
        count = sum(histogram)
        total = sum(level * times for level, times in enumerate(histogram))
        square = sum(level * level * times for level, times in enumerate(histogram))
        means.append(total / count / 255)
        # n * sum(x^2) - sum(x)^2 stays an integer of any length in Python: nothing cancels
        deviations.append(max((count * square - total * total) ** 0.5 / count, 1.0) / 255)
    return (means[0], means[1], means[2]), (deviations[0], deviations[1], deviations[2])


def fingerprint_of(images: Images) -> str:
    """First 12 hex digits of the SHA-256 of shape, pixels and labels: equal for equal sets, wherever they came from."""
    digest = hashlib.sha256(repr(tuple(images.pixels.shape)).encode())
    for part in chunks(images):
        digest.update(images.gathered(part).cpu().contiguous().reshape(-1).numpy().data)
    digest.update(images.labels.cpu().numpy().astype("<i8").data)
    return digest.hexdigest()[:12]
