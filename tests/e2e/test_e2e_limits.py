"""Runs that end before their total on purpose: exit code 0, the reason said, nothing left running."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

RUN = ("run", "--study", "./tiny.yaml", "--device", "cpu")


def test_a_time_budget_ends_a_run_with_nothing_running(new_workplace: Callable[..., object]) -> None:
    workplace = new_workplace(trials=1000)
    ended = workplace.type(*RUN, "--time-budget", "15s")
    assert ended.returncode == 0, ended.stderr
    assert "the time budget is used up: no new trial starts" in ended.stderr
    assert "ended before 1,000 trials: the time budget is used up" in ended.stdout
    counts = dict(workplace.study().counts)
    assert set(counts) <= {"complete", "replay"}  # the one in hand was finished, not given back
    assert counts.get("complete", 0) < 1000


def test_a_run_stops_on_a_plateau_and_says_so(new_workplace: Callable[..., object]) -> None:
    workplace = new_workplace(trials=1000)
    # All of the box but a sliver is below the first network, so that none gains a thousandth on it.
    point = "reference_point={error_percent: 1000000, latency_ms: 1000000}"
    ended = workplace.type(*RUN, "--stop-on-plateau", "1", "--set", point)
    assert ended.returncode == 0, ended.stderr
    said = r"ended before 1,000 trials: the hypervolume is flat: \+0\.0\d % over the last trial\b"
    assert re.search(said, ended.stdout), ended.stdout
    counts = dict(workplace.study().counts)
    assert 2 <= counts["complete"] < 1000
    assert "running" not in counts
    again = workplace.type(*RUN, "--stop-on-plateau", "1", "--set", point)  # still flat: nothing to do
    assert again.returncode == 0, again.stderr
    assert re.search(said, again.stdout), again.stdout
    assert dict(workplace.study().counts) == counts


def test_a_wrong_time_budget_is_refused_before_anything_is_read(new_workplace: Callable[..., object]) -> None:
    ended = new_workplace().type(*RUN, "--time-budget", "90")
    assert ended.returncode == 2
    assert "--time-budget 90" in ended.stderr
    assert "1h30m" in ended.stderr


def test_a_mistake_of_the_program_ends_the_command_and_mended_the_same_command_goes_on(
    new_workplace: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a unit made a tensor on the wrong device: workers meet it in every training step."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'archsearch.search.worker_main' in sys.orig_argv:\n"
        "    from archsearch.blocks import shuffle\n"
        "    def exchange_parts(first, second, order, *, at):\n"
        "        raise RuntimeError(f'index of {len(order)} is on cpu, the map on cuda:0')\n"
        "    shuffle.exchange_parts = exchange_parts\n"
        "    shuffle.exchange_halves = lambda first, second: exchange_parts(first, second, first[0], at=0)\n"
    )
    workplace = new_workplace(trials=4)
    whole = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{broken}{os.pathsep}{whole}")
    ended = workplace.type(*RUN, "--workers", "1")
    assert ended.returncode == 1, ended.stdout
    said = " ".join(ended.stderr.split())
    assert "the same error ended 3 different networks (trials 0, 1, 2)" in said
    assert "is on cpu, the map on cuda:0" in said and "their slots are given back" in said
    assert dict(workplace.study().counts) == {"interrupted": 3}

    monkeypatch.setenv("PYTHONPATH", whole)
    again = workplace.type(*RUN, "--workers", "1")
    assert again.returncode == 0, again.stderr
    counts = dict(workplace.study().counts)
    assert (counts["complete"], counts["interrupted"], counts.get("failed", 0)) == (4, 3, 0)
