"""A Gaussian process over choices: Matern 5/2 of a distance in which every choice has a weight of its own.

Two points are as far apart as the sum over the choices of weight times difference: the squared difference of ordered
values scaled to [0, 1], or whether two categories differ (a Hamming distance). Weights, signal and noise are the
maximum of their posterior density (Rasmussen and Williams 2006, section 5.4.1, with log-normal priors).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]

_STEPS = 25  # of L-BFGS-B; each costs one factorisation
_JITTER = 1e-8
# Priors of the logarithms: (mean, standard deviation). All weights together span about one length at the start.
_WEIGHT_TOTAL, _WEIGHT_SPREAD = 1.5, 1.5
_SIGNAL = (0.0, 1.0)
_NOISE = (math.log(0.02), 1.5)


class Encoding:
    """Points as features, such that squared differences of features are the differences of choices.

    Args:
        sizes: how many values each choice has.
        ordinal: whether a choice's values are ordered.
    """

    def __init__(self, sizes: tuple[int, ...], ordinal: tuple[bool, ...]) -> None:
        blocks: list[Floats] = []
        for size, ordered in zip(sizes, ordinal, strict=True):
            scale = np.linspace(0.0, 1.0, size)[:, None]
            blocks.append(scale if ordered else np.eye(size) / math.sqrt(2.0))
        self.choices = len(sizes)
        self.owner = np.repeat(np.arange(self.choices), [block.shape[1] for block in blocks])
        self._blocks = blocks

    def features(self, points: NDArray[np.int64]) -> Floats:
        """(n, choices) indices as (n, features)."""
        return np.concatenate([block[points[:, place]] for place, block in enumerate(self._blocks)], axis=1)

    def differences(self, points: NDArray[np.int64]) -> Floats:
        """(choices, n, n): how far the points differ in each choice."""
        tables = [((block[:, None] - block[None]) ** 2).sum(axis=2) for block in self._blocks]
        return np.stack([table[np.ix_(points[:, place], points[:, place])] for place, table in enumerate(tables)])


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Of one process: a weight for each choice, and the variances of signal and noise of standardised values."""

    weights: Floats
    signal: float
    noise: float


def fit(encoding: Encoding, points: NDArray[np.int64], values: Floats, extra: Floats | None = None) -> Hyperparameters:
    """The most probable hyperparameters of (n,) values, standardised, at (n, choices) points.

    `extra`: for each value, by how much its noise variance is multiplied.
    """
    count = encoding.choices
    differences = encoding.differences(points).reshape(count, -1)
    scale = np.ones(len(values)) if extra is None else extra
    centre = np.concatenate([np.full(count, math.log(_WEIGHT_TOTAL / count)), [_SIGNAL[0], _NOISE[0]]])
    spread = np.concatenate([np.full(count, _WEIGHT_SPREAD), [_SIGNAL[1], _NOISE[1]]])

    def loss(theta: Floats) -> tuple[float, Floats]:
        weights, signal, noise = np.exp(theta[:count]), math.exp(theta[count]), math.exp(theta[count + 1])
        correlation, slope = _matern((weights @ differences).reshape(len(values), -1))
        covariance = signal * correlation
        covariance[np.diag_indices_from(covariance)] += noise * scale + _JITTER
        try:
            factor = cho_factor(covariance, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e12, np.zeros_like(theta)
        alpha = cho_solve(factor, values, check_finite=False)
        inner = cho_solve(factor, np.eye(len(values)), check_finite=False) - np.outer(alpha, alpha)
        off = (theta - centre) / spread
        value = 0.5 * values @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * (off**2).sum()
        gradient = off / spread
        gradient[:count] += 0.5 * signal * weights * (differences @ (inner * slope).ravel())
        gradient[count] += 0.5 * signal * (inner * correlation).sum()
        gradient[count + 1] += 0.5 * noise * (np.diag(inner) * scale).sum()
        return float(value), gradient

    found = minimize(
        loss, centre, jac=True, method="L-BFGS-B", bounds=[(m - 8.0, m + 8.0) for m in centre],
        options={"maxiter": _STEPS},
    )  # fmt: skip
    theta = np.asarray(found.x, dtype=np.float64)
    return Hyperparameters(weights=np.exp(theta[:count]), signal=math.exp(theta[count]), noise=math.exp(theta[-1]))


class Process:
    """What is known of a function after some of its values: predictions of the function itself, without the noise.

    Args:
        encoding, hyper: of the choices; as `fit` found them.
        points, values: (n, choices) and (n,), as they are: they are standardised here.
        extra: for each value, by how much its noise variance is multiplied.
    """

    def __init__(
        self,
        encoding: Encoding,
        hyper: Hyperparameters,
        points: NDArray[np.int64],
        values: Floats,
        extra: Floats | None = None,
    ) -> None:
        self._centre, self._scale = standard(values)
        self._encoding, self._hyper = encoding, hyper
        self._root = np.sqrt(hyper.weights)[encoding.owner]
        self._features = encoding.features(points) * self._root
        covariance = hyper.signal * _matern(_squared(self._features, self._features))[0]
        noise = np.ones(len(values)) if extra is None else extra
        covariance[np.diag_indices_from(covariance)] += hyper.noise * noise + _JITTER
        self._factor = np.linalg.cholesky(covariance)
        self._alpha = cho_solve((self._factor, True), (values - self._centre) / self._scale, check_finite=False)

    def predict(self, points: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Means and standard deviations at (n, choices) points: (n,) each."""
        features = self._encoding.features(points) * self._root
        cross = self._hyper.signal * _matern(_squared(self._features, features))[0]
        solved = solve_triangular(self._factor, cross, lower=True, check_finite=False)
        variance = np.maximum(self._hyper.signal - (solved**2).sum(axis=0), 1e-12)
        return self._centre + self._scale * (cross.T @ self._alpha), self._scale * np.sqrt(variance)


def standard(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation of values; 1 in place of a deviation of 0."""
    deviation = float(values.std())
    return float(values.mean()), deviation if deviation > 0.0 else 1.0


def _squared(one: Floats, other: Floats) -> Floats:
    product = -2.0 * one @ other.T
    product += (one**2).sum(axis=1)[:, None]
    product += (other**2).sum(axis=1)[None]
    return np.asarray(np.maximum(product, 0.0), dtype=np.float64)


def _matern(squared: Floats) -> tuple[Floats, Floats]:
    """Matern 5/2 of a squared distance, and its derivative by the squared distance."""
    distance = np.sqrt(5.0 * squared)
    decay = np.exp(-distance)
    return (1.0 + distance + distance**2 / 3.0) * decay, -5.0 / 6.0 * (1.0 + distance) * decay
