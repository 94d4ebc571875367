from __future__ import annotations

import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch.data.catalog import load_dataset
from archsearch.data.images import channel_statistics
from archsearch.data.split import stratified_split
from archsearch.errors import ConfigError, DataError
from archsearch.image_rules import ImageRules


def _change(file: Path, **changes: Any) -> None:
    """Save the file again with some arrays replaced, or left out where None."""
    with np.load(file) as archive:
        arrays = {key: archive[key] for key in archive.files}
    arrays |= changes
    np.savez(file, **{key: value for key, value in arrays.items() if value is not None})


def test_arrays_are_read_as_they_are(npz_folder: Path) -> None:
    dataset = load_dataset(f"npz:{npz_folder}")
    with np.load(npz_folder / "train.npz") as archive:
        assert np.array_equal(dataset.train.pixels.permute(0, 2, 3, 1).numpy(), archive["images"])
        assert np.array_equal(dataset.train.labels.numpy(), archive["labels"])
    assert dataset.classes == ("a", "b", "c")
    assert len(dataset.load_test()) == 3


@pytest.mark.parametrize("shape", [(9, 6, 6), (9, 6, 6, 1)])
def test_grey_images_get_three_equal_channels(npz_folder: Path, shape: tuple[int, ...]) -> None:
    grey = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    _change(npz_folder / "train.npz", images=grey)
    pixels = load_dataset(f"npz:{npz_folder}").train.pixels.numpy()
    for channel in range(3):
        assert np.array_equal(pixels[:, channel], grey.reshape(9, 6, 6))


def test_images_of_one_pixel_are_memory_of_their_own(npz_folder: Path) -> None:
    _change(npz_folder / "train.npz", images=np.zeros((9, 1, 1, 3), dtype=np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of arrays that may not be written
        assert load_dataset(f"npz:{npz_folder}").train.pixels.shape == (9, 3, 1, 1)


def test_classes_without_names_are_numbered(npz_folder: Path) -> None:
    _change(npz_folder / "train.npz", classes=None)
    _change(npz_folder / "test.npz", classes=None)
    dataset = load_dataset(f"npz:{npz_folder}")
    assert dataset.classes == ("0", "1", "2")
    assert len(dataset.load_test()) == 3


_IMAGES = np.zeros((9, 6, 6, 3), dtype=np.uint8)
_WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no images": ({"images": None}, "key 'images' is missing; the keys are: labels, classes"),
    "no labels": ({"labels": None}, "key 'labels' is missing"),
    "float images": ({"images": _IMAGES.astype(np.float32)}, "key 'images': must be uint8"),
    "channels first": ({"images": _IMAGES.transpose(0, 3, 1, 2)}, r"transpose to channels last"),
    "four channels": ({"images": np.zeros((9, 6, 6, 4), np.uint8)}, "key 'images': must have shape"),
    "one dimension": ({"images": np.zeros(9, np.uint8)}, "key 'images': must have shape"),
    "not square": ({"images": np.zeros((9, 6, 8, 3), np.uint8)}, "key 'images': must be square, got 6 x 8 pixels"),
    "empty": ({"images": _IMAGES[:0], "labels": np.zeros(0, int)}, "key 'images': there are no images"),
    "float labels": ({"labels": np.zeros(9)}, "key 'labels': must be integers, got float64"),
    "one-hot labels": ({"labels": np.eye(9, dtype=int)}, "key 'labels': must have shape"),
    "fewer labels": ({"labels": np.arange(8) % 3}, "key 'labels': 8 labels for 9 images"),
    "negative label": ({"labels": np.array([0, 1, 2, 0, -1, 2, 0, 1, 2])}, "got -1 at position 4"),
    "label out of range": ({"labels": np.arange(9)}, "highest label is 8, but there are 3 classes"),
    "object labels": ({"labels": np.array(list(range(9)), dtype=object)}, "key 'labels' cannot be read"),
    "object classes": ({"classes": np.array(["a", "b", None])}, "key 'classes' cannot be read"),
    "numbers for classes": ({"classes": np.arange(3)}, "key 'classes': must be text"),
    "one name twice": ({"classes": np.array(["a", "b", "a"])}, "key 'classes': a name stands there twice"),
}


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("wrong", _WRONG)
def test_a_wrong_array_is_named_with_its_file_and_key(npz_folder: Path, wrong: str, split: str) -> None:
    changes, says = _WRONG[wrong]
    file = npz_folder / f"{split}.npz"
    with np.load(file) as archive:
        if split == "test" and not wrong.startswith("object"):
            np.savez(file, images=_IMAGES, labels=np.arange(9) % 3, classes=archive["classes"])
    _change(file, **changes)
    uri = f"npz:{npz_folder}"
    with pytest.raises(DataError, match=says) as caught:
        load_dataset(uri).load_test() if split == "test" else load_dataset(uri)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text", "truncated"])
def test_a_file_that_is_no_archive_is_named(npz_folder: Path, content: bytes | str) -> None:
    file = npz_folder / "train.npz"
    file.write_bytes(file.read_bytes()[:-200] if isinstance(content, str) else content)
    with pytest.raises(DataError, match=r"cannot be read as a numpy \.npz archive") as caught:
        load_dataset(f"npz:{npz_folder}")
    assert str(file) in str(caught.value)


def test_a_damaged_array_inside_the_archive_is_named(npz_folder: Path) -> None:
    file = npz_folder / "train.npz"
    raw = bytearray(file.read_bytes())
    raw[400] ^= 0xFF  # in the pixels: the archive's checksum no longer holds
    file.write_bytes(bytes(raw))
    with pytest.raises(DataError, match="key 'images' cannot be read"):
        load_dataset(f"npz:{npz_folder}")


def test_a_bare_array_is_named(npz_folder: Path) -> None:
    with (npz_folder / "train.npz").open("wb") as file:
        np.save(file, _IMAGES)
    with pytest.raises(DataError, match=r"save it with numpy\.savez"):
        load_dataset(f"npz:{npz_folder}")


@pytest.mark.parametrize("absent", ["folder", "train.npz"])
def test_what_is_absent_is_named(npz_folder: Path, absent: str) -> None:
    if absent == "folder":
        npz_folder = npz_folder / "other"
    else:
        (npz_folder / "train.npz").unlink()
    with pytest.raises(DataError) as caught:
        load_dataset(f"npz:{npz_folder}")
    assert str(npz_folder if absent == "folder" else npz_folder / absent) in str(caught.value)


@pytest.mark.parametrize("how", ["absent", "damaged"])
def test_searching_never_opens_the_test_file(npz_folder: Path, how: str) -> None:
    file = npz_folder / "test.npz"
    file.unlink()
    if how == "damaged":
        file.write_bytes(b"damaged")
    dataset = load_dataset(f"npz:{npz_folder}")
    assert len(dataset.train) == 9
    with pytest.raises(DataError) as caught:
        dataset.load_test()
    assert str(file) in str(caught.value)


def test_splits_must_agree_in_size_and_classes(npz_folder: Path) -> None:
    file = npz_folder / "test.npz"
    _change(file, classes=np.array(["a", "c", "b"]))
    with pytest.raises(DataError, match="key 'classes': not the same names"):
        load_dataset(f"npz:{npz_folder}").load_test()
    _change(file, classes=np.array(["a", "b", "c"]), images=np.zeros((3, 8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="the images are 8 pixels wide"):
        load_dataset(f"npz:{npz_folder}").load_test()


def test_a_fingerprint_changes_with_one_pixel_and_with_one_label(npz_folder: Path) -> None:
    def fingerprint() -> str:
        return load_dataset(f"npz:{npz_folder}").fingerprint

    first = fingerprint()
    with np.load(npz_folder / "train.npz") as archive:
        images, labels = archive["images"].copy(), archive["labels"].copy()
    images[8, 5, 5, 2] ^= 1
    _change(npz_folder / "train.npz", images=images)
    second = fingerprint()
    labels[0] = 1
    _change(npz_folder / "train.npz", labels=labels)
    assert len({first, second, fingerprint()}) == 3


def test_the_real_cifar10_images_are_read_and_split() -> None:
    folder = os.environ.get("ARCHSEARCH_TEST_CIFAR10")
    if not folder:
        pytest.skip("ARCHSEARCH_TEST_CIFAR10 names no folder with CIFAR-10 as train.npz and test.npz")
    dataset = load_dataset(f"npz:{folder}")
    assert dataset.train.labels.bincount().tolist() == [5000] * 10
    assert dataset.load_test().labels.bincount().tolist() == [1000] * 10
    mean, std = channel_statistics(dataset.train)
    # the values that CIFAR-10 recipes print; copies that went through a lossy format differ in the third digit
    assert mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=3e-3)
    assert std == pytest.approx((0.2470, 0.2435, 0.2616), abs=3e-3)
    train, validation = stratified_split(dataset.train, validation_images=5000, train_images=10_000, seed=0)
    assert train.labels.bincount().tolist() == [1000] * 10
    assert validation.labels.bincount().tolist() == [500] * 10


@pytest.mark.parametrize(
    ("labels", "named", "says"),
    [
        ([0, 100, 200] * 3, False, r"3 different labels \(0, 100, 200\), but the highest says 201 classes"),
        ([1, 2, 3] * 3, False, r"3 different labels \(1, 2, 3\), but the highest says 4 classes"),
        ([0, 1, 2**31 - 1] * 3, False, r"the highest says 2,147,483,648 classes"),
        (
            np.array([0, 1, 2**64 - 1] * 3, dtype=np.uint64),
            False,
            r"the highest says 18,446,744,073,709,551,616 classes",
        ),
        ([0, 2, 2] * 3, True, r"2 different labels \(0, 2\), but key 'classes' names 3 classes"),
        ([0] * 9, False, "there is one class, '0'"),
    ],
)
def test_labels_that_name_no_classes_are_refused_in_a_line(
    npz_folder: Path, labels: Any, named: bool, says: str
) -> None:
    _change(npz_folder / "train.npz", labels=np.asarray(labels), **({} if named else {"classes": None}))
    with pytest.raises(DataError, match=says):
        load_dataset(f"npz:{npz_folder}")


def _member(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def _replace_images(file: Path, member: bytes, compression: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(file) as archive:
        others = {name: archive.read(name) for name in archive.namelist() if name != "images.npy"}
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in {"images.npy": member, **others}.items():
            archive.writestr(name, content)


def test_a_header_that_claims_terabytes_is_refused_before_anything_is_allocated(npz_folder: Path) -> None:
    _replace_images(npz_folder / "train.npz", _member((9, 2**20, 2**20, 3)))
    with pytest.raises(DataError, match=r"key 'images': its header claims shape \(9, 1048576, 1048576, 3\)"):
        load_dataset(f"npz:{npz_folder}")


def test_an_archive_that_unpacks_to_more_than_the_memory_is_refused(
    npz_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.data.npz.os.sysconf", lambda _: 100)  # a machine of 10,000 bytes
    _replace_images(npz_folder / "train.npz", _member((9, 60, 60, 3), bytes(9 * 60 * 60 * 3)))
    with pytest.raises(DataError, match=r"key 'images': its 0\.0 GiB do not fit in this machine's 0\.0 GiB"):
        load_dataset(f"npz:{npz_folder}")


def test_an_encrypted_member_is_refused_in_a_line(npz_folder: Path) -> None:
    file = npz_folder / "train.npz"
    content = bytearray(file.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # bit 0 of the flags, PKWARE's APPNOTE 4.4.4
        start = content.find(signature)
        while start >= 0:
            content[start + at] |= 1
            start = content.find(signature, start + 4)
    file.write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        load_dataset(f"npz:{npz_folder}")


def test_a_share_is_held_out_where_there_is_no_test_file(npz_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"has a test\.npz of its own"):
        load_dataset(f"npz:{npz_folder}", rules=ImageRules(test_share=0.34))
    (npz_folder / "test.npz").unlink()
    with pytest.raises(DataError, match=r"has no test\.npz"):
        load_dataset(f"npz:{npz_folder}").check_test()
    dataset = load_dataset(f"npz:{npz_folder}", rules=ImageRules(test_share=0.34))
    dataset.check_test()
    assert sorted(dataset.load_test().labels.tolist()) == [0, 1, 2]
    assert sorted(dataset.train.labels.tolist()) == [0, 0, 1, 1, 2, 2]


def test_what_went_without_testing_is_tested_once_there_is_a_test_file(npz_folder: Path) -> None:
    content = (npz_folder / "test.npz").read_bytes()
    (npz_folder / "test.npz").unlink()
    before = load_dataset(f"npz:{npz_folder}", rules=ImageRules(test_share=0))
    before.check_test()
    (npz_folder / "test.npz").write_bytes(content)
    after = load_dataset(f"npz:{npz_folder}", rules=ImageRules(test_share=0))
    assert (after.fingerprint, len(after.load_test())) == (before.fingerprint, 3)


def test_own_validation_arrays_validate(npz_folder: Path) -> None:
    (npz_folder / "val.npz").write_bytes((npz_folder / "test.npz").read_bytes())
    train, validation = load_dataset(f"npz:{npz_folder}").split(
        validation_images=100, train_images=None, seed=0, image_size=6
    )
    assert (len(train), len(validation)) == (9, 3)


def test_a_study_is_told_of_other_validation_arrays(npz_folder: Path) -> None:
    found = [load_dataset(f"npz:{npz_folder}").fingerprint]
    for seed in (0, 1):
        images = np.random.default_rng(seed).integers(0, 256, (3, 6, 6, 3), dtype=np.uint8)
        np.savez(npz_folder / "val.npz", images=images, labels=np.arange(3))
        found += [load_dataset(f"npz:{npz_folder}").fingerprint for _ in range(2)]
    assert found[1] == found[2] and found[3] == found[4]
    assert len({found[0], found[1], found[3]}) == 3
