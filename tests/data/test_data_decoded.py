"""The file of decoded pictures: made once, whole or not there, read in rows."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest
import torch
from PIL import Image

from archsearch.data import decoded as module
from archsearch.data.decoded import Picture, decoded, decoded_bytes
from archsearch.data.images import Images, channel_statistics
from archsearch.data.pictures import digest_of
from archsearch.errors import DataError


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    """Twelve pictures of noise, 20 x 20 pixels."""
    generator = np.random.default_rng(0)
    made = []
    for number in range(12):
        file = tmp_path / f"{number}.png"
        Image.fromarray(generator.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(file)
        made.append(Picture(file=file, digest=digest_of(file.read_bytes())))
    return made


def made(pictures: list[Picture], folder: Path, size: int = 20) -> module.PixelFile:
    return decoded(pictures, size=size, background="white", folder=folder)


def test_rows_are_the_pictures_in_any_order(pictures: list[Picture], tmp_path: Path) -> None:
    found = made(pictures, tmp_path / "decoded")
    order = [3, 4, 5, 0, 11, 11, 2]
    for place, pixels in zip(order, found.rows(torch.tensor(order)), strict=True):
        with Image.open(pictures[place].file) as image:
            assert np.array_equal(pixels.permute(1, 2, 0).numpy(), np.asarray(image))


def test_numpy_reads_the_file_as_it_is(pictures: list[Picture], tmp_path: Path) -> None:
    found = made(pictures, tmp_path / "decoded")
    mapped = np.load(found.path, mmap_mode="r")
    assert mapped.shape == (12, 20, 20, 3)
    assert np.array_equal(mapped[7], found.rows(torch.tensor([7]))[0].permute(1, 2, 0).numpy())


def test_statistics_are_those_of_the_pixels(pictures: list[Picture], tmp_path: Path) -> None:
    found = Images(made(pictures, tmp_path / "decoded"), torch.zeros(12, dtype=torch.int64))
    pixels = found.gathered(slice(None)).double() / 255
    mean, std = channel_statistics(found)
    assert mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), abs=1e-12)


def test_a_second_call_decodes_nothing(
    pictures: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(pictures, tmp_path / "decoded")
    monkeypatch.setattr(module, "square_pixels", None)
    assert made(pictures, tmp_path / "decoded") == first


def test_a_folder_of_another_user_is_read(
    pictures: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, **_how: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    first = made(pictures, tmp_path / "decoded")
    monkeypatch.setattr(module, "locked", refused)
    assert made(pictures, tmp_path / "decoded") == first
    with pytest.raises(DataError, match="decoded images cannot be kept there: Permission denied"):
        made(pictures[:-1], tmp_path / "decoded")


def test_what_another_user_is_decoding_is_in_nobodys_way(
    pictures: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lock = tmp_path / "decoded", module.locked
    folder.mkdir()
    (folder / "theirs.partial").touch()

    def own_alone(path: Path, *, wait: bool = True) -> AbstractContextManager[bool]:
        if path.stem == "theirs":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return lock(path, wait=wait)

    monkeypatch.setattr(module, "locked", own_alone)
    assert made(pictures, folder).count == 12
    assert (folder / "theirs.partial").exists()


def test_another_content_order_size_or_background_is_another_file(pictures: list[Picture], tmp_path: Path) -> None:
    folder = tmp_path / "decoded"
    files = {
        made(pictures, folder).path,
        made(pictures, folder, size=10).path,
        made(pictures[::-1], folder).path,
        made(pictures[:-1], folder).path,
        decoded(pictures, size=20, background="black", folder=folder).path,
    }
    assert len(files) == 5


def test_a_file_that_was_cut_is_decoded_anew(pictures: list[Picture], tmp_path: Path) -> None:
    found = made(pictures, tmp_path / "decoded")
    with found.path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(DataError, match="it is shorter than it was"):
        found.rows(torch.tensor([11]))
    again = made(pictures, tmp_path / "decoded")
    assert again.path.stat().st_size == decoded_bytes(12, 20) == 128 + 12 * 20 * 20 * 3


def test_every_broken_picture_is_named_and_nothing_is_left(pictures: list[Picture], tmp_path: Path) -> None:
    broken = []
    for number in (2, 5):
        content = pictures[number].file.read_bytes()
        damaged = content[:200] + b"????????" + content[208:]
        pictures[number].file.write_bytes(damaged)
        broken.append(Picture(file=pictures[number].file, digest=digest_of(damaged)))
    pictures[2], pictures[5] = broken
    with pytest.raises(DataError, match="2 files cannot be read as images") as caught:
        made(pictures, tmp_path / "decoded")
    assert all(str(each.file) in str(caught.value) for each in broken)
    assert [path.suffix for path in (tmp_path / "decoded").iterdir()] == [".lock"]


def test_a_picture_that_changes_meanwhile_is_not_taken(pictures: list[Picture], tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(pictures[4].file)
    with pytest.raises(DataError, match=r"4\.png.*it was changed while it was read"):
        made(pictures, tmp_path / "decoded")


def test_too_little_space_is_said_in_numbers(
    pictures: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=5000))
    with pytest.raises(DataError, match=r"12 images of 20x20 pixels need 0\.0 GiB, and 0\.0 GiB are free"):
        made(pictures, tmp_path / "decoded")


def test_progress_counts_to_the_end(pictures: list[Picture], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    decoded(
        pictures, size=8, background="white", folder=tmp_path, on_decoded=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (12, 12) and len(told) == 12


_DECODE = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from archsearch.data import decoded as module
from archsearch.data.decoded import Picture, decoded
from archsearch.data.pictures import digest_of
real = module.square_pixels
def slow(*args, **kwargs):
    time.sleep(float(sys.argv[2]))
    return real(*args, **kwargs)
module.square_pixels = slow
root = Path(sys.argv[1])
files = [root / f"{number}.png" for number in range(12)]
pictures = [Picture(file=file, digest=digest_of(file.read_bytes())) for file in files]
print("begins", flush=True)
print(decoded(pictures, size=20, background="white", folder=root / "decoded").path, flush=True)
"""


def _start(root: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _DECODE, str(root), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_decoding_leaves_nothing_that_is_taken_for_whole(pictures: list[Picture], tmp_path: Path) -> None:
    process = _start(tmp_path, 10.0)
    partial = tmp_path / "decoded"
    while not list(partial.glob("*.partial")):
        assert process.poll() is None
        time.sleep(0.01)
    # another process finds the lock free once the first is dead, and decodes all
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = made(pictures, partial)
    assert not list(partial.glob("*.partial"))
    with Image.open(pictures[9].file) as image:
        assert np.array_equal(found.rows(torch.tensor([9]))[0].permute(1, 2, 0).numpy(), np.asarray(image))


def test_two_processes_decode_once(pictures: list[Picture], tmp_path: Path) -> None:
    process = _start(tmp_path, 0.05)
    folder = tmp_path / "decoded"
    while not list(folder.glob("*.partial")):
        assert process.poll() is None
        time.sleep(0.01)
    told: list[int] = []
    found = decoded(pictures, size=20, background="white", folder=folder, on_decoded=lambda done, _: told.append(done))
    said, _ = process.communicate()
    assert said.split()[-1] == str(found.path) and not told
