from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

import archsearch.training
from archsearch.data.dataset import Dataset
from archsearch.errors import TrainingError
from archsearch.models.families import FAMILIES, build
from archsearch.records import Epoch
from archsearch.store.schema import TrainingRow
from archsearch.training.protocols import PROTOCOLS
from archsearch.training.retrain import Pace, RetrainedSeed, _paced, retrain_seed
from archsearch.training.start import Start

SPEC = FAMILIES["shufflenet_v2"].base.with_choices({"width": 0.5, "units": 1, "stem.pool": False})
PROTOCOL = PROTOCOLS["one-cycle"]


class StoppedError(Exception):
    pass


def retrain(dataset: Dataset, folder: Path, **options: Any) -> RetrainedSeed:
    given = {"epochs": 3, "batch_size": 32, "seed": 0, "input_size": 32, "device": "cpu", **options}
    return retrain_seed(given.pop("spec", SPEC), dataset, given.pop("protocol", PROTOCOL), folder=folder, **given)


def stop_after(epoch: int) -> Callable[[Epoch], None]:
    def on_epoch(point: Epoch) -> None:
        if point.epoch == epoch:
            raise StoppedError

    return on_epoch


def state(seed: RetrainedSeed) -> dict[str, Tensor]:
    return dict(safetensors.torch.load(seed.weights.read_bytes()))


def assert_same_training(one: RetrainedSeed, other: RetrainedSeed) -> None:
    first, second = state(one), state(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert one.score.top1_percent == other.score.top1_percent

    def without_time(seed: RetrainedSeed) -> list[Epoch]:
        return [replace(point, train_seconds=0.0) for point in seed.score.curve]

    assert without_time(one) == without_time(other)


def test_retraining_reports_the_last_epoch_on_the_test_split(dataset: Dataset, tmp_path: Path) -> None:
    seed = retrain(dataset, tmp_path)
    score = seed.score
    assert (score.split, score.protocol, score.epochs, score.seed) == ("test", "one-cycle, batch 32", 3, 0)
    assert (score.train_images, score.eval_images) == (96, 45)
    assert [point.epoch for point in score.curve] == [1, 2, 3]
    assert score.top1_percent == score.curve[-1].top1_percent
    assert sorted(path.name for path in (tmp_path / "seed-0").iterdir()) == ["score.json", "weights.safetensors"]


def test_scores_of_another_batch_size_are_told_from_the_protocols_own(dataset: Dataset, tmp_path: Path) -> None:
    own = retrain(dataset, tmp_path / "own", epochs=1, batch_size=None)
    assert (own.batch_size, own.score.protocol) == (128, "one-cycle")
    for _ in range(2):  # trained, then read
        other = retrain(dataset, tmp_path / "other", epochs=1, batch_size=16)
        assert (other.batch_size, other.score.protocol) == (16, "one-cycle, batch 16")


@pytest.mark.parametrize(
    ("usual", "weights", "name"),
    [
        ("none", "balanced", "one-cycle, batch 32, classes balanced"),
        ("balanced", "none", "one-cycle, batch 32, classes as they are"),
        ("balanced", "balanced", "one-cycle, batch 32"),
    ],
)
def test_scores_of_other_class_weights_are_told_from_those_of_the_study_s_own(
    dataset: Dataset, tmp_path: Path, usual: str, weights: str, name: str
) -> None:
    assert retrain(dataset, tmp_path, epochs=1, class_weights=weights, usual_weights=usual).score.protocol == name


@pytest.mark.parametrize(("usual", "weights"), [("none", "balanced"), ("balanced", "none")])
def test_the_longest_name_of_a_full_training_fits_into_its_column(
    dataset: Dataset, tmp_path: Path, usual: str, weights: str
) -> None:
    """SQLite takes a longer one, and PostgreSQL refuses it when all is trained."""
    state = build(SPEC, num_classes=dataset.num_classes, input_size=32, seed=0).state_dict()
    start = Start(kind="pretrained", description="", state=state)
    options = {"epochs": 1, "batch_size": 16, "start": start, "class_weights": weights, "usual_weights": usual}
    told = retrain(dataset, tmp_path, **options).score.protocol.removeprefix(PROTOCOL.name)
    longest = max(map(len, PROTOCOLS)) + len(told) + len("99999") - len("16")  # images of a batch
    assert longest <= TrainingRow.__table__.c.protocol.type.length


def test_a_training_stopped_and_typed_again_ends_bit_for_bit_the_same(dataset: Dataset, tmp_path: Path) -> None:
    whole = retrain(dataset, tmp_path / "whole")
    for epoch in (1, 2):
        with pytest.raises(StoppedError):
            retrain(dataset, tmp_path / "stopped", on_epoch=stop_after(epoch))
    epochs: list[int] = []
    resumed = retrain(dataset, tmp_path / "stopped", on_epoch=lambda point: epochs.append(point.epoch))
    assert epochs == [3]
    assert_same_training(whole, resumed)


def test_a_training_stopped_after_its_last_epoch_is_only_finished(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        retrain(dataset, tmp_path / "stopped", on_epoch=stop_after(3))
    resumed = retrain(dataset, tmp_path / "stopped", on_epoch=stop_after(3))
    assert_same_training(retrain(dataset, tmp_path / "whole"), resumed)


def test_a_killed_training_ends_bit_for_bit_the_same(dataset: Dataset, tmp_path: Path) -> None:
    """A real process, killed with SIGKILL somewhere in or after its third epoch."""
    torch.save((dataset.train.pixels, dataset.train.labels), tmp_path / "train.pt")
    test = dataset.load_test()
    torch.save((test.pixels, test.labels), tmp_path / "test.pt")
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, torch\n"
        "from pathlib import Path\n"
        "from archsearch.data.dataset import Dataset\n"
        "from archsearch.data.images import Images\n"
        "from archsearch.models.families import spec_from_json\n"
        "from archsearch.training.protocols import PROTOCOLS\n"
        "from archsearch.training.retrain import retrain_seed\n"
        "torch.set_num_threads(int(sys.argv[3]))\n"
        "place = Path(sys.argv[1])\n"
        "images = lambda name: Images(*torch.load(place / name))\n"
        "data = Dataset(name='coloured', classes=('red', 'green', 'blue'), train=images('train.pt'),\n"
        "               load_test=lambda: images('test.pt'), flip=True, fingerprint='0123456789ab')\n"
        "retrain_seed(spec_from_json(sys.argv[2]), data, PROTOCOLS['one-cycle'], epochs=500, batch_size=32, seed=0,\n"
        "             input_size=32, device='cpu', folder=place / 'killed')\n"
    )
    arguments = [str(tmp_path), SPEC.canonical_json(), str(torch.get_num_threads())]
    environment = {**os.environ, "PYTHONPATH": str(Path(archsearch.training.__path__[0]).parents[1])}
    process = subprocess.Popen([sys.executable, str(script), *arguments], stderr=subprocess.PIPE, env=environment)
    try:
        place, deadline = tmp_path / "killed" / "seed-0", time.monotonic() + 120
        while not (place / "checkpoint-00002.pt").exists():
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.kill()  # SIGKILL
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = max(int(path.stem.split("-")[1]) for path in place.glob("checkpoint-*.pt"))

    epochs: list[int] = []

    def for_two_more(point: Epoch) -> None:
        epochs.append(point.epoch)
        if point.epoch == done + 2:
            raise StoppedError

    for folder in ("killed", "whole"):
        with pytest.raises(StoppedError):
            retrain(dataset, tmp_path / folder, epochs=500, on_epoch=for_two_more)
    assert epochs == [done + 1, done + 2, *range(1, done + 3)]  # went on, and all of it
    last = f"seed-0/checkpoint-{done + 2:05d}.pt"
    one, other = (torch.load(_payload(tmp_path / folder / last), weights_only=True) for folder in ("killed", "whole"))
    assert all(torch.equal(one["model"][name], other["model"][name]) for name in other["model"])
    for key, entry in other["optimizer"]["state"].items():
        assert torch.equal(one["optimizer"]["state"][key]["momentum_buffer"], entry["momentum_buffer"])


def _payload(path: Path) -> Any:
    file = path.open("rb")
    file.seek(path.read_bytes().index(b"PK"))  # the zip archive that torch wrote, behind our header
    return io.BytesIO(file.read())


def test_a_finished_seed_is_not_trained_again(dataset: Dataset, tmp_path: Path) -> None:
    first = retrain(dataset, tmp_path, epochs=1)

    def never(point: Epoch) -> None:
        raise AssertionError("trained again")

    assert retrain(dataset, tmp_path, epochs=1, on_epoch=never) == first


def test_seeds_stay_apart_and_differ(dataset: Dataset, tmp_path: Path) -> None:
    one, two = (retrain(dataset, tmp_path, epochs=1, seed=seed) for seed in (0, 1))
    assert one.weights.parent.name == "seed-0"
    assert two.weights.parent.name == "seed-1"
    assert not torch.equal(state(one)["conv1.0.weight"], state(two)["conv1.0.weight"])


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"epochs": 4}, "epochs: 3 there, 4 asked for"),
        ({"batch_size": 16}, "batch_size: 32 there, 16 asked for"),
        ({"protocol": PROTOCOLS["shufflenetv2-s"]}, "protocol: one-cycle there, shufflenetv2-s asked for"),
        ({"spec": SPEC.with_choices({"kernel": 5})}, "arch_id"),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_a_folder_of_another_training_is_refused(
    dataset: Dataset, tmp_path: Path, change: dict[str, Any], difference: str, finished: bool
) -> None:
    if finished:
        retrain(dataset, tmp_path)
    else:
        with pytest.raises(StoppedError):
            retrain(dataset, tmp_path, on_epoch=stop_after(1))
    with pytest.raises(TrainingError, match=difference):
        retrain(dataset, tmp_path, **change)


def test_what_can_be_done_about_another_training_is_what_a_user_can_type(dataset: Dataset, tmp_path: Path) -> None:
    retrain(dataset, tmp_path, epochs=1)
    with pytest.raises(TrainingError) as refused:
        retrain(dataset, tmp_path, epochs=2)
    # no option and no argument of `archsearch.retrain` names a folder
    assert refused.value.hint == "train anew without resuming (in a terminal: --no-resume), which removes what is there"


def test_training_anew_removes_what_was_there(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        retrain(dataset, tmp_path, on_epoch=stop_after(1))
    (tmp_path / "seed-0" / "notes.txt").write_text("mine")
    epochs: list[int] = []
    retrain(dataset, tmp_path, epochs=2, resume=False, on_epoch=lambda point: epochs.append(point.epoch))
    assert epochs == [1, 2]
    assert (tmp_path / "seed-0" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("damaged", ["score.json", "weights.safetensors"])
def test_a_damaged_result_is_trained_again_with_a_warning(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: str
) -> None:
    first = retrain(dataset, tmp_path, epochs=1)
    kept = state(first)
    path = tmp_path / "seed-0" / damaged
    path.write_bytes(path.read_bytes()[:-40])
    with caplog.at_level(logging.WARNING):
        again = retrain(dataset, tmp_path, epochs=1)
    assert "trained again" in caplog.text
    assert all(torch.equal(state(again)[name], kept[name]) for name in kept)


def test_the_batch_size_is_the_protocols_unless_given(dataset: Dataset, tmp_path: Path) -> None:
    seed = retrain(dataset, tmp_path, epochs=1, batch_size=None, protocol=replace(PROTOCOL, batch_size=48))
    assert seed.batch_size == 48
    assert json.loads((tmp_path / "seed-0" / "score.json").read_text())["identity"]["batch_size"] == 48


def test_a_protocols_dropout_acts_in_training_and_leaves_the_network_as_it_was_named(
    dataset: Dataset, tmp_path: Path
) -> None:
    spec = FAMILIES["mobilenet_v3_ldc"].base
    assert spec.choices()["head.dropout"] == 0.0
    with_dropout = replace(PROTOCOL, dropout=0.5)
    one = retrain(dataset, tmp_path / "none", spec=spec, epochs=1)
    other = retrain(dataset, tmp_path / "half", spec=spec, epochs=1, protocol=with_dropout)
    assert state(one).keys() == state(other).keys()
    assert one.score.curve[0].train_loss != other.score.curve[0].train_loss
    facts = json.loads((tmp_path / "half" / "seed-0" / "score.json").read_text())["identity"]
    assert facts["dropout"] == 0.5
    assert facts["arch_id"] == spec.arch_id


def test_the_pace_is_that_of_an_epochs_steps_after_its_first_chunk_and_scoring_is_a_third() -> None:
    trainer: Any = SimpleNamespace(steps_per_epoch=100, train_images=600, eval_images=300)
    told: list[Pace] = []
    on_steps = _paced(trainer, told.append)
    on_steps(3, 10, 60.0)  # the first chunk took long: kernels were chosen
    on_steps(3, 20, 65.0)  # 0.5 s a step; an epoch trains 50 s and scores half as many images at a third: 50 (1 + 1/6)
    on_steps(3, 30, 75.0)  # 15 s for 20 steps: 75 s and 12.5 s
    on_steps(4, 10, 30.0)
    on_steps(4, 5, 2.0)  # the epoch began anew, in smaller parts
    on_steps(4, 10, 4.5)
    assert [(pace.epochs, pace.step, pace.steps) for pace in told] == [(3, 20, 100), (3, 30, 100), (4, 10, 100)]
    assert [pace.epoch_seconds for pace in told] == pytest.approx([50 * 7 / 6, 75 * 7 / 6, 50 * 7 / 6])


def test_the_pace_says_how_many_steps_of_the_epoch_in_hand_were_done_before_this_call() -> None:
    trainer: Any = SimpleNamespace(steps_per_epoch=100, train_images=600, eval_images=300)
    told: list[Pace] = []
    on_steps = _paced(trainer, told.append, (3, 50))
    for epochs, step in ((3, 51), (3, 52), (4, 1), (4, 2)):
        on_steps(epochs, step, 0.5 * step)
    assert [(pace.step, pace.earlier) for pace in told] == [(52, 50), (2, 0)]


def test_every_chunk_of_steps_is_told(dataset: Dataset, tmp_path: Path) -> None:
    told: list[Pace] = []
    retrain(dataset, tmp_path, epochs=1, on_pace=told.append)
    assert told and {pace.epochs for pace in told} == {0}
    assert [pace.step for pace in told] == list(range(2, told[0].steps + 1))  # a chunk is one step on a CPU
