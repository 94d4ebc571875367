"""The sections on the search itself: what seemed to matter, how it went, and how the latencies were measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from archsearch.analysis.ablation import Ablation
from archsearch.analysis.conditions import batch_sentence
from archsearch.analysis.objectives import floor_basis, floor_text
from archsearch.plots.catalog import PLOTS
from archsearch.plots.front_page import canary_table
from archsearch.records import TrialStatus
from archsearch.report.data import ReportData
from archsearch.report.drawings import drawing_of, drawn
from archsearch.report.sections import Section, Subsection
from archsearch.table import Cell, Column, Result, Table

OBSERVATIONAL = ("importances", "marginal", "grid", "parallel")  # plots of what went along with what in the search
_MOST_REASONS = 30


def matters_section(data: ReportData) -> Section:
    """Importances and marginal effects: what went along with what in the search, which is no experiment."""
    drawings, missing = drawn(OBSERVATIONAL, data.plots)
    found = [each for each in (PLOTS[name].info(data.plots) for name in OBSERVATIONAL) if isinstance(each, Result)]
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
    drawings, missing = drawn(("hypervolume", "curves") if searched else ("curves",), data.plots)
    counts = Counter(record.status for record in data.records)
    total = sum(record.seconds or 0.0 for record in data.records)
    sentences = [f"{len(data.records):,} trials: {_statuses(counts)}." if data.records else "The study has no trials."]
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
    canary = data.plots.canary
    drawings, missing = drawn(("latencies",), data.plots)
    floor = data.front.noise_floor
    basis = f", {floor_basis(floor)}" if floor_basis(floor) else ""
    sentences = [
        f"Latencies that differ by less than {floor_text(floor)} are ties: the noise floor{basis}."
        if floor.ties
        else "The study has no noise floor: every difference of two latencies counts."
    ]
    batch = data.front.latency_batch
    if batch is not None and not batch.on_launch_floor:
        text = batch_sentence(batch)
        sentences.append(f"{text[:1].upper()}{text[1:]}.")
    if canary is None or not canary.networks:
        sentences.append("No latency was measured.")
    return Section(
        key="latency",
        title="Latencies",
        sentences=(*sentences, *missing),
        drawings=drawings,
        tables=() if canary is None or not canary.networks else (canary_table(canary),),
    )


def guidelines_section(data: ReportData) -> Section:
    """Whether the four guidelines of the ShuffleNet V2 paper hold on this device."""
    return result_section(
        "guidelines",
        "The four guidelines on this device",
        data,
        missing="They have not been measured on the device of this study.",
    )


def trust_section(data: ReportData) -> Section:
    """Whether the short training ranks networks as a longer one does."""
    return result_section(
        "trust",
        "How far the proxy can be trusted",
        data,
        missing="Not checked: whether the short training ranks networks as a longer one would, and better than "
        "counting parameters does, is not known for this study.",
    )


def result_section(name: str, title: str, data: ReportData, *, missing: str) -> Section:
    """The section of an analysis whose plot, of this name, draws a `Result`: everything that it says and shows.

    `missing` stands there, beside the command that makes it, where there is no result.
    """
    plot = PLOTS[name]
    found: Result | None = plot.info(data.plots)
    if found is None:
        command = f"archsearch {plot.command}" if plot.of_device else plot.command and data.typed(plot.command)
        return Section(key=name, title=title, sentences=(missing,), command=command)
    drawings, _ = drawn((name,), data.plots)
    return Section(
        key=name,
        title=title,
        sentences=tuple(line for line in (*found.subtitle, found.method, found.empty) if line),
        points=found.sentences,
        warnings=found.warnings,
        drawings=tuple(replace(each, tables=()) for each in drawings),  # its tables stand below
        tables=found.tables(),
    )


def ablation_section(data: ReportData) -> Section:
    """Every stored ablation that was made from the study, newest first."""
    if not data.ablations:
        return Section(
            key="ablation",
            title="Which choices pay",
            sentences=(
                "No ablation is stored. It changes one choice of a network at a time and trains both with the same "
                "seeds and data order, so that each difference has an interval; nothing below can replace it.",
            ),
            command=data.typed("ablate", "--from", "best"),
        )
    return Section(
        key="ablation",
        title="Which choices pay",
        parts=tuple(_ablation_part(data, found, number) for number, found in enumerate(data.ablations)),
    )


def _ablation_part(data: ReportData, found: Ablation, number: int) -> Subsection:
    drawing, _ = drawing_of(
        "ablation",
        replace(data.plots, results={"ablation": found}),
        key=f"ablation-{number}",
        height_px=max(360, 150 + 44 * len(found.rows)),
    )
    return Subsection(
        title=found.title,
        sentences=tuple(
            line for line in (f"Study {found.design_study}.", *found.subtitle, found.method, found.empty) if line
        ),
        points=found.sentences,
        warnings=found.warnings,
        more=(*(row.sentence for row in found.rows), *(each.sentence for each in found.interactions)),
        drawings=() if drawing is None else (replace(drawing, tables=()),),  # its tables stand below
        tables=found.tables(),
    )


def trained_section(data: ReportData) -> Section:
    """Networks of the study that were trained in full, on the test split."""
    rows: list[tuple[Cell, ...]] = [
        (
            each.label,
            each.protocol,
            each.epochs,
            each.seeds,
            each.mean_top1_percent,
            each.std_top1_percent,
            each.arch_id,
        )
        for each in data.trainings
    ]
    return Section(
        key="trained",
        title="Trained in full",
        sentences=("Accuracy on the test split, which the search never saw.",),
        tables=(
            Table(
                title="Retrained networks",
                columns=(
                    Column(title="Network", whole=True),
                    Column(title="Protocol", whole=True),
                    Column(title="Epochs", decimals=0),
                    Column(title="Seeds", decimals=0),
                    Column(title="Mean test top-1 (%)", decimals=2),
                    Column(title="Standard deviation (points)", decimals=2),
                    Column(title="arch_id", whole=True),
                ),
                rows=tuple(rows),
            ),
        ),
    )


def confusion_section(data: ReportData) -> Section:
    """Which classes the best retrained network takes for which."""
    return result_section(
        "confusion",
        "Which classes are taken for which",
        data,
        missing="No retrained network has a confusion matrix.",
    )


def _statuses(counts: Counter[TrialStatus]) -> str:
    return ", ".join(f"{counts[status]:,} {status.value}" for status in TrialStatus if counts[status])


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
