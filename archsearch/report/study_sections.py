"""A report: the answer, then its sections in the order in which one asks, each with what it shows or what makes it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from archsearch.analysis.conditions import batch_sentence, mean_text
from archsearch.analysis.front import FrontRow
from archsearch.analysis.intervals import NORMAL_95, share_error_points
from archsearch.analysis.means import retrained_table
from archsearch.analysis.objectives import OBJECTIVES, floor_basis, floor_text
from archsearch.analysis.recommendation import Role, accuracy_difference
from archsearch.analysis.study_front import StudyFront
from archsearch.analysis.verdicts import verdicts_sentence
from archsearch.designs import Design
from archsearch.errors import ConfigError
from archsearch.models.families import FAMILIES
from archsearch.models.spec import Spec
from archsearch.plots.architecture import Op, UnitDiagram, architecture_of
from archsearch.plots.catalog import PLOTS
from archsearch.plots.front import glance_figure
from archsearch.plots.summaries import SUMMARIES
from archsearch.records import Latency, Record, Score, TrialStatus
from archsearch.store.studies import BOARDS_FACT
from archsearch.table import Column, Result, Table, table_of
from archsearch.text import accurate_text, capitalised, count_text, duration, plural, significant

if TYPE_CHECKING:
    from archsearch.analysis.ablation import Ablation


# Everything that a report is made of, gathered by the caller: nothing here opens a database or a network.


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """One stored study with all that was found out about it.

    Attributes:
        results: what was found out of it, by the name of the analysis; None, or nothing, for what nobody asked for.
        records: every trial, in order of number, with its curve where figures are drawn.
        front: of the study, with what is known of its networks.
        config, facts, reference_point, space, space_fingerprint: as the study is stored.
        ablations: newest first; of a study that is an ablation, itself.
        command: what was typed to make the report.
    """

    results: Mapping[str, Any]
    records: tuple[Record, ...]
    front: StudyFront
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    reference_point: Mapping[str, float] | None
    space: Mapping[str, Any]
    space_fingerprint: str
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
        return shlex.join(("archsearch", command, *(self.front.named or ("--study", self.study)), *arguments))


def interval_ms(latency: Latency) -> tuple[float, float] | None:
    """The 95 % interval of a corrected latency (milliseconds), of its measurement alone; None where it has none."""
    if latency.ratio_low is None or latency.ratio_high is None:
        return None
    scale = latency.study_reference_ms if latency.study_reference_ms is not None else latency.reference_p10_ms
    return latency.ratio_low * scale, latency.ratio_high * scale


# What the page's panel knows of each network: plain data, with everything that repeats stored once.

# Beyond this many networks the rest are shown without curve and drawing, which are most of the data.
MOST_IN_FULL = 2000


def panel_data(data: ReportData) -> dict[str, Any]:
    """Every complete network: its cost, its latency, its score, what differs from the baseline, its parts, its curve.

    Keys are trial numbers. The front's networks and the variants come in full first; of more than `MOST_IN_FULL` the
    others lack `parts` and `curve`.
    """
    rows = data.front.rows
    named = {row.record.trial for row in rows if row.on_front or row.record.variant is not None}
    order = sorted(rows, key=lambda row: (row.record.trial not in named, row.record.trial))
    in_full = {row.record.trial for row in order[:MOST_IN_FULL]}
    curves = {record.trial: record.score.curve for record in data.records if record.score is not None}
    verdicts = {verdict.record.trial: verdict.sentence for verdict in data.front.verdicts}
    drawing = _Drawings(data)
    names: dict[str, int] = {}
    networks = {}
    for row in rows:
        record = row.record
        facts = _facts(row)
        if (mean := mean_text(record)) is not None:
            facts["mean"] = mean
        facts["front"] = row.on_front
        facts["upper"] = float(data.front.noise_floor.upper(facts["ms"]))  # a slower network than this is no tie
        facts["changes"] = [[_place(names, name), value, base] for name, value, base in data.front.changes(record)]
        if record.trial in verdicts:
            facts["verdict"] = verdicts[record.trial]
        if record.trial in in_full:
            facts["parts"] = drawing.parts(record)
            if curve := curves.get(record.trial):
                facts["curve"] = [
                    [point.epoch for point in curve],
                    [round(point.top1_percent, 3) for point in curve],
                    [round(point.train_loss, 4) for point in curve],
                ]
        networks[str(record.trial)] = facts
    return {
        "study": data.study,
        "retrain": f"{data.typed('retrain', '--trial')} ",
        "two": tuple(data.front.objectives) == ("error_percent", "latency_ms"),
        "recommended": data.front.recommendation.trial,
        "baselines": {family: baseline.name for family, baseline in data.front.bases.items()},
        "choices": list(names),
        "ops": list(drawing.ops),
        "units": list(drawing.units),
        "networks": networks,
    }


def _facts(row: FrontRow) -> dict[str, Any]:
    record, cost, latency, score = row.record, row.cost, row.latency, row.score
    low, high = interval_ms(latency) or (None, None)
    return {
        "label": record.label,
        "family": record.family,
        "arch": record.arch_id,
        "top1": score.top1_percent,
        "epochs": score.epochs,
        "seed": score.seed,
        "split": score.split,
        "images": score.eval_images,
        "train_s": score.train_seconds,
        "ms": latency.corrected_ms,
        "low": low,
        "high": high,
        "p10": latency.p10_ms,
        "median": latency.median_ms,
        "p90": latency.p90_ms,
        "runs": latency.n,
        "converged": latency.converged,
        "params": cost.params,
        "macs": cost.macs,
        "uncounted": bool(cost.unsupported_ops),
        "memory": cost.memory_bytes,
    }


class _Drawings:
    """The parts of networks, with equal units and operations stored once."""

    def __init__(self, data: ReportData) -> None:
        self.ops: dict[Any, int] = {}
        self.units: dict[Any, int] = {}
        self._baselines = {family: _spec(family, base.choices) for family, base in data.front.bases.items()}

    def parts(self, record: Record) -> list[list[Any]]:
        """(name, indices of its units) of each part; empty for a network that this version cannot draw."""
        spec = _spec(record.family, record.choices)
        if spec is None:
            return []
        info = architecture_of(spec, self._baselines.get(record.family))
        return [[part.name, [self._unit(unit) for unit in part.units]] for part in info.parts]

    def _unit(self, unit: UnitDiagram) -> int:
        before, after = self._ops(unit.before), self._ops(unit.after)
        branches = tuple(self._ops(branch) for branch in unit.branches)
        return _place(self.units, (unit.name, unit.count, unit.sign, before, branches, after))

    def _ops(self, ops: Sequence[Op]) -> tuple[int, ...]:
        return tuple(_place(self.ops, (op.text, op.kind, op.sign)) for op in ops)


def _place(values: dict[Any, int], value: Any) -> int:
    """Where a value stands among those that were asked for, in the order of first use."""
    return values.setdefault(value, len(values))


def _spec(family: str, choices: Any) -> Spec | None:
    """The specification of stored choices; None if this version of the family does not know them."""
    try:
        return FAMILIES[family].base.with_choices(choices)
    except ConfigError:
        return None


# What a report is made of: sections of sentences, figures and tables. Plain text: each renderer escapes its way.


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One figure with the data that it shows.

    Attributes:
        name: of the plot, unique in the report; the element's id.
        caption: what is seen, in a sentence.
        tables: the data, folded away below the figure.
        picks_networks: whether a point's custom data is the trial that it stands for.
        height_px: on the page, of a figure that has no height of its own.
    """

    name: str
    title: str
    caption: str
    result: Any
    draw: Callable[[Any], Any]
    tables: tuple[Table, ...] = ()
    picks_networks: bool = False
    height_px: int = 520


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section, or a piece of one under a heading of its own.

    Attributes:
        key: of links to it; "" for a piece.
        sentences: paragraphs, before everything else.
        points: a list of sentences.
        drawings, tables: in this order; with sentences before them.
        more: sentences that the page folds away.
        parts: pieces with headings of their own, after the rest.
        facts: (name, value) pairs, last.
        command: what to type to get what is missing here; None if nothing is.
    """

    title: str
    key: str = ""
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    more: tuple[str, ...] = ()
    parts: tuple[Section, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    command: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pick:
    """One network that the report says to take.

    Attributes:
        roles: why it is one of those to take, such as "recommended"; one network may have several.
        measures: (name, value with its unit): top-1, latency, params, MACs.
        certainty: how sure its place is, in sentences.
        confirmed: whether further seeds stand behind it.
        state: the same in two words.
        confirm: the command that confirms it; None if nothing is left to do.
        changes: what differs from the baseline, as (choice, value, the baseline's value).
        command: what retrains it.
    """

    roles: tuple[str, ...]
    label: str
    trial: int
    measures: tuple[tuple[str, str], ...]
    why: tuple[str, ...]
    certainty: tuple[str, ...]
    confirmed: bool
    state: str
    confirm: str | None
    changes: tuple[tuple[str, str, str], ...]
    command: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """A whole report.

    Attributes:
        answer: what to take, in a sentence or two.
        choices: which choices are worth their cost; None where the study does not ask.
        glance: the front with the networks to take; None without one.
        picks: the networks to take; empty if there is none, and then `answer` says why.
        sections: the rest, in order.
        networks: what is known of each network, for the page's panel (`panel_data`).
    """

    study: str
    title: str
    question: str
    subtitle: tuple[str, ...]
    answer: tuple[str, ...]
    picks: tuple[Pick, ...]
    sections: tuple[Section, ...]
    choices: Section | None = None
    glance: Drawing | None = None
    networks: dict[str, Any] = field(default_factory=dict)
    command: str | None = None


# The answer: the recommended network and those for other needs, why each, and how sure that is.


def answer_sentences(data: ReportData, picks: tuple[Pick, ...]) -> tuple[str, ...]:
    """What to take, in the words of `archsearch.analysis.recommendation`, and what its numbers are of."""
    said = data.front.recommendation.sentences
    if not picks or all(pick.confirmed for pick in picks):
        return said
    return (
        *said,
        "These accuracies are of a short training: use them to rank networks, not as accuracies after full training.",
    )


CHOICES_TITLE = "Which design choices are worth their cost"


def choices_answer(data: ReportData) -> Section | None:
    """Which choices are worth their cost: what the newest ablation says, else what went along with what in the search.

    None of a design without an ablation: it does not ask.
    """
    if data.ablations:
        newest = data.results.get("ablation", data.ablations[0])
        if newest.empty is not None:
            return Section(title=CHOICES_TITLE, sentences=(f"{newest.empty}.",))
        changes = plural(len(newest.rows), "change")
        seeds = plural(len(newest.design.seeds), "seed")
        said = f"{changes} of {newest.base_name}, each trained with {seeds} beside it:"
        return Section(title=CHOICES_TITLE, sentences=(said,), points=newest.worth)
    if data.design is not None:
        return None
    found = data.results.get("importances")
    # of each objective by the method that says what chance gives
    seen = () if found is None else tuple(each.sentence for each in found.told if each.shuffled)
    return Section(
        title=CHOICES_TITLE,
        sentences=(
            "Not known yet: no ablation has tested it."
            + (" What the search saw is correlation, not causation:" if seen else ""),
        ),
        points=seen,
        command=data.typed("ablate", "--from", "best"),
    )


def picks_of(data: ReportData) -> tuple[Pick, ...]:
    """The networks to take: the recommended one, then the others by latency."""
    rows = {row.record.trial: row for row in data.front.rows}
    return tuple(_pick(data, role, rows[role.candidate.record.trial]) for role in data.front.recommendation.roles)


def _ms(data: ReportData, role: Role) -> float:
    """Of the seeds that confirmed it, where there are any."""
    return role.candidate.values[data.front.objectives.index("latency_ms")]


def _pick(data: ReportData, role: Role, row: FrontRow) -> Pick:
    record = row.record
    measures = (
        ("Top-1", f"{role.candidate.top1_percent:.2f} %"),
        ("Latency", f"{significant(_ms(data, role))} ms"),
        ("Params", count_text(row.cost.params)),
        ("MACs", count_text(row.cost.macs)),
    )
    again = () if (found := data.results.get("confirmed")) is None else found.evaluated
    point = next((each for each in again if each.arch_id == record.arch_id), None)
    seeds = data.seeds_of(record)
    certainty = unconfirmed(row.score, row.latency, seeds) if point is None else (f"Confirmed: {point.sentence}",)
    return Pick(
        roles=role.names,
        label=record.label,
        trial=record.trial,
        measures=measures,
        why=(*_against(data, role), *(() if role.published is None else (f"{role.published.sentence}.",))),
        certainty=certainty,
        confirmed=point is not None,
        state="confirmed" if point is not None else "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds",
        confirm=data.typed("confirm") if point is None and data.design is None else None,
        changes=data.front.changes(record),
        command=data.typed("retrain", "--trial", str(record.trial)),
    )


def unconfirmed(score: Score, latency: Latency, seeds: tuple[int, ...]) -> tuple[str, ...]:
    """How sure a network is that nothing has confirmed; `seeds`: those that its score is the mean of."""
    epochs = plural(score.epochs, "epoch")
    if len(seeds) > 1:
        return (f"Mean of {len(seeds)} seeds ({', '.join(map(str, seeds))}), {epochs}.",)
    error = share_error_points(score.top1_percent, score.eval_images)
    found = [f"One seed ({score.seed}), {epochs}, not confirmed."]
    if error:  # of all images right it is 0, and says nothing
        found.append(
            f"± {NORMAL_95 * error:.1f} points (95 %) from the size of the {score.split} set alone "
            f"({score.eval_images:,} images); seed-to-seed variation comes on top."
        )
    if ends := interval_ms(latency):
        low, high = map(significant, ends)
        found.append(f"Latency: {low} to {high} ms (95 %, this measurement alone).")
    if not latency.converged:
        found.append("Its latency did not converge.")
    return tuple(found)


_UNTOLD = " (too little to tell)"


def _against(data: ReportData, role: Role) -> tuple[str, ...]:
    """How it compares with the other networks to take."""
    found, own = [], role.candidate.record
    for other in data.front.recommendation.roles:
        theirs = other.candidate.record
        if theirs.trial == own.trial:
            continue
        difference = accuracy_difference(own, theirs, data.front.recommendation.confirmed)
        points = difference.points
        accuracy, _ = accurate_text(points)
        if points and not difference.told_apart:
            accuracy += _UNTOLD
        mine, their_ms = _ms(data, role), _ms(data, other)
        if mine < their_ms:
            speed = f"{_times(their_ms / mine)} as fast" if mine > 0 else "faster"
        elif mine > their_ms:
            speed = f"{_times(mine / their_ms)} the latency" if their_ms > 0 else "slower"
        else:
            speed = "as fast"
        if mine != their_ms and data.front.noisy is not None and data.front.noisy.tie(mine, their_ms):
            speed += _UNTOLD
        found.append(f"Against the {' and '.join(other.names)}, {theirs.label}: {accuracy}, {speed}.")
    return tuple(found)


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times" if ratio < 2 else f"{ratio:.1f} times"


OBSERVATIONAL = ("importances", "marginal", "grid", "parallel")  # plots of what went along with what in the search
_PROXY = (
    "epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "label_smoothing", "warmup_fraction",
    "class_weights", "crop_padding", "flip", "fresh_images", "precision",
)  # fmt: skip
_LATENCY = (
    "target", "also_targets", "pool", "cores", "bursts", "visits", "runs_per_burst", "spread_seconds", "untimed_runs",
    "tolerance", "budget_seconds",
)  # fmt: skip
_MOST_REASONS = 30
# A folded table of the records themselves is shortened here; the whole is in the database and in `pareto --csv`.
_MOST_ROWS = 20_000
_MOST_SENTENCES = 40


def report_of(data: ReportData) -> Report:
    """The report of a study, whatever is known of it so far."""
    picks = picks_of(data)
    device = data.front.device_name or "this device"
    glance = Drawing(
        name="plot-glance",
        title="The front at a glance",
        caption="The front of accuracy and latency: the networks to take, the published ones as orange squares, "
        "and what else was tried in grey. What lies beyond the axes is left out.",
        result=data.front,
        draw=glance_figure,
    )
    return Report(
        study=data.study,
        title=f"Which network: study {data.study}",
        question=f"Which network should I take on {device}, and which design choices are worth their cost?",
        subtitle=data.front.subtitle[:2],
        answer=answer_sentences(data, picks),
        picks=picks,
        sections=tuple(_sections(data)),
        choices=choices_answer(data),
        glance=glance if data.front.empty is None else None,
        networks=panel_data(data),
        command=data.command,
    )


def _sections(data: ReportData) -> Iterator[Section]:
    """In the order in which one asks."""
    searched = data.design is None
    if data.ablations and not searched:  # it is the study's own question
        yield ablation_section(data)
    yield front_section(data)
    if data.results.get("final") is not None:
        yield result_section("final", "The front, trained in full", data)
    yield confirmation_section(data)
    yield variants_section(data)
    if searched:
        yield ablation_section(data)
        yield matters_section(data)
    yield progress_section(data)
    yield latency_section(data)
    yield result_section(
        "guidelines",
        "The four guidelines on this device",
        data,
        missing="They have not been measured on the device of this study.",
    )
    if searched:
        yield result_section(
            "trust",
            "How far the proxy can be trusted",
            data,
            missing="Not checked: whether the short training ranks networks as a longer one would, and better than "
            "counting parameters does, is not known for this study.",
        )
    if data.front.retrainings:
        yield Section(key="trained", title="Trained in full", tables=(retrained_table(data.front.retrainings),))
        if data.results.get("confusion") is not None:
            yield result_section("confusion", "Which classes are taken for which", data)
    yield methods_section(data)


def front_section(data: ReportData) -> Section:
    """The front: figure, table, and what is compared with what."""
    found = data.front
    drawings = _drawing(
        "front",
        found,
        found.data_tables(),
        height_px=620,
        picks_networks=True,
        caption="Click a point, or a trial's number in a table, to see the network, its cost, its learning curve "
        "and the command that retrains it.",
    )
    if len(found.objectives) > 2:  # a third objective spans it: the front in space, too
        drawings += _drawing("front-3d", found)
    return Section(
        key="front",
        title="The front",
        sentences=(*found.subtitle[2:], *([f"{found.empty}."] if found.empty else [])),
        warnings=found.warnings,
        drawings=drawings,
        tables=(found.members_table(), found.changes_table()) if found.rows else (),
    )


def variants_section(data: ReportData) -> Section:
    """What became of the published networks."""
    verdicts = data.front.verdicts
    few = len(verdicts) <= _MOST_SENTENCES  # they stand above the table unless there are too many
    tables = (data.front.verdicts_table(), *(() if few else (data.front.verdict_sentences_table(),)))
    return Section(
        key="variants",
        title="The published networks",
        sentences=(verdicts_sentence(verdicts),),
        points=tuple(verdict.sentence for verdict in verdicts) if few else (),
        tables=tables if verdicts else (),
    )


def confirmation_section(data: ReportData) -> Section:
    """What further seeds and fresh latencies say of the front."""
    confirmed = data.results.get("confirmed")
    if confirmed is None and data.design is not None:
        return Section(
            key="confirmed",
            title="How sure the front is",
            sentences=(
                f"Each network was evaluated with {plural(len(data.design.seeds), 'seed')} and the front is that of "
                f"the means: study {data.study} is a design ({data.design.purpose}) made from study {data.design.of}.",
            ),
        )
    return result_section(
        "confirmed",
        "How sure the front is",
        data,
        missing="Not confirmed: each network was trained once, with one seed, and measured once. The best of many "
        "single trials looks better than it is. A confirmation trains the front and its near neighbours again with "
        "more seeds and fresh latencies; each point then has an interval and a probability of being on the front.",
    )


def matters_section(data: ReportData) -> Section:
    """Importances and marginal effects: what went along with what in the search, which is no experiment."""
    drawings, missing, said = _drawn(OBSERVATIONAL, data.results)
    return Section(
        key="matters",
        title="What seemed to matter",
        sentences=(
            "Observational: the search chose these networks, and chose what looked good more often. Where choices "
            "were tried together, their effects cannot be told apart. Only an ablation says what a choice does.",
            *missing,
        ),
        points=said,
        drawings=drawings,
    )


def progress_section(data: ReportData) -> Section:
    """How the search went: hypervolume, learning curves, and what became of the trials."""
    searched = data.design is None
    drawings, missing, _ = _drawn(("hypervolume", "curves") if searched else ("curves",), data.results)
    counts = Counter(record.status for record in data.records)
    statuses = ", ".join(f"{counts[status]:,} {status.value}" for status in TrialStatus if counts[status])
    total = sum(record.seconds or 0.0 for record in data.records)
    sentences = [f"{plural(len(data.records), 'trial')}: {statuses}." if data.records else "The study has no trials."]
    if total > 0:
        sentences.append(f"Wall time of all trials together: {duration(total)}.")
    return Section(
        key="progress",
        title="How the search went" if searched else "How the trainings went",
        sentences=(*sentences, *missing),
        drawings=drawings,
        tables=_not_complete(data),
    )


def latency_section(data: ReportData) -> Section:
    """How the latencies were measured, and how far they can be trusted."""
    canary = data.front.canary
    drawings, missing, _ = _drawn(("latencies",), data.results)
    floor = data.front.noise_floor
    basis = f", {floor_basis(floor)}" if floor_basis(floor) else ""
    sentences = [
        f"Latencies that differ by less than {floor_text(floor)} are ties: the noise floor{basis}."
        if floor.ties
        else "The study has no noise floor: every difference of two latencies counts."
    ]
    batch = data.front.latency_batch
    if batch is not None and not batch.on_launch_floor:
        sentences.append(f"{capitalised(batch_sentence(batch))}.")
    if not canary.networks:
        sentences.append("No latency was measured.")
    return Section(
        key="latency",
        title="Latencies",
        sentences=(*sentences, *missing),
        drawings=drawings,
        tables=(canary.table(),) if canary.networks else (),
    )


def result_section(name: str, title: str, data: ReportData, *, missing: str = "") -> Section:
    """The section of an analysis whose plot, of this name, draws a `Result`: everything that it says and shows.

    `missing` stands there, beside the command that makes it, where there is no result.
    """
    plot = PLOTS[name]
    found = plot.result(data.results)
    if found is None:
        of_study = plot.command and data.typed(plot.command)
        command = plot.typed_for_device(data.config) if plot.of_device else of_study
        return Section(key=name, title=title, sentences=(missing,), command=command)
    return Section(key=name, title=title, **_content(name, found, name))


def _content(name: str, found: Result, element: str, *first: str) -> dict[str, Any]:
    """What a section says and shows of a result, after these first sentences; `element`: as of `_drawing`."""
    return {
        "sentences": tuple(line for line in (*first, *found.subtitle, found.method, found.empty) if line),
        "points": found.sentences,
        "warnings": found.warnings,
        "drawings": _drawing(name, found, element=element),
        "tables": found.tables(),
    }


def ablation_section(data: ReportData) -> Section:
    """Every stored ablation that was made from the study, newest first."""
    if not data.ablations:
        return Section(
            key="ablation",
            title=CHOICES_TITLE,
            sentences=(
                "No ablation is stored. It changes one choice of a network at a time and trains both with the same "
                "seeds and data order, so that each difference has an interval; nothing below can replace it.",
            ),
            command=data.typed("ablate", "--from", "best"),
        )
    parts = [
        Section(
            title=found.title,
            **_content("ablation", found, f"ablation-{number}", f"Study {found.design_study}."),
            more=(*(row.sentence for row in found.rows), *(each.sentence for each in found.interactions)),
        )
        for number, found in enumerate(data.ablations)
    ]
    return Section(key="ablation", title=CHOICES_TITLE, parts=tuple(parts))


def _not_complete(data: ReportData) -> tuple[Table, ...]:
    """Why trials were rejected or failed, the commonest reasons first."""
    reasons = Counter(
        (record.status.value, record.reason or "")
        for record in data.records
        if record.status in (TrialStatus.FAILED, TrialStatus.REJECTED, TrialStatus.STOPPED)
    )
    if not reasons:
        return ()
    more = len(reasons) - _MOST_REASONS
    return (
        table_of(
            "Trials that did not complete",
            reasons.most_common(_MOST_REASONS),
            (Column(title="Status", whole=True), lambda each: each[0][0]),
            (Column(title="Trials", decimals=0), lambda each: each[1]),
            (Column(title="Reason"), lambda each: each[0][1]),
            note=f"The {_MOST_REASONS} commonest reasons; {more} more are not shown." if more > 0 else "",
        ),
    )


def _drawing(
    name: str, found: Result, tables: Iterable[Table] = (), *, element: str = "", caption: str = "", **more: Any
) -> tuple[Drawing, ...]:
    """The plot of this name of a result; none where there is nothing to draw.

    Args:
        tables: its data, folded away below it.
        element: the element's id, where one plot is drawn twice.
        caption: "": what the plot shows.
        more: other fields of the Drawing.
    """
    if found.empty is not None:
        return ()
    drawing = Drawing(
        name=f"plot-{element or name}",
        title=found.title.partition(": study ")[0],
        caption=caption or f"{capitalised(SUMMARIES[name])}.",
        result=found,
        draw=PLOTS[name].figure,
        tables=tuple(tables),
        **more,
    )
    return (drawing,)


def _drawn(
    names: Sequence[str], results: Mapping[str, Any]
) -> tuple[tuple[Drawing, ...], tuple[str, ...], tuple[str, ...]]:
    """The plots of these names that have something to draw, why the others have not, and the sentences of all."""
    known = [(name, found) for name in names if (found := PLOTS[name].result(results)) is not None]
    drawings = [each for name, found in known for each in _drawing(name, found, map(_bounded, found.tables()))]
    missing = tuple(f"{found.empty}." for _, found in known if found.empty is not None)
    return tuple(drawings), missing, tuple(line for _, found in known for line in found.sentences)


def _bounded(table: Table) -> Table:
    if len(table.rows) <= _MOST_ROWS:
        return table
    note = f"{table.note} The first {_MOST_ROWS:,} of {len(table.rows):,} rows.".strip()
    return replace(table, rows=table.rows[:_MOST_ROWS], note=note)


def methods_section(data: ReportData) -> Section:
    """Data, proxy, latency protocol, device, versions, seeds, search, and the commands."""
    return Section(
        key="methods",
        title="Methods",
        sentences=(
            "Accuracy is the validation top-1 of a short training; latency is the 10th percentile over bursts that are "
            "interleaved with a reference network, times what the reference took at the study's start. A front is the "
            "set of networks that none beats in one objective without losing in another.",
        ),
        facts=tuple((name, value) for name, value in _method_facts(data).items() if value),
    )


def _method_facts(data: ReportData) -> dict[str, str]:
    """Each by its name; empty where it is not known."""
    config, facts, front, design = data.config, data.facts, data.front, data.design
    proxy, latency = dict(config.get("proxy") or {}), config.get("latency") or {}
    proxy["precision"] = facts.get("proxy_precision", proxy.get("precision"))
    conditions = front.conditions
    seeds = conditions.seed if design is None else design.seeds
    corner = data.reference_point or {}
    floor, basis = front.noise_floor, floor_basis(front.noise_floor)
    boards = facts.get(BOARDS_FACT) or {}
    return {
        "Study": f"{data.study}, begun {facts['started']}" if "started" in facts else data.study,
        "Design": f"{design.purpose} of study {design.of}, {plural(len(design.points), 'network')}" if design else "",
        "Search space": _joined(str(data.space.get("name", "")), f"fingerprint {data.space_fingerprint}"),
        "Fixed choices": _pairs({**(config.get("scale") or {}), **(data.space.get("fixed") or {})}),
        "Dataset": _joined(
            str(config.get("dataset", "")),
            f"fingerprint {facts['data_fingerprint']}" if "data_fingerprint" in facts else "",
            f"{facts['num_classes']} classes" if "num_classes" in facts else "",
            f"{facts['input_size']} x {facts['input_size']} pixels" if "input_size" in facts else "",
        ),
        "Images": _joined(
            *(f"{count:,} trained on" for count in conditions.train_images[:3]),
            *(f"{count:,} validated on" for count in conditions.eval_images[:3]),
        ),
        "Proxy": _pairs({name: proxy.get(name) for name in _PROXY}),
        "Seeds": _joined(
            f"study {config['seed']}" if "seed" in config else "", f"trainings {', '.join(map(str, seeds))}"
        ),
        "Sampler": str(config.get("sampler", "")),
        "Early stopping": str((config.get("stopping") or {}).get("policy", "none")),
        "Objectives, lower is better": ", ".join(front.objectives),
        "Constraints": _pairs({key: value for key, value in (config.get("constraints") or {}).items() if value}),
        "Reference point": _pairs(
            {name: OBJECTIVES[name].show(value) for name, value in corner.items() if name in OBJECTIVES}
        ),
        "Hypervolume": "" if front.hypervolume is None else f"{front.hypervolume:.6g}",
        "Latency protocol": _pairs({name: latency.get(name) for name in _LATENCY}),
        "Reference network": str(config.get("reference", "")),
        "Noise floor of latency": f"{floor_text(floor)}{f' ({basis})' if basis else ''}" if floor.ties else "",
        "Batch of latency": "" if front.latency_batch is None else batch_sentence(front.latency_batch),
        "Device": _pairs(facts.get("device") or {}),
        **{
            f"Target {target}": _pairs({name: value or "not known" for name, value in board.items()})
            for target, board in boards.items()
        },
        "Device fingerprint": str(facts.get("device_fingerprint", "")),
        "Versions": _pairs(
            {"archsearch": facts.get("archsearch"), "python": facts.get("python"), **(facts.get("versions") or {})}
        ),
        "Run with": facts.get("command") or "",
    }


def _pairs(content: Mapping[str, Any]) -> str:
    """Names with their values; what has none is left out."""

    def shown(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    known = {name: value for name, value in content.items() if value is not None}
    return ", ".join(f"{str(name).replace('_', ' ')} {shown(value)}" for name, value in known.items())


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
