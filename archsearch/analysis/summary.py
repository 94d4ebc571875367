"""What several retraining seeds say together."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from archsearch.records import Score


@dataclass(frozen=True, kw_only=True)
class RetrainSummary:
    """Top-1 over seeds (percent).

    Attributes:
        mean_percent: mean top-1 over the seeds.
        deviation_percent: sample standard deviation (n - 1); None for one seed, which says nothing about spread.
        n: seeds.
        epochs, split, protocol: shared by all of them.
    """

    mean_percent: float
    deviation_percent: float | None
    n: int
    seeds: tuple[int, ...]
    epochs: int
    split: str
    protocol: str

    @property
    def text(self) -> str:
        """The summary for people, such as `93.41 ± 0.12 % (n = 5 seeds, 200 epochs, test)`."""
        spread = f" ± {self.deviation_percent:.2f}" if self.deviation_percent is not None else ""
        plural = "seed" if self.n == 1 else "seeds"
        epochs = "epoch" if self.epochs == 1 else "epochs"
        return f"{self.mean_percent:.2f}{spread} % (n = {self.n} {plural}, {self.epochs} {epochs}, {self.split})"


def retrain_summary(scores: Sequence[Score]) -> RetrainSummary:
    """Mean and spread of the same training repeated with other seeds.

    Raises ValueError without scores, for a seed given twice, and for scores of different epochs, splits or protocols:
    their spread would not be that of the seed.
    """
    if not scores:
        raise ValueError("no scores to summarise")
    kinds = {(score.epochs, score.split, score.protocol) for score in scores}
    if len(kinds) > 1:
        raise ValueError(f"scores of different trainings cannot be summarised together: {sorted(kinds)}")
    seeds = tuple(score.seed for score in scores)
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"a seed is given twice: {list(seeds)}")
    top1 = [score.top1_percent for score in scores]
    return RetrainSummary(
        mean_percent=statistics.fmean(top1),
        deviation_percent=statistics.stdev(top1) if len(top1) > 1 else None,
        n=len(top1),
        seeds=seeds,
        epochs=scores[0].epochs,
        split=scores[0].split,
        protocol=scores[0].protocol,
    )
