"""How far a ratio of two p10s could have come out otherwise: a block bootstrap over bursts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000
CONFIDENCE = 0.95


def ratio_interval(
    candidate: Sequence[Sequence[int]],
    reference: Sequence[Sequence[int]],
    *,
    probability: float = 0.1,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile interval of the ratio of two quantiles, from a block bootstrap.

    The runs of one burst follow each other within milliseconds and share their interference, so they are not drawn one
    by one: a resample draws whole bursts with replacement, as many as there are, and takes the candidate's and the
    reference's burst of one moment together, because what disturbs one disturbs the other. Bursts of one visit may
    share an episode too; the interval then is too narrow.

    Sources: blocks of dependent observations, Kuensch, "The jackknife and the bootstrap for general stationary
    observations", Annals of Statistics 17 (1989); percentile interval, Efron and Tibshirani, "An Introduction to the
    Bootstrap" (1993), chapter 13.

    Args:
        candidate, reference: bursts in the order of time, each a list of runs, in one unit; equally many bursts.
        probability: of the quantile; numpy's linear interpolation, as in the ratio itself.
        resamples: how many are drawn.
        confidence: share of the resamples that lie within the interval.
        seed: of the drawing; the same runs always have the same interval.

    Raises:
        ValueError: the two have different numbers of bursts, or none.
    """
    if len(candidate) != len(reference) or not candidate:
        raise ValueError(f"bursts must come in pairs; got {len(candidate)} and {len(reference)}")
    bursts = len(candidate)
    drawn = np.random.default_rng(seed).multinomial(bursts, [1.0 / bursts] * bursts, size=resamples).astype(np.int32)
    ratios = _quantiles(candidate, drawn, probability) / _quantiles(reference, drawn, probability)
    low, high = np.quantile(ratios, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return float(low), float(high)


def _quantiles(bursts: Sequence[Sequence[int]], drawn: np.ndarray, probability: float) -> np.ndarray:
    """The quantile of each resample (R,), where `drawn` (R, bursts) says how often it has each burst."""
    runs = np.concatenate([np.asarray(burst, dtype=np.float64) for burst in bursts])
    owner = np.repeat(np.arange(len(bursts)), [len(burst) for burst in bursts])
    order = np.argsort(runs, kind="stable")
    reached = np.cumsum(drawn[:, owner[order]], axis=1, dtype=np.int32)  # runs of the resample up to each run, by size
    last = reached[:, -1:] - 1
    place = probability * last
    below = np.floor(place)
    values = [runs[order[np.argmax(reached > rank, axis=1)]] for rank in (below, np.minimum(below + 1, last))]
    weight = (place - below)[:, 0]
    quantiles: np.ndarray = values[0] + weight * (values[1] - values[0])
    return quantiles
