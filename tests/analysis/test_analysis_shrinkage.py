"""Noise that a search takes for merit: means shrunk towards a line, and the winner's curse of a front."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from archsearch.analysis.confirmed import WinnersCurse, drawn_means, winners_curse_of
from archsearch.analysis.front import front_of
from archsearch.analysis.intervals import additive_fit
from archsearch.analysis.recommendation import recommendation_of
from archsearch.records import Record

Make = Callable[..., Record]


def test_without_a_line_draws_scatter_about_what_was_seen_by_the_noise_of_a_mean() -> None:
    # four values about 10 and 20 with residuals of +-1, freedom 6: the variance of a mean is 8 / 6 / 4, times the 6 / 4
    # of a t distribution with 6 degrees of freedom
    values = {(name, seed): level + sign for name, level in (("a", 10.0), ("b", 20.0)) for seed, sign in
              enumerate((1.0, -1.0, 1.0, -1.0))}  # fmt: skip
    drawn = drawn_means(additive_fit(values, seeds=False), 20_000, np.random.default_rng(0))
    assert drawn.mean(axis=0) == pytest.approx([10.0, 20.0], abs=0.02)
    assert drawn.var(axis=0) == pytest.approx([0.5, 0.5], rel=0.1)


def test_means_on_a_line_are_drawn_closer_to_it_and_far_ones_stay_where_they_were_seen() -> None:
    generator = np.random.default_rng(1)
    along = np.linspace(0.0, 1.0, 12)
    noise = generator.normal(0.0, 1.0, (12, 3))
    noise -= noise.mean(axis=1, keepdims=True)  # the means are seen without noise
    for scatter, most in ((0.0, 0.45), (20.0, 1.1)):  # of the flat draws' variance
        seen = 5.0 * along + scatter * np.where(np.arange(12) % 2, 1.0, -1.0)
        fit = additive_fit(
            {(f"p{p}", s): float(seen[p] + noise[p, s]) for p in range(12) for s in range(3)}, seeds=False
        )
        flat, shrunk = (drawn_means(fit, 4000, np.random.default_rng(2), along=places) for places in (None, along))
        assert shrunk.mean(axis=0) == pytest.approx(seen, abs=0.2)
        assert shrunk.var(axis=0).mean() < most * flat.var(axis=0).mean()
    assert shrunk.var(axis=0).mean() > 0.9 * flat.var(axis=0).mean()


def test_three_points_have_no_line_and_no_freedom_no_draw() -> None:
    fit = additive_fit({(f"p{p}", s): float(p + (-1) ** s) for p in range(3) for s in range(2)}, seeds=False)
    flat, same = (drawn_means(fit, 5, np.random.default_rng(0), along=a) for a in (None, np.arange(3.0)))
    assert (flat == same).all()
    with pytest.raises(ValueError, match="degree of freedom"):
        drawn_means(additive_fit({("a", 0): 1.0}), 5, np.random.default_rng(0))


def searched(make_record: Make, generator: np.random.Generator, deviation: float) -> tuple[list[Record], np.ndarray]:
    """100 networks with a noise of 1.3 points on their errors, and the true errors."""
    logs = generator.uniform(0.0, 1.8, 100)
    true = 40.0 - 5.0 * logs + generator.normal(0.0, deviation, 100)
    seen = true + generator.normal(0.0, 1.3, 100)
    found = [
        make_record(at, top1=100.0 - error, p10=ms)
        for at, (error, ms) in enumerate(zip(seen.tolist(), np.exp(logs).tolist(), strict=True))
    ]
    return found, true


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_a_front_loses_what_the_winners_curse_says(make_record: Make, deviation: float) -> None:
    generator = np.random.default_rng(3)
    said, lost = [], []
    for _ in range(25):
        records, true = searched(make_record, generator, deviation)
        front = front_of(records)
        curse = winners_curse_of(front, 1.3)
        assert curse is not None and not curse.counted and curse.networks == 100
        said.append(curse.front_points)
        lost.append(np.mean([true[row.record.trial] - row.values[0] for row in front.members]))
    assert np.mean(said) == pytest.approx(np.mean(lost), rel=0.25)


def test_the_winners_curse_is_said_beside_the_recommendation(make_record: Make) -> None:
    records, _ = searched(make_record, np.random.default_rng(4), 1.0)
    (text,) = [note for note in recommendation_of(front_of(records), records).notes if "luckiest" in note]
    # of 2,000 images and about 65 %: sqrt(0.65 x 0.35 / 2000) = 1.07 points
    assert text.startswith("The front is the luckiest of 100 networks: trained again its networks lose at least about")
    assert "from a noise of 1.1 points, that of counting images; seeds add to it" in text


def test_a_loss_too_small_to_be_shown_is_said_to_be_less() -> None:
    curse = WinnersCurse(front_points=0.02, best_points=0.3, noise_points=0.04, networks=20, counted=True)
    assert "its networks lose less than 0.1 points of top-1 in the mean, its most accurate one 0.3 (" in curse.sentence
    assert "from a noise of less than 0.1 points" in curse.sentence


def test_few_networks_and_scores_without_scatter_have_no_winners_curse(make_record: Make) -> None:
    assert winners_curse_of(front_of([make_record(at, top1=50.0 + at) for at in range(9)])) is None
    assert winners_curse_of(front_of([make_record(at) for at in range(20)])) is None
