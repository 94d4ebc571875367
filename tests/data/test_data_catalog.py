from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from archsearch.data.catalog import DATASETS, default_data_dir, load_dataset, parse_dataset
from archsearch.data.dataset import Dataset
from archsearch.data.images import Images, ImageSource
from archsearch.errors import ConfigError, DataError, UnknownNameError


def pixels_of(source: ImageSource) -> torch.Tensor:
    return source.read().gathered(slice(None))


@pytest.fixture
def load(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Dataset]:
    """Load an entry of the table from small data made here. A new entry of the table needs a line here."""

    def load(name: str) -> Dataset:
        if name in ("cifar10", "cifar100"):
            request.getfixturevalue("serve_cifar")(name)
        uris: dict[str, Callable[[], str]] = {
            "cifar10": lambda: "cifar10",
            "cifar100": lambda: "cifar100",
            "digits": lambda: "digits",
            "folder": lambda: f"folder:{request.getfixturevalue('image_folder')}",
            "npz": lambda: f"npz:{request.getfixturevalue('npz_folder')}",
        }
        return load_dataset(uris[name](), data_dir=tmp_path / "downloads")

    return load


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_dataset_keeps_the_contract(name: str, load: Callable[[str], Dataset]) -> None:
    dataset = load(name)
    test = dataset.load_test()
    assert dataset.name.partition(":")[0] == name
    assert dataset.num_classes == len(set(dataset.classes)) >= 2
    for split in (dataset.train.read(), test.read()):
        assert split.gathered(slice(0, 2)).dtype == torch.uint8 and split.labels.dtype == torch.int64
        assert split.image_size == dataset.image_size
        assert set(split.labels.tolist()) == set(range(dataset.num_classes))
    assert re.fullmatch(r"[0-9a-f]{12}", dataset.fingerprint)


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_dataset_can_be_sent_to_another_process(name: str, load: Callable[[str], Dataset]) -> None:
    dataset = load(name)
    copy: Dataset = pickle.loads(pickle.dumps(dataset))
    assert copy.fingerprint == dataset.fingerprint
    assert torch.equal(pixels_of(copy.load_test()), pixels_of(dataset.load_test()))
    assert torch.equal(pixels_of(copy.train), pixels_of(dataset.train))


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_entry_says_how_it_is_written(name: str) -> None:
    entry = DATASETS[name]
    assert entry.usage == (f"{name}:PATH" if entry.takes_path else name)
    assert entry.summary


def test_an_unknown_dataset_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cifar10'"):
        load_dataset("cifar-10")


@pytest.mark.parametrize(("uri", "says"), [("npz", "write npz:PATH"), ("folder:", "write folder:PATH")])
def test_a_missing_path_is_asked_for(uri: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_dataset(uri)


def test_a_path_that_a_dataset_does_not_take_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'digits' takes no path, got 'digits:/tmp'"):
        parse_dataset("digits:/tmp")


def test_a_path_may_hold_colons_and_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert parse_dataset("npz:~/a:b")[1] == Path("/home/someone/a:b")


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose home folder is not known, as in a container with an arbitrary user id."""

    def no_home(path: str) -> str:
        return path  # what os.path.expanduser does then; pathlib makes a RuntimeError of it

    monkeypatch.setattr("os.path.expanduser", no_home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


@pytest.mark.usefixtures("homeless")
def test_datasets_that_are_not_downloaded_need_no_home_folder(npz_folder: Path) -> None:
    assert load_dataset("digits").num_classes == 10
    assert load_dataset(f"npz:{npz_folder}").train.image_size > 0


@pytest.mark.usefixtures("homeless")
def test_downloads_without_a_home_folder_are_told_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no home folder.*data_dir"):
        load_dataset("cifar10", download=False)
    with pytest.raises(DataError):  # the folder is known; it is empty
        load_dataset("cifar10", data_dir=tmp_path, download=False)


@pytest.mark.parametrize("uri", ["folder:~nouser-at-all/x", "npz:~nouser-at-all/x"])
def test_the_home_folder_of_nobody_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="the home folder in '~nouser-at-all/x' is not known"):
        parse_dataset(uri)


def test_downloads_lie_in_the_cache_folder_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_data_dir() == Path("/cache/archsearch")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # invalid by the XDG specification
    assert default_data_dir() == Path("/home/someone/.cache/archsearch")


def test_a_label_without_a_class_is_refused(make_images: Callable[..., Images]) -> None:
    with pytest.raises(DataError, match="labels must be 0 to 1, got 0 to 2"):
        Dataset(
            name="x",
            classes=("a", "b"),
            train=make_images([1, 1, 1]),
            load_test=lambda: make_images([1]),
            flip=True,
            fingerprint="0" * 12,
        )


def test_the_table_of_datasets_is_read_without_importing_torch() -> None:
    code = (
        "import sys; from archsearch.data.catalog import parse_dataset; parse_dataset('npz:x');"
        "print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.strip() == "False"
