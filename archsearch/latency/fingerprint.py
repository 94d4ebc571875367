"""What a latency belongs to. Two latencies with different fingerprints are not comparable.

The id is made of what stays as it is for months; load, clocks and temperature are told by `volatile_facts` only.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from archsearch.latency.backends import BACKENDS
from archsearch.latency.gpu import driver_version, gpu_state
from archsearch.latency.precision import Precision


@dataclass(frozen=True)
class Fingerprint:
    """A device as measured: `id` is the first 12 hex digits of the SHA-256 of `facts` as sorted JSON."""

    id: str
    facts: Mapping[str, str]

    @classmethod
    def of(cls, facts: Mapping[str, str]) -> Fingerprint:
        """The fingerprint of these facts, whatever their order."""
        text = json.dumps(dict(facts), sort_keys=True, ensure_ascii=True)
        return cls(id=hashlib.sha256(text.encode()).hexdigest()[:12], facts=dict(facts))

    def differences(self, other: Fingerprint) -> dict[str, tuple[str | None, str | None]]:
        """Facts that differ: name -> (here, there); None where a side does not know it."""
        names = sorted({*self.facts, *other.facts})
        pairs = {name: (self.facts.get(name), other.facts.get(name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def device_fingerprint(device: str, backend: str, threads: int, precision: Precision = "fp32") -> Fingerprint:
    """The fingerprint of a torch device ("cpu", "cuda:0") with a backend, a number of CPU threads and a precision.

    float32 on a CPU is not among the facts: it was the only precision there before there was a choice.
    Raises UnknownNameError if there is no such backend.
    """
    import torch

    facts = {
        "device": device.partition(":")[0],
        "cpu": cpu_name(),
        "cores": str(os.cpu_count()),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "backend": backend,
        "backend_version": BACKENDS[backend].version(),
        "threads": str(threads),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }
    governor = _read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))
    if governor:
        facts["governor"] = governor
    if facts["device"] == "cuda":
        facts |= _gpu_facts(device)
    if facts["device"] != "cpu" or precision != "fp32":
        facts["precision"] = precision
    return Fingerprint.of(facts)


def of_new_process(found: Fingerprint) -> Fingerprint:
    """The same of a process that has just begun, as a worker has, whatever torch was told in this one.

    https://docs.pytorch.org/docs/stable/cuda_environment_variables.html
    """
    tf32 = os.environ.get("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE") == "1"
    begun = {"float32_matmul_precision": "high" if tf32 else "highest", "cudnn_benchmark": "False"}
    return Fingerprint.of({name: begun.get(name, value) for name, value in found.facts.items()})


def volatile_facts(device: str) -> dict[str, str]:
    """What changes from minute to minute: load average and CPU frequency; clocks, heat and throttling of a GPU.

    Facts that the system does not tell are absent.
    """
    facts = {"kernel": platform.release()}
    if hasattr(os, "getloadavg"):
        facts["load_average_1_minute"] = f"{os.getloadavg()[0]:.2f}"
    frequency = re.search(r"^cpu MHz\s*:\s*([\d.]+)", _read(Path("/proc/cpuinfo")) or "", re.MULTILINE)
    if frequency:
        facts["cpu_mhz"] = frequency[1]
    if device.partition(":")[0] == "cuda":
        facts |= gpu_state(device).facts
    return facts


def cpu_name() -> str:
    """The CPU's name, with family and model where the kernel tells: a virtual machine's name alone says little.

    ARM kernels give numbers instead of a name: then the board's name, with each kind of core it has.
    """
    text = _read(Path("/proc/cpuinfo")) or ""
    found: dict[str, str] = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.+)$", text, re.MULTILINE))
    if "model name" in found and "cpu family" in found:
        return f"{found['model name']} (family {found['cpu family']}, model {found.get('model', 'unknown')})"
    board = (_read(Path("/proc/device-tree/model")) or "").strip("\0 \n")
    name = found.get("model name") or board or platform.processor() or platform.machine()
    cores = _arm_cores(text)
    return f"{name} ({cores})" if cores else name


def _arm_cores(cpuinfo: str) -> str:
    """The kinds of ARM cores in /proc/cpuinfo, by the numbers of their main ID register; empty for other CPUs."""
    kinds: set[str] = set()
    for block in re.split(r"\n\s*\n", cpuinfo):
        core = dict(re.findall(r"^CPU (implementer|variant|part|revision)\s*:\s*(\S+)$", block, re.MULTILINE))
        if "part" in core:
            kinds.add(
                " ".join(f"{key} {core[key]}" for key in ("implementer", "part", "variant", "revision") if key in core)
            )
    return "; ".join(sorted(kinds))


def _gpu_facts(device: str) -> dict[str, str]:
    import torch

    properties = torch.cuda.get_device_properties(torch.device(device))
    return {
        "gpu": properties.name,
        "gpu_memory_mib": str(properties.total_memory // 2**20),
        "driver": _driver_version(),
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
        "cudnn_benchmark": str(torch.backends.cudnn.benchmark),
    }


def _driver_version() -> str:
    text = _read(Path("/proc/driver/nvidia/version")) or ""
    found = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", text)
    if found:
        return found[1]
    return driver_version() or "unknown"


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
