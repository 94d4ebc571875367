"""What a finished model folder says about itself."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from archsearch.models.model_info import NetworkFacts
from archsearch.records import Cost, Latency, Score
from archsearch.training.protocols import Protocol


@dataclass(frozen=True, kw_only=True)
class ModelFacts(NetworkFacts):
    """One retrained network: everything its folder and its model card tell.

    Attributes:
        reading: which reading of its source it is, where there are several.
        scores: one for each seed, all on the test split; the weights of the first are the folder's.
        protocol, batch_size: how it was trained.
        dataset, dataset_fingerprint: what it was trained on.
        cost, latency: None where they were not taken.
        start: where the initial weights are from; "" if they were drawn at random.
    """

    scores: tuple[Score, ...]
    protocol: Protocol
    batch_size: int
    dataset: str
    dataset_fingerprint: str
    cost: Cost | None = None
    latency: Latency | None = None
    reading: str = ""
    start: str = ""

    def __post_init__(self) -> None:
        if not self.scores:
            raise ValueError("a model folder needs at least one score")

    @property
    def mean_top1_percent(self) -> float:
        """Mean test top-1 over the seeds (percent)."""
        return statistics.fmean(score.top1_percent for score in self.scores)

    @property
    def std_top1_percent(self) -> float | None:
        """Sample standard deviation (divided by n - 1) over the seeds; None for a single seed."""
        values = [score.top1_percent for score in self.scores]
        return statistics.stdev(values) if len(values) > 1 else None
