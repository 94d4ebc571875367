"""The choice of a precision: what was measured decides, once, and a training keeps what its study has."""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from archsearch.host import give_back_freed_memory, keep_freed_memory, with_huge_pages
from archsearch.training import calibration
from archsearch.training.calibration import Calibration, cached_calibration, calibrate
from archsearch.training.precision import _emulates_bf16, usual_precision, warn_of_emulation
from archsearch.training.settings import settled_precision


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))


@pytest.mark.parametrize(
    ("fp32", "bf16", "chosen"),
    # bfloat16 has to be more than 1.1 times as fast
    [
        (100.0, 50.0, "bf16"),
        (100.0, 95.0, "fp32"),
        (110.0, 100.0, "fp32"),
        (50.0, 100.0, "fp32"),
        (math.inf, math.inf, "fp32"),
    ],
)
def test_bfloat16_is_taken_only_where_it_is_clearly_faster(fp32: float, bf16: float, chosen: str) -> None:
    assert Calibration(fp32_ms=fp32, bf16_ms=bf16).precision == chosen


def test_a_calibration_trains_in_both_and_leaves_threads_and_random_numbers_alone() -> None:
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    network_once = network()
    torch.set_rng_state(random)
    chunks = []

    class Chunk:
        def __enter__(self) -> None:
            chunks.append(1)

        def __exit__(self, *_: object) -> None:
            pass

    found = calibrate([lambda: network_once], num_classes=4, input_size=8, batch_size=16, chunk=Chunk)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), random)
    if math.isfinite(found.fp32_ms):
        assert found.fp32_ms > 0 and found.bf16_ms > 0
        assert len(chunks) == 2 * 4  # two precisions, one step to warm up and three that count


def test_torch_says_whether_it_has_bfloat16_kernels_here() -> None:
    found = calibration._has_bfloat16()
    assert found in (True, False)
    if found and torch.backends.cpu.get_cpu_capability() != "DEFAULT":  # oneDNN wants wide vectors for them
        assert torch.backends.cpu.get_cpu_capability().startswith(("AVX", "AMX", "SVE"))


def test_without_bfloat16_kernels_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_has_bfloat16", lambda: False)

    def never() -> nn.Module:
        raise AssertionError

    assert calibrate([never], num_classes=4, input_size=8, batch_size=16).precision == "fp32"


def test_a_calibration_is_measured_once_for_each_key(tmp_path: Path) -> None:
    measured = []

    def measure() -> Calibration:
        measured.append(1)
        return Calibration(fp32_ms=10.0 * len(measured), bf16_ms=1.0)

    first = cached_calibration(tmp_path, {"torch": "2"}, measure)
    assert cached_calibration(tmp_path, {"torch": "2"}, measure) == first
    assert cached_calibration(tmp_path, {"torch": "3"}, measure).fp32_ms == 20.0
    for path in tmp_path.glob("*.json"):
        path.write_text("{", encoding="utf-8")
    assert cached_calibration(tmp_path, {"torch": "2"}, measure).fp32_ms == 30.0
    assert len(measured) == 3


def test_what_cannot_be_measured_is_kept_as_such(tmp_path: Path) -> None:
    never = Calibration(fp32_ms=math.inf, bf16_ms=math.inf)
    for _ in range(2):
        assert cached_calibration(tmp_path, {}, lambda: never) == never


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    found = Calibration(fp32_ms=2.0, bf16_ms=1.0)
    with caplog.at_level(logging.WARNING):
        assert cached_calibration(tmp_path / "file", {}, lambda: found) == found
    assert "not kept" in caplog.text


def test_a_study_keeps_the_precision_that_it_was_begun_with() -> None:
    auto = {"proxy": {"precision": "auto"}}
    assert settled_precision(auto, {"proxy_precision": "bf16"}, "cpu") == "bf16"
    assert settled_precision({"proxy": {"precision": "fp32"}}, {"proxy_precision": "bf16"}, "cpu") == "fp32"
    # a study of before there was the setting
    assert settled_precision({"proxy": {}}, {}, "cpu") == usual_precision("cpu") == "fp32"
    assert settled_precision({}, {}, "cuda:1") == usual_precision("cuda") == "bf16"


@pytest.mark.parametrize(("major", "expected"), [(7, "fp32"), (8, "bf16"), (9, "bf16")])
def test_a_gpu_without_bfloat16_of_its_own_trains_in_float32_and_the_log_says_so(
    major: int, expected: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The T4, V100 and RTX 20 have compute capability 7; torch calls bfloat16 supported there, since it emulates it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", lambda _device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: SimpleNamespace(major=major))
    _emulates_bf16.cache_clear()
    try:
        assert usual_precision("cuda:0") == usual_precision("cuda:0") == expected
        assert caplog.text.count("Tesla T4 has no bfloat16 of its own") == (expected == "fp32")
        warn_of_emulation("bf16", "cuda:0")
        assert ("a training in precision fp32 is faster there" in caplog.text) == (expected == "fp32")
        # what a study of before began with, it keeps
        assert settled_precision({}, {}, "cuda:0") == "bf16"
    finally:
        _emulates_bf16.cache_clear()


def test_large_pages_are_asked_for_beside_what_the_user_says() -> None:
    assert with_huge_pages({})["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    said = "glibc.malloc.arena_max=2"
    assert with_huge_pages({"GLIBC_TUNABLES": said})["GLIBC_TUNABLES"] == f"{said}:glibc.malloc.hugetlb=1"
    own = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0", "HOME": "/"}
    assert with_huge_pages(own) == own


def test_keeping_freed_memory_can_be_said_again_and_taken_back() -> None:
    assert keep_freed_memory() == keep_freed_memory()
    give_back_freed_memory()
