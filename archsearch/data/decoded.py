"""Pictures decoded once: a file of square 8-bit pixels that every process of every study reads.

A file belongs to the digests of its pictures, in order, and to how they were decoded (`square_pixels`), so it is never
out of date; whoever finds it uses it. It is written beside its name and renamed when it is whole, under a lock that a
killed process leaves behind for the next one.

Images are read, not mapped: a gathered batch is a copy either way, both come from the page cache that all processes
share, and a mapped file of 15 GB counts as memory of each process, against `ulimit -v` and containers' limits.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from archsearch.data.images import OnDecoded
from archsearch.data.pictures import BROKEN_PICTURE, square_pixels
from archsearch.errors import DataError
from archsearch.files import locked, write_atomically
from archsearch.host import usable_cores
from archsearch.image_rules import Background

logger = logging.getLogger(__name__)

_RECIPE = 1  # counted up when `square_pixels` gives other pixels
_HEADER = 128  # bytes of a .npy header, a multiple of 64; numpy finds the pixels by it
_TELL_SECONDS = 15.0
_TIMED = 240  # pictures, at most, that are decoded to say how long all of them take
_TIMED_AT_ONCE, _TIMED_SECONDS = 24, 1.0
_AT_ONCE = 1024  # items handed to the threads at a time, so that an interrupt is heard soon

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture file and the digest of its content."""

    file: Path
    digest: str


@dataclass(frozen=True)
class PixelFile:
    """Pixels in a .npy file of shape (N, S, S, 3), as `images.PixelRows`. It can be sent to other processes."""

    path: Path
    count: int
    size: int
    levels: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, 3, S, S), as of a tensor."""
        return self.count, 3, self.size, self.size

    @property
    def histograms(self) -> Tensor:
        """How often each grey level occurs in each channel, int64 (3, 256)."""
        return torch.tensor(self.levels, dtype=torch.int64)

    def rows(self, positions: Tensor) -> Tensor:
        """The images at these positions: uint8 (n, 3, S, S) in channels_last memory. Raises DataError."""
        row = 3 * self.size**2
        pixels = torch.empty((len(positions), self.size, self.size, 3), dtype=torch.uint8)
        into = memoryview(pixels.view(-1).numpy().data)
        try:
            file = os.open(self.path, os.O_RDONLY)
            try:
                for first, start, images in _runs(positions.tolist()):
                    _read_exactly(file, into[first * row : (first + images) * row], _HEADER + start * row)
            finally:
                os.close(file)
        except OSError as error:
            raise DataError(
                f"{self.path}: the decoded images cannot be read: {error.strerror or error}",
                hint="type the command again: they are decoded anew",
            ) from error
        return pixels.permute(0, 3, 1, 2)


def decoded(
    pictures: Sequence[Picture],
    *,
    size: int,
    background: Background,
    folder: Path,
    on_decoded: OnDecoded | None = None,
) -> PixelFile:
    """The pixels of pictures at `size`, from the folder's file if it has one, else decoded into it, on every core.

    Raises DataError that names every picture that cannot be decoded, or says how much space lacks.
    """
    path = _path(pictures, size=size, background=background, folder=folder)
    found = _found(path, len(pictures), size)
    if found is not None:  # first without the lock: the folder may be another user's, or one that cannot be written
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        with locked(path.with_suffix(".lock")):
            found = _found(path, len(pictures), size)
            if found is None:
                levels = _decode(pictures, path, size=size, background=background, on_decoded=on_decoded)
                found = PixelFile(path, len(pictures), size, levels)
    except OSError as error:
        raise DataError(
            f"{folder}: decoded images cannot be kept there: {error.strerror or error}",
            hint="give another data_dir (in a terminal: --data-dir)",
        ) from error
    return found


def is_decoded(pictures: Sequence[Picture], *, size: int, background: Background, folder: Path) -> bool:
    """Whether `decoded` would find a file of these pictures."""
    return _found(_path(pictures, size=size, background=background, folder=folder), len(pictures), size) is not None


def seconds_to_decode(files: Sequence[Path], *, size: int) -> float | None:
    """For each picture (seconds), with every core at work as it is now: from some of them, in about a second.

    They are written to a temporary file, too. None if none of them can be decoded.
    """
    chosen = random.Random(0).sample(files, min(_TIMED, len(files)))
    with tempfile.TemporaryFile() as written:

        def one(place: int) -> bool:
            try:
                pixels = square_pixels(chosen[place], size=size, background="white")
            except BROKEN_PICTURE:
                return False
            _write_exactly(written.fileno(), pixels.tobytes(), place * pixels.nbytes)
            _histograms(pixels)
            return True

        on_every_core(one, range(min(2, len(chosen))))  # the first ones load Pillow's readers
        decoded, began = 0, time.perf_counter()
        for first in range(0, len(chosen), _TIMED_AT_ONCE):
            decoded += sum(on_every_core(one, range(first, min(first + _TIMED_AT_ONCE, len(chosen)))))
            if time.perf_counter() - began > _TIMED_SECONDS:
                break
        os.fsync(written.fileno())
        return (time.perf_counter() - began) / decoded if decoded else None


def _path(pictures: Sequence[Picture], *, size: int, background: Background, folder: Path) -> Path:
    key = hashlib.sha256(f"{_RECIPE} {size} {background} {len(pictures)}".encode())
    for picture in pictures:
        key.update(bytes.fromhex(picture.digest))
    return folder / f"{key.hexdigest()[:24]}.npy"


def decoded_bytes(images: int, size: int) -> int:
    """Bytes of the file of so many images."""
    return _HEADER + images * 3 * size**2


def on_every_core(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What work gives for each item, in order; by threads, since Pillow computes without Python's lock."""
    threads = ThreadPoolExecutor(usable_cores(), thread_name_prefix="pictures")
    try:
        found: list[Result] = []
        for first in range(0, len(items), _AT_ONCE):
            found += threads.map(work, items[first : first + _AT_ONCE])
        return found
    finally:
        threads.shutdown(cancel_futures=True)


def listed(problems: Sequence[tuple[Path, str]], *, most: int = 20) -> str:
    """Files that are no images, each with the reason, as a sentence or as lines."""
    if len(problems) == 1:
        file, reason = problems[0]
        return f"{file} cannot be read as an image: {reason}"
    lines = [f"\n  {file}: {reason}" for file, reason in problems[:most]]
    more = f"\n  and {len(problems) - most} more" if len(problems) > most else ""
    return f"{len(problems)} files cannot be read as images:{''.join(lines)}{more}"


def _found(path: Path, count: int, size: int) -> PixelFile | None:
    """The file if it is whole; a damaged one is decoded anew."""
    try:
        levels = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["levels"]
        if path.stat().st_size == decoded_bytes(count, size):
            return PixelFile(path, count, size, tuple(tuple(int(times) for times in channel) for channel in levels))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _decode(
    pictures: Sequence[Picture], path: Path, *, size: int, background: Background, on_decoded: OnDecoded | None
) -> tuple[tuple[int, ...], ...]:
    """Write the file; gives the histograms."""
    needed, free = decoded_bytes(len(pictures), size), shutil.disk_usage(path.parent).free
    if needed > free:
        raise DataError(
            f"{path.parent}: {len(pictures):,} images of {size}x{size} pixels need {needed / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free",
            hint="make space, give another data_dir (in a terminal: --data-dir), or use fewer images "
            "(proxy.train_images) or smaller ones (proxy.input_size)",
        )
    logger.info("decoding %d images at %dx%d (%.2f GiB) into %s", len(pictures), size, size, needed / 2**30, path)
    row = 3 * size**2
    partial = path.with_suffix(".partial")
    levels = np.zeros((3, 256), dtype=np.int64)
    problems: list[tuple[Path, str]] = []
    mutex = threading.Lock()
    done, told = 0, time.monotonic()
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        _write_exactly(file, _npy_header((len(pictures), size, size, 3)), 0)

        def one(place: int) -> None:
            nonlocal done, told
            picture = pictures[place]
            try:
                pixels = square_pixels(picture.file, size=size, background=background, digest=picture.digest)
            except BROKEN_PICTURE as error:
                with mutex:
                    problems.append((picture.file, " ".join(str(error).split())[:200] or type(error).__name__))
                return
            _write_exactly(file, pixels.tobytes(), _HEADER + place * row)
            counts = _histograms(pixels)
            with mutex:
                levels[:] += counts
                done += 1
                if on_decoded is not None:
                    on_decoded(done, len(pictures))
                if time.monotonic() - told > _TELL_SECONDS:
                    told = time.monotonic()
                    logger.info("%d of %d images are decoded", done, len(pictures))

        on_every_core(one, range(len(pictures)))
        if problems:
            raise DataError(
                listed(sorted(problems)),
                hint="replace or remove them, or set on_bad_image: skip, which leaves them out",
            )
        os.fsync(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    found = tuple(tuple(int(times) for times in channel) for channel in levels)
    write_atomically(path.with_suffix(".json"), json.dumps({"levels": found}).encode())
    partial.replace(path)
    return found


def _histograms(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each grey level occurs in each channel: (3, 256)."""
    return np.array(Image.fromarray(pixels).histogram(), dtype=np.int64).reshape(3, 256)


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes of this user left half written."""
    for partial in folder.glob("*.partial"):
        with suppress(PermissionError), locked(partial.with_suffix(".lock"), wait=False) as held:
            if held:
                partial.unlink(missing_ok=True)


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """The header of a .npy file (format 1.0), padded to a length that is the same for every shape."""
    said = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    length = _HEADER - 10
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + said.ljust(length - 1) + b"\n"


def _runs(positions: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Neighbours that are read at once: place of the first, its position, and how many they are."""
    first = 0
    for place in range(1, len(positions) + 1):
        if place == len(positions) or positions[place] != positions[place - 1] + 1:
            yield first, positions[first], place - first
            first = place


def _read_exactly(file: int, into: memoryview, offset: int) -> None:
    while into:
        read = os.preadv(file, [into], offset)
        if read == 0:
            raise OSError("it is shorter than it was")
        into, offset = into[read:], offset + read


def _write_exactly(file: int, content: bytes, offset: int) -> None:
    left = memoryview(content)
    while left:
        written = os.pwrite(file, left, offset)
        left, offset = left[written:], offset + written
