from __future__ import annotations

import csv
import hashlib
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from archsearch.data.dataset import Dataset
from archsearch.errors import ConfigError, DataError, StoreError, UnknownNameError
from archsearch.image_rules import ImageRules
from archsearch.models.families import FAMILIES
from archsearch.models.model_info import ModelInfo
from archsearch.training.model_folder import ModelFacts, evaluate_folder, load, read_info, save_model_folder
from archsearch.training.protocols import PROTOCOLS
from archsearch.training.retrain import RetrainedSeed, retrain_seed

SPEC = FAMILIES["shufflenet_v2"].base.with_choices({"width": 0.5, "units": 1, "kernel": 5})


def facts_of(dataset: Dataset, seeds: list[RetrainedSeed]) -> ModelFacts:
    return ModelFacts(
        name="trial 7",
        spec=SPEC,
        classes=dataset.classes,
        input_size=32,
        mean=seeds[0].mean,
        std=seeds[0].std,
        scores=tuple(seed.score for seed in seeds),
        protocol=PROTOCOLS["one-cycle"],
        batch_size=seeds[0].batch_size,
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        study="a-study",
        trial=7,
    )


@pytest.fixture(scope="module")
def seeds(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[RetrainedSeed]:
    work = tmp_path_factory.mktemp("work")
    return [
        retrain_seed(
            SPEC, dataset, PROTOCOLS["one-cycle"], epochs=2, batch_size=16, seed=seed, input_size=32, device="cpu",
            folder=work,
        )
        for seed in (3, 4)
    ]  # fmt: skip


@pytest.fixture
def folder(dataset: Dataset, seeds: list[RetrainedSeed], tmp_path: Path) -> Path:
    return save_model_folder(tmp_path / "model", facts_of(dataset, seeds), weights_from=seeds[0].weights)


def test_the_reloaded_network_repeats_its_test_accuracy_exactly(
    folder: Path, dataset: Dataset, seeds: list[RetrainedSeed]
) -> None:
    assert evaluate_folder(folder, dataset) == seeds[0].score.top1_percent
    assert load(folder).archsearch.test_top1_percent[0] == seeds[0].score.top1_percent  # type: ignore[union-attr, index]


def test_a_model_is_called_as_the_link_to_its_folder_is(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "best").symlink_to(folder)
    assert read_info(tmp_path / "best").name == "best"
    assert read_info(folder / "../model").name == "model"


def test_a_loaded_network_says_how_to_use_it(folder: Path, dataset: Dataset, seeds: list[RetrainedSeed]) -> None:
    model = load(folder)
    info = model.archsearch
    assert isinstance(info, ModelInfo)
    assert (info.spec, info.classes, info.input_size) == (SPEC, ("red", "green", "blue"), 32)
    assert (info.mean, info.std) == (seeds[0].mean, seeds[0].std)
    assert (info.study, info.trial, info.seeds) == ("a-study", 7, (3, 4))
    assert info == read_info(folder)
    assert not model.training
    # By hand from the 8-bit pixels, without the batches that training used.
    test = dataset.load_test()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (info.mean, info.std))
    with torch.inference_mode():
        logits = model((test.pixels / 255 - mean) / std)
    assert logits.shape == (45, 3)
    assert 100 * (logits.argmax(1) == test.labels).sum().item() / 45 == pytest.approx(info.test_top1_percent[0])


def test_the_folder_names_the_pictures_that_were_held_out(
    dataset: Dataset, seeds: list[RetrainedSeed], tmp_path: Path
) -> None:
    names = ("sea/1.jpg", "sea/a b.jpg", "land/\udcff.jpg")  # the last is a byte that is no text
    save_model_folder(tmp_path, facts_of(dataset, seeds), weights_from=seeds[0].weights, held_out=names)
    assert (tmp_path / "held_out.txt").read_bytes() == b"sea/1.jpg\nsea/a b.jpg\nland/\xff.jpg\n"


def test_a_folder_that_is_written_anew_names_no_pictures_of_an_earlier_dataset(
    dataset: Dataset, seeds: list[RetrainedSeed], tmp_path: Path
) -> None:
    for names in (("sea/1.jpg",), ()):
        save_model_folder(tmp_path, facts_of(dataset, seeds), weights_from=seeds[0].weights, held_out=names)
    assert not (tmp_path / "held_out.txt").exists()


def test_the_folder_holds_every_epoch_and_the_spread(
    folder: Path, dataset: Dataset, seeds: list[RetrainedSeed]
) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "metrics.csv", "spec.json", "summary.json", "weights.safetensors"
    ]  # fmt: skip
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert [(row["seed"], row["epoch"]) for row in rows] == [("3", "1"), ("3", "2"), ("4", "1"), ("4", "2")]
    assert float(rows[1]["top1_percent"]) == seeds[0].score.top1_percent
    assert float(rows[3]["train_loss"]) == seeds[1].score.curve[1].train_loss
    summary = json.loads((folder / "summary.json").read_text())
    values = [seed.score.top1_percent for seed in seeds]
    assert summary["mean_test_top1_percent"] == pytest.approx(sum(values) / 2)
    assert summary["std_test_top1_percent"] == pytest.approx(statistics.stdev(values))
    assert summary["arch_id"] == SPEC.arch_id


def cut_weights(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_weight(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def remove_weights(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()


def remove_spec(folder: Path) -> None:
    (folder / "spec.json").unlink()


def cut_spec(folder: Path) -> None:
    (folder / "spec.json").write_text((folder / "spec.json").read_text()[:50])


def edit(folder: Path, **changes: object) -> None:
    path = folder / "spec.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def widen(folder: Path) -> None:
    edit(folder, spec=json.loads(SPEC.with_choices({"width": 1.0}).canonical_json()))


def unknown_family(folder: Path) -> None:
    edit(folder, spec={"family": "lenet"})


def two_means(folder: Path) -> None:
    edit(folder, mean=[0.5, 0.5])


def of_half_precision(folder: Path) -> None:
    path = folder / "weights.safetensors"
    state = {name: value.half() for name, value in safetensors.torch.load(path.read_bytes()).items()}
    path.write_bytes(safetensors.torch.save(state))
    edit(folder, weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def deep(folder: Path) -> None:
    (folder / "spec.json").write_text('{"format": 1, "spec": ' + "[" * 100_000 + "}")


def of_other_bytes(folder: Path) -> None:
    (folder / "spec.json").write_bytes(b"\xff\xfe{}")


def newer(folder: Path) -> None:
    edit(folder, format=99)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_weights, r"weights\.safetensors: damaged"),
        (flip_a_weight, r"weights\.safetensors: damaged"),
        (remove_weights, r"weights\.safetensors: the weights cannot be read"),
        (remove_spec, r"not a model folder: spec\.json cannot be read"),
        (cut_spec, r"spec\.json.*: not valid JSON"),
        (widen, r"do not fit the network of spec\.json"),
        (unknown_family, r"spec\.json: damaged: .*lenet"),
        (two_means, r"spec\.json: damaged"),
        (of_half_precision, r"is stored as torch\.float16, and the network has torch\.float32"),
        (deep, r"spec\.json.*: not valid JSON"),
        (of_other_bytes, r"spec\.json cannot be read"),
        (newer, r"written by a newer archsearch"),
    ],
)
def test_a_folder_that_is_not_whole_says_what_is_wrong(
    folder: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder)
    with pytest.raises(StoreError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_size", None),
        ("input_size", "32"),
        ("input_size", float("nan")),
        ("input_size", 10**9),
        ("input_size", 7),
        ("input_size", True),
        ("test_top1_percent", []),
        ("test_top1_percent", [101.0]),
        ("test_top1_percent", [float("nan")]),
        ("seeds", []),
        ("mean", [10**400, 0.5, 0.5]),
        ("mean", [float("nan"), 0.5, 0.5]),
        ("mean", [0.5, 0.5, float("inf")]),
        ("std", [0.0, 0.2, 0.2]),
        ("std", [0.2, -0.2, 0.2]),
        ("std", None),
        ("classes", []),
        ("classes", [1, 2]),
        ("classes", "ab"),
        ("spec", None),
        ("spec", {"family": ["shufflenet_v2"]}),
        ("weights_sha256", "abc"),
        ("trial", "x"),
        ("format", "1"),
        ("format", 0),
    ],
)
def test_a_value_that_no_training_writes_is_refused_by_its_key(folder: Path, key: str, value: object) -> None:
    edit(folder, **{key: value})
    with pytest.raises(StoreError, match=rf"spec\.json.*: (damaged|not valid).*({key}|JSON|family)"):
        read_info(folder)


def test_a_byte_order_mark_before_spec_json_is_no_damage(folder: Path) -> None:
    path = folder / "spec.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load(folder).archsearch == read_info(folder)


def test_no_export_of_other_weights_stays_beside_the_card(
    folder: Path, dataset: Dataset, seeds: list[RetrainedSeed], caplog: pytest.LogCaptureFixture
) -> None:
    old = json.loads((folder / "spec.json").read_text())["weights_sha256"]
    for name in ("trial_7.onnx", "trial_7-int8.onnx", "trial_7.pt2", "trial_7.safetensors", "notes.txt"):
        (folder / name).write_text("of the old weights")
    save_model_folder(folder, facts_of(dataset, seeds), weights_from=seeds[0].weights)  # the same weights: all stay
    assert (folder / "trial_7.onnx").exists()
    save_model_folder(folder, facts_of(dataset, seeds[::-1]), weights_from=seeds[1].weights)
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "spec.json", "weights.safetensors", "metrics.csv", "summary.json", "README.md", "notes.txt"
    }  # fmt: skip
    assert len(list((folder / f"exports-of-{old[:12]}").iterdir())) == 4
    assert "export the network again" in caplog.text


def test_evaluation_refuses_a_dataset_of_other_classes(folder: Path, dataset: Dataset) -> None:
    other = replace(dataset, name="other", classes=("cat", "dog", "bird", "fish"))
    with pytest.raises(DataError, match=r"'other' has the classes \(cat, dog, bird, \.\.\. 4 in all\)"):
        evaluate_folder(folder, other)


def test_a_dataset_to_evaluate_on_is_named_as_in_a_study_and_read_as_in_the_training(
    folder: Path, dataset: Dataset, seeds: list[RetrainedSeed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def loaded(*given: object, **named: object) -> Dataset:
        asked.extend((*given, named))
        return dataset

    monkeypatch.setattr("archsearch.training.model_folder.load_dataset", loaded)
    facts = replace(facts_of(dataset, seeds), image_rules=ImageRules(test_share=0.3))
    save_model_folder(folder, facts, weights_from=seeds[0].weights)
    assert evaluate_folder(folder, "folder:photos", data_dir=tmp_path) == seeds[0].score.top1_percent
    assert asked == ["folder:photos", {"data_dir": tmp_path, "rules": ImageRules(test_share=0.3)}]


def test_evaluation_on_what_is_no_dataset_is_refused_by_its_name(folder: Path) -> None:
    with pytest.raises(DataError, match=r"'digits' has the classes \(0, 1, 2, \.\.\. 10 in all\)"):
        evaluate_folder(folder, "digits")
    with pytest.raises(UnknownNameError, match="unknown dataset 'digit'"):
        evaluate_folder(folder, "digit")


def test_evaluation_refuses_test_images_that_the_network_may_have_been_trained_on(
    folder: Path, dataset: Dataset, seeds: list[RetrainedSeed]
) -> None:
    """One picture more, and `test_share` holds out others."""
    more = replace(dataset, fingerprint="ba9876543210")
    assert evaluate_folder(folder, more) == seeds[0].score.top1_percent  # it has a test split of its own
    facts = replace(facts_of(dataset, seeds), image_rules=ImageRules(test_share=0.3))
    save_model_folder(folder, facts, weights_from=seeds[0].weights)
    assert evaluate_folder(folder, dataset) == seeds[0].score.top1_percent
    with pytest.raises(DataError, match=r"not those that the network was trained on \(were 0123456789ab, now ba98"):
        evaluate_folder(folder, more)


@pytest.mark.parametrize("device", ["auto", "gpu:0", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(folder: Path, dataset: Dataset, device: str) -> None:
    for call in (lambda: load(folder, device), lambda: evaluate_folder(folder, dataset, device=device)):
        with pytest.raises(ConfigError, match=f"^device {device}: ") as caught:
            call()
        assert caught.value.hint is not None and "cuda:N" in caught.value.hint


def test_missing_weights_are_refused_before_anything_is_written(
    dataset: Dataset, seeds: list[RetrainedSeed], tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="absent"):
        save_model_folder(tmp_path / "new", facts_of(dataset, seeds), weights_from=tmp_path / "absent")
    assert not (tmp_path / "new").exists()
