"""What a full training begins with: ImageNet's weights, a proxy's, and what is said of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision import models

from archsearch.data.dataset import Dataset
from archsearch.errors import ConfigError, TrainingError
from archsearch.models.families import FAMILIES, build
from archsearch.models.spec import Spec
from archsearch.models.variants import find_variant
from archsearch.training.pretrained import pretrained_start, torchvision_name
from archsearch.training.protocols import PROTOCOLS
from archsearch.training.retrain import retrain_seed
from archsearch.training.start import Start, read_start, save_start

BASE = FAMILIES["shufflenet_v2"].base


def theirs(name: str) -> nn.Module:
    """torchvision's own network with random weights, and statistics that are not those of a new network."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        model: nn.Module = models.get_model(name, weights=None)
        model.train()
        with torch.no_grad():
            model(torch.randn(4, 3, 64, 64))
    return model.eval()


def written(model: nn.Module, path: Path) -> Path:
    torch.save(model.state_dict(), path)
    return path


def begun(spec: Spec, start: Start, *, num_classes: int = 7, input_size: int = 64) -> nn.Module:
    model = build(spec, num_classes=num_classes, input_size=input_size, seed=3)
    start.apply(model)
    return model.eval()


@pytest.mark.parametrize("width", [0.5, 1.0, 1.5, 2.0])
def test_with_torchvisions_weights_our_network_computes_what_torchvisions_does(width: float, tmp_path: Path) -> None:
    name = f"shufflenet_v2_x{width}".replace(".", "_")
    other, spec = theirs(name), BASE.with_choices({"width": width})
    start = pretrained_start(spec, num_classes=7, input_size=64, weights=written(other, tmp_path / "file.pth"))
    ours = begun(spec, start)
    fresh = build(spec, num_classes=7, input_size=64, seed=3)
    assert torch.equal(ours.fc.weight, fresh.fc.weight)  # type: ignore[union-attr, arg-type]
    ours.fc = other.fc  # the same features, seen through the same classifier
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), other(images))
    assert name in start.description
    assert "random at the start: fc" in start.description


def test_strides_and_pool_may_differ(tmp_path: Path) -> None:
    other = theirs("shufflenet_v2_x0_5")
    spec = BASE.with_choices({"width": 0.5, "stem.stride": 1, "stem.pool": False})
    start = pretrained_start(spec, num_classes=7, input_size=32, weights=written(other, tmp_path / "file.pth"))
    ours = begun(spec, start, input_size=32)
    other.fc, other.conv1[0].stride, other.maxpool = ours.fc, (1, 1), nn.Identity()  # type: ignore[index, union-attr]
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), other(images))


def test_shufflenetv2_s_as_counted_keeps_imagenets_classifier_inside_and_draws_its_own_stem(tmp_path: Path) -> None:
    spec = find_variant("shufflenet_v2_s_counted").spec
    other = theirs("shufflenet_v2_x1_0")
    start = pretrained_start(spec, num_classes=7, input_size=64, weights=written(other, tmp_path / "file.pth"))
    ours, fresh = begun(spec, start), build(spec, num_classes=7, input_size=64, seed=3)
    assert torch.equal(ours.fc[0].weight, other.fc.weight)  # type: ignore[index, union-attr, arg-type]
    assert torch.equal(ours.fc[-1].weight, fresh.fc[-1].weight)  # type: ignore[index, union-attr]
    assert torch.equal(ours.conv1[0].weight, fresh.conv1[0].weight)  # type: ignore[index, union-attr]
    assert torch.equal(ours.stage4.state_dict()["0.branch2.0.weight"], other.stage4.state_dict()["0.branch2.0.weight"])  # type: ignore[union-attr]
    assert "random at the start: conv1, fc" in start.description


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shufflenet_v2_x1_5", "shufflenet_v2_x1_5"),
        ("shufflenet_v2_x1_0_dc0", "shufflenet_v2_x1_0"),
        ("torchvision/resnet18", "resnet18"),
    ],
)
def test_each_network_knows_its_twin(name: str, expected: str) -> None:
    assert torchvision_name(find_variant(name).spec) == expected


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shufflenet_v2_s_described", "differs from shufflenet_v2_x1_0 in stage2.kernel, stage3.kernel, stage4.kernel"),
        ("shufflenet_v2_x1_0_se", "stage2.attention"),
        ("resnet20", "family 'resnet_cifar'"),
        ("mobilenet_v2_x0_5", "family 'mobilenet_v2'"),
    ],
)
def test_a_network_without_a_twin_is_refused_with_what_differs(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        pretrained_start(find_variant(name).spec, num_classes=10, input_size=32)


def test_a_torchvision_network_takes_all_but_its_classifier(tmp_path: Path) -> None:
    other, spec = theirs("mobilenet_v3_small"), find_variant("torchvision/mobilenet_v3_small").spec
    start = pretrained_start(spec, num_classes=7, input_size=64, weights=written(other, tmp_path / "file.pth"))
    assert start.fresh == ("classifier.3.",)
    ours = begun(spec, start)
    assert torch.equal(ours.classifier[0].weight, other.classifier[0].weight)  # type: ignore[index, union-attr]


def test_without_a_network_it_is_said_which_file_belongs_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def unreachable(*given: object, **options: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    place = tmp_path / "checkpoints" / "shufflenetv2_x1-5666bf0f80.pth"  # torchvision's own name for the file
    with pytest.raises(ConfigError, match="Name or service not known") as caught:
        pretrained_start(BASE, num_classes=10, input_size=32)
    assert f"put it at {place}" in str(caught.value)


def test_a_download_is_kept_where_torch_hub_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    asked = []

    def download(url: str, path: str, prefix: str | None, *, progress: bool) -> None:
        asked.append((url, prefix))
        content = written(theirs("shufflenet_v2_x1_0"), tmp_path / "file").read_bytes()
        Path(path).write_bytes(content)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(TrainingError, match="its SHA-256 does not begin with 5666bf0f80"):  # these are random weights
        pretrained_start(BASE, num_classes=10, input_size=32)
    url = models.get_model_weights("shufflenet_v2_x1_0").DEFAULT.url  # type: ignore[attr-defined]
    assert asked == [(url, "5666bf0f80")]


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    def start(path: Path) -> Start:
        return pretrained_start(BASE, num_classes=10, input_size=32, weights=path)

    with pytest.raises(ConfigError, match="cannot be read"):
        start(tmp_path / "absent.pth")
    text = tmp_path / "text.pth"
    text.write_text("hello")
    with pytest.raises(TrainingError, match="not a file of weights"):
        start(text)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(TrainingError, match="no dict of tensors"):
        start(tmp_path / "list.pth")
    with pytest.raises(TrainingError, match="do not fit"):
        start(written(theirs("shufflenet_v2_x0_5"), tmp_path / "narrow.pth"))


def test_a_kept_start_comes_back_whole_or_not_at_all(
    tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    state = {"weight": torch.arange(1000.0), "count": torch.tensor(3)}
    start, path = Start(kind="proxy", description="of a study", state=state, fresh=("fc.",)), tmp_path / "start"
    assert read_start(path) is None
    save_start(path, start)
    read = read_start(path)
    assert read is not None
    assert (read.kind, read.description, read.fresh, read.identity) == ("proxy", "of a study", ("fc.",), start.identity)
    assert all(torch.equal(read.state[name], state[name]) for name in state)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert read_start(path) is None
    assert "is damaged" in caplog.text


def retrain(dataset: Dataset, folder: Path, start: Start | None, **options: Any) -> Any:
    spec = BASE.with_choices({"width": 0.5, "units": 1, "stem.pool": False})
    given = {"epochs": 1, "batch_size": 32, "seed": 0, "input_size": 32, "device": "cpu", **options}
    return retrain_seed(spec, dataset, PROTOCOLS["one-cycle"], folder=folder, start=start, **given)


def test_a_training_begins_with_the_weights_it_is_given_and_says_so(dataset: Dataset, tmp_path: Path) -> None:
    spec = BASE.with_choices({"width": 0.5, "units": 1, "stem.pool": False})
    state = build(spec, num_classes=3, input_size=32, seed=9).state_dict()
    start = Start(kind="proxy", description="of a study", state=state)
    scratch, begun_there = retrain(dataset, tmp_path / "a", None), retrain(dataset, tmp_path / "b", start)
    assert scratch.score.protocol == "one-cycle"
    assert begun_there.score.protocol == "one-cycle, from proxy"
    one, other = (safetensors.torch.load(each.weights.read_bytes()) for each in (scratch, begun_there))
    # The initial weights of two seeds are far from each other, a step of warm-up is not.
    name = "stage3.0.branch2.0.weight"
    assert (other[name] - state[name]).norm() < (one[name] - state[name]).norm()
    digest = hashlib.sha256(safetensors.torch.save({k: v.contiguous() for k, v in state.items()})).hexdigest()[:12]
    with pytest.raises(TrainingError, match=f"start: proxy there, None asked for; start_weights: {digest} there"):
        retrain(dataset, tmp_path / "b", None)


def test_weights_of_another_network_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    wider = build(BASE.with_choices({"units": 1}), num_classes=3, input_size=32, seed=0).state_dict()
    with pytest.raises(TrainingError, match="do not fit"):
        retrain(dataset, tmp_path, Start(kind="proxy", description="", state=wider))
    deeper = build(BASE.with_choices({"width": 0.5}), num_classes=3, input_size=32, seed=0).state_dict()
    with pytest.raises(TrainingError, match="of another network"):
        retrain(dataset, tmp_path, Start(kind="proxy", description="", state=deeper))
