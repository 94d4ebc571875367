"""What a study needs of the machine before it is run: space for decoded pictures, time for decoding, memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from archsearch.cost.memory import memory_access
from archsearch.data.batches import resident_bytes
from archsearch.data.dataset import Dataset
from archsearch.data.decoded import decoded_bytes, is_decoded, seconds_to_decode
from archsearch.data.folder import Pictures
from archsearch.data.images import ImageSource
from archsearch.training.loop import EVALUATION_BATCH
from archsearch.training.settings import ProxySettings

# Of what the operators of a network write for one image, the share that lies in memory at once while images are scored
# without gradients. Measured at 64, 96 and 224 pixels: 0.10 to 0.13 (benchmarks/image_memory.py).
_SCORED_SHARE = 0.115


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a study needs.

    Attributes:
        decoded_images: pictures that are decoded for it, once; 0 for arrays.
        of_images: pictures that there are in the splits that these are from.
        disk_bytes: of the decoded ones.
        decode_seconds: until they are decoded, on all cores; 0 where they are already.
        process_bytes: memory of a worker on a CPU with the reference network, at its highest.
    """

    decoded_images: int
    of_images: int
    disk_bytes: int
    decode_seconds: float
    process_bytes: int


def needs_of(
    dataset: Dataset,
    positions: tuple[Sequence[int], Sequence[int]],
    proxy: ProxySettings,
    network: nn.Module,
    *,
    input_size: int,
) -> Needs:
    """What training and scoring `network` on these images needs; a few pictures are decoded to time it.

    Args:
        positions: of `Dataset.split_positions`.
        network: on the CPU, of this input size; it is not changed.
    """
    validation = dataset.train if dataset.validation is None else dataset.validation
    parts = ((dataset.train, positions[0]), (validation, positions[1]))
    size = dataset.image_size if dataset.former else input_size
    seconds, disk, images = 0.0, 0, 0
    for source, chosen in parts:
        if isinstance(source, Pictures):
            images += len(chosen)
            disk += decoded_bytes(len(chosen), size)
            seconds += _seconds(source.chosen(chosen), size)
    side = input_size + 2 * proxy.crop_padding
    return Needs(
        decoded_images=images,
        of_images=len(dataset.train) + (0 if dataset.validation is None else len(dataset.validation)) if images else 0,
        disk_bytes=disk,
        decode_seconds=seconds,
        process_bytes=_memory_now()
        + _arrays(parts)
        + resident_bytes(len(positions[0]), side)
        + resident_bytes(len(positions[1]), input_size)
        + round(_working_bytes(network, proxy, len(positions[1]), input_size)),
    )


def _working_bytes(network: nn.Module, proxy: ProxySettings, validation_images: int, input_size: int) -> float:
    """What a training step keeps for its gradients, and what scoring takes beside it: freed memory is kept.

    While a batch of images to be scored is made, as fp32, the one before it is still there.
    """
    written = memory_access(network, input_size).written_bytes
    scored = min(EVALUATION_BATCH, validation_images)
    before = 4 * 3 * input_size**2 * min(EVALUATION_BATCH, max(validation_images - EVALUATION_BATCH, 0))
    return written * (proxy.batch_size + _SCORED_SHARE * scored) + before


def _seconds(pictures: Pictures, size: int) -> float:
    if is_decoded(pictures.pictures, size=size, background=pictures.background, folder=pictures.folder):
        return 0.0
    each = seconds_to_decode([picture.file for picture in pictures.pictures], size=size) or 0.0
    return each * len(pictures)


def _arrays(parts: Sequence[tuple[ImageSource, Sequence[int]]]) -> int:
    """Bytes of the copies that a worker holds of arrays."""
    return sum(3 * source.image_size**2 * len(chosen) for source, chosen in parts if not isinstance(source, Pictures))


def _memory_now() -> int:
    """Bytes of this process, which has loaded what a worker loads; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
