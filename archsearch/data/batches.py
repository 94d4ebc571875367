"""Batches of 8-bit pixels: of a set that lies on the device whole where it fits, else gathered as they are used.

No worker processes, no decoding. Crop and flip are one gather of image rows from a padded copy; the rest is arithmetic
on the batch. Everything random is drawn on the CPU, once an epoch, so that a CPU and a GPU see the same images in the
same order.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from archsearch.data.images import Images, chunks
from archsearch.errors import ConfigError

# Augmentation of whole batches on their device, beyond the crop and the mirror image of `DeviceBatches`.

_CROP_RATIOS = (3 / 4, 4 / 3)  # of width to height
_CROP_ATTEMPTS = 10
_GREY = (0.2989, 0.587, 0.114)  # shares of red, green and blue in luma (ITU-R BT.601), as torchvision has them


def draw_crops(images: int, *, input_size: int, least_area: float, generator: torch.Generator) -> Tensor:
    """A box in each image whose content is shown in the image's whole size: int64 (4, images), in pixels.

    Top, left, height and width. The area is a uniform share of the image's, from `least_area` to 1; the logarithm of
    the ratio of width to height is uniform from 3/4 to 4/3; of ten such boxes the first that fits is taken, else the
    whole image (Szegedy et al. 2015, "Going deeper with convolutions", arXiv 1409.4842, section 6; as torchvision's
    RandomResizedCrop draws it).
    """
    area, ratio, down, across = torch.rand(4, _CROP_ATTEMPTS, images, generator=generator, dtype=torch.float64)
    area = input_size**2 * (least_area + (1 - least_area) * area)
    lowest, highest = (math.log(bound) for bound in _CROP_RATIOS)
    ratio = torch.exp(lowest + (highest - lowest) * ratio)
    width, height = (torch.sqrt(area * ratio).round(), torch.sqrt(area / ratio).round())
    fits = (width > 0) & (width <= input_size) & (height > 0) & (height <= input_size)
    first = fits.to(torch.int64).argmax(0, keepdim=True)  # of no box that fits: the first one, which becomes the whole
    whole = ~fits.any(0)
    height, width = (side.gather(0, first)[0].masked_fill(whole, input_size) for side in (height, width))
    top = (down[0] * (input_size - height + 1)).floor()
    left = (across[0] * (input_size - width + 1)).floor()
    return torch.stack([top, left, height, width]).to(torch.int64)


def resized_crops(rows: Tensor, firsts: Tensor, boxes: Tensor, *, size: int) -> Tensor:
    """What lies in each image's box, in the image's whole size: float32 (N, S, S, 3), from 0 to 255.

    Bilinear, with the centres of pixels at halves, and nothing from outside the box: torchvision's `resized_crop`.

    Args:
        rows: uint8 (pixels, 3 S); row k holds the S pixels of interleaved channels from the set's pixel k on.
        firsts: number of each image's first pixel, int64 (N,).
        boxes: as of `draw_crops`, (4, N), on the device of `rows`.
        size: height and width of the images (pixels).
    """
    top, left, height, width = boxes
    above, below, down = _neighbours(top, height, size)
    before, behind, across = _neighbours(left, width, size)
    upper, lower = (
        rows.index_select(0, (firsts[:, None] + row * size).view(-1)).to(torch.float32) for row in (above, below)
    )
    pixels = upper.lerp_(lower, down.view(-1, 1)).view(-1, 3)
    starts = torch.arange(len(firsts) * size, device=rows.device).view(-1, size, 1) * size
    one, other = (pixels.index_select(0, (starts + column[:, None]).view(-1)) for column in (before, behind))
    weights = across[:, None].expand(-1, size, -1).reshape(-1, 1)
    return one.lerp_(other, weights).view(-1, size, size, 3)


def _neighbours(first: Tensor, length: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two pixels between which each of `size` pixels lies, (N, size), and the share of the second one."""
    last = (length - 1)[:, None]
    centres = (torch.arange(size, device=first.device) + 0.5) * (length[:, None] / size) - 0.5
    place = torch.minimum(centres.clamp_min(0), last)
    one = place.to(torch.int64)
    return first[:, None] + one, first[:, None] + torch.minimum(one + 1, last), place - one


def draw_colours(images: int, generator: torch.Generator) -> Tensor:
    """How brightness, contrast and saturation of each image change: int64 (3, images), thousandths from -1000 to 1000.

    Of the strength that `jitter_colours` is given.
    """
    return torch.randint(-1000, 1001, (3, images), generator=generator)


def jitter_colours(pixels: Tensor, drawn: Tensor, *, strength: float) -> Tensor:
    """Change brightness, then contrast, then saturation of each image, in place (Howard 2013, arXiv 1312.5402).

    Each is a blend with black, with the image's mean grey, or with the grey image, cut to 0 to 255: torchvision's
    `adjust_brightness`, `adjust_contrast` and `adjust_saturation`. torchvision's ColorJitter also draws their order.

    Args:
        pixels: float32 (N, S, S, 3), from 0 to 255.
        drawn: as of `draw_colours`, (3, N), on the device of `pixels`.
        strength: factors lie between 1 - strength and 1 + strength.
    """
    brightness, contrast, saturation = (1 + drawn.to(torch.float32) * (strength / 1000))[:, :, None, None, None]
    pixels.mul_(brightness).clamp_(0, 255)
    pixels.lerp_(_grey(pixels).mean((1, 2, 3), keepdim=True), 1 - contrast).clamp_(0, 255)
    return pixels.lerp_(_grey(pixels), 1 - saturation).clamp_(0, 255)


def _grey(pixels: Tensor) -> Tensor:
    red, green, blue = (pixels[..., channel, None] * share for channel, share in enumerate(_GREY))
    return red + green + blue


def draw_cutouts(images: int, *, input_size: int, generator: torch.Generator) -> Tensor:
    """Row and column of the centre of each image's square, anywhere in the image: int64 (2, images)."""
    return torch.randint(0, input_size, (2, images), generator=generator)


def cut_out(inputs: Tensor, centres: Tensor, *, side: int) -> Tensor:
    """Blank a square of `side` pixels in each image, in place (DeVries and Taylor 2017, "Cutout", arXiv 1708.04552).

    The square may reach over the border, as there; blank is 0, the mean colour of normalised images.

    Args:
        inputs: (N, C, H, W), normalised.
        centres: rows and columns (2, N) on the device of `inputs`; an even square begins side / 2 before its centre.
    """
    rows, columns = (
        (torch.arange(size, device=inputs.device) - centre[:, None] + side // 2).div(side, rounding_mode="floor") == 0
        for size, centre in zip(inputs.shape[-2:], centres, strict=True)
    )
    return inputs.masked_fill_((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


_RESIDENT_BYTES = 2**30  # of a set in the memory of a process on a CPU, of which there are as many as cores
_BATCHES_AHEAD = 1  # batches that are read while one is worked on


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
        least_crop_area: least share of an image's area that a random resized crop shows, instead of the crop of the
            original size (`draw_crops`); None for no resized crop. Without a border.
        colour_jitter: by how much brightness, contrast and saturation are changed at most (`jitter_colours`);
            0 for none.
        seed: of the order and the augmentation.

    A set that does not fit (`_fits`) is gathered batch by batch, the next while the device works on one: the batches
    are the same, and `resident` is False.

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
        least_crop_area: float | None = None,
        colour_jitter: float = 0.0,
    ) -> None:
        _check(input_size=input_size, batch_size=batch_size, mean=mean, std=std, crop_padding=crop_padding)
        _check_photos(least_crop_area=least_crop_area, colour_jitter=colour_jitter, crop_padding=crop_padding)
        self.device = torch.device(device)
        self.input_size = input_size
        self.batch_size = min(batch_size, len(images))
        self.flip = flip
        self.crop_padding = crop_padding
        self.alternate_flip = alternate_flip
        self.cutout = cutout
        self.least_crop_area = least_crop_area
        self.colour_jitter = colour_jitter
        self.seed = seed
        self._count = len(images)
        self._labels = images.labels.to(self.device)
        self._side = input_size + 2 * crop_padding
        self._mean = tuple(mean)
        self._images = images
        self.resident = _fits(len(images) * 3 * self._side**2, self.device)
        self._rows = self._windows(self._padded(images, self.device)) if self.resident else None
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
        drawn = self._drawn(epoch)
        slices = _slices(len(drawn.order), self.batch_size, first_step)
        for batch, rows in zip(slices, self._rows_of(drawn.order, slices), strict=True):
            positions = drawn.mirrored[batch].nonzero().view(-1) if self.flip else None
            boxes, colours, centres = (
                None if each is None else each[:, batch].to(self.device)
                for each in (drawn.boxes, drawn.colours, drawn.centres)
            )
            inputs = self._inputs(rows, self._starts(drawn, batch), positions, boxes=boxes, colours=colours)
            if centres is not None:
                inputs = cut_out(inputs, centres, side=self.cutout)
            yield inputs, self._labels[drawn.order[batch].to(self.device)]

    def plans(self, epoch: int, *, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """What `epoch` is made from: `rendered` makes a plan the same inputs, by the same kernels for every plan.

        For a resident set only. Yields: a plan, int64 (rows, B), and labels, int64 (B,), both on the device.
        """
        drawn = self._drawn(epoch)
        everything = slice(0, len(drawn.order))
        rows = [self._starts(drawn, everything).to(self.device), drawn.mirrored.to(self.device, torch.int64)]
        for each in (drawn.boxes, drawn.colours, drawn.centres):
            if each is not None:
                rows += list(each.to(self.device, torch.int64))
        plan, labels = torch.stack(rows), self._labels[drawn.order.to(self.device)]
        for batch in _slices(len(labels), self.batch_size, first_step):
            yield plan[:, batch], labels[batch]

    def rendered(self, plan: Tensor) -> Tensor:
        """The inputs of a plan of `plans`. Nothing in it depends on values, so that a CUDA graph may hold it."""
        starts, mirrored, rest = plan[0], plan[1], plan[2:]
        boxes, rest = (None, rest) if self.least_crop_area is None else (rest[:4], rest[4:])
        colours, centres = (rest[:3], rest[3:]) if self.colour_jitter else (None, rest)
        crops = self._crops(self._resident_rows(), starts, boxes)
        if self.flip:
            crops = torch.where(mirrored.bool()[:, None, None, None], crops.flip(2), crops)
        inputs = self._normalised(crops, colours)
        return cut_out(inputs, centres, side=self.cutout) if self.cutout else inputs

    def _drawn(self, epoch: int) -> _Drawn:
        """What is random in an epoch."""
        generator = torch.Generator().manual_seed(_epoch_seed(self.seed, epoch))
        used = self.steps_per_epoch * self.batch_size
        order = torch.randperm(self._count, generator=generator)[:used]
        offsets = torch.randint(0, 2 * self.crop_padding + 1, (2, self._count), generator=generator)[:, :used]
        mirrored = torch.rand(self._count, generator=generator)[:used] < 0.5
        if self.alternate_flip:
            mirrored = self._mirrored_first()[order] ^ (epoch % 2 == 1)
        return _Drawn(
            order=order,
            offsets=offsets,
            mirrored=mirrored,
            centres=self._cutouts(used, generator),
            boxes=self._boxes(used, generator),
            colours=draw_colours(used, generator) if self.colour_jitter else None,
        )

    def evaluation(self, batch_size: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in the set's order, normalised and not augmented. The last batch may be smaller.

        Yields: as `epoch`. Raises ConfigError for a batch size below one.
        """
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {size}")
        order = torch.arange(self._count)
        still = _Drawn(
            order=order,
            offsets=torch.full((2, self._count), self.crop_padding),
            mirrored=torch.zeros(self._count, dtype=torch.bool),
        )
        slices = _slices(self._count, size, 0)
        for batch, rows in zip(slices, self._rows_of(order, slices), strict=True):
            yield self._inputs(rows, self._starts(still, batch), None), self._labels[batch]

    def _mirrored_first(self) -> Tensor:
        """Which images of the set are mirrored in the first epoch and every other one after it: bool (images,)."""
        return torch.rand(self._count, generator=torch.Generator().manual_seed(_epoch_seed(self.seed, -1))) < 0.5

    def _cutouts(self, images: int, generator: torch.Generator) -> Tensor | None:
        """Where the squares of an epoch lie. Drawn after order, crops and mirror images: those are as without."""
        if not self.cutout:
            return None
        return draw_cutouts(images, input_size=self.input_size, generator=generator)

    def _boxes(self, images: int, generator: torch.Generator) -> Tensor | None:
        if self.least_crop_area is None:
            return None
        return draw_crops(images, input_size=self.input_size, least_area=self.least_crop_area, generator=generator)

    def _starts(self, drawn: _Drawn, batch: slice) -> Tensor:
        """Number of the pixel in which each crop of a batch begins, of the padded set, or of the batch's own rows."""
        order = drawn.order[batch]
        places = order if self.resident else torch.arange(len(order))
        top, left = drawn.offsets[0, batch], drawn.offsets[1, batch]
        return (places * self._side + top) * self._side + left

    def _padded(self, images: Images, device: torch.device) -> Tensor:
        """Images at the input size with their border, in channels_last memory: uint8 (N, side, side, 3)."""
        images, padding, size = images.resized(self.input_size), self.crop_padding, self.input_size
        border = torch.tensor([round(255 * average) for average in self._mean], dtype=torch.uint8, device=device)
        padded = border.expand(len(images), self._side, self._side, 3).contiguous()
        inner = padded[:, padding : padding + size, padding : padding + size]
        for part in chunks(images):
            inner[part] = images.gathered(part).to(device).permute(0, 2, 3, 1)
        return padded

    def _windows(self, padded: Tensor) -> Tensor:
        """Padded images, seen as every run of `input_size` pixels: uint8 (pixels, 3 S).

        Window k begins at pixel k, so one index selects a whole row of a crop. The windows overlap: they are a
        view, and take no memory.
        """
        size = self.input_size
        return padded.as_strided((len(padded) * self._side**2 - size + 1, 3 * size), (3, 1))

    def _read_ahead(self, positions: Tensor) -> Tensor:
        """The padded images at these positions, in memory that a GPU can fetch while it works."""
        padded = self._padded(self._images.subset(positions), torch.device("cpu"))
        return padded.pin_memory() if self.device.type == "cuda" else padded

    def _resident_rows(self) -> Tensor:
        if self._rows is None:
            raise ValueError("the set is not on the device: its batches cannot be planned")
        return self._rows

    def _rows_of(self, order: Tensor, slices: Sequence[slice]) -> Iterator[Tensor]:
        """For each batch the rows that its crops are gathered from: the whole set's, or the batch's own.

        Those are read and padded by a thread while the batch before is worked on.
        """
        if self.resident:
            yield from itertools.repeat(self._resident_rows(), len(slices))
            return
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
            ahead: deque[Future[Tensor]] = deque()
            for batch in slices:
                ahead.append(thread.submit(self._read_ahead, order[batch]))
                if len(ahead) > _BATCHES_AHEAD:
                    yield self._windows(ahead.popleft().result().to(self.device, non_blocking=True))
            while ahead:
                yield self._windows(ahead.popleft().result().to(self.device, non_blocking=True))

    def _inputs(
        self,
        source: Tensor,
        starts: Tensor,
        mirrored: Tensor | None,
        *,
        boxes: Tensor | None = None,
        colours: Tensor | None = None,
    ) -> Tensor:
        """Gather from rows, mirror and normalise one batch."""
        crops = self._crops(source, starts.to(self.device), boxes)
        if mirrored is not None:
            positions = mirrored.to(self.device)
            crops.index_copy_(0, positions, crops.index_select(0, positions).flip(2))
        return self._normalised(crops, colours)

    def _crops(self, source: Tensor, starts: Tensor, boxes: Tensor | None) -> Tensor:
        """(B, S, S, 3): uint8 as they stand in rows, or float32 with the content of boxes."""
        size = self.input_size
        if boxes is not None:
            return resized_crops(source, starts, boxes, size=size)
        rows = (starts[:, None] + self._row_starts).view(-1)
        return source.index_select(0, rows).view(-1, size, size, 3)

    def _normalised(self, crops: Tensor, colours: Tensor | None) -> Tensor:
        """(B, S, S, 3), from 0 to 255 -> float32 (B, 3, S, S), channels_last."""
        size = self.input_size
        if colours is not None:
            crops = jitter_colours(crops.to(torch.float32), colours, strength=self.colour_jitter)
        inputs = crops.reshape(-1, size, size * 3).to(torch.float32).mul_(self._scale).add_(self._shift)
        return inputs.view(-1, size, size, 3).permute(0, 3, 1, 2)


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """What is random in an epoch, on the CPU.

    Attributes:
        order: positions of the images, int64 (images,).
        offsets: row and column in the padded image in which each crop begins, int64 (2, images).
        mirrored: bool (images,).
        centres: of the cutouts, int64 (2, images); None: there are none.
        boxes: of the resized crops, int64 (4, images); None: there are none.
        colours: how colours change, int64 (3, images); None: they do not.
    """

    order: Tensor
    offsets: Tensor
    mirrored: Tensor
    centres: Tensor | None = None
    boxes: Tensor | None = None
    colours: Tensor | None = None


def _slices(images: int, batch_size: int, first_batch: int) -> list[slice]:
    return [slice(first, first + batch_size) for first in range(first_batch * batch_size, images, batch_size)]


def resident_bytes(images: int, side: int) -> int:
    """Bytes of a whole set in the memory of a process on a CPU; 0 where it does not fit, and batches are read ahead."""
    needed = images * 3 * side**2
    return needed if needed <= _RESIDENT_BYTES else 0


def _fits(needed_bytes: int, device: torch.device) -> bool:
    """Whether a set may lie on the device: on a GPU in half of its free memory, else in `_RESIDENT_BYTES`."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return needed_bytes < free / 2
    return needed_bytes <= _RESIDENT_BYTES


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


def _check_photos(*, least_crop_area: float | None, colour_jitter: float, crop_padding: int) -> None:
    if least_crop_area is not None and not 0 < least_crop_area <= 1:
        raise ConfigError(f"least_crop_area must be above 0 and at most 1, got {least_crop_area}")
    if least_crop_area is not None and crop_padding:
        raise ConfigError(f"a random resized crop needs no border, got crop_padding {crop_padding}")
    if not 0 <= colour_jitter < 1:
        raise ConfigError(f"colour_jitter must be 0 or more and below 1, got {colour_jitter}")
