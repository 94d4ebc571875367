"""Who else used the device while it was measured, as far as the system tells, and in what state it was.

The lease keeps archsearch's own processes away; this looks for all others.

CPU: `/proc/stat` counts the time that all cores of the machine were busy; what this process itself used is taken off
it. A worker that waits for the lease sleeps and uses none. GPU: the driver lists the processes that compute on it;
archsearch's own are known by their command line and wait for the lease.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archsearch.latency.fingerprint import volatile_facts
from archsearch.latency.gpu import GpuState, gpu_state, state_by_nvml

FOREIGN_CPU_SHARE = 0.10  # of all cores' time in the visits: above it, the device was not this measurement's alone
_TICKS_A_VISIT = 2  # /proc/stat is rounded to ticks, at the visit's start and at its end
_IDLE = (3, 4)  # columns of /proc/stat's first line, see proc_stat(5): idle, iowait
_GUEST = 8  # from here on: time that is in user and nice already


@dataclass(frozen=True)
class CpuTime:
    """Seconds since the machine started: of all cores together (`total`, `busy`), and of this process (`own`)."""

    total: float
    busy: float
    own: float


def cpu_time(stat: str | None, own_seconds: float, ticks_per_second: int) -> CpuTime | None:
    """The text of /proc/stat with the process's own CPU time; None if it tells nothing.

    Stolen time, which a hypervisor gave to other machines, counts as busy.
    """
    found = re.search(r"^cpu +([\d ]+)$", stat or "", re.MULTILINE)
    ticks = [int(column) for column in found[1].split()[:_GUEST]] if found else []
    if len(ticks) <= max(_IDLE) or not any(ticks):
        return None
    total = sum(ticks)
    busy = total - sum(ticks[column] for column in _IDLE)
    return CpuTime(total=total / ticks_per_second, busy=busy / ticks_per_second, own=own_seconds)


class DeviceWatch:
    """Watches one measurement of one device, visit by visit.

    Args:
        device: torch device ("cpu", "cuda:0").
        read_cpu: the CPU's time now, or None where the system does not tell.
        read_gpu: the GPU's state now, or None where it takes more than a library call; asked for a GPU only, at the
            end of each visit.
        read_gpu_slowly: the GPU's state where none of the visits told it: by another process, so that it is asked once,
            after the visits, when the device is no longer held.
        is_ours: whether a process (by its number) is this one or another of archsearch's.
    """

    def __init__(
        self,
        device: str,
        *,
        read_cpu: Callable[[], CpuTime | None] | None = None,
        read_gpu: Callable[[str], GpuState | None] = state_by_nvml,
        read_gpu_slowly: Callable[[str], GpuState] = gpu_state,
        is_ours: Callable[[int], bool] | None = None,
    ) -> None:
        self.device = device
        self._read_cpu = read_cpu or _read_cpu
        self._read_gpu = read_gpu
        self._read_gpu_slowly = read_gpu_slowly
        self._is_ours = is_ours or is_archsearch
        self._visits, self._total, self._foreign = 0, 0.0, 0.0
        self._gpu: GpuState | None = None
        self._gpu_neighbours: set[int] = set()

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Around the runs of one visit."""
        before = self._read_cpu()
        yield
        after = self._read_cpu()
        self._visits += 1
        if before is not None and after is not None:
            self._total += after.total - before.total
            self._foreign += (after.busy - before.busy) - (after.own - before.own)
        if self.device.partition(":")[0] == "cuda":
            self._note(self._read_gpu(self.device))

    def _note(self, gpu: GpuState | None) -> None:
        if gpu is not None:
            self._gpu = gpu
            self._gpu_neighbours |= set(self._foreign_processes(gpu.processes) or ())

    def _after_the_visits(self) -> None:
        if self.device.partition(":")[0] == "cuda" and self._gpu is None and self._visits:
            self._note(self._read_gpu_slowly(self.device))

    @property
    def foreign_cpu_share(self) -> float | None:
        """Share of all cores' time in the visits that others used, 0 to 1; None where the system does not tell."""
        return None if self._total <= 0 else min(1.0, max(0.0, self._foreign / self._total))

    @property
    def disturbed(self) -> bool:
        """Whether another process used the device in a visit, as far as the system tells.

        A CPU: others used more than `FOREIGN_CPU_SHARE` of all cores' time, by more than the rounding of the counters
        can be. A GPU: a process that is not archsearch's had a compute context on it.
        """
        if self.device.partition(":")[0] == "cuda":
            return bool(self._gpu_neighbours)
        return is_disturbed(self._total, self._foreign, visits=self._visits)

    def state(self) -> dict[str, str]:
        """What `records.Latency.state` stores; facts that the system does not tell are absent.

        Not to be asked within a visit.
        """
        self._after_the_visits()
        facts = volatile_facts("cpu")
        share = self.foreign_cpu_share
        if share is not None:
            facts["foreign_cpu_share"] = f"{share:.3f}"
        if self._gpu is not None:
            facts |= self._gpu.facts
            if self._gpu.processes is not None:
                facts["gpu_processes"] = str(len(self._gpu.processes))
                known = self._foreign_processes(self._gpu.processes) is not None
                facts["gpu_foreign_processes"] = str(len(self._gpu_neighbours)) if known else "unknown"
        return facts

    def _foreign_processes(self, processes: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """Those that are not archsearch's; None where it cannot be told.

        In a container the driver's process numbers are those of the machine outside, and this process, which does
        compute on the GPU, is not among them by its own number: then one process is this one, of more it is not known
        whose they are.
        """
        if processes is None:
            return None
        if any(self._is_ours(process) for process in processes):
            return tuple(process for process in processes if not self._is_ours(process))
        return () if len(processes) <= 1 else None


def is_disturbed(total_seconds: float, foreign_seconds: float, *, visits: int) -> bool:
    """Whether others used more of all cores' time in the visits than they may, and than the counters' rounding."""
    rounding = _TICKS_A_VISIT * visits / _ticks_per_second()
    return foreign_seconds - rounding > FOREIGN_CPU_SHARE * total_seconds > 0


def is_archsearch(process: int) -> bool:
    """Whether a process is this one, or another that was started as archsearch (Linux: by its command line)."""
    if process == os.getpid():
        return True
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word.startswith(b"archsearch.") or word.rpartition(b"/")[2] == b"archsearch" for word in words)


def _read_cpu() -> CpuTime | None:
    try:
        stat = Path("/proc/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return cpu_time(stat, sum(os.times()[:4]), _ticks_per_second())


def _ticks_per_second() -> int:
    return int(os.sysconf("SC_CLK_TCK")) if hasattr(os, "sysconf") else 100
