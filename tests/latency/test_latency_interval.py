"""The interval of a ratio: by hand for a few bursts, and by how often it covers the truth for many."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from archsearch.latency.samples import Samples, ratio_interval

Bursts = list[list[int]]


def test_two_bursts_give_the_ratios_of_their_three_resamples() -> None:
    # Both bursts: p10 of ten 2s and ten 4s is 2. The first twice: 2. The second twice, in one case of four: 4.
    assert ratio_interval([[2] * 10, [4] * 10], [[1] * 10, [1] * 10]) == (2.0, 4.0)


def test_one_burst_gives_its_own_ratio() -> None:
    assert ratio_interval([[6, 6]], [[3, 3]]) == (2.0, 2.0)


def test_what_disturbs_both_networks_in_a_burst_does_not_widen_the_interval() -> None:
    reference = [[1000, 1001, 1002], [3000, 3500, 3700], [1100, 1200, 1300], [9000, 9100, 9001]]
    candidate = [[2 * run for run in burst] for burst in reference]
    assert ratio_interval(candidate, reference) == pytest.approx((2.0, 2.0), rel=1e-12)
    # The same bursts of the candidate at other moments than the reference's: the ratio is no longer sure.
    low, high = ratio_interval(candidate[::-1], reference)
    assert high > 2 * low


def test_each_resample_has_the_quantiles_that_numpy_gives_for_its_runs() -> None:
    generator = np.random.default_rng(3)
    candidate = [generator.integers(900, 2000, size=length).tolist() for length in (4, 7, 1, 5, 9)]
    reference = [generator.integers(400, 800, size=length).tolist() for length in (3, 3, 8, 2, 6)]
    drawn = np.random.default_rng(11).multinomial(5, [0.2] * 5, size=200)
    ratios = []
    for counts in drawn:
        p10s = [
            np.quantile(
                np.concatenate([np.repeat(burst, count) for burst, count in zip(bursts, counts, strict=True)]), 0.1
            )
            for bursts in (candidate, reference)
        ]
        ratios.append(p10s[0] / p10s[1])
    expected = np.quantile(ratios, [0.025, 0.975])
    assert ratio_interval(candidate, reference, resamples=200, seed=11) == pytest.approx(expected.tolist(), rel=1e-12)


def test_the_interval_of_a_measurement_of_hours_takes_no_memory_for_all_its_runs_at_once() -> None:
    # Every resample of 20,000 runs at once: 1,000 x 20,000 numbers of 4 bytes are 80 MB, more than once.
    generator = np.random.default_rng(5)
    runs = generator.integers(1000, 2000, size=(2, 1000, 20)).tolist()
    tracemalloc.start()
    ratio_interval(*runs)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 80e6


def test_the_same_runs_have_the_same_interval_and_it_holds_their_ratio() -> None:
    generator = np.random.default_rng(0)
    samples = Samples.of(2)
    samples.bursts_ns = [(generator.gamma(2.0, 100.0, size=(30, 10)) + 1000).astype(int).tolist() for _ in range(2)]
    low, high = samples.ratio_interval(0)
    assert (low, high) == samples.ratio_interval(0)
    assert low < samples.ratio(0) < high


def shared_interference(generator: np.random.Generator) -> tuple[Bursts, Bursts]:
    """Each burst is slower by a factor of its own that both networks meet, mean 10%; each run by some of its own."""
    level = 1 + generator.gamma(1.0, 0.1, size=(30, 1))
    runs = [ms * level * (1 + generator.gamma(2.0, 0.02, size=(30, 10))) for ms in (2e6, 1e6)]
    return runs[0].astype(int).tolist(), runs[1].astype(int).tolist()


def own_interference(generator: np.random.Generator) -> tuple[Bursts, Bursts]:
    """As above, but the two networks meet different interference: the harder case."""
    runs = [
        ms * (1 + generator.gamma(1.0, 0.05, size=(30, 1))) * (1 + generator.gamma(2.0, 0.02, size=(30, 10)))
        for ms in (2e6, 1e6)
    ]
    return runs[0].astype(int).tolist(), runs[1].astype(int).tolist()


@pytest.mark.parametrize("draw", [shared_interference, own_interference])
def test_the_interval_of_a_planned_measurement_covers_the_true_ratio(
    draw: Callable[[np.random.Generator], tuple[Bursts, Bursts]],
) -> None:
    # True ratio 2. 95% of 200 are 190 with a standard deviation of 3.1; a percentile bootstrap of 30 blocks may lack
    # a few percent. An interval of single runs instead of bursts covers the harder case in less than half.
    covered = 0
    for seed in range(200):
        low, high = ratio_interval(*draw(np.random.default_rng(seed)))
        covered += low <= 2.0 <= high
    assert covered >= 178


def test_bursts_of_two_networks_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="got 1 and 2"):
        ratio_interval([[1]], [[1], [2]])
    with pytest.raises(ValueError, match="got 0 and 0"):
        ratio_interval([], [])
