"""What a GPU tells of itself, by a stand-in for NVML and one for nvidia-smi: there may be no GPU here."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from archsearch.latency import gpu as module
from archsearch.latency.gpu import driver_version, gpu_state, throttle_reasons


class NVMLError(Exception):
    pass


def nvml(**answers: Any) -> SimpleNamespace:
    """pynvml as far as it is asked; a question that is not among the answers is not supported by this GPU."""

    def unsupported(*_: Any) -> None:
        raise NVMLError("Not Supported")

    questions = (
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetPowerUsage",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
        "nvmlDeviceGetClockInfo",
        "nvmlDeviceGetMaxClockInfo",
        "nvmlDeviceGetTemperature",
        "nvmlDeviceGetComputeRunningProcesses",
    )
    functions = {name: answers.get(name, unsupported) for name in questions}
    known = answers.get("nvmlDeviceGetHandleByUUID", lambda _: "handle")
    return SimpleNamespace(
        NVMLError=NVMLError,
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        NVML_TEMPERATURE_GPU=0,
        nvmlDeviceGetHandleByUUID=known,
        **functions,
    )


@pytest.fixture(autouse=True)
def no_gpu_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_gpu_id", lambda _: "GPU-0")
    monkeypatch.setattr(module, "_nvml", lambda: None)
    monkeypatch.setattr("shutil.which", lambda _: None)


def test_nvml_tells_clocks_heat_throttling_and_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = nvml(
        nvmlDeviceGetClockInfo=lambda _, which: {1: 1755, 2: 2619}[which],
        nvmlDeviceGetMaxClockInfo=lambda _, which: {1: 1980}[which],
        nvmlDeviceGetTemperature=lambda _, __: 41,
        nvmlDeviceGetPowerUsage=lambda _: 118_540,  # NVML's unit is the milliwatt
        nvmlDeviceGetUtilizationRates=lambda _: SimpleNamespace(gpu=37, memory=2),
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda _: 0x4,
        nvmlDeviceGetComputeRunningProcesses=lambda _: [SimpleNamespace(pid=90), SimpleNamespace(pid=7)],
    )
    monkeypatch.setattr(module, "_nvml", lambda: stand_in)
    state = gpu_state("cuda:0")
    assert state.facts == {
        "gpu_clocks.sm": "1755 MHz",
        "gpu_clocks.mem": "2619 MHz",
        "gpu_clocks.max.sm": "1980 MHz",
        "gpu_temperature.gpu": "41",
        "gpu_power.draw": "118.54 W",
        "gpu_utilization.gpu": "37 %",
        "gpu_clocks_throttle_reasons.active": "software_power_cap",
    }
    assert state.processes == (7, 90)


def test_what_a_gpu_does_not_tell_is_absent_and_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_nvml", lambda: nvml(nvmlDeviceGetTemperature=lambda _, __: 30))
    state = gpu_state("cuda:0")
    assert state.facts == {"gpu_temperature.gpu": "30"}
    assert state.processes is None


def smi(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> list[list[str]]:
    """A stand-in for nvidia-smi that answers by the beginning of its query; an unknown query fails."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        asked.append(command)
        for beginning, text in answers.items():
            if command[1].startswith(beginning):
                return SimpleNamespace(stdout=text)
        raise subprocess.CalledProcessError(6, command)

    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.setattr("subprocess.run", run)
    return asked


def test_without_nvml_the_same_facts_come_from_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "--query-gpu=clocks.sm": "1755 MHz, 2619 MHz, 1980 MHz, 41, 118.54 W, [N/A], 0x0000000000000024\n",
        "--query-compute-apps": "4711\n12\n",
    }
    asked = smi(monkeypatch, answers)
    state = gpu_state("cuda:0")
    assert state.facts["gpu_clocks.sm"] == "1755 MHz"
    assert state.facts["gpu_clocks_throttle_reasons.active"] == "software_power_cap, software_thermal_slowdown"
    assert "gpu_utilization.gpu" not in state.facts
    assert state.processes == (12, 4711)
    assert all(command[-1] == "--id=GPU-0" for command in asked)


@pytest.mark.parametrize(("listed", "processes"), [("", ()), ("[Insufficient Permissions]\n", None)])
def test_no_process_and_no_answer_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, listed: str, processes: tuple[int, ...] | None
) -> None:
    smi(monkeypatch, {"--query-compute-apps": listed})
    assert gpu_state("cuda:0").processes == processes


def test_a_machine_without_nvml_and_nvidia_smi_has_no_gpu_state() -> None:
    state = gpu_state("cuda:0")
    assert state.facts == {}
    assert state.processes is None
    assert driver_version() is None


def test_a_gpu_that_nvml_does_not_know_is_asked_of_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> None:
        raise NVMLError("Not Found")

    monkeypatch.setattr(module, "_nvml", lambda: nvml(nvmlDeviceGetHandleByUUID=unknown))
    smi(monkeypatch, {"--query-compute-apps": "3\n"})
    assert gpu_state("cuda:0").processes == (3,)


def test_the_bits_of_throttling_are_those_of_nvml() -> None:
    assert throttle_reasons(0) == "none"
    assert throttle_reasons(0x1) == "idle"
    assert throttle_reasons(0x40 | 0x8) == "hardware_slowdown, hardware_thermal_slowdown"
    assert throttle_reasons(0x1000) == "0x1000"


def test_the_driver_version_is_nvmls_and_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = nvml()
    stand_in.nvmlSystemGetDriverVersion = lambda: "580.65.06"
    monkeypatch.setattr(module, "_nvml", lambda: stand_in)
    asked = smi(monkeypatch, {})
    assert driver_version() == "580.65.06"
    assert asked == []


def test_the_driver_version_is_that_of_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    smi(monkeypatch, {"--query-gpu=driver_version": "570.124.06\n570.124.06\n"})
    assert driver_version() == "570.124.06"
