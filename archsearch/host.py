"""What this machine lets a process have: CPU cores, threads, a place among the processes of torchrun, and freed memory
that it keeps for a training's next step.

glibc gives each large block back to the system when it is freed, and a training on a CPU frees and takes the same
blocks at every step: the system then clears tens of thousands of pages a step, a fifth of the time of a small network's
training (`benchmarks/training_throughput.py`). Nothing is computed otherwise.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from archsearch.errors import ConfigError, shown

log = logging.getLogger(__name__)

_CGROUP = Path("/sys/fs/cgroup")
# Where quota and period stand: cgroups of version 2, and of version 1 (RHEL 8, say).
_QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_KEPT_BYTES = 2**31 - 1  # mallopt takes an int
_HUGE_PAGES = "glibc.malloc.hugetlb=1"  # since glibc 2.35; older ones do not know it and say nothing


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


def torchrun_number(name: str) -> int | None:
    """What torchrun has set a variable to; None where it is not set, or to nothing. Raises ConfigError for a word."""
    said = os.environ.get(name, "").strip()
    try:
        return int(said) if said else None
    except ValueError:
        hint = f"start it by torchrun, which sets it, or unset {name}"
        raise ConfigError(f"{name} is set to {shown(said)}, which is no whole number", hint=hint) from None


@contextmanager
def cpu_threads(threads: int | None) -> Iterator[None]:
    """So many threads of torch on the CPU, and then those of before; None: no others."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(before if threads is None else threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def keep_freed_memory() -> bool:
    """Let this process keep up to 2 GiB that is freed, from now on; False where that cannot be said (no glibc)."""
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = ((_M_MMAP_THRESHOLD, 2**30), (_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_TOP_PAD, 2**26))
    kept = all(int(mallopt(name, value)) == 1 for name, value in wanted)
    log.debug("freed memory is kept: %s", kept)
    return kept


def give_back_freed_memory() -> None:
    """Give the system what is kept and not in use: between two trainings."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def with_huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which a new process has its heap in large pages, where the system has them on request."""
    said = environment.get("GLIBC_TUNABLES", "")
    if "glibc.malloc.hugetlb" in said:
        return dict(environment)
    return {**environment, "GLIBC_TUNABLES": f"{said}:{_HUGE_PAGES}" if said else _HUGE_PAGES}
