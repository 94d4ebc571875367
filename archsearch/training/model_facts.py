"""What a finished model folder says about itself."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from archsearch.data.preprocessing import Preprocessing, preprocessing_of
from archsearch.data.rules import ImageRules
from archsearch.models.spec import Spec
from archsearch.records import Cost, Latency, Score
from archsearch.training.protocols import Protocol


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """One retrained network: everything its folder and its model card tell.

    Attributes:
        name: the variant's name or `trial N`.
        spec: the network's choices.
        reading: which reading of its source it is, where there are several.
        classes: name of each class, by class number.
        input_size: height and width of the input (pixels).
        mean, std: per channel, of pixels in [0, 1]: inputs are normalised as (pixel - mean) / std.
        scores: one for each seed, all on the test split; the weights of the first are the folder's.
        protocol, batch_size: how it was trained.
        dataset, dataset_fingerprint: what it was trained on.
        image_rules: how its images were read.
        study, trial: where the network was found; None for one that no study found.
        cost, latency: None where they were not taken.
        start: where the initial weights are from; "" if they were drawn at random.
    """

    name: str
    spec: Spec
    classes: tuple[str, ...]
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scores: tuple[Score, ...]
    protocol: Protocol
    batch_size: int
    dataset: str
    dataset_fingerprint: str
    image_rules: ImageRules = field(default_factory=ImageRules)
    study: str | None = None
    trial: int | None = None
    cost: Cost | None = None
    latency: Latency | None = None
    reading: str = ""
    start: str = ""

    def __post_init__(self) -> None:
        if not self.scores:
            raise ValueError("a model folder needs at least one score")

    @property
    def preprocessing(self) -> Preprocessing | None:
        """From a picture file to its input; None for a study whose rules are older than that is one step."""
        if self.image_rules.former:
            return None
        return preprocessing_of(
            self.dataset, input_size=self.input_size, mean=self.mean, std=self.std, classes=self.classes,
            background=self.image_rules.background,
        )  # fmt: skip

    @property
    def mean_top1_percent(self) -> float:
        """Mean test top-1 over the seeds (percent)."""
        return statistics.fmean(score.top1_percent for score in self.scores)

    @property
    def std_top1_percent(self) -> float | None:
        """Sample standard deviation (divided by n - 1) over the seeds; None for a single seed."""
        values = [score.top1_percent for score in self.scores]
        return statistics.stdev(values) if len(values) > 1 else None
