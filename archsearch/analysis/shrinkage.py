"""Scores that scatter about a line over the log latency, and what of it is noise: true means, and the winner's curse.

The means that were seen scatter more than the true ones, by the noise that they were seen with. Draws around the seen
means (a flat prior) add that noise a second time, and so tell networks apart that are alike. Networks of a front lie
near a line: the error falls with the logarithm of the latency. So draws are shrunk towards one.

A search tries many networks, scores each once, and shows the best. Part of what makes them the best is the noise of
that score, which another seed does not repeat (the winner's curse). Where scores scatter about the line by the variance
v, of which e is noise, the network that lies r better than the middle is expected to be r e / v worse than it looks
(regression to the mean; Efron 2011, "Tweedie's formula and selection bias", equation 2.8). Bad networks make v large
and say nothing of the good ones: v is taken from the better half alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from archsearch.analysis.front import Front, distinct
from archsearch.analysis.intervals import Additive, Floats, share_error_points
from archsearch.text import number_text, plural

LEAST_FOR_A_LINE = 4  # means: of three, nothing is left to say how far they lie from a line
_LEAST_NETWORKS = 10
_STEPS = np.geomspace(0.03, 6.0, 24)  # the deviations from the line that are weighed, in units of what is seen


def drawn_means(fit: Additive, draws: int, generator: np.random.Generator, *, along: Floats | None = None) -> Floats:
    """(draws, points): the points' true effects as they may be, given what was seen of all.

    The noise's variance, one for all points, is from its scaled inverse chi-squared distribution (Gelman et al.,
    "Bayesian Data Analysis", 3rd edition, section 3.2); the seeds' effects, where the points had not the same seeds,
    are drawn from their fit. Without `along` the prior of the points is flat.

    With it the points are normal about a line over `along` (their log latencies, say), with a flat prior for its level
    and slope, and for the standard deviation from it a half-Cauchy one whose scale is the noise of a mean (the same,
    section 5.7). The deviation is drawn from its marginal posterior on a grid, then level and slope, then the points
    (section 5.4, with the regression of section 15.3). Fewer than four different
    places have no such line, and the prior is flat.

    Raises ValueError where the fit has no degree of freedom.
    """
    if fit.spread.freedom < 1:
        raise ValueError("a fit without a degree of freedom has no spread to draw from")
    count = len(fit.points)
    if fit.spread.variance == 0.0:
        return np.broadcast_to(fit.effects, (draws, count))
    scale = math.sqrt(fit.spread.variance * fit.spread.freedom)
    deviations = scale / np.sqrt(generator.chisquare(fit.spread.freedom, size=(draws, 1)))
    seen = np.broadcast_to(fit.effects, (draws, count))
    if fit.shares.shape[1] and np.any(fit.shares):  # a balanced design compares points without the seeds' effects
        values, vectors = np.linalg.eigh(fit.seed_covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        seen = seen - deviations * (generator.standard_normal((draws, len(values))) @ root.T @ fit.shares.T)
    noise = deviations**2 / fit.counts
    if along is None or len(np.unique(along)) < LEAST_FOR_A_LINE:
        return seen + np.sqrt(noise) * generator.standard_normal((draws, count))
    places = along - along.mean()
    around = float(np.std(fit.effects - np.polyval(np.polyfit(places, fit.effects, 1), places)))
    of_a_mean = fit.spread.variance / float(fit.counts.mean())
    steps = _STEPS * math.hypot(around, math.sqrt(of_a_mean))
    priors = np.log(steps) - np.log1p(steps**2 / of_a_mean)  # the grid is even in the logarithm
    weights = np.column_stack([_Line(seen, noise + step**2, places).evidence for step in steps]) + priors
    weights = np.exp(weights - weights.max(axis=1, keepdims=True)).cumsum(axis=1)
    chosen = (weights < generator.random((draws, 1)) * weights[:, -1:]).sum(axis=1)
    variance = steps[chosen, None] ** 2
    expected = _Line(seen, noise + variance, places).drawn(generator)
    precision = 1.0 / noise + 1.0 / variance
    middle = (seen / noise + expected / variance) / precision
    drawn: Floats = middle + generator.standard_normal((draws, count)) / np.sqrt(precision)
    return drawn


class _Line:
    """The weighted least-squares line through each draw's values (draws, points), over places (points,)."""

    def __init__(self, values: Floats, variances: Floats, places: Floats) -> None:
        weights = 1.0 / variances
        self.weight = weights.sum(axis=1, keepdims=True)
        self.centred = places - (weights * places).sum(axis=1, keepdims=True) / self.weight
        self.level = (weights * values).sum(axis=1, keepdims=True) / self.weight
        self.spread = (weights * self.centred**2).sum(axis=1, keepdims=True)
        self.slope = (weights * self.centred * values).sum(axis=1, keepdims=True) / self.spread
        residuals = values - self.level - self.slope * self.centred
        self.evidence: Floats = -0.5 * (  # the logarithm of the marginal likelihood, but for a constant
            np.log(variances).sum(axis=1)
            + (weights * residuals**2).sum(axis=1)
            + np.log(self.weight * self.spread)[:, 0]
        )

    def drawn(self, generator: np.random.Generator) -> Floats:
        """(draws, points): where the line may be at each place."""
        level = self.level + generator.standard_normal(self.level.shape) / np.sqrt(self.weight)
        slope = self.slope + generator.standard_normal(self.slope.shape) / np.sqrt(self.spread)
        line: Floats = level + slope * self.centred
        return line


@dataclass(frozen=True, kw_only=True)
class WinnersCurse:
    """By how much a front flatters its networks.

    Attributes:
        front_points: top-1 that the networks of the front are expected to lose in the mean, trained again (points).
        best_points: that the most accurate of them is expected to lose.
        noise_points: standard deviation of one score.
        networks: that the search tried.
        counted: the noise is that of counting the validation images alone, because no network was trained with several
            seeds; what other seeds change comes on top.
    """

    front_points: float
    best_points: float
    noise_points: float
    networks: int
    counted: bool

    @property
    def sentence(self) -> str:
        """All of it."""
        mean, best, noise = (
            number_text(value, decimals=1) for value in (self.front_points, self.best_points, self.noise_points)
        )
        basis = (
            f"from a noise of {noise} points, that of counting images; seeds add to it (`archsearch confirm`)"
            if self.counted
            else f"from a noise of {noise} points over the seeds"
        )
        return (
            f"The front is the luckiest of {plural(self.networks, 'network')}: trained again its networks lose "
            f"{'at least ' if self.counted else ''}about {mean} points of top-1 in the mean, its most accurate one "
            f"{best} ({basis})."
        )


def winners_curse_of(front: Front, noise_points: float | None = None) -> WinnersCurse | None:
    """The winner's curse of a searched front; None for fewer than 10 networks, for those of a design, or without noise.

    Args:
        front: of a search with one training for each network.
        noise_points: standard deviation of one score over the seeds, if networks were trained with several; None: the
            binomial error of the validation images, which is less.
    """
    rows = [row for row in distinct(front.rows) if row.latency.corrected_ms > 0.0 and row.record.point is None]
    if len(rows) < _LEAST_NETWORKS:
        return None
    errors = np.array([row.record.error_percent for row in rows])
    logs = np.log([row.latency.corrected_ms for row in rows])
    counted = noise_points is None
    if noise_points is None:
        shares = [share_error_points(row.score.top1_percent, row.score.eval_images) for row in rows]
        known = [share for share in shares if share is not None]
        noise_points = math.sqrt(float(np.mean(np.square(known)))) if known else 0.0
    line = np.polyval(np.polyfit(logs, errors, 1 if np.ptp(logs) > 0.0 else 0), logs)
    better = np.median(errors - line) - (errors - line)
    variance = float(np.mean(better[better > 0.0] ** 2)) if (better > 0.0).any() else 0.0
    if not noise_points > 0.0 or not variance > 0.0:
        return None
    lost = min(1.0, noise_points**2 / variance) * np.maximum(better, 0.0)
    members = np.array([row.on_front for row in rows])
    best = int(np.argmin(np.where(members, errors, math.inf)))
    return WinnersCurse(
        front_points=float(lost[members].mean()),
        best_points=float(lost[best]),
        noise_points=noise_points,
        networks=len(rows),
        counted=counted,
    )
