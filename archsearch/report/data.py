"""Everything that a report is made of, gathered by the caller: nothing here opens a database or a network."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archsearch.analysis.front import Front
from archsearch.analysis.means import Retraining, means_of
from archsearch.analysis.recommendation import Recommendation
from archsearch.analysis.verdicts import Verdict
from archsearch.designs import Design
from archsearch.plots.catalog import PlotData
from archsearch.records import Record, TrialStatus
from archsearch.report.changes import Change, changes_of

if TYPE_CHECKING:
    from archsearch.analysis.ablation import Ablation


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """One stored study with all that was found out about it.

    Attributes:
        plots: what the plots draw from; its records have their curves.
        front, verdicts, recommendation: of the study.
        config, facts, reference_point, space_fingerprint, started: as the study is stored.
        storage: the `--storage` that was given, safe to print; None: the default.
        design: of a study whose networks and seeds were listed beforehand; it has a record for each seed.
        ablations: newest first; of a study that is an ablation, itself.
        trainings: networks that were retrained in full.
        command: what was typed to make the report.
    """

    plots: PlotData
    front: Front
    verdicts: tuple[Verdict, ...]
    recommendation: Recommendation
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    reference_point: Mapping[str, float] | None
    space_fingerprint: str
    storage: str | None = None
    design: Design | None = None
    ablations: tuple[Ablation, ...] = ()
    trainings: tuple[Retraining, ...] = ()
    command: str | None = None

    @property
    def study(self) -> str:
        """The study's name."""
        return self.plots.study

    @property
    def records(self) -> tuple[Record, ...]:
        """Every trial, in order of number."""
        return self.plots.records

    @cached_property
    def networks(self) -> PlotData:
        """What plots of networks draw from: of a design one record for each network, the means over its seeds."""
        return self.plots if self.design is None else replace(self.plots, records=means_of(self.records))

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

    def changes(self, record: Record) -> tuple[Change, ...]:
        """What differs between a network and its family's base; nothing where there is none."""
        base = self.plots.bases.get(record.family)
        return () if base is None else changes_of(record.choices, base.choices)
