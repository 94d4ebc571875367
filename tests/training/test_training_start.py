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
from archsearch.training.protocols import PROTOCOLS
from archsearch.training.retrain import retrain_seed
from archsearch.training.start import Start, centred, pretrained_start, read_start, save_start, torchvision_name

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


def test_kernels_are_grown_around_their_centre_and_attention_is_drawn(tmp_path: Path) -> None:
    other = theirs("shufflenet_v2_x0_5")
    spec = BASE.with_choices({"width": 0.5, "kernel": 5, "attention": "se", "stem.kernel": 7})
    start = pretrained_start(spec, num_classes=7, input_size=64, weights=written(other, tmp_path / "file.pth"))
    ours, fresh = begun(spec, start), build(spec, num_classes=7, input_size=64, seed=3).state_dict()
    # By hand: torchvision's network with each depthwise 3x3 inside a 5x5 of zeros, the stem's inside a 7x7, and our SE.
    for name, unit in other.named_modules():
        for index, layer in list(unit.named_children()):
            if isinstance(layer, nn.Conv2d) and (layer.groups > 1 or name == "conv1"):
                by = 1 if layer.groups > 1 else 2
                wide = nn.Conv2d(
                    layer.in_channels, layer.out_channels, 3 + 2 * by, layer.stride, 1 + by, groups=layer.groups,
                    bias=False,
                )  # fmt: skip
                wide.weight.data = nn.functional.pad(layer.weight.data, (by, by, by, by))
                setattr(unit, index, wide)
    for stage in ("stage2", "stage3", "stage4"):
        for theirs_unit, our_unit in zip(getattr(other, stage), getattr(ours, stage), strict=True):
            theirs_unit.branch2.append(our_unit.branch2[8])
    other.fc = ours.fc
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), other(images))
    drawn = {key for key in fresh if key not in start.state}
    assert drawn == {key for key in fresh if ".branch2.8." in key or key.startswith("fc.")}
    assert "other kernel sizes, around their centre: conv1, stage2, stage3, stage4" in start.description
    assert start.description.endswith(
        "random at the start: stage2.*.branch2.8, stage3.*.branch2.8, stage4.*.branch2.8, fc"
    )


@pytest.mark.parametrize(("kernel", "expected"), [
    (4, [[1, 2, 3, 0], [4, 5, 6, 0], [7, 8, 9, 0], [0, 0, 0, 0]]),
    (6, [[0] * 6, [0, 1, 2, 3, 0, 0], [0, 4, 5, 6, 0, 0], [0, 7, 8, 9, 0, 0], [0] * 6, [0] * 6]),
])  # fmt: skip
def test_an_even_kernel_holds_the_old_one_where_its_padding_has_the_centre(kernel: int, expected: Any) -> None:
    small = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    grown = centred(small, kernel)
    assert grown[0, 0].tolist() == expected
    assert torch.equal(centred(grown, 3), small)
    image, before, after = torch.randn(1, 1, 9, 9), (kernel - 1) // 2, kernel // 2
    torch.testing.assert_close(
        nn.functional.conv2d(nn.functional.pad(image, (before, after, before, after)), grown),
        nn.functional.conv2d(image, small, padding=1),
    )


@pytest.mark.parametrize(
    ("changes", "taken", "drawn"),
    [
        ({"removed": "both"}, "stage4.2.branch2.5.weight", "fc.weight"),
        ({"stage3.units": 9}, "stage3.7.branch2.6.running_var", "stage3.8.branch2.6.running_var"),
        ({"residual": True}, "stage2.1.branch2.6.weight", "fc.weight"),
        ({"stage2.split_ratio": 0.25}, "stage2.0.branch1.1.running_mean", "stage2.0.branch1.3.running_mean"),
        ({"stem.type": "dcn"}, "stage2.0.branch1.0.weight", "conv1.1.running_mean"),
        ({"head.channels": 512}, "stage4.3.branch2.0.weight", "conv5.1.running_mean"),
        ({"stage4.channels": 400}, "stage3.7.branch2.0.weight", "stage4.0.branch1.3.weight"),
    ],
    ids=str,
)
def test_what_fits_is_taken_with_its_statistics_and_the_rest_drawn(
    changes: dict[str, Any], taken: str, drawn: str, tmp_path: Path
) -> None:
    other, spec = theirs("shufflenet_v2_x0_5"), BASE.with_choices({"width": 0.5, **changes})
    start = pretrained_start(spec, num_classes=7, input_size=64, weights=written(other, tmp_path / "file.pth"))
    state, fresh = begun(spec, start).state_dict(), build(spec, num_classes=7, input_size=64, seed=3).state_dict()
    assert torch.equal(state[taken], other.state_dict()[taken])
    assert torch.equal(state[drawn], fresh[drawn])
    assert drawn not in start.state


def test_an_extra_depthwise_convolution_moves_the_others_of_its_branch(tmp_path: Path) -> None:
    other, spec = theirs("shufflenet_v2_x0_5"), BASE.with_choices({"width": 0.5, "extra_depthwise": True})
    start = pretrained_start(spec, num_classes=7, input_size=64, weights=written(other, tmp_path / "file.pth"))
    state = other.state_dict()
    assert torch.equal(start.state["stage3.1.branch2.5.weight"], state["stage3.1.branch2.3.weight"])
    assert "stage3.1.branch2.0.weight" not in start.state


def test_shufflenetv2_s_as_counted_keeps_imagenets_classifier_inside_and_grows_its_stem(tmp_path: Path) -> None:
    spec = find_variant("shufflenet_v2_s_counted").spec
    other = theirs("shufflenet_v2_x1_0")
    start = pretrained_start(spec, num_classes=7, input_size=64, weights=written(other, tmp_path / "file.pth"))
    ours, fresh = begun(spec, start), build(spec, num_classes=7, input_size=64, seed=3)
    assert torch.equal(ours.fc[0].weight, other.fc.weight)  # type: ignore[index, union-attr, arg-type]
    assert torch.equal(ours.fc[-1].weight, fresh.fc[-1].weight)  # type: ignore[index, union-attr]
    assert torch.equal(ours.conv1[0].weight[:, :, 1:4, 1:4], other.conv1[0].weight)  # type: ignore[index, union-attr, arg-type]
    assert torch.equal(ours.stage4.state_dict()["0.branch2.0.weight"], other.stage4.state_dict()["0.branch2.0.weight"])  # type: ignore[union-attr]
    assert start.description.endswith("random at the start: fc.1")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shufflenet_v2_x1_5", "shufflenet_v2_x1_5"),
        ("shufflenet_v2_x1_0_dc0", "shufflenet_v2_x1_0"),
        ("shufflenet_v2_s_described", "shufflenet_v2_x1_0"),
        ("shufflenet_v2_x0_5_se", "shufflenet_v2_x0_5"),
        ("torchvision/resnet18", "resnet18"),
    ],
)
def test_each_network_knows_its_twin(name: str, expected: str) -> None:
    assert torchvision_name(find_variant(name).spec) == expected


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet20", "family 'resnet_cifar'"),
        ("mobilenet_v2_x0_5", "family 'mobilenet_v2'"),
    ],
)
def test_a_network_without_a_twin_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        pretrained_start(find_variant(name).spec, num_classes=10, input_size=32)


def test_a_network_that_shares_no_channels_with_torchvisions_is_refused() -> None:
    with pytest.raises(ConfigError, match="no convolution of its stages has the channels"):
        torchvision_name(BASE.with_choices({"stem.channels": 20, "stage2.channels": 50, "stage3.channels": 100,
                                            "stage4.channels": 200}))  # fmt: skip


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
    assert scratch.score.protocol == "one-cycle, batch 32"
    assert begun_there.score.protocol == "one-cycle, from proxy, batch 32"
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
