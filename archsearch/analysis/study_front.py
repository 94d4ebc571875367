"""The front of a stored study with all that is known of its networks: what terminals, pages and figures show of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.analysis.baseline import Baseline, Change, changes_of, changes_text
from archsearch.analysis.canary import Canary, CanaryJson
from archsearch.analysis.conditions import batch_sentence, condition_parts, conditions_text, guessing_text, listed
from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint
from archsearch.analysis.front import OPEN, Front, FrontRow, NetworkJson, distinct, front_rows, networks_table
from archsearch.analysis.intervals import counting_margin_points
from archsearch.analysis.means import Retraining, retrained_table
from archsearch.analysis.objectives import floor_basis
from archsearch.analysis.recommendation import Recommendation, RecommendationJson
from archsearch.analysis.verdicts import Standing, Verdict, verdicts_sentence, verdicts_table
from archsearch.designs import Design
from archsearch.records import Record
from archsearch.table import NETWORK, TRIAL, Column, InNotebooks, Table, json_as, plain, table_of
from archsearch.text import capitalised, count_text, plural, significant, span_text

_BOUNDED = {"params": "params", "macs": "MACs", "memory_bytes": "memory access", "latency_ms": "latency"}


class GrowthJson(TypedDict):
    """How the noise floor grows: as latency to this power between two latencies (null: without end)."""

    power: float
    at_ms: float
    from_ms: float
    to_ms: float | None


class FloorJson(TypedDict):
    """What the noise floor rests on."""

    source: str
    repeats: int
    flagged: int
    coverage: float | None
    growth: GrowthJson | None


class BatchJson(TypedDict):
    """The batch of the latencies."""

    batch: int
    chosen: bool
    wide: str
    narrow: str
    ratios: list[tuple[int, float]]
    on_launch_floor: bool


class VerdictJson(TypedDict):
    """What became of a published network: on the front, or dominated by which trial and by how much."""

    number: int | None
    variant: str
    trial: int
    verdict: str
    by: str | None
    by_trial: int | None
    accuracy_points: float | None
    faster_ms: float | None
    faster_percent: float | None
    sentence: str
    reading: str | None


class BoundedNetworkJson(NetworkJson):
    """A complete network, with the study's bounds that it exceeds."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    over: list[str]


class FrontJson(TypedDict):
    """All of a study's front; networks of other parts stand by their trials."""

    study: str
    objectives: list[str]
    counts: dict[str, int]
    reference_point: list[float] | None
    hypervolume: float | None
    hypervolume_share: float | None
    noise_floor: float
    noise_floor_basis: FloorJson
    latency_batch: BatchJson | None
    canary: CanaryJson
    recommendation: RecommendationJson
    knee_trial: int | None
    front: list[NetworkJson]
    networks: list[BoundedNetworkJson]
    variants: list[VerdictJson]
    bases: dict[str, str]
    bounds: list[Bound]
    confirmed: Confirmed | None
    printed: list[PrintedTop1]
    retrained: list[Retraining]


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One upper bound of a study, inclusive.

    Attributes:
        name: what it bounds: params, macs, memory_bytes or latency_ms.
        value: in the unit that the name says; params and macs are counts.
        soft: whether a network over it is evaluated all the same; over a hard one it is rejected.
    """

    name: str
    value: float
    soft: bool = False

    @property
    def text(self) -> str:
        """For people: `latency up to 2 ms (soft)`."""
        shown = f"{significant(self.value)} ms" if self.name == "latency_ms" else count_text(self.value)
        unit = " bytes" if self.name == "memory_bytes" else ""
        return f"{_BOUNDED.get(self.name, self.name)} up to {shown}{unit}{' (soft)' if self.soft else ''}"


@dataclass(frozen=True, kw_only=True)
class PrintedTop1:
    """Top-1 that a source prints for a named variant on the dataset of the study.

    Attributes:
        variant: our name of the network.
        top1_percent: as printed (percent).
        source: the short name by which the source is cited.
        conditions: what the source says of the training, its epochs among it.
    """

    variant: str
    top1_percent: float
    source: str
    conditions: str


@dataclass(frozen=True, kw_only=True)
class StudyFront(InNotebooks, Front):
    """The front of a study: an `archsearch.table.Result`.

    Attributes:
        study, dataset, device_name: its name, and what it was trained and measured on.
        named: the options that name it in a command; empty: its name does.
        verdicts: of its published networks.
        canary: what the reference tells of the latencies.
        counts: trials by status; of a design there are more of them than networks.
        design: of a study whose networks and seeds were listed beforehand.
        confirmed: networks that were evaluated again.
        bases: by family the network that the others are described against.
        readings: variant: which of several readings of its source it is.
        printed: what sources print for the variants on this dataset.
        retrainings: its networks that were trained in full.
    """

    study: str
    verdicts: tuple[Verdict, ...]
    recommendation: Recommendation
    canary: Canary
    named: tuple[str, ...] = ()
    dataset: str = ""
    device_name: str = ""
    num_classes: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    design: Design | None = None
    confirmed: Confirmed | None = None
    bases: Mapping[str, Baseline] = field(default_factory=dict)
    readings: Mapping[str, str] = field(default_factory=dict)
    bounds: tuple[Bound, ...] = ()
    printed: tuple[PrintedTop1, ...] = ()
    retrainings: tuple[Retraining, ...] = ()

    @property
    def title(self) -> str:
        """What is seen, of which study."""
        return f"Accuracy against latency: study {self.study}"

    @property
    def empty(self) -> str | None:
        """Why there is no front."""
        return None if self.rows else f"No complete trial to show ({self.statuses_text or 'no trials yet'})"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """How the networks were trained, how they were measured, how many there are, and which readings they are of."""
        if not self.rows:
            return (self.dataset,) if self.dataset else ()
        readings: dict[str, list[str]] = {}
        for verdict, _ in self.marked:
            if reading := self.readings.get(verdict.variant):
                readings.setdefault(reading, []).append(verdict.variant)
        lines = (
            *(" · ".join(filter(None, parts)) for parts in self._conditions()),
            "; ".join(part for part in self._counted() if part),
            "; ".join(f"{', '.join(names)}: {reading}" for reading, names in readings.items()),
            ""
            if self.design is None
            else f"a design ({self.design.purpose} of {self.design.of}): each network once, means over its seeds",
        )
        return tuple(line for line in lines if line)

    def _conditions(self) -> tuple[list[str], list[str]]:
        """How the networks were trained, and how they were measured."""
        margins = [
            margin for row in self.members if (margin := counting_margin_points(row.score, row.score)) is not None
        ]
        # of two networks of other accuracies it lies between those of two of equal ones
        chance = f": differences below {span_text(margins, '.1f')} points may be chance" if margins else ""
        records = [row.record for row in self.rows]
        said = condition_parts(records, dataset=self.dataset, device_name=self.device_name, chance=chance)
        guessing = guessing_text(self.conditions, self.num_classes) if self.num_classes else ""
        basis = floor_basis(self.noise_floor)
        ties = f"{self.ties_text}{f' ({basis})' if basis else ''}" if self.ties_text else ""
        trained = ("dataset", "train_images", "epochs", "seeds", "pixels", "split")
        measured = ("device", "backend", "batch", "threads", "precision", "runs", "reference")
        return [*(said[name] for name in trained), guessing], [*(said[name] for name in measured), ties]

    def _counted(self) -> list[str]:
        members = f"{len(distinct(self.members)):,} on the front"
        count = f"{plural(sum(self.statuses.values()), 'trial')} ({self.statuses_text}); {members}"
        if set(self.objectives) != {"error_percent", "latency_ms"}:
            count += f" of {', '.join(self.objectives)}"
        bounds = f"bounds: {', '.join(bound.text for bound in self.bounds)}" if self.bounds else ""
        return [count, self.volume_text, bounds]

    @property
    def sentences(self) -> tuple[str, ...]:
        """Which network to take, what became of the published ones, and how far the latencies can be trusted."""
        found = [*self.recommendation.sentences]
        if self.rows:
            batch = self.latency_batch
            retrain = ("archsearch", "retrain", *(self.named or ("--study", self.study)), "--trial", "TRIAL")
            found += [
                verdicts_sentence(self.verdicts) if self.verdicts else "",
                self.canary.sentence,
                # on the floor of launches a warning says it
                f"{capitalised(batch_sentence(batch))}." if batch is not None and not batch.on_launch_floor else "",
                f"Train one of them in full: {shlex.join(retrain)}",
            ]
        return tuple(line for line in found if line)

    @property
    def method(self) -> str:
        """What a latency is, and the conditions that are not above."""
        if not self.rows:
            return ""
        found = self.conditions
        return (
            "Latency: 10th percentile, corrected for the device's drift since the study began (ratio to the reference "
            "in the same bursts x the reference's 10th percentile at the study's start). Objectives, lower is better: "
            f"{', '.join(self.objectives)}. Protocol: {listed(found.protocol)}. "
            f"Device fingerprint: {listed(found.fingerprint)}."
        )

    @property
    def bases_line(self) -> str:
        """What the choices of networks are compared with, in a sentence; empty where with nothing."""
        families = sorted(self.bases)
        named = [
            self.bases[family].name if len(families) == 1 else f"{self.bases[family].name} ({family})"
            for family in families
        ]
        return f"Networks are described against {' and '.join(named)}." if named else ""

    @property
    def marked(self) -> tuple[tuple[Verdict, FrontRow], ...]:
        """The variants that were measured, by latency: the first has the number 1 in a figure."""
        return tuple(
            (verdict, row)
            for verdict in self.verdicts
            if verdict.standing is not Standing.NOT_MEASURED and (row := self.row_of(verdict.record)) is not None
        )

    @property
    def numbers(self) -> dict[str, int]:
        """Variant: its number in a figure."""
        return {verdict.variant: number for number, (verdict, _) in enumerate(self.marked, start=1)}

    @property
    def again(self) -> tuple[ConfirmedPoint, ...]:
        """The networks of it that were evaluated again."""
        trials = {row.record.trial for row in self.rows}
        return () if self.confirmed is None else tuple(p for p in self.confirmed.evaluated if p.trial in trials)

    def changes(self, record: Record) -> tuple[Change, ...]:
        """What differs between a network and its family's base; nothing where there is none."""
        base = self.bases.get(record.family)
        return () if base is None else changes_of(record.choices, base.choices)

    def over(self, row: FrontRow) -> tuple[str, ...]:
        """Names of the bounds that a network exceeds."""
        cost = row.cost
        has: dict[str, float] = {"params": cost.params, "macs": cost.macs, "memory_bytes": cost.memory_bytes or 0}
        has["latency_ms"] = row.latency.corrected_ms
        return tuple(bound.name for bound in self.bounds if has.get(bound.name, 0) > bound.value)

    def members_table(self) -> Table:
        """The networks on the front, fastest first."""
        return self._table(self.members, f"The front: {self.networks_text}")

    def networks_table(self) -> Table:
        """Every complete network."""
        return self._table(self.rows, "Networks", wide=True)

    def _table(self, rows: Sequence[FrontRow], title: str, *, wide: bool = False) -> Table:
        numbers = {row.record.trial: number for number, (_, row) in enumerate(self.marked, start=1)}
        return networks_table(
            rows,
            title=title,
            recommended=self.recommendation.trial,
            flagged=self.canary.flagged,
            numbers=numbers,
            wide=wide,
        )

    def changes_table(self) -> Table:
        """What the front's networks are made of, beside their base."""
        return table_of(
            "What differs on the front",
            self.members if self.bases else (),
            (TRIAL, lambda row: row.record.trial),
            (NETWORK, lambda row: row.record.label),
            (
                Column(title="Choices that differ from the base (the base's value)", key="changes"),
                lambda row: changes_text(self.changes(row.record)),
            ),
            note=self.bases_line,
            wide=True,
        )

    def verdicts_table(self) -> Table:
        """What became of each published network."""
        full = self._verdicts()
        return full.select(
            *(each.name for each in full.columns if each.name not in ("sentence", "reading", "by_trial"))
        )

    def verdict_sentences_table(self) -> Table:
        """The same in sentences."""
        said = self._verdicts().select("number", "variant", "sentence", "reading")
        return replace(said, title="Published networks in a sentence each", note="", wide=True)

    def _verdicts(self) -> Table:
        return verdicts_table(self.verdicts, readings=self.readings, numbers=self.numbers)

    def printed_table(self) -> Table:
        """What sources print for the variants that were measured."""
        numbers = self.numbers
        return table_of(
            "As printed",
            (each for each in self.printed if each.variant in numbers),
            (Column(title="#", key="number", decimals=0), lambda each: numbers[each.variant]),
            Column(title="Network", key="variant", whole=True),
            Column(title="Printed top-1", key="top1_percent", unit="%", decimals=2),
            Column(title="Source"),
            Column(title="Trained there", key="conditions"),
            note="Not measured here, and trained as the source says.",
            wide=True,
        )

    def data_tables(self) -> tuple[Table, ...]:
        """What stands behind the front: every network, those evaluated again, and what is printed."""
        again = () if self.confirmed is None else (replace(self.confirmed.tables()[0], wide=True),)
        return self.networks_table(), *again, self.printed_table()

    def tables(self) -> tuple[Table, ...]:
        """The front, what became of the published networks, what was retrained; then the data behind them."""
        return (
            self.members_table(),
            self.verdicts_table(),
            retrained_table(self.retrainings),
            self.changes_table(),
            self.verdict_sentences_table(),
            self.canary.table(),
            *self.data_tables(),
        )

    def answer(self, *, published: bool) -> FrontAnswer:
        """The answer alone, for a terminal; `published`: with what became of each published network."""
        subtitle: tuple[str, ...] = ()
        sentences = self.sentences
        if self.rows:
            records = [row.record for row in self.rows]
            said = conditions_text(records, dataset=self.dataset, device_name=self.device_name)
            subtitle = (f"{said} · {plural(sum(self.statuses.values()), 'trial')}",)
            chosen = self.recommendation
            verdicts = verdicts_sentence(self.verdicts) if self.verdicts else ""
            found = (chosen.sentence, chosen.reason, *chosen.warnings, verdicts, self.canary.sentence)
            sentences = tuple(filter(None, found))
        more = (self.verdicts_table(), retrained_table(self.retrainings)) if published else ()
        return FrontAnswer(
            title=self.title,
            subtitle=subtitle,
            sentences=sentences,
            warnings=self.warnings,
            empty=self.empty,
            shown=(self.members_table(), *more),
        )

    def plain(self) -> FrontJson:
        """All of it as plain data; networks of other tables stand by their trials."""
        knee, floor = self.knee, self.noise_floor
        growth = None if floor.growth == 0.0 else json_as(GrowthJson, floor, power=floor.growth)
        rows = [
            {**row, "over": list(self.over(network))} for row, network in zip(front_rows(self), self.rows, strict=True)
        ]
        return json_as(
            FrontJson,
            self,
            noise_floor=floor.relative,
            noise_floor_basis=json_as(FloorJson, floor, growth=growth),
            latency_batch=None if self.latency_batch is None else json_as(BatchJson, self.latency_batch),
            canary=self.canary.summary(),
            recommendation=self.recommendation.plain(),
            knee_trial=None if knee is None else knee.record.trial,
            front=plain(front_rows(self, only_front=True)),
            networks=plain(rows),
            variants=plain(self._verdicts().dicts()),
            bases={family: base.name for family, base in sorted(self.bases.items())},
            retrained=plain(self.retrainings),
        )


@dataclass(frozen=True, kw_only=True)
class FrontAnswer(InNotebooks):
    """Which network of a study's front to take, how sure that is, and its quality in one line each: a Result."""

    title: str
    subtitle: tuple[str, ...]
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    empty: str | None
    shown: tuple[Table, ...]
    method: ClassVar[str] = ""  # the front says it

    def tables(self) -> tuple[Table, ...]:
        """The front; what became of the published networks and what was retrained, if that is asked for."""
        return self.shown
