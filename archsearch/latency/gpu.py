"""What an NVIDIA GPU tells of its state: clocks, heat, throttling, and which processes compute on it.

Asked of NVML (package nvidia-ml-py, installed on Linux), a library call of this process; where it does not answer, of
the program nvidia-smi. That is a process of its own and takes up to a second, so it is never asked while a device is
held for measuring.
"""

from __future__ import annotations

import importlib
import logging
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

logger = logging.getLogger(__name__)

_QUERY = {  # a fact of `GpuState` -> what nvidia-smi calls it
    "gpu_clocks.sm": "clocks.sm",
    "gpu_clocks.mem": "clocks.mem",
    "gpu_clocks.max.sm": "clocks.max.sm",
    "gpu_temperature.gpu": "temperature.gpu",
    "gpu_power.draw": "power.draw",
    "gpu_utilization.gpu": "utilization.gpu",
    "gpu_clocks_throttle_reasons.active": "clocks_throttle_reasons.active",
}
# nvml.h: nvmlClocksThrottleReason* (nvmlClocksEventReason* in newer versions)
_THROTTLE_REASONS = {
    0x1: "idle",
    0x2: "applications_clocks_setting",
    0x4: "software_power_cap",
    0x8: "hardware_slowdown",
    0x10: "sync_boost",
    0x20: "software_thermal_slowdown",
    0x40: "hardware_thermal_slowdown",
    0x80: "hardware_power_brake",
    0x100: "display_clock_setting",
}


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """A GPU at one moment.

    Attributes:
        facts: clocks (MHz), temperature (degrees Celsius), power (W), utilisation (%), why clocks are held back.
        processes: process numbers that have a compute context on it, in the numbering of the driver's machine, which
            in a container is not the container's; None where the system does not tell.
    """

    facts: dict[str, str] = field(default_factory=dict)
    processes: tuple[int, ...] | None = None


def gpu_state(device: str) -> GpuState:
    """The state of a torch device ("cuda", "cuda:1"); empty where nothing tells."""
    return state_by_nvml(device) or _by_nvidia_smi(_gpu_id(device))


def state_by_nvml(device: str) -> GpuState | None:
    """The state of a torch device as this process can find out by itself; None where NVML does not answer."""
    return _by_nvml(_gpu_id(device))


def throttle_reasons(mask: int) -> str:
    """NVML's bits in words.

    >>> throttle_reasons(0x24)
    'software_power_cap, software_thermal_slowdown'
    """
    words = [word for bit, word in _THROTTLE_REASONS.items() if mask & bit]
    unknown = mask & ~sum(_THROTTLE_REASONS)
    return ", ".join([*words, *([hex(unknown)] if unknown else [])]) or "none"


def driver_version() -> str | None:
    """The driver's version; None where nothing tells."""
    nvml = _nvml()
    if nvml is not None:
        try:
            return str(nvml.nvmlSystemGetDriverVersion())
        except nvml.NVMLError as error:
            logger.debug("NVML does not tell the driver's version: %s", error)
    lines = _nvidia_smi("--query-gpu=driver_version")
    return lines[0][0] if lines else None


@lru_cache(maxsize=16)
def _gpu_id(device: str) -> str | None:
    import torch

    uuid = getattr(torch.cuda.get_device_properties(torch.device(device)), "uuid", None)
    return f"GPU-{uuid}" if uuid else None


@lru_cache(maxsize=1)
def _nvml() -> Any:
    """The module pynvml, initialised; None where it is not installed or finds no driver."""
    try:
        module = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        module.nvmlInit()
    except module.NVMLError as error:
        logger.debug("NVML does not answer: %s", error)
        return None
    return module


def _by_nvml(gpu: str | None) -> GpuState | None:
    nvml = _nvml()
    if nvml is None or gpu is None:
        return None
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(gpu)
    except nvml.NVMLError as error:
        logger.debug("NVML does not know %s: %s", gpu, error)
        return None

    def ask(question: str, *arguments: Any) -> Any:
        try:
            return getattr(nvml, question)(handle, *arguments)
        except nvml.NVMLError:  # this GPU or driver does not tell
            return None

    utilisation, power = ask("nvmlDeviceGetUtilizationRates"), ask("nvmlDeviceGetPowerUsage")
    reasons = ask("nvmlDeviceGetCurrentClocksThrottleReasons")
    found = {
        "gpu_clocks.sm": (ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM), "MHz"),
        "gpu_clocks.mem": (ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM), "MHz"),
        "gpu_clocks.max.sm": (ask("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_SM), "MHz"),
        "gpu_temperature.gpu": (ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU), ""),
        "gpu_power.draw": (None if power is None else f"{power / 1000:.2f}", "W"),
        "gpu_utilization.gpu": (None if utilisation is None else utilisation.gpu, "%"),
        "gpu_clocks_throttle_reasons.active": (None if reasons is None else throttle_reasons(reasons), ""),
    }
    processes = ask("nvmlDeviceGetComputeRunningProcesses")
    return GpuState(
        facts={name: f"{value} {unit}".strip() for name, (value, unit) in found.items() if value is not None},
        processes=None if processes is None else tuple(sorted(process.pid for process in processes)),
    )


def _by_nvidia_smi(gpu: str | None) -> GpuState:
    rows = _nvidia_smi(f"--query-gpu={','.join(_QUERY.values())}", gpu)
    facts = dict(zip(_QUERY, rows[0], strict=True)) if rows and len(rows[0]) == len(_QUERY) else {}
    mask = facts.get("gpu_clocks_throttle_reasons.active", "")
    if mask.lower().startswith("0x"):
        facts["gpu_clocks_throttle_reasons.active"] = throttle_reasons(int(mask, 16))
    facts = {name: value for name, value in facts.items() if not value.startswith("[")}  # "[N/A]", "[Not Supported]"
    listed = _nvidia_smi("--query-compute-apps=pid", gpu)
    known = listed is not None and all(row[0].isdigit() for row in listed)
    return GpuState(facts=facts, processes=tuple(sorted(int(row[0]) for row in listed or ())) if known else None)


def _nvidia_smi(query: str, gpu: str | None = None) -> list[list[str]] | None:
    """The rows that nvidia-smi answers; None where it is missing or does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, query, "--format=csv,noheader", *([f"--id={gpu}"] if gpu else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5.0, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
