"""Which cost explains latency: each alone, and all together, on the logarithms.

log(latency) = a + b1 log(x1) + ... by least squares: costs act by factors, not by sums, and on the plain scale the few
largest networks would decide everything. R2 alone rises with every predictor, so that of all together is also given as
predicted: each network's latency from a fit to the others (leave one out), which a useless predictor lowers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Explained:
    """How well one or several predictors explain latency.

    Attributes:
        names: the predictors.
        r2: share of the variance of log(latency) that the fit explains.
        predicted_r2: the same with each network predicted from the others; may be negative.
        spearman: rank correlation of the predicted with the measured latency; of one predictor, of it itself.
        exponents: b of each predictor: latency grows as its b-th power, the others held.
    """

    names: tuple[str, ...]
    r2: float
    predicted_r2: float
    spearman: float
    exponents: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Regression:
    """Each predictor alone, best first (by predicted R2), and all together.

    Attributes:
        networks: how many.
        alone: one entry for each predictor that varies.
        together: all of them at once.
        constant: predictors that are the same for all networks, and so explain nothing.
    """

    networks: int
    alone: tuple[Explained, ...]
    together: Explained
    constant: tuple[str, ...]


def explain_latency(latency_ms: Sequence[float], predictors: Mapping[str, Sequence[float]]) -> Regression:
    """The regression of these networks' latencies on their costs, all of them positive.

    Raises ValueError for lengths that do not fit, numbers that are not positive, latencies that are all equal, no
    predictor that varies, or fewer networks than two more than the coefficients.
    """
    target = _logs("latency_ms", latency_ms)
    logs = {name: _logs(name, values) for name, values in predictors.items()}
    wrong = [name for name, values in logs.items() if len(values) != len(target)]
    if wrong:
        raise ValueError(f"{len(logs[wrong[0]])} values of {wrong[0]} for {len(target)} latencies")
    varying = {name: values for name, values in logs.items() if np.ptp(values) > 0}
    if not varying or not np.ptp(target) > 0:
        raise ValueError("a regression needs latencies and a predictor that vary")
    if len(target) < len(varying) + 3:
        raise ValueError(f"{len(varying)} predictors need at least {len(varying) + 3} networks; got {len(target)}")
    alone = [_fit({name: values}, target) for name, values in varying.items()]
    return Regression(
        networks=len(target),
        alone=tuple(sorted(alone, key=lambda each: -each.predicted_r2)),
        together=_fit(varying, target),
        constant=tuple(name for name in logs if name not in varying),
    )


def _logs(name: str, values: Sequence[float]) -> Array:
    numbers = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(numbers).all() and (numbers > 0).all()):
        raise ValueError(f"{name}: positive numbers are needed for their logarithms")
    return np.log(numbers)


def _fit(logs: Mapping[str, Array], target: Array) -> Explained:
    design = np.column_stack([np.ones_like(target), *logs.values()])
    inverse = np.linalg.pinv(design)
    coefficients = inverse @ target
    fitted = design @ coefficients
    # Leaving one network out changes its residual by 1 / (1 - h), h the diagonal of the hat matrix: no second fit.
    leverage = np.einsum("ij,ji->i", design, inverse)
    residual = target - fitted
    left_out = residual / np.maximum(1.0 - leverage, np.finfo(np.float64).eps)
    total = float(((target - target.mean()) ** 2).sum())
    ranked = next(iter(logs.values())) if len(logs) == 1 else fitted
    return Explained(
        names=tuple(logs),
        r2=1.0 - float((residual**2).sum()) / total,
        predicted_r2=1.0 - float((left_out**2).sum()) / total,
        spearman=float(stats.spearmanr(ranked, target).statistic),
        exponents=tuple(float(value) for value in coefficients[1:]),
    )
