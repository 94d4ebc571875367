"""Half a minute of the fuzz suite with one seed; `python -m tests.fuzz --minutes N` goes on with others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SEED = 20261129
SECONDS = 30


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    from tests.fuzz.harness import Fuzz

    with Fuzz(seed=SEED) as fuzz:
        yield fuzz


def test_no_hostile_input_of_one_seed_breaks_a_promise(fuzz: Any) -> None:
    end, index = time.monotonic() + SECONDS, 0
    while time.monotonic() < end or index < 30:
        fuzz.run(index)
        index += 1
    assert not fuzz.broken, "\n".join(f"{each.kind}: {each.what}" for each in fuzz.broken)


def test_what_breaks_a_promise_is_told(fuzz: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.fuzz.cases import KINDS, Case

    def raise_key_error() -> None:
        Path("EXECUTED").touch()
        Path("../OUTSIDE.txt").touch()
        raise KeyError("x")

    def wrong(_rng: Any, _made: Any) -> Case:
        return Case(command=("load", "x"), call=raise_key_error)

    def ends_well(_rng: Any, _made: Any) -> Case:
        return Case(command=("plot",), codes=(2,))

    monkeypatch.setitem(KINDS, "study file", (1, wrong))
    monkeypatch.setattr(fuzz, "_kinds", ["study file"])
    assert [each.kind for each in fuzz.run(0)] == ["traceback", "executed", "outside"]
    monkeypatch.setitem(KINDS, "study file", (1, ends_well))
    assert [each.kind for each in fuzz.run(0)] == ["exit code"]
