"""Augmentation of whole batches on their device, beyond the crop and the mirror image of `DeviceBatches`."""

from __future__ import annotations

import torch
from torch import Tensor


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
