"""A report: the answer, then its sections in the order in which one asks, each with what it shows or what makes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from archsearch.analysis.conditions import batch_sentence
from archsearch.analysis.means import retrained_table
from archsearch.analysis.objectives import OBJECTIVES, floor_basis, floor_text
from archsearch.analysis.verdicts import verdicts_sentence
from archsearch.plots.catalog import PLOTS
from archsearch.plots.front import glance_figure
from archsearch.records import TrialStatus
from archsearch.report.answer import CHOICES_TITLE, PICKS_NOTE, answer_sentences, choices_answer, picks_of
from archsearch.report.data import ReportData
from archsearch.report.networks import panel_data
from archsearch.report.sections import Drawing, Report, Section, Subsection
from archsearch.store.studies import BOARDS_FACT
from archsearch.table import Cell, Column, Result, Table
from archsearch.text import capitalised

OBSERVATIONAL = ("importances", "marginal", "grid", "parallel")  # plots of what went along with what in the search
_PROXY = ("epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "label_smoothing", "warmup_fraction")
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
    return Report(
        study=data.study,
        title=f"Which network: study {data.study}",
        question=f"Which network should I take on {device}, and which design choices are worth their cost?",
        subtitle=data.front.subtitle[:2],
        answer=answer_sentences(data, picks),
        picks=picks,
        picks_note=PICKS_NOTE if picks else "",
        sections=tuple(_sections(data)),
        choices=choices_answer(data),
        glance=_glance(data),
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


def _glance(data: ReportData) -> Drawing | None:
    if data.front.empty is not None:
        return None
    return Drawing(
        name="plot-glance",
        title="The front at a glance",
        caption="The front of accuracy and latency: the networks to take, the published ones as orange squares, "
        "and what else was tried in grey. What lies beyond the axes is left out.",
        result=data.front,
        draw=glance_figure,
    )


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
                f"Each network was evaluated with {len(data.design.seeds)} seeds and the front is that of the means: "
                f"study {data.study} is a design ({data.design.purpose}) made from study {data.design.of}.",
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
    drawings, missing = _drawn(OBSERVATIONAL, data.results)
    found = [each for each in (PLOTS[name].result(data.results) for name in OBSERVATIONAL) if each is not None]
    return Section(
        key="matters",
        title="What seemed to matter",
        sentences=(
            "Observational: the search chose these networks, and chose what looked good more often. Where choices "
            "were tried together, their effects cannot be told apart. Only an ablation says what a choice does.",
            *missing,
        ),
        points=tuple(line for each in found for line in each.sentences),
        drawings=drawings,
    )


def progress_section(data: ReportData) -> Section:
    """How the search went: hypervolume, learning curves, and what became of the trials."""
    searched = data.design is None
    drawings, missing = _drawn(("hypervolume", "curves") if searched else ("curves",), data.results)
    counts = Counter(record.status for record in data.records)
    statuses = ", ".join(f"{counts[status]:,} {status.value}" for status in TrialStatus if counts[status])
    total = sum(record.seconds or 0.0 for record in data.records)
    sentences = [f"{len(data.records):,} trials: {statuses}." if data.records else "The study has no trials."]
    if total > 0:
        sentences.append(f"Wall time of all trials together: {total / 3600.0:.1f} h.")
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
    drawings, missing = _drawn(("latencies",), data.results)
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
        command = f"archsearch {plot.command}" if plot.of_device else plot.command and data.typed(plot.command)
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
        Subsection(
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
    rows: list[tuple[Cell, ...]] = [
        (status, count, reason) for (status, reason), count in reasons.most_common(_MOST_REASONS)
    ]
    more = len(reasons) - len(rows)
    return (
        Table(
            title="Trials that did not complete",
            columns=(Column(title="Status", whole=True), Column(title="Trials", decimals=0), Column(title="Reason")),
            rows=tuple(rows),
            note=f"The {_MOST_REASONS} commonest reasons; {more} more are not shown." if more else "",
        ),
    )


def _drawing(
    name: str, found: Result, tables: Iterable[Table] = (), *, element: str = "", **more: Any
) -> tuple[Drawing, ...]:
    """The plot of this name of a result; none where there is nothing to draw.

    Args:
        tables: its data, folded away below it.
        element: the element's id, where one plot is drawn twice.
        more: other fields of the Drawing.
    """
    if found.empty is not None:
        return ()
    plot = PLOTS[name]
    drawing = Drawing(
        name=f"plot-{element or name}",
        title=found.title.partition(": study ")[0],
        caption=f"{capitalised(plot.summary)}.",
        result=found,
        draw=plot.figure,
        tables=tuple(tables),
    )
    return (replace(drawing, **more),)


def _drawn(names: Sequence[str], results: Mapping[str, Any]) -> tuple[tuple[Drawing, ...], tuple[str, ...]]:
    """The plots of these names that have something to draw, and why the others have not."""
    known = [(name, found) for name in names if (found := PLOTS[name].result(results)) is not None]
    drawings = [each for name, found in known for each in _drawing(name, found, map(_bounded, found.tables()))]
    return tuple(drawings), tuple(f"{found.empty}." for _, found in known if found.empty is not None)


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
        facts=tuple((name, value) for name, value in _method_facts(data) if value),
    )


def _method_facts(data: ReportData) -> Iterator[tuple[str, str]]:
    config, facts = data.config, data.facts
    proxy, latency = config.get("proxy") or {}, config.get("latency") or {}
    conditions = data.front.conditions
    yield "Study", f"{data.study}, begun {facts['started']}" if "started" in facts else data.study
    if data.design is not None:
        yield "Design", f"{data.design.purpose} of study {data.design.of}, {len(data.design.points)} networks"
    yield "Search space", _joined(str(config.get("space", "")), f"fingerprint {data.space_fingerprint}")
    yield "Fixed choices", _pairs({**(config.get("scale") or {}), **(config.get("fixed") or {})})
    yield (
        "Dataset",
        _joined(
            str(config.get("dataset", "")),
            f"fingerprint {facts['data_fingerprint']}" if "data_fingerprint" in facts else "",
            f"{facts['num_classes']} classes" if "num_classes" in facts else "",
            f"{facts['input_size']} x {facts['input_size']} pixels" if "input_size" in facts else "",
        ),
    )
    validated = proxy.get("validation_images")
    yield (
        "Images",
        _joined(
            *(f"{count:,} trained on" for count in conditions.train_images[:3]),
            f"{validated:,} validated on" if validated else "",
        ),
    )
    yield "Proxy", _pairs({name: proxy.get(name) for name in _PROXY})
    yield (
        "Seeds",
        _joined(
            f"study {config['seed']}" if "seed" in config else "",
            f"trainings {', '.join(map(str, data.design.seeds if data.design is not None else conditions.seed))}",
        ),
    )
    yield "Sampler", str(config.get("sampler", ""))
    yield "Early stopping", str((config.get("stopping") or {}).get("policy", "none"))
    yield "Objectives, lower is better", ", ".join(data.front.objectives)
    yield "Constraints", _pairs({key: value for key, value in (config.get("constraints") or {}).items() if value})
    if data.reference_point:
        shown = {
            name: OBJECTIVES[name].show(value) for name, value in data.reference_point.items() if name in OBJECTIVES
        }
        yield "Reference point", _pairs(shown)
    if data.front.hypervolume is not None:
        yield "Hypervolume", f"{data.front.hypervolume:.6g}"
    yield "Latency protocol", _pairs({name: latency.get(name) for name in _LATENCY})
    yield "Reference network", str(config.get("reference", ""))
    if data.front.noise_floor.ties:
        basis = floor_basis(data.front.noise_floor)
        yield "Noise floor of latency", floor_text(data.front.noise_floor) + (f" ({basis})" if basis else "")
    if data.front.latency_batch is not None:
        yield "Batch of latency", batch_sentence(data.front.latency_batch)
    yield "Device", _pairs(facts.get("device") or {})
    for target, board in (facts.get(BOARDS_FACT) or {}).items():
        yield f"Target {target}", _pairs({name: value or "not known" for name, value in board.items()})
    yield "Device fingerprint", str(facts.get("device_fingerprint", ""))
    yield (
        "Versions",
        _pairs({"archsearch": facts.get("archsearch"), "python": facts.get("python"), **(facts.get("versions") or {})}),
    )
    yield "Run with", str(facts.get("command", ""))


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
