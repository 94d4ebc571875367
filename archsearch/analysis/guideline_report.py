"""The four experiments of ShuffleNet V2 as measured: rows and printed speeds in, verdicts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archsearch.analysis.guidelines import (
    ColumnVerdict,
    ComparedRow,
    Growth,
    GuidelineVerdict,
    TimedRow,
    column_verdict,
    growth,
    guideline_verdict,
    printed_row,
)
from archsearch.analysis.regression import Regression
from archsearch.errors import MeasurementError
from archsearch.models.guideline_spec import BEST_LABEL, GuidelineNetwork
from archsearch.records import Latency

# What each table's guideline says, in the words of its heading in section 2, and what that means for the rows.
CLAIMS = {
    "1": "Equal channel width minimizes memory access cost: 1:1 is the fastest",
    "2": "Excessive group convolution increases memory access cost: g=1 is the fastest",
    "3": "Network fragmentation reduces degree of parallelism: 1 fragment is the fastest",
    "4": "Element-wise operations are non-negligible: without ReLU and shortcut is the fastest",
}
# Rows of which each should be slower than the one before, after the best one.
CHAINS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "1": {"the ratio": ("1:2", "1:6", "1:12")},
    "2": {"the groups": ("g=2", "g=4", "g=8")},
    "3": {
        "fragments in series": ("2 in series", "4 in series"),
        "fragments in parallel": ("2 in parallel", "4 in parallel"),
    },
    "4": {},
}
PRINTED_DEVICES = {"gpu": "GTX 1080Ti", "arm": "Snapdragon 810"}
_MS_PER_SECOND = 1000.0


@dataclass(frozen=True, kw_only=True)
class PrintedSpeed:
    """A printed speed, of the network that it was printed for: the two devices were given other channels.

    Attributes:
        speed: in `unit` (batches/s or images/s).
        step: one of the last printed digit.
    """

    network: GuidelineNetwork
    speed: float
    step: float
    unit: str


@dataclass(frozen=True, kw_only=True)
class ExperimentRow:
    """One network of a column, with what the paper prints in its place: "gpu", "arm" -> speed."""

    label: str
    network: GuidelineNetwork
    printed: Mapping[str, PrintedSpeed]


@dataclass(frozen=True, kw_only=True)
class ExperimentColumn:
    """One column of a table: the networks that are compared with each other, as printed from top to bottom."""

    table: str
    scale: int
    scale_text: str
    rows: tuple[ExperimentRow, ...]

    @property
    def best(self) -> ExperimentRow:
        """The row that the guideline calls the fastest."""
        return next(row for row in self.rows if row.label == BEST_LABEL[self.table])


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One table of the paper: its columns from narrow to wide."""

    table: str
    caption: str
    columns: tuple[ExperimentColumn, ...]

    @property
    def guideline(self) -> str:
        """G1 to G4."""
        return f"G{self.table}"

    @property
    def claim(self) -> str:
        """What the guideline says of the rows."""
        return CLAIMS[self.table]


@dataclass(frozen=True, kw_only=True)
class RowReport:
    """One network as measured.

    Attributes:
        latency: against the column's best row, the best row itself included: its ratio is the noise.
        compared: None for the best row.
        printed_costs: "gpu", "arm" -> the printed time for a multiply-add over that of the printed best row.
    """

    row: ExperimentRow
    latency: Latency
    compared: ComparedRow | None
    printed_costs: Mapping[str, float]

    @property
    def runs_per_second(self) -> float:
        """Batches a second, from the median; images a second at batch 1."""
        return _MS_PER_SECOND / self.latency.median_ms


@dataclass(frozen=True, kw_only=True)
class ColumnReport:
    """One column as measured, its best row first where it is printed first."""

    column: ExperimentColumn
    rows: tuple[RowReport, ...]
    verdict: ColumnVerdict


@dataclass(frozen=True, kw_only=True)
class TableReport:
    """One experiment as measured on this device, and what the same rule says of the printed speeds.

    Attributes:
        growth: how the best row's time grows with its multiply-adds; None with one column.
        printed_verdicts: "gpu", "arm" -> the verdict on the printed speeds, whose intervals are their rounding.
    """

    experiment: Experiment
    columns: tuple[ColumnReport, ...]
    verdict: GuidelineVerdict
    growth: Growth | None
    printed_verdicts: Mapping[str, GuidelineVerdict]


@dataclass(frozen=True, kw_only=True)
class SampledNetwork:
    """A network of the sample: its costs and its latency.

    Attributes:
        operators: that write a tensor, batch norms folded (count).
        memory_bytes: read and written by one image.
        latency_ms: p10, corrected for drift by the reference.
    """

    arch_id: str
    macs: int
    params: int
    operators: int
    memory_bytes: int
    latency_ms: float
    converged: bool
    contended: bool


@dataclass(frozen=True, kw_only=True)
class SampleReport:
    """What explains the latency of networks drawn from a search space.

    Attributes:
        overhead: a sentence if time follows the number of operators rather than work; else empty.
    """

    space: str
    input_size: int
    seed: int
    networks: tuple[SampledNetwork, ...]
    regression: Regression
    overhead: str


@dataclass(frozen=True, kw_only=True)
class GuidelinesReport:
    """All of it, with the conditions it holds under.

    Attributes:
        device_name: for people.
        printed_column: the printed column whose channels were run: "gpu" or "arm".
        quick: whether it was a short trial of the command rather than a measurement.
        measured: days on which the groups were measured (YYYY-MM-DD).
    """

    device: str
    device_name: str
    backend: str
    batch: int
    threads: int
    precision: str = "fp32"
    fingerprint: str
    facts: Mapping[str, str]
    printed_column: str
    quick: bool
    measured: tuple[str, ...]
    tables: tuple[TableReport, ...]
    sample: SampleReport | None
    warnings: tuple[str, ...]


def table_report(experiment: Experiment, latencies: Sequence[Sequence[Latency]]) -> TableReport:
    """The report of one experiment.

    Args:
        latencies: for each column the rows' latencies, as printed, each against the column's best row.

    Raises MeasurementError if a latency has no interval.
    """
    columns = tuple(_column_report(column, found) for column, found in zip(experiment.columns, latencies, strict=True))
    best = [next(row for row in column.rows if row.compared is None) for column in columns]
    return TableReport(
        experiment=experiment,
        columns=columns,
        verdict=guideline_verdict([column.verdict for column in columns]),
        growth=growth(macs=[row.row.network.macs for row in best], times_ms=[row.latency.p10_ms for row in best])
        if len(best) > 1
        else None,
        printed_verdicts={
            device: guideline_verdict([_printed_verdict(column, device) for column in experiment.columns])
            for device in PRINTED_DEVICES
        },
    )


def _column_report(column: ExperimentColumn, latencies: Sequence[Latency]) -> ColumnReport:
    timed = {row.label: _timed(row, latency) for row, latency in zip(column.rows, latencies, strict=True)}
    verdict = column_verdict(
        [timed[row.label] for row in column.rows if row is not column.best],
        timed[column.best.label],
        scale=column.scale,
        chains=CHAINS[column.table],
    )
    compared = {row.label: row for row in verdict.rows}
    return ColumnReport(
        column=column,
        rows=tuple(
            RowReport(
                row=row,
                latency=latency,
                compared=compared.get(row.label),
                printed_costs={device: _printed_timed(row, column.best, device)[1] for device in row.printed},
            )
            for row, latency in zip(column.rows, latencies, strict=True)
        ),
        verdict=verdict,
    )


def _timed(row: ExperimentRow, latency: Latency) -> TimedRow:
    if latency.ratio_low is None or latency.ratio_high is None:
        raise MeasurementError(f"the latency of '{row.label}' has no interval", hint="measure it again")
    return TimedRow(
        label=row.label,
        macs=row.network.macs,
        ratio=latency.ratio_to_reference,
        ratio_low=latency.ratio_low,
        ratio_high=latency.ratio_high,
    )


def _printed_timed(row: ExperimentRow, best: ExperimentRow, device: str) -> tuple[TimedRow, float]:
    """A printed row against the printed best one, and its time for a multiply-add over that one's."""
    own, other = row.printed[device], best.printed[device]
    timed = printed_row(
        row.label, own.network.printed_macs, own.speed, other.speed, step=own.step, best_step=other.step
    )
    return timed, timed.ratio * other.network.printed_macs / own.network.printed_macs


def _printed_verdict(column: ExperimentColumn, device: str) -> ColumnVerdict:
    best = column.best
    exact = TimedRow(
        label=best.label, macs=best.printed[device].network.printed_macs, ratio=1.0, ratio_low=1.0, ratio_high=1.0
    )
    others = [_printed_timed(row, best, device)[0] for row in column.rows if row is not best]
    return column_verdict(others, exact, scale=column.scale, chains=CHAINS[column.table])
