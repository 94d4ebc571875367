from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.data.catalog import load_dataset
from archsearch.data.folder import LARGEST_SIZE
from archsearch.errors import DataError


def test_the_size_is_the_short_side_of_the_most_common_size(image_folder: Path) -> None:
    dataset = load_dataset(f"folder:{image_folder}")
    assert dataset.image_size == 16  # three of six training images are 20 x 16
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.load_test().pixels.shape == (2, 3, 16, 16)


def test_an_image_of_that_short_side_is_cut_evenly_at_both_ends(image_folder: Path) -> None:
    dataset = load_dataset(f"folder:{image_folder}")
    with Image.open(image_folder / "train" / "cat" / "0.png") as image:
        original = np.asarray(image)  # 16 rows, 20 columns: columns 2 to 17 stay
    assert np.array_equal(dataset.train.pixels[0].permute(1, 2, 0).numpy(), original[:, 2:18])


def test_large_images_are_capped(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (400, 300), "red").save(tmp_path / "train" / name / "1.png")
    dataset = load_dataset(f"folder:{tmp_path}")
    assert dataset.image_size == LARGEST_SIZE == 224
    assert dataset.train.pixels[0, :, 100, 100].tolist() == [255, 0, 0]


def test_grey_and_transparent_images_become_rgb(image_folder: Path) -> None:
    Image.new("L", (20, 16), 77).save(image_folder / "train" / "cat" / "0.png")
    Image.new("RGBA", (20, 16), (1, 2, 3, 0)).save(image_folder / "train" / "cat" / "1.png")
    train = load_dataset(f"folder:{image_folder}").train
    assert train.pixels[0, :, 5, 5].tolist() == [77, 77, 77]
    assert train.pixels[1, :, 5, 5].tolist() == [1, 2, 3]


def test_searching_never_opens_the_test_images(image_folder: Path) -> None:
    broken = image_folder / "test" / "dog" / "0.png"
    broken.write_bytes(b"not an image")
    dataset = load_dataset(f"folder:{image_folder}")
    with pytest.raises(DataError, match="cannot be read as an image") as caught:
        dataset.load_test()
    assert str(broken) in str(caught.value)


def test_an_absent_test_split_says_what_to_do(image_folder: Path) -> None:
    shutil.rmtree(image_folder / "test")
    dataset = load_dataset(f"folder:{image_folder}")
    with pytest.raises(DataError, match="has no test split") as caught:
        dataset.load_test()
    assert f"under {image_folder / 'test'}/CLASS/" in str(caught.value)


def test_val_serves_as_the_test_split(image_folder: Path) -> None:
    (image_folder / "test").rename(image_folder / "val")
    assert len(load_dataset(f"folder:{image_folder}").load_test()) == 2


def test_classes_that_differ_between_the_splits_are_named(image_folder: Path) -> None:
    (image_folder / "test" / "dog").rename(image_folder / "test" / "wolf")
    with pytest.raises(DataError, match="missing: dog; unknown: wolf"):
        load_dataset(f"folder:{image_folder}").load_test()


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"])
def test_a_broken_training_image_is_named(image_folder: Path, content: bytes) -> None:
    broken = image_folder / "train" / "dog" / "1.png"
    broken.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as an image") as caught:
        load_dataset(f"folder:{image_folder}")
    assert str(broken) in str(caught.value)


def test_a_truncated_training_image_is_named(image_folder: Path) -> None:
    broken = image_folder / "train" / "dog" / "1.png"
    broken.write_bytes(broken.read_bytes()[:-200])  # the header is whole, the pixels are not
    with pytest.raises(DataError, match=r"dog/1\.png cannot be read as an image"):
        load_dataset(f"folder:{image_folder}")


def test_an_empty_class_is_named(image_folder: Path) -> None:
    (image_folder / "train" / "emu").mkdir()
    with pytest.raises(DataError, match="emu"):
        load_dataset(f"folder:{image_folder}")


@pytest.mark.parametrize("made", ["nothing", "root", "train"])
def test_an_absent_layout_is_one_clear_error(tmp_path: Path, made: str) -> None:
    root = tmp_path / "photos"
    if made != "nothing":
        (root / "train" if made == "train" else root).mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        load_dataset(f"folder:{root}")
    assert str(root if made == "nothing" else root / "train") in str(caught.value)
