"""Rank correlations with bootstrap intervals over networks, those of several predictors from the same resamples.

Kendall's tau-b (Kendall 1945, "The treatment of ties in ranking problems") and Spearman's rho with mean ranks, as in
scipy.stats. A resample that draws a network several times has it as many times: its copies are ties in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from archsearch.table import Column

Floats = NDArray[np.float64]

RESAMPLES = 4000
CORRELATION_COLUMNS = (
    Column(title="Kendall's tau", key="tau", decimals=2, signed=True),
    Column(title="Spearman's rho", key="spearman", decimals=2, signed=True),
    Column(title="Note", key="note"),
)
_MATRIX = 1000  # networks up to which every pair of them is kept at hand
_LARGE_RESAMPLES = 200  # beyond: each resample is ranked anew


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """How one predictor ranks networks against the long training, in [-1, 1].

    Attributes:
        predictor: "proxy", or the name of a predictor.
        n: networks.
        tau, tau_low, tau_high: Kendall's tau-b and its interval; None where it cannot be told.
        spearman, spearman_low, spearman_high: Spearman's rank correlation likewise.
        note: why something is None ("" if nothing is).
    """

    predictor: str
    n: int
    tau: float | None
    tau_low: float | None
    tau_high: float | None
    spearman: float | None
    spearman_low: float | None
    spearman_high: float | None
    note: str = ""


@dataclass(frozen=True)
class Resampled:
    """Kendall's tau-b and Spearman's rho of one predictor: of the data (NaN if one side is constant), and resampled."""

    tau: float
    spearman: float
    taus: Floats
    spearmans: Floats


def resampled_correlations(
    target: Sequence[float], predictors: Mapping[str, Sequence[float]], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Resampled]:
    """Each predictor's correlations with the target over the same resamples of the networks.

    Args:
        target, predictors: finite, one value for each network.
        resamples: how many are drawn; fewer for more than a thousand networks.
        seed: of the drawing.
    """
    goal = np.asarray(target, dtype=np.float64)
    count = len(goal)
    generator = np.random.default_rng(seed)
    if count > _MATRIX:
        resamples = min(resamples, _LARGE_RESAMPLES)
    drawn = generator.integers(0, max(count, 1), size=(resamples, count))
    found = {}
    for name, given in predictors.items():
        values = np.asarray(given, dtype=np.float64)
        if values.shape != goal.shape:
            raise ValueError(f"{len(values)} values of {name} for {count} networks")
        if not (np.isfinite(values).all() and np.isfinite(goal).all()):
            raise ValueError(f"{name}: finite values are needed to rank")
        taus, rhos = (_by_matrix if count <= _MATRIX else _one_by_one)(values, goal, drawn)
        found[name] = Resampled(tau=_tau(values, goal), spearman=_rho(values, goal), taus=taus, spearmans=rhos)
    return found


def percentile_interval(resampled: ArrayLike, confidence: float) -> tuple[float, float] | None:
    """The percentile interval (Efron and Tibshirani 1993, chapter 13), resamples without a value left out.

    None if fewer than half have one.
    """
    values = np.asarray(resampled, dtype=np.float64)
    good = values[np.isfinite(values)]
    if 2 * len(good) < len(values) or not len(good):
        return None
    low, high = np.quantile(good, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return float(low), float(high)


def correlation_of(predictor: str, n: int, found: Resampled | None, note: str, confidence: float) -> Correlation:
    """One predictor's correlations with their intervals; `note` says why there are none."""
    if found is None or not math.isfinite(found.tau):
        if found is not None:
            note = "all values are equal" if n else note
        return Correlation(
            predictor=predictor,
            n=n,
            tau=None,
            tau_low=None,
            tau_high=None,
            spearman=None,
            spearman_low=None,
            spearman_high=None,
            note=note,
        )
    tau, rho = (percentile_interval(values, confidence) for values in (found.taus, found.spearmans))
    return Correlation(
        predictor=predictor,
        n=n,
        tau=found.tau,
        tau_low=None if tau is None else tau[0],
        tau_high=None if tau is None else tau[1],
        spearman=found.spearman,
        spearman_low=None if rho is None else rho[0],
        spearman_high=None if rho is None else rho[1],
        note="" if tau is not None else "too many resamples have equal values",
    )


def _tau(one: Floats, other: Floats) -> float:
    if len(one) < 2 or not np.ptp(one) > 0 or not np.ptp(other) > 0:
        return float("nan")
    return float(stats.kendalltau(one, other).statistic)


def _rho(one: Floats, other: Floats) -> float:
    if len(one) < 2 or not np.ptp(one) > 0 or not np.ptp(other) > 0:
        return float("nan")
    return float(stats.spearmanr(one, other).statistic)


def _one_by_one(one: Floats, other: Floats, drawn: NDArray[np.int64]) -> tuple[Floats, Floats]:
    pairs = [(_tau(one[index], other[index]), _rho(one[index], other[index])) for index in drawn]
    return np.array([tau for tau, _ in pairs]), np.array([rho for _, rho in pairs])


def _by_matrix(one: Floats, other: Floats, drawn: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The same for all resamples at once: each is a vector of how often it has each network."""
    times = np.zeros((len(drawn), len(one)))
    np.add.at(times, (np.arange(len(drawn))[:, None], drawn), 1.0)
    signs = [np.sign(values[:, None] - values[None, :]) for values in (one, other)]
    both, untied_one, untied_other = (
        ((times @ matrix) * times).sum(axis=1) for matrix in (signs[0] * signs[1], abs(signs[0]), abs(signs[1]))
    )
    centred = []
    for sign in signs:
        # copies below, and half of the equal ones: the mean rank but for a constant
        rank = times @ (sign.T > 0) + 0.5 * (times @ (sign == 0))
        mean = (times * rank).sum(axis=1, keepdims=True) / len(one)
        centred.append(rank - mean)
    a, b = centred
    with np.errstate(divide="ignore", invalid="ignore"):
        taus = both / np.sqrt(untied_one * untied_other)
        rhos = (times * a * b).sum(axis=1) / np.sqrt((times * a * a).sum(axis=1) * (times * b * b).sum(axis=1))
    return taus, rhos
