"""The process's memory in huge pages, so that what it did before does not change how long a network takes.

A process that has trained, exported and opened networks for a while gets scattered pages for the next one, which then
takes up to 15 % longer than in a process that has just begun (docs/latency.md). In huge pages it takes as long as
there. Linux from 6.1 on; elsewhere memory stays as it is.
"""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

_SMAPS, _SIZE = Path("/proc/self/smaps"), Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
_HUGE, _COLLAPSE = 14, 25  # MADV_HUGEPAGE, MADV_COLLAPSE (madvise(2))
_LARGEST = 32 << 20  # bytes of a huge page: a kernel of 64 KiB pages has some of 512 MiB, which nothing fills
_FILLED = 0.5  # of a range: what is hardly used would take memory that nobody needs
_RANGE = re.compile(
    r"^(?P<begin>[0-9a-f]+)-(?P<end>[0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\]|\[anon:.*\])?\n"
    r"(?:(?!Rss:)\w+: .*\n)*Rss: *(?P<resident>\d+) kB\n"
    r"(?:(?!AnonHugePages:)\w+: .*\n)*AnonHugePages: *(?P<huge>\d+) kB",
    re.MULTILINE,
)


def use_huge_pages() -> int:
    """Put the memory that this process has filled so far into huge pages; gives how many are new (bytes)."""
    try:
        size, ranges = int(_SIZE.read_text(encoding="ascii")), _SMAPS.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return 0
    if sys.platform != "linux" or not 0 < size <= _LARGEST:
        return 0
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    made = 0
    for found in _RANGE.finditer(ranges):
        begin = -(-int(found["begin"], 16) // size) * size
        length = int(found["end"], 16) // size * size - begin
        resident, huge = (1024 * int(found[name]) for name in ("resident", "huge"))
        if length > 0 and huge < length and resident >= _FILLED * length:
            libc.madvise(begin, length, _HUGE)
            made += (length - huge) if libc.madvise(begin, length, _COLLAPSE) == 0 else 0
    return made
