from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import make_latency

import archsearch.latency.network
import archsearch.targets.board
from archsearch.api.describe import describe
from archsearch.api.measure import MeasuredNetwork, MeasuredNetworks, MeasureProgress, measure
from archsearch.errors import BuildError, ConfigError, MeasurementError, StoreError, UnknownNameError
from archsearch.latency.lease import DeviceLease
from archsearch.models.variants import VARIANTS
from archsearch.records import Latency

SMALL = {"input_size": 32, "num_classes": 10, "device": "cpu", "budget_seconds": 0.3, "backends": ["torch-eager"]}


@pytest.fixture(autouse=True)
def own_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease of this test alone, so that it waits for nobody else on this machine."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Every group that would be measured, answered without measuring: p10 of the k-th network is k ms."""
    calls: list[dict[str, object]] = []

    def measured(models: Sequence[object], reference: object, **named: object) -> tuple[Latency, ...]:
        calls.append({"models": models, "reference": reference, **named})
        settings, device = named["settings"], named.get("device", "cpu")
        return tuple(
            make_latency(
                float(number), median_ms=2.0 * number, p90_ms=3.0 * number, ratio_to_reference=float(number),
                reference=str(named["reference_name"]), reference_p10_ms=1.0, n=4, bursts=2, device=str(device),
                backend=settings.backend, batch=settings.batch_on(device), threads=settings.threads,
                input_size=named["input_size"], ratio_low=0.9, ratio_high=1.1,
            )
            for number in range(1, len(models) + 1)
        )  # fmt: skip

    for name in ("measure_networks", "measure_on_board"):
        monkeypatch.setattr(archsearch.targets.board, name, measured)
    return calls


def test_a_network_is_really_measured_and_says_under_which_conditions() -> None:
    told: list[MeasureProgress] = []
    done: list[MeasuredNetwork] = []
    found = measure(
        ["shufflenet_v2_x0_5", "shufflenet_v2_x1_5"], batches=[2], on_progress=told.append, on_measured=done.append,
        **SMALL,
    )  # fmt: skip
    assert [one.name for one in found] == ["shufflenet_v2_x0_5", "shufflenet_v2_x1_5"]
    assert found == tuple(done)
    for one in found:
        latency = one.latency
        assert 0 < latency.p10_ms <= latency.median_ms <= latency.p90_ms
        assert (latency.backend, latency.batch, latency.threads) == ("torch-eager", 2, 1)
        assert (latency.device, latency.input_size, one.num_classes) == ("cpu", 32, 10)
        assert latency.reference == "shufflenet_v2_x1_0"
        assert latency.ratio_to_reference == pytest.approx(latency.p10_ms / latency.reference_p10_ms)
        assert one.images_per_second == pytest.approx(2 / (latency.median_ms / 1000))
        assert one.spec.arch_id == describe(one.name, input_size=32, num_classes=10).spec.arch_id
    assert (told[0].group, told[0].groups, told[0].networks, told[0].batch) == (1, 1, 2, 2)


def test_a_board_that_slowed_itself_down_is_not_said_to_have_had_other_work() -> None:
    facts: dict[str, Any] = {"name": "one", "spec": VARIANTS["shufflenet_v2_x0_5"].spec, "num_classes": 10}
    hot, busy = (
        MeasuredNetwork(latency=make_latency(contended=True, state={"throttled": said}), backend_version="1", **facts)
        for said in ("yes", "no")
    )
    (said,) = MeasuredNetworks([hot, hot]).warnings
    assert said == "the board slowed itself down meanwhile; numbers marked ! may be too high"
    assert [text.partition(" meanwhile")[0] for text in MeasuredNetworks([busy, hot]).warnings] == [
        "other work used the device", "the board slowed itself down",
    ]  # fmt: skip


def test_the_plain_data_has_every_field_of_the_latency(asked: list[dict[str, object]]) -> None:
    found = measure("shufflenet_v2_x0_5", batches=8, **SMALL)
    (said,) = json.loads(json.dumps(found.plain()))["networks"]
    latency = said["latency"]
    assert set(Latency.__dataclass_fields__) == set(latency)
    assert said["arch_id"] == found[0].spec.arch_id
    assert (latency["p10_ms"], latency["median_ms"], latency["ratio_low"], latency["ratio_high"]) == (
        1.0,
        2.0,
        0.9,
        1.1,
    )
    assert said["images_per_second"] == 8 / 0.002  # 8 images in 2 ms


def test_each_backend_and_batch_is_one_group_of_all_networks_in_the_order_asked(
    asked: list[dict[str, object]],
) -> None:
    named = ["shufflenet_v2_x1_5", "shufflenet_v2_x0_5", "mobilenet_v2"]
    found = measure(named, **SMALL | {"backends": ["torch", "torch-eager", "torch"], "batches": [4, 1, 4]})
    conditions = [("torch", 4), ("torch", 1), ("torch-eager", 4), ("torch-eager", 1)]  # each once
    assert [(call["settings"].backend, call["settings"].batch) for call in asked] == conditions
    assert [len(call["models"]) for call in asked] == [3] * 4
    assert [one.name for one in found] == named * 4
    assert [(one.latency.backend, one.latency.batch) for one in found[::3]] == conditions


def test_networks_of_their_own_sizes_have_a_reference_of_each_size_and_keep_their_order(
    asked: list[dict[str, object]], tmp_path: Path
) -> None:
    small = tmp_path / "small.yaml"
    small.write_text("family: shufflenet_v2\nchoices: {width: 0.5}\nnum_classes: 10\ninput_size: 32\n")
    named = ["shufflenet_v2_x0_5", str(small), "shufflenet_v2_x1_5"]
    found = measure(named, device="cpu", backends=["torch"], reference="shufflenet_v2_x2_0")
    assert [one.name for one in found] == named
    assert [(one.latency.input_size, one.num_classes) for one in found] == [(224, 1000), (32, 10), (224, 1000)]
    assert [(call["input_size"], len(call["models"])) for call in asked] == [(224, 2), (32, 1)]
    assert all(isinstance(call["lease"], DeviceLease) for call in asked)
    # torchvision's documentation: 7393996 parameters with 1000 outputs; each output has 2048 weights and a bias
    assert [sum(weights.numel() for weights in call["reference"].parameters()) for call in asked] == [
        7393996,
        7393996 - 990 * 2049,
    ]


def test_the_backend_and_batch_are_the_devices_own_unless_said(asked: list[dict[str, object]]) -> None:
    (one,) = measure(["shufflenet_v2_x0_5"], input_size=32, device="cpu")
    assert (one.latency.backend, one.latency.batch) == ("onnxruntime", 1)
    assert asked[0]["settings"].budget_seconds == 20
    assert asked[0]["board"].is_own


def test_progress_is_told_before_each_group_and_between_visits(asked: list[dict[str, object]]) -> None:
    told: list[MeasureProgress] = []
    measure(["shufflenet_v2_x0_5"], batches=[1, 4], on_progress=told.append, **SMALL)
    assert [(one.group, one.groups, one.batch) for one in told] == [(1, 2, 1), (2, 2, 4)]
    sleep = asked[1]["sleep"]
    sleep(0.0)  # what the protocol does between two visits
    assert (told[-1].group, len(told)) == (2, 3)
    assert told[-1].seconds >= told[-2].seconds


def test_a_model_folder_is_measured_by_its_specification(asked: list[dict[str, object]], tmp_path: Path) -> None:
    spec = VARIANTS["shufflenet_v2_x0_5"].spec.normalised(32)
    content = {"spec": json.loads(spec.canonical_json()), "num_classes": 7, "input_size": 32}
    (tmp_path / "spec.json").write_text(json.dumps(content))
    (one,) = measure([str(tmp_path)], device="cpu")
    assert (one.spec.arch_id, one.num_classes, one.latency.input_size) == (spec.arch_id, 7, 32)


def test_batches_of_numpy_are_the_batches_that_are_measured(asked: list[dict[str, object]]) -> None:
    for batches, wanted in ((2 ** np.arange(3), [1, 2, 4]), (np.int64(8), [8])):
        found = measure("shufflenet_v2_x0_5", batches=batches, **SMALL)  # type: ignore[arg-type]
        assert [one.latency.batch for one in found] == wanted


def test_backends_and_precisions_are_named_by_an_array(asked: list[dict[str, object]]) -> None:
    several = {"backends": np.array(["torch", "torch-eager"]), "precisions": np.array(["fp32", "fp32"])}
    found = measure("shufflenet_v2_x0_5", **SMALL | several)
    assert [(type(one.latency.backend), one.latency.backend) for one in found] == [(str, "torch"), (str, "torch-eager")]


@pytest.mark.parametrize(
    ("names", "changed", "error", "said"),
    [
        ([], {}, ConfigError, "no network"),
        (["shufflenet_v2_x9"], {}, UnknownNameError, "unknown network"),
        (["absent.json"], {}, ConfigError, "absent.json"),
        (["quickstart:best"], {"storage": "sqlite:////absent/folder/none.db"}, StoreError, "no database"),
        (["shufflenet_v2_x0_5"], {"reference": "shufflenet"}, UnknownNameError, "unknown network 'shufflenet'"),
        (["shufflenet_v2_x0_5"], {"backends": ["onnx"]}, UnknownNameError, "unknown latency backend 'onnx'"),
        (["shufflenet_v2_x0_5"], {"backends": ["cuda-graph"]}, ConfigError, "does not run on 'cpu'"),
        (["shufflenet_v2_x0_5"], {"device": "tpu"}, ConfigError, "tpu"),
        (["shufflenet_v2_x0_5"], {"batches": [0]}, ConfigError, "batch"),
        (["shufflenet_v2_x0_5"], {"batches": [2.5]}, ConfigError, r"batch 2\.5: must be a whole number"),
        (["shufflenet_v2_x0_5"], {"threads": 0}, ConfigError, "threads"),
        (["shufflenet_v2_x0_5"], {"budget_seconds": 0}, ConfigError, "budget_seconds"),
        (["shufflenet_v2_x0_5"], {"budget_seconds": float("nan")}, ConfigError, "budget_seconds"),
        (["shufflenet_v2_x0_5"], {"budget_seconds": 1e300}, ConfigError, r"budget_seconds 1e\+300: must be .* at most"),
        (["shufflenet_v2_x0_5"], {"input_size": 0}, ConfigError, "input_size"),
        (["shufflenet_v2_x0_5"], {"input_size": 4}, BuildError, "4 pixels"),
    ],
)
def test_what_cannot_be_measured_is_an_error_before_anything_is(
    names: list[str], changed: dict[str, object], error: type[Exception], said: str, asked: list[dict[str, object]]
) -> None:
    with pytest.raises(error, match=said):
        measure(names, **SMALL | changed)
    assert asked == []


def test_a_network_that_cannot_be_timed_is_an_error_and_the_groups_before_it_are_told(
    monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, object]]
) -> None:
    answer: Callable[..., tuple[Latency, ...]] = archsearch.latency.network.measure_networks

    def failing_at_batch_4(*arguments: object, **named: object) -> tuple[Latency, ...]:
        if named["settings"].batch == 4:
            raise MeasurementError("out of memory")
        return answer(*arguments, **named)

    monkeypatch.setattr(archsearch.targets.board, "measure_networks", failing_at_batch_4)
    done: list[MeasuredNetwork] = []
    with pytest.raises(MeasurementError, match="out of memory"):
        measure(["shufflenet_v2_x0_5"], batches=[1, 4], on_measured=done.append, **SMALL)
    assert [one.latency.batch for one in done] == [1]
