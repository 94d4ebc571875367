"""The guideline experiments as one page: the panels, every row beside the paper's, the sample, the conditions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from archsearch.analysis.guideline_report import GuidelinesReport, SampleReport, TableReport
from archsearch.analysis.guideline_text import (
    DEVICE_NAMES,
    RULE,
    conditions_line,
    evidence_lines,
    printed_lines,
    sample_line,
    speed_unit,
    trend_lines,
    verdict_line,
)
from archsearch.plots.guidelines import guidelines_figure, guidelines_info
from archsearch.plots.page import write_page
from archsearch.table import Cell, Column, Table


def write_guidelines_page(report: GuidelinesReport, path: Path, *, command: str | None = None) -> None:
    """Write the page, whole or not at all. Raises ArchsearchError if the file cannot be written."""
    info = guidelines_info(report)
    write_page(
        guidelines_figure(info),
        path,
        title=info.title,
        subtitle=(conditions_line(report), *(verdict_line(table) for table in report.tables), RULE),
        warnings=report.warnings,
        tables=[*(_table(table, report) for table in report.tables), *_sample(report.sample)],
        facts=sorted(report.facts.items()),
        command=command,
    )


def _table(table: TableReport, report: GuidelinesReport) -> Table:
    unit = speed_unit(report)
    columns = [
        Column(title="row", whole=True),
        Column(title="column", whole=True),
        Column(title="channels", whole=True),
        Column(title="MACs (M)", decimals=1),
        Column(title="p10 (ms)", decimals=3),
        Column(title="median (ms)", decimals=3),
        Column(title=unit, decimals=1),
        Column(title="time / best row's", decimals=3),
        Column(title="time/MAC / best row's", decimals=3),
        Column(title="low", decimals=3),
        Column(title="high", decimals=3),
        Column(title="reading", whole=True),
    ]
    for name in DEVICE_NAMES.values():
        columns += [Column(title=f"{name} printed", decimals=1), Column(title=f"{name} time/MAC", decimals=2)]
    lines = [verdict_line(table), *evidence_lines(table), *trend_lines(table), *printed_lines(table)]
    return Table(
        title=f"{table.experiment.guideline}: {table.experiment.claim}",
        columns=tuple(columns),
        rows=tuple(_rows(table)),
        note=". ".join(lines),
    )


def _rows(table: TableReport) -> Iterator[tuple[Cell, ...]]:
    for column in table.columns:
        for row in column.rows:
            found, network = row.compared, row.row.network
            printed: list[Cell] = []
            for device in DEVICE_NAMES:
                printed += [row.row.printed[device].speed, row.printed_costs[device]]
            yield (
                row.row.label,
                column.column.scale_text,
                network.channels_text,
                network.macs / 1e6,
                row.latency.p10_ms,
                row.latency.median_ms,
                row.runs_per_second,
                row.latency.ratio_to_reference,
                None if found is None else found.cost,
                row.latency.ratio_low if found is None else found.cost_low,
                row.latency.ratio_high if found is None else found.cost_high,
                "best row, against its copy" if found is None else str(found.speed),
                *printed,
            )


def _sample(sample: SampleReport | None) -> Iterator[Table]:
    if sample is None:
        return
    found = sample.regression
    yield Table(
        title="What explains latency here",
        columns=(
            Column(title="cost"),
            Column(title="R2", decimals=3),
            Column(title="predicted R2", decimals=3),
            Column(title="rank correlation", decimals=3),
            Column(title="power", decimals=3),
        ),
        rows=tuple(
            (
                " + ".join(each.names),
                each.r2,
                each.predicted_r2,
                each.spearman,
                each.exponents[0] if len(each.exponents) == 1 else None,
            )
            for each in (*found.alone, found.together)
        ),
        note=f"{sample_line(sample)}. Least squares on the logarithms; predicted: each network from the others.",
    )
    yield Table(
        title="The sampled networks",
        columns=(
            Column(title="arch_id", whole=True),
            Column(title="latency (ms)", decimals=3),
            Column(title="MACs (M)", decimals=2),
            Column(title="memory access (MB)", decimals=2),
            Column(title="operators", decimals=0),
            Column(title="parameters", decimals=0),
            Column(title="converged"),
        ),
        rows=tuple(
            (
                network.arch_id,
                network.latency_ms,
                network.macs / 1e6,
                network.memory_bytes / 1e6,
                network.operators,
                network.params,
                "yes" if network.converged else "no",
            )
            for network in sample.networks
        ),
    )
