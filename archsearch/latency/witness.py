"""The memory witness: a copy of a fixed size, timed beside the runs, that tells when others use the machine's memory.

A network whose data do not fit in a core's own cache waits for memory that other processes, and other virtual machines
of the same host, use too. No core is taken away then, so neither the lease nor the load shows it, and the reference
network, which fits, is no slower: the ratio to it does not cancel what happened. A copy that fits in no cache is slowed
as those networks are. See docs/latency.md, "Memory".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import numpy as np

from archsearch.noise import quiet_memory_ms

COPIED_BYTES = 16 * 2**20
_COPIES = 4  # of a sample; the first of five is not counted


class MemoryWitness:
    """Times copies of `COPIED_BYTES`, and remembers how long they took in each measurement of this process.

    Args:
        clock: a monotonic clock (nanoseconds). The copies are real whatever the networks are, so it is the host's.
    """

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._source = np.ones(COPIED_BYTES, dtype=np.uint8)
        self._target = np.zeros(COPIED_BYTES, dtype=np.uint8)
        self._measured: list[float] = []

    def sample(self) -> list[float]:
        """Some copies one after the other (milliseconds each)."""
        found = []
        for _ in range(_COPIES + 1):
            began = self._clock()
            np.copyto(self._target, self._source)
            found.append((self._clock() - began) / 1e6)
        return found[1:]

    def note(self, memory_ms: float) -> None:
        """Remember what the copies of one whole measurement took (milliseconds, `Latency.memory_ms`)."""
        self._measured.append(memory_ms)

    @property
    def quiet_ms(self) -> float | None:
        """What a copy takes while nobody else uses the memory, as far as this process has seen (milliseconds)."""
        return quiet_memory_ms(self._measured)


@cache
def memory_witness(device: str) -> MemoryWitness | None:
    """This process's witness for a CPU; None for another device, whose memory it does not share."""
    return MemoryWitness() if device.partition(":")[0] == "cpu" else None
