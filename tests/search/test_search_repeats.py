"""Which networks are measured a second time: how many, of which sizes, and never one twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from archsearch.search import evaluate
from archsearch.search.evaluate import Repeats, is_due


def run(ratios: list[float], every: int) -> tuple[list[int], list[float]]:
    """How many were repeated after each network, and the ratios of those that were."""
    counts, repeated = [], list[float]()
    for number, ratio in enumerate(ratios, start=1):
        if is_due(ratio, measured=ratios[:number], repeated=repeated, every=every):
            repeated.append(ratio)
        counts.append(len(repeated))
    return counts, repeated


@pytest.mark.parametrize("every", [1, 8, 10])
def test_the_first_three_and_one_of_so_many_are_measured_twice(every: int) -> None:
    ratios = np.random.default_rng(every).uniform(0.3, 4.0, 100).tolist()
    counts, _ = run(ratios, every)
    assert counts[:3] == [1, 2, 3]
    for number, count in enumerate(counts, start=1):
        wanted = min(3 + number // every, number)
        assert wanted - 2 <= count <= wanted


def test_every_size_has_its_share_however_rare_it_is() -> None:
    generator = np.random.default_rng(0)
    ratios = generator.choice([0.5, 1.0, 3.0], 200, p=[0.8, 0.15, 0.05]).tolist()
    _, repeated = run(ratios, 8)
    assert len(repeated) == 28
    assert min(repeated.count(size) for size in (0.5, 1.0, 3.0)) >= 5  # of all networks 1 in 20 is large


def test_a_size_that_does_not_come_again_holds_nothing_up() -> None:
    counts, repeated = run([3.0, *[0.5] * 79], 8)
    assert counts[-1] >= 3 + 80 // 8 - 1
    assert repeated.count(3.0) == 1


@pytest.mark.parametrize(
    ("arch_id", "published", "measured", "repeated", "due"),
    [
        ("new", (), ["a", "b"], ["a", "b"], "new"),  # of three networks all three
        ("new", (), ["a", "b", "c"], ["a", "b", "c"], "reference"),
        ("new", ("new",), ["a", "b", "c"], ["a", "b", "c"], None),  # the reference may be the next one
        ("new", (), ["a", "b", "c"], ["a", "b", "c", "reference"], None),
        ("new", (), ["a", "b", "reference"], ["a", "b", "reference"], None),
        ("reference", ("reference",), ["a", "b", "c"], ["a", "b", "c"], "reference"),
    ],
)
def test_the_reference_is_repeated_beside_its_own_trial_or_else_beside_a_suggestion_s(
    monkeypatch: pytest.MonkeyPatch,
    arch_id: str,
    published: tuple[str, ...],
    measured: list[str],
    repeated: list[str],
    due: str | None,
) -> None:
    monkeypatch.setattr(evaluate, "measured_networks", lambda *_study: dict.fromkeys(measured, 1.0))
    monkeypatch.setattr(evaluate, "repeated_networks", lambda *_study: frozenset(repeated))
    found = Repeats(None, 1, every=100, published=published)  # type: ignore[arg-type]
    latency: Any = SimpleNamespace(ratio_to_reference=1.0)
    assert found.due(arch_id, latency, reference="reference") == due
