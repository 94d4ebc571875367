from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from archsearch.data.catalog import load_dataset
from archsearch.errors import DataError


@pytest.fixture
def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def offline(serve_cifar: Callable[[str], Any], closed_port: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A CIFAR-10 archive that exists on disk, but whose address does not answer."""
    served = serve_cifar("cifar10")
    monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{closed_port}/cifar-10-python.tar.gz")
    return served


def test_cifar10_is_downloaded_checked_and_read(serve_cifar: Callable[[str], Any], tmp_path: Path) -> None:
    served = serve_cifar("cifar10")
    dataset = load_dataset("cifar10", data_dir=tmp_path / "d")
    # the archive's rows are 1024 red, 1024 green, 1024 blue bytes, each row by row
    rows = np.concatenate([served.data[f"data_batch_{i}"][b"data"] for i in range(1, 6)])
    assert np.array_equal(dataset.train.pixels.numpy(), rows.reshape(40, 3, 32, 32))
    assert dataset.train.labels[:8].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert dataset.classes == tuple(f"ten-{i}" for i in range(10))
    assert dataset.flip
    test = dataset.load_test()
    assert np.array_equal(test.pixels.numpy(), served.data["test_batch"][b"data"].reshape(10, 3, 32, 32))
    assert served.downloads == ["/cifar-10-python.tar.gz"]


def test_cifar100_has_the_fine_labels(serve_cifar: Callable[[str], Any], tmp_path: Path) -> None:
    served = serve_cifar("cifar100")
    dataset = load_dataset("cifar100", data_dir=tmp_path / "d")
    assert dataset.num_classes == 100 and dataset.classes[7] == "hundred-7"
    assert dataset.train.labels.tolist() == served.data["train"][b"fine_labels"]
    assert dataset.load_test().labels.tolist() == served.data["test"][b"fine_labels"]


def test_a_dataset_that_is_there_needs_no_network(
    serve_cifar: Callable[[str], Any], tmp_path: Path, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve_cifar("cifar10")
    first = load_dataset("cifar10", data_dir=tmp_path / "d")
    monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{closed_port}/x")
    again = load_dataset("cifar10", data_dir=tmp_path / "d", download=False)
    assert again.fingerprint == first.fingerprint
    assert len(served.downloads) == 1


@pytest.mark.parametrize("download", [True, False])
def test_an_absent_dataset_says_which_file_to_put_where(offline: Any, tmp_path: Path, download: bool) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset("cifar10", data_dir=tmp_path / "d", download=download)
    assert f"put it at {tmp_path / 'd' / 'cifar-10-python.tar.gz'}" in str(caught.value)
    assert datasets.CIFAR10.url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ("switched off" in str(caught.value)) is not download


@pytest.mark.parametrize("download", [True, False])
def test_an_archive_put_by_hand_is_enough(offline: Any, tmp_path: Path, download: bool) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "cifar-10-python.tar.gz").write_bytes(offline.archive.read_bytes())
    dataset = load_dataset("cifar10", data_dir=tmp_path / "d", download=download)
    assert len(dataset.train) == 40 and len(dataset.load_test()) == 10


@pytest.mark.parametrize("download", [True, False])
def test_a_damaged_archive_put_by_hand_is_named(offline: Any, tmp_path: Path, download: bool) -> None:
    archive = tmp_path / "d" / "cifar-10-python.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(offline.archive.read_bytes()[:-100])
    with pytest.raises(DataError, match="damaged or incomplete") as caught:
        load_dataset("cifar10", data_dir=tmp_path / "d", download=download)
    assert str(archive) in caught.value.message


def test_a_damaged_download_is_not_used(serve_cifar: Callable[[str], Any], tmp_path: Path) -> None:
    served = serve_cifar("cifar10")
    served.archive.write_bytes(served.archive.read_bytes()[:-100])
    with pytest.raises(DataError, match="damaged or incomplete"):
        load_dataset("cifar10", data_dir=tmp_path / "d")
    assert not (tmp_path / "d" / "cifar-10-batches-py").exists()


def test_an_address_that_has_gone_is_one_clear_error(serve_cifar: Callable[[str], Any], tmp_path: Path) -> None:
    serve_cifar("cifar10").archive.unlink()
    with pytest.raises(DataError, match="could not be downloaded: HTTP Error 404"):
        load_dataset("cifar10", data_dir=tmp_path / "d")


def test_a_server_that_is_not_reached_is_said_in_plain_words(
    serve_cifar: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError(OSError(-2, "Name or service not known"))

    serve_cifar("cifar10")
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", unreachable)
    with pytest.raises(DataError) as caught:
        load_dataset("cifar10", data_dir=tmp_path / "d")
    assert caught.value.message.endswith("the server cannot be reached from here (name or service not known)")


@pytest.mark.parametrize("file", ["data_batch_3", "batches.meta", "test_batch"])
def test_a_damaged_batch_is_extracted_again(offline: Any, tmp_path: Path, file: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "cifar-10-python.tar.gz").write_bytes(offline.archive.read_bytes())
    before = load_dataset("cifar10", data_dir=tmp_path / "d")
    (tmp_path / "d" / "cifar-10-batches-py" / file).write_bytes(b"not a pickle")
    after = load_dataset("cifar10", data_dir=tmp_path / "d")
    assert after.fingerprint == before.fingerprint and after.classes == before.classes
    assert len(after.load_test()) == 10


def test_searching_never_opens_the_test_batch(offline: Any, tmp_path: Path) -> None:
    folder = tmp_path / "d" / "cifar-10-batches-py"
    (tmp_path / "d").mkdir()
    archive = tmp_path / "d" / "cifar-10-python.tar.gz"
    archive.write_bytes(offline.archive.read_bytes())
    load_dataset("cifar10", data_dir=tmp_path / "d")
    archive.unlink()
    (folder / "test_batch").write_bytes(b"damaged")
    dataset = load_dataset("cifar10", data_dir=tmp_path / "d")
    assert len(dataset.train) == 40
    with pytest.raises(DataError, match="dataset 'cifar10'"):
        dataset.load_test()


def test_a_data_folder_that_cannot_be_made_is_one_clear_error(offline: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="dataset 'cifar10'"):
        load_dataset("cifar10", data_dir=tmp_path / "file" / "d")


def test_a_data_folder_in_which_files_cannot_be_locked_is_named_and_no_archive_is_asked_for(
    offline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_file: object, _how: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "cifar-10-python.tar.gz").write_bytes(offline.archive.read_bytes())
    monkeypatch.setattr("fcntl.flock", refused)
    with pytest.raises(DataError, match=r"d cannot be used: .*files cannot be locked there") as caught:
        load_dataset("cifar10", data_dir=tmp_path / "d")
    hint = "give a data_dir that you may write, on a disk that locks files (in a terminal: --data-dir)"
    assert caught.value.hint == hint


ASK = """
import json, sys
from pathlib import Path
from torchvision import datasets
from archsearch.data.catalog import load_dataset
for name, value in json.loads(sys.argv[1]).items():
    setattr(datasets.CIFAR10, name, value)
print(load_dataset("cifar10", data_dir=Path(sys.argv[2])).fingerprint)
"""


def test_processes_that_ask_at_once_download_once(serve_cifar: Callable[[str], Any], tmp_path: Path) -> None:
    served = serve_cifar("cifar10")
    served.seconds_before_sending = 3.0  # so that all three ask while the first is still downloading
    address = {name: getattr(datasets.CIFAR10, name) for name in ("url", "tgz_md5", "train_list", "test_list", "meta")}
    # processes of their own: a fork of this one, whose other threads are gone in the child, may wait for ever
    command = [sys.executable, "-c", ASK, json.dumps(address), str(tmp_path / "d")]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate()[0].strip() for process in asking]
    assert [process.returncode for process in asking] == [0, 0, 0]
    assert len(set(answers)) == 1
    assert served.downloads == ["/cifar-10-python.tar.gz"]


def test_the_time_limit_of_sockets_is_put_back(offline: Any, tmp_path: Path) -> None:
    before = socket.getdefaulttimeout()
    with pytest.raises(DataError):
        load_dataset("cifar10", data_dir=tmp_path / "d")
    assert socket.getdefaulttimeout() == before


def test_pixels_are_contiguous_and_own_no_file(serve_cifar: Callable[[str], Any], tmp_path: Path) -> None:
    serve_cifar("cifar10")
    train = load_dataset("cifar10", data_dir=tmp_path / "d").train
    assert train.pixels.is_contiguous() and train.pixels.dtype == torch.uint8
