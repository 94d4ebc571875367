"""Augmentation of whole batches on their device, beyond the crop and the mirror image of `DeviceBatches`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

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
