"""How many CPU cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
# Where quota and period stand: cgroups of version 2, and of version 1 (RHEL 8, say).
_QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))


def usable_cores() -> int:
    """CPU cores that this process may use: its affinity, and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in _QUOTAS:
        try:
            quota, period = " ".join((_CGROUP / file).read_text(encoding="ascii") for file in files).split()
        except (OSError, ValueError):  # no cgroups of this version here
            continue
        return cores if quota in ("max", "-1") else max(1, min(cores, int(quota) // int(period)))
    return cores
