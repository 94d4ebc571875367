"""Batches of a set that lies on the device whole, as 8-bit pixels: no worker processes, no decoding, no copying in.

Crop and flip are one gather of image rows from a padded copy; the rest is arithmetic on the batch. Everything random
is drawn on the CPU, once an epoch, so that a CPU and a GPU see the same images in the same order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from archsearch.data.augment import cut_out, draw_cutouts
from archsearch.data.images import Images, chunks
from archsearch.errors import ConfigError


class DeviceBatches:
    """Augmented training batches, and plain batches in order, of one set of images.

    Augmentation is that of He et al. 2016 ("Deep Residual Learning", section 4.2): `crop_padding` pixels on each side,
    a crop of the original size at a random place, and a mirror image with probability one half. The border has the
    mean colour, to the nearest grey level: after normalisation it is zero, as a convolution's own padding is.

    Args:
        images: the set.
        device: where the set and every batch lie.
        input_size: height and width of the batches (pixels); the images are resized to it once, here.
        batch_size: images in a training batch.
        mean, std: of each channel, on the scale of 0 to 1 (`channel_statistics` of the training images).
        flip: whether training images are mirrored at random.
        crop_padding: border (pixels at `input_size`) for the random crop; 0 for no crop.
        alternate_flip: mirror each image in every other epoch, half of them first, instead of by chance in each: the
            same share of mirror images, and every image comes once each way in two epochs (Jordan 2024, "94% on
            CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498, section 3.6).
        cutout: side (pixels at `input_size`) of the square blanked in each training image; 0 for none.
        seed: of the order and the augmentation.

    Raises ConfigError for a size, border or deviation that is out of range.
    """

    def __init__(
        self,
        images: Images,
        *,
        device: str | torch.device,
        input_size: int,
        batch_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        flip: bool,
        crop_padding: int,
        seed: int,
        alternate_flip: bool = False,
        cutout: int = 0,
    ) -> None:
        _check(input_size=input_size, batch_size=batch_size, mean=mean, std=std, crop_padding=crop_padding)
        self.device = torch.device(device)
        self.input_size = input_size
        self.batch_size = min(batch_size, len(images))
        self.flip = flip
        self.crop_padding = crop_padding
        self.alternate_flip = alternate_flip
        self.cutout = cutout
        self.seed = seed
        self._count = len(images)
        self._labels = images.labels.to(self.device)
        self._side = input_size + 2 * crop_padding
        self._rows = _row_windows(images.resized(input_size), mean, padding=crop_padding, device=self.device)
        # y = x * scale + shift, for rows of interleaved channels: long inner loops instead of loops over 3 channels
        scale = [1 / (255 * deviation) for deviation in std]
        shift = [-average / deviation for average, deviation in zip(mean, std, strict=True)]
        self._scale = torch.tensor(scale * input_size, dtype=torch.float32, device=self.device)
        self._shift = torch.tensor(shift * input_size, dtype=torch.float32, device=self.device)
        self._row_starts = torch.arange(input_size, device=self.device) * self._side

    def __len__(self) -> int:
        """How many images the set has."""
        return self._count

    @property
    def steps_per_epoch(self) -> int:
        """Training batches in an epoch. Images that do not fill a last batch wait for another epoch's order."""
        return self._count // self.batch_size

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The training batches of one epoch, augmented; from its batch number `first_step` on, which costs no more.

        Order and augmentation depend on the seed and on `epoch` alone: not on epochs drawn before, the process or the
        device. A set smaller than `batch_size` is one smaller batch.

        Yields: inputs, float32 of shape (B, 3, input_size, input_size) in channels_last memory; labels, int64 (B,).
        """
        starts, mirrored, centres, labels = self._drawn(epoch)
        for first in range(first_step * self.batch_size, len(labels), self.batch_size):
            batch = slice(first, first + self.batch_size)
            positions = mirrored[batch].nonzero().view(-1) if self.flip else None
            inputs = self._inputs(starts[batch], positions)
            if centres is not None:
                inputs = cut_out(inputs, centres[:, batch], side=self.cutout)
            yield inputs, labels[batch]

    def plans(self, epoch: int, *, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """What `epoch` is made from: `rendered` makes a plan the same inputs, by the same kernels for every plan.

        Yields: a plan, int64 (rows, B), and labels, int64 (B,), both on the device.
        """
        starts, mirrored, centres, labels = self._drawn(epoch)
        rows = [starts, mirrored.to(self.device, torch.int64)]
        if centres is not None:
            rows += list(centres.to(torch.int64))
        plan = torch.stack(rows)
        for first in range(first_step * self.batch_size, len(labels), self.batch_size):
            batch = slice(first, first + self.batch_size)
            yield plan[:, batch], labels[batch]

    def rendered(self, plan: Tensor) -> Tensor:
        """The inputs of a plan of `plans`. Nothing in it depends on values, so that a CUDA graph may hold it."""
        size = self.input_size
        rows = (plan[0][:, None] + self._row_starts).view(-1)
        crops = self._rows.index_select(0, rows).view(-1, size, size, 3)
        if self.flip:
            crops = torch.where(plan[1].bool()[:, None, None, None], crops.flip(2), crops)
        inputs = self._normalised(crops)
        return cut_out(inputs, plan[2:], side=self.cutout) if self.cutout else inputs

    def _drawn(self, epoch: int) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Where each crop of an epoch begins, which are mirrored (on the CPU), the cutouts' centres, and the labels."""
        generator = torch.Generator().manual_seed(_epoch_seed(self.seed, epoch))
        used = self.steps_per_epoch * self.batch_size
        order = torch.randperm(self._count, generator=generator)[:used]
        offsets = torch.randint(0, 2 * self.crop_padding + 1, (2, self._count), generator=generator)[:, :used]
        mirrored = torch.rand(self._count, generator=generator)[:used] < 0.5
        if self.alternate_flip:
            mirrored = self._mirrored_first()[order] ^ (epoch % 2 == 1)
        centres = self._cutouts(used, generator)
        starts = self._starts(order, offsets[0], offsets[1]).to(self.device)
        return starts, mirrored, centres, self._labels[order.to(self.device)]

    def evaluation(self, batch_size: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in the set's order, normalised and not augmented. The last batch may be smaller.

        Yields: as `epoch`. Raises ConfigError for a batch size below one.
        """
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {size}")
        centre = torch.tensor(self.crop_padding)
        starts = self._starts(torch.arange(self._count), centre, centre).to(self.device)
        for first in range(0, self._count, size):
            batch = slice(first, first + size)
            yield self._inputs(starts[batch], None), self._labels[batch]

    def _mirrored_first(self) -> Tensor:
        """Which images of the set are mirrored in the first epoch and every other one after it: bool (images,)."""
        return torch.rand(self._count, generator=torch.Generator().manual_seed(_epoch_seed(self.seed, -1))) < 0.5

    def _cutouts(self, images: int, generator: torch.Generator) -> Tensor | None:
        """Where the squares of an epoch lie. Drawn last, so that order, crops and mirror images are as without."""
        if not self.cutout:
            return None
        return draw_cutouts(images, input_size=self.input_size, generator=generator).to(self.device)

    def _starts(self, order: Tensor, top: Tensor, left: Tensor) -> Tensor:
        """Number of the padded set's pixel in which each image's crop begins."""
        return (order * self._side + top) * self._side + left

    def _inputs(self, starts: Tensor, mirrored: Tensor | None) -> Tensor:
        """Gather, mirror and normalise one batch."""
        size = self.input_size
        rows = (starts[:, None] + self._row_starts).view(-1)
        crops = self._rows.index_select(0, rows).view(-1, size, size, 3)
        if mirrored is not None:
            positions = mirrored.to(self.device)
            crops.index_copy_(0, positions, crops.index_select(0, positions).flip(2))
        return self._normalised(crops)

    def _normalised(self, crops: Tensor) -> Tensor:
        """uint8 (B, S, S, 3) -> float32 (B, 3, S, S), channels_last."""
        size = self.input_size
        inputs = crops.reshape(-1, size, size * 3).to(torch.float32).mul_(self._scale).add_(self._shift)
        return inputs.view(-1, size, size, 3).permute(0, 3, 1, 2)


def _row_windows(images: Images, mean: Sequence[float], *, padding: int, device: torch.device) -> Tensor:
    """The padded set in channels_last memory, seen as every run of `image_size` pixels: uint8 (pixels, 3 S).

    Window k begins at pixel k of the set, so one index selects a whole row of a crop. The windows overlap: they are a
    view, and take no memory.
    """
    size = images.image_size
    side = size + 2 * padding
    border = torch.tensor([round(255 * average) for average in mean], dtype=torch.uint8, device=device)
    padded = border.expand(len(images), side, side, 3).contiguous()
    inner = padded[:, padding : padding + size, padding : padding + size]
    for part in chunks(images):
        inner[part] = images.pixels[part].to(device).permute(0, 2, 3, 1)
    return padded.as_strided((len(images) * side * side - size + 1, 3 * size), (3, 1))


def _epoch_seed(seed: int, epoch: int) -> int:
    """63 well-mixed bits, so that neighbouring seeds and epochs share no stream of random numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{epoch}".encode()).digest()[:8], "big") >> 1


def _check(*, input_size: int, batch_size: int, mean: Sequence[float], std: Sequence[float], crop_padding: int) -> None:
    for name, value, least in (("input_size", input_size, 1), ("batch_size", batch_size, 1)):
        if value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")
    if crop_padding < 0:
        raise ConfigError(f"crop_padding must be 0 or more, got {crop_padding}")
    if len(mean) != 3 or not all(0 <= average <= 1 for average in mean):
        raise ConfigError(f"mean must be three numbers from 0 to 1, got {tuple(mean)}")
    if len(std) != 3 or not all(deviation > 0 for deviation in std):
        raise ConfigError(f"std must be three numbers above 0, got {tuple(std)}")
