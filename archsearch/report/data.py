"""Everything that a report is made of, gathered by the caller: nothing here opens a database or a network."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archsearch.analysis.study_front import StudyFront
from archsearch.designs import Design
from archsearch.records import Latency, Record, TrialStatus

if TYPE_CHECKING:
    from archsearch.analysis.ablation import Ablation


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """One stored study with all that was found out about it.

    Attributes:
        results: what was found out of it, by the name of the analysis; None, or nothing, for what nobody asked for.
        records: every trial, in order of number, with its curve where figures are drawn.
        front: of the study, with what is known of its networks.
        config, facts, reference_point, space_fingerprint, started: as the study is stored.
        storage: the `--storage` that was given, safe to print; None: the default.
        ablations: newest first; of a study that is an ablation, itself.
        command: what was typed to make the report.
    """

    results: Mapping[str, Any]
    records: tuple[Record, ...]
    front: StudyFront
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    reference_point: Mapping[str, float] | None
    space_fingerprint: str
    storage: str | None = None
    ablations: tuple[Ablation, ...] = ()
    command: str | None = None

    @property
    def study(self) -> str:
        """The study's name."""
        return self.front.study

    @property
    def design(self) -> Design | None:
        """Of a study whose networks and seeds were listed beforehand; it has a record for each seed."""
        return self.front.design

    def seeds_of(self, record: Record) -> tuple[int, ...]:
        """The seeds that a network's accuracy is the mean of."""
        if self.design is None:
            return () if record.score is None else (record.score.seed,)
        return tuple(
            sorted(
                each.score.seed
                for each in self.records
                if each.arch_id == record.arch_id and each.status is TrialStatus.COMPLETE and each.score is not None
            )
        )

    def typed(self, command: str, *arguments: str) -> str:
        """A command about this study, as it is typed."""
        storage = () if self.storage is None else ("--storage", self.storage)
        return shlex.join(("archsearch", command, "--study", self.study, *storage, *arguments))


def interval_ms(latency: Latency) -> tuple[float, float] | None:
    """The 95 % interval of a corrected latency (milliseconds), of its measurement alone; None where it has none."""
    if latency.ratio_low is None or latency.ratio_high is None:
        return None
    scale = latency.study_reference_ms if latency.study_reference_ms is not None else latency.reference_p10_ms
    return latency.ratio_low * scale, latency.ratio_high * scale
