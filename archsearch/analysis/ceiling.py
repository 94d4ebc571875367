"""How well a perfect proxy could rank: the rank correlation that the noise of both trainings leaves.

A ranking by one noisy training never agrees wholly with another noisy one, even if both would rank alike without noise.
So a tau is to be read beside the tau that noise allows (attenuation; Spearman 1904, "The proof and measurement of
association between two things", for correlations). Here it is simulated for the very networks at hand, because those of
a best quarter were chosen by the noisy scores themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from archsearch.analysis.intervals import Floats

DRAWS = 150


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The mean Kendall tau with the noisy long training, of rankings that are right but for noise.

    Attributes:
        proxy: of scores that are as noisy as the proxy's.
        exact: of numbers without noise, as counted parameters.
    """

    proxy: float
    exact: float


def ceilings_of(
    studied: Sequence[float],
    proxy: Sequence[float],
    long: Sequence[float],
    groups: Mapping[str, Sequence[int]],
    *,
    proxy_noise: float,
    long_noise: Sequence[float],
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Ceiling]:
    """The ceiling over each group of networks.

    The true scores of the studied networks are taken as normal with a deviation of its own on each side of their
    median, that of the seen scores less the noise. Given its seen score, a network's true one is drawn from its
    posterior; the true long score is the same on another scale, that which makes the long scores scatter as they were
    seen to; and the seen long score has its noise.

    Args:
        studied: proxy scores of all networks of the study.
        proxy, long: scores of those that were trained for longer.
        groups: places in `proxy`, by the group's name. One with fewer than two networks has no ceiling.
        proxy_noise: standard deviation of a proxy score over its seeds, in its unit.
        long_noise: standard deviation of each long score (of a mean of seeds: of the mean).
    """
    known, seen, reached, errors = (
        np.asarray(values, dtype=np.float64) for values in (studied, proxy, long, long_noise)
    )
    middle = float(np.median(known))
    above, below = (_reliability(known[side] - middle, proxy_noise) for side in (known >= middle, known <= middle))
    reliable = np.where(seen >= middle, above, below)
    spread = math.sqrt(max(0.0, float(np.var(reached, ddof=1)) - float(np.mean(errors**2)))) if len(seen) > 1 else 0.0
    generator = np.random.default_rng(seed)
    taus: dict[str, list[tuple[float, float]]] = {name: [] for name, places in groups.items() if len(places) > 1}
    for _ in range(draws):
        true = middle + reliable * (seen - middle)
        true = true + proxy_noise * np.sqrt(reliable) * generator.standard_normal(len(seen))
        scale = spread / float(np.std(true, ddof=1)) if np.ptp(true) > 0.0 else 0.0
        again = scale * true + errors * generator.standard_normal(len(seen))
        for name, found in taus.items():
            places = np.asarray(groups[name], dtype=np.intp)
            found.append((_tau(seen[places], again[places]), _tau(true[places], again[places])))
    means = {name: np.nan_to_num(np.array(found)).mean(axis=0) for name, found in taus.items()}
    return {name: Ceiling(proxy=float(mean[0]), exact=float(mean[1])) for name, mean in means.items()}


def _reliability(deviations: Floats, noise: float) -> float:
    """The share of the seen scores' variance on one side of the median that is no noise."""
    variance = float(np.mean(deviations**2))
    return max(0.0, 1.0 - noise**2 / variance) if variance > 0.0 else 0.0


def _tau(one: Floats, other: Floats) -> float:
    if not np.ptp(one) > 0.0 or not np.ptp(other) > 0.0:
        return math.nan  # no order on one side: nothing agrees
    return float(stats.kendalltau(one, other).statistic)
