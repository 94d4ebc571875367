"""Retrainings that start from the proxy's or ImageNet's weights, and the files they leave."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import archsearch
from archsearch.errors import ConfigError, UnknownNameError
from archsearch.training.start import read_start

pytestmark = pytest.mark.usefixtures("in_the_folder")


def test_the_proxy_is_trained_again_and_repeats_the_studys_accuracy() -> None:
    study = archsearch.open_study("tiny")
    record = study.records[0]
    done = archsearch.retrain("tiny", trial="0", protocol="one-cycle", epochs=1, start="proxy", device="cpu")
    said = re.search(r"validation top-1 ([\d.]+) %, ([\d.]+) % in the study", done.facts.start)
    assert said is not None
    assert said[1] == said[2] == f"{record.score.top1_percent:.2f}"
    assert f"initial weights: {done.facts.start}" in (done.folder / "README.md").read_text()
    assert json.loads((done.folder / "summary.json").read_text())["start"] == done.facts.start
    kept = read_start(done.folder / "starts" / f"proxy-seed-{record.score.seed}.safetensors")
    assert kept is not None
    identity = json.loads((done.folder / "one-cycle-1-epochs-from-proxy" / "seed-0" / "score.json").read_text())[
        "identity"
    ]
    assert (identity["start"], identity["start_weights"]) == ("proxy", kept.digest)
    stored = {score.protocol for arch_id, score in archsearch.open_study("tiny").trainings if arch_id == record.arch_id}
    assert "one-cycle, from proxy" in stored
    # The second time the weights are read, and the network is trained no more.
    epochs: list[object] = []
    again = archsearch.retrain(
        "tiny", trial="0", protocol="one-cycle", epochs=1, start="proxy", device="cpu",
        on_epoch=lambda *seen: epochs.append(seen),
    )  # fmt: skip
    assert epochs == []
    assert again.facts.scores == done.facts.scores


def test_pretrained_weights_come_from_a_file_on_the_command_line(shared_finished: object, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        torch.save(models.get_model("shufflenet_v2_x0_5", weights=None).state_dict(), tmp_path / "x0_5.pth")
    ended = shared_finished.type(
        "retrain", "--trial", "shufflenet_v2_x0_5", "--epochs", "1", "--device", "cpu", "--pretrained",
        "--weights", str(tmp_path / "x0_5.pth"), "--tensorboard",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "starting from ImageNet's weights" in " ".join(ended.stdout.split())
    study = shared_finished.study()
    folder = shared_finished.folder / "runs" / "tiny" / "retrain" / study.records[0].arch_id
    assert "torchvision's shufflenet_v2_x0_5 trained on ImageNet (x0_5.pth)" in (folder / "README.md").read_text()
    events = folder / "one-cycle-1-epochs-pretrained" / "tensorboard"
    assert f"tensorboard --logdir {events.relative_to(shared_finished.folder)}" in " ".join(ended.stdout.split())
    assert len(list((events / "seed-0").glob("events.out.tfevents.*"))) == 1
    refused = shared_finished.type("retrain", "--pretrained", "--start", "proxy", "--device", "cpu")
    assert refused.returncode == 2
    assert "are two starts" in " ".join(refused.stderr.split())


def test_a_network_without_imagenets_weights_is_named_before_others_are_trained_for_hours(
    shared_finished: object,
) -> None:
    folder = shared_finished.folder / "runs" / "tiny" / "retrain"
    before = set(folder.glob("*"))
    names = "shufflenet_v2_x1_5,resnet20,plain_cnn"
    refused = shared_finished.type("retrain", "--trial", names, "--epochs", "1", "--device", "cpu", "--pretrained")
    assert refused.returncode == 2
    assert "torchvision has no ImageNet weights for resnet20, plain_cnn" in " ".join(refused.stderr.split())
    assert set(folder.glob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"start": "prxy"}, UnknownNameError, "did you mean 'proxy'"),
        ({"start": "proxy", "weights": Path("file")}, ConfigError, "only a pretrained start reads a file"),
        ({"start": "pretrained", "trial": "resnet20"}, ConfigError, "no ImageNet weights for this network"),
        ({"start": "pretrained", "weights": Path("absent.pth")}, ConfigError, "absent.pth: the weights cannot be read"),
    ],
    ids=str,
)
def test_a_start_that_cannot_be_is_refused(arguments: dict[str, object], error: type, said: str) -> None:
    with pytest.raises(error, match=re.escape(said)) as caught:
        archsearch.retrain("tiny", **{"epochs": 1, "device": "cpu", "trial": "0", **arguments})
    assert caught.value.exit_code == 2
