"""Cores that a process may use: those of its affinity, and no more than its container's quota pays for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from archsearch import host
from archsearch.host import usable_cores


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 4),
        ("200000 100000", 2),
        ("150000 100000", 1),  # one and a half: two would be held up
        ("50000 100000", 1),
        ("800000 100000", 4),
    ],
)
def test_a_quota_is_no_more_than_the_affinity_and_no_less_than_one_core(
    quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(4)))
    monkeypatch.setattr(host, "_CGROUP", tmp_path)
    assert usable_cores() == 4
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert usable_cores() == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 4), ("200000", 2), ("50000", 1)])
def test_a_quota_of_the_first_version_of_cgroups_holds_too(
    quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(4)))
    monkeypatch.setattr(host, "_CGROUP", tmp_path)
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    assert usable_cores() == expected
