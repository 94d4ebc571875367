"""The final error of a training, predicted from its curve so far: ridge regression, and what it missed by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LAST = 2  # evaluations that a prediction looks at
RIDGE = 1.0  # in curves: one more curve would weigh as much

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The final error of one training (percent): what is expected, and what is still possible."""

    expected_error_percent: float
    optimistic_error_percent: float


@dataclass(frozen=True, kw_only=True)
class FinalErrorFit:
    """Ridge regression of the error that is still to be lost, after some epoch t, learnt from whole curves.

    Of each whole curve the drop d = (error after the last epoch) - (error after epoch t) is explained by up to four
    facts: the errors after epochs t and t - 1, the training loss of epoch t, and the mean training loss of the epochs
    up to t (losses where they are known). Each fact is centred and divided by its standard deviation over the curves:

        d = mean(d) + z @ beta,    beta = argmin |d - mean(d) - Z beta|^2 + RIDGE |beta|^2

    With few curves, or facts that tell nothing, that is the mean drop; with many it is the least squares line. The sum
    of training losses ranks networks early and with little noise (Ru, Lyle, Schut, Fil, van der Wilk and Gal 2021,
    "Speedy performance estimation for neural architecture search", arXiv:2006.04492), while an error after the first
    epochs is mostly chance: batch norm's statistics lag behind weights that still move fast.

    The residual of each curve is taken with that curve left out: (d_i - d_i(fitted)) / (1 - h_i) with
    h_i = 1/n + z_i (Z'Z + RIDGE I)^-1 z_i (Allen 1974, "The relationship between variable selection and data
    augmentation and a method for prediction", the PRESS residual; centre and scale are those of all curves).

    Attributes:
        epoch: epochs done.
        center, scale, slope: of the facts.
        mean_drop: mean(d), negative where errors fall (points).
        residuals: of each curve left out, sorted, the lowest (better than predicted) first (points).
    """

    epoch: int
    center: Floats
    scale: Floats
    slope: Floats
    mean_drop: float
    residuals: Floats

    def predict(self, errors: Sequence[float], losses: Sequence[float] = (), *, quantile: float) -> Prediction | None:
        """The prediction for a training with these errors (percent) and losses so far, the first epoch first.

        The optimistic error is the expected one plus the k-th lowest of the n residuals, k = floor(quantile (n + 1)):
        were the next training one like the n, drawn in the same way, it would end below that in at most a share
        `quantile` of cases, whatever the distribution (the finite-sample correction of conformal prediction: Vovk,
        Gammerman and Shafer 2005, "Algorithmic learning in a random world"; with residuals of curves left out, as here,
        it holds approximately: Barber, Candes, Ramdas and Tibshirani 2021, "Predictive inference with the jackknife+").

        Args:
            errors: after each of the `epoch` epochs done.
            losses: of each of them, if the fit was learnt with losses.
            quantile: see above, a share.

        Returns None where k is 0: there are too few curves for a statement this rare.
        """
        rank = math.floor(quantile * (len(self.residuals) + 1) + 1e-9)
        if rank < 1:
            return None
        facts = _facts(np.array([errors], dtype=np.float64), np.array([losses], dtype=np.float64), self.epoch)
        drop = self.mean_drop + float(((facts[0] - self.center) / self.scale) @ self.slope)
        expected = errors[self.epoch - 1] + drop
        optimistic = expected + float(self.residuals[rank - 1])
        return Prediction(
            expected_error_percent=min(max(expected, 0.0), 100.0),
            optimistic_error_percent=min(max(optimistic, 0.0), 100.0),
        )


def fit_final_error(errors: ArrayLike, epoch: int, losses: ArrayLike | None = None) -> FinalErrorFit:
    """Learn from whole curves what a training that has done `epoch` epochs will end with.

    Args:
        errors: after each epoch (percent), (n curves, epochs), n at least 2.
        epoch: epochs done, from 1 to below the number of epochs.
        losses: training losses of each epoch, (n curves, epochs); None where they are not known.
    """
    seen = np.asarray(errors, dtype=np.float64)
    facts = _facts(seen, np.zeros((len(seen), 0)) if losses is None else np.asarray(losses, dtype=np.float64), epoch)
    drops = seen[:, -1] - seen[:, epoch - 1]
    center, spread = facts.mean(axis=0), facts.std(axis=0)
    scale = np.where(spread > 0.0, spread, 1.0)
    scaled = (facts - center) / scale
    mean_drop = float(drops.mean())
    inverse = np.linalg.inv(scaled.T @ scaled + RIDGE * np.eye(scaled.shape[1]))
    slope = inverse @ scaled.T @ (drops - mean_drop)
    leverage = 1.0 / len(seen) + np.einsum("ij,jk,ik->i", scaled, inverse, scaled)
    residuals = (drops - mean_drop - scaled @ slope) / (1.0 - leverage)
    return FinalErrorFit(
        epoch=epoch, center=center, scale=scale, slope=slope, mean_drop=mean_drop, residuals=np.sort(residuals)
    )


def _facts(errors: Floats, losses: Floats, epoch: int) -> Floats:
    """What a prediction after `epoch` epochs looks at, (n, 1 to 4)."""
    latest = errors[:, max(0, epoch - LAST) : epoch]
    if losses.shape[1] == 0:
        return latest
    return np.column_stack([latest, losses[:, epoch - 1], losses[:, :epoch].mean(axis=1)])
