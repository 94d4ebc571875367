"""The verdicts of the guideline experiments in words, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Iterator

from archsearch.analysis.guideline_report import (
    PRINTED_DEVICES,
    GuidelinesReport,
    RowReport,
    SampleReport,
    TableReport,
)
from archsearch.analysis.guidelines import GuidelineVerdict, Speed

RULE = (
    "time/MAC: time for a multiply-add over the best row's, from p10 in the same bursts. slower, faster: the whole "
    "95 % interval lies beyond the noise floor, which is how far the best row was from a copy of itself. A guideline "
    "holds if every row is slower in every column, does not hold if one is faster, and cannot be told otherwise."
)
DEVICE_NAMES = {"gpu": "GPU", "arm": "ARM"}


def verdict_line(table: TableReport) -> str:
    """`G1 holds here (x1: holds, x2: cannot be told ...)`, with the noise floors."""
    columns = ", ".join(
        f"{column.column.scale_text} {column.verdict.verdict} (noise floor {column.verdict.floor:.1%})"
        for column in table.columns
    )
    return f"{table.experiment.guideline} {table.verdict.verdict} on this device: {columns}"


def evidence_lines(table: TableReport) -> Iterator[str]:
    """For each row that keeps the guideline from holding, its interval."""
    for column in table.columns:
        for row in column.verdict.rows:
            if row.speed is not Speed.SLOWER:
                yield (
                    f"{column.column.scale_text}, {row.label}: {row.speed} ({row.cost:.3f}, 95 % interval "
                    f"{row.cost_low:.3f} to {row.cost_high:.3f})"
                )


def trend_lines(table: TableReport) -> Iterator[str]:
    """For each chain of rows, whether time rises along it."""
    chains = table.columns[0].verdict.trends
    for name in chains:
        trends = ", ".join(f"{column.column.scale_text} {column.verdict.trends[name]}" for column in table.columns)
        yield f"along {name}, time for a multiply-add: {trends}"


def printed_lines(table: TableReport) -> Iterator[str]:
    """What the same rule says of the printed speeds."""
    found = ", ".join(
        f"{DEVICE_NAMES[device]} ({PRINTED_DEVICES[device]}) {_printed(verdict)}"
        for device, verdict in table.printed_verdicts.items()
    )
    yield f"the same rule on the printed speeds, within their rounding: {found}"


def _printed(verdict: GuidelineVerdict) -> str:
    differing = {str(column.verdict) for column in verdict.columns}
    if len(differing) == 1:
        return str(verdict.verdict)
    return (
        f"{verdict.verdict} (columns from narrow to wide: {', '.join(str(each.verdict) for each in verdict.columns)})"
    )


def printed_cell(row: RowReport, device: str) -> str:
    """`586 (1.25)`: the printed speed, and the printed time for a multiply-add over the printed best row's."""
    printed = row.row.printed[device]
    speed = f"{printed.speed:.0f}" if printed.step >= 1 else f"{printed.speed:.1f}"
    return f"{speed} ({row.printed_costs[device]:.2f})"


def speed_unit(report: GuidelinesReport) -> str:
    """As the paper prints it: images/s at batch 1, batches/s else."""
    return "images/s" if report.batch == 1 else "batches/s"


def conditions_line(report: GuidelinesReport) -> str:
    """Under which conditions all this holds."""
    threads = f"{report.threads} thread{'' if report.threads == 1 else 's'}"
    return (
        f"{report.device} ({report.device_name}), {report.backend}, batch {report.batch}, {threads}, "
        f"{report.precision}, 56x56, channels of the paper's {DEVICE_NAMES[report.printed_column]} column; fingerprint "
        f"{report.fingerprint}; measured {' and '.join(report.measured)}"
    )


def sample_line(sample: SampleReport) -> str:
    """What the regression says, in a sentence."""
    best, together = sample.regression.alone[0], sample.regression.together
    return (
        f"Over {sample.regression.networks} networks of the search space {sample.space} at {sample.input_size}x"
        f"{sample.input_size}, {best.names[0]} alone explains latency best (predicted R2 {best.predicted_r2:.2f}, rank "
        f"correlation {best.spearman:.2f}); all {len(together.names)} together: predicted R2 "
        f"{together.predicted_r2:.2f}"
    )
