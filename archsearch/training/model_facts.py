"""What a finished model folder says about itself."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.models.model_info import NetworkFacts
from archsearch.records import Cost, Latency, Score
from archsearch.text import plural
from archsearch.training.protocols import Protocol


class ModelSummary(TypedDict):
    """What summary.json says of a network trained in full: test top-1 (percent) over its seeds, and how it came about.

    `scores` are those of the seeds, without their learning curves, which metrics.csv has; `latency` is of the study.
    """

    name: str
    arch_id: str
    study: str | None
    trial: int | None
    mean_test_top1_percent: float
    std_test_top1_percent: float | None
    scores: list[dict[str, Any]]
    protocol: dict[str, Any]
    start: str
    batch_size: int
    dataset: str
    dataset_fingerprint: str
    cost: dict[str, Any] | None
    latency: dict[str, Any] | None


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

    def summary(self) -> ModelSummary:
        """See `ModelSummary`."""
        return {
            "name": self.name,
            "arch_id": self.spec.arch_id,
            "study": self.study,
            "trial": self.trial,
            "mean_test_top1_percent": self.mean_top1_percent,
            "std_test_top1_percent": self.std_top1_percent,
            "scores": [{key: value for key, value in asdict(score).items() if key != "curve"} for score in self.scores],
            "protocol": self.protocol.identity(),
            "start": self.start or "random weights",
            "batch_size": self.batch_size,
            "dataset": self.dataset,
            "dataset_fingerprint": self.dataset_fingerprint,
            "cost": None if self.cost is None else asdict(self.cost),
            "latency": None if self.latency is None else asdict(self.latency),
        }

    @property
    def accuracy(self) -> str:
        """Its test top-1, over how many seeds and images, and how it was trained."""
        first, spread = self.scores[0], "" if self.std_top1_percent is None else f" ± {self.std_top1_percent:.2f}"
        return (
            f"test top-1 {self.mean_top1_percent:.2f}{spread} % (n = {plural(len(self.scores), 'seed')}, "
            f"{plural(first.epochs, 'epoch')} of {self.protocol.name}, {plural(first.eval_images, 'test image')})"
        )

    @property
    def mean_top1_percent(self) -> float:
        """Mean test top-1 over the seeds (percent)."""
        return statistics.fmean(score.top1_percent for score in self.scores)

    @property
    def std_top1_percent(self) -> float | None:
        """Sample standard deviation (divided by n - 1) over the seeds; None for a single seed."""
        values = [score.top1_percent for score in self.scores]
        return statistics.stdev(values) if len(values) > 1 else None
