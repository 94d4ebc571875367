"""Which classes a retrained network takes for which, on the test split."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from archsearch.records import Score, most_taken_for
from archsearch.table import Column, InNotebooks, Table
from archsearch.text import plural

_NAMED = 3  # classes that the sentences name


@dataclass(frozen=True, kw_only=True)
class Confusion(InNotebooks):
    """The confusion matrix of one network, over its seeds: an `archsearch.table.Result`.

    Attributes:
        study, label: of the network; the study may be "".
        protocol, epochs, seeds: how it was trained, and by how many seeds the matrix was made.
        classes: names, in the order of rows and columns.
        matrix: images of each class (rows) that were taken for each (columns), added up over the seeds.
        top5_percent: mean over the seeds; None where it says nothing.
    """

    study: str
    label: str
    protocol: str
    epochs: int
    seeds: int
    classes: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    top5_percent: float | None
    warnings: tuple[str, ...] = ()
    empty: str | None = None
    method: ClassVar[str] = "Rows are the images' classes, columns the answers; recall is by row, precision by column."

    @property
    def counts(self) -> NDArray[np.int64]:
        """The matrix as an array (classes, classes)."""
        return np.array(self.matrix, dtype=np.int64)

    @property
    def recall_percent(self) -> tuple[float | None, ...]:
        """Share recognised of each class (percent); None for a class without images."""
        return _shares(self.counts.diagonal(), self.counts.sum(1))

    @property
    def precision_percent(self) -> tuple[float | None, ...]:
        """Share of the answers of each class that are right (percent); None for a class that is never answered."""
        return _shares(self.counts.diagonal(), self.counts.sum(0))

    @property
    def title(self) -> str:
        """Of which network."""
        return f"Confusion on the test split: {self.label}" + (f", study {self.study}" if self.study else "")

    @property
    def subtitle(self) -> tuple[str, ...]:
        """Under which conditions."""
        each = self.counts.sum() // self.seeds
        seeds = "one seed" if self.seeds == 1 else f"{self.seeds} seeds added up"
        return (f"{each:,} test images, protocol {self.protocol}, {plural(self.epochs, 'epoch')}, {seeds}",)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The accuracies beside what guessing reaches, and the classes that are recognised least."""
        counts, recall = self.counts, self.recall_percent
        known = [(share, place) for place, share in enumerate(recall) if share is not None]
        top1 = 100.0 * counts.diagonal().sum() / counts.sum()
        mean = sum(share for share, _ in known) / len(known)
        majority, chance = 100.0 * counts.sum(1).max() / counts.sum(), 100.0 / len(self.classes)
        top5 = "" if self.top5_percent is None else f", top-5 {self.top5_percent:.2f} %"
        worst = []
        for share, place in sorted(known)[:_NAMED]:
            other = most_taken_for(self.matrix[place], place)
            often = "" if other is None else f", most often taken for {self.classes[other[0]]}"
            worst.append(f"{self.classes[place]} {share:.1f} %{often}")
        return (
            f"Top-1 {top1:.2f} %, mean recall over the classes {mean:.2f} %{top5}; always the largest class "
            f"{majority:.2f} %, chance {chance:.2f} %.",
            f"Recognised least: {'; '.join(worst)}.",
        )

    def tables(self) -> tuple[Table, ...]:
        """Each class, and the matrix itself."""
        rows = []
        for place, (name, taken) in enumerate(zip(self.classes, self.matrix, strict=True)):
            other, times = most_taken_for(taken, place) or (None, None)
            often = None if other is None else self.classes[other]
            rows.append((name, sum(taken), self.recall_percent[place], self.precision_percent[place], often, times))
        return (
            Table(
                title="Classes",
                columns=(
                    Column(title="Class", whole=True),
                    Column(title="Images", decimals=0),
                    Column(title="Recall", key="recall_percent", unit="%", decimals=1),
                    Column(title="Precision", key="precision_percent", unit="%", decimals=1),
                    Column(title="Most often taken for", key="most_taken_for"),
                    Column(title="Times", key="most_taken_for_images", decimals=0),
                ),
                rows=tuple(rows),
            ),
            Table(
                title="Confusion matrix",
                columns=(
                    Column(title="Class", whole=True),
                    *(Column(title=name, key=f"as_{place}", decimals=0) for place, name in enumerate(self.classes)),
                ),
                rows=tuple((name, *row) for name, row in zip(self.classes, self.matrix, strict=True)),
                wide=True,
            ),
        )


def confusion_of(scores: Sequence[Score], classes: Sequence[str], *, label: str, study: str = "") -> Confusion | None:
    """The matrices of one network's seeds, added up; None where none of them has one."""
    known = [score for score in scores if score.confusion is not None]
    if not known:
        return None
    matrix = np.sum([np.array(score.confusion, dtype=np.int64) for score in known], axis=0)
    top5 = [score.top5_percent for score in known if score.top5_percent is not None]
    names = tuple(classes) if len(classes) == len(matrix) else tuple(map(str, range(len(matrix))))
    return Confusion(
        study=study,
        label=label,
        protocol=known[0].protocol,
        epochs=known[0].epochs,
        seeds=len(known),
        classes=names,
        matrix=tuple(map(tuple, matrix.tolist())),
        top5_percent=sum(top5) / len(top5) if top5 else None,
    )


def study_confusion(
    labels: Mapping[str, str], trainings: Sequence[tuple[str, Score]], classes: Sequence[str], *, study: str
) -> Confusion | None:
    """That of a study's retrained network with the highest mean recall; None where no retraining has a matrix.

    `labels`: what its networks are called, by arch_id.
    """
    groups: dict[tuple[str, str, int, int, int], dict[int, Score]] = {}
    for arch_id, score in trainings:
        if score.confusion is not None:
            how = (score.protocol, score.epochs, score.train_images, score.eval_images)
            groups.setdefault((arch_id, *how), {})[score.seed] = score
    if not groups:
        return None
    best = max(
        groups, key=lambda key: statistics.fmean(each.balanced_top1_percent or 0.0 for each in groups[key].values())
    )
    label = labels.get(best[0], best[0])
    return confusion_of(tuple(groups[best].values()), classes, label=label, study=study)


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> tuple[float | None, ...]:
    return tuple(100.0 * int(one) / int(all_) if all_ else None for one, all_ in zip(part, whole, strict=True))
