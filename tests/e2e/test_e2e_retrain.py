"""From a point of the front to a model that reloads with the accuracy that was reported."""

from __future__ import annotations

import csv
import json
import re
import statistics
from contextlib import ExitStack
from pathlib import Path

import jsonschema
import pytest
import torch

import archsearch
from archsearch.data.catalog import load_dataset
from archsearch.errors import ConfigError, UnknownNameError
from archsearch.files import locked

pytestmark = pytest.mark.usefixtures("in_the_folder")


@pytest.fixture(scope="module")
def typed(shared_finished: object) -> object:
    """`retrain` as a user types it, once, of the smallest network; test_e2e_export.py retrains the best."""
    arguments = ("retrain", "--trial", "0", "--epochs", "1", "--seeds", "2", "--device", "cpu")
    return shared_finished.type(*arguments)


@pytest.fixture
def model_folder(typed: object, shared_finished: object) -> Path:
    assert typed.returncode == 0, typed.stderr
    return shared_finished.folder / "runs" / "tiny" / "retrain" / shared_finished.study().records[0].arch_id


def test_the_folder_has_spec_weights_metrics_curve_and_model_card(model_folder: Path, typed: object) -> None:
    assert f"model     runs/tiny/retrain/{model_folder.name}" in typed.stdout
    names = {path.name for path in model_folder.iterdir() if path.is_file()}
    assert {"spec.json", "weights.safetensors", "metrics.csv", "README.md", "summary.json"} <= names
    assert names & {"curve.png", "curve.html"}
    with (model_folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["epoch"]) for row in rows] == [("0", "1"), ("1", "1")]
    card = (model_folder / "README.md").read_text()
    assert model_folder.name in card
    assert "48 test images" in card


def test_reported_accuracy_is_the_mean_over_seeds_of_the_test_split(model_folder: Path, typed: object) -> None:
    summary = json.loads((model_folder / "summary.json").read_text())
    values = [score["top1_percent"] for score in summary["scores"]]
    assert [score["seed"] for score in summary["scores"]] == [0, 1]
    assert {(score["split"], score["eval_images"], score["train_images"]) for score in summary["scores"]} == {
        ("test", 48, 160)
    }
    assert summary["mean_test_top1_percent"] == pytest.approx(statistics.mean(values))
    assert summary["std_test_top1_percent"] == pytest.approx(statistics.stdev(values))
    mean, std = statistics.mean(values), statistics.stdev(values)
    expected = f"test top-1 {mean:.2f} ± {std:.2f} % (n = 2 seeds, 1 epoch of one-cycle, 48 test images)"
    assert "a short training: one-cycle has 100 epochs, its schedule was scaled to 1" in typed.stdout
    assert expected in " ".join(typed.stdout.split())


def test_the_reloaded_model_scores_exactly_what_was_reported(model_folder: Path, tiny_images: Path) -> None:
    model = archsearch.load(model_folder)
    assert not model.training
    assert model.archsearch.spec.arch_id == model_folder.name
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 4)
    reported = json.loads((model_folder / "summary.json").read_text())["scores"][0]["top1_percent"]
    assert archsearch.evaluate_folder(model_folder, load_dataset(f"npz:{tiny_images}")) == reported


def test_the_same_call_again_trains_nothing_gives_the_same_numbers_and_prints_them_as_the_terminal_does(
    model_folder: Path, typed: object
) -> None:
    weights = model_folder / "weights.safetensors"
    before = weights.read_bytes()
    epochs: list[object] = []
    again = archsearch.retrain(
        "tiny", trial=0, epochs=1, seeds=2, device="cpu", on_epoch=lambda *seen: epochs.append(seen)
    )
    assert epochs == []
    assert again.folder.resolve() == model_folder.resolve()
    drawn = f"curve     {again.curve}"  # a picture where a browser is there
    assert {*str(again).splitlines()} - {drawn} <= {*typed.stdout.splitlines()}
    summary = json.loads((model_folder / "summary.json").read_text())
    assert [score.top1_percent for score in again.facts.scores] == [s["top1_percent"] for s in summary["scores"]]
    assert weights.read_bytes() == before


def test_a_number_and_an_evaluated_variants_name_are_the_trial_itself(model_folder: Path) -> None:
    epochs: list[object] = []
    by_name, by_number = (
        archsearch.retrain("tiny", trial=trial, epochs=1, device="cpu", on_epoch=lambda *seen: epochs.append(seen))
        for trial in ("shufflenet_v2_x0_5", "0")
    )
    assert by_name.folder == by_number.folder
    assert epochs == []  # `model_folder` holds it
    assert by_number.facts.trial == by_name.facts.trial == 0
    assert by_number.facts.latency is not None


def test_a_variant_that_the_study_has_not_evaluated_is_trained_at_its_scale(
    model_folder: Path, tiny_images: Path
) -> None:
    done = archsearch.retrain("tiny", trial="shufflenet_v2_x1_0", epochs=1, protocol="modern", device="cpu")
    assert done.facts.trial is None
    assert done.facts.latency is None
    choices = done.facts.spec.choices()
    assert choices["stem.pool"] is True
    assert choices["stage2.channels"] == 116  # torchvision's x1.0
    score = done.facts.scores[0].top1_percent
    assert archsearch.evaluate_folder(done.folder, load_dataset(f"npz:{tiny_images}")) == score


def test_other_lengths_and_batch_sizes_stand_beside_the_old_training(model_folder: Path) -> None:
    first = {path: path.read_bytes() for path in model_folder.glob("one-cycle-1-epochs/*/*")}
    assert len(first) == 4  # weights and score of two seeds
    longer = archsearch.retrain("tiny", trial=0, epochs=2, device="cpu")
    batched = archsearch.retrain("tiny", trial=0, epochs=1, batch_size=40, device="cpu")
    assert longer.folder.resolve() == batched.folder.resolve() == model_folder.resolve()
    assert [len(longer.facts.scores[0].curve), len(batched.facts.scores[0].curve)] == [2, 1]
    assert {path: path.read_bytes() for path in first} == first


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"trial": "99"}, ConfigError, "its trials are 0 to 2"),
        ({"trial": "shufflenet_v2_x0_6"}, UnknownNameError, "did you mean 'shufflenet_v2_x0_5'"),
        ({"rule": "latency<=0.0001"}, ConfigError, "no complete trial satisfies 'latency<=0.0001'"),
        ({"rule": "latency<"}, ConfigError, "rules are recommended, knee"),
        ({"protocol": "none"}, UnknownNameError, "unknown training protocol 'none'"),
        ({"seeds": 0}, ConfigError, "seeds 0: must be 1 to 100"),
        ({"seeds": 101}, ConfigError, "seeds 101: must be 1 to 100"),
        ({"epochs": 100_001}, ConfigError, "epochs 100001: must be 1 to 100,000"),
        ({"study": "tyny"}, UnknownNameError, "did you mean 'tiny'"),
        ({"class_weights": "balance"}, UnknownNameError, "did you mean 'balanced'"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_wrong_request_says_what_there_is(arguments: dict[str, object], error: type, said: str) -> None:
    with pytest.raises(error, match=re.escape(said)) as caught:
        archsearch.retrain(**{"epochs": 1, "device": "cpu", **arguments})
    assert caught.value.exit_code == 2


def test_other_images_under_the_studys_dataset_are_refused(finished: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    connection = sqlite3.connect(finished.folder / "runs" / "archsearch.db")
    with connection:
        connection.execute(
            "update archsearch_studies set checksums = null, facts = json_set(facts, '$.data_fingerprint', 'other')"
        )
    connection.close()
    monkeypatch.chdir(finished.folder)
    with pytest.raises(archsearch.ArchsearchError, match="are not those that study 'tiny' was run on"):
        archsearch.retrain("tiny", epochs=1, device="cpu")


def test_a_front_is_trained_in_full_resumed_and_shown(shared_finished: object) -> None:
    front = ("retrain", "--trial", "front", "--with-variants", "--epochs", "1", "--protocol", "modern")
    first, again = (shared_finished.type(*front, "--device", "cpu") for _ in range(2))
    assert first.returncode == again.returncode == 0, first.stderr
    study = shared_finished.study()
    chosen = study.choose_all("front", with_variants=True)
    said = [line for line in first.stdout.splitlines() if "test top-1" in line]
    assert [line.split(":")[0] for line in said] == [each.label for each in chosen]
    assert first.stderr.count(" epoch 1/1: ") == len(chosen)
    assert again.stderr.count(" epoch ") == 0  # nothing is trained twice
    as_json = shared_finished.type(*front, "--device", "cpu", "--json")
    printed = json.loads(as_json.stdout)
    jsonschema.validate(printed, archsearch.schema("retrain"))
    assert [each["arch_id"] for each in printed["networks"]] == [each.spec.arch_id for each in chosen]
    for each in printed["networks"]:
        written = json.loads((shared_finished.folder / each["folder"] / "summary.json").read_text())
        assert each["mean_test_top1_percent"] == written["mean_test_top1_percent"]
        assert [score["top1_percent"] for score in each["scores"]] == [each["mean_test_top1_percent"]]
    assert [line for line in as_json.stderr.splitlines() if "test top-1" in line] == said
    assert [line for line in again.stdout.splitlines() if "test top-1" in line] == said
    shown = shared_finished.type("pareto", "--final", "--csv", "--json")
    assert shown.returncode == 0, shown.stderr
    told = json.loads(shown.stdout)
    assert [each["label"] for each in told["networks"]] == [
        each.label for each in sorted(chosen, key=lambda each: each.record.latency.corrected_ms)
    ]
    assert (shared_finished.folder / "runs" / "tiny" / "final.csv").exists()


def test_a_network_that_fails_does_not_end_the_others(shared_finished: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from archsearch.api import retrain as api
    from archsearch.errors import TrainingError

    def diverging(spec: object, *arguments: object, **options: object) -> object:
        if spec == shared_finished.study().choose(0).spec:
            raise TrainingError("the loss became NaN")
        return real(spec, *arguments, **options)

    real = api.retrain_seed
    monkeypatch.setattr(api, "retrain_seed", diverging)
    ended = shared_finished.type(
        "retrain", "--trial", "0,1", "--epochs", "1", "--protocol", "modern", "--device", "cpu"
    )
    assert ended.returncode == 1
    assert "shufflenet_v2_x0_5 failed, the others go on: the loss became NaN" in ended.stderr
    assert "trial 1: test top-1" in ended.stdout
    with_json = shared_finished.type(
        "retrain", "--trial", "0,1", "--epochs", "1", "--protocol", "modern", "--device", "cpu", "--json"
    )
    assert with_json.returncode == 1
    printed = json.loads(with_json.stdout)
    assert (printed["failed"], [each["name"] for each in printed["networks"]]) == (["shufflenet_v2_x0_5"], ["trial 1"])


def test_a_network_that_another_command_trains_is_come_back_to(
    shared_finished: object, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ExitStack()
    other.enter_context(locked(model_folder.with_name(f".{model_folder.name}.lock")))
    with other:
        alone = shared_finished.type("retrain", "--trial", "0", "--epochs", "1", "--seeds", "2", "--device", "cpu")
        assert alone.returncode == 1
        assert f"another command trains the network {model_folder.name} now" in alone.stderr
        monkeypatch.setattr("archsearch.cli.models.time.sleep", lambda _seconds: other.close())
        both = shared_finished.type("retrain", "--trial", "0,1", "--epochs", "1", "--device", "cpu")
    assert both.returncode == 0, both.stderr
    said = [line.split(":")[0] for line in both.stdout.splitlines() if "test top-1" in line]
    assert said == ["trial 1", "shufflenet_v2_x0_5"]
