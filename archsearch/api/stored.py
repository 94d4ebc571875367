"""A stored study to look at: its records, its front, its verdicts, and the network that a rule chooses."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from archsearch.analysis.canary import Canary, canary_of
from archsearch.analysis.conditions import conditions_of, conditions_text, measured_alike
from archsearch.analysis.confirmed import DRAWS, Confirmed, confirmed_of
from archsearch.analysis.front import Front, front_of
from archsearch.analysis.means import Retraining, labels_of, means_of, retrainings_of
from archsearch.analysis.objectives import resolve_objectives
from archsearch.analysis.recommendation import RECOMMENDED, RULES, Recommendation, made_with, recommendation_of, select
from archsearch.analysis.verdicts import Verdict, verdicts_of
from archsearch.api.paths import open_database
from archsearch.designs import WORDS, Design, Purpose
from archsearch.errors import ArchsearchError, ConfigError, UnknownNameError
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import FAMILIES
from archsearch.models.spec import Spec
from archsearch.models.variants import TORCHVISION, VARIANTS, Variant, find_variant
from archsearch.records import Record, Score, TrialStatus
from archsearch.store.database import Database, storage_options
from archsearch.store.retry import retry
from archsearch.store.rows import design_of
from archsearch.store.studies import StudyInfo, check_same, list_studies
from archsearch.store.trials import load_records, load_trainings
from archsearch.table import LATENCY, NOTEBOOK_ROWS, TOP1, Column, Table, notebook_block, paragraphs
from archsearch.text import plural
from archsearch.validation import explain

_Settings = TypeVar("_Settings", bound=BaseModel)

SEVERAL = ("front", "variants")  # names that `choose_all` takes for several networks
# Options of the command that began a study which `made_by` says anew.
_SAID_ANEW = re.compile(r" --(?:trials[ =]\d+|set[ =]trials=\d+|storage[ =](?:'[^']*'|\S+))")

# Columns of a trial, in order; those of its choices follow.
_OF_LATENCY = (
    "p10_ms", "median_ms", "p90_ms", "ratio_to_reference", "ratio_low", "ratio_high", "reference", "drift", "converged",
    "contended", "device", "backend", "batch", "threads", "precision", "fingerprint",
)  # fmt: skip
_OF_SCORE = ("top1_percent", "epochs", "seed", "split", "protocol", "train_images", "train_seconds")
_OF_COST = ("params", "macs", "memory_bytes")


def trial_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One row for each record of any status; None where it ended before a value was known.

    `choice.NAME` is the network's own choice, `suggested.NAME` what the search space calls it.
    """
    choices = sorted({name for record in records for name in record.choices})
    suggested = sorted({name for record in records for name in record.suggested})
    return [
        {
            "trial": record.trial,
            "status": record.status.value,
            "reason": record.reason,
            "label": record.label,
            "variant": record.variant,
            "point": record.point,
            "arch_id": record.arch_id,
            "family": record.family,
            "error_percent": None if record.score is None else record.error_percent,
            **{name: None if record.score is None else getattr(record.score, name) for name in _OF_SCORE},
            "latency_ms": None if record.latency is None else record.latency.corrected_ms,
            **{name: None if record.latency is None else getattr(record.latency, name) for name in _OF_LATENCY},
            **{name: None if record.cost is None else getattr(record.cost, name) for name in _OF_COST},
            "seconds": record.seconds,
            **{f"choice.{name}": record.choices.get(name) for name in choices},
            **{f"suggested.{name}": record.suggested.get(name) for name in suggested},
        }
        for record in records
    ]


class Records(tuple[Record, ...]):
    """Records that a notebook shows as a table, and not as pages of text."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{plural(len(self), 'trial')}\n{self._table(self)}"

    def _repr_html_(self) -> str:
        shown = self[:NOTEBOOK_ROWS]
        more = len(self) - len(shown)
        return notebook_block(
            plural(len(self), "trial"),
            self._table(shown).notebook(),
            paragraphs(f"{plural(more, 'more row')} not shown" if more else ""),
        )

    @staticmethod
    def _table(records: Sequence[Record]) -> Table:
        columns = (
            Column(title="Trial", decimals=0),
            Column(title="Status"),
            Column(title="Network", key="label"),
            TOP1,
            LATENCY,
            Column(title="Params", decimals=0),
            Column(title="Macs", decimals=0),
            Column(title="arch_id"),
        )
        rows = tuple(tuple(row[column.name] for column in columns) for row in trial_rows(records))
        return Table(title="", columns=columns, rows=rows)

    def __repr__(self) -> str:
        return f"<{len(self)} records>"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A network that was asked for: its specification, its label, and its record where the study has one.

    `reading` says which reading of its source it is, where there are several.
    """

    spec: Spec
    label: str
    record: Record | None
    reading: str = ""


@dataclass(frozen=True)
class StoredStudy:
    """A stored study as it was when it was read, its front, and the network that a rule chooses.

    What was run, confirmed or retrained since is seen where it is opened again.

    Attributes:
        info: its configuration, space, reference point and the facts of its first run.
        records: every trial, in order of number.
        trainings: (arch_id, score) of every finished retraining, one for each seed.
        storage: the database that it was read from; None: it was made in memory, and no designs were made from it.
    """

    info: StudyInfo
    records: tuple[Record, ...]
    trainings: tuple[tuple[str, Score], ...] = ()
    storage: str | None = field(default=None, repr=False, compare=False)

    @classmethod
    def read(cls, database: Database, info: StudyInfo) -> Self:
        """A study with its records, from an open database. Raises StoreError if it cannot be read."""
        return cls(
            info=info,
            records=Records(load_records(database, info.id)),
            trainings=load_trainings(database, info.id, split="test"),
            storage=database.url,
        )

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Trials by status."""
        return dict(sorted(Counter(record.status.value for record in self.records).items()))

    def __repr__(self) -> str:
        return f"<archsearch study '{self.name}': {counts_text(self.counts)}>"

    @property
    def name(self) -> str:
        """The study's name."""
        return self.info.name

    @property
    def named(self) -> tuple[str, ...]:
        """The options that name it in a command."""
        return ("--study", self.name, *storage_options(self.storage))

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the objectives, all minimised. Raises UnknownNameError for one that only another version knows."""
        names = tuple(self.info.config["objectives"])
        try:
            resolve_objectives(names)
        except UnknownNameError as error:
            error.message = f"study '{self.name}' as stored: {error.message}"
            raise
        return names

    def settings(self, section: str, kind: type[_Settings]) -> _Settings:
        """A section of its configuration. Raises ConfigError for a key or a value that only another version knows."""
        try:
            return kind.model_validate(self.info.config.get(section) or {})
        except ValidationError as error:
            raise explain(error, source=f"study '{self.name}' as stored: {section}", model=kind) from error

    @property
    def input_size(self) -> int:
        """Height and width of the images that its networks see (pixels)."""
        return int(self.info.facts["input_size"])

    @property
    def num_classes(self) -> int:
        """Classes of its dataset."""
        return int(self.info.facts["num_classes"])

    @property
    def device_name(self) -> str:
        """The device that its first run measured on, for people."""
        return device_name_of(self.info.board or self.info.facts.get("device", {}))

    @property
    def conditions_text(self) -> str:
        """What the accuracies and latencies of its complete networks belong to, in one line."""
        return conditions_text(
            [row.record for row in self.front.rows],
            dataset=str(self.info.config["dataset"]),
            device_name=self.device_name,
        )

    @cached_property
    def design(self) -> Design | None:
        """The networks and all the seeds that were listed beforehand; None for a search."""
        return design_of(self.info.config)

    @cached_property
    def networks(self) -> tuple[Record, ...]:
        """The records; of a study with a design one for each point, with the means of its complete seeds."""
        return self.records if self.design is None else means_of(self.records)

    @contextmanager
    def reopened(self) -> Iterator[Database]:
        """The database that it was read from, which is waited for where it is away.

        Raises StoreError if it cannot be read or holds another study now.
        """
        with closing(retry(lambda: open_database(self.storage, create=False))) as database:
            check_same(database, self.info)
            yield database

    @cached_property
    def records_with_curves(self) -> tuple[Record, ...]:
        """The records with their learning curves. Raises StoreError if the database cannot be read."""
        if self.storage is None:
            return self.records
        with self.reopened() as database:
            return load_records(database, self.info.id, with_curves=True)

    @property
    def reference_corner(self) -> tuple[float, ...] | None:
        """The study's fixed reference point, in the order of its objectives; None before there is one."""
        point = self.info.reference_point
        return None if point is None else tuple(float(point[name]) for name in self.objectives)

    @cached_property
    def front(self) -> Front:
        """The front of the complete `networks`, with the study's fixed reference point and noise floor."""
        found = front_of(
            self.networks,
            self.objectives,
            self.reference_corner,
            noise_floor=self.info.noise_floor,
            latency_batch=self.info.latency_batch,
        )
        return replace(found, statuses=self.counts)  # of a design's trials, too

    @cached_property
    def canary(self) -> Canary:
        """What the reference, measured beside every network, tells of the study's latencies."""
        latency = self.info.config.get("latency", {})
        return canary_of(
            self.records,
            drift_tolerance=latency.get("drift_tolerance"),
            # a study from before the memory witness goes on by today's
            memory_tolerance=latency.get("memory_tolerance", LatencySettings().memory_tolerance),
            repeats=self.info.repeats,
            floor_seconds=self.info.noise_floor_seconds,
        )

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What became of each published network."""
        return verdicts_of(self.networks, self.front)

    @cached_property
    def readings(self) -> dict[str, str]:
        """Which reading of its source each variant of the study is, for those whose source allows several."""
        named = {record.variant for record in self.records if record.variant is not None}
        return {name: VARIANTS[name].reading for name in VARIANTS if name in named and VARIANTS[name].reading}

    @cached_property
    def confirmed(self) -> Confirmed | None:
        """The newest confirmation of its front (`archsearch confirm`) on its own device; None if there is none."""
        made = self.newest_design("confirm", here=True)
        return made and self.confirmed_by(*made)

    def confirmed_by(self, made: StoredStudy, design: Design, *, draws: int = DRAWS) -> Confirmed:
        """What a confirming design's study says of its front; latencies measured otherwise have its noise floor."""
        info = self.info if self._measured_here(made) else made.info
        return confirmed_of(
            made.records, design, self.objectives, noise_floor=info.noise_floor, original=self.front, draws=draws
        )

    def _measured_here(self, made: StoredStudy) -> bool:
        """Whether a design's latencies may stand beside its own: they are of the same device and batch."""
        return measured_alike(conditions_of(made.records), self.front.conditions)

    @cached_property
    def recommendation(self) -> Recommendation:
        """Which of its networks to take, and why; what every command says."""
        own = self.design
        made = (self, own) if own is not None and own.points else self.newest_design("confirm", here=True)
        if made is None or not self.front.rows:
            return recommendation_of(self.front, self.records, made_by=self.made_by)
        # means and spread are enough; the probabilities would take a second
        return recommendation_of(self.front, self.networks, confirmed=self.confirmed_by(*made, draws=0))

    @property
    def best(self) -> Record:
        """The recommended network. Raises ArchsearchError if no trial is complete."""
        return self.select(RECOMMENDED)

    def select(self, rule: str) -> Record:
        """The network that a rule chooses: `recommended`, or one of `archsearch.analysis.recommendation`.

        Raises ConfigError for a rule that cannot be read or that nothing satisfies, ArchsearchError without a
        complete trial.
        """
        if rule.strip() != RECOMMENDED:
            return select(self.front, rule)
        found = self.recommendation
        if found.record is None:
            raise ArchsearchError(found.sentence.rstrip("."), hint=made_with(self.made_by))
        return found.record

    @property
    def made_by(self) -> str:
        """What to type for more of its networks: what began it, since `run` knows one's own studies by their files.

        It names the database where the study is now. Of a design it is the command that made it.
        """
        _, name, *storage = self.named
        if self.design is None:
            begun = self.info.facts.get("command") or f"archsearch run --study {name}"
            return " ".join(filter(None, (_SAID_ANEW.sub("", begun), shlex.join(storage), "--trials N")))
        return shlex.join(["archsearch", WORDS[self.design.purpose], "--study", self.design.of, *storage])

    def designs(self, purpose: Purpose) -> tuple[Self, ...]:
        """The studies of designs that were made from it for this purpose, the newest first.

        An ablation is its own answer: asked for those of an ablation's study, that study is given.

        Raises UnknownNameError for another purpose, StoreError if the database cannot be read.
        """
        if purpose not in WORDS:
            raise UnknownNameError("purpose of a design", purpose, WORDS)
        own = self.design
        if purpose == "ablation" and own is not None and own.purpose == purpose:
            return (self,)
        if self.storage is None:
            return ()
        with self.reopened() as database:
            made = [
                info
                for info in reversed(list_studies(database, naming=self.name))
                if (facts := info.config.get("design")) is not None
                and facts["of"] == self.name
                and facts["purpose"] == purpose
            ]
            return tuple(type(self).read(database, info) for info in made)

    def newest_design(self, purpose: Purpose, *, here: bool = False) -> tuple[Self, Design] | None:
        """The newest design that was made from it for this purpose and has evaluated each network once, and its study.

        One that has only begun does not take the place of an earlier one; it is given where there is no other.

        `here`: one whose latencies may stand beside its own: of the same device and batch.
        """
        found = [
            (made, made.design)
            for made in self.designs(purpose)
            if made.design is not None and made.design.points and (not here or self._measured_here(made))
        ]
        for made, design in found:
            ended = {each.point for each in made.records if each.status in (TrialStatus.COMPLETE, TrialStatus.FAILED)}
            if ended.issuperset(point.name for point in design.points):
                return made, design
        return found[0] if found else None

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """What its networks are called, by arch_id; a published one that was only trained in full by its name."""
        labels = labels_of(self.records)
        if any(arch_id not in labels for arch_id, _ in self.trainings):
            for name in VARIANTS:
                with suppress(ConfigError):  # of a family without the study's scale
                    labels.setdefault(self.at_scale(VARIANTS[name]).arch_id, name)
        return labels

    def at_scale(self, variant: Variant) -> Spec:
        """The network that a variant is here, whether the study has evaluated it or not."""
        return variant.spec.at_scale(self.info.config["scale"]).normalised(self.input_size)

    @cached_property
    def retrainings(self) -> tuple[Retraining, ...]:
        """Its networks that were retrained in full, the most accurate first."""
        return retrainings_of(self.labels, self.trainings)

    def choose(self, which: str | int, *, rule: str = RECOMMENDED, several: bool = False) -> Chosen:
        """The network that `which` names: `best` (by the rule), a trial's number, or a variant's name.

        A variant that the study has not evaluated is taken at the study's scale, without a record.
        `several`: `front` and `variants` could have been named, too; a name that is none may be meant for them.
        Raises ConfigError or UnknownNameError saying what there is, ConfigError for a rule where `best` is not named.
        """
        check_rule(rule, which)
        if which == "best":
            return _chosen(self.select(rule))
        number = int(which) if isinstance(which, int | Integral) else trial_number(str(which))
        if number is not None:
            return _chosen(self._trial(number))
        which = str(which)
        if which in SEVERAL:
            raise ConfigError(
                f"'{which}' names several networks of study '{self.name}', and one is needed",
                hint=f"name it by best, a variant's name, or a trial's number (its {self._numbers})",
            )
        for record in self.networks:
            if record.variant == which and record.arch_id and record.score is not None:
                return _chosen(record)
        if which not in VARIANTS and not which.startswith(TORCHVISION):
            if which in (RECOMMENDED, *RULES):
                raise ConfigError(
                    f"'{which}' is a rule, not a trial",
                    hint=f"ask for the best by this rule (in a terminal: --trial best --select {which})",
                )
            raise UnknownNameError(
                "trial",
                which,
                VARIANTS,
                listed_by=VARIANTS.listed_by,
                beside=("best", *(SEVERAL if several else ())),
                also=f"the study's {self._numbers}",
            )
        variant = find_variant(which)
        return Chosen(spec=self.at_scale(variant), label=which, record=None, reading=variant.reading)

    @property
    def _numbers(self) -> str:
        highest = max((record.trial for record in self.records), default=None)
        return "first trial is still to come" if highest is None else f"trials are 0 to {highest}"

    def choose_all(
        self, which: str | int, *, rule: str = RECOMMENDED, with_variants: bool = False
    ) -> tuple[Chosen, ...]:
        """The networks of a list with commas, each once: what `choose` takes, `front` and `variants`.

        Args:
            which: `front` are the members of the front, fastest first; `variants` the study's named networks.
            rule: what `best` means.
            with_variants: also the published networks next to each of them in latency, on either side.

        Raises ConfigError or UnknownNameError as `choose`, ArchsearchError without a complete trial.
        """
        chosen: list[Chosen] = []
        check_rule(rule, which)
        for name in (part.strip() for part in str(which).split(",")):
            if name == "front":
                if not self.front.members:
                    raise ArchsearchError(
                        f"study '{self.name}' has no front: no trial is complete", hint=made_with(self.made_by)
                    )
                chosen += [_chosen(row.record) for row in self.front.members]
            elif name == "variants":
                named = dict.fromkeys(record.variant for record in self.networks if record.variant)
                chosen += [self.choose(variant) for variant in named]
            else:
                chosen.append(self.choose(name, rule=rule if name == "best" else RECOMMENDED, several=True))
        if with_variants:
            published = [record for record in self.networks if is_published(record)]
            near = [_next_to(each.record, published) for each in chosen if each.record is not None]
            chosen += [_chosen(record) for records in near for record in records]
        found: dict[str, Chosen] = {}
        for each in chosen:
            found.setdefault(each.spec.arch_id, each)
        return tuple(found.values())

    def _trial(self, number: int) -> Record:
        for record in self.records:
            if record.trial == number:
                if not record.arch_id:
                    raise ConfigError(f"trial {number} of study '{self.name}' has no network yet ({record.status})")
                return record
        hint, searched = f"its {self._numbers}", f"trial {number}"
        again = next((record for record in self.networks if record.searched_trial == searched), None)
        if again is not None and self.design is not None:
            hint += f"; {searched} of {self.design.of} is trial {again.trial} here"
        raise ConfigError(f"study '{self.name}' has no trial {number}", hint=hint)


def device_name_of(facts: Mapping[str, Any]) -> str:
    """A device for people, from the facts of its fingerprint."""
    return str(facts.get("gpu") or facts.get("board") or facts.get("cpu") or "unknown device")


def by_network(records: Iterable[Record]) -> dict[str, Record]:
    """The first of the records of each network, by arch_id."""
    found: dict[str, Record] = {}
    for record in records:
        found.setdefault(record.arch_id, record)
    return found


def counts_text(counts: Mapping[str, int]) -> str:
    """Trials by status in words."""
    return ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items())) or "no trials yet"


def trial_number(text: str) -> int | None:
    """The number that a trial is named by; None if the text is none."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def check_rule(rule: str, which: str | int = "") -> None:
    """Raise ConfigError for a rule, which says what `best` means, where a list of names with commas has no `best`."""
    if rule.strip() != RECOMMENDED and "best" not in map(str.strip, str(which).split(",")):
        raise ConfigError(
            f"rule {rule}: it says what best means, and best is not asked for", hint="leave it out, or ask for best"
        )


def is_published(record: Record) -> bool:
    """Whether a trial is a network that its source describes, and no idea carried over from another family."""
    return record.variant is not None and (record.variant not in VARIANTS or VARIANTS[record.variant].published)


def _next_to(record: Record, others: Sequence[Record]) -> list[Record]:
    """Of some records with a latency those nearest to a record's: one that is faster, and one that is not."""
    if record.latency is None:
        return []
    own = record.latency.corrected_ms
    found = [(o.latency.corrected_ms, o.trial, o) for o in others if o.latency and o.arch_id != record.arch_id]
    faster = max((each for each in found if each[0] < own), default=None, key=lambda each: each[:2])
    slower = min((each for each in found if each[0] >= own), default=None, key=lambda each: each[:2])
    return [each[2] for each in (faster, slower) if each is not None]


def _chosen(record: Record) -> Chosen:
    spec = FAMILIES[record.family].base.with_choices(record.choices)
    reading = VARIANTS[record.variant].reading if record.variant and record.variant in VARIANTS else ""
    return Chosen(spec=spec, label=record.label, record=record, reading=reading)
