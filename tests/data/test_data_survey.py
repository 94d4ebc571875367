"""What `archsearch data` finds, and the study that it suggests."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from archsearch import host
from archsearch.api.data import data, suggested_study, write_study
from archsearch.api.output import result_json
from archsearch.cli.main import app
from archsearch.data.catalog import load_dataset
from archsearch.data.decoded import on_every_core
from archsearch.data.pictures import PictureFacts, picture_facts
from archsearch.data.survey import look_at
from archsearch.errors import ArchsearchError
from archsearch.files import is_name
from archsearch.search.config import load_study


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """80 of one class and 8 of another, no split, as people have them."""
    root = tmp_path / "photos [v2]"
    generator = np.random.default_rng(0)
    for name, count in (("ok", 80), ("cat: one", 8)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:02}.png")
    (root / "ok" / "99.png").write_bytes(b"")
    (root / "ok" / "raw.heic").write_bytes(b"x")
    (root / ".thumbs").mkdir()
    return root


def test_every_split_is_counted(image_folder: Path) -> None:
    train = image_folder / "train"
    shutil.copy(train / "cat" / "0.png", image_folder / "test" / "cat" / "seen.png")
    shutil.copy(train / "cat" / "1.png", train / "dog" / "again.png")
    Image.new("L", (20, 16)).save(train / "dog" / "grey.png")
    (train / "dog" / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    (train / "notes.txt").write_bytes(b"x")
    found = look_at(f"folder:{image_folder}")
    assert [(split.name, split.count) for split in found.splits] == [("train", 8), ("test", 3)]
    assert found.train.images == {"cat": 3, "dog": 5}
    assert found.train.sizes["20x16"] == 5 and found.train.modes == {"PNG RGB": 7, "PNG L": 1}
    assert [Path(file).name for file, _ in found.train.problems] == ["cut.jpg"]
    assert found.train.left_out == {".txt": 1}
    assert sorted(each.across_splits for each in found.repeats) == [False, True]
    assert sorted(each.across_classes for each in found.repeats) == [False, True]
    assert found.image_size == 16 and found.decode_seconds is not None


def test_what_is_wrong_is_said(photos: Path) -> None:
    said = " ".join(data(f"folder:{photos}").warnings)
    for words in (
        "1 train file cannot be used as images",
        "left out: 1 .heic (pictures end in .jpg, ",
        "the folder has classes, but no splits",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("images", "splits", "said"),
    [
        (2, (), "fewer than 3 training images in dog: too few to train, validate and test"),
        (1, ("test",), "fewer than 2 training images in dog: too few to train and validate"),
        (2, ("test",), None),
        (1, ("test", "val"), None),
    ],
)
def test_a_class_is_small_if_it_has_fewer_images_than_are_taken_from_it(
    image_folder: Path, images: int, splits: tuple[str, ...], said: str | None
) -> None:
    shutil.copytree(image_folder / "test", image_folder / "val")
    for split in {"test", "val"} - set(splits):
        shutil.rmtree(image_folder / split)
    for number in range(images, 3):
        (image_folder / "train" / "dog" / f"{number}.png").unlink()
    assert [each for each in data(image_folder).warnings if "too few" in each] == ([] if said is None else [said])


def test_an_uneven_set_is_told_what_guessing_reaches_and_gets_a_fair_study(photos: Path) -> None:
    found = data(str(photos))
    assert "Always answering 'ok' is right for 90.9 % of the training images; chance is 50.0 %." in found.sentences[0]
    assert "10.0 times the images of the smallest" in found.sentences[0]
    assert found.study is not None
    assert found.study["objectives"] == ["error_percent", "latency_ms", "balanced_error_percent"]
    assert found.study["proxy"]["class_weights"] == "balanced"
    assert found.study["test_share"] == 0.15 and found.study["on_bad_image"] == "skip"


def test_the_study_that_fits_can_be_run(photos: Path, tmp_path: Path) -> None:
    write_study(data(str(photos)), tmp_path / "mine.yaml")
    config = load_study(tmp_path / "mine.yaml")
    dataset = load_dataset(config.dataset, rules=config.image_rules())
    assert config.proxy.input_size == 48 and len(dataset.load_test()) == 13  # 15 % of 88
    train, validation = dataset.split_positions(
        validation_images=config.proxy.validation_images, train_images=config.proxy.train_images, seed=0
    )
    assert len(train) + len(validation) == 75
    config.search_space()
    write_study(data(str(photos)), tmp_path / "mine.yaml")  # the same again
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    with pytest.raises(ArchsearchError, match=r"mine\.yaml holds another study"):
        write_study(data(str(photos)), tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == "name: mine\n"


@pytest.mark.parametrize("name", ["_photos", "-.photos_", "p" * 200, "\u0444\u043e\u0442\u043e"])
def test_a_folder_of_any_name_gets_a_study_whose_name_is_allowed(photos: Path, name: str) -> None:
    found = data(photos.rename(photos.with_name(name)))
    assert found.study is not None
    assert is_name(found.study["name"])


@pytest.mark.parametrize(("own", "gpu", "size"), [(500, True, 224), (500, False, 96), (50, True, 48), (8, False, 32)])
def test_the_input_size_is_one_that_the_machine_and_the_images_allow(
    image_folder: Path, own: int, gpu: bool, size: int
) -> None:

    facts = replace(look_at(f"folder:{image_folder}"), image_size=min(own, 224))
    study = suggested_study(facts, gpu=gpu)
    assert study["proxy"]["input_size"] == size
    assert study["scale"]["stem.pool"] is (size >= 96)


def test_a_folder_alone_is_looked_at_unless_a_dataset_is_called_so(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("digits", "photos: 2024"):
        shutil.copytree(image_folder, name)
    assert data("digits").facts.uri == "digits"  # as `run --set dataset=digits` takes it
    assert data(Path("digits")).facts.uri == "folder:digits"
    assert data("photos: 2024").facts.uri == "folder:photos: 2024"


def test_arrays_and_built_in_sets_are_looked_at_too(npz_folder: Path) -> None:
    found = look_at(f"npz:{npz_folder}")
    assert [(split.name, split.count) for split in found.splits] == [("train", 9), ("test", 3)]
    assert found.train.images == {"a": 3, "b": 3, "c": 3} and found.decode_seconds is None


def test_everything_is_plain_json(photos: Path) -> None:
    found = result_json(data(str(photos)))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    said = json.loads(CliRunner().invoke(app, ["data", str(photos), "--json"]).stdout)
    assert said.keys() >= found.keys()


def test_names_of_files_that_are_not_utf_8_stand_in_the_json_as_escapes(photos: Path) -> None:
    for source, name in (("00.png", b"\xe9t\xe9.png"), ("99.png", b"\xff.png"), ("raw.heic", b"x.h\xff")):
        try:
            shutil.copy(photos / "ok" / source, photos / "ok" / os.fsdecode(name))
        except OSError:
            pytest.skip("file names are UTF-8 on this system")
    ended = CliRunner().invoke(app, ["data", str(photos), "--json"])
    assert ended.exit_code == 0, ended.exception
    for name in ("\\udce9t\\udce9.png", "\\udcff.png", ".h\\udcff"):
        assert json.dumps(name).strip('"') in ended.stdout


def test_the_command_prints_names_as_they_are_and_writes_the_study(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "study.yaml"
    done = CliRunner().invoke(app, ["data", f"folder:{photos}", "--out", str(out)])
    assert done.exit_code == 0 and out.is_file()
    assert "photos [v2]" in done.output and "cat: one" in done.output


def test_two_calls_look_at_a_file_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look_at(f"folder:{photos}")
    looked: list[Path] = []
    real = picture_facts

    def look(file: Path, *, whole: bool) -> PictureFacts:
        looked.append(file)
        return real(file, whole=whole)

    monkeypatch.setattr("archsearch.data.folder.picture_facts", look)
    look_at(f"folder:{photos}")
    assert [file.name for file in looked] == ["99.png"]  # the empty one: what has a problem is looked at again
    looked.clear()
    Image.new("RGB", (9, 9)).save(photos / "ok" / "00.png")
    look_at(f"folder:{photos}")
    assert {file.name for file in looked} == {"00.png", "99.png"}


def test_pictures_are_decoded_on_as_many_cores_as_a_container_may_use(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(64)))
    monkeypatch.setattr(host, "_CGROUP", tmp_path)
    (tmp_path / "cpu.max").write_text("200000 100000\n")

    def thread(_item: int) -> int:
        time.sleep(0.01)  # so that no thread takes two of them before the others are started
        return threading.get_ident()

    assert len(set(on_every_core(thread, range(16)))) == 2
    assert look_at(f"folder:{image_folder}", data_dir=tmp_path / "cache").cores == 2
