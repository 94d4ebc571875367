"""What is stored, each study in one line, and what can be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archsearch.analysis.front import distinct
from archsearch.analysis.objectives import score_of
from archsearch.analysis.recommendation import KNEE, MOST_ACCURATE, RECOMMENDED, Candidate
from archsearch.api.stored import counts_text
from archsearch.api.study import Study, stored_studies
from archsearch.errors import ConfigError
from archsearch.resources import list_yaml, read_yaml
from archsearch.table import Column, InNotebooks, Table, table_of


@dataclass(frozen=True, kw_only=True)
class Point:
    """A network of a stored study, in short; `latency_ms` is the one that ranks.

    `seeds`: that `top1_percent` and `latency_ms` are the means of, where it was confirmed; 0: as searched.
    """

    trial: int
    network: str
    top1_percent: float
    split: str
    latency_ms: float
    seeds: int = 0

    def __str__(self) -> str:
        return f"{self.network}: {self.top1_percent:.2f}, {self.latency_ms:.3f}"


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """A stored study in one line.

    Attributes:
        study, dataset: its name, and the dataset as its file names it.
        counts: trials by status.
        front: networks on it.
        hypervolume_share: of the box below the study's reference point (0 to 1); None before there is one.
        recommended, knee, most_accurate: its recommendation's roles; None where no network is complete, or there is no
            knee.
        created_at: in UTC.
    """

    study: str
    dataset: str
    counts: Mapping[str, int]
    front: int
    hypervolume_share: float | None
    recommended: Point | None
    knee: Point | None
    most_accurate: Point | None
    created_at: str


@dataclass(frozen=True, kw_only=True)
class StudyList(InNotebooks):
    """What is stored and what can be run: an `archsearch.table.Result`.

    Attributes:
        stored: in the order of their making; a warning says which this version cannot sum up, and why.
        shipped: the studies that come with archsearch, and what each does.
    """

    stored: tuple[StudySummary, ...]
    shipped: Mapping[str, str]
    title: str = "Studies"
    subtitle: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    method: str = ""
    warnings: tuple[str, ...] = ()
    empty: str | None = None

    def tables(self) -> tuple[Table, ...]:
        """The stored studies, then the shipped ones."""
        stored = table_of(
            "Stored studies",
            self.stored,
            Column(title="Study", whole=True),
            (Column(title="Data"), lambda each: each.dataset),
            (Column(title="Trials"), lambda each: counts_text(each.counts)),
            Column(title="Front", decimals=0),
            (Column(title="Hypervolume", decimals=3), lambda each: each.hypervolume_share),
            (Column(title="Recommended (top-1 %, ms)"), lambda each: str(each.recommended or "")),
            (Column(title="Best top-1 (%, ms)"), lambda each: str(each.most_accurate or "")),
            note="front: networks on it; hypervolume: share of the box below the study's reference point; top-1 on the "
            "validation split, of a confirmed network the mean over its seeds",
        )
        columns = (Column(title="Name", whole=True), Column(title="What it does"))
        return stored, Table(title="Shipped studies", columns=columns, rows=tuple(self.shipped.items()))


def studies(*, shipped: bool = False, storage: str | None = None) -> StudyList:
    """The stored studies with their progress and best networks, and the studies that can be run.

    Args:
        shipped: leave out the stored ones.
        storage: the database; None: the default, which need not be there.

    Raises StoreError for a database that was named and is not there, or cannot be read, ConfigError for one that is
    named beside `shipped`.
    """
    if shipped and storage is not None:
        raise ConfigError("the shipped studies are in no database", hint="leave out shipped, or the storage")
    stored = () if shipped else stored_studies(storage)
    offered = {name: str(read_yaml(path).get("description", "")) for name, path in list_yaml("studies").items()}
    found, left_out = list[StudySummary](), list[str]()
    for study in stored:
        try:
            found.append(_summary(study))
        except ConfigError as error:  # what only another version knows, or a part of one's own that is gone
            left_out.append(f"left out: {error}")
    return StudyList(
        stored=tuple(found),
        shipped=offered,
        sentences=() if stored or shipped else ("No study is stored yet.",),
        warnings=tuple(left_out),
    )


def _summary(study: Study) -> StudySummary:
    front = study.front
    named = {name: _point(role.candidate) for role in study.recommendation.roles for name in role.names}
    return StudySummary(
        study=study.name,
        dataset=str(study.info.config["dataset"]),
        counts=dict(study.counts),
        front=len(distinct(front.members)),
        hypervolume_share=front.hypervolume_share,
        recommended=named.get(RECOMMENDED),
        knee=named.get(KNEE),
        most_accurate=named.get(MOST_ACCURATE),
        created_at=f"{study.info.created_at:%Y-%m-%d %H:%M} UTC",
    )


def _point(network: Candidate) -> Point:
    """With the values that its role rests on: those of a confirmation, where there is one."""
    _, latency_ms, *_ = network.values
    return Point(
        trial=network.record.trial,
        network=network.record.label,
        top1_percent=network.top1_percent,
        split=score_of(network.record).split,
        latency_ms=latency_ms,
        seeds=network.seeds,
    )
