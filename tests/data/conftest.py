"""Small real datasets: archives in CIFAR's own format behind a local server, image files, arrays."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from archsearch.data.images import Images


@pytest.fixture
def make_images() -> Callable[..., Images]:
    """Random images with the given number in each class, classes mixed."""

    def make(per_class: list[int], *, image_size: int = 4, seed: int = 0) -> Images:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.repeat_interleave(torch.arange(len(per_class)), torch.tensor(per_class))
        labels = labels[torch.randperm(len(labels), generator=generator)]
        shape = (len(labels), 3, image_size, image_size)
        return Images(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator), labels)

    return make


@dataclass
class CifarServer:
    """A local server of one small CIFAR archive, and what was asked of it."""

    archive: Path
    data: dict[str, Any]  # file name -> the batch that was pickled
    downloads: list[str] = field(default_factory=list)  # one path for each GET
    seconds_before_sending: float = 0.0


class _Python2Pickler(pickle._Pickler):
    """Writes byte strings as Python 2 did, which pickled the published archives: they are read as text."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)  # type: ignore[attr-defined]
        self.memoize(value)  # type: ignore[attr-defined]

    dispatch[bytes] = save_bytes


def _batch(count: int, classes: int, key: bytes, seed: int) -> dict[Any, Any]:
    """One batch as in the archives: rows of 3072 bytes, red plane first."""
    rows = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
    return {b"batch_label": b"made by a test", key: [(i + seed) % classes for i in range(count)], b"data": rows}


def _write_archive(path: Path, folder: str, content: dict[str, Any]) -> dict[str, str]:
    """Pickle every entry into a tar.gz; returns the MD5 of each file."""
    sums: dict[str, str] = {}
    with tarfile.open(path, "w:gz") as archive:
        for name, value in content.items():
            buffer = io.BytesIO()
            _Python2Pickler(buffer, protocol=2).dump(value)
            raw = buffer.getvalue()
            sums[name] = hashlib.md5(raw).hexdigest()
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return sums


@pytest.fixture
def serve_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], CifarServer]]:
    """Point torchvision's `cifar10` or `cifar100` at a small archive on 127.0.0.1."""
    servers: list[ThreadingHTTPServer] = []

    def serve(name: str) -> CifarServer:
        source = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
        if name == "cifar10":
            content = {f"data_batch_{i}": _batch(8, 10, b"labels", i) for i in range(1, 6)}
            content["test_batch"] = _batch(10, 10, b"labels", 9)
            content["batches.meta"] = {b"label_names": [f"ten-{i}".encode() for i in range(10)]}
        else:
            content = {"train": _batch(200, 100, b"fine_labels", 1), "test": _batch(100, 100, b"fine_labels", 9)}
            content["train"][b"coarse_labels"] = [0] * 200
            content["meta"] = {b"fine_label_names": [f"hundred-{i}".encode() for i in range(100)]}
        web = tmp_path / f"web-{name}"
        web.mkdir()
        archive = web / source.filename
        sums = _write_archive(archive, source.base_folder, content)
        served = CifarServer(archive=archive, data=content)

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                # torchvision first asks where the address leads, with a GET whose header says "Method: HEAD"
                if self.headers.get("Method") != "HEAD":
                    served.downloads.append(self.path)
                    time.sleep(served.seconds_before_sending)
                super().do_GET()

            def log_message(self, *_: Any) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(web)))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        monkeypatch.setattr(source, "url", f"http://127.0.0.1:{server.server_port}/{source.filename}")
        monkeypatch.setattr(source, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
        for files in ("train_list", "test_list"):
            monkeypatch.setattr(source, files, [[file, sums[file]] for file, _ in getattr(source, files)])
        monkeypatch.setattr(source, "meta", {**source.meta, "md5": sums[source.meta["filename"]]})
        return served

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Two classes; six training images, most of 20 x 16 pixels; two test images."""
    root = tmp_path / "photos"
    sizes = {"train/cat": [(20, 16), (20, 16), (40, 40)], "train/dog": [(20, 16), (16, 20), (9, 12)]}
    sizes |= {"test/cat": [(31, 17)], "test/dog": [(5, 5)]}
    generator = np.random.default_rng(0)
    for folder, of_images in sizes.items():
        (root / folder).mkdir(parents=True)
        for number, (width, height) in enumerate(of_images):
            pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{number}.png")
    return root


@pytest.fixture
def npz_folder(tmp_path: Path) -> Path:
    """Three classes; nine training and three test images of 6 x 6 pixels."""
    root = tmp_path / "arrays"
    root.mkdir()
    generator = np.random.default_rng(0)
    for name, count in (("train", 9), ("test", 3)):
        np.savez(
            root / f"{name}.npz",
            images=generator.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8),
            labels=np.arange(count) % 3,
            classes=np.array(["a", "b", "c"]),
        )
    return root
