"""Whether a guideline of ShuffleNet V2 (arXiv 1807.11164, section 2) holds in what was timed.

Each guideline calls one row of its table the fastest: equal channels (G1), no groups (G2), one fragment (G3), no
element-wise operators (G4). The rows of one column cost about as many multiply-adds, but not exactly, so the time for a
multiply-add is compared: ratio of the times x multiply-adds of the best row / multiply-adds of the row.

A row is `slower` if the whole 95 % interval of that quotient is above 1 + floor, `faster` if it is below 1 - floor, and
`inconclusive` otherwise. The floor is what a network differs from itself in the same bursts: the end of the best
row's interval against itself that is farther from 1.

In a column the guideline holds if every other row is slower than the best one, does not hold if one is faster, and
is inconclusive otherwise. On a device it holds if it holds in every column, and does not if it does not in one.

Beside the experiments stands a sample of a search space, and which cost explains latency there: each alone, and all
together, on the logarithms. log(latency) = a + b1 log(x1) + ... by least squares: costs act by factors, not by sums,
and on the plain scale the few largest networks would decide everything. R2 alone rises with every predictor, so that of
all together is also given as predicted: each network's latency from a fit to the others (leave one out), which a
useless predictor lowers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import ClassVar

import numpy as np

from archsearch.analysis.intervals import Floats
from archsearch.errors import MeasurementError
from archsearch.models.guideline_spec import BEST_LABEL, GuidelineNetwork
from archsearch.records import Latency
from archsearch.table import LATENCY, Column, InNotebooks, Interval, Table, table_of
from archsearch.text import percent_text, plural

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
DEVICE_NAMES = {"gpu": "GPU", "arm": "ARM"}
# 16 times the multiply-adds in less than twice the time: at most a quarter of the growth is work.
LAUNCH_BOUND_EXPONENT = 0.25
# A per-operator price explains latency where the number of operators does so better than the multiply-adds, and these
# by less than this power.
_OVERHEAD_EXPONENT = 0.25


class GuidelineOutcome(StrEnum):
    """Of a guideline, in a column or on a device."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNTOLD = "inconclusive"


class Speed(StrEnum):
    """Of a row against the best one, for a multiply-add."""

    SLOWER = "slower"
    FASTER = "faster"
    UNTOLD = "inconclusive"


class Trend(StrEnum):
    """Of the time for a multiply-add, along a chain of rows from the best one on."""

    RISES = "rises with every row"
    MIXED = "does not rise with every row"
    UNTOLD = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class TimedRow:
    """One network of a column, timed against the column's best row in the same bursts.

    Attributes:
        label: what the rows differ in.
        macs: multiply-adds of one image.
        ratio, ratio_low, ratio_high: its time over the best row's, and the ends of the 95 % interval.
    """

    label: str
    macs: int
    ratio: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True, kw_only=True)
class RowCost:
    """A row's time for a multiply-add over the best row's, with the ends of the 95 % interval, and what it says."""

    label: str
    cost: float
    cost_low: float
    cost_high: float
    speed: Speed


@dataclass(frozen=True, kw_only=True)
class ColumnVerdict:
    """What one column says.

    Attributes:
        scale: what the columns differ in; larger is wider.
        floor: how far a network was from itself.
        rows: all but the best, in the order as printed.
        trends: of the time for a multiply-add along each chain of rows that the guideline orders, by the chain's name.
    """

    scale: int
    floor: float
    verdict: GuidelineOutcome
    rows: tuple[RowCost, ...]
    trends: Mapping[str, Trend]


@dataclass(frozen=True, kw_only=True)
class GuidelineVerdict:
    """What all columns of a table say of its guideline on a device."""

    verdict: GuidelineOutcome
    columns: tuple[ColumnVerdict, ...]

    def __str__(self) -> str:
        columns = [str(column.verdict) for column in self.columns]
        each = f" (columns from narrow to wide: {', '.join(columns)})" if len(set(columns)) > 1 else ""
        return f"{self.verdict}{each}"


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How time grows with work: the best row of the widest column over that of the narrowest.

    Attributes:
        times_macs, times_time: the quotients of their multiply-adds and of their times.
        exponent: log(times_time) / log(times_macs): 1 where time is work, 0 where work costs nothing.
        launch_bound: the exponent is below `LAUNCH_BOUND_EXPONENT`.
    """

    times_macs: float
    times_time: float
    exponent: float
    launch_bound: bool


@dataclass(frozen=True, kw_only=True)
class Explained:
    """How well one or several predictors explain latency.

    Attributes:
        names: the predictors.
        r2: share of the variance of log(latency) that the fit explains.
        predicted_r2: the same with each network predicted from the others; may be negative.
        spearman: rank correlation of the predicted with the measured latency; of one predictor, of it itself.
        exponents: b of each predictor: latency grows as its b-th power, the others held.
    """

    names: tuple[str, ...]
    r2: float
    predicted_r2: float
    spearman: float
    exponents: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Regression:
    """Each predictor alone, best first (by predicted R2), and all together.

    Attributes:
        alone: one entry for each predictor that varies.
        constant: predictors that are the same for all networks, and so explain nothing.
    """

    networks: int
    alone: tuple[Explained, ...]
    together: Explained
    constant: tuple[str, ...]


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
    columns: tuple[ExperimentColumn, ...]


@dataclass(frozen=True, kw_only=True)
class PrintedRow:
    """What the paper prints in a row's place for one of its devices.

    Attributes:
        channels: of the network that it was printed for.
        speed: in `unit` (batches/s or images/s).
        cost: time for a multiply-add over that of the printed best row.
    """

    channels: str
    speed: float
    unit: str
    cost: float


@dataclass(frozen=True, kw_only=True)
class RowReport:
    """One network as measured.

    Attributes:
        macs: multiply-adds of one image.
        latency: against the column's best row, the best row itself included: its ratio is the noise.
        compared: None for the best row.
        printed: by device, "gpu" and "arm".
    """

    label: str
    channels: str
    macs: int
    latency: Latency
    compared: RowCost | None
    printed: Mapping[str, PrintedRow]

    @property
    def cost(self) -> Interval:
        """Its time for a multiply-add over the best row's; of the best row, its time over that of a copy of itself."""
        if self.compared is None:
            return Interval(self.latency.ratio_to_reference, self.latency.ratio_low, self.latency.ratio_high)
        return Interval(self.compared.cost, self.compared.cost_low, self.compared.cost_high)

    @property
    def runs_per_second(self) -> float:
        """Batches a second, from the median; images a second at batch 1."""
        return 1000.0 / self.latency.median_ms


@dataclass(frozen=True, kw_only=True)
class ColumnReport:
    """One column as measured, as printed from top to bottom; `floor` and `trends` as in ColumnVerdict."""

    scale: str
    verdict: GuidelineOutcome
    floor: float
    trends: Mapping[str, Trend]
    rows: tuple[RowReport, ...]

    @property
    def best(self) -> RowReport:
        """The row that the guideline calls the fastest."""
        return next(row for row in self.rows if row.compared is None)


@dataclass(frozen=True, kw_only=True)
class TableReport:
    """One experiment as measured on this device, and what the same rule says of the printed speeds.

    Attributes:
        guideline: G1 to G4.
        claim: what it says of the rows.
        verdict: on this device.
        growth: how the best row's time grows with its multiply-adds; None with one column.
        printed_verdicts: "gpu", "arm" -> the verdict on the printed speeds, whose intervals are their rounding.
    """

    guideline: str
    claim: str
    verdict: GuidelineOutcome
    columns: tuple[ColumnReport, ...]
    growth: Growth | None
    printed_verdicts: Mapping[str, GuidelineVerdict]

    @property
    def sentence(self) -> str:
        """`G1 holds on this device: x1 holds (noise floor 1.0 %), x2 inconclusive ...`."""
        columns = ", ".join(
            f"{each.scale} {each.verdict} (noise floor {percent_text(100.0 * each.floor)})" for each in self.columns
        )
        return f"{self.guideline} {self.verdict} on this device: {columns}"

    def evidence(self) -> Iterator[str]:
        """For each row that keeps the guideline from holding its interval, then each chain's trend, then the paper."""
        for column in self.columns:
            for row in column.rows:
                found = row.compared
                if found is not None and found.speed is not Speed.SLOWER:
                    yield (
                        f"{column.scale}, {row.label}: {found.speed} ({found.cost:.3f}, 95 % interval "
                        f"{found.cost_low:.3f} to {found.cost_high:.3f})"
                    )
        for name in self.columns[0].trends:
            trends = ", ".join(f"{column.scale} {column.trends[name]}" for column in self.columns)
            yield f"along {name}, time for a multiply-add: {trends}"
        printed = ", ".join(
            f"{DEVICE_NAMES[device]} ({PRINTED_DEVICES[device]}) {verdict}"
            for device, verdict in self.printed_verdicts.items()
        )
        yield f"the same rule on the printed speeds, within their rounding: {printed}"

    def warnings(self) -> Iterator[str]:
        """What to know before the verdict is believed."""
        found = self.growth
        if found is not None and found.launch_bound:
            yield (
                f"{self.guideline}: launch-bound: {found.times_macs:.0f} times the multiply-adds took only "
                f"{found.times_time:.2f} times as long, so what is timed is mostly starting operators, and a guideline "
                "about work or memory access can hardly show"
            )
        rows = [(column, row) for column in self.columns for row in column.rows]
        loose = [f"{column.scale} {row.label}" for column, row in rows if not row.latency.converged]
        if loose:
            yield f"{self.guideline}: not converged, so the verdict may be wrong: {', '.join(loose)}"
        if any(row.latency.contended and not row.latency.throttled for _, row in rows):
            yield f"{self.guideline}: another process may have used the device meanwhile"
        if any(row.latency.throttled for _, row in rows):
            yield f"{self.guideline}: the board slowed itself down meanwhile"


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

    @property
    def sentence(self) -> str:
        """What the regression says."""
        best, together = self.regression.alone[0], self.regression.together
        return (
            f"Over {self.regression.networks} networks of the search space {self.space} at {self.input_size}x"
            f"{self.input_size}, {best.names[0]} alone explains latency best (predicted R2 {best.predicted_r2:.2f}, "
            f"rank correlation {best.spearman:.2f}); all {len(together.names)} together: predicted R2 "
            f"{together.predicted_r2:.2f}"
        )

    def warnings(self) -> Iterator[str]:
        """What to know before it is believed."""
        if self.overhead:
            yield f"the sample is {self.overhead}"
        loose = sum(not network.converged for network in self.networks)
        if loose:
            yield f"{loose} of the {len(self.networks)} sampled networks did not converge"
        if any(network.contended for network in self.networks):
            yield "the sample: another process may have used the device meanwhile, or the board slowed itself down"


@dataclass(frozen=True, kw_only=True)
class GuidelinesReport(InNotebooks):
    """All of it, with the conditions it holds under: an `archsearch.table.Result`.

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
    experiments: tuple[TableReport, ...]
    sample: SampleReport | None

    title: ClassVar[str] = "The guidelines of ShuffleNet V2 on this device"
    empty: ClassVar[None] = None  # without a table nothing was asked
    method: ClassVar[str] = (
        "Time/MAC is the time for a multiply-add over the best row's, from p10 in the same bursts; the best row's own "
        "is against a copy of itself. Slower and faster mean that the whole 95 % interval lies beyond the noise floor, "
        "which is how far the best row was from that copy. A guideline holds if every row is slower in every column, "
        "does not hold if one is faster, and it is inconclusive otherwise."
    )

    @property
    def subtitle(self) -> tuple[str, ...]:
        """Under which conditions all this holds."""
        return (
            f"{self.device} ({self.device_name}), {self.backend}, batch {self.batch}, "
            f"{plural(self.threads, 'thread')}, {self.precision}, 56x56, channels of the "
            f"paper's {DEVICE_NAMES[self.printed_column]} column; fingerprint {self.fingerprint}; "
            f"measured {' and '.join(self.measured)}",
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict on each guideline, and what explains latency."""
        return (
            *(table.sentence for table in self.experiments),
            *(() if self.sample is None else (self.sample.sentence,)),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before the verdicts are believed."""
        return (
            *(("a quick trial with few runs: its verdicts are not to be kept",) if self.quick else ()),
            *(text for table in self.experiments for text in table.warnings()),
            *(() if self.sample is None else self.sample.warnings()),
        )

    def tables(self) -> tuple[Table, ...]:
        """Every row of each experiment beside the printed ones, and the sample."""
        speed = "images/s" if self.batch == 1 else "batches/s"
        return (*(_experiment_table(each, speed) for each in self.experiments), *_sample_tables(self.sample))


def table_report(experiment: Experiment, latencies: Sequence[Sequence[Latency]]) -> TableReport:
    """The report of one experiment.

    Args:
        latencies: for each column the rows' latencies, as printed, each against the column's best row.

    Raises MeasurementError if a latency has no interval.
    """
    columns = tuple(_column_report(column, found) for column, found in zip(experiment.columns, latencies, strict=True))
    best = [column.best for column in columns]
    grown = None
    if len(best) > 1:
        grown = growth(macs=[row.macs for row in best], times_ms=[row.latency.p10_ms for row in best])
    return TableReport(
        guideline=f"G{experiment.table}",
        claim=CLAIMS[experiment.table],
        verdict=_overall([column.verdict for column in columns]),
        columns=columns,
        growth=grown,
        printed_verdicts={device: printed_verdict(experiment, device) for device in PRINTED_DEVICES},
    )


def printed_verdict(experiment: Experiment, device: str) -> GuidelineVerdict:
    """What the rule says of the printed speeds of "gpu" or "arm", within their rounding."""
    verdicts = []
    for column in experiment.columns:
        best = column.best
        macs = best.printed[device].network.printed_macs
        exact = TimedRow(label=best.label, macs=macs, ratio=1.0, ratio_low=1.0, ratio_high=1.0)
        others = [_printed_timed(row, best, device)[0] for row in column.rows if row is not best]
        verdicts.append(column_verdict(others, exact, scale=column.scale, chains=CHAINS[column.table]))
    return guideline_verdict(verdicts)


def _column_report(column: ExperimentColumn, latencies: Sequence[Latency]) -> ColumnReport:
    timed = {row.label: _timed(row, latency) for row, latency in zip(column.rows, latencies, strict=True)}
    best = timed.pop(column.best.label)
    verdict = column_verdict(list(timed.values()), best, scale=column.scale, chains=CHAINS[column.table])
    compared = {row.label: row for row in verdict.rows}
    return ColumnReport(
        scale=column.scale_text,
        verdict=verdict.verdict,
        floor=verdict.floor,
        trends=verdict.trends,
        rows=tuple(
            RowReport(
                label=row.label,
                channels=row.network.channels_text,
                macs=row.network.macs,
                latency=latency,
                compared=compared.get(row.label),
                printed={
                    device: PrintedRow(
                        channels=printed.network.channels_text,
                        speed=printed.speed,
                        unit=printed.unit,
                        cost=_printed_timed(row, column.best, device)[1],
                    )
                    for device, printed in row.printed.items()
                },
            )
            for row, latency in zip(column.rows, latencies, strict=True)
        ),
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


def sample_report(networks: Sequence[SampledNetwork], *, space: str, input_size: int, seed: int) -> SampleReport:
    """What explains the latency of these networks. Raises ValueError as `explain_latency` does."""
    regression = explain_latency(
        [network.latency_ms for network in networks],
        {
            "MACs": [network.macs for network in networks],
            "memory access": [network.memory_bytes for network in networks],
            "operators": [network.operators for network in networks],
            "parameters": [network.params for network in networks],
        },
    )
    return SampleReport(
        space=space,
        input_size=input_size,
        seed=seed,
        networks=tuple(networks),
        regression=regression,
        overhead=_overhead(regression),
    )


def _overhead(regression: Regression) -> str:
    alone = {each.names[0]: each for each in regression.alone}
    if "operators" not in alone or "MACs" not in alone:
        return ""
    operators, macs = alone["operators"], alone["MACs"]
    if operators.predicted_r2 <= macs.predicted_r2 or macs.exponents[0] >= _OVERHEAD_EXPONENT:
        return ""
    return (
        f"bound by starting operators: latency grows as the {macs.exponents[0]:.2f}th power of the multiply-adds, and "
        f"the number of operators explains it better (predicted R2 {operators.predicted_r2:.2f} against "
        f"{macs.predicted_r2:.2f})"
    )


def column_verdict(
    rows: Sequence[TimedRow], best: TimedRow, *, scale: int, chains: Mapping[str, Sequence[str]]
) -> ColumnVerdict:
    """The verdict of one column.

    Args:
        rows: the others, in the order as printed.
        best: the row that the guideline calls fastest, timed against itself: its interval is the noise.
        chains: name -> labels of rows of which each should be slower than the one before, the best row left out.

    Raises ValueError without rows, for a chain of rows that are not there, and for numbers that are not positive and
    finite or an interval without its ratio.
    """
    if not rows:
        raise ValueError("a column needs rows beside the best one")
    for row in (best, *rows):
        numbers = (float(row.macs), row.ratio_low, row.ratio, row.ratio_high)
        if not all(math.isfinite(number) and number > 0 for number in numbers):
            raise ValueError(f"'{row.label}': positive numbers are needed, got {numbers}")
        if row.ratio_low > row.ratio_high:
            raise ValueError(f"'{row.label}': the interval {row.ratio_low} to {row.ratio_high} is upside down")
    floor = max(abs(best.ratio_low - 1.0), abs(best.ratio_high - 1.0))
    compared = tuple(_compare(row, best, floor) for row in rows)
    outcomes = {Speed.FASTER: GuidelineOutcome.FAILS, Speed.SLOWER: GuidelineOutcome.HOLDS}
    verdict = _overall([outcomes.get(row.speed, GuidelineOutcome.UNTOLD) for row in compared])
    by_label = {row.label: row for row in compared}
    missing = [label for labels in chains.values() for label in labels if label not in by_label]
    if missing:
        raise ValueError(f"there is no row '{missing[0]}' among {sorted(by_label)}")
    trends = {name: _trend([by_label[label] for label in labels], floor) for name, labels in chains.items()}
    return ColumnVerdict(scale=scale, floor=floor, verdict=verdict, rows=compared, trends=trends)


def guideline_verdict(columns: Sequence[ColumnVerdict]) -> GuidelineVerdict:
    """The verdict of all columns. Raises ValueError without columns."""
    if not columns:
        raise ValueError("a guideline needs a column")
    return GuidelineVerdict(verdict=_overall([column.verdict for column in columns]), columns=tuple(columns))


def _overall(outcomes: Sequence[GuidelineOutcome]) -> GuidelineOutcome:
    """It holds if it does in every part, and does not if it does not in one."""
    if GuidelineOutcome.FAILS in outcomes:
        return GuidelineOutcome.FAILS
    holds = all(each is GuidelineOutcome.HOLDS for each in outcomes)
    return GuidelineOutcome.HOLDS if holds else GuidelineOutcome.UNTOLD


def printed_row(label: str, macs: int, speed: float, best_speed: float, *, step: float, best_step: float) -> TimedRow:
    """A printed row as if it had been timed: its speed against the best row's.

    A printed speed stands for all that round to it, so the interval is that of the rounding. How far the printed speeds
    would repeat is not known.

    Args:
        speed, best_speed: runs a second.
        step, best_step: one of the last printed digit (0.1 for 76.2, 1 for 1480).
    """
    half, best_half = step / 2, best_step / 2
    return TimedRow(
        label=label,
        macs=macs,
        ratio=best_speed / speed,
        ratio_low=(best_speed - best_half) / (speed + half),
        ratio_high=(best_speed + best_half) / (speed - half),
    )


def growth(*, macs: Sequence[int], times_ms: Sequence[float]) -> Growth:
    """How the time of equal networks of several widths grows, from the least to the most multiply-adds.

    Raises ValueError with fewer than two different numbers of multiply-adds.
    """
    pairs = sorted(zip(macs, times_ms, strict=True))
    if len(pairs) < 2 or pairs[0][0] == pairs[-1][0]:
        raise ValueError(f"growth needs two different numbers of multiply-adds; got {sorted(macs)}")
    (least, first_ms), (most, last_ms) = pairs[0], pairs[-1]
    exponent = math.log(last_ms / first_ms) / math.log(most / least)
    return Growth(
        times_macs=most / least,
        times_time=last_ms / first_ms,
        exponent=exponent,
        launch_bound=exponent < LAUNCH_BOUND_EXPONENT,
    )


def _compare(row: TimedRow, best: TimedRow, floor: float) -> RowCost:
    normal = best.macs / row.macs
    low, high = row.ratio_low * normal, row.ratio_high * normal
    speed = Speed.SLOWER if low > 1.0 + floor else Speed.FASTER if high < 1.0 - floor else Speed.UNTOLD
    return RowCost(label=row.label, cost=row.ratio * normal, cost_low=low, cost_high=high, speed=speed)


def _trend(rows: Sequence[RowCost], floor: float) -> Trend:
    """From the best row (1, with the floor as its interval) on: each step's intervals apart, upwards or downwards."""
    ends = [(1.0 - floor, 1.0 + floor), *((row.cost_low, row.cost_high) for row in rows)]
    steps = list(pairwise(ends))
    if any(after[1] < before[0] for before, after in steps):
        return Trend.MIXED
    return Trend.RISES if all(after[0] > before[1] for before, after in steps) else Trend.UNTOLD


def explain_latency(latency_ms: Sequence[float], predictors: Mapping[str, Sequence[float]]) -> Regression:
    """The regression of these networks' latencies on their costs, all of them positive.

    Raises ValueError for lengths that do not fit, numbers that are not positive, latencies that are all equal, no
    predictor that varies, or fewer networks than two more than the coefficients.
    """
    target = _logs("latency_ms", latency_ms)
    logs = {name: _logs(name, values) for name, values in predictors.items()}
    wrong = [name for name, values in logs.items() if len(values) != len(target)]
    if wrong:
        raise ValueError(f"{len(logs[wrong[0]])} values of {wrong[0]} for {len(target)} latencies")
    varying = {name: values for name, values in logs.items() if np.ptp(values) > 0}
    if not varying or not np.ptp(target) > 0:
        raise ValueError("a regression needs latencies and a predictor that vary")
    if len(target) < len(varying) + 3:
        raise ValueError(f"{len(varying)} predictors need at least {len(varying) + 3} networks; got {len(target)}")
    alone = [_fit({name: values}, target) for name, values in varying.items()]
    return Regression(
        networks=len(target),
        alone=tuple(sorted(alone, key=lambda each: -each.predicted_r2)),
        together=_fit(varying, target),
        constant=tuple(name for name in logs if name not in varying),
    )


def _logs(name: str, values: Sequence[float]) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(numbers).all() and (numbers > 0).all()):
        raise ValueError(f"{name}: positive numbers are needed for their logarithms")
    return np.log(numbers)


def _fit(logs: Mapping[str, Floats], target: Floats) -> Explained:
    from scipy.stats import spearmanr  # slow to import, and those who only read a study may not need it

    design = np.column_stack([np.ones_like(target), *logs.values()])
    inverse = np.linalg.pinv(design)
    coefficients = inverse @ target
    fitted = design @ coefficients
    # Leaving one network out changes its residual by 1 / (1 - h), h the diagonal of the hat matrix: no second fit.
    leverage = np.einsum("ij,ji->i", design, inverse)
    residual = target - fitted
    left_out = residual / np.maximum(1.0 - leverage, np.finfo(np.float64).eps)
    total = float(((target - target.mean()) ** 2).sum())
    ranked = next(iter(logs.values())) if len(logs) == 1 else fitted
    return Explained(
        names=tuple(logs),
        r2=1.0 - float((residual**2).sum()) / total,
        predicted_r2=1.0 - float((left_out**2).sum()) / total,
        spearman=float(spearmanr(ranked, target).statistic),
        exponents=tuple(float(value) for value in coefficients[1:]),
    )


def _experiment_table(found: TableReport, speed_unit: str) -> Table:
    return table_of(
        f"{found.guideline}: {found.claim}",
        ((column.scale, row) for column in found.columns for row in column.rows),
        (Column(title="Column", whole=True), lambda one: one[0]),
        (Column(title="Row", whole=True), lambda one: one[1].label),
        (Column(title="Channels", whole=True, wide=True), lambda one: one[1].channels),
        (Column(title="MACs", key="macs_m", unit="M", decimals=1, wide=True), lambda one: one[1].macs / 1e6),
        (Column(title="p10", key="p10_ms", unit="ms", decimals=3), lambda one: one[1].latency.p10_ms),
        (Column(title=speed_unit, key="runs_per_second", decimals=1), lambda one: one[1].runs_per_second),
        (Column(title="Time/MAC", key="time_per_mac", decimals=3), lambda one: one[1].cost),
        (Column(title="Reading"), lambda one: "best" if one[1].compared is None else one[1].compared.speed),
        *(
            shown
            for device, name in DEVICE_NAMES.items()
            for shown in (
                (
                    Column(title=f"{name} printed", key=f"{device}_printed_per_second", decimals=1, wide=True),
                    lambda one, device=device: one[1].printed[device].speed,
                ),
                (
                    Column(title=f"{name} time/MAC", key=f"{device}_time_per_mac", decimals=2),
                    lambda one, device=device: one[1].printed[device].cost,
                ),
            )
        ),
        note="; ".join(found.evidence()),
    )


def _sample_tables(sample: SampleReport | None) -> Iterator[Table]:
    if sample is None:
        return
    found = sample.regression
    yield table_of(
        "What explains latency here",
        (*found.alone, found.together),
        (Column(title="Cost"), lambda each: " + ".join(each.names)),
        Column(title="R2", decimals=3),
        Column(title="Predicted R2", decimals=3),
        Column(title="Rank correlation", key="spearman", decimals=3),
        (Column(title="Power", decimals=3), lambda each: each.exponents[0] if len(each.exponents) == 1 else None),
        note="Least squares on the logarithms. Predicted: each network from the others. Latency grows as a power.",
    )
    yield table_of(
        "The sampled networks",
        sample.networks,
        Column(title="arch_id", whole=True),
        LATENCY,
        (Column(title="MACs", key="macs_m", unit="M", decimals=2), lambda each: each.macs / 1e6),
        (Column(title="Memory access", key="memory_mb", unit="MB", decimals=2), lambda each: each.memory_bytes / 1e6),
        Column(title="Operators", decimals=0),
        Column(title="Parameters", key="params", decimals=0),
        Column(title="Converged"),
        wide=True,
    )
