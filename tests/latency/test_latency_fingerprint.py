from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from archsearch.errors import UnknownNameError
from archsearch.latency import fingerprint as module
from archsearch.latency.fingerprint import Fingerprint, device_fingerprint, of_new_process, volatile_facts


def test_the_id_is_the_hash_of_the_facts_whatever_their_order() -> None:
    facts = {"threads": "1", "cpu": "x"}
    # sha256 of the JSON with sorted keys, written out here by hand
    expected = hashlib.sha256(b'{"cpu": "x", "threads": "1"}').hexdigest()[:12]
    assert Fingerprint.of(facts).id == expected
    assert Fingerprint.of(dict(reversed(facts.items()))).id == expected


def test_threads_backend_and_torch_are_part_of_the_identity() -> None:
    one = device_fingerprint("cpu", "torch", 1)
    assert one == device_fingerprint("cpu", "torch", 1)
    assert one.facts["torch"] == torch.__version__
    assert one.differences(device_fingerprint("cpu", "torch", 2)) == {"threads": ("1", "2")}
    assert one.differences(device_fingerprint("cpu", "torch-eager", 1)) == {"backend": ("torch", "torch-eager")}
    assert one.id != device_fingerprint("cpu", "torch", 2).id


def test_a_new_process_has_nothing_of_what_torch_was_told_in_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", raising=False)
    facts = {"cpu": "x", "float32_matmul_precision": "medium", "cudnn_benchmark": "True"}
    new = of_new_process(Fingerprint.of(facts))
    assert new == Fingerprint.of({"cpu": "x", "float32_matmul_precision": "highest", "cudnn_benchmark": "False"})
    assert of_new_process(Fingerprint.of({"cpu": "x"})) == Fingerprint.of({"cpu": "x"})
    monkeypatch.setenv("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1")  # which a worker has, too
    assert of_new_process(new).facts["float32_matmul_precision"] == "high"


def test_what_changes_by_the_minute_is_told_but_is_not_part_of_the_identity() -> None:
    volatile = volatile_facts("cpu")
    assert "load_average_1_minute" in volatile
    assert not volatile.keys() & device_fingerprint("cpu", "torch", 1).facts.keys()


def test_the_cpu_is_named_with_family_and_model(monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nstepping : 1\n"
    monkeypatch.setattr(module, "_read", lambda path: cpuinfo if path == Path("/proc/cpuinfo") else None)
    assert module.cpu_name() == "AMD EPYC (family 25, model 17)"


ARM_CORE = """processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x{variant}
CPU part\t: {part}
CPU revision\t: 2
"""


def test_an_arm_cpu_is_named_by_its_board_and_its_kinds_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = ({"part": "0xd03", "variant": 0}, {"part": "0xd0c", "variant": 4})
    files = {
        Path("/proc/cpuinfo"): "\n".join(
            ARM_CORE.format(number=number, **core) for number, core in enumerate((small, small, large))
        ),
        Path("/proc/device-tree/model"): "Some Board Rev 1.4\0",
    }
    monkeypatch.setattr(module, "_read", files.get)
    cores = "implementer 0x41 part 0xd03 variant 0x0 revision 2; implementer 0x41 part 0xd0c variant 0x4 revision 2"
    assert module.cpu_name() == f"Some Board Rev 1.4 ({cores})"


def test_an_arm_cpu_without_a_board_still_differs_from_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for part in ("0xd0c", "0xd40"):
        text = ARM_CORE.format(number=0, part=part, variant=1)
        monkeypatch.setattr(module, "_read", {Path("/proc/cpuinfo"): text}.get)
        names.append(module.cpu_name())
    assert names[0] != names[1]
    assert "part 0xd0c" in names[0]


def test_the_driver_version_is_read_from_the_kernel_module(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build  (archlinux)\nGCC version:"
    )
    monkeypatch.setattr(module, "_read", lambda _: text)
    assert module._driver_version() == "570.124.06"


def test_an_unknown_backend_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'torch'"):
        device_fingerprint("cpu", "torc", 1)
