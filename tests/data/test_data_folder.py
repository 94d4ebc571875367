from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from archsearch.api.data import data
from archsearch.data.catalog import load_dataset
from archsearch.data.folder import LARGEST_SIZE
from archsearch.data.images import Images, ImageSource, fingerprint_of
from archsearch.data.split import stratified_split
from archsearch.errors import ConfigError, DataError
from archsearch.image_rules import ImageRules


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def pixels_of(source: ImageSource, image_size: int | None = None) -> torch.Tensor:
    return source.read(image_size=image_size).gathered(slice(None))


def test_the_size_is_the_short_side_of_the_most_common_size(image_folder: Path) -> None:
    dataset = load_dataset(f"folder:{image_folder}")
    assert dataset.image_size == 16  # three of six training images are 20 x 16
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert pixels_of(dataset.load_test()).shape == (2, 3, 16, 16)


def test_an_image_of_that_short_side_is_cut_evenly_at_both_ends(image_folder: Path) -> None:
    dataset = load_dataset(f"folder:{image_folder}")
    with Image.open(image_folder / "train" / "cat" / "0.png") as image:
        original = np.asarray(image)  # 16 rows, 20 columns: columns 2 to 17 stay
    assert np.array_equal(pixels_of(dataset.train)[0].permute(1, 2, 0).numpy(), original[:, 2:18])


def test_the_common_size_is_of_pictures_that_stand_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (48, 32)).save(tmp_path / "train" / name / "1.jpg", exif=exif)  # upright 32 x 48
        Image.new("RGB", (32, 48)).save(tmp_path / "train" / name / "2.jpg")
        Image.new("RGB", (20, 90)).save(tmp_path / "train" / name / "3.jpg")
    assert load_dataset(f"folder:{tmp_path}").image_size == 32


def test_large_images_are_capped_where_no_size_is_asked_for(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (400, 300), "red").save(tmp_path / "train" / name / "1.png")
    dataset = load_dataset(f"folder:{tmp_path}")
    assert dataset.image_size == LARGEST_SIZE == 224
    assert pixels_of(dataset.train)[0, :, 100, 100].tolist() == [255, 0, 0]


def test_a_size_above_the_usual_one_is_real(tmp_path: Path) -> None:
    lines = np.zeros((320, 320, 3), dtype=np.uint8)
    lines[:, ::2] = 255  # one pixel each: a way through 224 pixels would blur them
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.fromarray(lines).save(tmp_path / "train" / name / "1.png")
    train = load_dataset(f"folder:{tmp_path}").training_images(320)
    assert train.image_size == 320
    assert np.array_equal(train.gathered(slice(0, 1))[0].permute(1, 2, 0).numpy(), lines)


def test_only_the_images_that_are_used_are_decoded(image_folder: Path) -> None:
    dataset = load_dataset(f"folder:{image_folder}")
    told: list[tuple[int, int]] = []
    train, validation = dataset.split(
        validation_images=2,
        train_images=2,
        seed=0,
        image_size=8,
        on_decoded=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 2), (2, 2)] * 2
    assert train.pixels.shape == validation.pixels.shape == (2, 3, 8, 8)


def test_grey_and_transparent_images_become_rgb(image_folder: Path) -> None:
    Image.new("L", (20, 16), 77).save(image_folder / "train" / "cat" / "0.png")
    Image.new("RGBA", (20, 16), (1, 2, 3, 0)).save(image_folder / "train" / "cat" / "1.png")
    train = load_dataset(f"folder:{image_folder}", rules=ImageRules(background="black")).train
    assert pixels_of(train)[0, :, 5, 5].tolist() == [77, 77, 77]
    assert pixels_of(train)[1, :, 5, 5].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "hidden", [".ipynb_checkpoints", ".DS_Store", "__MACOSX", "Thumbs.db", ".git", "@eaDir", "$RECYCLE.BIN"]
)
@pytest.mark.parametrize("level", ["", "train", "train/cat", "test"])
def test_hidden_and_system_files_are_left_out_at_every_level(image_folder: Path, hidden: str, level: str) -> None:
    before = load_dataset(f"folder:{image_folder}")
    place = image_folder / level / hidden
    place.mkdir()
    shutil.copy(image_folder / "train" / "cat" / "0.png", place / "x-checkpoint.png")
    shutil.copy(image_folder / "train" / "cat" / "0.png", image_folder / "train" / "dog" / "._0.png")
    after = load_dataset(f"folder:{image_folder}")
    assert after.classes == ("cat", "dog") and len(after.train) == 6
    assert after.fingerprint == before.fingerprint
    after.check_test()


def test_what_is_left_out_is_counted_in_one_sentence(image_folder: Path) -> None:
    for name in ("train/cat/a.heic", "train/cat/b.HEIC", "train/notes.txt", "test/dog/raw.cr2", "train/dog/noending"):
        (image_folder / name).write_bytes(b"x")
    Image.new("RGB", (20, 16)).save(image_folder / "train" / "cat" / "c.gif")
    Image.new("RGB", (20, 16)).save(image_folder / "train" / "cat" / "d.jfif", format="JPEG")
    dataset = load_dataset(f"folder:{image_folder}")
    assert dataset.train.labels.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    (note,) = dataset.notes()
    assert "left out: 2 .heic, 1 .txt, 1 without an ending, 1 .cr2" in note


def test_pictures_outside_of_class_folders_are_not_said_to_end_as_no_picture_does(image_folder: Path) -> None:
    for name in ("train/one.png", "train/two.PNG", "test/three.png"):
        shutil.copy(image_folder / "train" / "cat" / "0.png", image_folder / name)
    (image_folder / "train" / "notes.txt").write_bytes(b"x")
    dataset = load_dataset(f"folder:{image_folder}")
    assert len(dataset.train) == 6
    (note,) = dataset.notes()
    assert "left out: 3 .png outside of class folders, 1 .txt (pictures end in .jpg, " in note
    assert any("left out: 3 .png outside of class folders" in said for said in data(image_folder).warnings)


def test_every_bad_file_is_listed_at_once(image_folder: Path) -> None:
    train = image_folder / "train"
    (train / "cat" / "0.png").write_bytes((train / "cat" / "0.png").read_bytes()[:-200])
    (train / "cat" / "1.png").write_bytes(b"")
    (train / "dog" / "0.png").unlink()
    (train / "dog" / "0.png").symlink_to("nowhere")
    with pytest.raises(DataError, match="3 files cannot be read as images") as caught:
        load_dataset(f"folder:{image_folder}")
    assert all(name in str(caught.value) for name in ("cat/0.png", "cat/1.png: it is empty", "dog/0.png: it is a link"))
    assert "on_bad_image: skip" in str(caught.value.hint)


def test_bad_files_are_skipped_with_a_count(image_folder: Path) -> None:
    train = image_folder / "train"
    content = (train / "cat" / "0.png").read_bytes()
    (train / "cat" / "0.png").write_bytes(content[:200] + b"????????" + content[208:])  # found by decoding only
    (train / "dog" / "1.png").write_bytes(b"")
    dataset = load_dataset(f"folder:{image_folder}", rules=ImageRules(on_bad_image="skip"))
    assert dataset.train.labels.tolist() == [0, 0, 1, 1]
    assert "2 files cannot be read as images" in dataset.notes()[0]
    assert len(pixels_of(dataset.train)) == 4


def test_a_file_that_was_repaired_is_read_again(image_folder: Path) -> None:
    broken = image_folder / "train" / "cat" / "0.png"
    content = broken.read_bytes()
    broken.write_bytes(b"")
    with pytest.raises(DataError):
        load_dataset(f"folder:{image_folder}")
    broken.write_bytes(content)
    assert len(load_dataset(f"folder:{image_folder}").train) == 6


def test_a_file_that_could_not_be_read_once_is_looked_at_again(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def refused(file: Path) -> bytes:
        if file.suffix == ".png":  # a right that is given later changes neither a file's size nor its time
            raise PermissionError(errno.EACCES, "Permission denied")
        return read(file)

    with monkeypatch.context() as without_rights, pytest.raises(DataError, match="Permission denied"):
        without_rights.setattr(Path, "read_bytes", refused)
        load_dataset(f"folder:{image_folder}")
    assert len(load_dataset(f"folder:{image_folder}").train) == 6


def test_the_fingerprint_is_of_content_and_label_not_of_names(image_folder: Path, tmp_path: Path) -> None:
    before = load_dataset(f"folder:{image_folder}").fingerprint
    moved = shutil.copytree(image_folder, tmp_path / "moved")
    (moved / "train" / "cat" / "0.png").rename(moved / "train" / "cat" / "00.png")
    assert load_dataset(f"folder:{moved}").fingerprint == before
    shutil.move(moved / "train" / "cat" / "2.png", moved / "train" / "dog" / "a.png")
    assert load_dataset(f"folder:{moved}").fingerprint != before


def test_a_study_of_before_reads_as_it_did(image_folder: Path) -> None:
    # by the former version's own steps: fit to the common size, then torch's resize to the input size
    shutil.copytree(image_folder / "test", image_folder / "val")
    files = [image_folder / "train" / name / f"{number}.png" for name in ("cat", "dog") for number in range(3)]
    read = [
        np.array(ImageOps.fit(Image.open(file).convert("RGB"), (16, 16), Image.Resampling.BICUBIC)) for file in files
    ]
    pixels = torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).contiguous()
    expected = Images(pixels, torch.tensor([0, 0, 0, 1, 1, 1]))
    dataset = load_dataset(f"folder:{image_folder}", rules=ImageRules(former=True))
    assert dataset.fingerprint == fingerprint_of(expected) != load_dataset(f"folder:{image_folder}").fingerprint
    assert dataset.validation is None
    assert torch.equal(dataset.training_images(8).resized(8).gathered(slice(None)), expected.resized(8).pixels)
    train, validation = stratified_split(expected, validation_images=2, train_images=3, seed=0)
    found = dataset.split(validation_images=2, train_images=3, seed=0, image_size=8)
    assert torch.equal(found[0].gathered(slice(None)), train.gathered(slice(None)))
    assert torch.equal(found[1].gathered(slice(None)), validation.gathered(slice(None)))


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


def test_val_alone_is_the_test_split_and_that_is_said(image_folder: Path) -> None:
    (image_folder / "test").rename(image_folder / "val")
    dataset = load_dataset(f"folder:{image_folder}")
    assert dataset.validation is None and len(dataset.load_test()) == 2
    assert "it is the test split, and the search validates on images that it splits off 'train'" in dataset.notes()[0]


def test_pictures_that_stand_twice_are_counted(image_folder: Path) -> None:
    assert load_dataset(f"folder:{image_folder}").notes() == ()
    train = image_folder / "train"
    shutil.copy(train / "cat" / "0.png", train / "cat" / "copy.png")
    shutil.copy(train / "cat" / "0.png", train / "dog" / "copy.png")
    shutil.copy(train / "dog" / "1.png", image_folder / "test" / "dog" / "seen.png")
    shutil.copytree(image_folder / "train", image_folder / "val")
    said = load_dataset(f"folder:{image_folder}").notes()
    assert [note.rpartition("': ")[2] for note in said] == [
        "of 8 training pictures 2 repeat others; 1 stand in two classes",
        "the training split has 8 validation pictures, too: accuracies come out too high",
        "the training split has 1 test picture, too: accuracies come out too high",
    ]


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_own_validation_images_validate_and_test_images_test(image_folder: Path, name: str) -> None:
    (image_folder / name / "cat").mkdir(parents=True)
    (image_folder / name / "dog").mkdir()
    for number, label in enumerate(("cat", "cat", "dog", "dog")):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(image_folder / name / label / f"{number}.png")
    dataset = load_dataset(f"folder:{image_folder}")
    train, validation = dataset.split(validation_images=5000, train_images=None, seed=0, image_size=16)
    assert len(train) == 6 and validation.gathered(slice(None))[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert len(dataset.load_test()) == 2
    some = dataset.split(validation_images=2, train_images=2, seed=0, image_size=16)
    assert [sorted(part.labels.tolist()) for part in some] == [[0, 1], [0, 1]]


def test_two_validation_folders_are_refused(image_folder: Path) -> None:
    for name in ("val", "validation"):
        shutil.copytree(image_folder / "test", image_folder / name)
    with pytest.raises(DataError, match="has the folders val and validation"):
        load_dataset(f"folder:{image_folder}")


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take Train for train")
@pytest.mark.parametrize("share", [None, 0.15])
@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("training", "testing"), ("TRAIN", "VALIDATION")])
def test_splits_of_other_names_are_not_taken_for_classes(
    image_folder: Path, train: str, test: str, share: float | None
) -> None:
    (image_folder / "train").rename(image_folder / train)
    (image_folder / "test").rename(image_folder / test)
    with pytest.raises(DataError, match="which would be taken for classes") as caught:
        load_dataset(f"folder:{image_folder}", rules=ImageRules(test_share=share))
    assert caught.value.hint == "if they are splits, name them train, val and test, in lower case"


def test_a_class_of_trains_among_others_is_a_class(tmp_path: Path) -> None:
    flat = _flat(tmp_path, {"Car": 4, "Train": 4})
    assert load_dataset(f"folder:{flat}", rules=ImageRules(test_share=0.5)).classes == ("Car", "Train")


def _flat(tmp_path: Path, counts: dict[str, int]) -> Path:
    for number, (name, count) in enumerate(counts.items()):
        (tmp_path / "flat" / name).mkdir(parents=True)
        for image in range(count):
            Image.new("RGB", (8, 8), (number, image, 0)).save(tmp_path / "flat" / name / f"{image:03}.png")
    return tmp_path / "flat"


def test_a_share_of_every_class_is_held_out_of_a_folder_without_splits(tmp_path: Path) -> None:
    flat = _flat(tmp_path, {"a": 40, "b": 20, "c": 3})
    dataset = load_dataset(f"folder:{flat}", rules=ImageRules(test_share=0.2))
    test = pixels_of(dataset.load_test())
    # 13 of 63: 8.25, 4.13 and 0.62 of each class
    assert torch.bincount(test[:, 0, 0, 0].long()).tolist() == [8, 4, 1]
    kept = pixels_of(dataset.train)
    assert len(kept) == 50
    assert not {tuple(p) for p in kept[:, :2, 0, 0].tolist()} & {tuple(p) for p in test[:, :2, 0, 0].tolist()}
    shown = [np.asarray(Image.open(flat / name))[0, 0].tolist() for name in dataset.held_out]
    assert shown == test[:, :, 0, 0].tolist()
    again = load_dataset(f"folder:{flat}", rules=ImageRules(test_share=0.2))
    assert again.fingerprint == dataset.fingerprint
    assert load_dataset(f"folder:{flat}", rules=ImageRules(test_share=0.3)).fingerprint != dataset.fingerprint


def test_a_held_out_picture_that_is_damaged_within_is_named_before_a_search_is_done_without_it(tmp_path: Path) -> None:
    flat, rules = _flat(tmp_path, {"a": 40, "b": 20}), ImageRules(test_share=0.2)
    before = load_dataset(f"folder:{flat}", rules=rules)
    before.check_test()
    broken = flat / before.held_out[3]
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(broken, format="WEBP", lossless=True)  # a PNG is decoded when it is looked at
    content = broken.read_bytes()
    broken.write_bytes(content[:60] + b"?" * 40 + content[100:])  # found by decoding only
    dataset = load_dataset(f"folder:{flat}", rules=rules)
    assert (dataset.held_out, dataset.fingerprint) == (before.held_out, before.fingerprint)
    with pytest.raises(DataError, match="cannot be read as an image") as caught:
        dataset.check_test()
    assert str(broken) in str(caught.value)


def test_held_out_pictures_that_are_trained_on_too_are_counted(tmp_path: Path) -> None:
    flat = _flat(tmp_path, {"a": 40, "b": 10})
    for file in (flat / "b").iterdir():
        Image.new("RGB", (8, 8), (9, 9, 9)).save(file)
    # 10 of 50 are held out, 8 of a and 2 of b: 40 are trained on, 8 of them are one picture, which the 2 are as well
    notes = load_dataset(f"folder:{flat}", rules=ImageRules(test_share=0.2)).notes()
    assert [note.rpartition("': ")[2] for note in notes] == [
        "of 40 training pictures 7 repeat others",
        "the training split has 2 test pictures, too: accuracies come out too high",
    ]


def test_a_folder_without_splits_is_told_of_the_held_out_share(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder") as caught:
        load_dataset(f"folder:{_flat(tmp_path, {'a': 2, 'b': 2})}")
    assert "if a, b are the classes" in str(caught.value.hint) and "test_share: 0.15" in str(caught.value.hint)


def test_the_held_out_share_is_refused_beside_a_test_split(image_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"test_share is 0\.15, but .* has a test split of its own"):
        load_dataset(f"folder:{image_folder}", rules=ImageRules(test_share=0.15))


def test_no_share_at_all_goes_without_testing(image_folder: Path) -> None:
    shutil.rmtree(image_folder / "test")
    load_dataset(f"folder:{image_folder}", rules=ImageRules(test_share=0)).check_test()
    with pytest.raises(DataError, match="has no test split"):
        load_dataset(f"folder:{image_folder}").check_test()


def test_what_went_without_testing_is_tested_once_there_are_test_images(image_folder: Path, tmp_path: Path) -> None:
    rules = ImageRules(test_share=0)
    (image_folder / "test").rename(tmp_path / "later")
    before = load_dataset(f"folder:{image_folder}", rules=rules)
    with pytest.raises(DataError, match="has no test split") as caught:
        before.load_test()
    assert f"under {image_folder / 'test'}/CLASS/" in str(caught.value.hint)
    (tmp_path / "later").rename(image_folder / "test")
    after = load_dataset(f"folder:{image_folder}", rules=rules)
    assert (after.fingerprint, len(after.load_test())) == (before.fingerprint, 2)


def test_one_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is one class, 'only'"):
        load_dataset(f"folder:{_flat(tmp_path, {'only': 4})}", rules=ImageRules(test_share=0))


def test_a_class_of_one_image_is_named(tmp_path: Path) -> None:
    dataset = load_dataset(f"folder:{_flat(tmp_path, {'a': 9, 'lonely': 1})}", rules=ImageRules(test_share=0))
    with pytest.raises(DataError, match=r"a class needs 2 images, .*: 'lonely' has 1"):
        dataset.split_positions(validation_images=2, train_images=None, seed=0)


def test_a_class_of_one_image_is_not_held_out_whole(tmp_path: Path) -> None:
    flat = _flat(tmp_path, {"a": 40, "b": 20, "lonely": 1})
    with pytest.raises(DataError, match=r"a class needs 2 images, one to train on and one to test on: 'lonely' has 1"):
        load_dataset(f"folder:{flat}", rules=ImageRules(test_share=0.2))
    Image.new("RGB", (8, 8)).save(flat / "lonely" / "001.png")
    dataset = load_dataset(f"folder:{flat}", rules=ImageRules(test_share=0.2))
    for part in (dataset.train, dataset.load_test()):
        assert set(part.labels.tolist()) == {0, 1, 2}


def test_classes_that_differ_between_the_splits_are_named_without_opening_images(image_folder: Path) -> None:
    (image_folder / "test" / "dog").rename(image_folder / "test" / "wolf")
    for file in (image_folder / "test").rglob("*.png"):
        file.write_bytes(b"cannot be opened")
    dataset = load_dataset(f"folder:{image_folder}")
    for look in (dataset.check_test, dataset.load_test):
        with pytest.raises(DataError, match="missing: dog; unknown: wolf"):
            look()


@pytest.mark.parametrize(("train", "test"), [("Goose", "goose"), ("caf\u00e9", "cafe\u0301")])
def test_names_that_differ_in_case_or_accents_only_are_said_to(image_folder: Path, train: str, test: str) -> None:
    (image_folder / "train" / "dog").rename(image_folder / "train" / train)
    (image_folder / "test" / "dog").rename(image_folder / "test" / test)
    with pytest.raises(DataError, match="differ only in upper and lower case or in how accents are written"):
        load_dataset(f"folder:{image_folder}").check_test()


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems refuse such names")
def test_names_that_are_not_utf_8_are_read_but_those_of_classes_which_are_told_to_be_renamed(
    image_folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / os.fsdecode(b"caf\xe9")
    image_folder.rename(root)
    (root / "train" / "dog" / "0.png").rename(root / "train" / "dog" / os.fsdecode(b"\xe9.png"))
    assert len(load_dataset(f"folder:{root}").train) == 6
    (root / "train" / "dog").rename(root / "train" / os.fsdecode(b"ch\xe9ri"))
    with pytest.raises(DataError, match=r"'ch\\udce9ri' is no name of a class: it is not UTF-8"):
        load_dataset(f"folder:{root}")


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


@pytest.mark.parametrize("place", ["train", "train/dog", "train/dog/more"])
def test_a_folder_that_may_not_be_listed_is_named_at_every_level(
    image_folder: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = image_folder / place
    closed.mkdir(exist_ok=True)
    real = os.scandir

    def scandir(path: Path | str) -> object:
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=f"{re.escape(str(closed))} cannot be listed: Permission denied"):
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
