"""Memory in huge pages: what is filled moves there, what is hardly used stays as it is, and no byte changes."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from archsearch.latency import prepare
from archsearch.latency.backends.onnx_runtime import OnnxRunner
from archsearch.latency.prepare import ExportedNetwork, conditions_of, use_huge_pages
from archsearch.latency.settings import LatencySettings

MIB = 1 << 20


def rollup(key: str) -> int:
    """Of this process (bytes), as the kernel counts."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))


@pytest.fixture
def supported() -> None:
    """Skips where the kernel cannot do it (madvise(2): MADV_COLLAPSE since Linux 6.1)."""
    if sys.platform != "linux" or not prepare._SIZE.exists():
        pytest.skip("a system without transparent huge pages")
    probe = np.ones(8 * MIB, dtype=np.uint8)
    if use_huge_pages() == 0:
        pytest.skip("a kernel that does not collapse pages when it is asked to")
    del probe


def test_filled_memory_moves_to_huge_pages_and_keeps_its_content(supported: None) -> None:
    with mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        content = np.frombuffer(area, dtype=np.uint8)
        content[:] = np.arange(len(content), dtype=np.uint64) % 251
        before = rollup("AnonHugePages")
        assert use_huge_pages() >= 60 * MIB
        assert rollup("AnonHugePages") >= before + 60 * MIB
        assert use_huge_pages() < 60 * MIB  # it is there already
        np.testing.assert_array_equal(content, np.arange(len(content), dtype=np.uint64) % 251)
        del content


def test_memory_that_is_hardly_used_is_not_filled_up(supported: None) -> None:
    use_huge_pages()
    with mmap.mmap(-1, 256 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area[0 : 4 * MIB] = b"x" * (4 * MIB)
        before = rollup("Rss")
        use_huge_pages()
        assert rollup("Rss") < before + 32 * MIB


def test_a_system_without_huge_pages_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prepare, "_SIZE", tmp_path / "absent")
    assert use_huge_pages() == 0
    size = tmp_path / "size"
    monkeypatch.setattr(prepare, "_SIZE", size)
    for told in ("", "0", "many", str(512 * MIB)):
        size.write_text(told)
        assert use_huge_pages() == 0


def test_a_network_on_a_cpu_has_laid_out_its_memory_before_it_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr("archsearch.latency.prepare.use_huge_pages", lambda: made.append("pages"))
    run = OnnxRunner._run
    monkeypatch.setattr(OnnxRunner, "_run", lambda self: (made.append("run"), run(self))[1])
    conditions = conditions_of("small", LatencySettings(backend="onnxruntime"), "cpu", 8)
    ExportedNetwork(torch.nn.Conv2d(3, 4, 3), conditions, what="a network", lease=None).open()
    assert made == ["run", "run", "pages"]  # ONNX Runtime plans its memory in the first run, and takes it in the second
