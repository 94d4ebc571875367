"""Whether a study's short training ranks networks as a longer one does, and better than numbers that cost nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrustNetwork:
    """One network that was trained again for longer.

    Attributes:
        arch_id, label, trial: of the searched study's record; the label is a variant's name or "trial N".
        variant: the published network's name, if it is one.
        proxy_top1_percent, long_top1_percent: on the same validation images; the long one is the mean over `seeds`.
        long_std_points: sample standard deviation over the seeds; None with one.
        seeds: long trainings that completed.
        proxy_rank, long_rank: 1 is the most accurate of these networks; ties share the mean rank.
        best_quarter: whether its proxy accuracy is among the best quarter of the searched study.
        predictors: each predictor's value; one that is not known is missing.
    """

    arch_id: str
    label: str
    trial: int
    variant: str | None
    proxy_top1_percent: float
    long_top1_percent: float
    long_std_points: float | None
    seeds: int
    proxy_rank: float
    long_rank: float
    best_quarter: bool
    predictors: Mapping[str, float]


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


@dataclass(frozen=True, kw_only=True)
class TrustGroup:
    """The correlations over one group of networks.

    Attributes:
        name: "all" or "best quarter".
        n: networks in it.
        proxy: of the proxy.
        predictors: of each predictor, the highest tau first; those that cannot be told last.
        best: the predictor with the highest tau; None if there is none.
        advantage, advantage_low, advantage_high: tau of the proxy minus tau of `best`, and the interval from resamples
            that both share; None where it cannot be told.
        sentence: what that says.
    """

    name: str
    n: int
    proxy: Correlation
    predictors: tuple[Correlation, ...]
    best: str | None
    advantage: float | None
    advantage_low: float | None
    advantage_high: float | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What the longer training says of the proxy.

    Attributes:
        networks: those with both trainings, by proxy accuracy, the best first.
        proxy_epochs, long_epochs: of each training.
        groups: over all networks, and over the best quarter of the searched study by proxy.
        pick_rank: rank by the long training of the network that the proxy ranks first; None without networks.
        regret_points: how much less accurate (points) it is after the long training than the best of these; None
            without networks.
        confidence, resamples: of the bootstrap intervals.
        missing: labels of networks whose long training did not complete.
        method: how all this was found, for people.
        warnings: sentences to show beside it.
    """

    networks: tuple[TrustNetwork, ...]
    proxy_epochs: int
    long_epochs: int
    groups: tuple[TrustGroup, ...]
    pick_rank: float | None
    regret_points: float | None
    confidence: float
    resamples: int
    missing: tuple[str, ...]
    method: str
    warnings: tuple[str, ...]

    @property
    def all(self) -> TrustGroup:
        """Over all networks."""
        return self.groups[0]

    @property
    def best_quarter(self) -> TrustGroup:
        """Over the best quarter of the searched study."""
        return self.groups[1]

    @property
    def sentence(self) -> str:
        """The plain answer over all networks."""
        return self.all.sentence
